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
#include "table.h"

/* A weight as it lies in the file: one matrix, or planes of the same shape, one behind the other. */
struct weight {
	const void *data;	/* NULL: the model has none */
	uint64_t size;		/* bytes */
	uint64_t stride;	/* bytes of a row */
	uint32_t rows, cols;	/* of a plane */
	uint32_t type;		/* enum accel_type */
	uint32_t planes;	/* 0 and 1: it is a matrix */
	uint64_t piece, pitch;	/* of part of one: pieces of so many bytes lie so far apart in the file; 0: it is in
				 * one piece */
};

/*
 * Weight slots.  Every kind but EMBED begins with its norm (NORM_W, and NORM_B for LayerNorm),
 * which attention and feed-forward networks need not have; those that add to the residual stream
 * may norm what they add (POST_W).
 */
enum { NORM_W, NORM_B, POST_W, KIND_W };
enum {
	EMBED_TABLE, EMBED_NORM, EMBED_NORM_B,
	EMBED_INPUTS,			/* a token's row has the inputs of all blocks, side by side */
};
enum {
	ATTN_NORM = NORM_W, ATTN_Q = KIND_W, ATTN_K, ATTN_V, ATTN_OUT, ATTN_BQ, ATTN_BK, ATTN_BV, ATTN_BOUT,
	ATTN_QNORM, ATTN_KNORM, ATTN_SINKS, ATTN_SLOPES,
};
enum {
	MLA_NORM = NORM_W, MLA_Q = KIND_W,	/* without a bottleneck; else: */
	MLA_QA, MLA_QA_NORM, MLA_QB,
	MLA_KVA, MLA_KVA_NORM, MLA_KB, MLA_VB, MLA_OUT,
	MLA_KVB,			/* while loading: as older files have the two */
	/* Of the indexer */
	MLA_IQ, MLA_IK, MLA_IK_NORM, MLA_IK_NORM_B, MLA_IW,
};
enum {
	FFN_NORM = NORM_W, FFN_GATE = KIND_W, FFN_UP, FFN_DOWN, FFN_BGATE, FFN_BUP, FFN_BDOWN,
	FFN_STREAM,			/* one number, of the residual stream behind the layer */
};
enum {
	MOE_NORM = NORM_W, MOE_ROUTER = KIND_W, MOE_ROUTER_B,	/* added to what comes out */
	MOE_CHOICE_B,			/* of TOPK: it decides who is chosen, and no more */
	MOE_GATE, MOE_UP, MOE_DOWN, MOE_BGATE, MOE_BUP, MOE_BDOWN,	/* of experts, in planes */
	MOE_GATE_UP,			/* instead of the two; rows of the gate come first */
	MOE_SHARED_GATE, MOE_SHARED_UP, MOE_SHARED_DOWN,
	MOE_SHARED_SWITCH,		/* a row: how much of the shared expert there is */
	/* Norms that are not the layer's: of what the router sees, and the shared expert; of their results */
	MOE_ROUTER_NORM, MOE_SHARED_NORM, MOE_SHARED_POST, MOE_EXPERTS_POST,
	MOE_WEIGH,			/* a number for each expert, by which its weights are multiplied */
	MOE_STREAM,
};
enum {
	SSM_NORM = NORM_W, SSM_IN = KIND_W, SSM_CONV, SSM_CONV_B, SSM_DT_B, SSM_A, SSM_D, SSM_OUT_NORM, SSM_OUT,
};
enum {
	DELTA_NORM = NORM_W, DELTA_QKV = KIND_W, DELTA_Z, DELTA_BETA, DELTA_ALPHA, DELTA_BA, DELTA_CONV, DELTA_DT_B,
	DELTA_A, DELTA_OUT_NORM, DELTA_OUT,
	DELTA_QKVZ,			/* instead of QKV and Z; rows of each key head come one behind the other */
};
enum { INPUTS_PROJ = KIND_W, INPUTS_NORM };	/* the norm is of each block's */
enum {
	PLE_GATE = KIND_W, PLE_PROJ,
	PLE_STREAM,			/* as FFN_STREAM */
};
enum { SHORTCONV_NORM = NORM_W, SHORTCONV_IN = KIND_W, SHORTCONV_CONV, SHORTCONV_OUT };
enum { HEAD_NORM = NORM_W, HEAD_BOUT = KIND_W, HEAD_OUT };	/* HEAD_OUT: the last of its layer */
#define LAYER_WEIGHTS 24
#define LAYER_SCRATCH 18

