/* SPDX-License-Identifier: MIT */
/*
 * Random commands, every one of the command set, that the manual allows: for tests/cycles/jobs.c, which
 * wants their cost, and tests/random/same.c, which wants their results.  The includer sets up
 * the regions, then calls commands[pick(N_COMMANDS)]() into `stream`.
 */
#ifndef TESTS_COMMANDS_H
#define TESTS_COMMANDS_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <octans/isa.h>

#include "numeric.h"

#define STREAM_BYTES	(1u << 20)
#define BUFFERS		4096
#define CONTROL_BYTES	(4u << 20)	/* at the end of each region: what ids() makes */

/* Memory in pages of one size. */
struct region {
	uint64_t va, size, used;
	uint32_t page;
	bool local;
	uint8_t *map;
};

struct buffer {
	uint64_t va, size;
	uint32_t type;
	bool taken;		/* by the command that is being made */
};

static struct region *regions;
static unsigned int n_regions;
static struct buffer buffers[BUFFERS];
static unsigned int n_buffers;
static uint8_t *stream;
static uint32_t stream_size;
static uint32_t params[4];	/* 0: rows, 1: the first of them */
static uint64_t state = 1;
/* What is written overlaps nothing else, so that results are specified. */
static bool exclusive;
/* Fills new memory, if results matter. */
static void (*fill)(void *to, uint64_t bytes, uint32_t type);
static char memory[1 << 22];	/* control operands, as a list in JSON */
static size_t memory_used;

static void die(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

static uint32_t pick(uint32_t n)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(state >> 33) % n;
}

static uint32_t pick_of(const uint32_t *list, uint32_t n)
{
	return list[pick(n)];
}

#define ONE_OF(...) pick_of((const uint32_t []) { __VA_ARGS__ }, \
			    sizeof((const uint32_t []) { __VA_ARGS__ }) / sizeof(uint32_t))

static void *host(uint64_t va)
{
	for (unsigned int i = 0; i < n_regions; i++)
		if (va >= regions[i].va && va < regions[i].va + regions[i].size)
			return regions[i].map + (va - regions[i].va);
	die("an address is in no region");
	return NULL;
}

/* A buffer that nothing has used in this job, or not for long. */
static uint64_t new_buffer(uint64_t size)
{
	struct region *r = &regions[pick(8) < 6 ? 0 : pick(n_regions)];

	size = (size + 255) / 256 * 256;
	if (r->used + size > r->size - CONTROL_BYTES) {
		if (exclusive || size > r->size - CONTROL_BYTES)
			die("a region is too small");
		r->used = 0;	/* the oldest are used again */
	}
	r->used += size;
	buffers[n_buffers++ % BUFFERS] = (struct buffer) {
		r->va + r->used - size, size, OCTANS_TYPE_F32, exclusive,
	};
	return r->va + r->used - size;
}

static uint64_t filled_buffer(uint64_t size, uint32_t type)
{
	uint64_t va = new_buffer(size);

	buffers[(n_buffers - 1) % BUFFERS].type = type;
	if (fill)
		fill(host(va), size, type);
	return va;
}

/* One that there is, mostly: so commands depend on each other. */
static uint64_t buffer(uint64_t size, uint32_t type)
{
	uint32_t n = n_buffers < 24 ? n_buffers : 24;

	for (int i = 0; i < 8 && n; i++) {
		uint32_t b = (n_buffers - 1 - pick(n)) % BUFFERS;

		if (buffers[b].size >= size && !buffers[b].taken && (!fill || buffers[b].type == type))
			return buffers[b].va;
	}
	return filled_buffer(size, type);
}

static uint64_t row_bytes(uint32_t type, uint32_t cols)
{
	uint32_t elements, bytes;

	if (!sim_type_block(type, &elements, &bytes))
		return cols * 4ull;
	return (uint64_t)cols / elements * bytes;
}

static struct octans_tensor place(uint64_t va, uint32_t rows, uint32_t cols, uint32_t type, uint64_t stride)
{
	return (struct octans_tensor) { va, stride, rows, cols, type, 0 };
}

static struct octans_tensor tensor(uint32_t rows, uint32_t cols, uint32_t type, bool fresh)
{
	/* some have gaps between their rows */
	uint64_t row = row_bytes(type, cols), stride = row + (pick(4) ? 0 : 64);

	return place(fresh ? filled_buffer(rows * stride, type) : buffer(rows * stride, type), rows, cols, type,
		     stride);
}

