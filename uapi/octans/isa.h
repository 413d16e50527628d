/* SPDX-License-Identifier: MIT */
/*
 * The command set of the Octans processor: what a command stream holds.
 * The machine-readable annex of Documentation/hardware/commands.rst; what the
 * operations compute, bit by bit, is in Documentation/hardware/numerics.rst.
 *
 * A stream is a sequence of commands, each a multiple of 16 bytes, executed as if in
 * order: a command sees everything that earlier commands of its job wrote.
 * Reserved fields are zero.  Everything is little endian.
 */
#ifndef OCTANS_ISA_H
#define OCTANS_ISA_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum octans_op {
	OCTANS_OP_NOP		= 0,
	OCTANS_OP_MOVE		= 1,	/* dst[di[i]] (+)= s[i] * src[si[i]], converted */
	OCTANS_OP_MATMUL	= 2,	/* dst[i*s+j] = x[i] . w[sel[i][j]]^T (+ bias) (+ dst) */
	OCTANS_OP_ROW		= 3,	/* rms, layer, l2, softmax, sum over groups of a row */
	OCTANS_OP_MAP		= 4,	/* dst = f(a) op b */
	OCTANS_OP_ROPE		= 5,	/* rotate pairs */
	OCTANS_OP_ATTEND	= 6,	/* attention over paged keys and values */
	OCTANS_OP_TOPK		= 7,	/* the k largest of a row, and where they are */
	OCTANS_OP_CONV		= 8,	/* causal depthwise convolution with state */
	OCTANS_OP_SCAN		= 9,	/* recurrence with state: Mamba-2, gated delta rule */
	OCTANS_OP_COPY		= 10,	/* bytes, on the DMA engine */
	OCTANS_OP_PREFETCH	= 11,	/* hint: bytes to SRAM, on the DMA engine */
	OCTANS_OP_SIGNAL	= 12,	/* store a u64 (a value, the time) or the counters */
	OCTANS_OP_WAIT		= 13,	/* until a u64 in memory is large enough */
	OCTANS_OP_COUNT
};

/* Types of elements; the numbers of weights are those of GGML. */
enum octans_type {
	OCTANS_TYPE_F32		= 0,
	OCTANS_TYPE_F16		= 1,
	OCTANS_TYPE_Q4_0	= 2,
	OCTANS_TYPE_Q4_1	= 3,
	OCTANS_TYPE_Q5_0	= 6,
	OCTANS_TYPE_Q5_1	= 7,
	OCTANS_TYPE_Q8_0	= 8,
	OCTANS_TYPE_Q2_K	= 10,
	OCTANS_TYPE_Q3_K	= 11,
	OCTANS_TYPE_Q4_K	= 12,
	OCTANS_TYPE_Q5_K	= 13,
	OCTANS_TYPE_Q6_K	= 14,
	OCTANS_TYPE_IQ4_NL	= 20,
	OCTANS_TYPE_IQ4_XS	= 23,
	OCTANS_TYPE_I32		= 26,	/* ids, positions; not a weight type */
	OCTANS_TYPE_BF16	= 30,
	OCTANS_TYPE_MXFP4	= 39,
};

#define OCTANS_MAX_TOKENS	65536u		/* rows of activations in one command */
#define OCTANS_MAX_COLS		(1u << 20)
#define OCTANS_MAX_ROWS		(1u << 24)
#define OCTANS_MAX_HEADS	1024u
#define OCTANS_MAX_HEAD_DIM	1024u
#define OCTANS_MAX_PLANES	65536u
#define OCTANS_MAX_SELECTED	65536u		/* columns of a selector */
#define OCTANS_MAX_TOPK		4096u
#define OCTANS_MAX_CONV		16u		/* taps */
#define OCTANS_MAX_PAGE_LOG2	16u
#define OCTANS_MAX_PARAMS	64u
#define OCTANS_MAX_COMMAND	1024u		/* bytes */

/* A matrix in device memory: element (r, c) of row r at va + r * stride.  32 bytes. */
struct octans_tensor {
	uint64_t va;
	uint64_t stride;	/* bytes from row to row; ignored if rows is 1 */
	uint32_t rows;		/* what is checked: the most that there can be */
	uint32_t cols;
	uint32_t type;		/* enum octans_type */
	uint32_t dyn;		/* OCTANS_DYN(): rows in effect come from parameters; 0 = all */
};

