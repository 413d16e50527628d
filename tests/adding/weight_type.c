// SPDX-License-Identifier: MIT
/*
 * Of a tree with Documentation/adding/weight-type.patch: what TQ2_0 stands for, as llama.cpp has it; the
 * same product with every instruction set; a model with such tensors.
 *   weight_type DIRECTORY		for the model's file
 */
#include <math.h>
#include <stdint.h>

#include "../unit/engine_rig.h"
#include "../unit/llama_build.h"
#include "isa/kernels.h"

#define TQ2_0 35u
#define ELEMENTS 256u
#define BYTES 66u
#define MAX_ROWS 35u
#define MAX_COLS (3 * ELEMENTS)
#define MAX_TOKENS 9u
#define VOCAB 12u
#define LIMIT 2e-4		/* what activations of eight bits cost, as NMSE: measured 8e-5 */

static uint32_t state = 1;

static uint32_t random_u32(void)
{
	state ^= state << 13, state ^= state >> 17, state ^= state << 5;
	return state;
}

/* Any codes; scales of both signs, some of them 0 or subnormal. */
static void fill_blocks(uint8_t *w, size_t n)
{
	for (size_t i = 0; i < n; i++, w += BYTES) {
		uint32_t d = random_u32();
		uint16_t h = (uint16_t)((d & 0x8000) | (d >> 16 & 15 ? 0x2800 + (d & 0x3ff) : d & 0x1f));

		for (uint32_t k = 0; k < ELEMENTS / 4; k++)
			w[k] = (uint8_t)(random_u32() >> 8);
		w[64] = (uint8_t)h;
		w[65] = (uint8_t)(h >> 8);
	}
}

/* ggml's formula, value by value: 64 bytes are two halves, 32 bytes of which hold four times 32 values. */
static void formula(float *to, const uint8_t *w, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t at = i % ELEMENTS;
		const uint8_t *block = w + i / ELEMENTS * BYTES;
		int code = block[at / 128 * 32 + at % 32] >> at % 128 / 32 * 2 & 3;

		to[i] = (float)(code - 1) * f16_f32((uint16_t)(block[64] | block[65] << 8));
	}
}

/* ---- kernels ---- */

/* Is y of k what scalar's is, for this many rows, columns and tokens? */
static bool same_product(const struct kernels *k, uint32_t rows, uint32_t cols, uint32_t tokens)
{
	static uint8_t w[MAX_ROWS * MAX_COLS / ELEMENTS * BYTES];
	static float x[MAX_TOKENS * MAX_COLS], y[2][MAX_TOKENS * (MAX_ROWS + 8)];
	static struct q8_block q[2][MAX_TOKENS * MAX_COLS / 32];
	const struct kernels *use[2] = { &isa_scalar, k };
	size_t stride = cols / ELEMENTS * BYTES, y_stride = rows;

	fill_blocks(w, rows * cols / ELEMENTS);
	for (uint32_t i = 0; i < tokens * cols; i++)
		x[i] = (int32_t)random_u32() * 0x1p-30f;
	for (int i = 0; i < 2; i++) {
		use[i]->quantize(q[i], x, tokens * cols);
		use[i]->matmul(y[i], y_stride, w, stride, TQ2_0, rows, cols, q[i], x, cols, NULL, tokens);
	}
	for (uint32_t t = 0; t < tokens; t++)
		if (memcmp(y[0] + t * y_stride, y[1] + t * y_stride, rows * sizeof(float)))
			return false;
	return true;
}

/* Others take the products from one that has them. */
static void test_kernels(const struct kernels *own)
{
	struct kernels all = *own;
	const struct kernels *k = &all;
	static uint8_t w[8 * BYTES];
	static float want[8 * ELEMENTS], got[8 * ELEMENTS];
	bool good = true;

	if (!k->supported() || !k->matmul || isa_complete(&all)) {
		printf("# %s: nothing of its own on this machine\n", k->name);
		return;
	}
	fill_blocks(w, 8);
	formula(want, w, 8 * ELEMENTS);
	k->load(got, w, TQ2_0, 8 * ELEMENTS);
	for (uint32_t i = 0; i < 8 * ELEMENTS; i++)
		good &= want[i] == got[i];	/* and 0 is -0 */
	ok(good, "%s: values are those of llama.cpp", k->name);
	good = true;
	for (uint32_t rows = 1; rows <= MAX_ROWS; rows++)
		for (uint32_t cols = ELEMENTS; cols <= MAX_COLS; cols += ELEMENTS)
			for (uint32_t tokens = 1; tokens <= MAX_TOKENS; tokens++)
				good &= same_product(k, rows, cols, tokens);
	ok(good, "%s: products have the bits of scalar", k->name);
}

