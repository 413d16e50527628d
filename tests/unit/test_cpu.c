// SPDX-License-Identifier: MIT
/*
 * The CPU's implementation of the command set against the golden vectors (exact arithmetic, made
 * by ref_numerics.py), scalar and AVX2, one thread and three; AVX2 against scalar on random
 * commands of every kind, infinities and NaNs included; streams as a whole against their commands
 * one by one.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "command.h"
#include "op/op.h"
#include "golden.h"
#include "tap.h"

#define MAX_ISAS 8

#define ARENA (4u << 20)
#define GUARD (1u << 16)
#define PROFILE_CTX 131072u	/* what the golden vectors are refused by */

/* Behind the arena lies a page that nobody may touch. */
static uint8_t *arena, *before, *result;

/* Threads take part in the smallest work, so that tests of small shapes are tests of them. */
static struct cpu *new_cpu(const char *isa, unsigned int threads)
{
	struct cpu *cpu;

	if (cpu_new(isa, threads, &cpu))
		return NULL;
	cpu->max_ctx = PROFILE_CTX;
	if (threads > 1)
		cpu->part_ns = cpu->share_ns = 0;
	return cpu;
}

/* ---- golden vectors ---- */

static bool same_function(const struct kernels *k, const struct golden *g)
{
	uint32_t n = golden_params(g)[0], offset, bytes;
	const float *x = (const float *)(const void *)golden_image(g);
	const uint8_t *want = golden_output(g, 0, &offset, &bytes);
	uint8_t *got = calloc(n, sizeof(struct q8_block));
	float *f = (float *)(void *)got;
	bool good = true;

	for (uint32_t i = 0; i < n && g->op <= GOLDEN_TANH; i++)
		f[i] = canonical(g->op == GOLDEN_EXP ? exp_f32(x[i]) :
				 g->op == GOLDEN_EXPM1 ? expm1_f32(x[i]) :
				 g->op == GOLDEN_LOG1P ? log1p_f32(x[i]) : tanh_f32(x[i]));
	if (g->op == GOLDEN_F16 || g->op == GOLDEN_BF16)
		k->store(got, x, g->op == GOLDEN_F16 ? OCTANS_TYPE_F16 : OCTANS_TYPE_BF16, n);
	if (g->op != GOLDEN_QUANTIZE) {
		good = !memcmp(got, want, bytes);
	} else {
		const uint8_t *xs = golden_output(g, 1, &offset, &bytes);
		const uint8_t *q = golden_output(g, 2, &offset, &bytes);
		struct q8_block *b = (void *)got;

		k->quantize(b, x, n);
		for (uint32_t i = 0; i < n / 32; i++)
			good &= !memcmp(&b[i].d, want + 4 * i, 4) &&
				!memcmp(&b[i].xs, xs + 4 * i, 4) && !memcmp(b[i].q, q + 32 * i, 32);
	}
	free(got);
	return good;
}

static bool same_command(struct cpu *cpu, const struct golden *g)
{
	uint8_t command[OCTANS_MAX_COMMAND] __attribute__((aligned(16)));
	uint8_t *image = arena + ARENA - (g->image_bytes + 63) / 64 * 64;
	size_t at = 1;
	int err, want;

	want = g->status ? -EINVAL : 0;
	if (g->op == OCTANS_OP_SIGNAL || g->op == OCTANS_OP_WAIT)
		want = -EINVAL;		/* there is nobody to signal */
	memcpy(image, golden_image(g), g->image_bytes);
	golden_command(g, (uintptr_t)image, command);
	err = cpu_run(cpu, command, g->command_bytes, golden_params(g), g->params, &at);
	if (err != want || (err && at))
		return false;
	return err ? !memcmp(image, golden_image(g), g->image_bytes) : golden_differs(g, image) < 0;
}

static void test_golden(struct cpu *cpu)
{
	int cases = 0, refused = 0, wrong = 0;

	for (const struct golden *g = golden_first(); g; g = golden_next(g), cases++) {
		bool good = g->op >= GOLDEN_FUNCTION && !g->command_bytes ? same_function(cpu->k, g)
									  : same_command(cpu, g);

		refused += g->status != 0;
		if (!good && ++wrong < 20)
			printf("# op %u: %s\n", g->op, g->name);
	}
	ok(cases > 100 && refused > 20 && !wrong,
	   "%s, %u threads: %d golden cases, %d of them refused; %d wrong", cpu_isa_name(cpu),
	   cpu_threads(cpu), cases, refused, wrong);
}

