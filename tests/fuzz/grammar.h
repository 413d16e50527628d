/* SPDX-License-Identifier: MIT */
/*
 * Commands that are nearly right, for fuzzers.  The includer says where memory is, by page_va()
 * (the start of a page, of most of which the job may use), large_va() (of so many pages in a
 * row, if it knows some) and id_va() (of numbers that are mostly good as ids, slots
 * and ranges, made by fill_ids()), and has make_command() make them.
 */
#ifndef TESTS_FUZZ_GRAMMAR_H
#define TESTS_FUZZ_GRAMMAR_H

#include <string.h>

#include <octans/isa.h>

#include "../unit/command.h"
#include "random.h"

static uint64_t page_va(void);
static uint64_t large_va(uint32_t pages);
static uint64_t id_va(void);

static _Thread_local bool clean;	/* without errors on purpose */
static _Thread_local uint32_t newest;	/* operation */

static bool spoil(uint32_t n)
{
	return !clean && one_in(n);
}

static uint32_t size(void)
{
	static const uint32_t sizes[] = {
		1, 2, 3, 4, 5, 7, 8, 16, 31, 32, 33, 64, 96, 128, 256, 257, 512, 1000, 1024, 2048,
		4096, 65536, 65537, 1u << 20, 1u << 24, 0, UINT32_MAX,
	};

	return sizes[below(clean ? 16 : one_in(10) ? 27 : 20)];
}

static uint32_t small(uint32_t most)
{
	if (one_in(100))
		return 1 + below(1 << 15);
	return one_in(clean ? 50 : 5) ? size() : 1 + below(most);
}

static uint64_t address(void)
{
	uint64_t va = page_va() + (one_in(3) ? below(4096) : below(64) * 64);

	if (spoil(40))
		return any_size();
	return clean || !one_in(4) ? va & ~15ULL : va;
}

static uint32_t dyn(void)
{
	return one_in(clean ? 20 : 6) ? OCTANS_DYN(one_in(2) ? below(66) : OCTANS_DYN_NONE,
				      one_in(2) ? below(66) : OCTANS_DYN_NONE) : 0;
}

static const struct block { uint32_t type, cols, bytes; } blocks[] = {
	{ OCTANS_TYPE_F32, 1, 4 }, { OCTANS_TYPE_F16, 1, 2 }, { OCTANS_TYPE_BF16, 1, 2 },
	{ OCTANS_TYPE_Q4_0, 32, 18 }, { OCTANS_TYPE_Q4_1, 32, 20 }, { OCTANS_TYPE_Q5_0, 32, 22 },
	{ OCTANS_TYPE_Q5_1, 32, 24 }, { OCTANS_TYPE_Q8_0, 32, 34 }, { OCTANS_TYPE_IQ4_NL, 32, 18 },
	{ OCTANS_TYPE_MXFP4, 32, 17 }, { OCTANS_TYPE_Q2_K, 256, 84 }, { OCTANS_TYPE_Q3_K, 256, 110 },
	{ OCTANS_TYPE_Q4_K, 256, 144 }, { OCTANS_TYPE_Q5_K, 256, 176 },
	{ OCTANS_TYPE_Q6_K, 256, 210 }, { OCTANS_TYPE_IQ4_XS, 256, 136 },
	{ OCTANS_TYPE_I32, 1, 4 },	/* the last: no weights */
};

#define BLOCKS (sizeof(blocks) / sizeof(*blocks))

static const struct block *block_of(uint32_t type)
{
	for (size_t i = 0; i < BLOCKS; i++)
		if (blocks[i].type == type)
			return &blocks[i];
	return &blocks[0];
}

static struct octans_tensor tensor(uint32_t rows, uint32_t cols, uint32_t type)
{
	struct octans_tensor t = {
		.va = address(), .rows = rows, .cols = cols, .type = type, .dyn = dyn(),
	};

	t.stride = cols / block_of(type)->cols * (uint64_t)block_of(type)->bytes;
	if (one_in(3))
		t.stride += below(64) * 4;
	if (t.rows && t.stride > 4096 / t.rows && t.stride < (1u << 22) / t.rows && !one_in(6))
		t.va = (large_va(t.rows * t.stride / 4096 + 1) + below(4096)) & ~15ULL;
	if (spoil(30))
		t.stride = any_size();
	if (spoil(60))
		t.rows = size();
	if (spoil(60))
		t.cols = size();
	if (spoil(80))
		t.type = below(66);
	if (spoil(60))
		t.dyn = any();
	return t;
}

static struct octans_tensor floats(uint32_t rows, uint32_t cols)
{
	return tensor(rows, cols, OCTANS_TYPE_F32);
}

