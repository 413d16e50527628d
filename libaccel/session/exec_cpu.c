// SPDX-License-Identifier: MIT
/* The CPU executor: the fallback for every layer, straight from the mapped file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "error.h"
#include "exec.h"

struct exec_cpu {
	const struct accel_model *m;
	struct cpu *cpu;
	uint32_t ctx;
	float *buf[BUF_COUNT];		/* [batch][cols]; from BUF_SHARED on */
	float **k, **v;			/* [n_layers]: [ctx][kv_heads * head_dim] */
};

int exec_cpu_new(const struct accel_model *m, uint32_t batch, uint32_t ctx, uint32_t threads,
		 enum accel_isa isa, struct exec_cpu **out)
{
	struct exec_cpu *e = calloc(1, sizeof(*e));
	int err = -ENOMEM;

	*out = NULL;
	if (!e)
		return fail(-ENOMEM, "no memory for the CPU executor");
	e->m = m;
	e->ctx = ctx;
	e->k = calloc(m->n_layers, sizeof(*e->k));
	e->v = calloc(m->n_layers, sizeof(*e->v));
	if (!e->k || !e->v)
		goto fail;
	for (int i = BUF_SHARED; i < BUF_COUNT; i++) {
		e->buf[i] = calloc(batch, sizeof(float) * model_buf_cols(m, i));
		if (!e->buf[i])
			goto fail;
	}
	err = cpu_new(isa == ACCEL_ISA_SCALAR ? CPU_ISA_SCALAR :
		      isa == ACCEL_ISA_AVX2 ? CPU_ISA_AVX2 : CPU_ISA_AUTO, threads, &e->cpu);
	if (err)
		goto fail;
	*out = e;
	return 0;
fail:
	exec_cpu_free(e);
	if (err == -ENOTSUP)
		return fail(err, "this machine's CPU has no AVX2 with FMA: use --isa scalar or auto");
	return fail(err, "the CPU executor cannot be made: %s", strerror(-err));
}

void exec_cpu_free(struct exec_cpu *e)
{
	if (!e)
		return;
	if (e->cpu)
		cpu_free(e->cpu);
	for (int i = 0; i < BUF_COUNT; i++)
		free(e->buf[i]);
	for (uint32_t i = 0; i < e->m->n_layers; i++) {
		if (e->k)
			free(e->k[i]);
		if (e->v)
			free(e->v[i]);
	}
	free(e->k);
	free(e->v);
	free(e);
}

int exec_cpu_add(struct exec_cpu *e, uint32_t layer)
{
	const struct accel_model *m = e->m;
	size_t n = (size_t)m->n_kv_heads * m->head_dim;

	if (m->layers[layer].kind != ACCEL_LAYER_ATTN_GQA || e->k[layer])
		return 0;
	e->k[layer] = calloc(e->ctx, sizeof(float) * n);
	e->v[layer] = calloc(e->ctx, sizeof(float) * n);
	if (!e->k[layer] || !e->v[layer])
		return fail(-ENOMEM, "no memory for the KV cache of %u positions; choose a smaller --ctx",
			    e->ctx);
	return 0;
}

static struct cpu_tensor rows_of(const struct exec_cpu *e, const struct shared *io, enum buf buf,
				 uint32_t first, uint32_t rows)
{
	uint32_t cols = model_buf_cols(e->m, buf);
	float *base = buf < BUF_SHARED ? io->buf[buf] : e->buf[buf];

	return (struct cpu_tensor) {
		/* logits hold only the rows asked for */
		.data = base + (buf == BUF_LOGITS ? 0 : (size_t)first * cols),
		.stride = (uint64_t)cols * sizeof(float),
		.rows = rows,
		.cols = cols,
		.type = 0,
	};
}

static struct cpu_tensor weight_of(const struct weight *w)
{
	return (struct cpu_tensor) {
		.data = (void *)w->data,
		.stride = w->stride,
		.rows = w->rows,
		.cols = w->cols,
		.type = w->type,
	};
}

static int run_attn(struct exec_cpu *e, uint32_t layer, const struct cpu_tensor *dst,
		    const struct cpu_tensor *q, const struct cpu_tensor *k,
		    const struct cpu_tensor *v, uint32_t pos)
{
	const struct accel_model *m = e->m;
	struct cpu_tensor kc = *k, vc = *v;

	kc.data = e->k[layer];
	vc.data = e->v[layer];
	kc.rows = vc.rows = e->ctx;
	return cpu_attn(e->cpu, dst, q, k, v, &kc, &vc, m->n_heads, m->n_kv_heads, m->head_dim, pos,
			m->attn_scale);
}

static int run_op(struct exec_cpu *e, uint32_t layer, const struct op *op, const struct batch *b,
		  const struct shared *io)
{
	const struct accel_model *m = e->m;
	const struct layer *l = &m->layers[layer];
	const struct weight *w = op->w >= 0 ? &l->w[op->w] : NULL;
	struct cpu_tensor dst, a, c, wt;
	uint32_t first, rows = batch_rows(b, l, &first);

	dst = rows_of(e, io, op->dst, first, rows);
	if (op->a != BUF_NONE)
		a = rows_of(e, io, op->a, first, rows);
	if (op->b != BUF_NONE)
		c = rows_of(e, io, op->b, first, rows);
	switch (op->kind) {
	case OP_EMBED:
		wt = weight_of(w);
		return cpu_embed(e->cpu, &dst, &wt, io->ids);
	case OP_RMSNORM:
		return cpu_rmsnorm(e->cpu, &dst, &a, w->data, m->eps);
	case OP_MATMUL:
		wt = weight_of(w);
		/* A buffer is as wide as the widest layer needs. */
		dst.cols = wt.rows;
		a.cols = wt.cols;
		return cpu_matmul(e->cpu, &dst, &a, &wt, op->bias >= 0 ? l->w[op->bias].data : NULL,
				  op->add);
	case OP_ROPE:
		a = rows_of(e, io, op->a, first, rows);
		return cpu_rope(e->cpu, &dst, &a, &c, op->dst == BUF_Q ? m->n_heads : m->n_kv_heads,
				m->head_dim, m->rot, m->rope_half);
	case OP_ATTN: {
		struct cpu_tensor k = rows_of(e, io, BUF_K, first, rows);
		struct cpu_tensor v = rows_of(e, io, BUF_V, first, rows);

		return run_attn(e, layer, &dst, &a, &k, &v, b->pos);
	}
	case OP_GLU:
		dst.cols = a.cols = c.cols = l->w[FFN_GATE].rows;
		return cpu_swiglu(e->cpu, &dst, &a, &c);
	}
	return -EINVAL;
}

int exec_cpu_run(struct exec_cpu *e, uint32_t layer, const struct batch *b,
		 const struct shared *io)
{
	const struct layer *l = &e->m->layers[layer];
	unsigned int n;
	const struct op *ops = layer_ops(l->kind, &n);
	uint32_t first;

	if (!batch_rows(b, l, &first))
		return 0;
	for (unsigned int i = 0; i < n; i++) {
		int err = run_op(e, layer, &ops[i], b, io);

		if (err)
			return fail(err, "layer %u (%s) on the CPU: %s", layer,
				    accel_layer_kind_name(l->kind), strerror(-err));
	}
	return 0;
}

const char *exec_cpu_isa(const struct exec_cpu *e)
{
	return cpu_isa_name(e->cpu);
}

uint32_t exec_cpu_threads(const struct exec_cpu *e)
{
	return cpu_threads(e->cpu);
}
