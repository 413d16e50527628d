/* SPDX-License-Identifier: MIT */
/*
 * Layers: what a model is made of once its file has been read, and what is scheduled.  A layer owns
 * all that is said about it: its operations (record()), parameters, weights, and what it keeps of a
 * sequence.  A kind of layer is one file, LAYER_KIND.c, and one line of the table in layer.c.
 */
#ifndef ACCEL_LAYER_H
#define ACCEL_LAYER_H

#include <stdbool.h>
#include <stdint.h>

#include <accel/model.h>

#include "op/record.h"
#include "rope.h"

/* A weight as it lies in the file. */
struct weight {
	const void *data;	/* NULL: the model has none */
	uint64_t size;		/* bytes */
	uint64_t stride;	/* bytes of a row */
	uint32_t rows, cols;
	uint32_t type;		/* enum accel_type */
};

/* Weight slots */
enum { EMBED_TABLE };
enum { ATTN_NORM, ATTN_Q, ATTN_K, ATTN_V, ATTN_OUT, ATTN_BQ, ATTN_BK, ATTN_BV, ATTN_BOUT };
enum { FFN_NORM, FFN_GATE, FFN_UP, FFN_DOWN, FFN_BGATE, FFN_BUP, FFN_BDOWN };
enum { HEAD_NORM, HEAD_OUT };	/* HEAD_OUT: the last of its layer */
#define LAYER_WEIGHTS 9
#define LAYER_SCRATCH 5

struct attn_gqa {
	uint32_t heads, kv_heads;
	uint32_t head_dim;		/* of keys and of values */
	float scale;			/* of scores */
	const struct rope *rope;	/* NULL: positions are not told */
};

struct ffn {
	uint32_t width;
	enum octans_map activation;	/* of the gate */
};

struct layer_kind;

struct layer {
	const struct layer_kind *kind;
	uint32_t block;
	uint32_t embd;			/* columns of the residual stream */
	float eps;			/* of the norm */
	struct weight w[LAYER_WEIGHTS];
	union {
		struct attn_gqa attn;
		struct ffn ffn;
	};
	/* What it keeps of a sequence. */
	struct {
		uint32_t k_cols, v_cols;	/* of each position's keys and values */
		uint32_t head_dim;	/* which a block of the type that they are kept in must divide */
		uint32_t fixed[2];	/* F32s of a state that positions change, and that cannot go back */
	} state;
};

/* Pools of what a layer keeps: by position, in pages of all sequences; or by slot of a state. */
enum keep { KEEP_KEYS, KEEP_VALUES, KEEP_STATE, KEEP_STATE2, KEEP_COUNT };

/* ---- what layers are recorded for ---- */

struct shape {
	uint32_t ctx;			/* positions of a sequence */
	uint32_t seqs;			/* sequences in a step */
	uint32_t page_log2;		/* of positions of a page */
	uint32_t pages;			/* of keys and values, of all sequences */
	uint32_t slots;			/* of states, of all sequences; 0: no layer has any */
	uint32_t marks;			/* states that a sequence keeps */
	uint32_t batch;			/* most rows (tokens) of a step */
	uint32_t out;			/* most rows of logits of a step */
	enum accel_kv_type kv_type;
};

static inline uint32_t shape_seq_pages(const struct shape *s)
{
	return (s->ctx + (1u << s->page_log2) - 1) >> s->page_log2;
}

/* The k largest logits are found by one of these commands, the first that finds enough. */
#define TOP_LISTS 3
extern const uint32_t top_sizes[TOP_LISTS];
/* Rows of which they are found in one step. */
#define TOP_ROWS 32u

/* Parameters of a step: numbers of rows. */
enum param {
	P_ROWS,				/* tokens */
	P_FIRST,			/* of them in the first group */
	P_SECOND,			/* and in the second, which may be empty */
	P_SEQS,				/* sequences */
	P_OUT,				/* tokens whose logits are computed: first those whose largest */
	P_TOP_ROWS,			/* are found, so many, */
	P_LOGITS,			/* then those that are copied to memory of the process */
	P_TOP,				/* rows of which list i finds the largest: P_TOP + i */
	P_COUNT = P_TOP + TOP_LISTS,
};

/* Arrays of a step, I32. */
struct arrays {
	uint64_t tokens;		/* [batch] ids */
	uint64_t positions;		/* [batch] */
	uint64_t slots;			/* [batch] rows of the pools of keys and values */
	uint64_t seqs;			/* [batch] rows of pages */
	uint64_t ranges;		/* [batch][2] positions attended to */
	uint64_t states;		/* [batch][2] slots: read from, left in; below 0 as in CONV */
	uint64_t pages;			/* [seqs][shape_seq_pages()] */
	uint64_t wanted;		/* [out] rows of X that logits are computed of */
};

