// SPDX-License-Identifier: MIT
/*
 * Latent attention through the engine, with an indexer and without: the same bits however it is computed, from
 * both kinds of file, and whatever other sequences have left in memory; and the sizes that commands can take.
 */
#include <errno.h>
#include <math.h>

#include "engine_rig.h"
#include "mla_build.h"

#define MOST 520u		/* tokens of a prompt: more than go at once with 128 heads */

struct way {
	const char *device, *isa;
	struct accel_plan_opts po;
};

static size_t row_of(const struct accel_model *m)
{
	struct accel_model_info i = { .sz = sizeof(i) };

	accel_model_info(m, &i);
	return i.n_vocab * sizeof(float);
}

static int32_t token_at(const struct accel_model *m, uint32_t i)
{
	return (int32_t)((i * 7 + i / 11) % (row_of(m) / sizeof(float)));
}

/* Logits of all n tokens of a prompt; NULL: there is a sentence. */
static float *compute(const struct accel_model *m, const struct way *w, uint32_t n)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 2, .strict = true, .isa = w->isa };
	const size_t size = n * row_of(m);
	const float *logits = NULL;
	int32_t tokens[MOST];
	struct rig r = { 0 };
	float *all = NULL;

	for (uint32_t i = 0; i < n; i++)
		tokens[i] = token_at(m, i);
	if (!w->device || !accel_open(w->device, &r.dev))
		rig_start(&r, m, w->po, &o);
	if (r.engine && rig_eval(&r, tokens, n, ACCEL_WANT_ALL, &logits))
		printf("# %s\n", accel_error());
	if (logits) {
		all = malloc(size);
		memcpy(all, logits, size);
	}
	rig_free(&r);
	return all;
}

/* Numbers, of which none is like all others. */
static bool is_good(const struct accel_model *m, const float *logits, uint32_t n)
{
	const size_t cols = row_of(m) / sizeof(float);
	uint32_t same = 0;

	for (size_t i = 0; i < n * cols; i++)
		if (!isfinite(logits[i]))
			return false;
	for (uint32_t i = 1; i < n; i++)
		same += !memcmp(logits, logits + i * cols, row_of(m));
	return !same;
}

/* Compares every way with the scalar one of one token at a time. */
static void same_bits(const struct accel_model *m, enum accel_kv_type kv, uint32_t n, const char *what)
{
	static const struct way ways[] = {
		{ NULL, NULL, { .batch = 512 } }, { NULL, "scalar", { .batch = 37, .page = 16 } },
		{ NULL, NULL, { .page = 1 } }, { "sim", NULL, { .batch = 512 } }, { "sim", NULL, { .batch = 131 } },
		{ "sim:profile=octans-s", NULL, { .batch = 29, .page = 4 } },
	};
	struct way w = { NULL, "scalar", { .batch = 1, .kv_type = kv } };
	float *want = compute(m, &w, n);

	if (!ok(want && is_good(m, want, n), "%s: it is computed", what))
		return;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		float *is;

		w = ways[i];
		w.po.kv_type = kv;
		is = compute(m, &w, n);
		ok(is && !memcmp(is, want, n * row_of(m)), "%s, %s, %s, %u at once, pages of %u: the same bits", what,
		   w.device ? w.device : "CPU", w.isa ? w.isa : "auto", w.po.batch, w.po.page);
		free(is);
	}
	free(want);
}

static void test_kinds(const struct mla_build *l, const char *what)
{
	static const struct { enum accel_kv_type type; const char *name; } kinds[] = {
		{ ACCEL_KV_F16, "F16" }, { ACCEL_KV_F32, "F32" }, { ACCEL_KV_Q8_0, "Q8_0" },
	};
	struct accel_model *m;
	char text[80];

	if (!ok(!mla_load(l, &m), "%s: %s", what, accel_error()))
		return;
	for (int i = 0; i < 3; i++) {
		snprintf(text, sizeof(text), "%s, kept as %s", what, kinds[i].name);
		same_bits(m, kinds[i].type, 150, text);
	}
	accel_model_free(m);
}

