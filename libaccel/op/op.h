/* SPDX-License-Identifier: MIT */
/*
 * What the operations share: the CPU object, tensors in effect, scratch memory, threads.
 * One operation is one file, NAME.c, with one struct op, and one line of list.h; cpu.c walks the
 * stream, checks headers and descriptors and calls it.
 */
#ifndef ACCEL_OP_H
#define ACCEL_OP_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu.h"
#include "isa/kernels.h"
#include "pool.h"

#define MAX_OPERANDS	10
#define ADDRESS_END	(1ull << 48)
/* Positions of one row of ATTEND: no processor's MAX_CTX, what is too long for them runs here. */
#define MAX_CTX		OCTANS_MAX_ROWS

/* A tensor in effect: from its first row on, with the rows that the parameters leave.  data is NULL
 * if it is absent. */
struct view {
	uint8_t *data;
	uint64_t stride;
	uint32_t rows, cols, type;
};

/* Memory that grows and is kept for the next command. */
struct buffer {
	void *data;
	size_t size;
};

enum x_form { X_INT8, X_F16, X_BF16 };

/* The x of the last MATMUL as its multipliers take it. */
struct kept_x {
	struct view x;		/* x.data is NULL: nothing is kept */
	enum x_form form;
	struct buffer buffer;
};

struct cpu {
	const struct kernels *k;	/* all */
	struct kernels all;
	struct pool *pool;
	/* share(): work that is worth a part, and waking other threads; tests lower them. */
	uint64_t part_ns, share_ns;
	uint32_t max_ctx;		/* MAX_CTX; tests: a processor's */
	struct buffer scratch;
	struct kept_x kept;
	bool (*stop)(void *arg);	/* or NULL */
	void *stop_arg;
};

/* What a field of a command may hold. */
struct operand {
	uint16_t offset;	/* in the command */
	bool optional, fixed;	/* fixed: no dyn */
	uint64_t types;		/* bit n: type n */
};

/* The least that a command costs: weights, keys and values moved once, and multiply-adds. */
struct op_work {
	uint64_t bytes, macs_int8, macs_f16, macs_f32;
	uint64_t far;		/* bytes that are not in the memory of who computes, but in the host's */
};

struct op_cost {
	struct op_work once;		/* if there are rows at all */
	struct op_work row;		/* of the first operand */
	struct op_work seq;		/* of a sequence, however many rows it has: its state */
	struct op_work plane;		/* of weights, that any row names; there are so many: */
	uint32_t planes;
	struct op_work pair;		/* of a row and a position that it attends to */
	struct op_work position;	/* that is attended to */
	uint64_t range;			/* the address of what says which those are; 0: there are none */
	bool list;			/* it names them one by one */
};

struct op {
	const char *name;	/* "MATMUL" */
	uint32_t size;		/* of the command */
	bool (*flags)(uint16_t flags);	/* NULL: 0 alone */
	unsigned int operands;
	struct operand operand[MAX_OPERANDS];
	/*
	 * No view has 0 rows.  Checks all that is left to check, then executes.
	 * 0, -EINVAL (nothing was written), -ENOMEM (likewise).
	 */
	int (*run)(struct cpu *cpu, const void *cmd, const struct view *view);
	/* Of a command as it stands; NULL: nothing that counts.  *cost is zeroed. */
	void (*cost)(const void *cmd, struct op_cost *cost);
};

/* NULL: there is no such operation. */
const struct op *op_of(uint32_t opcode);
/* "MATMUL", or "?" */
const char *op_name(uint32_t opcode);

/* From here on numbers are of operations that no processor has. */
#define OP_CPU_ONLY 32

#define OP(NAME, lower, number) extern const struct op op_##lower;
#include "list.h"
#undef OP

#define TYPE(t)		(1ull << OCTANS_TYPE_##t)
enum {
	WEIGHTS = 0
#define WEIGHT_TYPE(NAME, lower, form, number, ...) | 1ull << number
#include "type/list.h"
};

static inline uint8_t *row_bytes(const struct view *v, uint32_t r)
{
	return v->data + r * v->stride;
}

static inline float *row_f32(const struct view *v, uint32_t r)
{
	return (float *)(void *)row_bytes(v, r);
}

static inline int32_t *row_i32(const struct view *v, uint32_t r)
{
	return (int32_t *)(void *)row_bytes(v, r);
}

/* Has the view these rows and columns in effect? */
static inline bool is_shape(const struct view *v, uint64_t rows, uint64_t cols)
{
	return v->rows == rows && v->cols == cols;
}

static inline bool is_shape_or_absent(const struct view *v, uint64_t rows, uint64_t cols)
{
	return !v->data || is_shape(v, rows, cols);
}

/* First byte behind the view. */
static inline const uint8_t *view_end(const struct view *v)
{
	return v->data + (v->rows - 1) * v->stride + type_bytes(v->type, v->cols);
}

/* Are all slots of CONV or SCAN, I32 [m, 2], below slots? */
static inline bool slots_ok(const struct view *slot, uint32_t slots)
{
	for (uint32_t i = 0; i < slot->rows; i++)
		if (row_i32(slot, i)[0] >= (int32_t)slots || row_i32(slot, i)[1] >= (int32_t)slots)
			return false;
	return true;
}

/* At least size bytes, aligned for vectors, of no particular value; NULL: no memory. */
void *buffer_get(struct buffer *b, size_t size);

/* Scratch memory: a piece of *size bytes, rounded up, for each thread; NULL: no memory. */
void *scratch_per_thread(struct cpu *cpu, size_t *size);

/* items from .. to - 1, on the thread of this number. */
typedef void (*share_fn)(void *arg, uint32_t from, uint32_t to, uint32_t thread);

/*
 * Calls fn for pieces of 0 .. items - 1 and returns when all are done.  ns: about what one item
 * takes; what is too little to be worth another thread's waking runs on this one.
 */
void share(struct cpu *cpu, uint32_t items, uint64_t ns, share_fn fn, void *arg);

#endif
