// SPDX-License-Identifier: MIT
#include "layer.h"

const uint32_t top_sizes[TOP_LISTS] = { 1, 64, OCTANS_MAX_TOPK };

static const struct layer_kind *const kinds[] = {
#define LAYER_KIND(lower) &layer_##lower,
#include "layer_list.h"
#undef LAYER_KIND
};

const char *accel_layer_kind_name(enum accel_layer_kind kind)
{
	for (unsigned int i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i]->id == kind)
			return kinds[i]->name;
	return "?";
}

uint64_t layer_weight_bytes(const struct layer *l)
{
	uint64_t sum = 0;

	for (int i = 0; i < LAYER_WEIGHTS; i++)
		sum += l->w[i].size;
	return sum;
}

uint32_t kv_element(enum accel_kv_type type)
{
	return type == ACCEL_KV_F32 ? OCTANS_TYPE_F32 : type == ACCEL_KV_Q8_0 ? OCTANS_TYPE_Q8_0 :
	       OCTANS_TYPE_F16;
}

uint64_t kv_row(uint32_t cols, enum accel_kv_type type)
{
	return type == ACCEL_KV_F32 ? 4ull * cols : type == ACCEL_KV_Q8_0 ? cols / 32 * 34ull : 2ull * cols;
}

uint64_t keep_row(const struct layer *l, enum keep keep, const struct shape *shape)
{
	switch (keep) {
	case KEEP_KEYS:
		return kv_row(l->state.k_cols, shape->kv_type);
	case KEEP_VALUES:
		return kv_row(l->state.v_cols, shape->kv_type);
	default:
		return 4ull * l->state.fixed[keep - KEEP_STATE];
	}
}

uint64_t keep_bytes(const struct layer *l, enum keep keep, const struct shape *shape)
{
	uint64_t rows = keep_is_paged(keep) ? (uint64_t)shape->pages << shape->page_log2 : shape->slots;

	return rows * keep_row(l, keep, shape);
}

uint32_t keep_page_words(const struct layer *l, enum keep keep, const struct shape *shape)
{
	uint64_t words = keep_is_paged(keep) ? (keep_row(l, keep, shape) << shape->page_log2) / 4 : 0;

	return words <= OCTANS_MAX_COLS ? words : 0;
}

bool layer_has_state(const struct layer *l)
{
	return l->state.fixed[0] || l->state.fixed[1];
}

bool layer_stays(const struct layer *l)
{
	return l->kind == &layer_embed && l->w[EMBED_INPUTS].data;
}

/* ---- recording ---- */

struct octans_tensor build_weight(const struct build *b, int slot)
{
	const struct weight *w = &b->layer->w[slot];

	if (!w->data)
		return (struct octans_tensor) { 0 };
	return (struct octans_tensor) {
		.va = b->own->w[slot], .stride = w->stride, .rows = w->rows, .cols = w->cols,
		.type = w->type,
	};
}

struct octans_tensor build_x(const struct build *b)
{
	struct octans_tensor x = tensor_f32(b->at->x, b->shape->batch, b->m->n_stream, b->rows);

	x.cols = b->layer->embd;
	return x;
}

struct octans_tensor build_beside(const struct build *b, uint32_t from, uint32_t n)
{
	return tensor_columns(build_x(b), from, n);
}

struct octans_tensor build_scratch(const struct build *b, unsigned int i)
{
	return tensor_f32(b->at->scratch[i], b->shape->batch, b->layer->kind->scratch(b->layer, b->shape, i), b->rows);
}

struct octans_tensor build_state(const struct build *b, unsigned int i)
{
	return tensor_f32(b->own->keep[KEEP_STATE + i], b->shape->slots, b->layer->state.fixed[i], 0);
}

struct octans_tensor build_array(const struct build *b, uint64_t va, uint32_t cols)
{
	return tensor_i32(va, b->shape->batch, cols, b->rows);
}

struct octans_tensor build_table(const struct build *b, int table)
{
	return table_tensor(&b->m->tables[table], b->shape->ctx, b->shape->batch, b->at->table[table]);
}