/* As many as DeepSeek-V3 has: a row is seen as 128, of which a command takes 65536. */
static void test_many_heads(void)
{
	const struct way many = { NULL, NULL, { .batch = 2048 } };
	struct mla_build l = mla_small;
	struct accel_model *m;
	struct rig r = { 0 };

	l.blocks = 1;
	l.heads = 128;
	if (!ok(!mla_load(&l, &m), "128 heads: %s", accel_error()))
		return;
	ok(!rig_plan(&r, m, many.po) && plan_info(r.plan).batch == 512, "%u tokens at once, not 2048",
	   plan_info(r.plan).batch);
	rig_free(&r);
	same_bits(m, ACCEL_KV_F16, MOST, "128 heads");
	accel_model_free(m);
}

/* The two kinds of file hold the same numbers. */
static void test_old(struct mla_build l, const char *what)
{
	const struct way cpu = { NULL, NULL, { .ctx = 256 } }, card = { "sim", NULL, { .ctx = 256, .batch = 77 } };
	struct accel_plan_info info[2];
	struct accel_model *m[2];
	float *logits[3];

	for (int i = 0; i < 2; i++) {
		struct rig r = { 0 };

		l.old = i;
		if (!ok(!mla_load(&l, &m[i]), "%s, %s: %s", what, i ? "old" : "new", accel_error()))
			return;
		logits[i] = compute(m[i], &cpu, 100);
		ok(!rig_plan(&r, m[i], cpu.po), "a plan");
		info[i] = plan_info(r.plan);
		rig_free(&r);
	}
	logits[2] = compute(m[1], &card, 100);
	ok(logits[0] && is_good(m[0], logits[0], 100), "%s: it is computed", what);
	for (int i = 1; i < 3; i++)
		ok(logits[0] && logits[i] && !memcmp(logits[0], logits[i], 100 * row_of(m[0])),
		   "%s: of an old file the same bits, %s", what, i == 1 ? "CPU" : "processor");
	/* What was made anew is memory, and is planned. */
	ok(info[1].host_bytes >= info[0].host_bytes + 4ull * l.blocks * l.heads * (l.nope + l.value) * l.kv_rank,
	   "%s: %llu bytes of memory, %llu of an old file", what, (unsigned long long)info[0].host_bytes,
	   (unsigned long long)info[1].host_bytes);
	for (int i = 0; i < 3; i++)
		free(logits[i]);
	accel_model_free(m[0]);
	accel_model_free(m[1]);
}

static void test_files(void)
{
	struct mla_build l = mla_small;

	test_old(l, "F32");
	l.type = ACCEL_F16;
	test_old(l, "F16");
	l.q_rank = 0;
	test_old(l, "F16, without a bottleneck");
	l = mla_indexed;
	test_old(l, "F32, an indexer");
}

/* A prompt as long as the list is attended to as a whole, a longer one is not. */
static void test_list(void)
{
	const struct way w = { NULL, NULL, { .ctx = 128 } };
	struct mla_build l = mla_indexed;
	struct accel_model *few, *all;
	const uint32_t n = 100;
	uint32_t same = 0;
	float *a, *b;

	l.index_top = 128;
	if (!ok(!mla_load(&mla_indexed, &few) && !mla_load(&l, &all), "lists of two lengths"))
		return;
	a = compute(few, &w, n);
	b = compute(all, &w, n);
	for (uint32_t i = 0; i < n && a && b; i++)
		same += !memcmp((char *)a + i * row_of(few), (char *)b + i * row_of(few), row_of(few));
	ok(same >= mla_indexed.index_top && same < n / 2, "%u of %u tokens attend to all positions, 12 have no more", same, n);
	free(a);
	free(b);
	accel_model_free(few);
	accel_model_free(all);
}

/* More than can be chosen are no choice where there are no more positions. */
static void test_all(void)
{
	const struct way ways[] = { { NULL, NULL, { .ctx = 128 } }, { "sim", NULL, { .ctx = 128, .batch = 29 } } };
	struct mla_build l = mla_indexed;
	struct accel_model *all, *m;
	struct rig r = { 0 };
	float *want;

	l.index_top = 128;
	if (!ok(!mla_load(&l, &all), "a list of all of 128 positions"))
		return;
	want = compute(all, &ways[0], 100);
	l.index_top = 131072;
	if (!ok(!mla_load(&l, &m), "a list of 131072 of them: %s", accel_error()))
		return;
	for (int i = 0; i < 2; i++) {
		float *is = compute(m, &ways[i], 100);

		ok(want && is && !memcmp(is, want, 100 * row_of(all)), "%s: the same bits", ways[i].device ? ways[i].device : "CPU");
		free(is);
	}
	free(want);
	accel_model_free(all);
	accel_model_free(m);
	l.index_top = 5000;		/* no page ends there */
	if (!ok(!mla_load(&l, &m), "a list of 5000"))
		return;
	ok(!rig_plan(&r, m, (struct accel_plan_opts) { .ctx = 5000 }), "a context as long");
	rig_free(&r);
	memset(&r, 0, sizeof(r));
	ok(rig_plan(&r, m, (struct accel_plan_opts) { .ctx = 5001 }) == -EINVAL && strstr(accel_error(), "would choose 5000"),
	   "a longer one: %s", accel_error());
	rig_free(&r);
	accel_model_free(m);
}