static struct octans_tensor in(uint32_t rows, uint32_t cols)
{
	return tensor(rows, cols, OCTANS_TYPE_F32, false);
}

static struct octans_tensor out(uint32_t rows, uint32_t cols)
{
	return tensor(rows, cols, OCTANS_TYPE_F32, exclusive || pick(2));
}

static void remember(const struct octans_tensor *t)
{
	const uint8_t *p = host(t->va);
	uint64_t bytes = (t->rows - 1) * t->stride + t->cols * 4ull;

	if (fill)
		return;
	if (memory_used + bytes * 2 + 64 > sizeof(memory))
		die("too many control operands");
	memory_used += sprintf(memory + memory_used, "%s[%" PRIu64 ",\"", memory_used ? "," : "", t->va);
	for (uint64_t i = 0; i < bytes; i++)
		memory_used += sprintf(memory + memory_used, "%02x", p[i]);
	memory_used += sprintf(memory + memory_used, "\"]");
}

/* Numbers below @limit, some of them -1.  In a region of their own buffers, which nothing writes. */
static struct octans_tensor ids(uint32_t rows, uint32_t cols, uint32_t limit, bool negative)
{
	static uint64_t used;
	struct region *r = &regions[n_regions > 1 ? 1 + pick(n_regions - 1) : 0];
	uint64_t size = rows * (uint64_t)cols * 4;
	struct octans_tensor t;
	int32_t *p;

	if (used + size > CONTROL_BYTES)
		used = 0;
	t = place(r->va + r->size - CONTROL_BYTES + used, rows, cols, OCTANS_TYPE_I32, cols * 4ull);
	used += size;
	p = host(t.va);
	for (uint64_t i = 0; i < (uint64_t)rows * cols; i++)
		p[i] = negative && !pick(5) ? -1 : (int32_t)pick(limit);
	return t;
}

static void emit(void *command, uint32_t op, uint32_t flags, uint32_t size)
{
	struct octans_cmd *c = command;

	for (uint32_t i = 0; i < BUFFERS && i < n_buffers; i++)
		buffers[i].taken = false;
	c->op = op;
	c->flags = flags;
	c->size = size;
	if (stream_size + size > STREAM_BYTES)
		die("a stream is too long");
	memcpy(stream + stream_size, c, size);
	stream_size += size;
}

static uint32_t rows(void)
{
	return pick(4) ? ONE_OF(1, 1, 3, 17, 64) : 1 + pick(12);
}

/* A multiple of every block. */
static uint32_t cols(void)
{
	return ONE_OF(256, 512, 768, 2048);
}

/* Now and then of a size that leaves something over, whatever it is divided by. */
static uint32_t odd(uint32_t even, uint32_t below)
{
	return pick(3) ? even : 1 + pick(below);
}

/* As many as its blocks allow. */
static uint32_t cols_of(uint32_t type)
{
	uint32_t elements = 1, bytes;

	sim_type_block(type, &elements, &bytes);
	if (elements == 1)
		return odd(cols(), 600);
	return elements == 256 || pick(3) ? cols() : 32 * (1 + pick(40));
}

static uint32_t random_type(void)
{
	uint32_t type;

	do
		type = pick(64);
	while (!(sim_type_mask() >> type & 1));
	return type;
}

static void move(void)
{
	uint32_t m = rows(), type = random_type(), n = cols_of(type);
	struct octans_cmd_move c = { .src = tensor(100, n, type, false) };
	uint32_t flags = pick(3) ? 0 : OCTANS_MOVE_ADD;

	type = flags || n % 32 ? OCTANS_TYPE_F32 : ONE_OF(OCTANS_TYPE_F32, OCTANS_TYPE_F16, OCTANS_TYPE_Q8_0);
	if (!flags && n % 32 && pick(2))
		type = ONE_OF(OCTANS_TYPE_F16, OCTANS_TYPE_BF16);
	c.dst = tensor(200, n, type, true);
	c.dst_ids = ids(m, 1, 200, true);
	c.src_ids = ids(m, 1, 100, true);
	remember(&c.dst_ids);
	remember(&c.src_ids);
	if (pick(2))
		c.scale = in(m, 1);
	if (pick(2)) {	/* the same, without ids: rows in effect from the parameters */
		c.dst_ids = c.src_ids = (struct octans_tensor) { 0 };
		c.dst.dyn = OCTANS_DYN(0, 1);
		c.src.dyn = OCTANS_DYN_ROWS(0);
		if (c.scale.va) {
			c.scale.rows = 64;
			c.scale.va = buffer(64 * 4, OCTANS_TYPE_F32);
			c.scale.stride = 4;
			c.scale.dyn = OCTANS_DYN_ROWS(0);
		}
	}
	emit(&c, OCTANS_OP_MOVE, flags, sizeof(c));
}

