// SPDX-License-Identifier: MIT
/* The device executor: layers as command streams on a processor. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <accel/device.h>

#include "device/stream.h"
#include "error.h"
#include "exec.h"

#define ALIGN_UP(x, a) (((x) + (a) - 1) / (a) * (a))
#define TENSOR_ALIGN 64ull
#define VA_ALIGN (2ull << 20)	/* lets the MMU use large pages */
#define VA_FIRST (1ull << 32)	/* small integers are never addresses */

/* A job is cut after about this many multiply-adds: well below a second on any processor
 * and on the model, so that a queue's timeout tells hangs and a neighbour gets its turn. */
#define JOB_MACS (1ull << 31)

#define JOB_TIMEOUT_MS 10000u

#define STREAM_BYTES_PER_LAYER 4096u
#define JOB_TAG(first, last) ((uint64_t)(first) << 32 | (last))

struct resident {		/* a layer on the card */
	struct accel_bo *bo;
	uint64_t va[LAYER_WEIGHTS];
	uint64_t k, v;
};

struct exec_dev {
	const struct accel_model *m;
	struct accel_dev *dev;
	uint32_t batch, ctx;
	struct accel_vm *vm;
	struct accel_queue *queue;
	struct accel_bo *io, *scratch, *stream;
	uint64_t buf_va[BUF_COUNT], ids_va, stamp_va, stream_va;
	uint8_t *stream_map;
	uint64_t *stamps;		/* {cycles, ns} before and after each job */
	uint32_t stream_room, max_jobs;
	struct resident *layers;	/* [n_layers] */
	struct accel_fence **fences;	/* [max_jobs] */
	uint64_t next_va;
	uint64_t jobs, cycles;
};

static uint64_t buf_bytes(const struct accel_model *m, enum buf buf, uint32_t batch)
{
	return ALIGN_UP((uint64_t)batch * model_buf_cols(m, buf) * sizeof(float), TENSOR_ALIGN);
}

uint64_t exec_dev_scratch_bytes(const struct accel_model *m, uint32_t batch)
{
	uint64_t sum = 0;

	for (int i = BUF_SHARED; i < BUF_COUNT; i++)
		sum += buf_bytes(m, i, batch);
	return ALIGN_UP(sum, 4096);
}

uint64_t exec_dev_layer_bytes(const struct accel_model *m, uint32_t layer, uint32_t ctx)
{
	const struct layer *l = &m->layers[layer];
	uint64_t sum = 0;

	for (int i = 0; i < LAYER_WEIGHTS; i++)
		sum += ALIGN_UP(l->w[i].size, TENSOR_ALIGN);
	if (l->kind == ACCEL_LAYER_ATTN_GQA)
		sum += ALIGN_UP(ctx * model_kv_bytes(m), TENSOR_ALIGN);
	return ALIGN_UP(sum, 4096);
}

/* A buffer at the next free device address. */
static int place(struct exec_dev *e, uint64_t size, uint32_t flags, const char *label,
		 struct accel_bo **bo, uint64_t *va)
{
	int err = accel_bo_new(e->dev, size, flags, label, bo);

	if (err)
		return err;
	*va = e->next_va;
	err = accel_vm_map(e->vm, *bo, 0, *va, accel_bo_size(*bo), 0);
	if (err)
		return err;
	e->next_va += ALIGN_UP(accel_bo_size(*bo), VA_ALIGN);
	return 0;
}

static int make_buffers(struct exec_dev *e, struct shared *io)
{
	const struct accel_model *m = e->m;
	uint64_t size = 0, va, ids, stamps;
	uint8_t *map;
	int err;

	err = place(e, exec_dev_scratch_bytes(m, e->batch), ACCEL_BO_DEVICE, "activations",
		    &e->scratch, &va);
	if (err)
		return err;
	for (int i = BUF_SHARED; i < BUF_COUNT; i++) {
		e->buf_va[i] = va;
		va += buf_bytes(m, i, e->batch);
	}

	for (int i = 0; i < BUF_SHARED; i++)
		size += buf_bytes(m, i, e->batch);
	ids = size;
	size += ALIGN_UP(e->batch * sizeof(int32_t), TENSOR_ALIGN);
	stamps = size;
	size += e->max_jobs * 32ull;
	err = place(e, size, ACCEL_BO_HOST, "shared", &e->io, &va);
	if (err)
		return err;
	map = accel_bo_map(e->io);
	if (!map)
		return -ENOMEM;
	e->ids_va = va + ids;
	io->ids = (int32_t *)(map + ids);
	e->stamp_va = va + stamps;
	e->stamps = (uint64_t *)(map + stamps);
	for (int i = 0; i < BUF_SHARED; i++) {
		e->buf_va[i] = va;
		io->buf[i] = (float *)map;
		va += buf_bytes(m, i, e->batch);
		map += buf_bytes(m, i, e->batch);
	}

	e->stream_room = m->n_layers * STREAM_BYTES_PER_LAYER;
	err = place(e, e->stream_room, ACCEL_BO_HOST, "commands", &e->stream, &e->stream_va);
	if (err)
		return err;
	e->stream_map = accel_bo_map(e->stream);
	return e->stream_map ? 0 : -ENOMEM;
}