/* What is kept of a sequence depends on it, in all layers but the first. */
static void test_saved(void)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1 };
	struct mla_build l = mla_indexed;
	struct accel_seq *seq[3] = { NULL };
	struct accel_model *m[3];
	struct rig r[3];
	int fd = memfd_create("sequence", MFD_CLOEXEC), err[3];
	int32_t tokens[40];

	for (int i = 0; i < 40; i++)
		tokens[i] = i;
	for (uint32_t i = 0; i < 3; i++) {
		l.index_top = i == 2 ? 13 : 12;
		ok(!mla_load(&l, &m[i]), "lists of %u", l.index_top);
		r[i] = rig_new(m[i], i == 1 ? "sim" : NULL, (struct accel_plan_opts) { .ctx = 64, .positions = 256 }, &o);
		if (!i)
			ok(!rig_eval(&r[i], tokens, 40, ACCEL_WANT_NOTHING, NULL) && !accel_seq_save(r[i].seq, fd), "saved");
		lseek(fd, 0, SEEK_SET);
		err[i] = accel_seq_load(r[i].engine, fd, &seq[i]);
	}
	ok(!err[0] && !err[1], "a sequence is loaded where lists are as long");
	ok(err[2] == -EINVAL, "and nowhere else: %s", accel_error());
	for (int i = 0; i < 3; i++) {
		accel_seq_free(seq[i]);
		rig_free(&r[i]);
		accel_model_free(m[i]);
	}
	close(fd);
}

/* ---- what others leave ---- */

/* Makes the first token's embedding, and so its logit, no number. */
static int load_spoilt(const struct mla_build *l, struct accel_model **m)
{
	struct build b;
	struct gguf *g;

	mla_make(&b, l);
	g = mla_open(&b);
	for (uint32_t i = 0; i < l->embd; i++)
		memcpy(b.p + gguf_find_tensor(g, "token_embd.weight")->offset + 4 * i, &(float) { NAN }, 4);
	gguf_close(g);
	return load_built(&b, m);
}

static void test_left(const char *device)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .strict = true };
	struct rig r[2] = { { 0 }, { 0 } };
	int32_t tokens[90], bad[90] = { 0 };
	const float *logits[2] = { NULL };
	struct accel_model *m;

	if (!ok(!load_spoilt(&mla_indexed, &m), "a token that is no number"))
		return;
	for (int i = 0; i < 90; i++)
		tokens[i] = 1 + i * 5 % 39;
	for (int i = 0; i < 2; i++) {
		r[i] = rig_new(m, device, (struct accel_plan_opts) { .ctx = 128, .page = 8 }, &o);
		if (!i)
			ok(!rig_eval(&r[i], bad, 90, ACCEL_WANT_LAST, logits) && isnan(logits[0][1]), "it spoils its sequence");
		accel_seq_trim(r[i].seq, 0);
		for (int k = 0; k < 90; k += 9)
			rig_eval(&r[i], tokens + k, 9, ACCEL_WANT_LAST, &logits[i]);
	}
	ok(logits[0] && logits[1] && isfinite(logits[0][1]) && !memcmp(logits[0], logits[1], row_of(m)),
	   "%s: and no other", device ? device : "CPU");
	rig_free(&r[0]);
	rig_free(&r[1]);
	accel_model_free(m);
}

/* ---- sizes ---- */

static void refused(const struct accel_model *m, struct accel_plan_opts po, const char *words)
{
	struct rig r = { 0 };

	ok(rig_plan(&r, m, po) == -EINVAL && strstr(accel_error(), words), "%s", accel_error());
	rig_free(&r);
}