/*
 * What looks at all of a sequence's pages is recorded for a ladder of so many of them: all, a quarter, a sixteenth.
 * A step runs the commands of the last rung that holds all pages that it has, the others have no rows.
 */
#define RUNGS 3

/* What is said of a layer by numbers that index the model's tables, windows and times; it has none: */
#define LAYER_NONE (-1)

struct embed {
	float scale;			/* 0: as it is */
};

struct attn_gqa {
	uint32_t heads, kv_heads;
	uint32_t head_dim, value_dim;
	float scale;			/* of scores */
	float cap;			/* of scores; 0: none */
	float clamp;			/* of queries, keys and values; 0: none */
	int rope;			/* the model's table */
	int temperature;		/* likewise: a factor of queries, by position */
	unsigned int window;		/* arrays.ranges */
	bool whole_norm;		/* QNORM and KNORM are of all heads together */
	bool value_norm;		/* values of each head are normed, without weights */
	bool gated;			/* rows of Q are, of each head, its query and its gate */
	int times;			/* the model's: heads; gated */
};

struct attn_mla {
	uint32_t heads;
	uint32_t q_rank;		/* of the queries' bottleneck; 0: none */
	uint32_t kv_rank;		/* of what keys and values are made of */
	uint32_t nope, rot;		/* of a query: not rotated, then rotated */
	uint32_t value_dim;
	float scale;
	int rope, temperature;
	int head_of;			/* the model's table: a selector of each head */
	int times;			/* heads */
	/* The indexer, which chooses the positions that are attended to; 0 heads: there is none */
	struct {
		uint32_t heads, dim, top;
		int rope;
		int owner;		/* the model's table: a row's number, for each of its heads */
		int times;		/* the model's: heads */
		struct {		/* the model's, of steps of this rung: 1; heads; heads and pages */
			int rows, heads, pages;
		} rung[RUNGS];
	} index;
};

/* The two matrices of a feed-forward network, or three. */
struct ffn {
	uint32_t width;
	enum octans_map activation;	/* of the gate; without one of what goes up */
	float alpha_p, alpha_n;		/* XIELU */
	float limit;			/* gpt-oss: gate * sigmoid(1.702 gate) * (up + 1), clamped; 0: not so */
};

enum moe_gate { MOE_SOFTMAX, MOE_SIGMOID, MOE_SQRT_SOFTPLUS, MOE_SOFTMAX_OF_CHOSEN };

struct moe {
	struct ffn expert, shared;	/* shared.width 0: there is none */
	uint32_t experts, used;
	uint32_t groups, groups_used;	/* of experts */
	enum moe_gate gate;
	bool group_top2;		/* a group is as good as its two best together, else as its best */
	bool renorm;
	float scale;			/* of weights */
	int owner;			/* the model's table: a row's number, for each of its experts */
	int times;			/* used */
};

/* Mamba-2. */
struct ssm2 {
	uint32_t heads, head_dim, groups, state, taps;
};

struct delta {
	uint32_t key_heads, heads, key_dim, value_dim, taps;
	bool tiled;			/* value head i has key head i % key_heads, else i / (heads / key_heads) */
	int times;			/* heads */
};

/* Inputs of blocks: columns of the rows of the residual stream, behind its own. */
struct inputs {
	uint32_t blocks, width;		/* so many, of so many columns each */
};

struct ple {
	uint32_t from, width;		/* the block's own input: its columns */
};