/*
 * Rows in effect.  rows, first: numbers of parameters, or OCTANS_DYN_NONE.  The tensor in effect
 * begins at row p[first] (0 without) and has p[rows] rows (without: those that are left).
 */
#define OCTANS_DYN_NONE		0xff
#define OCTANS_DYN(rows, first)	((((rows) + 1) & 0xffu) | (((first) + 1) & 0xffu) << 8)
#define OCTANS_DYN_ROWS(n)	OCTANS_DYN((n), OCTANS_DYN_NONE)
/* Number of the parameter + 1, 0 = none. */
#define OCTANS_DYN_ROWS_OF(d)	((d) & 0xffu)
#define OCTANS_DYN_FIRST_OF(d)	((d) >> 8 & 0xffu)

/* Every command starts with this. */
struct octans_cmd {
	uint16_t op;		/* enum octans_op */
	uint16_t flags;		/* of the operation; unknown bits are refused */
	uint32_t size;		/* bytes of the whole command */
	uint64_t reserved;
};

/*
 * For i = 0 .. m - 1 in this order: row dst_ids[i] of dst = scale[i] * row src_ids[i] of src.
 * Without ids: row i.  A negative id: item i is left out.
 */
struct octans_cmd_move {
	struct octans_cmd cmd;		/* flags: OCTANS_MOVE_* */
	struct octans_tensor dst;	/* F32 F16 BF16 Q8_0 I32 [rows, n] */
	struct octans_tensor src;	/* any type [rows, n]; I32 to I32 only */
	struct octans_tensor dst_ids;	/* I32 [m, 1], or absent */
	struct octans_tensor src_ids;	/* I32 [m, 1], or absent */
	struct octans_tensor scale;	/* F32 [m, 1], or absent */
};
#define OCTANS_MOVE_ADD		0x1	/* onto dst, which is F32 */

struct octans_cmd_matmul {
	struct octans_cmd cmd;		/* flags: OCTANS_MATMUL_* */
	struct octans_tensor dst;	/* F32 [m * s, n] */
	struct octans_tensor x;		/* F32 [m, k] */
	struct octans_tensor w;		/* weights [n, k]: plane 0 */
	struct octans_tensor bias;	/* F32 [planes, n], or absent */
	struct octans_tensor sel;	/* I32 [m, s]: planes, negative = none; or absent (s = 1, plane 0) */
	uint64_t plane_stride;		/* bytes from plane to plane; 0 if planes is 1 */
	uint32_t planes;		/* at least 1 */
	uint32_t reserved;
};
#define OCTANS_MATMUL_ADD	0x1	/* add the product to dst */
#define OCTANS_MATMUL_X16	0x2	/* w is F16 or BF16: x is rounded to the type of w */

struct octans_cmd_row {
	struct octans_cmd cmd;		/* flags: enum octans_row */
	struct octans_tensor dst;	/* F32 [m, n]; SUM: [m, groups] */
	struct octans_tensor x;		/* F32 [m, n] */
	struct octans_tensor w;		/* F32 [1, n] or [1, n / groups], or absent */
	struct octans_tensor bias;	/* as w, or absent */
	uint32_t groups;		/* at least 1, divides n */
	float eps;			/* RMS, LAYER, L2 */
	uint64_t reserved;
};
enum octans_row {
	OCTANS_ROW_RMS		= 0,
	OCTANS_ROW_LAYER	= 1,
	OCTANS_ROW_L2		= 2,
	OCTANS_ROW_SOFTMAX	= 3,
	OCTANS_ROW_SUM		= 4,
};

