// SPDX-License-Identifier: MIT
/*
 * What libaccel made of a model's keys, for golden: "BLOCK KIND NAME NUMBER ..." of each layer.
 */
#include <stdio.h>

#include <accel/accel.h>

#include "model/layer.h"

static void print_layer(const struct layer *l)
{
	if (l->kind == &layer_attn_mla)
		printf("%u mla scale %.9g\n", l->block, l->mla.scale);
	if (l->kind == &layer_attn_gqa)
		printf("%u gqa rotated %d\n", l->block, l->attn.rope >= 0);
	if (l->kind == &layer_ffn)
		printf("%u ffn alpha_p %.9g alpha_n %.9g\n", l->block, l->ffn.alpha_p, l->ffn.alpha_n);
}

int main(int argc, char **argv)
{
	struct accel_model *m;

	if (argc != 2) {
		fprintf(stderr, "usage: layers MODEL\n");
		return 2;
	}
	if (accel_model_load(argv[1], &m)) {
		fprintf(stderr, "layers: %s\n", accel_error());
		return 1;
	}
	for (uint32_t i = 0; i < m->n_layers; i++)
		print_layer(&m->layers[i]);
	accel_model_free(m);
	return 0;
}