/* The batch is cut so that one layer is never much more than one job. */
static uint32_t fit_batch(const struct accel_model *m, uint32_t batch)
{
	uint64_t most = 1;

	for (uint32_t i = 0; i < m->n_layers; i++)
		if (layer_macs(&m->layers[i]) > most)
			most = layer_macs(&m->layers[i]);
	if (most * batch > 2 * JOB_MACS)
		batch = 2 * JOB_MACS / most;
	return batch ? batch : 1;
}

int exec_dev_new(const struct accel_model *m, struct accel_dev *dev, uint32_t batch, uint32_t ctx,
		 struct exec_dev **out, struct shared *io)
{
	struct exec_dev *e = calloc(1, sizeof(*e));
	struct accel_devinfo info;
	uint32_t timeout;
	int err = -ENOMEM;

	*out = NULL;
	if (!e)
		return fail(-ENOMEM, "no memory for the device executor");
	e->m = m;
	e->dev = dev;
	e->ctx = ctx;
	e->batch = fit_batch(m, batch);
	e->next_va = VA_FIRST;
	e->max_jobs = m->n_layers;
	e->layers = calloc(m->n_layers, sizeof(*e->layers));
	e->fences = calloc(e->max_jobs, sizeof(struct accel_fence *));
	if (!e->layers || !e->fences) {
		fail(-ENOMEM, "no memory for the device executor");
		goto fail;
	}
	err = accel_dev_info(dev, &info);
	if (err)
		goto fail;
	timeout = info.max_timeout_ms < JOB_TIMEOUT_MS ? info.max_timeout_ms : JOB_TIMEOUT_MS;
	err = accel_vm_new(dev, &e->vm);
	if (!err)
		err = accel_queue_new(e->vm, ACCEL_PRIORITY_NORMAL, timeout, &e->queue);
	if (!err)
		err = make_buffers(e, io);
	if (err)
		goto fail;
	*out = e;
	return 0;
fail:
	exec_dev_free(e);
	return err;
}

void exec_dev_free(struct exec_dev *e)
{
	if (!e)
		return;
	accel_queue_free(e->queue);
	accel_vm_free(e->vm);
	for (uint32_t i = 0; e->layers && i < e->m->n_layers; i++)
		accel_bo_free(e->layers[i].bo);
	accel_bo_free(e->io);
	accel_bo_free(e->scratch);
	accel_bo_free(e->stream);
	free(e->fences);
	free(e->layers);
	free(e);
}

uint32_t exec_dev_batch(const struct exec_dev *e)
{
	return e->batch;
}

int exec_dev_add(struct exec_dev *e, uint32_t layer)
{
	const struct accel_model *m = e->m;
	const struct layer *l = &m->layers[layer];
	struct resident *r = &e->layers[layer];
	uint64_t at = 0, va, kv = e->ctx * model_kv_bytes(m) / 2;
	uint8_t *map;
	int err;

	err = place(e, exec_dev_layer_bytes(m, layer, e->ctx), ACCEL_BO_DEVICE,
		    accel_layer_kind_name(l->kind), &r->bo, &va);
	if (err)
		return err;
	map = accel_bo_map(r->bo);
	if (!map)
		return -ENOMEM;
	for (int i = 0; i < LAYER_WEIGHTS; i++) {
		if (!l->w[i].data)
			continue;
		memcpy(map + at, l->w[i].data, l->w[i].size);
		r->va[i] = va + at;
		at += ALIGN_UP(l->w[i].size, TENSOR_ALIGN);
	}
	r->k = va + at;		/* zeroed, as every new buffer is */
	r->v = va + at + kv;
	return 0;
}

