// SPDX-License-Identifier: MIT
/*
 * MATMUL.  Rows of x are prepared in batches (quantised, or rounded); the products of a batch are
 * taken plane by plane, some dozen at a time, and for those the rows of the plane stream past:
 * unpacked once for all of them (tile.h), or multiplied as they are read if there are few.
 */
#include "exec.h"

#include <string.h>

#include "dot.h"
#include "tile.h"

#define MATMUL_TILE 64u			/* products that share a reading of the plane */
#define MATMUL_FEW 3u			/* up to so many are done one by one */
#define MATMUL_COLS 1024u		/* columns of dst between two writes: rows of the plane */
#define MATMUL_STEP 512u		/* rows of the plane that are shared out at once, at most */
#define MATMUL_VIEW 65536u		/* bytes of one access to the plane */
#define MATMUL_BYTES (1u << 20)		/* of the plane that are shared out at once */
/* Elements of a row that are shared out at once: for a tile, and for products one by one. */
#define MATMUL_TILE_K 8192u
#define MATMUL_FEW_K 65536u
#ifndef MATMUL_KEEPS			/* tests make it smaller */
#define MATMUL_KEEPS (32u << 20)	/* bytes of rows of x */
#endif

struct matmul {
	struct operand dst, x, w, bias, sel;
	uint32_t m, n, k, s, planes;
	uint64_t plane_stride;
	uint32_t block, block_bytes;	/* of the type of w */
	bool add, x16, floats;
	int32_t *choice;		/* sel, or NULL: plane 0 for every row */
	uint32_t *used;			/* [planes]: products of each */
	uint32_t most;			/* of used */
	/* the batch */
	uint32_t first, rows;		/* of x */
	float *values;			/* floats: [rows][k] */
	struct sim_quant quant;		/* else: of the rows one after the other */
	float *stage;			/* x as it is read */
	uint32_t *order, *start;	/* products by plane; where each plane's begin */
	/* the products at hand */
	struct sim_quant few[MATMUL_TILE];
	const float *few_values[MATMUL_TILE];
	uint32_t products, sums;
	bool tiled;
	struct sim_tile tile;
	float *acc, *y, *bias_piece, *old;
	uint32_t col, cols;		/* rows of the plane that give y */
	uint32_t at, len;		/* elements of their rows */
	uint32_t step, step_rows;	/* rows that are shared out */
	size_t ahead;			/* bytes from the rows of a thread to its next ones */
	const uint8_t **views;
	uint8_t *scratch;
};

/* ---- checks ---- */

static bool matmul_planes_ok(const struct matmul *p)
{
	uint64_t plane = exec_hull(&p->w), top = 1ull << OCTANS_VA_BITS;

	if (!p->planes || p->planes > OCTANS_MAX_PLANES)
		return false;
	if (p->planes == 1)
		return !p->plane_stride;
	return p->sel.present && p->plane_stride >= plane &&
	       p->plane_stride % sim_type_align(p->w.type) == 0 &&
	       p->plane_stride <= top / (p->planes - 1) &&
	       exec_range_ok(p->w.va, (p->planes - 1) * p->plane_stride + plane);
}

static int matmul_check(struct exec *e, struct matmul *p, const struct octans_cmd_matmul *c)
{
	if (c->cmd.flags & ~(OCTANS_MATMUL_ADD | OCTANS_MATMUL_X16) ||
	    !exec_operand(e, &p->dst, &c->dst, EXEC_F32, 0) ||
	    !exec_operand(e, &p->x, &c->x, EXEC_F32, 0) ||
	    !exec_operand(e, &p->w, &c->w, EXEC_WEIGHTS, EXEC_FIXED) ||
	    !exec_operand(e, &p->bias, &c->bias, EXEC_F32, EXEC_OPTIONAL | EXEC_FIXED) ||
	    !exec_operand(e, &p->sel, &c->sel, EXEC_I32, EXEC_OPTIONAL))
		return OCTANS_JOB_BAD_CMD;
	if (exec_skipped(e))
		return OCTANS_JOB_OK;
	p->m = p->x.rows;
	p->n = p->w.rows;
	p->k = p->w.cols;
	p->s = p->sel.present ? p->sel.cols : 1;
	p->planes = c->planes;
	p->plane_stride = c->plane_stride;
	p->add = c->cmd.flags & OCTANS_MATMUL_ADD;
	p->x16 = c->cmd.flags & OCTANS_MATMUL_X16;
	p->floats = sim_type_is_float(p->w.type);
	sim_type_block(p->w.type, &p->block, &p->block_bytes);
	if (c->reserved ||
	    (p->x16 && p->w.type != OCTANS_TYPE_F16 && p->w.type != OCTANS_TYPE_BF16) ||
	    p->x.cols != p->k || p->n > OCTANS_MAX_COLS || p->dst.cols != p->n ||
	    p->s > OCTANS_MAX_SELECTED || !matmul_planes_ok(p) ||
	    (p->bias.present && (p->bias.cols != p->n || p->bias.rows != p->planes)))
		return OCTANS_JOB_BAD_CMD;
	return OCTANS_JOB_OK;
}

