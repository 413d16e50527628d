// SPDX-License-Identifier: MIT
/* Loading a model: the file, then the architecture that it names. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "error.h"
#include "fpenv.h"
#include "gguf.h"
#include "layer.h"
#include "opts.h"
#include "plain.h"

static int load_architecture(struct accel_model *m, const char *path)
{
	const char *s;
	size_t n;

	if (gguf_get_str(m->file, "general.architecture", &s, &n))
		return fail(-EINVAL, "%s: general.architecture is missing; this is not a model file",
			    path);
	plain_text(m->arch, sizeof(m->arch), s, n);
	if (!gguf_get_str(m->file, "general.name", &s, &n))
		plain_text(m->name, sizeof(m->name), s, n);
	return arch_load(m, path);
}

int accel_model_load(const char *path, struct accel_model **out)
{
	FP_SCOPE();
	struct accel_model *m = calloc(1, sizeof(*m));
	char sentence[ACCEL_ERROR_MAX];
	int err;

	*out = NULL;
	if (!m)
		return fail(-ENOMEM, "no memory for a model");
	err = gguf_open(path, &m->file, sentence, sizeof(sentence));
	if (err)
		fail(err, "%s", sentence);
	else
		err = load_architecture(m, path);
	/* What a file said that changed meanwhile is not the news. */
	if (m->file && gguf_intact(m->file))
		err = -EIO;
	if (err) {
		accel_model_free(m);
		return err;
	}
	*out = m;
	return 0;
}

void accel_model_free(struct accel_model *m)
{
	if (!m)
		return;
	free(m->layers);
	while (m->converted) {
		struct converted *next = m->converted->next;

		free(m->converted);
		m->converted = next;
	}
	if (m->file)
		gguf_close(m->file);
	free(m);
}

int accel_model_info(const struct accel_model *m, struct accel_model_info *info)
{
	struct accel_model_info i = {
		.n_layers = m->n_layers, .n_blocks = m->n_blocks, .n_ctx_train = m->n_ctx_train,
		.n_embd = m->n_embd, .n_vocab = m->n_vocab, .n_ff = m->n_ff, .n_heads = m->n_heads,
		.n_kv_heads = m->n_kv_heads, .head_dim = m->head_dim, .n_params = m->n_params,
		.file_bytes = gguf_file_size(m->file),
	};

	memcpy(i.arch, m->arch, sizeof(i.arch));
	memcpy(i.name, m->name, sizeof(i.name));
	for (uint32_t k = 0; k < m->n_layers; k++)
		i.weight_bytes += layer_weight_bytes(&m->layers[k]);
	return opts_write(info, &i, sizeof(i), "a model's description");
}

const struct gguf *accel_model_gguf(const struct accel_model *m)
{
	return m->file;
}

uint32_t model_scratch(const struct accel_model *m, unsigned int i)
{
	uint32_t most = 0;

	for (uint32_t k = 0; k < m->n_layers; k++) {
		uint32_t cols = m->layers[k].kind->scratch(&m->layers[k], i);

		if (cols > most)
			most = cols;
	}
	return most;
}
