// SPDX-License-Identifier: MIT
/* What files say about models: each key and tensor is used, harmless, or refused by its name. */
#include <errno.h>
#include <math.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine_rig.h"
#include "error.h"
#include "fail_alloc.h"
#include "llama_load.h"
/* It has a struct build of its own. */
#define build layer_build
#include "model/layer.h"
#undef build

#define N(a) (sizeof(a) / sizeof((a)[0]))

/* ---- keys ---- */

enum value { U32, F32, BOOL, TEXT, WORDS };

static struct {
	const char *key;
	enum value kind;
	double v;
	const char *text;
} more[8];

static void put_more(struct build *b)
{
	for (size_t i = 0; i < N(more) && more[i].key; i++) {
		char key[100];

		snprintf(key, sizeof(key), "llama.%s", more[i].key);
		switch (more[i].kind) {
		case U32:
			build_key_u32(b, key, more[i].v);
			break;
		case F32:
			build_key_f32(b, key, more[i].v);
			break;
		case BOOL:
			build_key_bool(b, key, more[i].v);
			break;
		case TEXT:
			build_key_text(b, key, more[i].text);
			break;
		case WORDS:
			build_key_array(b, key, GGUF_STRING, 2);
			build_text(b, "a");
			build_text(b, "b");
		}
	}
}

static int load_with(struct accel_model **m)
{
	struct llama_build l = llama_small;

	l.keys = put_more;
	return load(&l, m);
}

/* One more key: loads (sentence NULL), or is refused with this in the sentence. */
static void key(const char *name, enum value kind, double v, const char *text, const char *sentence)
{
	struct accel_model *m = NULL;
	int rc;

	memset(more, 0, sizeof(more));
	more[0].key = name;
	more[0].kind = kind;
	more[0].v = v;
	more[0].text = text;
	rc = load_with(&m);
	if (sentence)
		ok(rc == -EINVAL && !m && strstr(accel_error(), name) && strstr(accel_error(), sentence),
		   "%s is refused: %s", name, rc ? accel_error() : "it loads");
	else
		ok(!rc, "%s = %g %s: loads%s%s", name, v, text ? text : "", rc ? ", " : "",
		   rc ? accel_error() : "");
	accel_model_free(m);
}

static void test_keys(void)
{
	key("attention.causal", BOOL, 1, NULL, NULL);
	key("attention.causal", BOOL, 0, NULL, "is false; models with other than true");
	key("attention.causal", TEXT, 0, "no", "is \"no\"");
	key("attention.sliding_window", U32, 0, NULL, NULL);
	key("attention.sliding_window", U32, 64, NULL, NULL);
	key("attention.sliding_window", U32, 63, NULL, "is 63, less than the context of 64");
	key("attention.clamp_kqv", F32, 0, NULL, NULL);
	key("attention.clamp_kqv", F32, 0.5, NULL, "is 0.5; models with other than 0");
	key("logit_scale", F32, 1, NULL, NULL);
	key("logit_scale", F32, 0.5, NULL, "is 0.5; models with other than 1");
	key("residual_scale", F32, 0.22, NULL, "models with other than 1");
	key("embedding_scale", U32, 12, NULL, "is 12;");
	key("attention.sliding_window", TEXT, 0, "no", "is \"no\"");
	key("pooling_type", U32, 3, NULL, NULL);
	key("router_logit_softcapping", F32, 30, NULL, "is 30; models with other than 0");
	key("expert_gating_func", U32, 2, NULL, "is 2; models with other than 1");
	key("rope.scaling.yarn_ext_factor", F32, 0.5, NULL, NULL);	/* of YaRN, which is not asked for */
	key("expert_count", U32, 0, NULL, NULL);
	key("expert_count", U32, 8, NULL, "\"llama.expert_count\" is 8 and \"llama.expert_used_count\" 0");
	key("expert_used_count", U32, 2, NULL, NULL);
	key("expert_shared_count", U32, 0, NULL, NULL);
	key("expert_group_count", U32, 1, NULL, NULL);
	key("expert_weights_scale", F32, 1, NULL, NULL);
	key("leading_dense_block_count", U32, 0, NULL, NULL);
	key("nextn_predict_layers", U32, 0, NULL, NULL);
	key("nextn_predict_layers", U32, 1, NULL, "is 1; models with other than 0");
	key("rope.freq_base_swa", F32, 10000, NULL, NULL);
	key("rope.scaling.yarn_truncate", BOOL, 1, NULL, NULL);
	key("rope.scaling.yarn_truncate", BOOL, 0, NULL, "is false; models with other than true");
	key("vocab_size", U32, 12, NULL, NULL);
	key("tensor_data_layout", TEXT, 0, "Meta AI original pth", NULL);
	key("rope.scaling.finetuned", BOOL, 1, NULL, NULL);
	key("nonsense", U32, 3, NULL, "(3) is not known");
	key("attention.nonsense", TEXT, 0, "wo\x1brds", "(\"wo?rds\") is not known");
	key("rope.nonsense", F32, 0.5, NULL, "(0.5) is not known");
	key("rope", WORDS, 0, NULL, "([2 x text]) is not known");
	key("rope.scaling.type", TEXT, 0, "none", NULL);
	key("rope.scaling.type", TEXT, 0, "dynamic", "is \"dynamic\", which is not supported; supported: none, linear, yarn, longrope");
	key("rope.scaling.type", U32, 1, NULL, "is 1, which is not supported");
	key("rope.scaling.factor", F32, 0, NULL, NULL);
	key("rope.scaling.factor", F32, -1, NULL, "is -1, it must be from 0 to");
	key("rope.scaling.factor", F32, 1e-5, NULL, "is 1e-05, it must be 0.001 or more");
	key("rope.scaling.factor", F32, NAN, NULL, "not a number");
	key("rope.scaling.yarn_attn_factor", F32, 0.5, NULL, "models with other than 1");
	key("rope.scaling.yarn_log_multiplier", F32, 0.1, NULL, "is 0.1; models with other than 0");
	/* 1 / sqrt(8), which these heads have anyway */
	key("attention.scale", F32, 0.353553, NULL, NULL);
	key("attention.scale", F32, 0.25, NULL, "is 0.25; models with other than 0.353553");
	key("attention.scale", F32, 0, NULL, NULL);
}

