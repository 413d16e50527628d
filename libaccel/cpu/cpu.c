// SPDX-License-Identifier: MIT
/* Checking shapes and sharing operations out among threads: over rows, heads and tokens,
 * never over the sum of one result. */
#include "cpu.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernels.h"
#include "model/gguf.h"
#include "pool.h"

#define ROWS_PER_PART 32u

struct cpu {
	const struct kernels *k;
	struct pool *pool;
	void *scratch;
	size_t room;
};

bool cpu_type_supported(uint32_t type)
{
	switch (type) {
	case ACCEL_F32:
	case ACCEL_F16:
	case ACCEL_BF16:
	case ACCEL_Q4_0:
	case ACCEL_Q5_0:
	case ACCEL_Q8_0:
	case ACCEL_Q4_K:
	case ACCEL_Q6_K:
		return true;
	}
	return false;
}

static bool is_float(uint32_t type)
{
	return type == ACCEL_F32 || type == ACCEL_F16 || type == ACCEL_BF16;
}

int cpu_new(enum cpu_isa isa, unsigned int threads, struct cpu **out)
{
	const struct kernels *k = &kernels_scalar;
	struct cpu *cpu;
	long online;
	int err;

	*out = NULL;
	if (isa != CPU_ISA_SCALAR && kernels_avx2())
		k = kernels_avx2();
	if (isa == CPU_ISA_AVX2 && k == &kernels_scalar)
		return -ENOTSUP;
	if (!threads) {
		online = sysconf(_SC_NPROCESSORS_ONLN);
		threads = online < 1 ? 1 : online > 256 ? 256 : online;
	}
	cpu = calloc(1, sizeof(*cpu));
	if (!cpu)
		return -ENOMEM;
	cpu->k = k;
	err = pool_new(threads, &cpu->pool);
	if (err) {
		free(cpu);
		return err;
	}
	*out = cpu;
	return 0;
}

void cpu_free(struct cpu *cpu)
{
	if (!cpu)
		return;
	pool_free(cpu->pool);
	free(cpu->scratch);
	free(cpu);
}

const char *cpu_isa_name(const struct cpu *cpu)
{
	return cpu->k->name;
}

unsigned int cpu_threads(const struct cpu *cpu)
{
	return pool_threads(cpu->pool);
}

static void *scratch(struct cpu *cpu, size_t size)
{
	if (size > cpu->room) {
		free(cpu->scratch);
		size = (size + 63) / 64 * 64;
		cpu->scratch = aligned_alloc(64, size);
		cpu->room = cpu->scratch ? size : 0;
	}
	return cpu->scratch;
}

static float *row(const struct cpu_tensor *t, uint32_t r)
{
	return (float *)((uint8_t *)t->data + r * t->stride);
}

static bool is_f32(const struct cpu_tensor *t, uint32_t rows, uint32_t cols)
{
	return t->type == ACCEL_F32 && t->rows == rows && t->cols == cols && t->stride % 4 == 0 &&
	       t->stride >= (uint64_t)cols * 4;
}

static bool is_weight(const struct cpu_tensor *t)
{
	uint32_t elements, bytes;

	return cpu_type_supported(t->type) && accel_type_block(t->type, &elements, &bytes) &&
	       t->cols && t->cols % elements == 0 && t->stride >= (uint64_t)t->cols / elements * bytes;
}

/* ---- operations: a task structure, its part function, the call ---- */

struct embed {
	const struct cpu_tensor *dst, *table;
	const int32_t *ids;
};

static void embed_part(void *arg, uint32_t part, uint32_t thread)
{
	const struct embed *t = arg;

	(void)thread;
	dequantize_row(row(t->dst, part),
		       (const uint8_t *)t->table->data + (uint32_t)t->ids[part] * t->table->stride,
		       t->table->type, t->dst->cols);
}

int cpu_embed(struct cpu *cpu, const struct cpu_tensor *dst, const struct cpu_tensor *table,
	      const int32_t *ids)
{
	struct embed t = { dst, table, ids };

	if (!is_weight(table) || !is_f32(dst, dst->rows, table->cols))
		return -EINVAL;
	for (uint32_t i = 0; i < dst->rows; i++)
		if (ids[i] < 0 || (uint32_t)ids[i] >= table->rows)
			return -EINVAL;
	pool_run(cpu->pool, dst->rows, embed_part, &t);
	return 0;
}

