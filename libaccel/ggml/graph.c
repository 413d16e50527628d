// SPDX-License-Identifier: MIT
/*
 * A graph that looks as one before, node by node, with the same addresses, is that one: its stream is on the
 * card.  Before each run the stream's fixes are written, behind it what lasts is read back.  When the processor
 * fails, the same graph is recorded with addresses of this process, and the CPU runs it, from what the copies
 * hold, which is what it was before.
 */
#include "graph.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "error.h"
#include "type/type.h"

#define ARENA_FIRST	(8ull << 20)	/* bytes of streams, and of their data, at first */
#define MOST_PLANS	64
#define PATIENCE	1000		/* times 5 ms: until the system has what a submission needs */

struct span {			/* of a result that is left on the card */
	struct region *region;
	uint64_t at, size;
};

struct keep {			/* what of a result that lasts is read back: a piece, or rows of numbers in ids */
	struct region *region;
	uint64_t at, size;		/* of the piece, or of row 0 */
	struct ggml_tensor ids;		/* given(); data NULL: none */
	uint64_t rows, row_bytes;	/* of the result, and from row to row */
};

struct plan {
	uint8_t *key;		/* what the graph looks like */
	size_t key_size;
	uint8_t *masks;
	struct fix *fixes;
	struct keep *keeps;
	struct span *spans;
	uint64_t kept_size;	/* of the keeps' bytes */
	void *on_cpu;		/* the same stream with addresses of this process, NULL: not yet */
	uint64_t stream, size;	/* where it is in the arena; bytes */
	uint64_t data;		/* likewise of its data */
	uint32_t n_fixes, n_keeps, n_spans, n_jobs, n_nodes;
	struct accel_job jobs[ACCEL_MAX_JOBS];
};

struct graphs {
	struct card *card;
	struct card_queue queue;
	uint32_t times_back;	/* the card's, when what is recorded was */
	struct region *streams, *data, *scratch;
	uint64_t streams_used, data_used;
	struct plan *plans[MOST_PLANS];
	uint32_t n_plans;
	uint8_t *kept;		/* keeps' bytes of any plan, before it is known that they are the card's */
	uint64_t kept_room;
	uint8_t *key;		/* of the graph that is computed */
	size_t key_size, key_room;
	uint8_t *masks;		/* [n_masks] of it */
	uint32_t n_masks, masks_room;
	struct mask_seen seen;
	const struct ggml_tensor *mask;	/* the newest that this graph converts */
};

/* ---- what a graph looks like ---- */

static int add_key(struct graphs *g, const void *data, size_t size)
{
	if (g->key_size + size > g->key_room) {
		size_t room = 2 * g->key_room + size + 4096;
		uint8_t *key = realloc(g->key, room);

		if (!key)
			return fail(-ENOMEM, "no memory for a graph");
		g->key = key;
		g->key_room = room;
	}
	memcpy(g->key + g->key_size, data, size);
	g->key_size += size;
	return 0;
}

struct look {			/* of a tensor; no padding */
	int64_t ne[GG_DIMS];
	uint64_t nb[GG_DIMS];
	uint64_t data, region;
	uint32_t type, op;
};

static int add_look(struct graphs *g, const struct ggml_tensor *t)
{
	const struct region *r = region_of(t);
	struct look look = { .data = (uintptr_t)t->data, .region = r ? r->id : 0, .type = t->type, .op = t->op };

	for (int i = 0; i < GG_DIMS; i++) {
		look.ne[i] = t->ne[i];
		look.nb[i] = t->nb[i];
	}
	return add_key(g, &look, sizeof(look));
}

static bool is_computed(const struct ggml_tensor *t)
{
	const struct ggml_op *op = op_of_tensor(t);

	return t->flags & GG_COMPUTE && (!op || op->record) && t->ne[0] && t->ne[1] && t->ne[2] && t->ne[3];
}

static bool is_node(struct ggml_cgraph *graph, int n, const struct ggml_tensor *t)
{
	for (int i = 0; i < n; i++)
		if (ggml_graph_node(graph, i) == t)
			return true;
	return false;
}