static struct octans_tensor rows_of(const struct exec_dev *e, enum buf buf, uint32_t first,
				    uint32_t rows)
{
	uint32_t cols = model_buf_cols(e->m, buf);
	uint64_t stride = (uint64_t)cols * sizeof(float);

	/* logits hold only the rows asked for */
	return tensor(e->buf_va[buf] + (buf == BUF_LOGITS ? 0 : first * stride), OCTANS_TYPE_F32,
		      rows, cols, stride);
}

static struct octans_tensor weight_of(const struct exec_dev *e, uint32_t layer, int slot)
{
	const struct weight *w;

	if (slot < 0 || !e->m->layers[layer].w[slot].data)
		return (struct octans_tensor) { 0 };
	w = &e->m->layers[layer].w[slot];
	return tensor(e->layers[layer].va[slot], w->type, w->rows, w->cols, w->stride);
}

static void emit_attn(struct exec_dev *e, struct stream *s, uint32_t layer, uint32_t rows,
		      uint32_t pos)
{
	const struct accel_model *m = e->m;
	struct octans_cmd_attn c = {
		.dst = rows_of(e, BUF_ATT, 0, rows),
		.q = rows_of(e, BUF_Q, 0, rows),
		.k = rows_of(e, BUF_K, 0, rows),
		.v = rows_of(e, BUF_V, 0, rows),
		.heads = m->n_heads,
		.kv_heads = m->n_kv_heads,
		.head_dim = m->head_dim,
		.pos = pos,
		.scale = m->attn_scale,
	};

	c.k_cache = c.k;
	c.v_cache = c.v;
	c.k_cache.va = e->layers[layer].k;
	c.v_cache.va = e->layers[layer].v;
	c.k_cache.rows = c.v_cache.rows = e->ctx;
	stream_add(s, OCTANS_OP_ATTN, 0, &c, sizeof(c));
}

static void emit_op(struct exec_dev *e, struct stream *s, uint32_t layer, const struct op *op,
		    const struct batch *b)
{
	const struct accel_model *m = e->m;
	uint32_t first, rows = batch_rows(b, &m->layers[layer], &first);
	struct octans_tensor dst = rows_of(e, op->dst, first, rows), a = { 0 }, c = { 0 };
	struct octans_tensor w = weight_of(e, layer, op->w);

	if (op->a != BUF_NONE)
		a = rows_of(e, op->a, first, rows);
	if (op->b != BUF_NONE)
		c = rows_of(e, op->b, first, rows);
	switch (op->kind) {
	case OP_EMBED: {
		struct octans_cmd_embed cmd = {
			.dst = dst, .table = w,
			.ids = tensor(e->ids_va, OCTANS_TYPE_I32, 1, rows, rows * 4ull),
		};

		stream_add(s, OCTANS_OP_EMBED, 0, &cmd, sizeof(cmd));
		break;
	}
	case OP_RMSNORM: {
		struct octans_cmd_rmsnorm cmd = { .dst = dst, .x = a, .w = w, .eps = m->eps };

		stream_add(s, OCTANS_OP_RMSNORM, 0, &cmd, sizeof(cmd));
		break;
	}
	case OP_MATMUL: {
		struct octans_cmd_matmul cmd = {
			.dst = dst, .x = a, .w = w, .bias = weight_of(e, layer, op->bias),
		};

		cmd.dst.cols = w.rows;	/* a buffer is as wide as the widest layer needs */
		cmd.x.cols = w.cols;
		stream_add(s, OCTANS_OP_MATMUL, op->add ? OCTANS_MATMUL_ADD : 0, &cmd, sizeof(cmd));
		break;
	}
	case OP_ROPE: {
		struct octans_cmd_rope cmd = {
			.dst = dst, .x = a, .cs = c,
			.heads = op->dst == BUF_Q ? m->n_heads : m->n_kv_heads,
			.head_dim = m->head_dim, .rot = m->rot,
		};

		stream_add(s, OCTANS_OP_ROPE, m->rope_half ? OCTANS_ROPE_HALF : 0, &cmd, sizeof(cmd));
		break;
	}
	case OP_ATTN:
		emit_attn(e, s, layer, rows, b->pos);
		break;
	case OP_GLU: {
		struct octans_cmd_glu cmd = { .dst = dst, .gate = a, .up = c };

		cmd.dst.cols = cmd.gate.cols = cmd.up.cols = m->layers[layer].w[FFN_GATE].rows;
		stream_add(s, OCTANS_OP_GLU, OCTANS_GLU_SILU, &cmd, sizeof(cmd));
		break;
	}
	}
}