static int matmul_read_sel(struct exec *e, struct matmul *p)
{
	uint32_t all = p->m * p->s;

	p->used = exec_alloc(e, p->planes * 4ull);
	p->choice = p->sel.present ? exec_alloc(e, all * 4ull) : NULL;
	if (!p->used || (p->sel.present && !p->choice))
		return OCTANS_JOB_BUS;
	memset(p->used, 0, p->planes * 4ull);
	if (!p->sel.present) {
		p->used[0] = p->m;
		return OCTANS_JOB_OK;
	}
	EXEC_TRY(exec_get_elements(e, &p->sel, 0, all, p->choice));
	for (uint32_t i = 0; i < all; i++) {
		if (p->choice[i] >= 0) {
			if ((uint32_t)p->choice[i] >= p->planes)
				return OCTANS_JOB_BAD_CMD;
			p->used[p->choice[i]]++;
		}
		if (i % EXEC_PIECE == EXEC_PIECE - 1)
			EXEC_TRY(exec_work(e, 2 * EXEC_PIECE));
	}
	return OCTANS_JOB_OK;
}

/* ---- cost ---- */

static bool matmul_left_out(const struct matmul *p, uint32_t product)
{
	return p->choice && p->choice[product] < 0;
}

/* Rows of dst that have a product. */
static int matmul_cost_dst(struct exec *e, const struct matmul *p, bool write)
{
	uint32_t all = p->m * p->s;

	exec_cost_hull(e, write, &p->dst);
	for (uint32_t i = 0, run; i < all; i += run) {
		bool out = matmul_left_out(p, i);

		run = 1;
		while (run < all - i && run < EXEC_PIECE && matmul_left_out(p, i + run) == out)
			run++;
		if (!out && sim_cost_rows(e->m, exec_row(&p->dst, i), p->dst.stride, run,
					  p->dst.row_bytes, 1))
			return OCTANS_JOB_FAULT;
		EXEC_TRY(exec_work(e, 5 + run));
	}
	return OCTANS_JOB_OK;
}

static int matmul_costs(struct exec *e, struct matmul *p)
{
	uint64_t kept = e->ex->profile->sram_size / (4ull * p->k), products = 0, macs;

	EXEC_TRY(exec_cost(e, false, &p->sel));
	EXEC_TRY(exec_cost(e, false, &p->x));
	if (p->bias.present) {
		exec_cost_hull(e, false, &p->bias);
		for (uint32_t i = 0; i < p->planes; i++) {
			if (p->used[i])
				EXEC_TRY(exec_cost_row(e, &p->bias, i));
			EXEC_TRY(exec_work(e, 5));
		}
	}
	sim_cost_operand(e->m, false, p->w.va,
			 (p->planes - 1) * p->plane_stride + exec_hull(&p->w));
	for (uint32_t i = 0; i < p->planes; i++) {
		uint32_t times = kept < 2 ? p->used[i] : (uint32_t)((p->used[i] + kept - 1) / kept);

		products += p->used[i];
		if (times && sim_cost_rows(e->m, p->w.va + i * p->plane_stride, p->w.stride, p->n,
					   p->w.row_bytes, times))
			return OCTANS_JOB_FAULT;
		EXEC_TRY(exec_work(e, 5));
	}
	if (p->add)
		EXEC_TRY(matmul_cost_dst(e, p, false));
	EXEC_TRY(matmul_cost_dst(e, p, true));
	macs = products * p->n * p->k;
	if (!p->floats) {
		e->ex->macs_int8 = macs;
		e->ex->macs_f32 = 8ull * p->m * p->k;
	} else if (p->x16) {
		e->ex->macs_f16 = macs;
		e->ex->macs_f32 = (uint64_t)p->m * p->k;
	} else {
		e->ex->macs_f32 = macs;
	}
	return OCTANS_JOB_OK;
}