/* ---- random commands ---- */

static uint64_t state = 88172645463325252ull;

static uint32_t rnd(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16) % n;
}

static bool chance(uint32_t one_in)
{
	return !rnd(one_in);
}

static bool wild;		/* any bits, now and then; else ordinary numbers */
static size_t used;		/* of the arena */

static float any_float(void)
{
	static const float odd[] = {
		0.0f, -0.0f, 1.0f, 1e-40f, -88.0f, 89.0f, -25.5f, 10.5f, 3e38f
	};

	if (wild && chance(40))
		return bits_f32(rnd(1u << 31) << 1 | rnd(2));
	if (chance(30))
		return odd[rnd(sizeof(odd) / sizeof(odd[0]))];
	return ((int)rnd(2001) - 1000) / 250.0f;
}

static void fill(uint8_t *p, uint32_t type, uint32_t cols)
{
	const struct weight_type *t = weight_type(type);
	uint32_t elements = 1, block = 4;

	type_block(type, &elements, &block);
	for (uint32_t c = 0; c < cols; c += elements, p += block) {
		float f = any_float();
		uint16_t d = (uint16_t)(0x2000 + rnd(0x1000)), h;

		if (type == OCTANS_TYPE_F32) {
			memcpy(p, &f, 4);
			continue;
		}
		for (uint32_t i = 0; i < block; i++)
			p[i] = (uint8_t)rnd(256);
		if (elements == 1) {
			h = type == OCTANS_TYPE_F16 ? f32_f16(f) : f32_bf16(f);
			memcpy(p, &h, 2);
		} else if (!wild || !chance(8)) {
			if (t->d_exponent)
				p[t->d_at] = (uint8_t)(110 + rnd(20));
			else
				memcpy(p + t->d_at, &d, 2);
			if (t->minima)
				memcpy(p + t->m_at, &d, 2);
		}
	}
}

/* A tensor somewhere behind the last one, filled. */
static struct octans_tensor place(uint32_t type, uint32_t rows, uint32_t cols)
{
	uint32_t align = type_align(type);
	uint64_t row = type_bytes(type, cols), stride = row + (chance(2) ? 0 : align * rnd(9));
	struct octans_tensor t = { (uintptr_t)arena, stride, rows, cols, type, 0 };

	used = (used + rnd(32) + 3) / 4 * 4 + (align < 4 ? align * rnd(4 / align) : 0);
	stride = (stride + align - 1) / align * align;
	t.stride = stride;
	t.va += used;
	used += stride * rows + 8;
	if (used > ARENA) {
		printf("Bail out! the arena of the test is too small\n");
		exit(1);
	}
	for (uint32_t r = 0; r < rows && type != OCTANS_TYPE_I32; r++)
		fill((uint8_t *)(uintptr_t)t.va + r * stride, type, cols);
	return t;
}

static struct octans_tensor f32(uint32_t rows, uint32_t cols)
{
	return place(OCTANS_TYPE_F32, rows, cols);
}

static struct octans_tensor maybe(bool there, uint32_t rows, uint32_t cols)
{
	return there ? f32(rows, cols) : (struct octans_tensor) { 0 };
}

static int32_t *element(const struct octans_tensor *t, uint32_t r)
{
	return (int32_t *)(uintptr_t)(t->va + r * t->stride);
}

/* I32 from low on, n of them; one in nine is -1 if negative is set. */
static struct octans_tensor ids(uint32_t rows, uint32_t cols, uint32_t n, bool negative)
{
	struct octans_tensor t = place(OCTANS_TYPE_I32, rows, cols);

	for (uint32_t r = 0; r < rows; r++)
		for (uint32_t c = 0; c < cols; c++)
			element(&t, r)[c] = negative && chance(9) ? -1 : (int32_t)rnd(n);
	return t;
}

static uint32_t any_type(void)
{
	uint32_t type;

	do
		type = rnd(64);
	while (!weight_type(type));
	return type;
}

static uint32_t columns(uint32_t type)
{
	uint32_t elements = 1, bytes;

	type_block(type, &elements, &bytes);
	return elements == 1 ? 1 + rnd(300) : elements * (1 + rnd(elements == 256 ? 3 : 20));
}