static struct octans_tensor ids(uint32_t rows, uint32_t cols)
{
	struct octans_tensor t = tensor(rows, cols, OCTANS_TYPE_I32);

	if (!spoil(3)) {
		t.va = id_va();
		t.stride = (cols + 1) / 2 * 8ULL;
	}
	return t;
}

static struct octans_tensor perhaps(struct octans_tensor t)
{
	return one_in(2) ? t : (struct octans_tensor) { 0 };
}

static uint32_t random_type(void)
{
	return blocks[below(BLOCKS - 1)].type;
}

static uint32_t cols_of(uint32_t type)
{
	if (spoil(30))
		return size();
	if (block_of(type)->cols == 256)
		return 256 * (1 + below(3));
	return type == OCTANS_TYPE_F32 ? 1 + below(200) : 32 * (1 + below(6));
}

static float number(void)
{
	float f;
	uint32_t bits = any();

	memcpy(&f, &bits, sizeof(f));
	return one_in(3) && !clean ? f : (float)(int)below(9) / 4;
}

static uint32_t make_move(union command *u, uint32_t m)
{
	uint32_t to = one_in(2) ? OCTANS_TYPE_F32 : random_type(), from = random_type();
	uint32_t n = 32 * (1 + below(6));

	if (one_in(8))
		to = from = OCTANS_TYPE_I32;
	if (block_of(from)->cols == 256)
		n = 256;
	if (clean && from != OCTANS_TYPE_I32 && block_of(to)->cols > 1 && to != OCTANS_TYPE_Q8_0)
		to = OCTANS_TYPE_F16;
	u->move.dst_ids = perhaps(ids(m, 1));
	u->move.src_ids = perhaps(ids(m, 1));
	u->move.dst = tensor(u->move.dst_ids.va ? 2 + below(40) : m, n, to);
	u->move.src = tensor(u->move.src_ids.va ? 2 + below(40) : m, n, from);
	if (to != OCTANS_TYPE_I32 || spoil(4))
		u->move.scale = perhaps(floats(m, 1));
	u->cmd.flags = (to == OCTANS_TYPE_F32 || spoil(4)) && one_in(4);
	return sizeof(u->move);
}

static uint32_t make_matmul(union command *u, uint32_t m)
{
	uint32_t type = random_type(), k = cols_of(type), n = small(40), s = 1 + below(4);
	uint32_t planes = one_in(2) ? 1 : small(8);
	bool select = planes > 1 || one_in(4);

	u->matmul.x = floats(m, k);
	u->matmul.w = tensor(n, k, type);
	u->matmul.dst = floats(select ? m * s : m, n);
	u->matmul.bias = perhaps(floats(planes, n));
	if (select)
		u->matmul.sel = ids(m, s);
	u->matmul.planes = planes;
	u->matmul.plane_stride = planes > 1 ? n * u->matmul.w.stride + below(3) * 16 : 0;
	if (spoil(30))
		u->matmul.plane_stride = any_size();
	u->cmd.flags = below(2);
	if (type == OCTANS_TYPE_F16 || type == OCTANS_TYPE_BF16)
		u->cmd.flags |= one_in(2) ? OCTANS_MATMUL_X16 : 0;
	return sizeof(u->matmul);
}

static uint32_t make_row(union command *u, uint32_t m)
{
	uint32_t kind = below(5), groups = one_in(2) ? 1 : small(8), n = groups * small(64);

	u->cmd.flags = kind;
	u->row.x = floats(m, n);
	u->row.dst = kind == OCTANS_ROW_SUM ? floats(m, groups) : one_in(3) ? u->row.x : floats(m, n);
	if (kind < OCTANS_ROW_SOFTMAX) {
		u->row.w = perhaps(floats(1, one_in(2) ? n : n / (groups ? groups : 1)));
		u->row.bias = kind == OCTANS_ROW_LAYER ? perhaps(u->row.w) : (struct octans_tensor) { 0 };
		u->row.eps = clean ? 1e-5f : number();
	}
	u->row.groups = groups;
	return sizeof(u->row);
}

static uint32_t make_map(union command *u, uint32_t m)
{
	uint32_t f = below(OCTANS_MAP_F_COUNT), op = below(4), n = small(300);
	bool affine = one_in(3);

	u->cmd.flags = OCTANS_MAP(f, op) | (affine ? OCTANS_MAP_AFFINE : 0);
	u->map.a = floats(m, n);
	u->map.dst = one_in(3) ? u->map.a : floats(m, n);
	if (op)
		u->map.b = one_in(3) ? floats(1, n) : one_in(2) ? floats(m, 1) : floats(m, n);
	for (int i = 0; i < 4; i++)
		if (i < 2 ? affine : f == OCTANS_MAP_XIELU || f == OCTANS_MAP_CLAMP)
			u->map.imm[i] = i == 3 ? 2 + number() : number();
	return sizeof(u->map);
}

