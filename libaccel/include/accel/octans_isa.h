/* SPDX-License-Identifier: MIT */
/*
 * The command set of the Octans processor: what a command stream holds.
 * The machine-readable annex of Documentation/hardware/commands.rst; what the
 * operations compute, bit by bit, is in Documentation/hardware/numerics.rst.
 *
 * A stream is a sequence of commands, each a multiple of 16 bytes, executed in
 * order: a command sees everything that earlier commands of its job wrote.
 * Reserved fields are zero.  Everything is little endian.
 */
#ifndef ACCEL_OCTANS_ISA_H
#define ACCEL_OCTANS_ISA_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum octans_op {
	OCTANS_OP_NOP		= 0,
	OCTANS_OP_EMBED		= 1,	/* dst[i] = dequant(table[ids[i]]) */
	OCTANS_OP_MATMUL	= 2,	/* dst = x . w^T (+ bias) (+ dst) */
	OCTANS_OP_RMSNORM	= 3,
	OCTANS_OP_ROPE		= 4,
	OCTANS_OP_ATTN		= 5,	/* append k, v; causal attention */
	OCTANS_OP_GLU		= 6,	/* dst = act(gate) * up */
	OCTANS_OP_ELEMENTWISE	= 7,
	OCTANS_OP_COPY		= 8,
	OCTANS_OP_TIMESTAMP	= 9,
};

/* Element types are GGML's type numbers. */
#define OCTANS_TYPE_F32		0
#define OCTANS_TYPE_F16		1
#define OCTANS_TYPE_Q4_0	2
#define OCTANS_TYPE_Q5_0	6
#define OCTANS_TYPE_Q8_0	8
#define OCTANS_TYPE_Q4_K	12
#define OCTANS_TYPE_Q6_K	14
#define OCTANS_TYPE_I32		26
#define OCTANS_TYPE_BF16	30

/* Limits: a command beyond them ends its job with BAD_CMD. */
#define OCTANS_MAX_COLS		(1u << 20)
#define OCTANS_MAX_ROWS		(1u << 24)
#define OCTANS_MAX_TOKENS	(1u << 16)	/* rows of x, q, ids */
#define OCTANS_MAX_HEADS	1024
#define OCTANS_MAX_HEAD_DIM	1024

struct octans_cmd {			/* starts every command */
	uint16_t op;			/* enum octans_op */
	uint16_t flags;
	uint32_t size;			/* bytes of the whole command */
	uint64_t reserved;
};

/* rows x cols elements; row r starts at va + r * stride bytes.
 * va and stride are multiples of 4 for F32 and I32, else of 2.  stride is at
 * least the bytes of a row unless rows is 1.  An absent tensor is all zeros. */
struct octans_tensor {
	uint64_t va;
	uint64_t stride;
	uint32_t rows;
	uint32_t cols;
	uint32_t type;
	uint32_t reserved;
};

struct octans_cmd_embed {
	struct octans_cmd cmd;
	struct octans_tensor dst;	/* F32 [n, e] */
	struct octans_tensor table;	/* any weight type [vocab, e] */
	struct octans_tensor ids;	/* I32 [1, n]; each 0 .. vocab - 1 */
};

#define OCTANS_MATMUL_ADD	0x1	/* dst = dst + result, else dst = result */
struct octans_cmd_matmul {
	struct octans_cmd cmd;
	struct octans_tensor dst;	/* F32 [m, n] */
	struct octans_tensor x;		/* F32 [m, k] */
	struct octans_tensor w;		/* any weight type [n, k] */
	struct octans_tensor bias;	/* F32 [1, n] or absent */
};

struct octans_cmd_rmsnorm {
	struct octans_cmd cmd;
	struct octans_tensor dst;	/* F32 [m, e]; may be x */
	struct octans_tensor x;		/* F32 [m, e] */
	struct octans_tensor w;		/* F32 [1, e] */
	float eps;			/* >= 0 */
	uint32_t reserved[3];
};

#define OCTANS_ROPE_HALF	0x1	/* pairs (i, i + rot/2), else (2i, 2i + 1) */
struct octans_cmd_rope {
	struct octans_cmd cmd;
	struct octans_tensor dst;	/* F32 [m, heads * head_dim]; may be x */
	struct octans_tensor x;		/* F32 [m, heads * head_dim] */
	struct octans_tensor cs;	/* F32 [m, rot]: rot/2 cosines, then rot/2 sines */
	uint32_t heads;
	uint32_t head_dim;
	uint32_t rot;			/* even, 2 .. head_dim; the rest is copied */
	uint32_t reserved;
};

struct octans_cmd_attn {
	struct octans_cmd cmd;
	struct octans_tensor dst;	/* F32 [m, heads * head_dim] */
	struct octans_tensor q;		/* F32 [m, heads * head_dim] */
	struct octans_tensor k;		/* F32 [m, kv_heads * head_dim]: appended at pos */
	struct octans_tensor v;		/* F32 [m, kv_heads * head_dim]: appended at pos */
	struct octans_tensor k_cache;	/* F32 [ctx, kv_heads * head_dim] */
	struct octans_tensor v_cache;	/* F32 [ctx, kv_heads * head_dim] */
	uint32_t heads;			/* a multiple of kv_heads */
	uint32_t kv_heads;
	uint32_t head_dim;
	uint32_t pos;			/* of the first row; pos + m <= ctx, <= MAX_CTX */
	float scale;
	uint32_t reserved[3];
};

#define OCTANS_GLU_SILU		0	/* flags hold the activation */
struct octans_cmd_glu {
	struct octans_cmd cmd;
	struct octans_tensor dst;	/* F32 [m, f]; may be gate or up */
	struct octans_tensor gate;	/* F32 [m, f] */
	struct octans_tensor up;	/* F32 [m, f] */
};

#define OCTANS_ELT_ADD		0	/* dst = a + b */
#define OCTANS_ELT_MUL		1	/* dst = a * b */
#define OCTANS_ELT_SCALE	2	/* dst = a * imm; b absent */
struct octans_cmd_elementwise {
	struct octans_cmd cmd;		/* flags hold OCTANS_ELT_* */
	struct octans_tensor dst;	/* F32 [m, n]; may be a or b */
	struct octans_tensor a;		/* F32 [m, n] */
	struct octans_tensor b;		/* F32 [m, n], or [1, n] used for every row */
	float imm;
	uint32_t reserved[3];
};

struct octans_cmd_copy {
	struct octans_cmd cmd;
	uint64_t dst;
	uint64_t src;			/* ranges must not overlap */
	uint64_t size;			/* bytes, <= 2^40 */
	uint64_t reserved;
};

struct octans_cmd_timestamp {
	struct octans_cmd cmd;
	uint64_t va;			/* 8-byte aligned: {cycles of this ring, time in ns} */
	uint64_t reserved;
};

#ifdef __cplusplus
}
#endif
#endif