/* The number of rows that are worked on, times as many. */
static uint32_t count(const struct build *b, int times)
{
	static const uint32_t plain[] = { P_ROWS, P_FIRST, P_SECOND };

	return times < 0 ? plain[b->group + 1] : P_TIMES + 3u * times + b->group + 1;
}

struct octans_tensor build_table_rows(const struct build *b, int table, int times)
{
	struct octans_tensor t = build_table(b, table);

	t.dyn = OCTANS_DYN_ROWS(count(b, times));
	return t;
}

struct octans_tensor tensor_columns(struct octans_tensor t, uint32_t from, uint32_t n)
{
	t.va += 4ull * from;
	t.cols = n;
	return t;
}

static uint32_t dyn_of(const struct build *b, int times)
{
	/* the second group begins behind the first */
	return b->group == 1 ? OCTANS_DYN(count(b, times), count(b, times) - 1) : OCTANS_DYN_ROWS(count(b, times));
}

struct octans_tensor build_scratch_rows(const struct build *b, unsigned int i, int times, uint32_t n,
					uint32_t cols)
{
	return tensor_f32(b->at->scratch[i], b->shape->batch * n, cols, dyn_of(b, times));
}

struct octans_tensor build_split(const struct build *b, struct octans_tensor t, int times, uint32_t n)
{
	t.cols /= n;
	t.stride /= n;
	t.rows *= n;
	t.dyn = dyn_of(b, times);
	return t;
}

void build_norm(struct build *b, struct octans_tensor dst, struct octans_tensor x, int slot, int bias)
{
	const struct octans_tensor none = { 0 };

	RECORD(&b->r, ROW, row, b->layer->norm, .dst = dst, .x = x, .w = build_weight(b, slot),
	       .bias = bias == NO_BIAS ? none : build_weight(b, bias), .groups = 1, .eps = b->layer->eps);
}

struct octans_tensor build_input(struct build *b, unsigned int scratch)
{
	if (!build_has(b, NORM_W))
		return build_x(b);
	build_norm(b, build_scratch(b, scratch), build_x(b), NORM_W, NORM_B);
	return build_scratch(b, scratch);
}

void build_rms(struct build *b, struct octans_tensor dst, struct octans_tensor x, int slot, uint32_t groups)
{
	RECORD(&b->r, ROW, row, OCTANS_ROW_RMS, .dst = dst, .x = x, .w = build_weight(b, slot), .groups = groups,
	       .eps = b->layer->eps);
}

void build_matmul(struct build *b, struct octans_tensor dst, struct octans_tensor x, int w, int bias,
		  uint16_t flags)
{
	const struct octans_tensor none = { 0 };

	RECORD(&b->r, MATMUL, matmul, flags, .dst = dst, .x = x, .w = build_weight(b, w),
	       .bias = bias == NO_BIAS ? none : build_weight(b, bias), .planes = 1);
}

void build_matmul_by(struct build *b, struct octans_tensor dst, struct octans_tensor x, int w, int bias,
		     struct octans_tensor sel)
{
	const struct octans_tensor none = { 0 };
	const struct weight *of = &b->layer->w[w];

	RECORD(&b->r, MATMUL, matmul, 0, .dst = dst, .x = x, .w = build_weight(b, w),
	       .bias = bias == NO_BIAS ? none : build_weight(b, bias), .sel = sel, .planes = of->planes,
	       .plane_stride = of->planes < 2 ? 0 : b->own->plane[w] ? b->own->plane[w] : of->rows * of->stride);
}

void build_map(struct build *b, struct octans_tensor dst, enum octans_map f, struct octans_tensor a,
	       enum octans_map_op op, struct octans_tensor with)
{
	RECORD(&b->r, MAP, map, OCTANS_MAP(f, op), .dst = dst, .a = a, .b = with);
}

void build_affine(struct build *b, struct octans_tensor dst, struct octans_tensor a, float factor, float term)
{
	RECORD(&b->r, MAP, map, OCTANS_MAP(OCTANS_MAP_ID, OCTANS_MAP_NONE) | OCTANS_MAP_AFFINE, .dst = dst, .a = a,
	       .imm = { factor, term });
}

