// SPDX-License-Identifier: MIT
/* The stream: headers, descriptors, rows in effect; what the operations share. */
#include "cpu.h"

#include <stdlib.h>

#include "fpenv.h"
#include "op.h"
#include "threads.h"

/* Work that is worth a part of its own, and that is worth waking other threads. */
#define PART_NS 5000u
#define SHARE_NS 15000u

static const struct op *const ops[64] = {
#define OP(NAME, lower, number) [number] = &op_##lower,
#include "list.h"
#undef OP
};

#define OP(NAME, lower, number) \
	_Static_assert((number) < OCTANS_OP_COUNT || (number) >= OP_CPU_ONLY, "the processor's number of " #NAME);
#include "list.h"
#undef OP

const struct op *op_of(uint32_t opcode)
{
	return opcode < 64 ? ops[opcode] : NULL;
}

const char *op_name(uint32_t opcode)
{
	const struct op *op = op_of(opcode);

	return op ? op->name : "?";
}

bool cpu_type_supported(uint32_t type)
{
	return weight_type(type);
}

uint64_t cpu_ops(void)
{
	uint64_t bits = 0;

	for (unsigned int i = 0; i < 64; i++)
		if (ops[i] && ops[i]->size)
			bits |= 1ull << i;
	return bits;
}

size_t cpu_isas(struct cpu_isa *out, size_t max)
{
	const struct kernels *k;
	size_t n = 0;

	for (; (k = isa_at(n)); n++)
		if (n < max)
			out[n] = (struct cpu_isa) { k->name, k->supported() };
	return n;
}

int cpu_new(const char *isa, unsigned int threads, struct cpu **out)
{
	const struct kernels *k = isa_find(isa);
	struct cpu *cpu;
	int err;

	*out = NULL;
	if (!k)
		return -ENOTSUP;
	if (!threads)
		threads = default_threads();
	cpu = calloc(1, sizeof(*cpu));
	if (!cpu)
		return -ENOMEM;
	cpu->all = *k;
	cpu->k = &cpu->all;
	cpu->part_ns = PART_NS;
	cpu->share_ns = SHARE_NS;
	cpu->max_ctx = MAX_CTX;
	err = isa_complete(&cpu->all);
	if (!err)
		err = pool_get(threads, &cpu->pool);
	if (err) {
		free(cpu);
		return err;
	}
	*out = cpu;
	return 0;
}

void cpu_free(struct cpu *cpu)
{
	if (!cpu)
		return;
	pool_put(cpu->pool);
	free(cpu->scratch.data);
	free(cpu->kept.buffer.data);
	free(cpu);
}

void cpu_stop_if(struct cpu *cpu, bool (*stop)(void *arg), void *arg)
{
	cpu->stop = stop;
	cpu->stop_arg = arg;
}

const char *cpu_isa_name(const struct cpu *cpu)
{
	return cpu->k->name;
}

unsigned int cpu_threads(const struct cpu *cpu)
{
	return pool_threads(cpu->pool);
}

void *buffer_get(struct buffer *b, size_t size)
{
	if (size > b->size || !b->data) {
		free(b->data);
		b->data = NULL;
		b->size = 0;
		if (size > SIZE_MAX / 2)
			return NULL;
		size = (size + 63) / 64 * 64 + 64;
		b->data = aligned_alloc(64, size);
		if (b->data)
			b->size = size;
	}
	return b->data;
}

void *scratch_per_thread(struct cpu *cpu, size_t *size)
{
	size_t all;

	if (*size > SIZE_MAX / 2)
		return NULL;
	*size = (*size + 63) / 64 * 64;
	if (__builtin_mul_overflow(*size, (size_t)pool_threads(cpu->pool), &all))
		return NULL;
	return buffer_get(&cpu->scratch, all);
}

struct shared {
	share_fn fn;
	void *arg;
	uint32_t items, chunk;
};

static void run_part(void *arg, uint32_t part, uint32_t thread)
{
	const struct shared *s = arg;
	uint32_t from = part * s->chunk, left = s->items - from;

	s->fn(s->arg, from, from + (left < s->chunk ? left : s->chunk), thread);
}

void share(struct cpu *cpu, uint32_t items, uint64_t ns, share_fn fn, void *arg)
{
	struct shared s = { fn, arg, items, 1 };

	if (!ns)
		ns = 1;
	if (pool_threads(cpu->pool) == 1 || items == 1 || ns < cpu->share_ns / items) {
		if (items)
			fn(arg, 0, items, 0);
		return;
	}
	if (ns < cpu->part_ns)
		s.chunk = (uint32_t)(cpu->part_ns / ns);
	pool_run(cpu->pool, (uint32_t)(((uint64_t)items + s.chunk - 1) / s.chunk), run_part, &s);
}

static bool is_absent(const struct octans_tensor *t)
{
	return !t->va && !t->stride && !t->rows && !t->cols && !t->type && !t->dyn;
}

/* Checks a descriptor as it stands and makes the tensor in effect; its rows may then be 0. */
static int resolve(const struct octans_tensor *t, const struct operand *o, const uint32_t *params,
		   uint32_t n_params, struct view *view)
{
	uint32_t elements, block, align, first = 0, rows, by_rows = OCTANS_DYN_ROWS_OF(t->dyn);
	uint32_t by_first = OCTANS_DYN_FIRST_OF(t->dyn);
	uint64_t bytes, stride = t->stride;

	*view = (struct view) { .rows = 1 };
	if (is_absent(t))
		return o->optional ? 0 : -EINVAL;
	if (t->type >= 64 || !(o->types >> t->type & 1) || !type_block(t->type, &elements, &block))
		return -EINVAL;
	align = type_align(t->type);
	if (!t->rows || t->rows > OCTANS_MAX_ROWS || !t->cols || t->cols > OCTANS_MAX_COLS ||
	    t->cols % elements || t->va % align || t->dyn >> 16)
		return -EINVAL;
	bytes = (uint64_t)t->cols / elements * block;
	if (t->va > ADDRESS_END - bytes)
		return -EINVAL;
	if (t->rows == 1)
		stride = bytes;
	else if (stride % align || stride < bytes ||
		 stride > (ADDRESS_END - bytes - t->va) / (t->rows - 1))
		return -EINVAL;
	if (by_rows > n_params || by_first > n_params)
		return -EINVAL;
	if (by_first)
		first = params[by_first - 1];
	if (first > t->rows)
		return -EINVAL;
	rows = by_rows ? params[by_rows - 1] : t->rows - first;
	if (rows > t->rows - first)
		return -EINVAL;
	*view = (struct view) {
		.data = (uint8_t *)(uintptr_t)t->va + first * stride,
		.stride = stride,
		.rows = rows,
		.cols = t->cols,
		.type = t->type,
	};
	/* A tensor at address 0 that is none would read as absent. */
	return view->data || !rows ? 0 : -EINVAL;
}

/* cmd: the whole command, 16-byte aligned. */
static int run_command(struct cpu *cpu, const struct op *op, const struct octans_cmd *cmd,
		       const uint32_t *params, uint32_t n_params)
{
	struct view view[MAX_OPERANDS];
	bool skip = false, fixed = true;

	if (cmd->reserved || (op->flags ? !op->flags(cmd->flags) : cmd->flags))
		return -EINVAL;
	for (unsigned int i = 0; i < op->operands; i++) {
		struct octans_tensor t;
		int err;

		memcpy(&t, (const uint8_t *)cmd + op->operand[i].offset, sizeof(t));
		err = resolve(&t, &op->operand[i], params, n_params, &view[i]);
		if (err)
			return err;
		skip |= !view[i].rows;
		fixed &= !op->operand[i].fixed || !t.dyn;
	}
	if (skip || !op->run)
		return 0;
	return fixed ? op->run(cpu, cmd, view) : -EINVAL;
}

/* Do commands of this kind leave what was kept of x alone?  (MATMUL sees to that itself.) */
static bool keeps_x(unsigned int op)
{
	return op == OCTANS_OP_MATMUL || op == OCTANS_OP_NOP || op == OCTANS_OP_PREFETCH;
}

int cpu_run(struct cpu *cpu, const void *stream, size_t size, const uint32_t *params,
	    uint32_t n_params, size_t *at)
{
	FP_SCOPE();
	union {
		struct octans_cmd header;
		uint8_t bytes[OCTANS_MAX_COMMAND];
	} cmd __attribute__((aligned(16)));
	const uint8_t *p = stream;
	size_t offset = 0;
	int err = 0;

	cpu->kept.x.data = NULL;
	while (offset < size) {
		const struct op *op;

		err = -ECANCELED;
		if (cpu->stop && cpu->stop(cpu->stop_arg))
			break;
		err = -EINVAL;
		if (size - offset < sizeof(cmd.header))
			break;
		memcpy(&cmd.header, p + offset, sizeof(cmd.header));
		op = op_of(cmd.header.op);
		if (!op || !op->size || cmd.header.size != op->size || op->size > size - offset)
			break;
		memcpy(cmd.bytes, p + offset, op->size);
		err = run_command(cpu, op, &cmd.header, params, n_params);
		if (err)
			break;
		if (!keeps_x(cmd.header.op))
			cpu->kept.x.data = NULL;
		offset += op->size;
	}
	if (err && at)
		*at = offset;
	return err;
}