static uint32_t make_rope(union command *u, uint32_t m)
{
	uint32_t heads = small(8), dim = one_in(4) ? size() : 2 * (1 + below(16));
	uint32_t rot = one_in(4) ? size() : 2 * (1 + below(dim / 2 ? dim / 2 : 1));

	u->rope.heads = heads;
	u->rope.head_dim = dim;
	u->rope.rot = rot;
	u->rope.first = one_in(2) || rot > dim ? 0 : below(dim - rot + 1);
	u->rope.x = floats(m, heads * dim);
	u->rope.dst = one_in(2) ? u->rope.x : floats(m, heads * dim);
	u->rope.pos = perhaps(ids(m, 1));
	u->rope.cs = floats(one_in(2) ? m : 64, rot);
	u->cmd.flags = below(2);
	return sizeof(u->rope);
}

static uint32_t make_attend(union command *u, uint32_t m)
{
	static const uint32_t types[] = { OCTANS_TYPE_F32, OCTANS_TYPE_F16, OCTANS_TYPE_Q8_0 };
	struct octans_cmd_attend *a = &u->attend;
	uint32_t pool = 1 + small(64), type = types[below(3)], unit = type == OCTANS_TYPE_Q8_0 ? 32 : 1;

	a->kv_heads = small(4);
	a->heads = a->kv_heads * (1 + below(8));
	a->dk = unit * small(unit == 32 ? 3 : 40);
	a->dv = one_in(2) ? a->dk : unit * small(unit == 32 ? 3 : 40);
	a->q = floats(m, a->heads * a->dk);
	a->dst = floats(m, a->heads * a->dv);
	a->k = tensor(pool, a->kv_heads * a->dk, type);
	a->v = tensor(pool, a->kv_heads * a->dv, type);
	if (clean)
		a->k.dyn = a->v.dyn = 0;
	if (one_in(2)) {
		a->pages = ids(2 + below(4), small(16));
		a->page_log2 = below(clean ? 3 : 20);
		a->k.rows = a->v.rows = pool << (clean ? 3 : 0);
	}
	a->seq = one_in(2) ? ids(m, 1) : (struct octans_tensor) { 0 };
	u->cmd.flags = one_in(4);
	a->range = ids(m, u->cmd.flags ? small(one_in(3) ? 500 : 20) : 2);
	/* Results that are positions, where the next row has its list. */
	if (u->cmd.flags && one_in(3)) {
		a->v.va = id_va();
		a->dst.va = a->range.va + below(2) * a->range.stride;
	}
	a->sinks = perhaps(floats(1, a->heads));
	a->slopes = perhaps(floats(1, a->heads));
	a->scale = number();
	a->cap = one_in(2) ? 0 : number();
	if (clean && a->cap < 0)
		a->cap = 0;
	return sizeof(*a);
}

static uint32_t make_topk(union command *u, uint32_t m)
{
	struct octans_cmd_topk *t = &u->topk;
	uint32_t groups = one_in(2) ? 1 : 1 + below(8), n = groups * small(64);

	t->k = 1 + below(n < 40 ? n : 40);
	t->x = floats(m, n);
	t->ids = ids(m, t->k);
	t->values = perhaps(floats(m, t->k));
	t->bias = perhaps(floats(1, n));
	t->range = groups == 1 ? perhaps(ids(m, 2)) : (struct octans_tensor) { 0 };
	t->groups = groups;
	t->groups_used = groups == 1 ? 1 : 1 + below(groups);
	u->cmd.flags = below(8);
	if (groups == 1)
		u->cmd.flags &= ~OCTANS_TOPK_GROUP_TOP2;
	if (u->cmd.flags & OCTANS_TOPK_RENORM) {
		t->floor = clean ? 1 : number();
		t->scale = number();
	}
	return sizeof(*t);
}

static uint32_t make_conv(union command *u, uint32_t m)
{
	uint32_t c = small(32), taps = clean ? 2 + below(4) : small(16);

	u->conv.dst = floats(m, c);
	u->conv.x = floats(m, c);
	u->conv.w = floats(c, taps);
	u->conv.bias = perhaps(floats(1, c));
	u->conv.state = floats(2 + below(8), (taps - 1) * c);
	if (clean)
		u->conv.state.dyn = 0;
	u->conv.slot = ids(m, 2);
	return sizeof(u->conv);
}

