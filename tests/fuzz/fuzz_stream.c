// SPDX-License-Identifier: MIT
/*
 * Streams of commands that are nearly right, on the registers of the real model.  Four address spaces
 * over pages of host and on-card memory; one of them, another one each time, is the victim: it runs
 * nothing, and its pages, like all that belong to nobody, hold a secret.  Checked: the secret stays
 * where it is and as it is, and turns up nowhere else; every ring can be reset in bounded time.
 */
#include <string.h>

#include "../unit/sim_rig.h"
#include "random.h"

#define SECRET		0x5ec2e75ec2e7a55aULL
#define SPACES		4
#define PAGES		48	/* of one */
#define ID_PAGES	4	/* the first ones: ids, slots and ranges that are mostly good */
#define HOST_PAGES	1023	/* at RIG_LARGE */
#define CARD_PAGES	4096
#define ROUNDS		64	/* until all of memory is looked at */
#define JOB_SECONDS	0.05
#define CODE		0x40000000ULL
#define CODE_SIZE	0x4000
#define PARAMS		(CODE + CODE_SIZE - 256)

struct page {
	uint64_t va;
	uint32_t at;		/* number of the page */
	bool on_card, hole;
};

struct space {
	unsigned int asid;
	struct page page[PAGES];
};

static struct rig rig;
static struct space space[SPACES];
static uint8_t host_owner[HOST_PAGES + 1], card_owner[CARD_PAGES];	/* space + 1; 0: nobody */
static unsigned int victim;
static uint64_t seqno[SPACES];
static int alone[SPACES];		/* the only command of its job, or -1 */
static unsigned long jobs, resets, ended[8], tried[OCTANS_OP_COUNT], done_op[OCTANS_OP_COUNT];
static double slowest_reset;

/* ---- memory ---- */

static uint64_t *host_page(uint32_t n)
{
	return rig_u64(&rig, RIG_LARGE + n * 0x1000ULL);
}

static uint64_t *card_page(uint32_t n)
{
	return (uint64_t *)(rig.dev->local + n * 0x1000ULL);
}

static uint32_t take_page(uint8_t *owner, uint32_t n, unsigned int who)
{
	uint32_t at;

	do
		at = below(n);
	while (owner[at]);
	owner[at] = who + 1;
	return at;
}

/* Pages with gaps between, the last space up to the very top of the addresses. */
static void make_space(unsigned int who)
{
	struct space *s = &space[who];
	uint64_t base = who == SPACES - 1 ? (1ULL << OCTANS_VA_BITS) - PAGES * 0x1000 : 0x10000000;

	s->asid = who + 1;
	for (int i = 0; i < PAGES; i++) {
		struct page *p = &s->page[i];
		uint64_t *pte;

		p->va = base + (i + (i >= 16 && who < SPACES - 1 ? 16 : 0)) * 0x1000ULL;
		p->on_card = one_in(2);
		p->hole = i % 11 == 10;
		pte = rig_pte(&rig, s->asid, p->va, 0);
		if (p->hole)
			continue;
		p->at = p->on_card ? take_page(card_owner, CARD_PAGES, who)
				   : take_page(host_owner, HOST_PAGES, who);
		*pte = (p->on_card ? p->at * 0x1000ULL | OCTANS_PTE_LOCAL
				   : RIG_IOVA + RIG_LARGE + p->at * 0x1000ULL) |
		       OCTANS_PTE_VALID | (i % 7 == 6 ? 0 : OCTANS_PTE_WRITE);
	}
	/* The stream; one space may write its own. */
	rig_map(&rig, s->asid, CODE, RIG_DATA + who * CODE_SIZE, CODE_SIZE,
		who == 1 ? OCTANS_PTE_WRITE : 0);
}

static bool secret(uint8_t owner)
{
	return !owner || owner == victim + 1;
}

static void fill_page(uint64_t *page, uint8_t owner)
{
	for (int i = 0; i < 512; i++) {
		uint64_t v = one_in(4) ? 0 : any();

		page[i] = secret(owner) ? SECRET : v;
	}
}

static void fill_ids(const struct space *s)
{
	for (int n = 0; n < ID_PAGES; n++) {
		const struct page *p = &s->page[n];
		uint64_t *page = p->on_card ? card_page(p->at) : host_page(p->at);

		for (int i = 0; i < 512; i++)
			page[i] = one_in(40) ? any_size() : 1ULL << 32;
	}
}

static void fill(void)
{
	victim = below(SPACES);
	for (uint32_t i = 0; i < HOST_PAGES; i++)
		fill_page(host_page(i), host_owner[i]);
	for (uint32_t i = 0; i < CARD_PAGES; i++)
		fill_page(card_page(i), card_owner[i]);
	for (unsigned int i = 0; i < SPACES; i++)
		if (i != victim)
			fill_ids(&space[i]);
}

