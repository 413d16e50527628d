// SPDX-License-Identifier: MIT
#include "layer.h"

const uint32_t top_sizes[TOP_LISTS] = { 1, 64, OCTANS_MAX_TOPK };

static const struct layer_kind *const kinds[] = {
	&layer_embed, &layer_attn_gqa, &layer_ffn, &layer_head,
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
	return tensor_f32(b->at->x, b->shape->batch, b->layer->embd, b->rows);
}

struct octans_tensor build_scratch(const struct build *b, unsigned int i)
{
	return tensor_f32(b->at->scratch[i], b->shape->batch, b->layer->kind->scratch(b->layer, i), b->rows);
}

struct octans_tensor build_state(const struct build *b, unsigned int i)
{
	return tensor_f32(b->own->keep[KEEP_STATE + i], b->shape->slots, b->layer->state.fixed[i], 0);
}

struct octans_tensor build_array(const struct build *b, uint64_t va, uint32_t cols)
{
	return tensor_i32(va, b->shape->batch, cols, b->rows);
}

void build_rms(struct build *b, struct octans_tensor dst, struct octans_tensor x, int slot)
{
	RECORD(&b->r, ROW, row, OCTANS_ROW_RMS, .dst = dst, .x = x, .w = build_weight(b, slot), .groups = 1,
	       .eps = b->layer->eps);
}

void build_matmul(struct build *b, struct octans_tensor dst, struct octans_tensor x, int w, int bias,
		  uint16_t flags)
{
	const struct octans_tensor none = { 0 };

	RECORD(&b->r, MATMUL, matmul, flags, .dst = dst, .x = x, .w = build_weight(b, w),
	       .bias = bias == NO_BIAS ? none : build_weight(b, bias), .planes = 1);
}

static void record_group(void *arg, int group)
{
	struct build *b = arg;

	b->rows = group ? OCTANS_DYN(P_SECOND, P_FIRST) : OCTANS_DYN_ROWS(P_FIRST);
	b->layer->kind->record(b);
}

void layer_record(struct build *b, uint32_t index, const struct layer *l, bool grouped)
{
	static const struct layer_places nowhere;

	b->layer = l;
	b->own = b->at->layers ? &b->at->layers[index] : &nowhere;
	if (grouped && l->kind->grouped)
		record_in_groups(&b->r, record_group, b);
	b->rows = OCTANS_DYN_ROWS(P_ROWS);	/* one token is a group by itself */
	if (!grouped || !l->kind->grouped)
		l->kind->record(b);
}