/* ---- scaled positions ---- */

static const struct rope *rope_of(struct accel_model **m)
{
	if (load_with(m)) {
		printf("# %s\n", accel_error());
		return NULL;
	}
	return &(*m)->tables[0].rope;
}

static void test_ropes(void)
{
	struct accel_model *m = NULL;
	const struct rope *r;

	memset(more, 0, sizeof(more));
	r = rope_of(&m);
	ok(r && r->rot == 8 && r->base == 10000 && r->scale == 1 && !r->divisor && !r->extrapolate &&
	   r->magnitude == 1 && r->original == 64, "nothing said");
	accel_model_free(m);

	more[0].key = "rope.scaling.factor";
	more[0].kind = F32;
	more[0].v = 4;
	r = rope_of(&m);
	ok(r && r->scale == 4 && !r->extrapolate, "a factor without a type is linear");
	accel_model_free(m);
	more[1].key = "rope.scale_linear";
	more[1].kind = F32;
	more[1].v = 8;
	r = rope_of(&m);
	ok(r && r->scale == 4, "the old key counts for less");
	accel_model_free(m);
	more[0].v = 0;
	r = rope_of(&m);
	ok(r && r->scale == 8, "but counts");
	accel_model_free(m);
	more[2].key = "rope.scaling.type";
	more[2].kind = TEXT;
	more[2].text = "none";
	r = rope_of(&m);
	ok(r && r->scale == 1, "type none: no factor does");
	accel_model_free(m);

	more[0].v = 4;
	more[2].text = "yarn";
	r = rope_of(&m);
	ok(r && r->scale == 4 && r->extrapolate == 1 && r->fast == 32 && r->slow == 1 && r->original == 64,
	   "YaRN's defaults");
	accel_model_free(m);
	more[1].key = "rope.scaling.yarn_ext_factor";
	more[1].v = 0.5;
	ok(load_with(&m) == -EINVAL && strstr(accel_error(), "yarn_ext_factor\" is 0.5; models with other than 1"),
	   "a part of YaRN is refused: %s", accel_error());
	more[1].v = 1;
	for (int i = 3; i < 7; i++)
		more[i].kind = F32;
	more[3].key = "rope.scaling.yarn_beta_fast";
	more[3].v = 16;
	more[4].key = "rope.scaling.yarn_beta_slow";
	more[4].v = 2;
	more[5].key = "rope.scaling.attn_factor";
	more[5].v = 1.25;
	more[6].key = "rope.scaling.original_context_length";
	more[6].kind = U32;
	more[6].v = 16;
	r = rope_of(&m);
	ok(r && r->extrapolate == 1 && r->fast == 16 && r->slow == 2 && r->magnitude == 1.25 &&
	   r->original == 16, "YaRN's numbers");
	accel_model_free(m);
	more[1].v = -1;
	r = rope_of(&m);
	ok(r && r->extrapolate == 1, "a negative share says nothing");
	accel_model_free(m);
}