static void random_move(struct octans_cmd_move *c)
{
	static const uint32_t to[] = { OCTANS_TYPE_F32, OCTANS_TYPE_F16, OCTANS_TYPE_BF16,
				       OCTANS_TYPE_Q8_0 };
	uint32_t from = any_type(), type = to[rnd(4)], n = columns(from), m = 1 + rnd(12);
	uint32_t dst_rows = m, src_rows = m;

	if (type == OCTANS_TYPE_Q8_0)
		n = (n + 31) / 32 * 32;
	if (chance(2)) {
		dst_rows = 1 + rnd(9);
		c->dst_ids = ids(m, 1, dst_rows, true);
	}
	if (chance(2)) {
		src_rows = 1 + rnd(9);
		c->src_ids = ids(m, 1, src_rows, true);
	}
	c->dst = place(type, dst_rows, n);
	c->src = place(from, src_rows, n);
	c->scale = maybe(chance(2), m, 1);
	c->cmd.flags = type == OCTANS_TYPE_F32 && chance(2);
}

static void random_matmul(struct octans_cmd_matmul *c)
{
	uint32_t type = any_type(), k = columns(type), n = 1 + rnd(70), m = 1 + rnd(9), s = 1;

	c->planes = 1;
	if (chance(2)) {
		c->planes = 1 + rnd(5);
		s = 1 + rnd(3);
		c->sel = ids(m, s, c->planes, true);
	}
	c->w = place(type, n * c->planes, k);
	c->w.rows = n;
	c->plane_stride = c->planes > 1 ? n * c->w.stride : 0;
	c->x = f32(m, k);
	c->dst = f32(m * s, n);
	c->bias = maybe(chance(2), c->planes, n);
	c->cmd.flags = (uint16_t)rnd(2);
	if ((type == OCTANS_TYPE_F16 || type == OCTANS_TYPE_BF16) && chance(2))
		c->cmd.flags |= OCTANS_MATMUL_X16;
}

static void random_row(struct octans_cmd_row *c)
{
	uint32_t groups = 1 + rnd(4), len = 1 + rnd(100), n = groups * len, m = 1 + rnd(6);
	uint16_t kind = (uint16_t)rnd(5);
	bool plain = kind == OCTANS_ROW_SOFTMAX || kind == OCTANS_ROW_SUM;

	c->cmd.flags = kind;
	c->groups = groups;
	c->x = f32(m, n);
	c->dst = kind == OCTANS_ROW_SUM ? f32(m, groups) : chance(3) ? c->x : f32(m, n);
	c->w = maybe(!plain && chance(2), 1, chance(2) ? n : len);
	c->bias = maybe(!plain && chance(2), 1, chance(2) ? n : len);
	c->eps = plain ? 0 : chance(3) ? 0 : 1e-5f;
}

static void random_map(struct octans_cmd_map *c)
{
	uint32_t m = 1 + rnd(20), n = chance(8) ? 4000 + rnd(300) : 1 + rnd(100),
		 f = rnd(OCTANS_MAP_F_COUNT);
	uint32_t op = rnd(3);

	c->cmd.flags = (uint16_t)OCTANS_MAP(f, op);
	c->a = f32(m, n);
	c->dst = chance(3) ? c->a : f32(m, n);
	c->b = maybe(op, chance(2) ? m : 1, chance(2) ? n : 1);
	if (chance(2)) {
		c->cmd.flags |= OCTANS_MAP_AFFINE;
		c->imm[0] = any_float();
		c->imm[1] = any_float();
	}
	if (f == OCTANS_MAP_CLAMP || f == OCTANS_MAP_XIELU) {
		c->imm[2] = -(float)rnd(5);
		c->imm[3] = (float)rnd(5);
	}
}

static void random_rope(struct octans_cmd_rope *c)
{
	uint32_t m = 1 + rnd(6), positions = m + rnd(5);

	c->cmd.flags = (uint16_t)rnd(2);
	c->heads = 1 + rnd(4);
	c->head_dim = 2 + rnd(140);
	c->rot = 2 + 2 * rnd(c->head_dim / 2);
	c->first = rnd(c->head_dim - c->rot + 1);
	c->x = f32(m, c->heads * c->head_dim);
	c->dst = chance(3) ? c->x : f32(m, c->x.cols);
	c->cs = f32(positions, c->rot);
	if (chance(2))
		c->pos = ids(m, 1, positions, false);
}