/* Pages are planes of the indexer's product, and columns of what chooses them. */
static void test_pages(void)
{
	struct mla_build l = mla_indexed;
	struct accel_model *m;
	struct rig r = { 0 };

	l.index_heads = 64;
	if (!ok(!mla_load(&l, &m), "an indexer of 64 heads"))
		return;
	ok(!rig_plan(&r, m, (struct accel_plan_opts) { .ctx = 8192, .positions = 1 << 23 }) &&
	   plan_info(r.plan).page == 128 && plan_info(r.plan).pages == 65536, "%u pages of %u positions",
	   plan_info(r.plan).pages, plan_info(r.plan).page);
	rig_free(&r);
	refused(m, (struct accel_plan_opts) { .ctx = 8192, .positions = 1 << 23, .page = 64 }, "all together 131072");
	refused(m, (struct accel_plan_opts) { .ctx = 1 << 20, .page = 1 }, "a sequence would have 1048576");
	refused(m, (struct accel_plan_opts) { .ctx = (1 << 20) + 1 }, "an indexer");
	/* 64 heads of each of a sequence's pages are rows of one tensor. */
	l.index_heads = 1024;
	accel_model_free(m);
	if (!ok(!mla_load(&l, &m), "an indexer of 1024 heads"))
		return;
	refused(m, (struct accel_plan_opts) { .ctx = 32768, .page = 1 }, "a sequence would have 32768");
	memset(&r, 0, sizeof(r));
	ok(!rig_plan(&r, m, (struct accel_plan_opts) { .ctx = 16384, .page = 1 }) && plan_info(r.plan).batch == 1,
	   "as many as just fit: %u token at once", plan_info(r.plan).batch);
	rig_free(&r);
	accel_model_free(m);
	/* without an indexer pages are columns of a table, and no more */
	if (!ok(!mla_load(&mla_small, &m), "no indexer"))
		return;
	refused(m, (struct accel_plan_opts) { .ctx = (1 << 20) + 1, .page = 1 }, "a sequence would have 1048577");
	memset(&r, 0, sizeof(r));
	ok(!rig_plan(&r, m, (struct accel_plan_opts) { .ctx = 1 << 20, .page = 1 }), "a table of 2^20 pages");
	rig_free(&r);
	accel_model_free(m);
}

/* Sizes that a file says, and that latent attention cannot have. */
static void test_sizes(void)
{
	static const struct {
		size_t field;
		uint32_t v;
		const char *words;
	} bad[] = {
#define FIELD(f) offsetof(struct mla_build, f)
		{ FIELD(heads), 0, "head_count" }, { FIELD(heads), 1025, "head_count" },
		{ FIELD(rot), 0, "dimension_count" }, { FIELD(rot), 31, "dimension_count" },
		{ FIELD(nope), 0, "not supported" }, { FIELD(nope), 1000, "key_length" },
		{ FIELD(kv_rank), 0, "must be from 1" }, { FIELD(kv_rank), 1000, "key_length" },
		{ FIELD(value), 0, "value_length" }, { FIELD(q_rank), 0, "not supported" },
		{ FIELD(index_heads), UINT32_MAX, "indexer.head_count" }, { FIELD(index_dim), 30, "not supported" },
		{ FIELD(index_dim), 2048, "key_length" }, { FIELD(index_top), 0, "top_k" },
		{ FIELD(index_top), (1u << 30) + 1, "top_k" },
#undef FIELD
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct mla_build l = mla_indexed;
		struct accel_model *m = NULL;
		struct build b;

		memcpy((char *)&l + bad[i].field, &bad[i].v, sizeof(bad[i].v));
		build_begin(&b);
		mla_keys(&b, &l);
		build_tensor(&b, "token_embd.weight", l.type, 2, (uint64_t []) { l.embd, l.vocab });
		build_data(&b);
		ok(load_built(&b, &m) == -EINVAL && strstr(accel_error(), bad[i].words), "%s", accel_error());
	}
}

int main(void)
{
	test_kinds(&mla_small, "small");
	test_kinds(&mla_indexed, "an indexer");
	test_many_heads();
	test_files();
	test_list();
	test_all();
	test_saved();
	test_left(NULL);
	test_left("sim");
	test_pages();
	test_sizes();
	return done();
}
