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

#include "error.h"

#define ARENA_FIRST	(8ull << 20)	/* bytes of streams, and of their data, at first */
#define MOST_PLANS	64

struct keep {			/* of a node's result */
	struct ggml_tensor node, ids;	/* ids: rows of it; data NULL: all of it */
};

struct plan {
	uint8_t *key;		/* what the graph looks like */
	size_t key_size;
	uint8_t *masks;
	struct fix *fixes;
	struct keep *keeps;
	void *on_cpu;		/* the same stream with addresses of this process, NULL: not yet */
	uint64_t stream, size;	/* where it is in the arena; bytes */
	uint64_t data;		/* likewise of its data */
	const void **made;	/* [n_nodes]: where results are; those that are kept come first, n_kept */
	uint64_t ran;		/* when it last did; 0: never */
	bool ran_on_cpu;
	uint32_t n_fixes, n_keeps, n_jobs, n_nodes, n_kept;
	struct accel_job jobs[ACCEL_MAX_JOBS];
};

struct graphs {
	struct card *card;
	struct accel_queue *queue;
	struct region *streams, *data, *scratch;
	uint64_t streams_used, data_used;
	uint64_t runs;
	struct plan *plans[MOST_PLANS];
	uint32_t n_plans;
	uint8_t *key;		/* of the graph that is computed */
	size_t key_size, key_room;
	uint8_t *masks;		/* [n_masks] of it */
	uint32_t n_masks, masks_room;
	struct mask_seen seen;
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
	uint64_t data, va;
	uint32_t type, op;
};