static void check_page(const uint64_t *page, uint8_t owner, const char *where, uint32_t n)
{
	for (int i = 0; i < 512; i++) {
		if (secret(owner) && page[i] != SECRET)
			finding("%s page %u of %s was written: word %d is 0x%llx", where, n,
				owner ? "another space" : "nobody", i, (unsigned long long)page[i]);
		if (!secret(owner) && page[i] == SECRET)
			finding("%s page %u of space %u holds what it may not read, word %d", where, n,
				owner - 1U, i);
	}
}

static void check(void)
{
	for (uint32_t i = 0; i < HOST_PAGES; i++)
		check_page(host_page(i), host_owner[i], "host", i);
	for (uint32_t i = 0; i < CARD_PAGES; i++)
		check_page(card_page(i), card_owner[i], "on-card", i);
}

/* ---- commands ---- */

static const struct space *now;		/* whose stream is made */
static bool clean;			/* without errors on purpose */
static uint32_t newest;			/* operation */

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
	return one_in(clean ? 50 : 5) ? size() : 1 + below(most);
}

static uint64_t address(void)
{
	uint64_t va = now->page[ID_PAGES + below(PAGES - ID_PAGES)].va + (one_in(3) ? below(4096) : below(64) * 64);

	if (spoil(40))
		return any_size();
	return clean || !one_in(4) ? va & ~15ULL : va;
}

static uint32_t dyn(void)
{
	return one_in(clean ? 20 : 6) ? OCTANS_DYN(one_in(2) ? below(66) : OCTANS_DYN_NONE,
				      one_in(2) ? below(66) : OCTANS_DYN_NONE) : 0;
}

static struct octans_tensor tensor(uint32_t rows, uint32_t cols, uint32_t type)
{
	static const struct { uint32_t type, cols, bytes; } blocks[] = {
		{ OCTANS_TYPE_F32, 1, 4 }, { OCTANS_TYPE_F16, 1, 2 }, { OCTANS_TYPE_Q4_0, 32, 18 },
		{ OCTANS_TYPE_Q5_0, 32, 22 }, { OCTANS_TYPE_Q8_0, 32, 34 },
		{ OCTANS_TYPE_Q4_K, 256, 144 }, { OCTANS_TYPE_Q6_K, 256, 210 },
		{ OCTANS_TYPE_BF16, 1, 2 }, { OCTANS_TYPE_I32, 1, 4 },
	};
	struct octans_tensor t = {
		.va = address(), .rows = rows, .cols = cols, .type = type, .dyn = dyn(),
	};

	for (size_t i = 0; i < sizeof(blocks) / sizeof(*blocks); i++)
		if (blocks[i].type == type)
			t.stride = cols / blocks[i].cols * (uint64_t)blocks[i].bytes;
	if (one_in(3))
		t.stride += below(64) * 4;
	if (spoil(30))
		t.stride = any_size();
	if (spoil(60))
		t.rows = size();
	if (spoil(60))
		t.cols = size();
	if (spoil(80))
		t.type = below(40);
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
		t.va = now->page[0].va + below(ID_PAGES * 512) * 8;
		t.stride = (cols + 1) / 2 * 8ULL;
	}
	return t;
}

static struct octans_tensor perhaps(struct octans_tensor t)
{
	return one_in(2) ? t : (struct octans_tensor) { 0 };
}

static uint32_t weight_type(void)
{
	static const uint32_t types[] = {
		OCTANS_TYPE_F32, OCTANS_TYPE_F16, OCTANS_TYPE_BF16, OCTANS_TYPE_Q4_0,
		OCTANS_TYPE_Q5_0, OCTANS_TYPE_Q8_0, OCTANS_TYPE_Q4_K, OCTANS_TYPE_Q6_K,
	};

	return types[below(8)];
}

