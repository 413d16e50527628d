// SPDX-License-Identifier: MIT
/* The memory between a session and its executors. */
#include "exec.h"

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

size_t io_place(struct io *io, const struct accel_model *m, const struct shape *shape, void *base)
{
	size_t size = 0;

	io->params = take(&size, base, P_COUNT * sizeof(*io->params));
	io->tokens = take(&size, base, shape->batch * sizeof(*io->tokens));
	io->positions = take(&size, base, shape->batch * sizeof(*io->positions));
	io->ranges = take(&size, base, 2 * shape->batch * sizeof(*io->ranges));
	io->wanted = take(&size, base, shape->out * sizeof(*io->wanted));
	io->x = take(&size, base, sizeof(float) * shape->batch * m->n_embd);
	io->logits = take(&size, base, sizeof(float) * shape->out * m->n_vocab);
	io->top_ids = take(&size, base, OCTANS_MAX_TOPK * sizeof(*io->top_ids));
	io->top_values = take(&size, base, OCTANS_MAX_TOPK * sizeof(*io->top_values));
	io->counters = take(&size, base, 2 * sizeof(*io->counters));
	return size;
}

size_t io_write(const struct io *io, const struct step *st, const int32_t *tokens)
{
	int list = 0;

	io->params[P_ROWS] = st->n;
	io->params[P_SECOND] = st->n >= TWO_GROUPS ? st->n / 2 : 0;
	io->params[P_FIRST] = st->n - io->params[P_SECOND];
	io->params[P_OUT] = st->out;
	io->params[P_LOGITS] = st->logits;
	while (list < TOP_LISTS - 1 && top_sizes[list] < st->top)
		list++;
	for (int i = 0; i < TOP_LISTS; i++)
		io->params[P_TOP + i] = st->top && i == list;
	for (uint32_t i = 0; i < st->n; i++) {
		io->tokens[i] = tokens[i];
		io->positions[i] = st->pos + i;
		io->ranges[2 * i] = 0;
		io->ranges[2 * i + 1] = st->pos + i + 1;
	}
	for (uint32_t i = 0; i < st->out; i++)
		io->wanted[i] = st->n - st->out + i;
	return P_COUNT * sizeof(*io->params) + st->n * 4 * sizeof(int32_t) + st->out * sizeof(int32_t);
}
