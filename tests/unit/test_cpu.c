// SPDX-License-Identifier: MIT
/*
 * The CPU kernels against the golden vectors of numerics.rst (exact arithmetic, made by
 * ref_numerics.py), scalar and AVX2, one to three threads; and AVX2 against scalar on random
 * shapes and random bytes, infinities and NaNs included.
 */
#include <stdlib.h>

#include "cpu/cpu.h"
#include "cpu/kernels.h"
#include "golden.h"
#include "model/gguf.h"
#include "tap.h"

static struct cpu_tensor f32(const void *data, uint32_t rows, uint32_t cols)
{
	return (struct cpu_tensor) { (void *)data, cols * 4ull, rows, cols, ACCEL_F32 };
}

static struct cpu_tensor weights(const void *data, uint32_t rows, uint32_t cols, uint32_t type)
{
	uint32_t elements = 1, bytes = 4;

	accel_type_block(type, &elements, &bytes);
	return (struct cpu_tensor) { (void *)data, (uint64_t)cols / elements * bytes, rows, cols, type };
}

static void *copy(const void *p, size_t n)
{
	void *c = malloc(n ? n : 1);

	if (p)
		memcpy(c, p, n);
	return c;
}

static bool matmul(struct cpu *cpu, const struct golden *g, float *out)
{
	struct cpu_tensor w = weights(golden_array(g, 0), g->n, g->k, g->type);
	struct cpu_tensor x = f32(golden_array(g, 1), g->m, g->k), y = f32(out, g->m, g->n);
	bool add = g->flags & OCTANS_MATMUL_ADD;

	if (add)
		memcpy(out, golden_array(g, 3), g->m * g->n * 4);
	return !cpu_matmul(cpu, &y, &x, &w, golden_array(g, 2), add) &&
	       golden_same(out, golden_array(g, 4), g->m * g->n, NULL);
}

static bool attn(struct cpu *cpu, const struct golden *g, float *out)
{
	uint32_t heads = g->p[0], kv = g->p[1], dim = g->p[2], pos = g->p[3], ctx = pos + g->m;
	float *kc = calloc(ctx * kv * dim, 4), *vc = calloc(ctx * kv * dim, 4);
	struct cpu_tensor q = f32(golden_array(g, 0), g->m, heads * dim), y = q;
	struct cpu_tensor k = f32(golden_array(g, 1), g->m, kv * dim), v = k, kt, vt;
	bool good;

	y.data = out;
	v.data = (void *)golden_array(g, 2);
	if (pos) {
		memcpy(kc, golden_array(g, 3), pos * kv * dim * 4);
		memcpy(vc, golden_array(g, 4), pos * kv * dim * 4);
	}
	kt = f32(kc, ctx, kv * dim);
	vt = f32(vc, ctx, kv * dim);
	good = !cpu_attn(cpu, &y, &q, &k, &v, &kt, &vt, heads, kv, dim, pos, g->f) &&
	       golden_same(out, golden_array(g, 5), g->m * heads * dim, NULL);
	free(kc);
	free(vc);
	return good;
}

static bool quantize(const struct kernels *k, const struct golden *g)
{
	const float *d = golden_array(g, 1), *xs = golden_array(g, 2);
	const int8_t *q = golden_array(g, 3);
	struct q8_block *b = calloc(g->k / 32, sizeof(*b));
	bool good = true;

	k->quantize(b, golden_array(g, 0), g->k);
	for (uint32_t i = 0; i < g->k / 32; i++)
		good &= golden_same(&b[i].d, &d[i], 1, NULL) && golden_same(&b[i].xs, &xs[i], 1, NULL) &&
			!memcmp(b[i].q, q + 32 * i, 32);
	free(b);
	return good;
}

static bool one(struct cpu *cpu, const struct kernels *k, const struct golden *g)
{
	size_t n = 1u << 20;
	float *out = malloc(n);
	struct cpu_tensor a, b, y;
	bool good = true;

	switch (g->op) {
	case OCTANS_OP_EMBED:
		a = weights(golden_array(g, 0), g->n, g->k, g->type);
		y = f32(out, g->m, g->k);
		good = !cpu_embed(cpu, &y, &a, golden_array(g, 1)) &&
		       golden_same(out, golden_array(g, 2), g->m * g->k, NULL);
		break;
	case OCTANS_OP_MATMUL:
		good = matmul(cpu, g, out);
		break;
	case OCTANS_OP_RMSNORM:
		a = f32(golden_array(g, 0), g->m, g->k);
		y = f32(out, g->m, g->k);
		good = !cpu_rmsnorm(cpu, &y, &a, golden_array(g, 1), g->f) &&
		       golden_same(out, golden_array(g, 2), g->m * g->k, NULL);
		break;
	case OCTANS_OP_ROPE:
		a = f32(golden_array(g, 0), g->m, g->p[0] * g->p[1]);
		b = f32(golden_array(g, 1), g->m, g->p[2]);
		y = f32(out, g->m, a.cols);
		good = !cpu_rope(cpu, &y, &a, &b, g->p[0], g->p[1], g->p[2], g->flags & OCTANS_ROPE_HALF) &&
		       golden_same(out, golden_array(g, 2), g->m * a.cols, NULL);
		break;
	case OCTANS_OP_ATTN:
		good = attn(cpu, g, out);
		break;
	case OCTANS_OP_GLU:
		a = f32(golden_array(g, 0), g->m, g->n);
		b = f32(golden_array(g, 1), g->m, g->n);
		y = f32(out, g->m, g->n);
		good = !cpu_swiglu(cpu, &y, &a, &b) &&
		       golden_same(out, golden_array(g, 2), g->m * g->n, NULL);
		break;
	case OCTANS_OP_ELEMENTWISE:
		if (g->flags != OCTANS_ELT_ADD || g->p[0] != g->m)
			break;	/* the CPU executor has no use for the others */
		a = f32(golden_array(g, 0), g->m, g->n);
		b = f32(golden_array(g, 1), g->m, g->n);
		y = f32(out, g->m, g->n);
		good = !cpu_add(cpu, &y, &a, &b) && golden_same(out, golden_array(g, 2), g->m * g->n, NULL);
		break;
	case GOLDEN_QUANTIZE:
		good = quantize(k, g);
		break;
	}
	free(out);
	return good;
}

