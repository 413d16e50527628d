// SPDX-License-Identifier: MIT
#include "cost.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "footprint.h"
#include "stream.h"

/* A queue's timeout tells hangs.  Nothing that runs jobs, the model on one busy CPU included, does
 * less work than this: the slowest measured was twice that, attention to keys in Q8_0. */
#define SLOWEST_WORK_PER_MS 1000000ull
#define DEFAULT_TIMEOUT_MS 10000u

/* Where ranges of positions would lie: commands tell by it which they go by. */
#define RANGES (5ull << 40)

static void add_part(struct op_work *sum, const struct op_work *w, uint64_t times, uint32_t of)
{
	sum->bytes += w->bytes * times / of;
	sum->far += w->far * times / of;
	sum->macs_int8 += w->macs_int8 * times / of;
	sum->macs_f16 += w->macs_f16 * times / of;
	sum->macs_f32 += w->macs_f32 * times / of;
}

static void add(struct op_work *sum, const struct op_work *w, uint64_t times)
{
	add_part(sum, w, times, 1);
}

/* ---- loads ---- */

/* Positions that the tokens before position end attend to, of at most so many each. */
static uint64_t pairs_within(uint64_t most, uint64_t end)
{
	uint64_t n = end < most ? end : most;

	return n * (n + 1) / 2 + (end - n) * most;
}

static void add_window(struct load *load, unsigned int i, uint64_t size, uint64_t pos, uint64_t end)
{
	load->pairs[i] += pairs_within(size, end) - pairs_within(size, pos);
	load->positions[i] += end - (pos + 1 > size ? pos + 1 - size : 0);
}

void load_add(struct load *load, const struct accel_model *m, uint64_t pos, uint32_t n)
{
	const uint64_t end = pos + n;

	load->rows += n;
	load->seqs++;
	load->pairs[REACH_ALL] += pairs_within(end, end) - pairs_within(end, pos);
	load->positions[REACH_ALL] += end;
	for (uint32_t i = 0; i < m->n_windows; i++)
		add_window(load, 1 + i, m->windows[i], pos, end);
	/* Lists of several rows may be the same. */
	load->pairs[REACH_LIST] += pairs_within(m->list, end) - pairs_within(m->list, pos);
	load->positions[REACH_LIST] += end < m->list ? end : m->list;
}

/* ---- costs ---- */

/* The number of a parameter among the model's times; LAYER_NONE: it is none of them. */
static int times_of(uint32_t dyn)
{
	uint32_t p = OCTANS_DYN_ROWS_OF(dyn);	/* plus 1; 0: there is none */

	return p > P_TIMES ? (int)(p - 1 - P_TIMES) / 3 : LAYER_NONE;
}

static void add_choice(struct layer_cost *c, const struct op_cost *cost, uint32_t taken)
{
	for (int i = 0; i < CHOICES; i++) {
		struct choice *to = &c->choice[i];

		if (to->planes && (to->planes != cost->planes || to->taken != taken))
			continue;
		to->planes = cost->planes;
		to->taken = taken;
		add(&to->plane, &cost->plane, 1);
		return;
	}
	add(&c->once, &cost->plane, cost->planes);	/* no layer has so many: all, at the most */
}

/* Planes are pages, of which a row takes those that hold positions up to its own. */
static void add_pages(struct layer_cost *c, const struct op_cost *cost, uint32_t rows, const struct shape *s)
{
	add_part(&c->pair[REACH_ALL], &cost->row, rows, 1u << s->page_log2);
	add_part(&c->position[REACH_ALL], &cost->plane, 1, 1u << s->page_log2);
}

static void add_attention(struct layer_cost *c, const struct accel_model *m, const struct op_cost *cost,
			  const struct shape *s)
{
	unsigned int reach = cost->list ? REACH_LIST : (cost->range - RANGES) / (8ull * s->batch);
	uint32_t most = reach == REACH_LIST ? m->list : reach ? m->windows[reach - 1] : s->ctx;

	add(&c->pair[reach], &cost->pair, 1);
	add(&c->position[reach], &cost->position, 1);
	c->attends = most < s->ctx ? most : s->ctx;
}

/* Addresses from here on are of the host's memory. */
#define FAR (1ull << 44)

static bool reads_far(const struct op *op, const struct octans_cmd *cmd)
{
	for (unsigned int i = 1; i < op->operands; i++) {
		struct octans_tensor t;

		memcpy(&t, (const uint8_t *)cmd + op->operand[i].offset, sizeof(t));
		if (t.va >= FAR)
			return true;
	}
	return false;
}

/* copied: and then in the memory of who computes. */
static void make_far(struct op_work *w, bool copied)
{
	w->far = w->bytes;
	if (!copied)
		w->bytes = 0;
}

/* Every operation tells the cost of its command; what it takes for each row goes to the kind of rows
 * that it has, as its first operand tells. */