static void factors(struct build *b)
{
	llama_vector(b, "rope_factors_short.weight", ACCEL_F32, 4);
	llama_vector(b, "rope_factors_long.weight", ACCEL_F32, 4);
}

static void test_longrope(void)
{
	struct llama_build l = llama_small;
	struct accel_model *m = NULL;

	memset(more, 0, sizeof(more));
	l.keys = put_more;
	more[0].key = "rope.scaling.type";
	more[0].kind = TEXT;
	more[0].text = "longrope";
	ok(load(&l, &m) == -EINVAL && strstr(accel_error(), "\"rope_factors_short.weight\" is missing, which longrope needs"),
	   "LongRoPE without its factors: %s", accel_error());
	/* The builder's weights have signs. */
	l.tensors = factors;
	ok(load(&l, &m) == -EINVAL && strstr(accel_error(), "it must be 0.001 or more"),
	   "factors that are none: %s", accel_error());
	more[0].key = NULL;
	ok(load(&l, &m) == -EINVAL &&
	   strstr(accel_error(), "the tensors \"rope_factors_short.weight\", \"rope_factors_long.weight\" are not part of"),
	   "factors without LongRoPE: %s", accel_error());
}

/* ---- tensors ---- */

static void biases(struct build *b)
{
	static const struct { const char *name; uint32_t n; } list[] = {
		{ "attn_q.bias", 32 }, { "attn_k.bias", 16 }, { "attn_v.bias", 16 }, { "attn_output.bias", 32 },
		{ "ffn_gate.bias", 64 }, { "ffn_up.bias", 64 }, { "ffn_down.bias", 32 },
	};

	for (size_t i = 0; i < N(list); i++) {
		char name[64];

		snprintf(name, sizeof(name), "blk.0.%s", list[i].name);
		llama_vector(b, name, i & 1 ? ACCEL_F16 : ACCEL_BF16, list[i].n);
	}
}

static void strangers(struct build *b)
{
	llama_vector(b, "blk.0.attn_rot_embd", ACCEL_F32, 8);
	llama_vector(b, "blk.0.attn_q_norm.we\x1bight", ACCEL_F32, 8);
	llama_vector(b, "blk.1.attn_norm.weight", ACCEL_F32, 32);
	llama_vector(b, "x", ACCEL_F32, 1);
	llama_vector(b, "y", ACCEL_F32, 1);
}

static void quantised_bias(struct build *b)
{
	llama_vector(b, "blk.0.ffn_down.bias", ACCEL_Q8_0, 32);
}

static void short_bias(struct build *b)
{
	llama_vector(b, "blk.0.ffn_up.bias", ACCEL_F32, 63);
}

static void joined_bias(struct build *b)
{
	llama_vector(b, "blk.0.attn_qkv.bias", ACCEL_F32, 64);
}

static void short_joined_bias(struct build *b)
{
	llama_vector(b, "blk.0.attn_qkv.bias", ACCEL_F32, 63);
}

static bool tensors_refused(void (*tensors)(struct build *b), const char *sentence)
{
	struct llama_build l = llama_small;
	struct accel_model *m = NULL;

	l.tensors = tensors;
	return load(&l, &m) == -EINVAL && !m && strstr(accel_error(), sentence);
}

