// SPDX-License-Identifier: MIT
/*
 * ATTN_MLA: multi-head latent attention (DeepSeek-AI, "DeepSeek-V2", 2024).  Of a position kv_rank
 * numbers are kept, of which keys and values of all heads are made, and a rotated part that all
 * keys share.
 *
 * Always absorbed: queries are taken to the latent space, and results come back from it, instead of
 * keys and values being made of what is kept.  Made for a prompt they would cost less there, but
 * round otherwise, and a prompt would have other bits than the same tokens one by one.
 *
 * With an indexer (DeepSeek-AI, "DeepSeek-V3.2", 2025) a row attends to those positions alone that
 * small heads of its own like best.  Their vectors are not rotated by a Hadamard matrix, as others
 * do for the sake of small types: products of two rotated vectors are those of the vectors.
 */
#include <errno.h>
#include <math.h>

#include "layer.h"

#define INDEX_EPS 1e-6f		/* of the norm of the indexer's keys: no file says it */

enum {
	NORM, BOTTLENECK, Q, LATENT, ABSORBED, ATT, VALUES, Y, TEMPERATURE,
	INDEX_Q, INDEX_K, INDEX_W, OWNER_SEQ, OWNER_PAGES, SCORES, SUMS, LIST,
};

/* Positions that a sequence's pages hold. */
static uint32_t positions(const struct shape *s)
{
	return shape_seq_pages(s) << s->page_log2;
}

/* Are there more positions than are attended to?  Else all are. */
static bool is_sparse(const struct layer *l, const struct shape *s)
{
	return l->mla.index.heads && s->ctx > l->mla.index.top;
}

static uint64_t scratch(const struct layer *l, const struct shape *s, unsigned int i)
{
	const struct attn_mla *a = &l->mla;

	switch (i) {
	case NORM:
		return l->embd;
	case BOTTLENECK:
		return a->q_rank;
	case Q:
		return a->heads * (a->nope + a->rot);
	case LATENT:
		return a->kv_rank + a->rot;
	case ABSORBED:
		return a->heads * (a->kv_rank + a->rot);
	case ATT:
		return a->heads * a->kv_rank;
	case VALUES:
		return a->heads * a->value_dim;
	case Y:
		return layer_adds_apart(l) ? l->embd : 0;
	case TEMPERATURE:
		return a->temperature != LAYER_NONE;
	case INDEX_Q:
		return a->index.heads * a->index.dim;
	case INDEX_K:
		return a->index.dim;
	case INDEX_W:
	case OWNER_SEQ:
		return a->index.heads;
	case OWNER_PAGES:
		return (uint64_t)a->index.heads * shape_seq_pages(s);
	case SCORES:
		return is_sparse(l, s) ? (uint64_t)a->index.heads * positions(s) : 0;
	case SUMS:
		return is_sparse(l, s) ? positions(s) : 0;
	case LIST:
		return is_sparse(l, s) ? a->index.top : 0;
	}
	return 0;
}

static int prepare_index(struct layer *l, struct accel_model *m)
{
	const struct table owner = { .kind = TABLE_OWNER, .n = l->mla.index.heads };

	if (!owner.n)
		return 0;
	m->list = l->mla.index.top;	/* of all layers the same */
	l->mla.index.owner = model_table(m, &owner);
	l->mla.index.times = model_times(m, owner.n);
	if (l->mla.index.owner < 0 || l->mla.index.times < 0)
		return -EINVAL;
	for (uint32_t i = 0; i < RUNGS; i++) {
		const int rows = model_times_rung(m, 1, i, false), heads = model_times_rung(m, owner.n, i, false);
		const int pages = model_times_rung(m, owner.n, i, true);

		if (rows < 0 || heads < 0 || pages < 0)
			return -EINVAL;
		l->mla.index.rung[i].rows = rows;
		l->mla.index.rung[i].heads = heads;
		l->mla.index.rung[i].pages = pages;
	}
	return 0;
}

static int prepare(struct layer *l, struct accel_model *m)
{
	const struct table each = { .kind = TABLE_EACH, .n = l->mla.heads };

	l->mla.times = model_times(m, l->mla.heads);
	if (l->mla.times < 0)
		return l->mla.times;
	l->mla.head_of = model_table(m, &each);
	return l->mla.head_of < 0 ? l->mla.head_of : prepare_index(l, m);
}

/* Rows of a buffer by head. */
static struct octans_tensor by_head(const struct build *b, unsigned int i)
{
	return build_split(b, build_scratch(b, i), b->layer->mla.times, b->layer->mla.heads);
}

static struct octans_tensor heads(const struct build *b)
{
	const struct attn_mla *a = &b->layer->mla;

	return build_split(b, build_table_rows(b, a->head_of, LAYER_NONE), a->times, a->heads);
}