/* What a mask was converted from is there until this graph converts it, and no longer. */
static bool mask_is_there(struct graphs *g, struct ggml_cgraph *graph, int n, const struct ggml_tensor *mask)
{
	if (!mask || !mask->op || mask == g->mask)
		return true;
	if (!is_node(graph, n, mask))
		return false;
	g->mask = mask;
	return true;
}

static int add_mask_kind(struct graphs *g, struct ggml_cgraph *graph, int i)
{
	const struct ggml_tensor *t = ggml_graph_node(graph, i);
	uint8_t kind;

	if (g->n_masks == g->masks_room) {
		uint32_t room = 2 * g->masks_room + 64;
		uint8_t *masks = realloc(g->masks, room);

		if (!masks)
			return fail(-ENOMEM, "no memory for a graph");
		g->masks = masks;
		g->masks_room = room;
	}
	kind = mask_is_there(g, graph, i, t->src[3]) ? (uint8_t)mask_of(t, &g->seen) : MASK_ANY;
	g->masks[g->n_masks++] = kind;
	return add_key(g, &kind, 1);
}

static int add_node(struct graphs *g, struct ggml_cgraph *graph, int n)
{
	const struct ggml_tensor *t = ggml_graph_node(graph, n);
	int err = add_look(g, t);

	if (!err)
		err = add_key(g, t->params, sizeof(t->params));
	if (!err)
		err = add_key(g, &t->flags, sizeof(t->flags));
	for (int i = 0; i < GG_SRCS && !err; i++)
		if (t->src[i])
			err = add_look(g, t->src[i]);
		else
			err = add_key(g, "", 1);
	if (!err && !strcmp(ggml_op_name(t->op), "FLASH_ATTN_EXT"))
		err = add_mask_kind(g, graph, n);
	return err;
}

static int make_key(struct graphs *g, struct ggml_cgraph *graph)
{
	const int n = ggml_graph_n_nodes(graph);
	int err = 0;

	g->key_size = g->n_masks = 0;
	g->seen.data = NULL;
	g->mask = NULL;
	for (int i = 0; i < n && !err; i++)
		if (is_computed(ggml_graph_node(graph, i)))
			err = add_node(g, graph, i);
	return err;
}

static struct plan *find(const struct graphs *g)
{
	for (uint32_t i = 0; i < g->n_plans; i++) {
		struct plan *p = g->plans[i];

		if (p->key_size == g->key_size && !memcmp(p->key, g->key, p->key_size))
			return p;
	}
	return NULL;
}

/* ---- plans ---- */

static void plan_free(struct plan *p)
{
	if (!p)
		return;
	free(p->key);
	free(p->masks);
	free(p->fixes);
	free(p->keeps);
	free(p->spans);
	free(p->on_cpu);
	free(p);
}

static void forget_all(struct graphs *g)
{
	while (g->n_plans)
		plan_free(g->plans[--g->n_plans]);
	g->streams_used = g->data_used = 0;
}

static bool is_on(const struct card *c, const struct ggml_tensor *t)
{
	const struct region *r = region_of(t);

	return r && r->card == c && (r->va || atomic_load(&c->lost));
}

/* Addresses of another card's memory mean something else here. */
static bool all_ours(const struct card *c, const struct ggml_tensor *t)
{
	for (int i = 0; i < GG_SRCS; i++)
		if (t->src[i] && !is_on(c, t->src[i]))
			return false;
	return is_on(c, t);
}

/* All of the graph's nodes; its stream is at base, NULL: it is only counted.  In each pass the fixes are the same. */
static int record_nodes(const struct card *c, struct rec *r, struct ggml_cgraph *graph)
{
	const int n = ggml_graph_n_nodes(graph);

	for (int i = 0; i < n; i++) {
		const struct ggml_tensor *t = ggml_graph_node(graph, i);
		const struct ggml_op *op = op_of_tensor(t);

		if (!is_computed(t))
			continue;
		if (!op)
			return fail(-EINVAL, "the operation %s of \"%s\" is none of this backend's", ggml_op_name(t->op),
				    t->name);
		if (!all_ours(c, t))
			return fail(-EINVAL, "the operation %s of \"%s\" has an operand in memory of another backend",
				    ggml_op_name(t->op), t->name);
		r->scratch_used = 0;
		op->record(r, t);
		if (r->err)
			return r->err;
	}
	return 0;
}

