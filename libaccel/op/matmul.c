// SPDX-License-Identifier: MIT
/*
 * MATMUL.  Products are grouped by plane, so that rows of weights are unpacked once for all rows
 * of x that use them.  A part is ROWS_PER_PART rows of the weights of one plane; the last one of a
 * plane has what is left, or up to LEAST_ROWS - 1 more, for vectors want so many rows.
 */
#include "op.h"

#define ROWS_PER_PART 32u
#define LEAST_ROWS 8u
#define MOST_ROWS 48u		/* of a part: less than both together; whole cache lines */
#define TOKENS 512u		/* that a kernel gets at once: their results stay in the cache */

/* The products of one plane. */
struct group {
	uint32_t plane, first, count;	/* order[first .. first + count - 1] */
};

struct matmul {
	struct cpu *cpu;
	const struct view *dst, *x, *w, *bias, *sel;
	uint64_t plane_stride;
	uint32_t planes;
	bool add;
	const struct q8_block *xq;
	const float *xf;
	size_t x_stride;		/* floats */
	uint32_t parts_of_plane;
	uint32_t groups;
	const struct group *group;
	const uint32_t *order;		/* products (rows of dst) by plane; NULL: as they come */
	const uint32_t *pick;		/* their rows of x; NULL: as they come */
	float *y;			/* [threads][TOKENS][MOST_ROWS] */
	size_t y_size;
};

static bool flags_ok(uint16_t flags)
{
	return !(flags & ~(OCTANS_MATMUL_ADD | OCTANS_MATMUL_X16));
}

/* ---- x as the multipliers take it ---- */

struct prepare {
	struct cpu *cpu;
	const struct view *x;
	enum x_form form;
	void *out;
};

static void quantize_blocks(void *arg, uint32_t from, uint32_t to, uint32_t thread)
{
	const struct prepare *p = arg;
	uint32_t per_row = p->x->cols / 32;

	(void)thread;
	while (from < to) {
		uint32_t r = from / per_row, b = from % per_row, n = per_row - b;

		if (n > to - from)
			n = to - from;
		p->cpu->k->quantize((struct q8_block *)p->out + from, row_f32(p->x, r) + 32 * b,
				    32 * n);
		from += n;
	}
}

static void round_rows(void *arg, uint32_t from, uint32_t to, uint32_t thread)
{
	const struct prepare *p = arg;
	uint32_t type = p->form == X_F16 ? OCTANS_TYPE_F16 : OCTANS_TYPE_BF16, n = p->x->cols;
	uint8_t narrow[2 * 256];

	(void)thread;
	for (uint32_t r = from; r < to; r++)
		for (uint32_t c = 0; c < n; c += 256) {
			uint32_t some = n - c < 256 ? n - c : 256;

			p->cpu->k->store(narrow, row_f32(p->x, r) + c, type, some);
			p->cpu->k->load((float *)p->out + (size_t)r * n + c, narrow, type, some);
		}
}

/* From what the last command kept, if it is the same; NULL: no memory. */
static const void *prepared_x(struct cpu *cpu, const struct view *x, enum x_form form)
{
	struct kept_x *kept = &cpu->kept;
	struct prepare p = { cpu, x, form, NULL };
	size_t row = form == X_INT8 ? (size_t)(x->cols / 32) * sizeof(struct q8_block) :
		     (size_t)x->cols * sizeof(float);

	if (kept->x.data == x->data && kept->x.stride == x->stride && kept->x.rows == x->rows &&
	    kept->x.cols == x->cols && kept->form == form)
		return kept->buffer.data;
	kept->x.data = NULL;
	p.out = buffer_get(&kept->buffer, x->rows * row);
	if (!p.out)
		return NULL;
	if (form == X_INT8)
		share(cpu, x->rows * (x->cols / 32), 60, quantize_blocks, &p);
	else
		share(cpu, x->rows, x->cols / 4, round_rows, &p);
	kept->x = *x;
	kept->form = form;
	return p.out;
}

static void forget_written_x(struct cpu *cpu, const struct view *written)
{
	const struct view *x = &cpu->kept.x;

	if (x->data && x->data < view_end(written) && written->data < view_end(x))
		cpu->kept.x.data = NULL;
}

/* ---- products ---- */