static void emit_layer(struct exec_dev *e, struct stream *s, uint32_t layer, const struct batch *b)
{
	const struct layer *l = &e->m->layers[layer];
	unsigned int n;
	const struct op *ops = layer_ops(l->kind, &n);
	uint32_t first;

	if (!batch_rows(b, l, &first))
		return;
	for (unsigned int i = 0; i < n; i++)
		emit_op(e, s, layer, &ops[i], b);
}

static void emit_stamp(struct exec_dev *e, struct stream *s, uint32_t job, int which)
{
	struct octans_cmd_timestamp c = { .va = e->stamp_va + job * 32ull + which * 16 };

	stream_add(s, OCTANS_OP_TIMESTAMP, 0, &c, sizeof(c));
}

static uint64_t layer_cost(const struct exec_dev *e, uint32_t layer, const struct batch *b)
{
	const struct layer *l = &e->m->layers[layer];
	uint32_t first, rows = batch_rows(b, l, &first);
	uint64_t macs = layer_macs(l);

	if (l->kind == ACCEL_LAYER_ATTN_GQA)
		macs += 2ull * (b->pos + b->n) * e->m->n_heads * e->m->head_dim;
	return rows * macs;
}

/* Writes and submits one job that starts at layer *at; moves *at past what it holds. */
static int submit_job(struct exec_dev *e, uint32_t job, uint32_t *at, uint32_t last,
		      const struct batch *b, uint32_t *stream_used)
{
	struct stream s = {
		.base = e->stream_map + *stream_used,
		.room = e->stream_room - *stream_used,
	};
	uint32_t begin = *at;
	uint64_t cost = 0;
	int err;

	emit_stamp(e, &s, job, 0);
	do {
		cost += layer_cost(e, *at, b);
		emit_layer(e, &s, *at, b);
		++*at;
	} while (*at <= last && cost + layer_cost(e, *at, b) <= JOB_MACS);
	emit_stamp(e, &s, job, 1);
	if (s.full)
		return fail(-ENOBUFS, "layers %u-%u do not fit into the command buffer", begin, *at - 1);
	err = accel_submit(e->queue, e->stream_va + *stream_used, s.size, JOB_TAG(begin, *at - 1),
			   NULL, 0, &e->fences[job]);
	*stream_used += s.size;
	return err;
}

/* The words of the failure that counts, with the address if the MMU gave one. */
static int explain(struct exec_dev *e, int err)
{
	struct accel_fault f;

	if (err == -EFAULT && accel_vm_fault(e->vm, &f) == 1)
		return fail(err, "%s (address 0x%llx, %s, in layers %u-%u)", accel_error(),
			    (unsigned long long)f.va, f.write ? "write" : "read",
			    (uint32_t)(f.tag >> 32), (uint32_t)f.tag);
	return err;
}

int exec_dev_run(struct exec_dev *e, uint32_t first, uint32_t last, const struct batch *b)
{
	uint32_t at = first, used = 0, jobs = 0;
	int err = 0;

	while (at <= last && !err) {
		err = submit_job(e, jobs, &at, last, b, &used);
		if (!err)
			jobs++;
	}
	for (uint32_t i = 0; i < jobs; i++) {
		/* The first job that failed is why; later ones only follow it. */
		int result = accel_fence_wait(e->fences[i], INT64_MAX);

		if (result && (!err || i == 0 || err == -ECANCELED))
			err = explain(e, result);
		if (!result)
			e->cycles += e->stamps[4 * i + 2] - e->stamps[4 * i];
		accel_fence_free(e->fences[i]);
		e->fences[i] = NULL;
	}
	e->jobs += jobs;
	return err;
}

uint64_t exec_dev_jobs(const struct exec_dev *e)
{
	return e->jobs;
}

uint64_t exec_dev_cycles(const struct exec_dev *e)
{
	return e->cycles;
}