/* Memory grows; all that was recorded names addresses in what it was before. */
static int grow(struct graphs *g, struct region **r, uint64_t size, enum region_kind kind, const char *label)
{
	struct region *was = *r;

	if (was && was->size >= size)
		return 0;
	forget_all(g);
	*r = NULL;
	region_free(was);
	*r = region_new(g->card, size, kind, label);
	return *r ? 0 : -ENOMEM;
}

static int make_room(struct graphs *g, const struct rec *count)
{
	const uint64_t stream = count->r.size, data = count->data_used;
	int err;

	if (g->n_plans == MOST_PLANS ||
	    (g->streams && g->streams_used + stream > g->streams->size) ||
	    (g->data && g->data_used + data > g->data->size))
		forget_all(g);
	err = grow(g, &g->scratch, count->scratch_most + 64, REGION_SCRATCH, "ggml scratch");
	if (!err)
		err = grow(g, &g->streams, stream < ARENA_FIRST ? ARENA_FIRST : 2 * stream, REGION_CARD,
			   "ggml commands");
	if (!err)
		err = grow(g, &g->data, data < ARENA_FIRST ? ARENA_FIRST : 2 * data, REGION_CARD, "ggml tables");
	return err;
}

/* A job is at most so large: between two commands the next begins. */
static int cut_jobs(struct plan *p, const uint8_t *stream, uint64_t va)
{
	uint64_t begin = 0, at = 0;

	while (at < p->size) {
		const struct octans_cmd *cmd = (const void *)(stream + at);

		if (at + cmd->size - begin > ACCEL_MAX_STREAM || at + cmd->size == p->size) {
			const uint64_t end = at + cmd->size - begin > ACCEL_MAX_STREAM ? at : p->size;

			if (p->n_jobs == ACCEL_MAX_JOBS)
				return fail(-EINVAL, "a graph of %llu bytes of commands is too large",
					    (unsigned long long)p->size);
			p->jobs[p->n_jobs++] = (struct accel_job) {
				.sz = sizeof(struct accel_job), .va = va + begin, .size = (uint32_t)(end - begin) };
			begin = end;
			if (end == at)
				continue;
		}
		at += cmd->size;
	}
	return 0;
}

static struct rec rec_for(struct graphs *g, const struct plan *p, bool on_cpu, uint8_t *base)
{
	return (struct rec) {
		.r = { .base = base, .group = -1 }, .on_cpu = on_cpu,
		.scratch = on_cpu ? (uintptr_t)g->scratch->host : g->scratch->va,
		.data = p->data + (on_cpu ? (uintptr_t)g->data->host : g->data->va),
		.masks = p->masks, .fixes = p->fixes, .fixes_room = p->n_fixes,
	};
}

/* What is in two passes the same, but for addresses. */
static void *record_to(struct graphs *g, struct plan *p, bool on_cpu, struct ggml_cgraph *graph)
{
	uint8_t *stream = malloc(p->size + 16);
	struct rec r;

	if (!stream) {
		fail(-ENOMEM, "no memory for %llu bytes of commands", (unsigned long long)p->size);
		return NULL;
	}
	r = rec_for(g, p, on_cpu, stream);
	if (record_nodes(g->card, &r, graph)) {
		free(stream);
		return NULL;
	}
	return stream;
}

/* ---- what lasts ---- */

static const struct ggml_tensor *root_of(const struct ggml_tensor *t)
{
	return t->view_src ? t->view_src : t;
}

static bool is_read(struct ggml_cgraph *graph, int n, const struct ggml_tensor *t)
{
	for (int i = 0; i < n; i++) {
		const struct ggml_tensor *node = ggml_graph_node(graph, i);

		for (int k = 0; k < GG_SRCS; k++)
			if (node->src[k] && is_computed(node) && root_of(node->src[k]) == root_of(t))
				return true;
	}
	return false;
}

static bool lasts(struct ggml_cgraph *graph, int n, const struct ggml_tensor *t)
{
	const struct gg_buffer *b = t->buffer ? t->buffer : t->view_src->buffer;

	return b->usage != GG_USAGE_COMPUTE || t->flags & GG_OUTPUT || !is_read(graph, n, t);
}