static uint64_t state = 88172645463325252ull;

static uint32_t rnd(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 16) % n;
}

/* Mostly ordinary numbers; sometimes very large, very small, infinite or NaN. */
static float any_float(bool wild)
{
	uint32_t bits = rnd(1u << 31) << 1 | rnd(2);

	if (wild && !rnd(64)) {
		float f;

		memcpy(&f, &bits, 4);
		return f;
	}
	return ((int)rnd(2001) - 1000) / 250.0f;
}

static bool random_matmul(struct cpu *scalar, struct cpu *other, uint32_t type, bool wild)
{
	uint32_t elements = 1, bytes = 4, rows = 1 + rnd(40), tokens = 1 + rnd(9), cols;
	struct cpu_tensor w, x, y;
	float *a, *b;
	bool good;

	accel_type_block(type, &elements, &bytes);
	cols = elements == 1 ? 1 + rnd(300) : elements * (1 + rnd(elements == 256 ? 3 : 20));
	w = weights(NULL, rows, cols, type);
	w.data = malloc(rows * w.stride);
	for (size_t i = 0; i < rows * w.stride; i++)
		((uint8_t *)w.data)[i] = rnd(256);
	if (type == ACCEL_F32)
		for (uint32_t i = 0; i < rows * cols; i++)
			((float *)w.data)[i] = any_float(wild);
	x = f32(malloc(tokens * cols * 4), tokens, cols);
	for (uint32_t i = 0; i < tokens * cols; i++)
		((float *)x.data)[i] = any_float(wild);
	a = calloc(tokens * rows, 4);
	b = copy(a, tokens * rows * 4);
	y = f32(a, tokens, rows);
	good = !cpu_matmul(scalar, &y, &x, &w, NULL, false);
	y.data = b;
	good &= !cpu_matmul(other, &y, &x, &w, NULL, false) && golden_same(b, a, tokens * rows, NULL);
	free(w.data);
	free(x.data);
	free(a);
	free(b);
	return good;
}

int main(void)
{
	static const uint32_t types[] = { ACCEL_F32, ACCEL_F16, ACCEL_BF16, ACCEL_Q4_0, ACCEL_Q5_0,
					  ACCEL_Q8_0, ACCEL_Q4_K, ACCEL_Q6_K };
	struct cpu *scalar, *cpu;

	ok(!cpu_new(CPU_ISA_SCALAR, 1, &scalar), "scalar kernels");
	for (int isa = CPU_ISA_SCALAR; isa <= CPU_ISA_AVX2; isa++) {
		const struct kernels *k = isa == CPU_ISA_SCALAR ? &kernels_scalar : kernels_avx2();

		if (!k) {
			ok(true, "# SKIP this machine has no AVX2");
			continue;
		}
		for (unsigned int threads = 1; threads <= 3; threads++) {
			int cases = 0, wrong = 0;

			if (!ok(!cpu_new(isa, threads, &cpu), "%s, %u threads", k->name, threads))
				continue;
			for (const struct golden *g = golden_first(); g; g = golden_next(g), cases++)
				if (!one(cpu, k, g) && !wrong++)
					printf("# case %d: op %u type %u m %u n %u k %u\n", cases, g->op, g->type,
					       g->m, g->n, g->k);
			ok(cases > 100 && !wrong, "%s, %u threads: %d golden cases, %d wrong", k->name,
			   threads, cases, wrong);
			for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
				bool good = true;

				for (int i = 0; i < 60; i++)
					good &= random_matmul(scalar, cpu, types[t], i & 1);
				ok(good, "%s, %u threads: random %s matrices as scalar", k->name, threads,
				   accel_type_name(types[t]));
			}
			cpu_free(cpu);
		}
	}
	cpu_free(scalar);
	return done();
}
