// SPDX-License-Identifier: MIT
/*
 * Of a tree with Documentation/adding/operation.patch: CUMSUM alone; and in a layer, which then runs on
 * the CPU between those that a processor has.
 *   operation MODEL
 */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "../unit/engine_rig.h"
#include "model/layer.h"
#include "op/cpu.h"

#define ROWS 37u
#define COLS 60u
#define LAYER 2u		/* of the model, that is given one more command */
#define TOKENS 5
#define MAX_LAYERS 64u

/* ---- alone ---- */

static void fill(float *x, float *want, uint32_t groups)
{
	uint32_t r = 1;

	for (uint32_t i = 0; i < ROWS * COLS; i++) {
		r = r * 1664525 + 1013904223;
		x[i] = (int32_t)r * 0x1p-30f;
		want[i] = i % (COLS / groups) ? want[i - 1] + x[i] : x[i];
	}
}

static struct octans_cmd_row cumsum(float *dst, float *x, uint32_t groups)
{
	return (struct octans_cmd_row) {
		.cmd = { .op = OP_CUMSUM, .size = sizeof(struct octans_cmd_row) },
		.dst = tensor_f32((uintptr_t)dst, ROWS, COLS, 0),
		.x = tensor_f32((uintptr_t)x, ROWS, COLS, 0),
		.groups = groups,
	};
}

static int run(struct cpu *cpu, struct octans_cmd_row cmd)
{
	return cpu_run(cpu, &cmd, sizeof(cmd), NULL, 0, NULL);
}

static void test_alone(unsigned int threads)
{
	static float x[ROWS * COLS], y[ROWS * COLS], want[ROWS * COLS];
	struct octans_cmd_row bad;
	struct cpu *cpu;

	if (!ok(!cpu_new(NULL, threads, &cpu), "%u threads", threads))
		return;
	for (uint32_t groups = 1; groups <= 3; groups++) {
		fill(x, want, groups);
		ok(!run(cpu, cumsum(y, x, groups)) && !memcmp(y, want, sizeof(y)) &&
		   !run(cpu, cumsum(x, x, groups)) && !memcmp(x, want, sizeof(x)),
		   "sums of %u groups, elsewhere and in place", groups);
	}
	fill(x, want, 1);
	x[3] = -NAN;
	ok(!run(cpu, cumsum(y, x, 1)) && y[2] == want[2] && !memcmp(&y[3], &(uint32_t) { 0x7fc00000 }, 4) &&
	   y[COLS] == want[COLS], "a NaN is the canonical one, and ends with its row");
	memcpy(want, y, sizeof(y));
	bad = cumsum(y, x, 7);
	ok(run(cpu, bad) == -EINVAL, "groups that do not divide a row are refused");
	bad = cumsum(y, x, 1);
	bad.eps = 1;
	ok(run(cpu, bad) == -EINVAL, "and an eps");
	bad = cumsum(y, x, 1);
	bad.w = tensor_f32((uintptr_t)x, 1, COLS, 0);
	ok(run(cpu, bad) == -EINVAL && !memcmp(y, want, sizeof(y)), "and weights, with nothing written");
	cpu_free(cpu);
}

/* ---- in a layer ---- */

static const struct layer_kind *kind;	/* of the layer, as the model has it */

static void record_more(struct build *b)
{
	const struct octans_tensor x = build_x(b);

	kind->record(b);
	RECORD(&b->r, CUMSUM, row, 0, .dst = x, .x = x, .groups = 4);
}

struct result {
	bool good;
	float *logits;			/* [n_vocab] of the last of some tokens */
	uint32_t on_device;		/* layers */
	struct accel_layer layer;	/* LAYER */
};

/* Everything that can be is on this processor; NULL: nothing. */
static struct result compute(const struct accel_model *m, const char *spec)
{
	static const int32_t tokens[TOKENS] = { 1, 7, 3, 9, 5 };
	const size_t bytes = m->n_vocab * sizeof(float);
	struct result out = { .logits = calloc(1, bytes), .layer.sz = sizeof(out.layer) };
	uint32_t places[MAX_LAYERS];
	struct accel_plan_opts po = { .ctx = 32, .n_places = m->n_layers, .places = places };
	const float *got = NULL;
	struct rig r;

	for (uint32_t i = 0; i < m->n_layers; i++)
		places[i] = spec ? ACCEL_PLACE_DEVICE(0) : ACCEL_PLACE_CPU;
	r = rig_new(m, spec, po, NULL);
	out.good = r.engine && !rig_eval(&r, tokens, TOKENS, ACCEL_WANT_LAST, &got) && got && out.logits &&
		   !accel_engine_layer(r.engine, LAYER, &out.layer);
	if (out.good) {
		memcpy(out.logits, got, bytes);
		out.on_device = rig_stats(&r).layers_device;
	}
	rig_free(&r);
	return out;
}

static void test_layer(const char *path)
{
	struct accel_model *m;
	struct layer_kind more;
	struct result before, here, split;
	size_t bytes;

	if (!ok(!accel_model_load(path, &m) && m->n_layers <= MAX_LAYERS, "a model"))
		return;
	bytes = m->n_vocab * sizeof(float);
	kind = m->layers[LAYER].kind;
	before = compute(m, "sim");
	ok(before.good && before.on_device == m->n_layers, "without it, all layers are on the processor");
	more = *kind;
	more.record = record_more;
	m->layers[LAYER].kind = &more;
	here = compute(m, NULL);
	ok(here.good && memcmp(before.logits, here.logits, bytes), "with it, logits are others");
	split = compute(m, "sim");
	ok(split.good && split.layer.reason == ACCEL_REASON_KIND && split.layer.device == -1 &&
	   strstr(split.layer.detail, "does not implement CUMSUM"), "the planner says %s: \"%s\"",
	   accel_reason_name(split.layer.reason), split.layer.detail);
	ok(split.on_device == m->n_layers - 1 && !memcmp(here.logits, split.logits, bytes),
	   "the others are on the processor, and the bits are those of the CPU alone");
	m->layers[LAYER].kind = kind;
	accel_model_free(m);
	free(before.logits), free(here.logits), free(split.logits);
}

int main(int argc, char **argv)
{
	ok(cpu_ops() >> OP_CUMSUM & 1 && !strcmp(accel_op_name(OP_CUMSUM), "CUMSUM"), "CUMSUM is there");
	test_alone(1);
	test_alone(3);
	if (ok(argc == 2, "the model is given"))
		test_layer(argv[1]);
	return done();
}