/* What is kept of the new positions goes to its pool. */
static void record_latent(struct build *b)
{
	const struct attn_mla *a = &b->layer->mla;
	const struct octans_tensor latent = build_scratch(b, LATENT), made = tensor_columns(latent, 0, a->kv_rank);

	build_matmul(b, latent, build_scratch(b, NORM), MLA_KVA, NO_BIAS, 0);
	build_rms(b, made, made, MLA_KVA_NORM, 1);
	build_rotate(b, latent, a->rope, 1, a->kv_rank + a->rot, a->kv_rank);
	RECORD(&b->r, MOVE, move, 0, .dst = build_pool(b, KEEP_KEYS, latent.cols),
	       .dst_ids = build_array(b, b->at->step.slots, 1), .src = latent);
}

static void record_queries(struct build *b)
{
	const struct attn_mla *a = &b->layer->mla;
	const struct octans_tensor q = build_scratch(b, Q), c = build_scratch(b, BOTTLENECK);
	const struct octans_tensor norm = build_scratch(b, NORM);

	if (a->q_rank) {
		build_matmul(b, c, norm, MLA_QA, NO_BIAS, 0);
		build_rms(b, c, c, MLA_QA_NORM, 1);
		build_matmul(b, q, c, MLA_QB, NO_BIAS, 0);
	} else {
		build_matmul(b, q, norm, MLA_Q, NO_BIAS, 0);
	}
	build_rotate(b, q, a->rope, a->heads, a->nope + a->rot, a->nope);
	if (a->temperature != LAYER_NONE) {
		const struct octans_tensor t = build_scratch(b, TEMPERATURE);

		RECORD(&b->r, MOVE, move, 0, .dst = t, .src = build_table(b, a->temperature),
		       .src_ids = build_array(b, b->at->step.positions, 1));
		build_map(b, q, OCTANS_MAP_ID, q, OCTANS_MAP_MUL, t);
	}
}

/* Queries in the latent space, of each head, and behind each its rotated part. */
static void absorb(struct build *b)
{
	const struct attn_mla *a = &b->layer->mla;
	const struct octans_tensor q = by_head(b, Q), to = by_head(b, ABSORBED);

	build_matmul_by(b, tensor_columns(to, 0, a->kv_rank), tensor_columns(q, 0, a->nope), MLA_KB, NO_BIAS,
			heads(b));
	RECORD(&b->r, MOVE, move, 0, .dst = tensor_columns(to, a->kv_rank, a->rot),
	       .src = tensor_columns(q, a->nope, a->rot));
}

/* Keys of the indexer go to their pool. */
static void record_index_keys(struct build *b)
{
	const struct attn_mla *a = &b->layer->mla;
	const struct octans_tensor k = build_scratch(b, INDEX_K);

	build_matmul(b, k, build_scratch(b, NORM), MLA_IK, NO_BIAS, 0);
	RECORD(&b->r, ROW, row, OCTANS_ROW_LAYER, .dst = k, .x = k, .w = build_weight(b, MLA_IK_NORM),
	       .bias = build_weight(b, MLA_IK_NORM_B), .groups = 1, .eps = INDEX_EPS);
	build_rotate(b, k, a->index.rope, 1, a->index.dim, 0);
	RECORD(&b->r, MOVE, move, 0, .dst = build_pool(b, KEEP_VALUES, a->index.dim),
	       .dst_ids = build_array(b, b->at->step.slots, 1), .src = k);
}

/* Queries of the indexer, how much each of its heads counts, and of each head its row's sequence's pages. */
static void record_index_queries(struct build *b)
{
	const struct attn_mla *a = &b->layer->mla;
	const uint32_t j = a->index.heads, pages = shape_seq_pages(b->shape);
	const struct octans_tensor q = build_scratch(b, INDEX_Q), w = build_scratch(b, INDEX_W);
	const struct octans_tensor owner = build_table_rows(b, a->index.owner, a->index.times);
	struct octans_tensor seq = build_scratch_rows(b, OWNER_SEQ, a->index.times, j, 1);
	struct octans_tensor sel = build_scratch_rows(b, OWNER_PAGES, a->index.times, j, pages);

	build_matmul(b, q, build_scratch(b, BOTTLENECK), MLA_IQ, NO_BIAS, 0);
	build_rotate(b, q, a->index.rope, j, a->index.dim, 0);
	build_matmul(b, w, build_scratch(b, NORM), MLA_IW, NO_BIAS, 0);
	build_affine(b, w, w, 1 / sqrtf((float)a->index.dim * j), 0);
	seq.type = sel.type = OCTANS_TYPE_I32;
	RECORD(&b->r, MOVE, move, 0, .dst = seq, .src = build_array(b, b->at->step.seqs, 1), .src_ids = owner);
	RECORD(&b->r, MOVE, move, 0, .dst = sel, .src = build_pages(b), .src_ids = seq);
}