struct head {
	float scale;			/* of logits; 0: as they are */
	float cap;			/* of logits; 0: none */
};

struct layer_kind;

/* Some of the columns that there are. */
struct columns {
	uint32_t first, n, all;		/* all 0: it is not said, all are meant */
};

/*
 * What one of several processors does of a layer that they share: some heads, and what is kept of those; some rows of
 * its matrices.  The residual stream and what is small each has as a whole.  Results that the next matrix needs all of
 * are exchanged.
 */
struct layer_part {
	uint32_t of, number;		/* so many share it, and which of them this is; of 0: it is whole */
	uint32_t exchange;		/* the first of its exchanges is so many-th of a pass */
	struct columns inner, shared, outer;	/* between its matrices, and those of a shared expert; of what comes out */
	uint32_t kept[2];		/* columns of keys, and of values, that others keep before its own */
};

/* How fast those are that share. */
struct shares {
	uint32_t n;
	const double *speed;		/* [n] */
};

struct layer {
	const struct layer_kind *kind;
	uint32_t block;
	uint32_t embd;			/* columns of the residual stream */
	uint32_t norm;			/* OCTANS_ROW_RMS or OCTANS_ROW_LAYER */
	float eps;			/* of norms */
	float residual;			/* what is added is scaled so; 0: it is not */
	struct weight w[LAYER_WEIGHTS];
	union {
		struct embed embed;
		struct attn_gqa attn;
		struct attn_mla mla;
		struct ffn ffn;
		struct moe moe;
		struct ssm2 ssm;
		struct delta delta;
		struct inputs inputs;
		struct ple ple;
		struct head head;
	};
	/* What it keeps of a sequence. */
	struct {
		uint32_t k_cols, v_cols;	/* of each position's keys and values */
		uint32_t head_dim;	/* which a block of the type that they are kept in must divide */
		uint32_t of;		/* the layer before it whose keys and values it uses, with none of its
					 * own; 0: it does not.  Both are on one processor, or on the CPU */
		uint32_t fixed[2];	/* F32s of a state that positions change, and that cannot go back */
	} state;
	struct layer_part part;
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
	uint32_t windows;		/* arrays.ranges beyond the first */
	uint32_t marks;			/* states that a sequence keeps */
	uint32_t batch;			/* most rows (tokens) of a step */
	uint32_t out;			/* most rows of logits of a step */
	uint32_t flights;		/* steps that are under way at once, on several processors */
	uint32_t members;		/* processors that share layers; 0: none are shared */
	uint32_t exchanges;		/* between them, of a pass */
	uint64_t exchanged;		/* bytes of the largest */
	enum accel_kv_type kv_type;
};

static inline uint32_t shape_seq_pages(const struct shape *s)
{
	return (s->ctx + (1u << s->page_log2) - 1) >> s->page_log2;
}

/* Of a pass, in memory that all reach who share layers: their counters, and where results lie in turn. */
static inline uint64_t shape_counters_bytes(const struct shape *s)
{
	return (uint64_t)s->exchanges * s->members * sizeof(struct octans_counters);
}

static inline uint64_t shape_exchange_bytes(const struct shape *s)
{
	return shape_counters_bytes(s) + 2 * ((s->exchanged + 63) / 64 * 64);
}

/* The k largest logits are found by one of these commands, the first that finds enough. */
#define TOP_LISTS 3
extern const uint32_t top_sizes[TOP_LISTS];
/* Rows of which they are found in one step. */
#define TOP_ROWS 32u

#define MODEL_WINDOWS 2
/* What rows are seen as several times as many by: heads, experts of a token. */
#define MODEL_TIMES 16

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
	/* ROWS, FIRST and SECOND times the model's times[i]: P_TIMES + 3 * i, and so on */
	P_TIMES = P_TOP + TOP_LISTS,
	P_MOST = P_TIMES + 3 * MODEL_TIMES,
};