static uint32_t cols_of(uint32_t type)
{
	if (spoil(30))
		return size();
	if (type == OCTANS_TYPE_Q4_K || type == OCTANS_TYPE_Q6_K)
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

union command {
	struct octans_cmd cmd;
	struct octans_cmd_move move;
	struct octans_cmd_matmul matmul;
	struct octans_cmd_row row;
	struct octans_cmd_map map;
	struct octans_cmd_rope rope;
	struct octans_cmd_attend attend;
	struct octans_cmd_topk topk;
	struct octans_cmd_conv conv;
	struct octans_cmd_scan scan;
	struct octans_cmd_copy copy;
	struct octans_cmd_prefetch prefetch;
	struct octans_cmd_signal signal;
	struct octans_cmd_wait wait;
	uint32_t words[OCTANS_MAX_COMMAND / 4];
};

static uint32_t make_move(union command *u, uint32_t m)
{
	uint32_t to = one_in(2) ? OCTANS_TYPE_F32 : weight_type(), from = weight_type();
	uint32_t n = 32 * (1 + below(6));

	if (one_in(8))
		to = from = OCTANS_TYPE_I32;
	if (from == OCTANS_TYPE_Q4_K || from == OCTANS_TYPE_Q6_K)
		n = 256;
	if (clean && (to == OCTANS_TYPE_Q4_0 || to == OCTANS_TYPE_Q5_0 || to >= OCTANS_TYPE_Q4_K))
		to = from == OCTANS_TYPE_I32 ? from : OCTANS_TYPE_F16;
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
	uint32_t type = weight_type(), k = cols_of(type), n = small(40), s = 1 + below(4);
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
	uint32_t f = below(OCTANS_MAP_F_COUNT), op = below(3), n = small(300);
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
	a->range = ids(m, u->cmd.flags ? small(20) : 2);
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

/* ---- jobs ---- */

static void submit(unsigned int who)
{
	uint8_t *code = rig.mem + RIG_DATA + who * CODE_SIZE;
	int commands = one_in(2) ? 1 : 1 + below(6);
	uint32_t bytes = 0, *params = (uint32_t *)(code + (PARAMS - CODE));
	struct octans_desc *d;

	now = &space[who];
	clean = !one_in(3);
	for (int i = 0; i < commands; i++)
		bytes += make_command(code + bytes);
	alone[who] = commands == 1 ? (int)newest : -1;
	for (unsigned int i = 0; i < OCTANS_MAX_PARAMS; i++)
		params[i] = one_in(8) ? any_size() : below(6);
	if (spoil(10))
		bytes = 16 * (1 + below(200));
	if (spoil(10))
		for (uint32_t i = 0; i < bytes / 4; i += 1 + below(16))
			((uint32_t *)code)[i] = any();
	d = rig_desc(&rig, who, ++seqno[who], now->asid, CODE, bytes);
	if (!one_in(3)) {
		d->param_va = PARAMS;
		d->param_count = OCTANS_MAX_PARAMS;
	}
	if (one_in(60))
		d->cmd_va = any_size();
	if (one_in(60))
		d->cmd_size = any() & ~15u;
	if (one_in(60))
		d->param_va = any_size();
	if (one_in(200))
		d->reserved[below(2)] = 1;
	rig_bell(&rig, who);
	jobs++;
}

static bool has_ended(unsigned int who)
{
	return OCTANS_WB_SEQNO(rig_wb(&rig, who)) == seqno[who];
}

static void count(unsigned int who)
{
	unsigned int status = OCTANS_WB_STATUS(rig_wb(&rig, who)) % 8;

	if (has_ended(who))
		ended[status]++;
	if (alone[who] < 0)
		return;
	tried[alone[who]]++;
	if (has_ended(who) && status == OCTANS_JOB_OK)
		done_op[alone[who]]++;
}

/* Waits a moment for the job; a ring that halted or still runs is reset, as a driver would. */
static void settle(unsigned int who)
{
	uint64_t status = OCTANS_RING(who) + OCTANS_RING_STATUS;
	double start = seconds_now();

	while (!has_ended(who) && !(rd32(&rig, status) & OCTANS_RING_HALTED) &&
	       seconds_now() - start < JOB_SECONDS)
		rig_nap(20);
	count(who);
	if (has_ended(who) && !rd32(&rig, status))
		return;
	start = seconds_now();
	if (!rig_reset_ring(&rig, who))
		finding("ring %u cannot be reset", who);
	if (seconds_now() - start > slowest_reset)
		slowest_reset = seconds_now() - start;
	resets++;
}

static void round_of_jobs(void)
{
	for (unsigned int i = 0; i < SPACES; i++)
		if (i != victim)
			submit(i);
	if (one_in(16))
		rig_forget(&rig, one_in(2) ? OCTANS_INVALIDATE_ALL : below(SPACES) + 1);
	for (unsigned int i = 0; i < SPACES; i++)
		if (i != victim)
			settle(i);
	wr32(&rig, OCTANS_REG_EVT_HEAD, rd32(&rig, OCTANS_REG_EVT_TAIL));
}

int main(int argc, char **argv)
{
	struct sim_config config = { .local_size = 16 << 20, .threads = 2, .rings = SPACES };

	random_begin(argc, argv);
	rig_new_with(&rig, &config);
	for (unsigned int i = 0; i < SPACES; i++)
		make_space(i);
	rig_start(&rig);
	fill();
	while (random_more()) {
		round_of_jobs();
		if (random_step % ROUNDS == 0) {
			check();
			fill();
		}
	}
	check();
	printf("seed %llu: %lu jobs (%lu ok, %lu bad descriptors, %lu bad commands, %lu faults, %lu bus), "
	       "%lu resets, the slowest %.1f ms\n", (unsigned long long)random_seed, jobs,
	       ended[OCTANS_JOB_OK], ended[OCTANS_JOB_BAD_DESC], ended[OCTANS_JOB_BAD_CMD],
	       ended[OCTANS_JOB_FAULT], ended[OCTANS_JOB_BUS], resets, slowest_reset * 1e3);
	printf("done of those tried alone, by operation:");
	for (int i = 0; i < OCTANS_OP_COUNT; i++)
		printf(" %d: %lu/%lu", i, done_op[i], tried[i]);
	printf("\n");
	rig_free(&rig);
	return 0;
}