static uint64_t offset_in(const struct region *r, const struct ggml_tensor *t)
{
	return (uint64_t)((uint8_t *)t->data - r->host);
}

static bool lies_in(const struct ggml_tensor *t, const struct ggml_tensor *root)
{
	return (uint8_t *)t->data >= (uint8_t *)root->data && (uint8_t *)t->data < (uint8_t *)root->data + ggml_nbytes(root);
}

/* By a view of what no node of the graph made. */
static bool is_written(struct ggml_cgraph *graph, const struct ggml_tensor *what)
{
	const int n = ggml_graph_n_nodes(graph);

	for (int i = 0; i < n; i++) {
		const struct ggml_tensor *t = ggml_graph_node(graph, i);

		if (!root_of(t)->op && lies_in(what, root_of(t)) && is_computed(t))
			return true;
	}
	return false;
}

static struct keep keep_of(struct ggml_cgraph *graph, const struct ggml_tensor *t)
{
	const struct ggml_tensor *ids = strcmp(ggml_op_name(t->op), "SET_ROWS") ? NULL : t->src[1];
	struct keep k = { .region = region_of(t), .size = ggml_nbytes(t) };

	k.at = offset_in(k.region, t);
	if (ids && !ids->op && ids->ne[1] == 1 && ids->ne[2] == 1 && t->ne[2] == 1 && t->ne[3] == 1 &&
	    !is_written(graph, ids)) {
		k.ids = given(ids);
		k.rows = (uint64_t)t->ne[1];
		k.row_bytes = t->nb[1];
		k.size -= (k.rows - 1) * k.row_bytes;
	}
	return k;
}

static int64_t pieces(const struct keep *k)
{
	return k->ids.data ? k->ids.ne[0] : 1;
}

static uint64_t keep_size(const struct keep *k)
{
	return k->size * (uint64_t)pieces(k);
}

static void list_results(struct plan *p, struct ggml_cgraph *graph)
{
	const int n = ggml_graph_n_nodes(graph);

	for (int i = 0; i < n; i++) {
		const struct ggml_tensor *t = ggml_graph_node(graph, i);
		struct region *r = region_of(t);

		if (!is_computed(t))
			continue;
		p->n_nodes++;
		if (!lasts(graph, n, t)) {
			p->spans[p->n_spans++] = (struct span) { r, offset_in(r, t), ggml_nbytes(t) };
			continue;
		}
		p->keeps[p->n_keeps] = keep_of(graph, t);
		p->kept_size += keep_size(&p->keeps[p->n_keeps++]);
	}
}

/* Where in the region piece i of it begins; false: there is no such row. */
static bool piece(const struct keep *k, int64_t i, uint64_t *at)
{
	int32_t row;

	*at = k->at;
	if (!k->ids.data)
		return true;
	memcpy(&row, (uint8_t *)k->ids.data + (uint64_t)i * k->ids.nb[0], sizeof(row));
	*at += (uint64_t)(uint32_t)row * k->row_bytes;
	return row >= 0 && (uint64_t)row < k->rows;
}

/* From the card to g->kept, or from there to the copies. */
static void move_kept(const struct graphs *g, const struct plan *p, bool to_copies)
{
	uint8_t *kept = g->kept;

	for (uint32_t i = 0; i < p->n_keeps; i++) {
		const struct keep *k = &p->keeps[i];
		struct region *r = k->region;
		uint64_t at;

		for (int64_t j = 0; j < pieces(k); j++, kept += k->size) {
			if (r->map == r->host || !piece(k, j, &at))
				continue;
			memcpy(to_copies ? r->host + at : kept, to_copies ? kept : r->map + at, k->size);
			if (to_copies)
				region_set_ahead(r, at, k->size, false);
		}
	}
}

/* What lasts is in the copies; or nothing is, and the card is gone. */
static int keep_all(const struct graphs *g, const struct plan *p)
{
	move_kept(g, p, false);
	if (!card_is_there(g->card))
		return -ENODEV;
	for (uint32_t i = 0; i < p->n_spans; i++)
		region_set_ahead(p->spans[i].region, p->spans[i].at, p->spans[i].size, true);
	move_kept(g, p, true);
	return 0;
}

/* ---- recording ---- */

static struct plan *plan_new(const struct graphs *g, const struct rec *count, int n_nodes)
{
	struct plan *p = calloc(1, sizeof(*p));