/* What each head of each row has to do with each position: planes of keys are pages, chosen by the sequence's. */
static void record_scores(struct build *b, uint32_t rung, uint32_t pages)
{
	const struct attn_mla *a = &b->layer->mla;
	const uint32_t j = a->index.heads, page = 1u << b->shape->page_log2;
	struct octans_tensor sel = build_scratch_rows(b, OWNER_PAGES, a->index.rung[rung].heads, j, shape_seq_pages(b->shape));
	struct octans_tensor pool = build_pool(b, KEEP_VALUES, a->index.dim);

	sel.type = OCTANS_TYPE_I32;
	sel.cols = pages;
	pool.rows = page;
	RECORD(&b->r, MATMUL, matmul, pool.type == OCTANS_TYPE_F16 ? OCTANS_MATMUL_X16 : 0,
	       .dst = build_scratch_rows(b, SCORES, a->index.rung[rung].pages, j * pages, page),
	       .x = build_split(b, build_scratch(b, INDEX_Q), a->index.rung[rung].heads, j), .w = pool, .sel = sel,
	       .planes = b->shape->pages, .plane_stride = b->shape->pages > 1 ? page * pool.stride : 0);
}

/* The positions that rows attend to, in order: those of which their heads together think most. */
static void record_choice(struct build *b, uint32_t rung, uint32_t pages)
{
	const struct attn_mla *a = &b->layer->mla;
	const uint32_t j = a->index.heads, n = pages << b->shape->page_log2;
	const int rows = a->index.rung[rung].rows, heads = a->index.rung[rung].heads;
	const struct octans_tensor w = build_split(b, build_scratch(b, INDEX_W), heads, j), none = { 0 };
	const struct octans_tensor scores = build_scratch_rows(b, SCORES, heads, j, n);
	const struct octans_tensor sums = build_scratch_rows(b, SUMS, rows, 1, n);
	struct octans_tensor list = build_scratch_rows(b, LIST, rows, 1, a->index.top);

	record_scores(b, rung, pages);
	build_map(b, scores, OCTANS_MAP_RELU, scores, OCTANS_MAP_MUL, w);
	/* 0, of what is the row's own: what another has left in sums may be no number */
	build_affine(b, sums, tensor_columns(build_scratch_rows(b, SCORES, rows, 1, j * n), 0, n), 0, 0);
	RECORD(&b->r, MOVE, move, OCTANS_MOVE_ADD, .dst = sums, .dst_ids = build_table_rows(b, a->index.owner, heads),
	       .src = scores);
	list.type = OCTANS_TYPE_I32;
	RECORD(&b->r, TOPK, topk, OCTANS_TOPK_BY_ID, .ids = list, .values = none, .x = sums,
	       .range = build_split(b, build_range(b, 0), rows, 1), .k = a->index.top, .groups = 1, .groups_used = 1,
	       .scale = 1);
}

static struct octans_tensor record_index(struct build *b)
{
	struct octans_tensor list = build_scratch(b, LIST);

	record_index_queries(b);
	for (uint32_t i = 0; i < RUNGS; i++) {
		const uint32_t pages = model_rung_pages(b->m, b->shape, i);

		if (pages)
			record_choice(b, i, pages);
	}
	list.type = OCTANS_TYPE_I32;
	return list;
}

static void record_attention(struct build *b)
{
	const struct attn_mla *a = &b->layer->mla;
	const uint32_t kept = a->kv_rank + a->rot;
	struct octans_cmd_attend cmd = {
		.dst = build_scratch(b, ATT), .q = build_scratch(b, ABSORBED), .k = build_pool(b, KEEP_KEYS, kept),
		.v = build_pool(b, KEEP_KEYS, a->kv_rank), .heads = a->heads, .kv_heads = 1, .dk = kept,
		.dv = a->kv_rank, .scale = a->scale,
	};

	build_norm(b, build_scratch(b, NORM), build_x(b), NORM_W, NORM_B);
	record_latent(b);
	record_queries(b);
	absorb(b);
	if (a->index.heads)
		record_index_keys(b);
	if (is_sparse(b->layer, b->shape))
		cmd.range = record_index(b);
	build_attend(b, &cmd, 0);
	build_matmul_by(b, by_head(b, VALUES), by_head(b, ATT), MLA_VB, NO_BIAS, heads(b));
	build_add(b, build_scratch(b, VALUES), MLA_OUT, NO_BIAS, Y);
}

const struct layer_kind layer_attn_mla = {
	.id = ACCEL_LAYER_ATTN_MLA, .name = "ATTN_MLA", .grouped = true, .prepare = prepare, .scratch = scratch,
	.record = record_attention,
};
