// SPDX-License-Identifier: MIT
/*
 * Commands: dispatch, and what they have in common (Documentation/hardware/commands.rst).
 */
#include "exec.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "numeric.h"

#define ACCESS 65536u		/* bytes of one access; it charges the budget */
#define SHARED_NS 30000u	/* less than this is not worth waking a thread */

#define HOST_PAGE 65536ul	/* no host has larger ones */
#define NS_FREE(bytes) ((bytes) / 40)
#define GIVE_BACK (4ul << 20)
#define HOST_KEEPS (32ul << 20)	/* malloc() may keep as much for the next one */

/* ---- checks ---- */

bool exec_zero(const void *p, size_t n)
{
	const uint8_t *b = p;

	while (n--)
		if (*b++)
			return false;
	return true;
}

bool exec_range_ok(uint64_t va, uint64_t size)
{
	uint64_t top = 1ull << OCTANS_VA_BITS;

	return va < top && size <= top - va;
}

static bool extent_ok(const struct octans_tensor *t, uint64_t row_bytes)
{
	uint64_t top = 1ull << OCTANS_VA_BITS, size = row_bytes;

	if (t->rows > 1) {
		/* Compared by division: rows times a hostile stride would wrap. */
		if (t->stride < size || t->stride > top / (t->rows - 1))
			return false;
		size += (t->rows - 1) * t->stride;
	}
	return exec_range_ok(t->va, size);
}

/* Where the tensor begins and how many rows it has, by the parameters. */
static bool resolve(struct exec *e, struct operand *o, uint32_t dyn)
{
	uint32_t rows = OCTANS_DYN_ROWS_OF(dyn), first = OCTANS_DYN_FIRST_OF(dyn), at = 0;

	if (rows > e->ex->n_params || first > e->ex->n_params)
		return false;
	if (first)
		at = e->ex->params[first - 1];
	if (at > o->rows || (rows && e->ex->params[rows - 1] > o->rows - at))
		return false;
	o->rows = rows ? e->ex->params[rows - 1] : o->rows - at;
	o->va += at * o->stride;
	e->empty |= !o->rows;
	return true;
}

bool exec_operand(struct exec *e, struct operand *o, const struct octans_tensor *t, uint64_t types,
		  unsigned int how)
{
	uint32_t elements = 1, bytes = 4, align;

	memset(o, 0, sizeof(*o));
	if (how & EXEC_OPTIONAL && exec_zero(t, sizeof(*t)))
		return true;
	if (t->type >= 64 || !(types >> t->type & 1) || t->dyn >> 16 ||
	    (how & EXEC_FIXED && t->dyn) || !t->rows || !t->cols || t->rows > OCTANS_MAX_ROWS ||
	    t->cols > OCTANS_MAX_COLS)
		return false;
	if (t->type != OCTANS_TYPE_I32 && !sim_type_block(t->type, &elements, &bytes))
		return false;
	align = sim_type_align(t->type);
	*o = (struct operand){
		.va = t->va,
		.stride = t->rows > 1 ? t->stride : 0,
		.rows = t->rows,
		.cols = t->cols,
		.type = t->type,
		.row_bytes = (uint64_t)t->cols / elements * bytes,
		.present = true,
	};
	if (t->cols % elements || t->va % align || o->stride % align || !extent_ok(t, o->row_bytes))
		return false;
	if (t->rows == 1)
		o->stride = o->row_bytes;
	return resolve(e, o, t->dyn);
}

bool exec_skipped(struct exec *e)
{
	e->ex->skipped = e->empty;
	return e->empty;
}

/* ---- memory of the model's own ---- */

struct exec_memory {
	_Alignas(64) struct exec_memory *next;
	uint64_t size;			/* with this */
};

void *exec_alloc(struct exec *e, uint64_t size)
{
	/* Longer by a vector: arithmetic may read beyond the last element. */
	uint64_t all = sizeof(struct exec_memory) + (size + 127) / 64 * 64;
	struct exec_memory *memory = aligned_alloc(64, all);

	if (!memory)
		return NULL;
	memory->size = all;
	memory->next = e->memory;
	e->memory = memory;
	return memory + 1;
}