static void matmul(void)
{
	uint32_t m = rows(), type = random_type(), k = cols_of(type), n = odd(ONE_OF(64, 512, 2048), 40);
	bool is_16 = type == OCTANS_TYPE_F16 || type == OCTANS_TYPE_BF16;
	uint32_t s = 1, planes = 1, flags = pick(3) ? 0 : OCTANS_MATMUL_ADD;
	struct octans_cmd_matmul c = { .x = in(m, k) };

	if (is_16 && pick(2))
		flags |= OCTANS_MATMUL_X16;
	if (!pick(3)) {
		s = ONE_OF(1, 2, 4);
		planes = 6;
		n = odd(64, 20);
		c.sel = ids(m, s, planes, true);
		remember(&c.sel);
		c.plane_stride = n * row_bytes(type, k) + 128;
	}
	c.w = place(buffer(planes * (n * row_bytes(type, k) + 128), type), n, k, type, row_bytes(type, k));
	c.planes = planes;
	c.dst = out(m * s, n);
	if (pick(2))
		c.bias = in(planes, n);
	emit(&c, OCTANS_OP_MATMUL, flags, sizeof(c));
}

static void row(void)
{
	uint32_t m = rows(), kind = pick(5), groups = ONE_OF(1, 4, 8), n = groups * odd(cols() / groups, 200);
	struct octans_cmd_row c = { .x = in(m, n), .groups = groups };

	c.dst = kind == OCTANS_ROW_SUM ? out(m, groups) : out(m, n);
	if (kind < OCTANS_ROW_SOFTMAX) {
		c.eps = 1e-5f;
		c.w = in(1, pick(2) ? n : n / groups);
		if (pick(2))
			c.bias = in(1, c.w.cols);
	}
	emit(&c, OCTANS_OP_ROW, kind, sizeof(c));
}

static void map(void)
{
	uint32_t m = rows(), n = odd(cols(), 600), f = pick(OCTANS_MAP_F_COUNT), op = pick(4);
	struct octans_cmd_map c = { .a = in(m, n), .dst = out(m, n) };

	if (op)
		c.b = in(pick(2) ? m : 1, pick(2) ? n : 1);
	if (f == OCTANS_MAP_CLAMP || f == OCTANS_MAP_XIELU)
		c.imm[3] = 1;
	emit(&c, OCTANS_OP_MAP, OCTANS_MAP(f, op), sizeof(c));
}

static void rope(void)
{
	uint32_t m = rows(), heads = ONE_OF(1, 4, 8), dim = 1 + odd(ONE_OF(63, 95), 95);
	uint32_t rot = dim < 64 ? dim & ~1u : 32;
	struct octans_cmd_rope c = { .heads = heads, .head_dim = dim, .first = dim - rot, .rot = rot };

	c.dst = out(m, heads * dim);
	c.x = pick(2) ? c.dst : in(m, heads * dim);
	c.cs = tensor(300, rot, OCTANS_TYPE_F32, false);
	c.pos = ids(m, 1, 300, false);
	remember(&c.pos);
	emit(&c, OCTANS_OP_ROPE, pick(2), sizeof(c));
}

static void attend(void)
{
	uint32_t m = rows(), kv_heads = ONE_OF(1, 2, 4), group = ONE_OF(1, 4), even = ONE_OF(64, 128);
	uint32_t kind = ONE_OF(OCTANS_TYPE_F32, OCTANS_TYPE_F16, OCTANS_TYPE_F16, OCTANS_TYPE_Q8_0);
	uint32_t dk = kind == OCTANS_TYPE_Q8_0 ? even : odd(even, 80), heads = kv_heads * group, list = !pick(4);
	uint32_t dv = kind == OCTANS_TYPE_Q8_0 || pick(2) ? dk : 1 + pick(80);
	struct octans_cmd_attend c = {
		.q = in(m, heads * dk), .dst = out(m, heads * dv), .heads = heads, .kv_heads = kv_heads, .dk = dk,
		.dv = dv, .scale = 0.1f, .cap = pick(3) ? 0 : 30,
		.k = tensor(512, kv_heads * dk, kind, true), .v = tensor(512, kv_heads * dv, kind, true),
	};
	int32_t *p;

	if (dv <= dk && !pick(3)) {		/* a part of the keys */
		c.v.va = c.k.va;
		c.v.stride = c.k.stride;
	}
	if (list) {
		c.range = ids(m, 20, 256, true);
	} else {
		c.range = ids(m, 2, 256, false);
		p = host(c.range.va);
		for (uint32_t i = 0; i < m; i++)
			if (p[2 * i] > p[2 * i + 1]) {
				int32_t t = p[2 * i];

				p[2 * i] = p[2 * i + 1];
				p[2 * i + 1] = t;
			}
	}
	remember(&c.range);
	if (pick(2)) {
		c.pages = ids(3, 16, 32, false);
		c.seq = ids(m, 1, 3, false);
		c.page_log2 = 4;
		remember(&c.pages);
		remember(&c.seq);
	}
	if (pick(2))
		c.sinks = in(1, heads);
	emit(&c, OCTANS_OP_ATTEND, list ? OCTANS_ATTEND_LIST : 0, sizeof(c));
}