static void test_tensors(void)
{
	struct llama_build l = llama_small;
	struct accel_model *m = NULL;
	const struct layer *ffn;
	size_t wrong = 0;

	ok(tensors_refused(strangers, "the tensors \"blk.0.attn_rot_embd\", \"blk.0.attn_q_norm.we?ight\", \"blk.1.attn_norm.weight\" and 2 more are not part of the llama architecture"),
	   "tensors left over are named: %s", accel_error());
	ok(tensors_refused(quantised_bias, "\"blk.0.ffn_down.bias\" is of type Q8_0, which is not supported for norms and biases"),
	   "a quantised bias: %s", accel_error());
	ok(tensors_refused(short_bias, "\"blk.0.ffn_up.bias\" is 63 x 1 x 1 x 1, it must be 64 x 1"), "a short bias: %s",
	   accel_error());
	ok(tensors_refused(short_joined_bias, "\"blk.0.attn_qkv.bias\" is 63 x 1 x 1 x 1, it must be 64 x 1"),
	   "a short bias of three: %s", accel_error());
	l.tensors = joined_bias;
	if (ok(!load(&l, &m), "a bias of three%s%s", m ? "" : ": ", m ? "" : accel_error())) {
		const struct weight *w = m->layers[1].w;
		const float *q = w[ATTN_BQ].data;

		ok(w[ATTN_BQ].cols == 32 && w[ATTN_BK].cols == 16 && w[ATTN_BV].cols == 16 &&
		   w[ATTN_BV].size == 64 && w[ATTN_BK].data == q + 32 && w[ATTN_BV].data == q + 48,
		   "in its places");
	}
	accel_model_free(m);
	m = NULL;
	l.tensors = biases;
	l.vectors = ACCEL_F16;
	ok(!load(&l, &m), "norms and biases of half the size load%s%s", m ? "" : ": ", m ? "" : accel_error());
	if (!m)
		return;
	ffn = &m->layers[2];
	for (int i = FFN_BGATE; i <= FFN_BDOWN; i++) {
		const float *f = ffn->w[i].data;

		wrong += ffn->w[i].type != ACCEL_F32 || ffn->w[i].size != 4 * ffn->w[i].cols;
		for (uint32_t k = 0; k < ffn->w[i].cols; k++)
			wrong += !(fabsf(f[k]) >= 0.125f && fabsf(f[k]) <= 0.5f);
	}
	ok(!wrong, "and are of the full size then");
	accel_model_free(m);
}

/* What a download that broke off leaves of a file that has its size from the beginning. */
static void test_holes(void)
{
	static const char *const names[] = { "blk.0.ffn_norm.weight", "output_norm.weight" };
	struct accel_model *m = NULL;
	struct build b;
	struct gguf *g;
	char err[128];

	for (size_t i = 0; i < N(names); i++) {
		const struct gguf_tensor *t;

		llama_build(&b, &llama_small);
		gguf_open_mem(b.p, b.n, &g, err, sizeof(err));
		t = gguf_find_tensor(g, names[i]);
		memset(b.p + t->offset, 0, t->size);
		gguf_close(g);
		ok(load_built(&b, &m) == -EINVAL && strstr(accel_error(), names[i]) &&
		   strstr(accel_error(), "nothing but zeros"), "a hole: %s", accel_error());
	}
}

/* Pairs that do not turn, and others. */
static void divisors(struct build *b)
{
	llama_vector(b, "rope_freqs.weight", ACCEL_F32, 4);
}

static void test_divisors(void)
{
	static const float good[] = { 1, 8, 1e30f, INFINITY }, bad[] = { 1, 8, 0, NAN };
	struct llama_build l = llama_small;
	struct accel_model *m = NULL;
	struct build b;
	struct gguf *g;
	char err[128];

	l.tensors = divisors;
	for (int i = 0; i < 3; i++) {
		float f[4];

		memcpy(f, good, sizeof(f));
		if (i)
			f[i] = bad[i + 1];
		llama_build(&b, &l);
		gguf_open_mem(b.p, b.n, &g, err, sizeof(err));
		memcpy(b.p + gguf_find_tensor(g, "rope_freqs.weight")->offset, f, sizeof(f));
		gguf_close(g);
		ok(load_built(&b, &m) == (i ? -EINVAL : 0), "rope_freqs.weight: %g %g %g %g%s%s", f[0], f[1],
		   f[2], f[3], i ? ": " : "", i ? accel_error() : "");
		accel_model_free(m);
		m = NULL;
	}
}

/* A half is exactly its float, and so are the answers. */
static void test_halves(void)
{
	static const int32_t tokens[] = { 1, 5, 2, 7 };
	static const char *const specs[] = { NULL, "sim" };
	struct llama_build l = llama_small;
	float first[12];

	l.vectors = ACCEL_BF16;
	l.tensors = biases;
	for (size_t i = 0; i < N(specs); i++) {
		struct accel_model *m;
		const float *logits = NULL;
		struct rig r;

		if (!ok(!load(&l, &m), "loads"))
			return;
		r = rig_new(m, specs[i], (struct accel_plan_opts) { .ctx = 8 }, NULL);
		rig_eval(&r, tokens, N(tokens), ACCEL_WANT_LAST, &logits);
		if (i)
			ok(logits && !memcmp(first, logits, sizeof(first)), "the same bits on both");
		else if (ok(logits != NULL, "computes"))
			memcpy(first, logits, sizeof(first));
		rig_free(&r);
		accel_model_free(m);
	}
}