/* ---- a batch of rows of x ---- */

static void matmul_quantize(void *arg, uint32_t index)
{
	const struct matmul *p = arg;
	uint32_t at = index * 1024, n = p->len - at < 1024 ? p->len - at : 1024;
	uint64_t to = (uint64_t)p->at + at;
	struct sim_quant x = { p->quant.d + to / 32, p->quant.xs + to / 32, p->quant.q + to };

	sim_quantize(&x, p->stage + at, n);
}

/* at and len are elements of the batch here: a batch has less than 2^32 bytes. */
static int matmul_read_x(struct exec *e, struct matmul *p)
{
	uint64_t first = (uint64_t)p->first * p->k;
	uint32_t all = p->rows * p->k;

	for (p->at = 0; p->at < all; p->at += p->len) {
		uint32_t left = all - p->at;

		p->len = left < EXEC_PIECE * 4 ? left : EXEC_PIECE * 4;
		if (!p->floats) {
			EXEC_TRY(exec_get_elements(e, &p->x, first + p->at, p->len, p->stage));
			EXEC_TRY(exec_share(e, (p->len + 1023) / 1024, matmul_quantize, p,
					    p->len * 4ull));
			continue;
		}
		EXEC_TRY(exec_get_elements(e, &p->x, first + p->at, p->len, p->values + p->at));
		if (p->x16 && p->w.type == OCTANS_TYPE_F16)
			sim_round_f16(p->values + p->at, p->values + p->at, p->len);
		if (p->x16 && p->w.type == OCTANS_TYPE_BF16)
			sim_round_bf16(p->values + p->at, p->values + p->at, p->len);
		EXEC_TRY(exec_work(e, p->len));
	}
	return OCTANS_JOB_OK;
}

/* The products of the batch by plane. */
static int matmul_sort(struct exec *e, struct matmul *p)
{
	uint32_t from = p->first * p->s, all = p->rows * p->s, sum = 0;

	memset(p->start, 0, (p->planes + 1) * 4ull);
	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < all; i++) {
			int32_t plane = p->choice ? p->choice[from + i] : 0;

			if (plane >= 0 && pass)
				p->order[p->start[plane]++] = i;
			else if (plane >= 0)
				p->start[plane]++;
			if (i % EXEC_PIECE == EXEC_PIECE - 1)
				EXEC_TRY(exec_work(e, 4 * EXEC_PIECE));
		}
		/* Numbers of products become beginnings; and ends of planes, after the second pass.
		 */
		for (uint32_t i = 0; i <= p->planes && !pass; i++) {
			uint32_t n = p->start[i];

			p->start[i] = sum;
			sum += n;
		}
		EXEC_TRY(exec_work(e, p->planes));
	}
	return OCTANS_JOB_OK;
}

/* ---- products of a plane with some rows of x ---- */

static void matmul_tile_part(void *arg, uint32_t index)
{
	const struct matmul *p = arg;
	struct sim_quant rows[TILE_LANES];
	const float *values[TILE_LANES];

	for (uint32_t g = 0; g < p->tile.groups; g++) {
		uint32_t first = g * TILE_LANES, left = p->products - first;
		uint32_t lanes = left < TILE_LANES ? left : TILE_LANES;

		for (uint32_t l = 0; l < lanes; l++) {
			const struct sim_quant *x = &p->few[first + l];

			if (p->floats)
				values[l] = p->few_values[first + l] + p->at;
			else
				rows[l] = (struct sim_quant){x->d + p->at / 32, x->xs + p->at / 32,
							     x->q + p->at};
		}
		if (p->floats)
			sim_tile_floats(&p->tile, index, g, values, lanes);
		else
			sim_tile_quant(&p->tile, index, g, rows, lanes);
	}
}

static int matmul_make_tile(struct exec *e, struct matmul *p)
{
	p->tile.n = p->len;
	p->tile.groups = (p->products + TILE_LANES - 1) / TILE_LANES;
	return exec_share(e, (p->len + SIM_BLOCK - 1) / SIM_BLOCK, matmul_tile_part, p,
			  (uint64_t)p->len * p->tile.groups * TILE_LANES / 2);
}

