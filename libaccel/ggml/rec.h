/* SPDX-License-Identifier: MIT */
/*
 * A graph of ggml becomes a stream of commands.  Nodes are recorded one after the other; what must be known at
 * each run and is in no tensor as commands want it, cosines, say, is written before it, by the stream's fixes.
 */
#ifndef GGML_REC_H
#define GGML_REC_H

#include "card.h"
#include "op/record.h"

/* A tensor, where it is for who runs the stream. */
struct ref {
	uint64_t va;
	uint64_t ne[GG_DIMS], nb[GG_DIMS];
	uint32_t type;
};

struct fix {			/* bytes of the stream's data that differ from run to run */
	void (*fill)(const struct fix *f, uint8_t *to);
	struct ggml_tensor node, src[GG_SRCS];	/* given(); as they were when it was recorded */
	uint64_t offset, size;
	int64_t plane;			/* of src */
	int kind;			/* fill()'s */
};

/* How the mask of an attention is given to the processor. */
enum mask { MASK_ANY, MASK_RANGE, MASK_LIST };

struct rec {
	struct recorder r;
	bool on_cpu;			/* addresses are of this process */
	uint64_t scratch, scratch_used, scratch_most;
	uint64_t data, data_used;
	struct fix *fixes;		/* the caller frees it */
	uint32_t n_fixes, fixes_room;
	int err;
	const uint8_t *masks;		/* enum mask of each attention in turn; NULL: any */
	uint32_t n_masks;
};

#define MOST_ROWS 65536u		/* of activations in a command */

bool buffer_is_ours(const struct gg_buffer *b);
/* Where a tensor lies; NULL: it is not allocated, or not by this backend. */
struct region *region_of(const struct ggml_tensor *t);
struct ref ref_of(const struct rec *r, const struct ggml_tensor *t);
/* Rows first .. first + n - 1 of a plane. */
struct octans_tensor rows_of(const struct ref *t, uint64_t i2, uint64_t i3, uint64_t first, uint64_t n);
/* All of a plane. */
struct octans_tensor plane_of(const struct ref *t, uint64_t i2, uint64_t i3);
/* Planes become rows of one where all n of them allow it, which have the same rows. */
void merge(struct ref **t, int n);
/* F32 [ne1][ne0], until the node's end. */
struct ref scratch_f32(struct rec *r, uint64_t ne0, uint64_t ne1);
struct ref scratch_like(struct rec *r, const uint64_t ne[GG_DIMS]);
/* A fix, or the same that is there already; its data is at r->data + .offset. */
uint64_t fix_new(struct rec *r, const struct fix *like);
/* A tensor that no node of the graph computes: a copy that stays good as long as its buffer. */
struct ggml_tensor given(const struct ggml_tensor *t);
/* What it holds, in this process; where that is gone, its memory is damaged. */
const uint8_t *content(const struct ggml_tensor *t);

bool is_contiguous(const struct ref *t);
/* Elements follow each other in rows. */
bool rows_dense(const struct ggml_tensor *t);
bool same_shape(const struct ggml_tensor *a, const struct ggml_tensor *b);
float param_f32(const struct ggml_tensor *t, int i);

/* dst = src, converted, of the same shape; can_copy() says whether types and strides allow it. */
void copy_ref(struct rec *r, struct ref dst, struct ref src);
bool can_copy(const struct ref *dst, const struct ref *src);
/* dst = f(a) op b, where b is repeated. */
void map_ref(struct rec *r, uint16_t flags, const float imm[4], struct ref dst, struct ref a, const struct ref *b);
/* The first m rows of a plane of a mask, in F32, in scratch if they are not. */
struct ref mask_plane(struct rec *r, const struct ref *mask, uint64_t m, uint64_t i2, uint64_t i3);
/* x += slope * mask, a plane each, with ALiBi's slope of the head where max_bias is above 0. */
void add_mask(struct rec *r, struct ref x, struct ref mask, float max_bias, uint64_t heads, uint64_t head);
/* Softmax of rows in place; of one plane with a sink beside them, the F32 at this address, or 0. */
void softmax_rows(struct rec *r, struct ref x, uint64_t sink_va);

/* ---- operations ---- */

struct ggml_op {
	const char *name;		/* ggml_op_desc() */
	bool (*can)(const struct ggml_tensor *t);
	void (*record)(struct rec *r, const struct ggml_tensor *t);	/* NULL: nothing is to be done */
};

/* NULL: there is no such one. */
const struct ggml_op *op_of_tensor(const struct ggml_tensor *t);
/* Can this backend compute t, all of it? */
bool op_supported(const struct ggml_tensor *t);
/* The newest mask that was looked at: layers have the same. */
struct mask_seen {
	const void *data;
	int64_t columns, rows;
	enum mask kind;
};
/* Which masks[] an attention may have now; MASK_ANY always. */
enum mask mask_of(const struct ggml_tensor *t, struct mask_seen *seen);

#define OP_LIST(X) \
	X(NONE) X(RESHAPE) X(VIEW) X(PERMUTE) X(TRANSPOSE) \
	X(GET_ROWS) X(SET_ROWS) X(CPY) X(DUP) X(CONT) X(CONCAT) X(REPEAT) X(FILL) X(PAD) \
	X(ADD) X(SUB) X(MUL) X(DIV) X(ADD_ID) X(SCALE) X(CLAMP) X(SQR) X(SQRT) \
	X(SILU) X(GELU) X(GELU_ERF) X(GELU_QUICK) X(RELU) X(SIGMOID) X(TANH) X(SOFTPLUS) X(NEG) X(ABS) \
	X(XIELU) X(REGLU) X(GEGLU) X(SWIGLU) X(GEGLU_ERF) X(GEGLU_QUICK) X(SWIGLU_OAI) \
	X(RMS_NORM) X(NORM) X(L2_NORM) X(SOFT_MAX) X(SUM_ROWS) X(MEAN) X(ARGSORT) X(TOP_K) X(ARGMAX) \
	X(MUL_MAT) X(MUL_MAT_ID) X(ROPE) X(FLASH_ATTN_EXT) \
	X(LIGHTNING_INDEXER) X(SSM_CONV) X(SSM_SCAN) X(GATED_DELTA_NET)

#endif