	if (!p) {
		fail(-ENOMEM, "no memory for a graph");
		return NULL;
	}
	p->key = malloc(g->key_size + 1);
	p->masks = malloc(g->n_masks + 1);
	p->keeps = calloc((size_t)n_nodes + 1, sizeof(*p->keeps));
	p->spans = calloc((size_t)n_nodes + 1, sizeof(*p->spans));
	if (!p->key || !p->masks || !p->keeps || !p->spans) {
		plan_free(p);
		fail(-ENOMEM, "no memory for a graph");
		return NULL;
	}
	memcpy(p->key, g->key, g->key_size);
	p->key_size = g->key_size;
	if (g->n_masks)
		memcpy(p->masks, g->masks, g->n_masks);
	p->size = count->r.size;
	return p;
}

static int put_stream(struct graphs *g, struct plan *p, struct ggml_cgraph *graph)
{
	uint8_t *stream = record_to(g, p, false, graph);
	int err;

	if (!stream)
		return -ENOMEM;
	err = cut_jobs(p, stream, g->streams->va + p->stream);
	if (!err && !atomic_load(&g->card->lost))
		memcpy(g->streams->map + p->stream, stream, p->size);
	free(stream);
	g->card->recorded_bytes += p->size;
	return err;
}

/* Fixes are filled in before a graph runs: not from what it writes over. */
static int check_fixes(const struct rec *r, struct ggml_cgraph *graph)
{
	for (uint32_t k = 0; k < r->n_fixes; k++)
		for (int j = 0; j < GG_SRCS; j++) {
			const struct ggml_tensor *src = &r->fixes[k].src[j];

			if (src->data && src->buffer && is_written(graph, src))
				return fail(-EINVAL, "\"%s\", which the graph needs beforehand, is written by it",
					    src->name);
		}
	return 0;
}

static int make_room_to_keep(struct graphs *g, uint64_t size)
{
	uint8_t *kept;

	if (size <= g->kept_room)
		return 0;
	kept = malloc(size);
	if (!kept)
		return fail(-ENOMEM, "no memory for a graph's results");
	free(g->kept);
	g->kept = kept;
	g->kept_room = size;
	return 0;
}

static struct plan *record_graph(struct graphs *g, struct ggml_cgraph *graph)
{
	struct rec count = { .r.group = -1, .masks = g->masks };
	struct plan *p = NULL;

	if (!record_nodes(g->card, &count, graph) && !check_fixes(&count, graph) && !make_room(g, &count))
		p = plan_new(g, &count, ggml_graph_n_nodes(graph));
	if (!p) {
		free(count.fixes);
		return NULL;
	}
	p->stream = g->streams_used;
	p->data = g->data_used;
	p->fixes = count.fixes;
	p->n_fixes = count.n_fixes;
	list_results(p, graph);
	if (make_room_to_keep(g, p->kept_size) || put_stream(g, p, graph)) {
		plan_free(p);
		return NULL;
	}
	g->streams_used += (p->size + 63) / 64 * 64;
	g->data_used += count.data_used;
	g->plans[g->n_plans++] = p;
	return p;
}

/* ---- running ---- */

static void write_fixes(struct graphs *g, const struct plan *p)
{
	for (uint32_t i = 0; i < p->n_fixes; i++) {
		const struct fix *f = &p->fixes[i];
		const uint64_t at = p->data + f->offset;

		f->fill(f, g->data->host + at);
		if (!atomic_load(&g->card->lost))
			memcpy(g->data->map + at, g->data->host + at, f->size);
	}
	for (uint32_t i = 0; i < p->n_keeps; i++)	/* later the graph may have put something else there */
		if (p->keeps[i].ids.data)
			content(&p->keeps[i].ids);
}

/* This process or machine lacks something just now, of which the processor knows nothing. */
static bool is_passing(int err)
{
	return err == -ENOMEM || err == -EMFILE || err == -ENFILE || err == -EAGAIN;
}

static int submit(struct graphs *g, const struct plan *p, struct accel_fence **fence)
{
	int err = 0;

	if (!g->queue.queue)
		err = accel_queue_new(g->card->vm, ACCEL_PRIORITY_NORMAL, 0, &g->queue.queue);
	return err ? err : accel_submit(g->queue.queue, p->jobs, p->n_jobs, NULL, 0, fence);
}