static void random_attend(struct octans_cmd_attend *c)
{
	static const uint32_t pool_types[] = { OCTANS_TYPE_F32, OCTANS_TYPE_F16, OCTANS_TYPE_Q8_0 };
	uint32_t kt = pool_types[rnd(3)], vt = pool_types[rnd(3)], m = 1 + rnd(5),
		 pool = 1 + rnd(200);
	uint32_t positions = pool, sequences = 1;
	bool list = chance(3);

	c->kv_heads = 1 + rnd(3);
	c->heads = c->kv_heads * (1 + rnd(9));
	c->dk = kt == OCTANS_TYPE_Q8_0 ? 32 * (1 + rnd(3)) : 1 + rnd(100);
	c->dv = vt == OCTANS_TYPE_Q8_0 ? 32 * (1 + rnd(3)) : 1 + rnd(100);
	if (chance(2)) {
		uint32_t pages;

		c->page_log2 = rnd(5);
		pages = 1 + rnd(20);
		sequences = 1 + rnd(3);
		pool = (1 + rnd(12)) << c->page_log2;
		positions = pages << c->page_log2;
		c->pages = ids(sequences, pages, pool >> c->page_log2, false);
		if (chance(2))
			c->seq = ids(m, 1, sequences, false);
	}
	c->k = place(kt, pool, c->kv_heads * c->dk);
	c->v = place(vt, pool, c->kv_heads * c->dv);
	c->q = f32(m, c->heads * c->dk);
	c->dst = f32(m, c->heads * c->dv);
	c->range = ids(m, list ? 1 + rnd(150) : 2, positions, list);
	for (uint32_t i = 0; i < m && !list; i++) {
		int32_t *r = element(&c->range, i);

		r[1] = (int32_t)rnd(positions + 1);
		r[0] = (int32_t)rnd((uint32_t)r[1] + 1);
	}
	c->cmd.flags = list;
	c->sinks = maybe(chance(3), 1, c->heads);
	c->slopes = maybe(chance(3), 1, c->heads);
	c->scale = chance(8) ? any_float() : 0.125f;
	c->cap = chance(3) ? 20 : 0;
}

static void random_topk(struct octans_cmd_topk *c)
{
	uint32_t m = 1 + rnd(4), len = 1 + rnd(60);

	c->groups = chance(2) ? 1 : 2 + rnd(6);
	c->groups_used = 1 + rnd(c->groups);
	c->x = f32(m, c->groups * len);
	c->k = 1 + rnd(c->x.cols);
	c->values = maybe(chance(2), m, c->k);
	if (!c->values.va || chance(2))
		c->ids = ids(m, c->k, 9, false);
	c->bias = maybe(chance(2), 1, c->x.cols);
	if (c->groups == 1 && chance(2)) {
		c->range = ids(m, 2, c->x.cols + 1, false);
		for (uint32_t i = 0; i < m; i++) {
			int32_t *r = element(&c->range, i);

			r[0] = (int32_t)rnd((uint32_t)r[1] + 1);
		}
	}
	c->cmd.flags = (uint16_t)(rnd(4) << 1 | (c->groups > 1 && chance(2)));
	c->floor = c->cmd.flags & OCTANS_TOPK_RENORM && chance(2) ? 0.5f : 0;
	c->scale = any_float();
}

static struct octans_tensor slots(uint32_t m, uint32_t n)
{
	struct octans_tensor t = ids(m, 2, n, true);

	for (uint32_t i = 1; i < m; i++)	/* mostly a row goes on where the last one was */
		if (!chance(4))
			element(&t, i)[0] = element(&t, i - 1)[1];
	return t;
}

static void random_conv(struct octans_cmd_conv *c)
{
	uint32_t m = 1 + rnd(6), channels = 1 + rnd(150), taps = 2 + rnd(4), n = 1 + rnd(3);

	c->x = f32(m, channels);
	c->dst = chance(3) ? c->x : f32(m, channels);
	c->w = f32(channels, taps);
	c->bias = maybe(chance(2), 1, channels);
	c->state = f32(n, (taps - 1) * channels);
	c->slot = slots(m, n);
}