struct matmul {
	struct cpu *cpu;
	const struct cpu_tensor *dst, *x, *w;
	const float *bias;
	bool add;
	struct q8_block *xq;
	float *y;		/* [threads][tokens][ROWS_PER_PART] */
};

static void quantize_part(void *arg, uint32_t part, uint32_t thread)
{
	const struct matmul *t = arg;

	(void)thread;
	t->cpu->k->quantize(t->xq + (size_t)part * (t->x->cols / 32), row(t->x, part), t->x->cols);
}

static void matmul_part(void *arg, uint32_t part, uint32_t thread)
{
	const struct matmul *t = arg;
	uint32_t first = part * ROWS_PER_PART, rows = t->w->rows - first, tokens = t->x->rows;
	float *y = t->y + (size_t)thread * tokens * ROWS_PER_PART;

	if (rows > ROWS_PER_PART)
		rows = ROWS_PER_PART;
	t->cpu->k->matmul(y, ROWS_PER_PART, (const uint8_t *)t->w->data + first * t->w->stride,
			  t->w->stride, t->w->type, rows, t->w->cols, t->xq, t->x->data,
			  t->x->stride / 4, tokens);
	for (uint32_t i = 0; i < tokens; i++) {
		float *dst = row(t->dst, i) + first, *from = y + (size_t)i * ROWS_PER_PART;

		for (uint32_t r = 0; r < rows; r++) {
			float acc = from[r];

			if (t->bias)
				acc += t->bias[first + r];
			dst[r] = t->add ? dst[r] + acc : acc;
		}
	}
}

int cpu_matmul(struct cpu *cpu, const struct cpu_tensor *dst, const struct cpu_tensor *x,
	       const struct cpu_tensor *w, const float *bias, bool add)
{
	size_t quantized = is_float(w->type) ? 0 :
			   (size_t)x->rows * (x->cols / 32) * sizeof(struct q8_block);
	size_t out = (size_t)pool_threads(cpu->pool) * x->rows * ROWS_PER_PART * sizeof(float);
	struct matmul t = { .cpu = cpu, .dst = dst, .x = x, .w = w, .bias = bias, .add = add };

	if (!is_weight(w) || !is_f32(x, x->rows, w->cols) || !is_f32(dst, x->rows, w->rows))
		return -EINVAL;
	quantized = (quantized + 63) / 64 * 64;
	t.y = scratch(cpu, quantized + out);
	if (!t.y)
		return -ENOMEM;
	if (quantized) {
		t.xq = (void *)t.y;
		t.y = (float *)((uint8_t *)t.xq + quantized);
		pool_run(cpu->pool, x->rows, quantize_part, &t);
	}
	pool_run(cpu->pool, (w->rows + ROWS_PER_PART - 1) / ROWS_PER_PART, matmul_part, &t);
	return 0;
}

struct rowwise {
	struct cpu *cpu;
	const struct cpu_tensor *dst, *a, *b;
	const float *w;
	float eps;
	uint32_t heads, head_dim, rot;
	bool half;
};

static void rmsnorm_part(void *arg, uint32_t part, uint32_t thread)
{
	const struct rowwise *t = arg;

	(void)thread;
	t->cpu->k->rmsnorm(row(t->dst, part), row(t->a, part), t->w, t->a->cols, t->eps);
}

int cpu_rmsnorm(struct cpu *cpu, const struct cpu_tensor *dst, const struct cpu_tensor *x,
		const float *w, float eps)
{
	struct rowwise t = { .cpu = cpu, .dst = dst, .a = x, .w = w, .eps = eps };

	if (!is_f32(x, x->rows, x->cols) || !is_f32(dst, x->rows, x->cols))
		return -EINVAL;
	pool_run(cpu->pool, x->rows, rmsnorm_part, &t);
	return 0;
}

static void rope_part(void *arg, uint32_t part, uint32_t thread)
{
	const struct rowwise *t = arg;

	(void)thread;
	rope_heads(row(t->dst, part), row(t->a, part), row(t->b, part), t->heads, t->head_dim, t->rot,
		   t->half);
}

int cpu_rope(struct cpu *cpu, const struct cpu_tensor *dst, const struct cpu_tensor *x,
	     const struct cpu_tensor *cs, uint32_t heads, uint32_t head_dim, uint32_t rot, bool half)
{
	struct rowwise t = {
		.dst = dst, .a = x, .b = cs, .heads = heads, .head_dim = head_dim, .rot = rot,
		.half = half,
	};

	if (!is_f32(x, x->rows, heads * head_dim) || !is_f32(dst, x->rows, x->cols) ||
	    !is_f32(cs, x->rows, rot) || rot > head_dim || rot % 2)
		return -EINVAL;
	pool_run(cpu->pool, x->rows, rope_part, &t);
	return 0;
}