static void add_command(struct layer_cost *c, const struct accel_model *m, const struct shape *s,
			const struct octans_cmd *cmd)
{
	const struct op *op = op_of(cmd->op);
	struct op_cost cost = { 0 };
	struct octans_tensor dst;
	uint32_t rows;			/* of it, for each of the step */
	int times;

	if (!op || !op->cost)
		return;
	op->cost(cmd, &cost);
	if (reads_far(op, cmd)) {	/* weights: of all else there is nothing to speak of beside them */
		make_far(&cost.once, c->copied);
		make_far(&cost.row, c->copied);
		make_far(&cost.plane, c->copied);
	}
	memcpy(&dst, (const uint8_t *)cmd + op->operand[0].offset, sizeof(dst));
	times = times_of(dst.dyn);
	rows = times == LAYER_NONE ? 1 : m->times[times];
	add(&c->once, &cost.once, 1);
	add(&c->seq, &cost.seq, 1);
	if (cost.range)
		add_attention(c, m, &cost, s);
	if (times != LAYER_NONE && m->by_page[times]) {
		if (m->rung[times] == 1)	/* as much is done whatever the step's rung is */
			add_pages(c, &cost, rows, s);
		return;
	}
	add(dst.dyn == OCTANS_DYN_ROWS(P_OUT) ? &c->out : &c->row, &cost.row, rows);
	if (cost.planes)
		add_choice(c, &cost, rows);
}

int cost_layer(struct layer_cost *c, const struct accel_model *m, const struct layer *l,
	       const struct shape *shape, const struct accel_layer *how)
{
	/* Addresses that tell pools apart, which weights are far, and which positions are attended to; no more. */
	struct layer_places at = { .keep = { 1ull << 40, 2ull << 40, 3ull << 40, 4ull << 40 } };
	const struct places nowhere = { .step.ranges = RANGES, .layers = &at };
	struct build b;
	size_t size;

	memset(c, 0, sizeof(*c));
	c->near = how->experts_on_card;
	c->copied = how->weights == ACCEL_WEIGHTS_STREAM;
	for (int i = 0; i < LAYER_WEIGHTS; i++)
		at.w[i] = footprint_is_far(l, i, how->weights) ? FAR : 0;
	stream_begin(&b, m, shape, &nowhere);
	layer_record(&b, 0, l, false);
	c->exchanged = b.exchanged;
	c->members = l->part.of;
	size = b.r.size;
	b.r.base = malloc(size);
	if (!b.r.base)
		return fail(-ENOMEM, "no memory for %zu bytes of commands", size);
	b.r.size = 0;
	layer_record(&b, 0, l, false);
	for (size_t at = 0; at < size;) {
		const struct octans_cmd *cmd = (const void *)(b.r.base + at);

		add_command(c, m, shape, cmd);
		at += cmd->size;
	}
	free(b.r.base);
	return 0;
}

/* How many planes any of the rows takes, on the average, if each takes as many and likes all alike. */
static uint64_t planes_taken(const struct choice *c, uint32_t rows)
{
	double spared = 1, miss = 1 - (double)c->taken / c->planes;

	if (c->taken >= c->planes)
		return rows ? c->planes : 0;
	for (uint32_t i = 0; i < rows && spared > 1e-6; i++)
		spared *= miss;
	return (uint64_t)(c->planes * (1 - spared) + 0.5);
}

/* Of the planes that are taken as many are on the card as of all of them. */
static void add_planes(struct op_work *sum, const struct layer_cost *cost, const struct choice *c, uint32_t rows)
{
	const uint64_t seen = c->plane.far ? cost->seen : 0;
	const uint64_t taken = seen ? seen : planes_taken(c, rows), of = seen ? seen : c->planes;
	const uint64_t near = c->plane.far * cost->near * taken / of;

	add(sum, &c->plane, taken);
	sum->far -= near;
	sum->bytes += near;
}

void cost_add(struct op_work *sum, const struct layer_cost *c, const struct load *load)
{
	const struct op_work *out = &c->out;

	/* The layer that makes logits may have nothing to do. */
	if (load->out || !(out->bytes | out->macs_int8 | out->macs_f16 | out->macs_f32))
		add(sum, &c->once, load->rows != 0);
	add(sum, &c->row, load->rows);
	add(sum, &c->seq, load->seqs);
	add(sum, &c->out, load->out);
	for (int i = 0; i < CHOICES && c->choice[i].planes; i++)
		add_planes(sum, c, &c->choice[i], load->rows);
	for (int i = 0; i < REACHES; i++) {
		add(sum, &c->pair[i], load->pairs[i]);
		add(sum, &c->position[i], load->positions[i]);
	}
}

uint64_t cost_work(const struct op_work *w)
{
	return w->macs_int8 + 4 * (w->macs_f16 + w->macs_f32);
}

uint64_t cost_bus_work(uint64_t bytes, const struct accel_devinfo *dev)
{
	const double per_ms = dev->pcie_bpc * (dev->clock_hz ? (double)dev->clock_hz : 1e9) / 1000;

	return per_ms ? bytes / per_ms * SLOWEST_WORK_PER_MS : 0;
}

static uint64_t over(uint64_t n, uint32_t rate)
{
	return rate ? (n + rate - 1) / rate : 0;
}

uint64_t cost_ceiling(const struct op_work *w, const struct accel_devinfo *dev)
{
	const uint64_t local = over(w->bytes, dev->local_bpc), far = over(w->far, dev->pcie_bpc);
	const uint64_t memory = local > far ? local : far;
	uint64_t compute = over(w->macs_int8, dev->macs_int8) + over(w->macs_f16, dev->macs_f16) +
			   over(w->macs_f32, dev->macs_f32);

	return memory > compute ? memory : compute;
}

uint64_t cost_job_work(const struct accel_devinfo *dev)
{
	return (dev->max_timeout_ms ? dev->max_timeout_ms : DEFAULT_TIMEOUT_MS) * SLOWEST_WORK_PER_MS;
}