/* t = a * imm[0] + imm[1] (rounded twice) with AFFINE, else a; dst = f(t) op b. */
struct octans_cmd_map {
	struct octans_cmd cmd;		/* flags: OCTANS_MAP(function, operator) | OCTANS_MAP_AFFINE */
	struct octans_tensor dst;	/* F32 [m, n] */
	struct octans_tensor a;		/* F32 [m, n] */
	struct octans_tensor b;		/* F32 [m, n], [1, n] (every row) or [m, 1] (every column);
					 * absent if op is NONE */
	float imm[4];			/* scale, offset; two of the function.  What is unused is zero */
};
#define OCTANS_MAP(f, op)	((f) | (op) << 8)
#define OCTANS_MAP_F(flags)	((flags) & 0xff)
#define OCTANS_MAP_OP(flags)	((flags) >> 8 & 0x3)
#define OCTANS_MAP_AFFINE	0x8000
enum octans_map {
	OCTANS_MAP_ID		= 0,
	OCTANS_MAP_SILU		= 1,
	OCTANS_MAP_GELU		= 2,	/* by the error function */
	OCTANS_MAP_GELU_TANH	= 3,
	OCTANS_MAP_RELU		= 4,
	OCTANS_MAP_RELU2	= 5,	/* relu squared */
	OCTANS_MAP_XIELU	= 6,	/* imm[2] alpha_p, imm[3] alpha_n: after the softplus */
	OCTANS_MAP_SIGMOID	= 7,
	OCTANS_MAP_SOFTPLUS	= 8,
	OCTANS_MAP_EXP		= 9,
	OCTANS_MAP_TANH		= 10,
	OCTANS_MAP_SQRT		= 11,
	OCTANS_MAP_CLAMP	= 12,	/* to imm[2] .. imm[3] */
	OCTANS_MAP_F_COUNT
};
enum octans_map_op {
	OCTANS_MAP_NONE		= 0,
	OCTANS_MAP_ADD		= 1,
	OCTANS_MAP_MUL		= 2,
	OCTANS_MAP_DIV		= 3,	/* by b */
};

struct octans_cmd_rope {
	struct octans_cmd cmd;		/* flags: OCTANS_ROPE_* */
	struct octans_tensor dst;	/* F32 [m, heads * head_dim] */
	struct octans_tensor x;		/* F32 [m, heads * head_dim] */
	struct octans_tensor cs;	/* F32 [positions, rot]: rot/2 cosines, then rot/2 sines */
	struct octans_tensor pos;	/* I32 [m, 1]: rows of cs; or absent: row i */
	uint32_t heads, head_dim;
	uint32_t first;			/* of the rotated elements of a head */
	uint32_t rot;			/* how many: even, first + rot <= head_dim */
};
#define OCTANS_ROPE_HALF	0x1	/* pairs are (i, i + rot/2); else (2i, 2i + 1) */

struct octans_cmd_attend {
	struct octans_cmd cmd;		/* flags: OCTANS_ATTEND_* */
	struct octans_tensor dst;	/* F32 [m, heads * dv] */
	struct octans_tensor q;		/* F32 [m, heads * dk] */
	struct octans_tensor k;		/* F32 F16 Q8_0 [pool, kv_heads * dk] */
	struct octans_tensor v;		/* F32 F16 Q8_0 [pool, kv_heads * dv] */
	struct octans_tensor pages;	/* I32 [sequences, pages of one], or absent: one sequence,
					 * position = row of the pool */
	struct octans_tensor seq;	/* I32 [m, 1]: row of pages; or absent: 0 */
	struct octans_tensor range;	/* I32 [m, 2]: from, to: positions from .. to - 1;
					 * with LIST I32 [m, n]: positions, negative = none */
	struct octans_tensor sinks;	/* F32 [1, heads], or absent */
	struct octans_tensor slopes;	/* F32 [1, heads], or absent */
	uint32_t heads, kv_heads, dk, dv;
	uint32_t page_log2;		/* log2 of positions of a page; 0 without pages */
	uint32_t reserved;
	float scale;
	float cap;			/* soft cap of scores, 0 = none */
};
#define OCTANS_ATTEND_LIST	0x1

struct octans_cmd_topk {
	struct octans_cmd cmd;		/* flags: OCTANS_TOPK_* */
	struct octans_tensor ids;	/* I32 [m, k], or absent */
	struct octans_tensor values;	/* F32 [m, k], or absent */
	struct octans_tensor x;		/* F32 [m, n] */
	struct octans_tensor bias;	/* F32 [1, n]: chosen by x + bias; or absent */
	struct octans_tensor range;	/* I32 [m, 2]: columns from .. to - 1 alone; or absent */
	uint32_t k;			/* 1 .. n */
	uint32_t groups, groups_used;	/* 1, 1: no groups */
	float floor, scale;		/* of RENORM: w = scale * (v / max(sum, floor)) */
	uint32_t reserved[3];
};
#define OCTANS_TOPK_GROUP_TOP2	0x1	/* a group's worth is the sum of its two largest, else its largest */
#define OCTANS_TOPK_RENORM	0x2
#define OCTANS_TOPK_BY_ID	0x4	/* results in ascending order of id, else largest first */