static void glu_part(void *arg, uint32_t part, uint32_t thread)
{
	const struct rowwise *t = arg;

	(void)thread;
	t->cpu->k->glu(row(t->dst, part), row(t->a, part), row(t->b, part), t->a->cols);
}

static void add_part(void *arg, uint32_t part, uint32_t thread)
{
	const struct rowwise *t = arg;

	(void)thread;
	t->cpu->k->add(row(t->dst, part), row(t->a, part), row(t->b, part), t->a->cols);
}

static int pairwise(struct cpu *cpu, const struct cpu_tensor *dst, const struct cpu_tensor *a,
		    const struct cpu_tensor *b, pool_fn fn)
{
	struct rowwise t = { .cpu = cpu, .dst = dst, .a = a, .b = b };

	if (!is_f32(a, a->rows, a->cols) || !is_f32(b, a->rows, a->cols) ||
	    !is_f32(dst, a->rows, a->cols))
		return -EINVAL;
	pool_run(cpu->pool, a->rows, fn, &t);
	return 0;
}

int cpu_swiglu(struct cpu *cpu, const struct cpu_tensor *dst, const struct cpu_tensor *gate,
	       const struct cpu_tensor *up)
{
	return pairwise(cpu, dst, gate, up, glu_part);
}

int cpu_add(struct cpu *cpu, const struct cpu_tensor *dst, const struct cpu_tensor *a,
	    const struct cpu_tensor *b)
{
	return pairwise(cpu, dst, a, b, add_part);
}

struct attn {
	struct cpu *cpu;
	const struct cpu_tensor *dst, *q, *k_cache, *v_cache;
	uint32_t heads, group, head_dim, pos;
	float scale;
	float *scores;		/* [threads][pos + tokens] */
};

static void attn_part(void *arg, uint32_t part, uint32_t thread)
{
	const struct attn *t = arg;
	uint32_t token = part / t->heads, head = part % t->heads;
	size_t at = (size_t)head * t->head_dim, kv = (size_t)(head / t->group) * t->head_dim;

	t->cpu->k->attend(row(t->dst, token) + at, row(t->q, token) + at, row(t->k_cache, 0) + kv,
			  row(t->v_cache, 0) + kv, t->k_cache->stride / 4, t->pos + token + 1,
			  t->head_dim, t->scale,
			  t->scores + (size_t)thread * (t->pos + t->q->rows));
}

int cpu_attn(struct cpu *cpu, const struct cpu_tensor *dst, const struct cpu_tensor *q,
	     const struct cpu_tensor *k, const struct cpu_tensor *v,
	     const struct cpu_tensor *k_cache, const struct cpu_tensor *v_cache,
	     uint32_t heads, uint32_t kv_heads, uint32_t head_dim, uint32_t pos, float scale)
{
	uint32_t m = q->rows, kv_cols = kv_heads * head_dim;
	struct attn t = {
		.cpu = cpu, .dst = dst, .q = q, .k_cache = k_cache, .v_cache = v_cache, .heads = heads,
		.group = kv_heads ? heads / kv_heads : 0, .head_dim = head_dim, .pos = pos,
		.scale = scale,
	};

	if (!t.group || heads % kv_heads || !is_f32(q, m, heads * head_dim) ||
	    !is_f32(dst, m, heads * head_dim) || !is_f32(k, m, kv_cols) || !is_f32(v, m, kv_cols) ||
	    !is_f32(k_cache, k_cache->rows, kv_cols) || !is_f32(v_cache, k_cache->rows, kv_cols) ||
	    k_cache->stride != v_cache->stride || pos > k_cache->rows || m > k_cache->rows - pos)
		return -EINVAL;
	t.scores = scratch(cpu, (size_t)pool_threads(cpu->pool) * (pos + m) * sizeof(float));
	if (!t.scores)
		return -ENOMEM;
	for (uint32_t i = 0; i < m; i++) {
		memcpy(row(k_cache, pos + i), row(k, i), (size_t)kv_cols * 4);
		memcpy(row(v_cache, pos + i), row(v, i), (size_t)kv_cols * 4);
	}
	pool_run(cpu->pool, m * heads, attn_part, &t);
	return 0;
}