/* Arrays of a step, I32. */
struct arrays {
	uint64_t tokens;		/* [batch] ids */
	uint64_t positions;		/* [batch] */
	uint64_t slots;			/* [batch] rows of the pools of keys and values */
	uint64_t seqs;			/* [batch] rows of pages */
	uint64_t ranges;		/* [1 + windows][batch][2] positions attended to */
	uint64_t states;		/* [batch][2] slots: read from, left in; below 0 as in CONV */
	uint64_t pages;			/* [seqs][shape_seq_pages()] */
	uint64_t wanted;		/* [out] rows of X that logits are computed of */
};

/* Addresses: of the device, or of this process. */
struct layer_places {
	uint64_t w[LAYER_WEIGHTS];
	uint64_t plane[LAYER_WEIGHTS];	/* bytes from plane to plane; 0: as in the file */
	uint64_t chosen;		/* I32 [batch, used] where the experts that were chosen are told; 0: nowhere */
	uint64_t source, streamed;	/* in the host's memory, bytes that are copied to where w[] says; 0: none */
	uint64_t keep[KEEP_COUNT];	/* pools, rows of keep_row() bytes */
};

struct places {
	uint64_t x;			/* residual stream, F32 [batch, the model's n_stream] */
	uint64_t scratch[LAYER_SCRATCH];	/* F32 [batch, ..], of use within a layer */
	uint64_t logits;		/* F32 [out, vocab] */
	uint64_t page;			/* a page of keys or values on its way: keep_page_words() of the largest */
	struct arrays step;
	uint64_t table[MODEL_TABLES];
	/* In memory that all reach who share layers: counters [exchanges][members], of those that have come so far, and
	 * where results lie in turn. */
	struct {
		uint64_t counters, data[2];
	} exchange;
	/* Results in memory of the process; as logits if nothing is to be copied. */
	uint64_t host_logits, top_ids, top_values;
	const struct layer_places *layers;	/* [n_layers]; NULL: commands are only counted */
};

struct build {
	struct recorder r;
	const struct accel_model *m;
	const struct shape *shape;
	const struct places *at;
	const struct layer *layer;	/* which is recorded ... */
	const struct layer_places *own;	/* ... and its places */
	const struct layer_places *kept;	/* and those of the layer that has its keys and values */
	uint32_t rows;			/* OCTANS_DYN() of the rows that are worked on ... */
	int group;			/* ... which are of this group; -1: all */
	struct exchanged {		/* since the layer began */
		uint32_t n;
		uint64_t most;		/* bytes of the largest, of all rows */
		uint64_t row, out;	/* bytes that go over the bus for each row, and for each whose logits are wanted */
	} exchanged;
};

struct layer_kind {
	enum accel_layer_kind id;
	const char *name;		/* "ATTN_GQA" */
	bool grouped;			/* rows are worked on in two groups */
	/* Notes in the model what the layer needs of it: tables, times.  NULL: nothing.  -errno, with a sentence. */
	int (*prepare)(struct layer *l, struct accel_model *m);
	/* Columns of scratch i; 0: it is not used */
	uint64_t (*scratch)(const struct layer *l, const struct shape *s, unsigned int i);
	void (*record)(struct build *b);
	/* Makes of a layer what number s->n there is of it.  NULL, or why it cannot be shared: it is undefined then.
	 * NULL: layers of this kind cannot be. */
	const char *(*share)(struct layer *l, const struct shares *s, uint32_t number);
};

#define LAYER_KIND(lower) extern const struct layer_kind layer_##lower;
#include "layer_list.h"
#undef LAYER_KIND

/* What kinds record with: the layer's weights, the rows that are worked on of buffers and arrays. */
static inline bool build_has(const struct build *b, int slot)
{
	return b->layer->w[slot].data;
}