static void random_scan(struct octans_cmd_scan *c)
{
	uint32_t m = 1 + rnd(5), n = 1 + rnd(3);
	bool delta = chance(2);

	c->groups = 1 + rnd(2);
	c->heads = c->groups * (1 + rnd(3));
	c->dk = 1 + rnd(40);
	c->dv = 1 + rnd(20);
	c->cmd.flags = delta;
	c->v = f32(m, c->heads * c->dv);
	c->dst = chance(3) ? c->v : f32(m, c->v.cols);
	c->k = f32(m, c->groups * c->dk);
	c->q = f32(m, c->groups * c->dk);
	c->g = f32(m, delta && chance(2) ? c->heads * c->dk : c->heads);
	c->beta = maybe(delta, m, c->heads);
	c->a = maybe(!delta, 1, c->heads);
	c->d = maybe(!delta && chance(2), 1, c->heads);
	c->state = f32(n, c->heads * c->dv * c->dk);
	c->slot = slots(m, n);
	c->scale = delta ? 0.25f : 1;
}

static void random_copy(struct octans_cmd_copy *c)
{
	c->size = 1 + rnd(200000);
	c->dst = (uintptr_t)arena + rnd(1000);
	c->src = (uintptr_t)arena + 300000 + rnd(1000);
}

/* A command that is accepted, its operands in the arena. */
static void random_command(union command *c, unsigned int op)
{
	static const uint32_t sizes[] = {
		[OCTANS_OP_MOVE] = sizeof(c->move), [OCTANS_OP_MATMUL] = sizeof(c->matmul),
		[OCTANS_OP_ROW] = sizeof(c->row), [OCTANS_OP_MAP] = sizeof(c->map),
		[OCTANS_OP_ROPE] = sizeof(c->rope), [OCTANS_OP_ATTEND] = sizeof(c->attend),
		[OCTANS_OP_TOPK] = sizeof(c->topk), [OCTANS_OP_CONV] = sizeof(c->conv),
		[OCTANS_OP_SCAN] = sizeof(c->scan), [OCTANS_OP_COPY] = sizeof(c->copy),
	};

	memset(c, 0, sizeof(*c));
	c->cmd.op = (uint16_t)op;
	c->cmd.size = sizes[op];
	switch (op) {
	case OCTANS_OP_MOVE:
		random_move(&c->move);
		break;
	case OCTANS_OP_MATMUL:
		random_matmul(&c->matmul);
		break;
	case OCTANS_OP_ROW:
		random_row(&c->row);
		break;
	case OCTANS_OP_MAP:
		random_map(&c->map);
		break;
	case OCTANS_OP_ROPE:
		random_rope(&c->rope);
		break;
	case OCTANS_OP_ATTEND:
		random_attend(&c->attend);
		break;
	case OCTANS_OP_TOPK:
		random_topk(&c->topk);
		break;
	case OCTANS_OP_CONV:
		random_conv(&c->conv);
		break;
	case OCTANS_OP_SCAN:
		random_scan(&c->scan);
		break;
	case OCTANS_OP_COPY:
		random_copy(&c->copy);
		break;
	}
}

/* Runs a stream on the arena as it was before, with one or several cpu_run() at a time. */
static int run_again(struct cpu *cpu, const void *stream, size_t size, bool one_by_one)
{
	const uint8_t *p = stream;
	int err = 0;

	memcpy(arena, before, used);
	if (!one_by_one)
		return cpu_run(cpu, stream, size, NULL, 0, NULL);
	for (size_t at = 0; at < size && !err;
	     at += ((const struct octans_cmd *)(const void *)(p + at))->size)
		err = cpu_run(cpu, p + at,
			      ((const struct octans_cmd *)(const void *)(p + at))->size, NULL, 0,
			      NULL);
	return err;
}

static void test_random(struct cpu *scalar, struct cpu *cpu, unsigned int op, int rounds)
{
	static const char *const names[] = { "NOP",    "MOVE", "MATMUL", "ROW",	 "MAP", "ROPE",
					     "ATTEND", "TOPK", "CONV",	 "SCAN", "COPY" };
	int refused = 0, wrong = 0;

	for (int i = 0; i < rounds; i++) {
		union command c;
		int first, second;

		used = op == OCTANS_OP_COPY ? 520000 : 0;
		wild = i & 1;
		random_command(&c, op);
		memcpy(before, arena, used);
		first = run_again(scalar, &c, c.cmd.size, false);
		memcpy(result, arena, used);
		second = run_again(cpu, &c, c.cmd.size, false);
		refused += first || second;
		wrong += memcmp(arena, result, used) != 0;
	}
	ok(!refused && !wrong, "%s, %u threads: %d random %s as scalar (%d refused, %d differ)",
	   cpu_isa_name(cpu), cpu_threads(cpu), rounds, names[op], refused, wrong);
}

