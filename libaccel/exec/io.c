// SPDX-License-Identifier: MIT
/* The memory between an engine and its executors. */
#include "exec.h"

#include <string.h>

#define ALIGN 64
/* Each group of rows reads the weights anew: two only if there is so much to multiply that this
 * does not matter. */
#define TWO_GROUPS 256

static void *take(size_t *size, void *base, size_t bytes)
{
	size_t at = *size;

	*size += (bytes + ALIGN - 1) / ALIGN * ALIGN;
	return base ? (char *)base + at : NULL;
}

static uint32_t top_rows(const struct shape *shape)
{
	return shape->out < TOP_ROWS ? shape->out : TOP_ROWS;
}

size_t relay_stride(const struct accel_model *m, const struct shape *shape)
{
	return (sizeof(float) * shape->batch * m->n_stream + ALIGN - 1) / ALIGN * ALIGN;
}

size_t relay_exchange(const struct accel_model *m, const struct shape *shape, uint32_t flight)
{
	return relay_stride(m, shape) * shape->flights + shape_exchange_bytes(shape) * flight;
}

size_t relay_size(const struct accel_model *m, const struct shape *shape)
{
	return relay_exchange(m, shape, shape->flights);
}

struct octans_counters *relay_counters(const struct relay *relay, const struct accel_model *m, const struct shape *shape,
				       uint32_t flight)
{
	return (struct octans_counters *)(relay->map + relay_exchange(m, shape, flight));
}

/* The first of the counters, cycles, is what is waited for. */
static void set_cycles(const struct relay *relay, const struct accel_model *m, const struct shape *shape,
		       uint32_t flight, uint64_t to)
{
	struct octans_counters *c = relay_counters(relay, m, shape, flight);

	for (uint32_t i = 0; i < shape->exchanges * shape->members; i++)
		__atomic_store_n(&c[i].cycles, to, __ATOMIC_RELEASE);
}

void relay_close(const struct relay *relay, const struct accel_model *m, const struct shape *shape, uint32_t flight)
{
	set_cycles(relay, m, shape, flight, 0);
}

void relay_open(const struct relay *relay, const struct accel_model *m, const struct shape *shape, uint32_t flight)
{
	set_cycles(relay, m, shape, flight, UINT64_MAX);
}

size_t io_place(struct io *io, const struct accel_model *m, const struct shape *shape, void *base, bool own_x)
{
	const size_t batch = shape->batch * sizeof(int32_t);
	const size_t top = (size_t)top_rows(shape) * io_top_stride(m, OCTANS_MAX_TOPK) * sizeof(float);
	size_t size = 0;

	io->params = take(&size, base, P_MOST * sizeof(*io->params));
	io->tokens = take(&size, base, batch);
	io->positions = take(&size, base, batch);
	io->slots = take(&size, base, batch);
	io->seqs = take(&size, base, batch);
	io->ranges = take(&size, base, (1 + shape->windows) * 2 * batch);
	io->states = take(&size, base, 2 * batch);
	io->pages = take(&size, base, sizeof(int32_t) * shape->seqs * shape_seq_pages(shape));
	io->wanted = take(&size, base, shape->out * sizeof(*io->wanted));
	io->x = own_x ? take(&size, base, relay_stride(m, shape)) : NULL;
	io->logits = take(&size, base, sizeof(float) * shape->out * m->n_vocab);
	io->top_ids = take(&size, base, top);
	io->top_values = take(&size, base, top);
	/* Of runs; where layers are shared those on one processor may follow each other. */
	io->counters = take(&size, base, (shape->members ? m->n_layers : (m->n_layers + 1) / 2) * 2 *
			    sizeof(*io->counters));
	io->copy = take(&size, base, 2 * sizeof(*io->copy));
	return size;
}

/* The list that finds so many. */
static int top_list(uint32_t top)
{
	int list = 0;

	while (list < TOP_LISTS - 1 && top_sizes[list] < top)
		list++;
	return list;
}

uint32_t io_top_stride(const struct accel_model *m, uint32_t top)
{
	uint32_t k = top_sizes[top_list(top)];

	return k < m->n_vocab ? k : m->n_vocab;
}

static size_t put(int32_t *to, const int32_t *from, size_t n)
{
	if (n)
		memcpy(to, from, n * sizeof(*to));
	return n * sizeof(*to);
}

/* Those of a sequence, and behind them none: what looks at all of a row must not find those of another time. */
static size_t put_pages(int32_t *to, const int32_t *from, size_t n, size_t room)
{
	for (size_t i = n; i < room && to[i] >= 0; i++)
		to[i] = -1;
	return put(to, from, n);
}

/* Of a rung that is not the step's there are no rows. */
static uint32_t times_in(const struct accel_model *m, uint32_t times, const struct shape *shape, uint32_t rung)
{
	return m->rung[times] && m->rung[times] != 1 + rung ? 0 : model_times_of(m, times, shape);
}

static uint32_t rung_of(const struct accel_model *m, const struct shape *shape, const struct pass *p)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < p->n_seqs; i++)
		most = p->pages_used[i] > most ? p->pages_used[i] : most;
	return model_rung(m, shape, most);
}

size_t io_write(const struct io *io, const struct accel_model *m, const struct shape *shape, const struct pass *p)
{
	const uint32_t stride = shape_seq_pages(shape), rung = rung_of(m, shape, p);
	uint32_t *params = io->params;
	size_t size = model_params(m) * sizeof(*params);

	params[P_ROWS] = p->n;
	params[P_SECOND] = p->n >= TWO_GROUPS ? p->n / 2 : 0;
	params[P_FIRST] = p->n - params[P_SECOND];
	params[P_SEQS] = p->n_seqs;
	params[P_OUT] = p->out;
	params[P_TOP_ROWS] = p->top_rows;
	params[P_LOGITS] = p->logits;
	for (int i = 0; i < TOP_LISTS; i++)
		params[P_TOP + i] = i == top_list(p->top) ? p->top_rows : 0;
	for (uint32_t i = 0; i < 3 * m->n_times; i++)
		params[P_TIMES + i] = params[i % 3] * times_in(m, i / 3, shape, rung);
	size += put(io->tokens, p->tokens, p->n);
	size += put(io->positions, p->positions, p->n);
	size += put(io->slots, p->slots, p->n);
	size += put(io->seqs, p->seqs, p->n);
	for (size_t w = 0; w <= shape->windows; w++)
		size += put(io->ranges + w * 2 * shape->batch, p->ranges + w * 2 * shape->batch, 2ull * p->n);
	size += put(io->states, p->states, p->states ? 2ull * p->n : 0);
	for (uint32_t i = 0; i < p->n_seqs; i++)
		size += put_pages(io->pages + (size_t)i * stride, p->pages + (size_t)i * stride, p->pages_used[i],
				  stride);
	return size + put(io->wanted, p->wanted, p->out);
}