/* Addresses: of the device, or of this process. */
struct layer_places {
	uint64_t w[LAYER_WEIGHTS];
	uint64_t keep[KEEP_COUNT];	/* pools, rows of keep_row() bytes */
};

#define MODEL_ROPES 2

struct places {
	uint64_t x;			/* residual stream, F32 [batch, embd] */
	uint64_t scratch[LAYER_SCRATCH];	/* F32 [batch, ..], of use within a layer */
	uint64_t logits;		/* F32 [out, vocab] */
	uint64_t page;			/* a page of keys or values on its way: keep_page_words() of the largest */
	struct arrays step;
	uint64_t rope[MODEL_ROPES];	/* F32 [ctx, rot] */
	/* Results in memory of the process; as logits if nothing is to be copied. */
	uint64_t host_logits, top_ids, top_values;
	const struct layer_places *layers;	/* [n_layers]; NULL: commands are only counted */
};

struct build {
	struct recorder r;
	const struct shape *shape;
	const struct places *at;
	const struct layer *layer;	/* which is recorded ... */
	const struct layer_places *own;	/* ... and its places */
	uint32_t rows;			/* OCTANS_DYN() of the rows that are worked on */
};

struct layer_kind {
	enum accel_layer_kind id;
	const char *name;		/* "ATTN_GQA" */
	bool grouped;			/* rows are worked on in two groups */
	uint32_t (*scratch)(const struct layer *l, unsigned int i);	/* columns of scratch i, 0 = not used */
	void (*record)(struct build *b);
};

extern const struct layer_kind layer_embed, layer_attn_gqa, layer_ffn, layer_head;

/* What kinds record with: the layer's weights, the rows that are worked on of buffers and arrays. */
struct octans_tensor build_weight(const struct build *b, int slot);
struct octans_tensor build_x(const struct build *b);
struct octans_tensor build_scratch(const struct build *b, unsigned int i);
struct octans_tensor build_state(const struct build *b, unsigned int i);
struct octans_tensor build_array(const struct build *b, uint64_t va, uint32_t cols);
void build_rms(struct build *b, struct octans_tensor dst, struct octans_tensor x, int slot);
void build_matmul(struct build *b, struct octans_tensor dst, struct octans_tensor x, int w, int bias,
		  uint16_t flags);
#define NO_BIAS (-1)

uint64_t layer_weight_bytes(const struct layer *l);
/* Bytes of the keys (or the values, of v_cols) of one position in a cache of this type. */
uint64_t kv_row(uint32_t cols, enum accel_kv_type type);
/* That type's number among those of weights. */
uint32_t kv_element(enum accel_kv_type type);
static inline bool keep_is_paged(enum keep keep)
{
	return keep == KEEP_KEYS || keep == KEEP_VALUES;
}

/* Bytes of a position, or of a slot; 0: the layer keeps nothing of the kind. */
uint64_t keep_row(const struct layer *l, enum keep keep, const struct shape *shape);
/* Bytes of all of them. */
uint64_t keep_bytes(const struct layer *l, enum keep keep, const struct shape *shape);
/* I32s that a page takes; 0: none, or more than a row of a tensor may have. */
uint32_t keep_page_words(const struct layer *l, enum keep keep, const struct shape *shape);
bool layer_has_state(const struct layer *l);
/* Appends the commands of a layer; grouped: as its kind is, else never in groups. */
void layer_record(struct build *b, uint32_t index, const struct layer *l, bool grouped);

/* ---- the model ---- */

struct gguf;

/* A weight that commands do not take as the file has it. */
struct converted {
	struct converted *next;
	float data[];
};

struct accel_model {
	struct gguf *file;
	char arch[32];
	char name[128];
	uint32_t n_layers, n_blocks;
	uint32_t n_embd, n_vocab;
	uint32_t n_ctx_train;
	/* For people: nothing is computed from them. */
	uint32_t n_ff, n_heads, n_kv_heads, head_dim;
	struct rope ropes[MODEL_ROPES];
	uint32_t n_ropes;
	uint64_t n_params;
	struct layer *layers;	/* [n_layers] */
	struct converted *converted;	/* list of those that layers point to */
};

/* Columns of scratch buffer i, as the widest layer needs it. */
uint32_t model_scratch(const struct accel_model *m, unsigned int i);
const struct gguf *accel_model_gguf(const struct accel_model *m);

#endif