static void topk(void)
{
	uint32_t m = rows(), n = odd(cols(), 600) + 39, k = ONE_OF(1, 8, 40);
	struct octans_cmd_topk c = { .x = in(m, n), .k = k, .groups = 1, .groups_used = 1, .scale = 1 };

	c.values = out(m, k);
	if (pick(2))
		c.ids = tensor(m, k, OCTANS_TYPE_I32, true);
	if (pick(2))
		c.bias = in(1, n);
	emit(&c, OCTANS_OP_TOPK, 0, sizeof(c));
}

static struct octans_tensor slots(uint32_t m)
{
	struct octans_tensor t = ids(m, 2, 5, true);

	remember(&t);
	return t;
}

static void conv(void)
{
	uint32_t m = rows(), n = odd(cols(), 300);
	struct octans_cmd_conv c = {
		.x = in(m, n), .dst = out(m, n), .w = in(n, 4), .state = tensor(5, 3 * n, OCTANS_TYPE_F32, true),
		.slot = slots(m),
	};

	emit(&c, OCTANS_OP_CONV, 0, sizeof(c));
}

static void scan(void)
{
	uint32_t m = rows(), heads = ONE_OF(2, 8), groups = ONE_OF(1, 2), kind = pick(2);
	uint32_t dk = odd(32, 40), dv = odd(32, 40);
	struct octans_cmd_scan c = {
		.v = in(m, heads * dv), .dst = out(m, heads * dv), .k = in(m, groups * dk), .q = in(m, groups * dk),
		.g = in(m, heads), .heads = heads, .groups = groups, .dk = dk, .dv = dv, .scale = 1,
		.state = tensor(5, heads * dv * dk, OCTANS_TYPE_F32, true), .slot = slots(m),
	};

	if (kind == OCTANS_SCAN_SSM)
		c.a = in(1, heads);
	else
		c.beta = in(m, heads);
	emit(&c, OCTANS_OP_SCAN, kind, sizeof(c));
}

static void copy(void)
{
	uint64_t size = 1 + pick(300000);
	struct octans_cmd_copy c = { .src = buffer(size, OCTANS_TYPE_F32), .size = size };

	do
		c.dst = new_buffer(size);
	while (c.dst < c.src + size && c.src < c.dst + size);
	emit(&c, OCTANS_OP_COPY, 0, sizeof(c));
}

static void prefetch(void)
{
	uint64_t size = 1 + pick(1000000);
	struct octans_cmd_prefetch c = { .va = buffer(size, OCTANS_TYPE_F32), .size = size };

	emit(&c, OCTANS_OP_PREFETCH, 0, sizeof(c));
}

static void signal_time(void)
{
	struct octans_cmd_signal c = { .va = new_buffer(128) };

	emit(&c, OCTANS_OP_SIGNAL, ONE_OF(OCTANS_SIGNAL_VALUE, OCTANS_SIGNAL_TIME, OCTANS_SIGNAL_COUNTERS), sizeof(c));
}

static void wait_value(void)
{
	struct octans_cmd_wait c = { .va = new_buffer(8) };

	emit(&c, OCTANS_OP_WAIT, 0, sizeof(c));
}

static void nop(void)
{
	struct octans_cmd c = { 0 };

	emit(&c, OCTANS_OP_NOP, 0, sizeof(c));
}

static void (*const commands[])(void) = {
	move, matmul, matmul, matmul, row, row, map, map, rope, attend, topk, conv, scan, copy, prefetch,
	signal_time, wait_value, nop,
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

#endif
