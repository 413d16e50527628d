// SPDX-License-Identifier: MIT
/*
 * What a step is said to cost at the least, where rows attend to some positions only: never more than the modelled
 * processor takes, and not much less; and what the planner foretells is that, too.  Nothing is computed.
 */
#include "engine_rig.h"
#include "hybrid_build.h"
#include "mla_build.h"
/* It has a struct build of its own. */
#define build layer_build
#include "plan/cost.h"
#undef build

#define CTX 16384u
#define CARD "sim:timing,local=8G"

/* gemma3: a window in five of six blocks. */
static int load_windows(struct accel_model **m)
{
	enum { BLOCKS = 6, EMBD = 256, HEADS = 8, DIM = 256, FF = 512, ALL = HEADS * DIM };
	static const struct { const char *name; uint32_t cols, rows; } parts[] = {
		{ "attn_norm", EMBD, 0 }, { "attn_q", EMBD, ALL }, { "attn_k", EMBD, ALL }, { "attn_v", EMBD, ALL },
		{ "attn_output", ALL, EMBD }, { "attn_q_norm", DIM, 0 }, { "attn_k_norm", DIM, 0 },
		{ "post_attention_norm", EMBD, 0 }, { "ffn_norm", EMBD, 0 }, { "post_ffw_norm", EMBD, 0 },
		{ "ffn_gate", EMBD, FF }, { "ffn_up", EMBD, FF }, { "ffn_down", FF, EMBD },
	};
	struct build b;

	build_begin(&b);
	build_key_text(&b, "general.architecture", "gemma3");
	build_key_u32(&b, "gemma3.block_count", BLOCKS);
	build_key_u32(&b, "gemma3.context_length", CTX);
	build_key_u32(&b, "gemma3.embedding_length", EMBD);
	build_key_u32(&b, "gemma3.feed_forward_length", FF);
	build_key_u32(&b, "gemma3.attention.head_count", HEADS);
	build_key_u32(&b, "gemma3.attention.key_length", DIM);
	build_key_u32(&b, "gemma3.attention.sliding_window", 700);
	build_key_f32(&b, "gemma3.attention.layer_norm_rms_epsilon", 1e-5f);
	llama_matrix(&b, "token_embd.weight", ACCEL_F32, EMBD, 64);
	llama_vector(&b, "output_norm.weight", ACCEL_F32, EMBD);
	for (uint32_t i = 0; i < BLOCKS; i++)
		for (size_t k = 0; k < sizeof(parts) / sizeof(parts[0]); k++) {
			char name[64];

			snprintf(name, sizeof(name), "blk.%u.%s.weight", i, parts[k].name);
			if (parts[k].rows)
				llama_matrix(&b, name, ACCEL_F32, parts[k].cols, parts[k].rows);
			else
				llama_vector(&b, name, ACCEL_F32, parts[k].cols);
		}
	build_data(&b);
	llama_fill(&b);
	return load_built(&b, m);
}

static int load_latent(struct accel_model **m)
{
	struct mla_build l = mla_small;

	l.ctx = CTX;
	l.kv_rank = 512;
	return mla_load(&l, m);
}

/* The list is of so many that the rest counts little. */
static int load_index(struct accel_model **m)
{
	struct mla_build l = mla_indexed;

	l.ctx = CTX;
	l.kv_rank = 512;
	l.index_heads = 1;
	l.index_dim = 1024;
	l.index_top = 2048;
	return mla_load(&l, m);
}

/* n tokens at pos, in one step; false: there is a sentence. */
static bool step(struct rig *r, uint32_t pos, uint32_t n, struct accel_engine_stats *d)
{
	int32_t *tokens = calloc(n, sizeof(*tokens));
	struct accel_engine_stats before;
	int err = accel_seq_trim(r->seq, 0);

	if (!err && pos)
		err = accel_seq_skip(r->seq, pos);
	before = rig_stats(r);
	if (!err)
		err = rig_eval(r, tokens, n, ACCEL_WANT_LAST, NULL);
	*d = rig_stats(r);
	d->ceiling_cycles -= before.ceiling_cycles;
	d->modelled.cycles -= before.modelled.cycles;
	free(tokens);
	if (err)
		printf("# %s\n", accel_error());
	return !err;
}

/* least: of what is modelled, that which counts. */
static void test_model(int (*load_model)(struct accel_model **m), const char *what, double least)
{
	static const struct { uint32_t pos, n; } steps[] = { { 100, 1 }, { 699, 1 }, { 2500, 1 }, { 16000, 1 }, { 8000, 64 } };
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .strict = true };
	struct accel_devinfo info = { .sz = sizeof(info) };
	struct accel_model *m;
	struct rig r;

	if (!ok(!load_model(&m), "%s: %s", what, accel_error()))
		return;
	r = rig_new(m, CARD, (struct accel_plan_opts) { .ctx = CTX, .batch = 64 }, &o);
	accel_dev_info(r.dev, &info);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && r.engine; i++) {
		const uint32_t pos = steps[i].pos, n = steps[i].n;
		struct accel_prediction p = { .sz = sizeof(p) };
		struct accel_engine_stats d;
		double used, foretold;

		if (!ok(step(&r, pos, n, &d), "%s: %u tokens at %u", what, n, pos))
			break;
		used = (double)d.ceiling_cycles / d.modelled.cycles;
		ok(used <= 1 && (pos < 16000 || used >= least), "%llu cycles, %llu at the least: %.2f",
		   (unsigned long long)d.modelled.cycles, (unsigned long long)d.ceiling_cycles, used);
		if (n > 1)
			continue;
		accel_plan_predict(r.plan, pos, &p);
		foretold = p.token_device_s * info.clock_hz / d.ceiling_cycles;
		ok(foretold > 0.98 && foretold < 1.1, "%.0f were foretold", p.token_device_s * info.clock_hz);
	}
	rig_free(&r);
	accel_model_free(m);
}