static uint64_t matmul_lanes(const struct matmul *p)
{
	return p->tiled ? p->tile.groups * TILE_LANES : p->products;
}

/* Sums of TILE_ROWS rows of the plane, from number @row of y on. */
static float *matmul_acc(const struct matmul *p, uint32_t row)
{
	return p->acc + row * matmul_lanes(p) * p->sums;
}

static void matmul_results(const struct matmul *p, uint32_t row, uint32_t rows)
{
	const float *acc = matmul_acc(p, row);

	for (uint32_t i = 0; i < p->products; i++) {
		float *y = p->y + (uint64_t)i * MATMUL_COLS + row;

		for (uint32_t r = 0; r < rows; r++) {
			uint32_t g = i / TILE_LANES, lane = i % TILE_LANES;
			uint64_t at = ((uint64_t)g * TILE_ROWS + r) * p->sums * TILE_LANES + lane;
			uint32_t apart = TILE_LANES;
			float sum[8];

			if (!p->tiled) {
				at = ((uint64_t)i * DOT_ROWS + r) * p->sums;
				apart = 1;
			}
			for (uint32_t l = 0; l < 8 && p->sums == 8; l++)
				sum[l] = acc[at + l * apart];
			y[r] = p->sums == 8 ? sim_fold(sum) : acc[at];
			if (p->bias.present)
				y[r] = y[r] + p->bias_piece[row + r];
		}
	}
}

_Static_assert(TILE_ROWS == DOT_ROWS, "both take the rows that are shared out together");

/* TILE_ROWS rows of the plane. */
static void matmul_part(void *arg, uint32_t index)
{
	const struct matmul *p = arg;
	uint32_t first = index * TILE_ROWS, left = p->step_rows - first;
	uint32_t rows = left < TILE_ROWS ? left : TILE_ROWS;
	float *acc = matmul_acc(p, p->step + first);
	const uint8_t *views[TILE_ROWS];

	for (uint32_t r = 0; r < TILE_ROWS; r++)
		views[r] = p->views[first + (r < rows ? r : 0)];
	if (!p->at)
		memset(acc, 0, TILE_ROWS * matmul_lanes(p) * p->sums * sizeof(*acc));
	if (p->tiled)
		sim_tile_dot(acc, views, p->w.type, &p->tile);
	for (uint32_t i = 0; !p->tiled && i < p->products; i++) {
		const struct sim_quant *x = &p->few[i];
		struct sim_quant piece = {x->d + p->at / 32, x->xs + p->at / 32, x->q + p->at};

		sim_dot(acc + (uint64_t)i * DOT_ROWS * p->sums, views, p->ahead, p->w.type,
			p->floats ? p->few_values[i] + p->at : NULL, &piece, p->len);
	}
	if (p->at + p->len == p->k)
		matmul_results(p, p->step + first, rows);
}

/* Shows the helpers @p->step_rows rows of the plane, from @va on. */
static int matmul_view(struct exec *e, const struct matmul *p, uint64_t va)
{
	uint64_t offset = (uint64_t)(p->at / p->block) * p->block_bytes;
	uint64_t len = (uint64_t)(p->len / p->block) * p->block_bytes;
	bool joined = p->w.stride == p->w.row_bytes && len == p->w.row_bytes;
	uint32_t most = joined && len < MATMUL_VIEW ? (uint32_t)(MATMUL_VIEW / len) : 1;

	for (uint32_t r = 0, n; r < p->step_rows; r += n) {
		const uint8_t *view;

		n = p->step_rows - r < most ? p->step_rows - r : most;
		view = sim_read(e->m, va + (p->step + r) * p->w.stride + offset, n * len,
				p->scratch + r * len);
		if (!view)
			return OCTANS_JOB_FAULT;
		for (uint32_t i = 0; i < n; i++)
			p->views[r + i] = view + i * len;
	}
	return OCTANS_JOB_OK;
}