static uint32_t make_scan(union command *u, uint32_t m)
{
	struct octans_cmd_scan *s = &u->scan;
	bool delta = one_in(2);

	u->cmd.flags = delta;
	s->groups = small(3);
	s->heads = s->groups * (1 + below(3));
	s->dk = small(16);
	s->dv = small(16);
	s->dst = floats(m, s->heads * s->dv);
	s->v = floats(m, s->heads * s->dv);
	s->k = floats(m, s->groups * s->dk);
	s->q = floats(m, s->groups * s->dk);
	s->g = floats(m, s->heads * (delta && one_in(2) ? s->dk : 1));
	if (delta) {
		s->beta = floats(m, s->heads);
	} else {
		s->a = floats(1, s->heads);
		s->d = perhaps(floats(1, s->heads));
	}
	s->state = floats(2 + below(4), s->heads * s->dv * s->dk);
	if (clean)
		s->state.dyn = 0;
	s->slot = ids(m, 2);
	s->scale = delta ? number() : 1;
	return sizeof(*s);
}

static uint32_t make_bytes(union command *u, uint32_t op)
{
	switch (op) {
	case OCTANS_OP_COPY:
		u->copy.dst = address();
		u->copy.src = address();
		u->copy.size = one_in(4) ? any_size() : 1 + below(9000);
		return sizeof(u->copy);
	case OCTANS_OP_PREFETCH:
		u->prefetch.va = address();
		u->prefetch.size = one_in(4) ? any_size() : 1 + below(9000);
		return sizeof(u->prefetch);
	case OCTANS_OP_SIGNAL:
		u->cmd.flags = below(3);
		u->signal.va = address() & ~7ULL;
		u->signal.value = u->cmd.flags ? 0 : any();
		return sizeof(u->signal);
	case OCTANS_OP_WAIT:
		u->wait.va = address() & ~7ULL;
		u->wait.value = one_in(20) ? any() : 0;
		return sizeof(u->wait);
	}
	return sizeof(u->cmd);
}

/* Pairs of 0 and 1 that are a range, too; now and then none, or nonsense. */
__attribute__((unused))
static void fill_ids(uint64_t *id, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		id[i] = one_in(40) ? any_size() : 1ULL << 32;
		if (one_in(16))
			((int32_t *)id)[2 * i + below(2)] = -1;
		else if (one_in(16))
			((int32_t *)id)[2 * i + 1] = below(200);
	}
}

/* What the command writes, or how it is controlled, lies where another operand does. */
static void overlap(union command *u, uint32_t bytes)
{
	uint32_t n = (bytes - sizeof(u->cmd)) / sizeof(struct octans_tensor);
	struct octans_tensor *t = (struct octans_tensor *)(&u->cmd + 1);
	struct octans_tensor *to = t + below(n), *from = t + below(n);

	if (n && to->va && from->va)
		to->va = from->va + (one_in(2) ? below(4) * from->stride : below(512) * 4);
}

/* Returns its size. */
static uint32_t make_command(uint8_t *out)
{
	static uint32_t (*const make[])(union command *, uint32_t) = {
		[OCTANS_OP_MOVE] = make_move, [OCTANS_OP_MATMUL] = make_matmul,
		[OCTANS_OP_ROW] = make_row, [OCTANS_OP_MAP] = make_map,
		[OCTANS_OP_ROPE] = make_rope, [OCTANS_OP_ATTEND] = make_attend,
		[OCTANS_OP_TOPK] = make_topk, [OCTANS_OP_CONV] = make_conv,
		[OCTANS_OP_SCAN] = make_scan,
	};
	uint32_t op = below(OCTANS_OP_COUNT), m = small(5), bytes;
	union command u;

	memset(&u, 0, sizeof(u));
	if (op < sizeof(make) / sizeof(*make) && make[op])
		bytes = make[op](&u, m);
	else
		bytes = make_bytes(&u, op);
	u.cmd.op = op;
	u.cmd.size = bytes;
	newest = op;
	if (one_in(12) && op < OCTANS_OP_COPY)
		overlap(&u, bytes);
	if (spoil(50))
		u.cmd.size = any_size();
	if (spoil(100))
		u.cmd.op = any();
	if (spoil(50))
		u.cmd.flags = any();
	if (spoil(100))
		u.cmd.reserved = any();
	for (int i = spoil(12) ? 1 + below(3) : 0; i; i--)
		u.words[below(bytes / 4)] = one_in(2) ? size() : any();
	memcpy(out, &u, bytes);
	return bytes;
}

#endif