struct octans_tensor build_weight(const struct build *b, int slot);
struct octans_tensor build_x(const struct build *b);
/* What goes with the residual stream: n columns of its rows from that number on. */
struct octans_tensor build_beside(const struct build *b, uint32_t from, uint32_t n);
struct octans_tensor build_scratch(const struct build *b, unsigned int i);
/* The same memory with times as many rows, n to be exact, of so many columns. */
struct octans_tensor build_scratch_rows(const struct build *b, unsigned int i, int times, uint32_t n,
					uint32_t cols);
struct octans_tensor build_state(const struct build *b, unsigned int i);
struct octans_tensor build_array(const struct build *b, uint64_t va, uint32_t cols);
/* A table as a whole; or its first rows: as many as are worked on, times as many if that is not LAYER_NONE. */
struct octans_tensor build_table(const struct build *b, int table);
struct octans_tensor build_table_rows(const struct build *b, int table, int times);
/* Some of the columns of t, n from the one of number from on. */
struct octans_tensor tensor_columns(struct octans_tensor t, uint32_t from, uint32_t n);
/* Each row of t as n rows, where times is the number of n among the model's; t has no gaps. */
struct octans_tensor build_split(const struct build *b, struct octans_tensor t, int times, uint32_t n);
/* dst = the norm of x by the weight in this slot, which has to be there, and the bias, which need not. */
void build_norm(struct build *b, struct octans_tensor dst, struct octans_tensor x, int slot, int bias);
/* What the layer works on: x, normed in this scratch if there is a norm. */
struct octans_tensor build_input(struct build *b, unsigned int scratch);
/* The same by RMS whatever the layer's other norms are, of each of the groups of a row. */
void build_rms(struct build *b, struct octans_tensor dst, struct octans_tensor x, int slot, uint32_t groups);
void build_matmul(struct build *b, struct octans_tensor dst, struct octans_tensor x, int w, int bias,
		  uint16_t flags);
/* By the planes that sel, I32 [rows of x, s], names; dst has s rows for each. */
void build_matmul_by(struct build *b, struct octans_tensor dst, struct octans_tensor x, int w, int bias,
		     struct octans_tensor sel);
/* dst = f(a) op b; op NONE: b is {0} */
void build_map(struct build *b, struct octans_tensor dst, enum octans_map f, struct octans_tensor a,
	       enum octans_map_op op, struct octans_tensor with);
/* dst = factor * a + term */
void build_affine(struct build *b, struct octans_tensor dst, struct octans_tensor a, float factor, float term);
void build_rotate(struct build *b, struct octans_tensor x, int rope, uint32_t heads, uint32_t head_dim,
		  uint32_t first);
/* What the layer adds to the residual stream is from w^T (+ bias), normed and scaled as is said of it;
 * scratch: of embd columns, used if it is. */
void build_add(struct build *b, struct octans_tensor from, int w, int bias, unsigned int scratch);
/* The same of what there is. */
void build_add_of(struct build *b, struct octans_tensor y);
/* The residual stream times the number in this slot, if there is one. */
void build_stream(struct build *b, int slot);
/* False: build_add() is a command that adds at once. */
bool layer_adds_apart(const struct layer *l);
/* Pools of keys or values of these many columns, of every position of every sequence. */
struct octans_tensor build_pool(const struct build *b, enum keep keep, uint32_t cols);
/* Attends; of *cmd what is of the step is filled in: pages, and, unless there is a list of them, positions. */
void build_attend(struct build *b, struct octans_cmd_attend *cmd, unsigned int window);
struct octans_tensor build_pages(const struct build *b);
struct octans_tensor build_range(const struct build *b, unsigned int window);
/* What a feed-forward network makes of its first matrices' results, in the place of one of them; without a
 * gate there is but one, and up is {0}. */
struct octans_tensor build_activation(struct build *b, const struct ffn *f, struct octans_tensor gate,
				      struct octans_tensor up);
#define NO_BIAS (-1)

/* ---- sharing (share.c) ---- */