/* All rows that give y, over one piece of them. */
static int matmul_piece(struct exec *e, struct matmul *p, uint64_t va)
{
	uint64_t lanes = matmul_lanes(p);
	/* An average host does 16 multiply-adds in a nanosecond if they share what is unpacked,
	 * else 4. */
	uint64_t ns = p->len * lanes / (p->tiled ? 16 : 4) + p->len / 4 + 10 * lanes + 10;
	uint64_t bytes = (uint64_t)(p->len / p->block) * p->block_bytes;
	uint64_t step = EXEC_SLICE_NS * (uint64_t)exec_threads(e) / ns;

	step = step < MATMUL_BYTES / bytes ? step : MATMUL_BYTES / bytes;
	step = step < MATMUL_STEP ? step : MATMUL_STEP;
	step = step < TILE_ROWS ? TILE_ROWS : step / TILE_ROWS * TILE_ROWS;
	for (p->step = 0; p->step < p->cols; p->step += p->step_rows) {
		p->step_rows = p->cols - p->step < step ? p->cols - p->step : (uint32_t)step;
		EXEC_TRY(matmul_view(e, p, va));
		EXEC_TRY(exec_share(e, (p->step_rows + TILE_ROWS - 1) / TILE_ROWS, matmul_part, p,
				    p->step_rows * ns));
	}
	return OCTANS_JOB_OK;
}

static int matmul_write(struct exec *e, const struct matmul *p, const uint32_t *order)
{
	for (uint32_t i = 0; i < p->products; i++) {
		uint32_t product = p->first * p->s + (order ? order[i] : i);
		uint64_t va = exec_row(&p->dst, product) + 4ull * p->col;
		float *y = p->y + (uint64_t)i * MATMUL_COLS;

		if (p->add) {
			EXEC_TRY(exec_get(e, va, 4ull * p->cols, p->old));
			sim_add(y, p->old, y, p->cols);
		}
		sim_canonical(y, p->cols);
		EXEC_TRY(exec_put(e, va, 4ull * p->cols, y));
		EXEC_TRY(exec_work(e, p->cols / 2));
	}
	return OCTANS_JOB_OK;
}

/* Products @order[0 ..] (NULL: all rows of the batch from @from on) of plane @plane. */
static int matmul_some(struct exec *e, struct matmul *p, uint32_t plane, const uint32_t *order,
		       uint32_t from, uint32_t n)
{
	uint32_t piece;

	p->products = n;
	p->tiled = n > MATMUL_FEW;
	piece = p->tiled ? MATMUL_TILE_K : MATMUL_FEW_K;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t at = (uint64_t)(order ? order[i] / p->s : from + i) * p->k;

		if (p->floats)
			p->few_values[i] = p->values + at;
		else
			p->few[i] = (struct sim_quant){p->quant.d + at / 32, p->quant.xs + at / 32,
						       p->quant.q + at};
	}
	for (p->col = 0; p->col < p->n; p->col += p->cols) {
		uint64_t va = p->w.va + plane * p->plane_stride + p->col * p->w.stride;

		p->cols = p->n - p->col < MATMUL_COLS ? p->n - p->col : MATMUL_COLS;
		if (p->bias.present)
			EXEC_TRY(exec_get(e, exec_row(&p->bias, plane) + 4ull * p->col,
					  4ull * p->cols, p->bias_piece));
		for (p->at = 0; p->at < p->k; p->at += p->len) {
			p->len = p->k - p->at < piece ? p->k - p->at : piece;
			/* One piece is all there is: the tile stays. */
			if (p->tiled && (p->k > piece || !p->col))
				EXEC_TRY(matmul_make_tile(e, p));
			EXEC_TRY(matmul_piece(e, p, va));
		}
		EXEC_TRY(matmul_write(e, p, order));
	}
	return OCTANS_JOB_OK;
}

static int matmul_plane(struct exec *e, struct matmul *p, uint32_t plane)
{
	uint32_t first = p->order && plane ? p->start[plane - 1] : 0;
	uint32_t end = p->order ? p->start[plane] : p->rows, batch = p->first;

	for (uint32_t at = first, n; at < end; at += n) {
		n = end - at < MATMUL_TILE ? end - at : MATMUL_TILE;
		if (p->order) {
			EXEC_TRY(matmul_some(e, p, plane, p->order + at, 0, n));
		} else {
			/* Rows of the batch count from its beginning, rows of dst from here. */
			p->first = batch + at;
			EXEC_TRY(matmul_some(e, p, plane, NULL, at, n));
			p->first = batch;
		}
	}
	return OCTANS_JOB_OK;
}

/* ---- the command ---- */