/*
 * The host takes a while to take back what is large: it gets it in pieces.  False: the job is being
 * aborted, and whoever waits for that need not wait for the host.
 */
static bool give_back(struct exec *e, struct exec_memory *memory)
{
	uintptr_t at = ((uintptr_t)memory + HOST_PAGE) & ~(HOST_PAGE - 1);
	uintptr_t end = ((uintptr_t)memory + memory->size) & ~(HOST_PAGE - 1);
	uint64_t size = memory->size;

	if (size > HOST_KEEPS && !sim_yield(e->m))
		return false;
	for (; size > HOST_KEEPS && end - at >= GIVE_BACK; at += GIVE_BACK, size -= GIVE_BACK) {
		madvise((void *)at, GIVE_BACK, MADV_DONTNEED);
		if (exec_work(e, NS_FREE(GIVE_BACK)))
			return false;
	}
	e->memory = memory->next;
	free(memory);
	if (size > GIVE_BACK)
		(void)exec_work(e, NS_FREE(size));
	return true;
}

void sim_exec_free(struct exec_memory *left)
{
	while (left) {
		struct exec_memory *next = left->next;

		free(left);
		left = next;
	}
}

/* ---- time and threads ---- */

int exec_breathe(struct exec *e)
{
	return !sim_due(e->m) || sim_yield(e->m) ? OCTANS_JOB_OK : OCTANS_JOB_FAULT;
}

int exec_work(struct exec *e, uint64_t ns)
{
	sim_spend(e->m, ns);
	return exec_breathe(e);
}

uint32_t exec_threads(const struct exec *e)
{
	return sim_pool_threads(e->ex->pool);
}

int exec_share(struct exec *e, uint32_t parts, void (*part)(void *arg, uint32_t index), void *arg,
	       uint64_t ns)
{
	uint32_t threads = exec_threads(e);

	if (threads > 1 && parts > 1 && ns > SHARED_NS) {
		sim_pool_run(e->ex->pool, parts, part, arg);
		return exec_work(e, ns / (threads < parts ? threads : parts));
	}
	for (uint32_t i = 0; i < parts; i++)
		part(arg, i);
	return exec_work(e, ns);
}

/* ---- memory of the job ---- */

int exec_get(struct exec *e, uint64_t va, uint64_t len, void *to)
{
	while (len) {
		size_t n = len < ACCESS ? len : ACCESS;
		const void *p = sim_read(e->m, va, n, to);

		if (!p)
			return OCTANS_JOB_FAULT;
		if (p != to)
			memcpy(to, p, n);
		EXEC_TRY(exec_breathe(e));
		va += n;
		len -= n;
		to = (uint8_t *)to + n;
	}
	return OCTANS_JOB_OK;
}

int exec_put(struct exec *e, uint64_t va, uint64_t len, const void *from)
{
	while (len) {
		size_t n = len < ACCESS ? len : ACCESS;

		if (sim_write(e->m, va, from, n))
			return OCTANS_JOB_FAULT;
		EXEC_TRY(exec_breathe(e));
		va += n;
		len -= n;
		from = (const uint8_t *)from + n;
	}
	return OCTANS_JOB_OK;
}

int exec_get_rows(struct exec *e, const struct operand *o, uint32_t first, uint32_t rows, void *to)
{
	if (o->stride == o->row_bytes)
		return exec_get(e, exec_row(o, first), rows * o->row_bytes, to);
	for (uint32_t r = 0; r < rows; r++)
		EXEC_TRY(exec_get(e, exec_row(o, first + r), o->row_bytes,
				  (uint8_t *)to + r * o->row_bytes));
	return OCTANS_JOB_OK;
}

/* How many of @n elements from @first on lie one after the other, and where. */
static uint32_t run_of_elements(const struct operand *o, uint64_t first, uint32_t n, uint64_t *va)
{
	uint32_t row = (uint32_t)(first / o->cols), col = (uint32_t)(first % o->cols);

	*va = exec_row(o, row) + 4ull * col;
	return o->stride == o->row_bytes || n < o->cols - col ? n : o->cols - col;
}