/* Which of all columns, a multiple of unit each, are those of this number; n may be 0. */
struct columns shares_of(const struct shares *s, uint32_t number, uint32_t all, uint32_t unit);
/* The same of rows of a matrix. */
struct columns shares_of_rows(const struct shares *s, uint32_t number, uint32_t rows);
/* A weight, if there is one, becomes these rows of it, of each of its planes. */
void weight_take_rows(struct weight *w, const struct columns *c);
/* The same of columns of F32. */
void weight_take_columns(struct weight *w, const struct columns *c);
/* n bytes of a weight, from offset on, one behind the other. */
void weight_read(const struct weight *w, uint64_t offset, void *to, uint64_t n);
/* The layer as its part of this number; NULL, or why not. */
const char *layer_share(struct layer *part, const struct layer *whole, const struct shares *s, uint32_t number);
/* Of a row that is kept, bytes that others keep before it. */
uint64_t keep_before(const struct layer *l, enum keep keep, const struct shape *shape);

/* Of t the columns that are this processor's. */
struct octans_tensor build_own(const struct build *b, struct octans_tensor t, const struct columns *c);
/* What others have of t comes to it: to all processors, or to the first alone.  Nothing, if the layer is whole. */
void build_exchange(struct build *b, struct octans_tensor t, const struct columns *c, bool to_all);

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
/* Has it a table that is most of a model, and of which a step reads a few rows?  It stays in the file. */
bool layer_stays(const struct layer *l);
/* Appends the commands of a layer; grouped: as its kind is, else never in groups.  index: of its places, if there
 * are any; who records a layer by itself has them at 0. */
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
	uint32_t n_embd;
	uint32_t n_stream;	/* columns of the residual stream's rows: n_embd, and what goes with it */
	uint32_t n_vocab;	/* logits; tokens that may be given: */
	uint32_t n_tokens;
	uint32_t n_ctx_train;
	/* For people: nothing is computed from them. */
	uint32_t n_ff, n_heads, n_kv_heads, head_dim;
	struct table tables[MODEL_TABLES];
	uint32_t n_tables;
	uint32_t windows[MODEL_WINDOWS];	/* positions that are attended to, one's own and those before it */
	uint32_t n_windows;
	uint32_t list;		/* positions that a list of them names; 0: none is made */
	uint32_t times[MODEL_TIMES];
	uint8_t rung[MODEL_TIMES];	/* only in steps of the rung before it; 0: in all */
	bool by_page[MODEL_TIMES];	/* and each as often as a sequence has pages on that */
	uint32_t n_times;
	uint64_t n_params;
	struct layer *layers;	/* [n_layers] */
	struct converted *converted;	/* list of those that layers point to */
	uint64_t converted_bytes;
};

/* The number of a table, of arrays.ranges, or of times, which is noted in the model if it is new; -EINVAL
 * with a sentence: there are too many. */
int model_table(struct accel_model *m, const struct table *t);
int model_window(struct accel_model *m, uint32_t size);
int model_times(struct accel_model *m, uint32_t n);
/* The same in steps of a rung; by_page: n for each page of it. */
int model_times_rung(struct accel_model *m, uint32_t n, uint32_t rung, bool by_page);
/* What it is for steps of this shape, if their rung is its. */
uint32_t model_times_of(const struct accel_model *m, int times, const struct shape *s);
/* The rung of a step whose sequences have so many pages at the most. */
uint32_t model_rung(const struct accel_model *m, const struct shape *s, uint32_t pages);
/* Pages of a rung; 0: fewer positions than are chosen would be on them. */
uint32_t model_rung_pages(const struct accel_model *m, const struct shape *s, uint32_t rung);
/* Parameters of its steps. */
static inline uint32_t model_params(const struct accel_model *m)
{
	return P_TIMES + 3 * m->n_times;
}

/* Columns of scratch buffer i, as the widest layer needs it. */
uint64_t model_scratch(const struct accel_model *m, const struct shape *s, unsigned int i);
const struct gguf *accel_model_gguf(const struct accel_model *m);

#endif