/* What an indexer takes at a position depends little on how many there may be. */
static void test_ladder(void)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .strict = true };
	struct mla_build l = mla_indexed;
	uint64_t cycles[2] = { 0 };
	struct accel_model *m;

	l.ctx = 1 << 17;
	l.index_heads = 32;
	if (!ok(!mla_load(&l, &m), "an indexer of 32 heads"))
		return;
	for (int i = 0; i < 2; i++) {
		struct rig r = rig_new(m, CARD, (struct accel_plan_opts) { .ctx = i ? 1 << 17 : 1 << 13, .batch = 8 }, &o);
		struct accel_engine_stats d;

		if (r.engine && step(&r, 8000, 1, &d))
			cycles[i] = d.modelled.cycles;
		rig_free(&r);
	}
	ok(cycles[0] && cycles[1] < cycles[0] * 5 / 4, "a token at 8000 takes %llu cycles of 8192 positions, %llu of 131072",
	   (unsigned long long)cycles[0], (unsigned long long)cycles[1]);
	accel_model_free(m);
}

/* ---- loads ---- */

/* Counted one by one. */
static struct load counted(const struct accel_model *m, uint32_t pos, uint32_t n)
{
	struct load l = { .rows = n, .seqs = 1 };

	for (uint32_t w = 0; w <= m->n_windows + 1; w++) {
		const unsigned int reach = w > m->n_windows ? REACH_LIST : w;
		const uint32_t size = m->windows[w && w <= m->n_windows ? w - 1 : 0];
		uint32_t first = UINT32_MAX;

		for (uint32_t p = pos; p < pos + n; p++) {
			uint32_t from = 0;

			if (reach == REACH_LIST)
				from = p + 1 > m->list ? p + 1 - m->list : 0;
			else if (w)
				from = p + 1 > size ? p + 1 - size : 0;
			l.pairs[reach] += p + 1 - from;
			first = from < first ? from : first;
		}
		l.positions[reach] += pos + n - first;
	}
	l.positions[REACH_LIST] = pos + n < m->list ? pos + n : m->list;
	return l;
}

static void test_loads(void)
{
	static const struct { uint32_t pos, n; } runs[] = {
		{ 0, 1 }, { 0, 5 }, { 0, 100 }, { 6, 1 }, { 6, 2 }, { 7, 1 }, { 7, 7 }, { 8, 30 }, { 21, 1 }, { 1000, 64 },
	};
	const struct accel_model m = {
		.windows = { 7, 12 }, .n_windows = 2, .list = 9,
	};
	uint32_t bad = 0;

	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		const struct load want = counted(&m, runs[i].pos, runs[i].n);
		struct load is = { 0 };

		load_add(&is, &m, runs[i].pos, runs[i].n);
		bad += memcmp(&is, &want, sizeof(is)) != 0;
	}
	ok(!bad, "pairs of tokens and positions as they are counted one by one: %u are not", bad);
}

/* Each sequence has a state of its own, which is read and written once. */
static void test_states(void)
{
	static const struct shape shape = {
		.ctx = 64, .seqs = 8, .page_log2 = 4, .pages = 32, .slots = 16, .marks = 2, .batch = 16, .out = 1,
	};
	static const struct accel_layer how = { .sz = sizeof(how) };
	struct op_work one = { 0 }, all = { 0 };
	struct load load = { .rows = 0 };
	struct layer_cost c;
	struct accel_model *m;
	const struct layer *l;

	if (!ok(!hybrid_mamba(40, &m), "states"))
		return;
	l = &m->layers[1];
	ok(!cost_layer(&c, m, l, &shape, &how) && l->state.fixed[0], "a layer with a state");
	load_add(&load, m, 20, 8);
	cost_add(&one, &c, &load);
	load = (struct load) { .rows = 0 };
	for (int i = 0; i < 8; i++)
		load_add(&load, m, 20, 1);
	cost_add(&all, &c, &load);
	ok(all.bytes == one.bytes + 7 * 2 * 4ull * l->state.fixed[0] && all.macs_f32 == one.macs_f32,
	   "8 tokens of one sequence move %llu bytes, one of each of 8 %llu", (unsigned long long)one.bytes,
	   (unsigned long long)all.bytes);
	accel_model_free(m);
}

/* ---- what a processor attends to ---- */

static uint32_t too_long(const struct accel_plan *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < plan_info(p).layers; i++) {
		struct accel_layer l = { .sz = sizeof(l) };

		accel_plan_layer(p, i, &l);
		n += l.reason == ACCEL_REASON_CTX;
	}
	return n;
}

/* A long context is no reason for layers that attend to little of it. */
static void test_long(void)
{
	static const struct { int (*load)(struct accel_model **m); uint32_t n; const char *what; } list[] = {
		{ load_windows, 1, "one of six attends to all" }, { load_latent, 2, "both attend to all" },
		{ load_index, 0, "to those that are chosen" },
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		struct accel_model *m = NULL;
		struct rig r = { 0 };

		ok(!list[i].load(&m) && !accel_open("sim:timing,profile=octans-s,local=64G", &r.dev) &&
		   !rig_plan(&r, m, (struct accel_plan_opts) { .ctx = 40000, .batch = 1 }) && too_long(r.plan) == list[i].n,
		   "a context above what the processor attends to: %s", list[i].what);
		rig_free(&r);
		accel_model_free(m);
	}
}

int main(void)
{
	test_loads();
	test_states();
	test_model(load_windows, "windows", 0.8);
	test_model(load_latent, "latent attention", 0.6);
	test_model(load_index, "an indexer", 0.5);
	test_ladder();
	test_long();
	return done();
}