static int add_look(struct graphs *g, const struct ggml_tensor *t)
{
	const struct region *r = region_of(t);
	struct look look = { .data = (uintptr_t)t->data, .va = r ? r->va : 0, .type = t->type, .op = t->op };

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

static int add_mask_kind(struct graphs *g, const struct ggml_tensor *t)
{
	uint8_t kind;

	if (g->n_masks == g->masks_room) {
		uint32_t room = 2 * g->masks_room + 64;
		uint8_t *masks = realloc(g->masks, room);

		if (!masks)
			return fail(-ENOMEM, "no memory for a graph");
		g->masks = masks;
		g->masks_room = room;
	}
	kind = (uint8_t)mask_of(t, &g->seen);
	g->masks[g->n_masks++] = kind;
	return add_key(g, &kind, 1);
}

static int add_node(struct graphs *g, const struct ggml_tensor *t)
{
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
		err = add_mask_kind(g, t);
	return err;
}

static int make_key(struct graphs *g, struct ggml_cgraph *graph)
{
	const int n = ggml_graph_n_nodes(graph);
	int err = 0;

	g->key_size = g->n_masks = 0;
	g->seen.data = NULL;
	for (int i = 0; i < n && !err; i++) {
		const struct ggml_tensor *t = ggml_graph_node(graph, i);

		if (is_computed(t))
			err = add_node(g, t);
	}
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
	free(p->made);
	free(p->on_cpu);
	free(p);
}

static void forget_all(struct graphs *g)
{
	while (g->n_plans)
		plan_free(g->plans[--g->n_plans]);
	g->streams_used = g->data_used = 0;
}

static bool all_ours(const struct ggml_tensor *t)
{
	for (int i = 0; i < GG_SRCS; i++)
		if (t->src[i] && !region_of(t->src[i]))
			return false;
	return region_of(t);
}

/* All of the graph's nodes; its stream is at base, NULL: it is only counted. */
static int record_nodes(struct rec *r, struct ggml_cgraph *graph)
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
		if (!all_ours(t))
			return fail(-EINVAL, "the operation %s of \"%s\" has an operand in memory of another backend",
				    ggml_op_name(t->op), t->name);
		r->scratch_used = 0;
		op->record(r, t);
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
		err = grow(g, &g->data, data < ARENA_FIRST ? ARENA_FIRST : 2 * data, REGION_DATA, "ggml tables");
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
		.masks = p->masks, .fixes = p->fixes,
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
	if (record_nodes(&r, graph)) {
		free(stream);
		return NULL;
	}
	p->n_fixes = r.n_fixes;
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

static void list_keeps(struct plan *p, struct ggml_cgraph *graph)
{
	const int n = ggml_graph_n_nodes(graph);

	for (int i = 0; i < n; i++) {
		const struct ggml_tensor *t = ggml_graph_node(graph, i);
		struct keep *k = &p->keeps[p->n_keeps];

		if (!is_computed(t) || !lasts(graph, n, t))
			continue;
		*k = (struct keep) { .node = *t };
		if (!strcmp(ggml_op_name(t->op), "SET_ROWS") && !t->src[1]->op)
			k->ids = *t->src[1];
		p->n_keeps++;
	}
}

static void list_made(struct plan *p, struct ggml_cgraph *graph)
{
	const int n = ggml_graph_n_nodes(graph);
	uint32_t at = 0;

	for (int kept = 1; kept >= 0; kept--) {
		for (int i = 0; i < n; i++) {
			const struct ggml_tensor *t = ggml_graph_node(graph, i);

			if (is_computed(t) && lasts(graph, n, t) == kept)
				p->made[at++] = t->data;
		}
		if (kept)
			p->n_kept = at;
	}
}

static void keep_rows(struct region *r, const struct ggml_tensor *t, const struct ggml_tensor *ids)
{
	const uint64_t at = (uint64_t)((uint8_t *)t->data - r->host);
	const uint64_t row = t->ne[2] == 1 && t->ne[3] == 1 ? ggml_nbytes(t) - (t->ne[1] - 1) * t->nb[1] : 0;

	for (int64_t i = 0; i < ids->ne[0]; i++) {
		int32_t id;

		memcpy(&id, (uint8_t *)ids->data + i * ids->nb[0], sizeof(id));
		region_keep(r, at + (uint64_t)id * t->nb[1], row);
	}
}

static void keep_all(const struct plan *p)
{
	for (uint32_t i = 0; i < p->n_keeps; i++) {
		const struct ggml_tensor *t = &p->keeps[i].node, *ids = &p->keeps[i].ids;
		struct region *r = region_of(t);

		if (ids->data && ids->ne[1] == 1 && ids->ne[2] == 1 && t->ne[2] == 1 && t->ne[3] == 1)
			keep_rows(r, t, ids);
		else
			region_keep(r, (uint64_t)((uint8_t *)t->data - r->host), ggml_nbytes(t));
	}
}

/* ---- recording ---- */

static struct plan *plan_new(const struct graphs *g, const struct rec *count, int n_nodes)
{
	struct plan *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->key = malloc(g->key_size + 1);
	p->masks = malloc(g->n_masks + 1);
	p->fixes = calloc(count->n_fixes + 1, sizeof(*p->fixes));
	p->keeps = calloc((size_t)n_nodes + 1, sizeof(*p->keeps));
	p->made = calloc((size_t)n_nodes + 1, sizeof(*p->made));
	if (!p->key || !p->masks || !p->fixes || !p->keeps || !p->made) {
		plan_free(p);
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

static uint32_t count_nodes(struct ggml_cgraph *graph)
{
	const int n = ggml_graph_n_nodes(graph);
	uint32_t count = 0;

	for (int i = 0; i < n; i++)
		count += is_computed(ggml_graph_node(graph, i));
	return count;
}

static struct plan *record_graph(struct graphs *g, struct ggml_cgraph *graph)
{
	struct rec count = { .r.group = -1, .masks = g->masks };
	struct plan *p;

	if (record_nodes(&count, graph) || make_room(g, &count))
		return NULL;
	p = plan_new(g, &count, ggml_graph_n_nodes(graph));
	if (!p) {
		fail(-ENOMEM, "no memory for a graph");
		return NULL;
	}
	p->stream = g->streams_used;
	p->data = g->data_used;
	p->n_nodes = count_nodes(graph);
	if (put_stream(g, p, graph)) {
		plan_free(p);
		return NULL;
	}
	list_keeps(p, graph);
	list_made(p, graph);
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
}

static int run_on_card(struct graphs *g, const struct plan *p)
{
	struct accel_fence *fence = NULL;
	int err = 0;

	if (!g->queue)
		err = accel_queue_new(g->card->vm, ACCEL_PRIORITY_NORMAL, 0, &g->queue);
	if (!err)
		err = accel_submit(g->queue, p->jobs, p->n_jobs, NULL, 0, &fence);
	if (!err)
		do {
			err = accel_fence_wait(fence, INT64_MAX);
		} while (err == -EMFILE || err == -ENFILE || err == -ENOMEM);
	accel_fence_free(fence);
	return err;
}

/* Is there a copy of what an earlier graph has left in @t? */
static bool has_copy(const struct graphs *g, const struct ggml_tensor *t)
{
	uint64_t last = 0;
	bool copy = false;

	for (uint32_t i = 0; i < g->n_plans; i++) {
		const struct plan *p = g->plans[i];

		for (uint32_t k = 0; k < p->n_nodes && p->ran > last; k++)
			if (p->made[k] == t->data) {
				last = p->ran;
				copy = p->ran_on_cpu || k < p->n_kept;
			}
	}
	return copy;
}

static bool is_made_here(struct ggml_cgraph *graph, int n, const struct ggml_tensor *t)
{
	for (int i = 0; i < n; i++)
		if (root_of(ggml_graph_node(graph, i)) == t)
			return true;
	return false;
}

/* What a graph left on the card for a later one, and nobody was told of, went with the card. */
static int check_copies(const struct graphs *g, struct ggml_cgraph *graph)
{
	const int n = ggml_graph_n_nodes(graph);

	for (int i = 0; i < n; i++) {
		const struct ggml_tensor *t = ggml_graph_node(graph, i);

		for (int k = 0; k < GG_SRCS && is_computed(t); k++) {
			const struct ggml_tensor *root = t->src[k] ? root_of(t->src[k]) : NULL;

			if (root && root->op && root->buffer && root->buffer->usage == GG_USAGE_COMPUTE &&
			    !is_made_here(graph, i, root) && !has_copy(g, root))
				return fail(-EIO, "\"%s\", which an earlier part of the graph left on %s, went with it",
					    root->name, g->card->name);
		}
	}
	return 0;
}

static int run_on_cpu(struct graphs *g, struct plan *p, struct ggml_cgraph *graph)
{
	if (check_copies(g, graph))
		return -EIO;
	if (!p->on_cpu)
		p->on_cpu = record_to(g, p, true, graph);
	if (!p->on_cpu)
		return -ENOMEM;
	g->card->on_cpu++;
	p->ran = ++g->runs;
	p->ran_on_cpu = true;
	return card_cpu_run(g->card, p->on_cpu, p->size);
}

static int run(struct graphs *g, struct plan *p, struct ggml_cgraph *graph)
{
	write_fixes(g, p);
	if (!atomic_load(&g->card->lost)) {
		if (!run_on_card(g, p)) {
			keep_all(p);
			p->ran = ++g->runs;
			p->ran_on_cpu = false;
			return 0;
		}
		card_fail(g->card, "a graph");
	}
	return run_on_cpu(g, p, graph);
}

int graphs_compute(struct graphs *g, struct ggml_cgraph *graph)
{
	struct plan *p;
	int err = make_key(g, graph);

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

struct graphs *graphs_new(struct card *c)
{
	struct graphs *g = calloc(1, sizeof(*g));

	if (!g)
		fail(-ENOMEM, "no memory for a backend");
	else
		g->card = c;
	return g;
}

void graphs_free(struct graphs *g)
{
	if (!g)
		return;
	forget_all(g);
	accel_queue_free(g->queue);
	region_free(g->streams);
	region_free(g->data);
	region_free(g->scratch);
	free(g->key);
	free(g->masks);
	free(g);
}