/*
 * What a command leaves behind in the CPU object (activations that were quantised) must not show:
 * MATMULs that share x, some of them written to between, as one stream and one by one.
 */
static void test_streams(struct cpu *cpu)
{
	int wrong = 0;

	for (int i = 0; i < 300; i++) {
		struct {
			struct octans_cmd_matmul first, second;
			struct octans_cmd nop;
			struct octans_cmd_matmul third;
			struct octans_cmd_move move;
			struct octans_cmd_matmul fourth;
		} s = { .nop = { OCTANS_OP_NOP, 0, sizeof(s.nop), 0 } };
		uint32_t type = any_type(), n = 64, m = 1 + rnd(5);
		bool x16 = type == OCTANS_TYPE_F16 || type == OCTANS_TYPE_BF16;

		if (!type_is_float(type) && weight_type(type)->elements == 256)
			n = 256;
		used = 0;
		wild = false;
		s.first = (struct octans_cmd_matmul) {
			.cmd = { OCTANS_OP_MATMUL, x16 ? OCTANS_MATMUL_X16 : 0, sizeof(s.first),
				 0 },
			.dst = f32(m, n),
			.x = f32(m, n),
			.w = place(type, n, n),
			.planes = 1,
		};
		s.second = s.third = s.first;
		/* what has no use for quantised activations writes some of those that are kept */
		s.second.cmd.flags = 0;
		s.second.w = f32(n, n);
		s.second.x = f32(m, n);
		s.second.dst = chance(2) ? s.first.x : f32(m, n);
		if (chance(3)) {
			s.second.dst = f32(m + 1, n);
			s.second.dst.rows = m;
			s.first.x.va = s.third.x.va = s.second.dst.va + s.second.dst.stride;
			s.first.x.stride = s.third.x.stride = s.second.dst.stride;
		}
		s.third.dst = f32(m, n);
		s.fourth = s.third;
		s.fourth.dst = f32(m, n);
		s.move = (struct octans_cmd_move) {
			.cmd = { OCTANS_OP_MOVE, 0, sizeof(s.move), 0 },
			.dst = chance(2) ? s.first.x : f32(m, n), .src = f32(m, n),
		};
		memcpy(before, arena, used);
		wrong += run_again(cpu, &s, sizeof(s), true) != 0;
		memcpy(result, arena, used);
		wrong += run_again(cpu, &s, sizeof(s), false) != 0;
		wrong += memcmp(arena, result, used) != 0;
	}
	ok(!wrong, "%s, %u threads: streams whose MATMULs share x as one by one", cpu_isa_name(cpu),
	   cpu_threads(cpu));
}

static void test_refusals(struct cpu *cpu)
{
	struct octans_cmd nop = { OCTANS_OP_NOP, 0, sizeof(nop), 0 };
	struct { struct octans_cmd nop; struct octans_cmd_copy copy; struct octans_cmd bad; } s;
	size_t at = 99;
	char to[4] = "old", from[4] = "new";

	memset(&s, 0, sizeof(s));
	s.nop = nop;
	s.copy.cmd = (struct octans_cmd) { OCTANS_OP_COPY, 0, sizeof(s.copy), 0 };
	s.copy.dst = (uintptr_t)to;
	s.copy.src = (uintptr_t)from;
	s.copy.size = 4;
	s.bad = (struct octans_cmd) { 500, 0, 16, 0 };
	ok(cpu_run(cpu, &s, sizeof(s), NULL, 0, &at) == -EINVAL && at == offsetof(typeof(s), bad) &&
	   !strcmp(to, "new"), "a refused command: its offset, and what came before it has run");
	ok(cpu_run(cpu, &s, sizeof(s), NULL, 0, NULL) == -EINVAL,
	   "the offset may be of no interest");
	ok(cpu_run(cpu, &s, 40, NULL, 0, &at) == -EINVAL && at == 16,
	   "a stream that ends within a command");
	ok(cpu_run(cpu, &s, 24, NULL, 0, &at) == -EINVAL && at == 16,
	   "a stream that ends within a header");
	ok(!cpu_run(cpu, NULL, 0, NULL, 0, &at), "an empty stream");
	ok(!(cpu_ops() & (1u << OCTANS_OP_SIGNAL | 1u << OCTANS_OP_WAIT)) &&
	   (uint32_t)cpu_ops() == (1u << OCTANS_OP_SIGNAL) - 1, "every opcode but SIGNAL and WAIT");
	ok(cpu_type_supported(OCTANS_TYPE_Q4_K) && cpu_type_supported(OCTANS_TYPE_MXFP4) &&
	   !cpu_type_supported(OCTANS_TYPE_I32) && !cpu_type_supported(4) && !cpu_type_supported(64) &&
	   !cpu_type_supported(1000), "types of weights");
}