static bool matmul_memory(struct exec *e, struct matmul *p)
{
	uint32_t most = p->most < MATMUL_TILE ? p->most : MATMUL_TILE;
	uint32_t groups = (most + TILE_LANES - 1) / TILE_LANES,
		 cols = (p->n + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
	uint32_t piece = p->k < MATMUL_TILE_K ? p->k : MATMUL_TILE_K;
	uint64_t tile = most > MATMUL_FEW ? tile_elements(piece, groups) : 0;
	uint64_t elements = (uint64_t)p->rows * p->k;

	cols = cols < MATMUL_COLS ? cols : MATMUL_COLS;
	p->sums = p->floats ? 8 : 1;
	if (p->floats) {
		p->values = exec_alloc(e, elements * 4);
	} else {
		p->quant =
			(struct sim_quant){exec_alloc(e, elements / 8), exec_alloc(e, elements / 8),
					   exec_alloc(e, elements * 2)};
		p->stage = exec_alloc(e, EXEC_PIECE * 4 * sizeof(*p->stage));
		p->tile.d = exec_alloc(e, tile / 8);
		p->tile.xs = exec_alloc(e, tile / 8);
		if (!p->quant.d || !p->quant.xs || !p->quant.q || !p->stage || !p->tile.d ||
		    !p->tile.xs)
			return false;
	}
	if (p->choice) {
		p->order = exec_alloc(e, (uint64_t)p->rows * p->s * 4);
		p->start = exec_alloc(e, (p->planes + 1) * 4ull);
		if (!p->order || !p->start)
			return false;
	}
	p->tile.x = exec_alloc(e, tile * 4);
	p->acc = exec_alloc(e, (uint64_t)cols * groups * TILE_LANES * p->sums * 4);
	p->y = exec_alloc(e, (uint64_t)most * MATMUL_COLS * 4);
	p->bias_piece = exec_alloc(e, MATMUL_COLS * 4);
	p->old = exec_alloc(e, MATMUL_COLS * 4);
	p->views = exec_alloc(e, MATMUL_STEP * sizeof(*p->views));
	/* Eight rows are shared out even if they are longer than MATMUL_BYTES. */
	p->scratch = exec_alloc(e, MATMUL_BYTES + TILE_ROWS * 4ull * MATMUL_FEW_K);
	return (!p->floats || p->values) && p->tile.x && p->acc && p->y && p->bias_piece &&
	       p->old && p->views && p->scratch;
}

static int matmul_data(struct exec *e, struct matmul *p)
{
	uint64_t row = p->floats ? 4ull * p->k : 2ull * p->k + p->k / 4, keeps = MATMUL_KEEPS / row;
	uint32_t rows = keeps < 1 ? 1 : keeps < p->m ? (uint32_t)keeps : p->m;

	for (uint32_t i = 0; i < p->planes; i++)
		p->most = p->used[i] > p->most ? p->used[i] : p->most;
	if (!p->most)
		return OCTANS_JOB_OK;
	p->rows = rows;
	p->ahead = (size_t)exec_threads(e) * TILE_ROWS * p->w.stride;
	if (!matmul_memory(e, p))
		return OCTANS_JOB_BUS;
	for (p->first = 0; p->first < p->m; p->first += p->rows) {
		p->rows = p->m - p->first < rows ? p->m - p->first : rows;
		EXEC_TRY(matmul_read_x(e, p));
		if (p->choice)
			EXEC_TRY(matmul_sort(e, p));
		for (uint32_t i = 0; i < p->planes; i++) {
			if (p->used[i])
				EXEC_TRY(matmul_plane(e, p, i));
			EXEC_TRY(exec_work(e, 5));
		}
	}
	return OCTANS_JOB_OK;
}

int exec_matmul(struct exec *e, const struct octans_cmd_matmul *c)
{
	struct matmul p = { 0 };

	EXEC_TRY(matmul_check(e, &p, c));
	if (exec_skipped(e))
		return OCTANS_JOB_OK;
	if (p.m > OCTANS_MAX_TOKENS || (uint64_t)p.m * p.s > OCTANS_MAX_ROWS ||
	    p.dst.rows != p.m * p.s || (p.sel.present && p.sel.rows != p.m))
		return OCTANS_JOB_BAD_CMD;
	EXEC_TRY(matmul_read_sel(e, &p));
	EXEC_TRY(matmul_costs(e, &p));
	return e->ex->timing_only ? OCTANS_JOB_OK : matmul_data(e, &p);
}
