/* SPDX-License-Identifier: MIT */
/*
 * The operations, a line each: op_name is in name.c (or beside its like), which says all that is to be
 * known of it.  The number is the manual's.  One that the manual does not know, 32 to 63, is the CPU's
 * alone: layers that use it are placed there.
 */
OP(NOP,		nop,		OCTANS_OP_NOP)
OP(MOVE,	move,		OCTANS_OP_MOVE)
OP(MATMUL,	matmul,		OCTANS_OP_MATMUL)
OP(ROW,		row,		OCTANS_OP_ROW)
OP(MAP,		map,		OCTANS_OP_MAP)
OP(ROPE,	rope,		OCTANS_OP_ROPE)
OP(ATTEND,	attend,		OCTANS_OP_ATTEND)
OP(TOPK,	topk,		OCTANS_OP_TOPK)
OP(CONV,	conv,		OCTANS_OP_CONV)
OP(SCAN,	scan,		OCTANS_OP_SCAN)
OP(COPY,	copy,		OCTANS_OP_COPY)
OP(PREFETCH,	prefetch,	OCTANS_OP_PREFETCH)
OP(SIGNAL,	signal,		OCTANS_OP_SIGNAL)
OP(WAIT,	wait,		OCTANS_OP_WAIT)