/* ---- files that are none ---- */

static bool file_refused(const char *arch, void (*put)(struct build *b), const char *sentence)
{
	struct accel_model *m = NULL;
	struct build b;
	char path[64];
	int fd = memfd_create("model", MFD_CLOEXEC), rc;

	build_begin(&b);
	build_key_text(&b, "general.architecture", arch);
	if (put)
		put(&b);
	build_data(&b);
	if (write(fd, b.p, b.n) != (ssize_t)b.n)
		abort();
	build_end(&b);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	rc = accel_model_load(path, &m);
	close(fd);
	return rc == -EINVAL && !m && strstr(accel_error(), sentence);
}

static void put_adapter(struct build *b)
{
	build_key_text(b, "general.type", "adapter");
	llama_matrix(b, "blk.0.attn_q.weight.lora_a", ACCEL_F32, 32, 4);
}

static void put_projector(struct build *b)
{
	build_key_text(b, "general.type", "mmproj");
}

static void put_block(struct build *b)
{
	build_key_text(b, "general.type", "model");
	llama_matrix(b, "blk.0.attn_q.weight", ACCEL_F32, 32, 32);
}

static void test_no_models(void)
{
	ok(file_refused("llama", NULL, "it is a vocabulary, not a model"), "a vocabulary: %s", accel_error());
	ok(file_refused("llama", put_adapter, "\"general.type\" is \"adapter\"; it goes with a model"), "an adapter: %s",
	   accel_error());
	ok(file_refused("clip", put_projector, "\"general.type\" is \"mmproj\"; it goes with a model"),
	   "what goes with a model is that first: %s", accel_error());
	ok(file_refused("clip", NULL, "architecture \"clip\" is not supported") && strstr(accel_error(), "models.rst"), "%s",
	   accel_error());
	ok(file_refused("llama", put_block, "\"token_embd.weight\" is missing"), "half a model: %s", accel_error());
}

/* ---- names ---- */

static void test_names(void)
{
	struct accel_model *m = NULL;
	struct accel_model_info info = { .sz = sizeof(info) };
	struct build b;
	char path[64];
	int fd = memfd_create("model", MFD_CLOEXEC);

	build_begin(&b);
	build_key_text(&b, "general.architecture", "ll\xff" "ama\x1b");
	if (write(fd, b.p, b.n) != (ssize_t)b.n)
		abort();
	build_end(&b);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ok(accel_model_load(path, &m) == -EINVAL &&
	   strstr(accel_error(), "architecture \"ll\xef\xbf\xbd" "ama?\" is not supported; supported: llama"),
	   "an architecture of that name: %s", accel_error());
	close(fd);
	ok(!load(&llama_small, &m), "no name at all");
	accel_model_info(m, &info);
	ok(!*info.name && !strcmp(info.arch, "llama") && info.n_params > 5000, "what there is to say");
	accel_model_free(m);
}

/* Each allocation fails once: -ENOMEM, a sentence, and nothing is left behind. */
static void test_no_memory(void)
{
	struct llama_build l = llama_small;
	struct accel_model *m = NULL;
	long n = 0, wrong = 0, live;
	int fd = memfd_create("model", MFD_CLOEXEC), rc = -ENOMEM;
	struct build b;
	char path[64];

	if (!FAIL_ALLOC)
		return;
	l.vectors = ACCEL_F16;
	l.tensors = biases;
	llama_build(&b, &l);
	if (write(fd, b.p, b.n) != (ssize_t)b.n)
		abort();
	build_end(&b);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	live = fail_live;
	while (rc && n < 10000) {
		fail_countdown = ++n;
		rc = accel_model_load(path, &m);
		fail_countdown = 0;
		wrong += rc && (rc != -ENOMEM || !strstr(accel_error(), "no memory") || m);
		accel_model_free(m);
		wrong += fail_live != live;
		m = NULL;
	}
	ok(!wrong && n > 30 && !rc, "without memory at each of %ld allocations", n - 1);
	close(fd);
}

int main(void)
{
	test_keys();
	test_ropes();
	test_longrope();
	test_tensors();
	test_holes();
	test_divisors();
	test_halves();
	test_no_models();
	test_names();
	test_no_memory();
	return done();
}