static void multiply(void *arg, uint32_t from, uint32_t to, uint32_t thread)
{
	const struct matmul *t = arg;
	float *y = (float *)((uint8_t *)t->y + thread * t->y_size);
	uint32_t n = t->w->rows, k = t->w->cols;

	for (uint32_t part = from; part < to; part++) {
		const struct group *g = &t->group[part / t->parts_of_plane];
		uint32_t in_plane = part % t->parts_of_plane, first = in_plane * ROWS_PER_PART;
		uint32_t rows = in_plane + 1 < t->parts_of_plane ? ROWS_PER_PART : n - first;
		const uint8_t *w = row_bytes(t->w, first) + g->plane * t->plane_stride;
		const float *bias = t->bias->data ? row_f32(t->bias, g->plane) + first : NULL;

		for (uint32_t i = 0; i < g->count; i += TOKENS) {
			uint32_t tokens = g->count - i < TOKENS ? g->count - i : TOKENS;
			size_t at = (size_t)g->first + i, skipped = t->pick ? 0 : at;

			t->cpu->k->matmul(y, MOST_ROWS, w, t->w->stride, t->w->type, rows, k,
					  t->xq ? t->xq + skipped * (k / 32) : NULL,
					  t->xf ? t->xf + skipped * t->x_stride : NULL, t->x_stride,
					  t->pick ? t->pick + at : NULL, tokens);
			for (uint32_t j = 0; j < tokens; j++) {
				uint32_t r = t->order ? t->order[at + j] : (uint32_t)at + j;

				t->cpu->k->store_product(row_f32(t->dst, r) + first,
							 y + (size_t)j * MOST_ROWS, bias,
							 t->add, rows);
			}
		}
	}
}

/* Sorts the products by plane (count: [planes], zeros).  Returns the number of groups. */
static uint32_t group_by_plane(const struct view *sel, uint32_t planes, uint32_t *count,
			       struct group *group, uint32_t *order, uint32_t *pick)
{
	uint32_t groups = 0, first = 0;

	for (uint32_t i = 0; i < sel->rows; i++)
		for (uint32_t j = 0; j < sel->cols; j++)
			if (row_i32(sel, i)[j] >= 0)
				count[row_i32(sel, i)[j]]++;
	for (uint32_t p = 0; p < planes; p++) {
		if (!count[p])
			continue;
		group[groups++] = (struct group) { p, first, count[p] };
		first += count[p];
		count[p] = first - count[p];	/* from now on: where the next one goes */
	}
	for (uint32_t i = 0; i < sel->rows; i++)
		for (uint32_t j = 0; j < sel->cols; j++) {
			int32_t p = row_i32(sel, i)[j];

			if (p < 0)
				continue;
			order[count[p]] = i * sel->cols + j;
			pick[count[p]++] = i;
		}
	return groups;
}

static bool planes_ok(const struct octans_cmd_matmul *cmd, const struct view *w, bool selected)
{
	uint64_t plane = (w->rows - 1) * w->stride + type_bytes(w->type, w->cols);
	uint64_t left = ADDRESS_END - plane - (uint64_t)(uintptr_t)w->data;

	if (!cmd->planes || cmd->planes > OCTANS_MAX_PLANES || (cmd->planes > 1 && !selected))
		return false;
	if (cmd->planes == 1)
		return !cmd->plane_stride;
	return cmd->plane_stride % type_align(w->type) == 0 &&
	       cmd->plane_stride >= plane && cmd->plane_stride <= left / (cmd->planes - 1);
}

static bool selectors_ok(const struct view *sel, uint32_t planes)
{
	for (uint32_t i = 0; i < sel->rows; i++)
		for (uint32_t j = 0; j < sel->cols; j++)
			if (row_i32(sel, i)[j] >= (int32_t)planes)
				return false;
	return true;
}