/* ---- a model ---- */

/* Two files of the same weights, in TQ2_0 and as F32. */
static void build_pair(struct build *b, struct build *wide)
{
	struct llama_build l = { .type = TQ2_0, .blocks = 2, .embd = ELEMENTS, .heads = 4, .kv_heads = 2,
				 .ff = 2 * ELEMENTS, .vocab = VOCAB, .ctx = 64 };
	struct gguf *from, *to;
	char err[256];

	llama_build(b, &l);
	l.type = ACCEL_F32;
	llama_build(wide, &l);
	if (gguf_open_mem(b->p, b->n, &from, err, sizeof(err)) ||
	    gguf_open_mem(wide->p, wide->n, &to, err, sizeof(err)))
		abort();
	for (uint64_t i = 0; i < gguf_n_tensors(from); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(from, i), *u = gguf_tensor_at(to, i);
		float *values = (float *)(void *)(wide->p + u->offset);

		if (t->type != TQ2_0) {
			memcpy(values, b->p + t->offset, t->size);
			continue;
		}
		fill_blocks(b->p + t->offset, t->size / BYTES);
		formula(values, b->p + t->offset, u->size / sizeof(float));
	}
	gguf_close(from);
	gguf_close(to);
}

static struct accel_model *load(const struct build *b, const char *dir)
{
	struct accel_model *m = NULL;
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/model.gguf", dir);
	f = fopen(path, "wb");
	if (!f || fwrite(b->p, 1, b->n, f) != b->n || fclose(f))
		return NULL;
	if (accel_model_load(path, &m))
		printf("# %s\n", accel_error());
	remove(path);
	return m;
}

static bool logits_of(const struct accel_model *m, const char *spec, const char *isa, float *logits)
{
	static const int32_t tokens[] = { 1, 7, 3, 9, 5, 2 };
	const uint32_t n = sizeof(tokens) / sizeof(tokens[0]);
	struct accel_plan_opts po = { .ctx = 32, .kv_type = ACCEL_KV_F32 };
	struct accel_engine_opts eo = { .sz = sizeof(eo), .isa = isa };
	struct rig r = rig_new(m, spec, po, &eo);
	struct accel_layer layer = { .sz = sizeof(layer) };
	const float *got = NULL;

	if (r.engine && !rig_eval(&r, tokens, n, ACCEL_WANT_ALL, &got) && got)
		memcpy(logits, got, n * VOCAB * sizeof(*got));
	if (spec && r.plan) {
		accel_plan_layer(r.plan, 1, &layer);
		ok(layer.reason == ACCEL_REASON_TYPE && layer.device == -1 &&
		   strstr(layer.detail, "does not read weights of type TQ2_0"), "the planner says %s: \"%s\"",
		   accel_reason_name(layer.reason), layer.detail);
	}
	rig_free(&r);
	return got;
}

static double nmse(const float *reference, const float *other)
{
	double error = 0, all = 0;

	for (uint32_t i = 0; i < 6 * VOCAB; i++) {
		double d = reference[i] - (double)other[i];

		error += d * d;
		all += reference[i] * (double)reference[i];
	}
	return error / all;
}

static void test_model(const char *dir)
{
	static float want[6 * VOCAB], scalar[6 * VOCAB], best[6 * VOCAB], split[6 * VOCAB];
	struct build b, wide;
	struct accel_model *m, *w;

	build_pair(&b, &wide);
	m = load(&b, dir);
	w = load(&wide, dir);
	if (ok(m && w, "models of TQ2_0 and of F32")) {
		ok(logits_of(w, NULL, NULL, want) && logits_of(m, NULL, "scalar", scalar), "logits of both");
		ok(nmse(want, scalar) < LIMIT, "they are nearly the same: nmse %.1e, limit %.0e",
		   nmse(want, scalar), LIMIT);
		ok(logits_of(m, NULL, NULL, best) && !memcmp(best, scalar, sizeof(best)),
		   "the fastest instruction set gives the bits of scalar");
		ok(logits_of(m, "sim", NULL, split) && !memcmp(split, scalar, sizeof(split)),
		   "and so it does beside a processor");
	}
	accel_model_free(m);
	accel_model_free(w);
	build_end(&b);
	build_end(&wide);
}

int main(int argc, char **argv)
{
	const struct kernels *k;

	for (size_t i = 0; (k = isa_at(i)); i++)
		test_kernels(k);
	if (ok(argc == 2, "a directory is given"))
		test_model(argv[1]);
	return done();
}