/* Whatever flags this was built with, x86-64 has AVX2 and AVX-512. */
static void test_isas(void)
{
	struct cpu_isa isas[MAX_ISAS], one;
	size_t n = cpu_isas(isas, MAX_ISAS), found = 0;
	struct cpu *cpu;

	for (size_t i = 0; i < n; i++)
		found |= !strcmp(isas[i].name, "scalar") ? 1 : !strcmp(isas[i].name, "avx2") ? 2 :
			 !strcmp(isas[i].name, "avx512") ? 4 : 0;
#ifdef __x86_64__
	ok(found == 7, "this build has scalar, avx2 and avx512");
#else
	ok(found == 1, "this build has scalar");
#endif
	ok(n <= MAX_ISAS && isas[0].supported && cpu_isas(&one, 1) == n && cpu_isas(NULL, 0) == n &&
	   !strcmp(one.name, isas[0].name), "as many are listed as there is room for");
	ok(cpu_new("", 1, &cpu) == -ENOTSUP && !cpu && cpu_new("avx", 1, &cpu) == -ENOTSUP && !cpu,
	   "an instruction set that there is not");
	ok(!cpu_new("auto", 1, &cpu) && !strcmp(cpu_isa_name(cpu), isa_find(NULL)->name),
	   "\"auto\" is %s here", cpu ? cpu_isa_name(cpu) : "nothing");
	cpu_free(cpu);
}

int main(void)
{
	static const int rounds[] = {
		[OCTANS_OP_MOVE] = 200, [OCTANS_OP_MATMUL] = 300, [OCTANS_OP_ROW] = 200,
		[OCTANS_OP_MAP] = 300,	[OCTANS_OP_ROPE] = 150,	  [OCTANS_OP_ATTEND] = 150,
		[OCTANS_OP_TOPK] = 300, [OCTANS_OP_CONV] = 150,	  [OCTANS_OP_SCAN] = 150,
		[OCTANS_OP_COPY] = 10,
	};
	struct cpu *scalar = new_cpu("scalar", 1);
	struct cpu_isa isas[MAX_ISAS];

	arena = mmap(NULL, ARENA + GUARD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		     -1, 0);
	before = malloc(ARENA);
	result = malloc(ARENA);
	if (!scalar || arena == MAP_FAILED || !before || !result ||
	    mprotect(arena + ARENA, GUARD, PROT_NONE))
		return 1;
	for (size_t i = 0, n = cpu_isas(isas, MAX_ISAS); i < n && i < MAX_ISAS; i++) {
		bool plain = !strcmp(isas[i].name, "scalar");

		for (unsigned int threads = 1; threads <= 3; threads += 2) {
			struct cpu *cpu;

			if (!isas[i].supported) {
				ok(true, "# SKIP this machine has no %s", isas[i].name);
				continue;
			}
			cpu = new_cpu(isas[i].name, threads);
			if (!ok(cpu, "%s, %u threads", isas[i].name, threads))
				continue;
			test_golden(cpu);
			test_streams(cpu);
			for (unsigned int op = OCTANS_OP_MOVE; op <= OCTANS_OP_COPY; op++)
				if (!plain || threads > 1)
					test_random(scalar, cpu, op, rounds[op]);
			cpu_free(cpu);
		}
	}
	test_isas();
	test_refusals(scalar);
	cpu_free(scalar);
	munmap(arena, ARENA + GUARD);
	free(before);
	free(result);
	return done();
}