static int run_on_card(struct graphs *g, const struct plan *p)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	struct accel_fence *fence = NULL;
	int err = submit(g, p, &fence);

	for (int i = 0; i < PATIENCE && is_passing(err); i++) {
		nanosleep(&pause, NULL);
		err = submit(g, p, &fence);
	}
	if (!err)
		do {
			err = accel_fence_wait(fence, INT64_MAX);
		} while (is_passing(err));
	accel_fence_free(fence);
	return err;
}

/* A result is in its copy, or soon on the card, and what lies between its rows is what it was. */
static void is_made(const struct ggml_tensor *t, bool on_cpu)
{
	struct region *r = region_of(t);
	const uint64_t row = type_bytes(t->type, (uint32_t)t->ne[0]), first = offset_in(r, t);

	for (int64_t i3 = 0; i3 < t->ne[3]; i3++)
		for (int64_t i2 = 0; i2 < t->ne[2]; i2++)
			for (int64_t i1 = 0; i1 < t->ne[1]; i1++) {
				const uint64_t at = first + i3 * t->nb[3] + i2 * t->nb[2] + i1 * t->nb[1];

				if (on_cpu)
					region_set_ahead(r, at, row, false);
				else
					region_set_gone(r, at, row, false);
			}
}

/* What the nodes before n left on the card, or would have, nobody has; nor, if something was so before, what others would. */
static void forget_results(const struct graphs *g, struct ggml_cgraph *graph, int n)
{
	const int all = ggml_graph_n_nodes(graph);

	for (int i = 0; i < all; i++) {
		const struct ggml_tensor *t = ggml_graph_node(graph, i);
		const struct gg_buffer *b = t->buffer ? t->buffer : t->view_src ? t->view_src->buffer : NULL;
		const bool before = i < n && is_computed(t) && !lasts(graph, all, t);

		if (before || (g->card->some_gone && is_computed(t) && b->usage == GG_USAGE_COMPUTE))
			region_set_gone(region_of(t), offset_in(region_of(t), t), ggml_nbytes(t), true);
	}
}

/* Is it there: on the card, or, for the CPU, in the copy, where it is fetched to? */
static bool is_had(const struct ggml_tensor *t, bool on_cpu)
{
	struct region *r = region_of(t);

	return on_cpu ? region_fetch(r, offset_in(r, t), ggml_nbytes(t)) :
			!region_is_gone(r, offset_in(r, t), ggml_nbytes(t));
}

/* The first operand that a node lacks: it was left on the card, and went with it; NULL: none. */
static const struct ggml_tensor *lacks(const struct ggml_tensor *t, bool on_cpu)
{
	const int n = strcmp(ggml_op_name(t->op), "CPY") ? GG_SRCS : 1;		/* then is where it goes */

	for (int k = 0; k < n; k++)
		if (t->src[k] && !is_had(t->src[k], on_cpu))
			return t->src[k];
	return strcmp(ggml_op_name(t->op), "SET_ROWS") || is_had(t, on_cpu) ? NULL : t;	/* whose other rows stay */
}

/* The CPU takes and leaves everything in the copies: is it all there?  Or for the card, there? */
static int check_operands(const struct graphs *g, struct ggml_cgraph *graph, bool on_cpu)
{
	const int n = ggml_graph_n_nodes(graph);

	for (int i = 0; i < n; i++) {
		const struct ggml_tensor *t = ggml_graph_node(graph, i), *s = is_computed(t) ? lacks(t, on_cpu) : NULL;

		if (s) {
			forget_results(g, graph, i);
			return fail(-EIO, "\"%s\", which an earlier part of the graph left on %s, went with it", s->name,
				    g->card->name);
		}
		if (is_computed(t))
			is_made(t, on_cpu);
	}
	return 0;
}

/* It may have written any of its results, where the card alone had something. */
static void lose_results(struct ggml_cgraph *graph)
{
	const int n = ggml_graph_n_nodes(graph);

	for (int i = 0; i < n; i++) {
		const struct ggml_tensor *t = ggml_graph_node(graph, i);

		if (is_computed(t))
			region_lose(region_of(t), offset_in(region_of(t), t), ggml_nbytes(t));
	}
}