static int run(struct cpu *cpu, const void *command, const struct view *view)
{
	const struct octans_cmd_matmul *cmd = command;
	struct matmul t = {
		.cpu = cpu, .dst = &view[0], .x = &view[1], .w = &view[2], .bias = &view[3],
		.sel = &view[4], .plane_stride = cmd->plane_stride, .planes = cmd->planes,
		.add = cmd->cmd.flags & OCTANS_MATMUL_ADD, .groups = 1,
	};
	uint32_t m = t.x->rows, n = t.w->rows, k = t.w->cols, s = t.sel->data ? t.sel->cols : 1;
	bool x16 = cmd->cmd.flags & OCTANS_MATMUL_X16;
	uint64_t products = (uint64_t)m * s, macs;
	size_t sorting = t.sel->data ? products : 0, planes = t.sel->data ? t.planes : 0;
	struct group all = { 0, 0, m };

	if (cmd->reserved || m > OCTANS_MAX_TOKENS || s > OCTANS_MAX_SELECTED ||
	    products > OCTANS_MAX_ROWS || n > OCTANS_MAX_COLS || t.x->cols != k ||
	    !is_shape(t.dst, products, n) || !is_shape_or_absent(t.bias, t.planes, n) ||
	    !planes_ok(cmd, t.w, t.sel->data) || (t.sel->data && t.sel->rows != m) ||
	    (x16 && t.w->type != OCTANS_TYPE_F16 && t.w->type != OCTANS_TYPE_BF16))
		return -EINVAL;
	if (t.sel->data && !selectors_ok(t.sel, t.planes))
		return -EINVAL;

	/* y of each thread, then what sorting by plane needs */
	t.y_size = (products < TOKENS ? products : TOKENS) * MOST_ROWS * sizeof(float);
	t.y = buffer_get(&cpu->scratch, t.y_size * pool_threads(cpu->pool) +
			 planes * (sizeof(struct group) + sizeof(uint32_t)) +
			 2 * sorting * sizeof(uint32_t));
	if (!t.y)
		return -ENOMEM;
	t.group = &all;
	if (t.sel->data) {
		struct group *group = (void *)((uint8_t *)t.y + t.y_size * pool_threads(cpu->pool));
		uint32_t *count = (void *)(group + planes), *order = count + planes;

		memset(count, 0, planes * sizeof(*count));
		t.groups = group_by_plane(t.sel, t.planes, count, group, order, order + sorting);
		t.group = group;
		t.order = order;
		t.pick = order + sorting;
		if (!t.groups)
			return 0;
	}

	t.xf = row_f32(t.x, 0);
	t.x_stride = t.x->stride / sizeof(float);
	if (!type_is_float(t.w->type)) {
		t.xf = NULL;
		t.xq = prepared_x(cpu, t.x, X_INT8);
	} else if (x16) {
		t.xf = prepared_x(cpu, t.x, t.w->type == OCTANS_TYPE_F16 ? X_F16 : X_BF16);
		t.x_stride = k;
	}
	if (!t.xf && !t.xq)
		return -ENOMEM;
	t.parts_of_plane = n < LEAST_ROWS ? 1 : (n + ROWS_PER_PART - LEAST_ROWS) / ROWS_PER_PART;
	macs = (products + t.groups - 1) / t.groups * k * (n < ROWS_PER_PART ? n : ROWS_PER_PART);
	share(cpu, t.groups * t.parts_of_plane, macs / 32, multiply, &t);
	forget_written_x(cpu, t.dst);
	return 0;
}

static void cost(const void *command, struct op_cost *c)
{
	const struct octans_cmd_matmul *cmd = command;
	uint64_t macs = (uint64_t)cmd->w.rows * cmd->w.cols;

	c->planes = cmd->sel.rows ? cmd->planes : 0;
	(c->planes ? &c->plane : &c->once)->bytes =
		cmd->w.rows * type_bytes(cmd->w.type, cmd->w.cols) + cmd->bias.cols * 4ull;
	if (cmd->cmd.flags & OCTANS_MATMUL_X16)
		c->row.macs_f16 = macs;
	else if (type_is_float(cmd->w.type))
		c->row.macs_f32 = macs;
	else
		c->row.macs_int8 = macs;
}

const struct op op_matmul = {
	.name = "MATMUL",
	.size = sizeof(struct octans_cmd_matmul),
	.flags = flags_ok,
	.operands = 5,
	.operand = {
		{ offsetof(struct octans_cmd_matmul, dst), false, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_matmul, x), false, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_matmul, w), false, true, WEIGHTS },
		{ offsetof(struct octans_cmd_matmul, bias), true, true, TYPE(F32) },
		{ offsetof(struct octans_cmd_matmul, sel), true, false, TYPE(I32) },
	},
	.run = run,
	.cost = cost,
};