/* A row reads state slot[i][0] (negative: zeros) and leaves its own in slot[i][1] (negative: nowhere). */
struct octans_cmd_conv {
	struct octans_cmd cmd;		/* flags: 0 */
	struct octans_tensor dst;	/* F32 [m, c] */
	struct octans_tensor x;		/* F32 [m, c] */
	struct octans_tensor w;		/* F32 [c, taps] */
	struct octans_tensor bias;	/* F32 [1, c], or absent */
	struct octans_tensor state;	/* F32 [slots, (taps - 1) * c], oldest input first */
	struct octans_tensor slot;	/* I32 [m, 2] */
};

struct octans_cmd_scan {
	struct octans_cmd cmd;		/* flags: enum octans_scan */
	struct octans_tensor dst;	/* F32 [m, heads * dv] */
	struct octans_tensor v;		/* F32 [m, heads * dv]	SSM: x */
	struct octans_tensor k;		/* F32 [m, groups * dk]	SSM: B */
	struct octans_tensor q;		/* F32 [m, groups * dk]	SSM: C */
	struct octans_tensor g;		/* F32 [m, heads]	SSM: dt; DELTA: log of the decay, or [m, heads * dk] */
	struct octans_tensor beta;	/* F32 [m, heads]	DELTA; SSM: absent */
	struct octans_tensor a;		/* F32 [1, heads]	SSM: A; DELTA: absent */
	struct octans_tensor d;		/* F32 [1, heads]	SSM: D, or absent; DELTA: absent */
	struct octans_tensor state;	/* F32 [slots, heads * dv * dk] */
	struct octans_tensor slot;	/* I32 [m, 2] */
	uint32_t heads, groups, dk, dv;	/* groups divides heads */
	float scale;			/* of the results: DELTA; SSM: 1 */
	uint32_t reserved[3];
};
enum octans_scan {
	OCTANS_SCAN_SSM		= 0,	/* state space of Mamba-2 */
	OCTANS_SCAN_DELTA	= 1,	/* gated delta rule */
};

struct octans_cmd_copy {
	struct octans_cmd cmd;
	uint64_t dst;		/* any alignment; ranges must not overlap */
	uint64_t src;
	uint64_t size;
	uint64_t reserved;
};

struct octans_cmd_prefetch {
	struct octans_cmd cmd;
	uint64_t va;
	uint64_t size;
};

/* After all earlier commands of the job. */
struct octans_cmd_signal {
	struct octans_cmd cmd;		/* flags: enum octans_signal */
	uint64_t va;			/* a multiple of 8 */
	uint64_t value;			/* VALUE; else zero */
};
enum octans_signal {
	OCTANS_SIGNAL_VALUE	= 0,
	OCTANS_SIGNAL_TIME	= 1,	/* TIME_NS */
	OCTANS_SIGNAL_COUNTERS	= 2,	/* struct octans_counters */
};

/* Until *(u64 *)va, unsigned, is at least value. */
struct octans_cmd_wait {
	struct octans_cmd cmd;
	uint64_t va;			/* a multiple of 8 */
	uint64_t value;
};

/*
 * Counters of the whole processor since device reset, modelled; also registers, from
 * OCTANS_REG_COUNTERS on in this order.
 */
struct octans_counters {
	uint64_t cycles;		/* during which any ring had a job */
	uint64_t busy_matrix, busy_vector, busy_dma, busy_mmu;	/* cycles of the engines */
	uint64_t busy_local, busy_pcie;	/* cycles of the ports */
	uint64_t local_read, local_written, pcie_read, pcie_written;	/* bytes */
	uint64_t macs_int8, macs_f16, macs_f32;
	uint64_t commands;
	uint64_t tlb_misses;
};
#define OCTANS_COUNTERS		16

#ifdef __cplusplus
}
#endif
#endif