static int run_on_cpu(struct graphs *g, struct plan *p, struct ggml_cgraph *graph)
{
	int err;

	if (!p->on_cpu)
		p->on_cpu = record_to(g, p, true, graph);
	if (!p->on_cpu)
		return -ENOMEM;
	err = check_operands(g, graph, true);
	if (err)
		return err;
	g->card->on_cpu++;
	err = card_cpu_run(g->card, p->on_cpu, p->size);
	if (err)
		forget_results(g, graph, ggml_graph_n_nodes(graph));
	return err;
}

static bool take_damage(const struct ggml_tensor *t)
{
	struct region *r = region_of(t);
	const bool damaged = r->damaged;

	if (damaged)
		r->damaged = false;
	return damaged;
}

/* Was somebody given something in place of what was lost with memory that this graph has to do with?  Once. */
static bool is_damaged(struct ggml_cgraph *graph)
{
	const int n = ggml_graph_n_nodes(graph);
	bool damaged = false;

	for (int i = 0; i < n; i++) {
		const struct ggml_tensor *t = ggml_graph_node(graph, i);

		if (!is_computed(t))
			continue;
		damaged |= take_damage(t);
		for (int k = 0; k < GG_SRCS; k++)
			if (t->src[k])
				damaged |= take_damage(t->src[k]);
	}
	return damaged;
}

static int try_card(struct graphs *g, struct plan *p, struct ggml_cgraph *graph)
{
	int err = run_on_card(g, p);

	if (!err)
		err = keep_all(g, p);
	if (err) {
		card_fail(g->card, err, "a graph");
		lose_results(graph);
	}
	return err;
}

static int run(struct graphs *g, struct plan *p, struct ggml_cgraph *graph)
{
	struct card *c = g->card;
	int err = 0;

	write_fixes(g, p);
	if ((atomic_load(&c->lost) || c->times_back) && is_damaged(graph))
		return fail(-EIO, "something of it was left on %s, and went with it", c->name);
	if (!atomic_load(&c->lost)) {
		if (c->some_gone)
			err = check_operands(g, graph, false);
		if (err || !try_card(g, p, graph))
			return err;
	}
	return run_on_cpu(g, p, graph);
}

/* What was recorded before the card came back went with it. */
static void follow_card(struct graphs *g)
{
	if (g->times_back == g->card->times_back)
		return;
	forget_all(g);
	g->times_back = g->card->times_back;
}

static int compute(struct graphs *g, struct ggml_cgraph *graph)
{
	struct plan *p;
	int err;

	follow_card(g);
	err = make_key(g, graph);
	if (!err && !g->key_size)
		return GG_SUCCESS;
	p = err ? NULL : find(g);
	if (p)
		g->card->replayed++;
	else if (!err)
		p = record_graph(g, graph);
	if (p) {
		g->card->graphs++;
		g->card->nodes += p->n_nodes;
		if (!run(g, p, graph))
			return GG_SUCCESS;
	}
	ggml_log_internal(GG_LOG_ERROR, "%s: a graph was not computed: %s\n", g->card->name, accel_error());
	return p ? GG_FAILED : GG_ALLOC_FAILED;
}

int graphs_compute(struct graphs *g, struct ggml_cgraph *graph)
{
	int status;

	card_try_again(g->card);
	card_enter(g->card);
	status = compute(g, graph);
	card_leave(g->card);
	return status;
}

struct graphs *graphs_new(struct card *c)
{
	struct graphs *g = calloc(1, sizeof(*g));

	if (!g) {
		fail(-ENOMEM, "no memory for a backend");
		return NULL;
	}
	g->card = c;
	card_enter(c);
	g->times_back = c->times_back;
	card_add_queue(c, &g->queue);
	card_leave(c);
	return g;
}

void graphs_free(struct graphs *g)
{
	if (!g)
		return;
	forget_all(g);
	card_enter(g->card);
	card_drop_queue(g->card, &g->queue);
	region_free(g->streams);
	region_free(g->data);
	region_free(g->scratch);
	card_leave(g->card);
	free(g->kept);
	free(g->key);
	free(g->masks);
	free(g);
}