int exec_get_elements(struct exec *e, const struct operand *o, uint64_t first, uint32_t n, void *to)
{
	for (uint32_t run; n; n -= run, first += run, to = (uint8_t *)to + 4ull * run) {
		uint64_t va;

		run = run_of_elements(o, first, n, &va);
		EXEC_TRY(exec_get(e, va, 4ull * run, to));
	}
	return OCTANS_JOB_OK;
}

int exec_put_elements(struct exec *e, const struct operand *o, uint64_t first, uint32_t n,
		      const void *from)
{
	for (uint32_t run; n; n -= run, first += run, from = (const uint8_t *)from + 4ull * run) {
		uint64_t va;

		run = run_of_elements(o, first, n, &va);
		EXEC_TRY(exec_put(e, va, 4ull * run, from));
	}
	return OCTANS_JOB_OK;
}

/* ---- cost ---- */

void exec_cost_hull(struct exec *e, bool write, const struct operand *o)
{
	sim_cost_operand(e->m, write, o->va, exec_hull(o));
}

int exec_cost_row(struct exec *e, const struct operand *o, uint32_t row)
{
	return sim_cost_piece(e->m, exec_row(o, row), o->row_bytes, 1) ? OCTANS_JOB_FAULT
								       : OCTANS_JOB_OK;
}

int exec_cost(struct exec *e, bool write, const struct operand *o)
{
	if (!o->present)
		return OCTANS_JOB_OK;
	exec_cost_hull(e, write, o);
	return sim_cost_rows(e->m, o->va, o->stride, o->rows, o->row_bytes, 1) ? OCTANS_JOB_FAULT :
	       OCTANS_JOB_OK;
}

/* ---- dispatch ---- */

static int dispatch(struct exec *e, const struct octans_cmd *c, uint32_t size)
{
#define OP(code, type, fn)                                                         \
	case OCTANS_OP_##code:                                                     \
		return size == sizeof(struct type) ? fn(e, (const struct type *)c) \
						   : OCTANS_JOB_BAD_CMD
	switch (c->op) {
	OP(NOP, octans_cmd, exec_nop);
	OP(MOVE, octans_cmd_move, exec_move);
	OP(MATMUL, octans_cmd_matmul, exec_matmul);
	OP(ROW, octans_cmd_row, exec_row_op);
	OP(MAP, octans_cmd_map, exec_map);
	OP(ROPE, octans_cmd_rope, exec_rope);
	OP(ATTEND, octans_cmd_attend, exec_attend);
	OP(TOPK, octans_cmd_topk, exec_topk);
	OP(CONV, octans_cmd_conv, exec_conv);
	OP(SCAN, octans_cmd_scan, exec_scan);
	OP(COPY, octans_cmd_copy, exec_copy);
	OP(PREFETCH, octans_cmd_prefetch, exec_prefetch);
	OP(SIGNAL, octans_cmd_signal, exec_signal);
	OP(WAIT, octans_cmd_wait, exec_wait);
	}
#undef OP
	return OCTANS_JOB_BAD_CMD;
}

int sim_exec(struct sim_mem *m, const void *cmd, uint32_t size, struct sim_exec *ex)
{
	const struct octans_cmd *c = cmd;
	struct exec e = { .m = m, .ex = ex };
	int status;

	ex->macs_int8 = ex->macs_f16 = ex->macs_f32 = ex->dma = 0;
	ex->skipped = ex->waited = false;
	ex->left = NULL;
	if (size < sizeof(*c) || c->size != size || c->reserved)
		return OCTANS_JOB_BAD_CMD;
	status = dispatch(&e, c, size);
	while (e.memory && give_back(&e, e.memory))
		;
	ex->left = e.memory;
	return status;
}

uint64_t sim_exec_ops(void)
{
	return (1ull << OCTANS_OP_COUNT) - 1;
}

uint64_t sim_exec_types(void)
{
	return EXEC_WEIGHTS;
}