void build_rotate(struct build *b, struct octans_tensor x, int rope, uint32_t heads, uint32_t head_dim,
		  uint32_t first)
{
	const struct rope *r = &b->m->tables[rope].rope;

	RECORD(&b->r, ROPE, rope, r->half ? OCTANS_ROPE_HALF : 0, .dst = x, .x = x, .cs = build_table(b, rope),
	       .pos = build_array(b, b->at->step.positions, 1), .heads = heads, .head_dim = head_dim,
	       .first = first, .rot = r->rot);
}

bool layer_adds_apart(const struct layer *l)
{
	return l->w[POST_W].data || l->residual;
}

void build_add_of(struct build *b, struct octans_tensor y)
{
	const struct octans_tensor x = build_x(b);
	const float scale = b->layer->residual;

	if (build_has(b, POST_W))
		build_norm(b, y, y, POST_W, NO_BIAS);
	RECORD(&b->r, MAP, map, OCTANS_MAP(OCTANS_MAP_ID, OCTANS_MAP_ADD) | (scale ? OCTANS_MAP_AFFINE : 0),
	       .dst = x, .a = y, .b = x, .imm = { scale });
}

void build_add(struct build *b, struct octans_tensor from, int w, int bias, unsigned int scratch)
{
	const bool apart = layer_adds_apart(b->layer);
	const struct octans_tensor to = apart ? build_scratch(b, scratch) : build_x(b);
	const struct columns *outer = &b->layer->part.outer;

	build_matmul(b, build_own(b, to, outer), from, w, bias, apart ? 0 : OCTANS_MATMUL_ADD);
	build_exchange(b, to, outer, true);
	if (apart)
		build_add_of(b, to);
}

void build_stream(struct build *b, int slot)
{
	const struct octans_tensor x = build_x(b);

	if (build_has(b, slot))
		build_map(b, x, OCTANS_MAP_ID, x, OCTANS_MAP_MUL, build_weight(b, slot));
}

struct octans_tensor build_pool(const struct build *b, enum keep keep, uint32_t cols)
{
	const uint32_t of = b->layer->state.of;
	const struct layer *l = of ? &b->m->layers[of] : b->layer;

	return (struct octans_tensor) {
		.va = b->kept->keep[keep], .stride = keep_row(l, keep, b->shape),
		.rows = b->shape->pages << b->shape->page_log2, .cols = cols,
		.type = kv_element(b->shape->kv_type),
	};
}

struct octans_tensor build_pages(const struct build *b)
{
	return tensor_i32(b->at->step.pages, b->shape->seqs, shape_seq_pages(b->shape), OCTANS_DYN_ROWS(P_SEQS));
}

struct octans_tensor build_range(const struct build *b, unsigned int window)
{
	return build_array(b, b->at->step.ranges + 8ull * window * b->shape->batch, 2);
}

void build_attend(struct build *b, struct octans_cmd_attend *cmd, unsigned int window)
{
	const bool list = cmd->range.rows;

	cmd->pages = build_pages(b);
	cmd->seq = build_array(b, b->at->step.seqs, 1);
	if (!list)
		cmd->range = build_range(b, window);
	cmd->page_log2 = b->shape->page_log2;
	record(&b->r, OP_ATTEND, list ? OCTANS_ATTEND_LIST : 0, cmd, sizeof(*cmd));
}

static void record_group(void *arg, int group)
{
	struct build *b = arg;

	b->rows = group ? OCTANS_DYN(P_SECOND, P_FIRST) : OCTANS_DYN_ROWS(P_FIRST);
	b->group = group;
	b->layer->kind->record(b);
}

void layer_record(struct build *b, uint32_t index, const struct layer *l, bool grouped)
{
	static const struct layer_places nowhere;
	const bool groups = grouped && l->kind->grouped && !l->part.of;

	b->exchanged = (struct exchanged) { 0 };
	b->layer = l;
	b->own = b->at->layers ? &b->at->layers[index] : &nowhere;
	b->kept = b->at->layers && index && l->state.of ? &b->at->layers[l->state.of] : b->own;
	if (groups)
		record_in_groups(&b->r, record_group, b);
	b->rows = OCTANS_DYN_ROWS(P_ROWS);	/* one token is a group by itself */
	b->group = -1;
	if (!groups)
		l->kind->record(b);
}
