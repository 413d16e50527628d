// SPDX-License-Identifier: MIT
/*
 * What architectures make of a file, beyond llama's: what is special about each, block by block, and what they
 * refuse by name.  Whether they compute what llama.cpp computes is tests/oracle's.
 */
#include <errno.h>
#include <math.h>

#include "engine_rig.h"
#include "llama_load.h"
/* It has a struct build of its own. */
#define build layer_build
#include "model/layer.h"
#undef build

#define N(a) (sizeof(a) / sizeof((a)[0]))

enum part {
	GATE = 1, QK_NORMS = 2, POST_NORMS = 4, NORM_BIASES = 8, FUSED = 16, EMBD_NORM_TOO = 32, LONG = 64,
	QK_NORMS_OF_ALL = 128, NO_NORMS = 256,
};

static const struct arch_file {
	const char *arch;
	unsigned int parts;		/* enum part */
	uint32_t blocks, embd, heads, kv_heads, ff, vocab, ctx;
	uint32_t out;			/* rows of the output; 0: it is the embedding */
	const uint32_t *ffs;		/* of each block, instead of ff */
	void (*keys)(struct build *b);
} small = {
	.blocks = 1, .embd = 32, .heads = 4, .kv_heads = 2, .ff = 64, .vocab = 12, .ctx = 64,
};

static struct arch_file file(const char *arch, unsigned int parts, uint32_t blocks, void (*keys)(struct build *b))
{
	struct arch_file f = small;

	f.arch = arch;
	f.parts = parts;
	f.blocks = blocks;
	f.keys = keys;
	return f;
}

/* ---- files ---- */

static const char *key_of(const char *arch, const char *name)
{
	static char key[100];

	snprintf(key, sizeof(key), "%s.%s", arch, name);
	return key;
}

static void put_keys(struct build *b, const struct arch_file *f)
{
	const bool layer_norm = f->parts & NORM_BIASES;

	build_key_text(b, "general.architecture", f->arch);
	build_key_u32(b, key_of(f->arch, "block_count"), f->blocks);
	build_key_u32(b, key_of(f->arch, "context_length"), f->ctx);
	build_key_u32(b, key_of(f->arch, "embedding_length"), f->embd);
	build_key_u32(b, key_of(f->arch, "attention.head_count"), f->heads);
	build_key_u32(b, key_of(f->arch, "attention.head_count_kv"), f->kv_heads);
	build_key_f32(b, key_of(f->arch, layer_norm ? "attention.layer_norm_epsilon" :
				"attention.layer_norm_rms_epsilon"), 1e-5f);
	if (f->ffs) {
		build_key_array(b, key_of(f->arch, "feed_forward_length"), GGUF_U32, f->blocks);
		build_bytes(b, f->ffs, 4 * f->blocks);
	} else {
		build_key_u32(b, key_of(f->arch, "feed_forward_length"), f->ff);
	}
	if (f->keys)
		f->keys(b);
}

static void put_norm(struct build *b, const struct arch_file *f, const char *name, uint32_t n)
{
	char full[72];

	snprintf(full, sizeof(full), "%s.weight", name);
	llama_vector(b, full, ACCEL_F32, n);
	snprintf(full, sizeof(full), "%s.bias", name);
	if (f->parts & NORM_BIASES)
		llama_vector(b, full, ACCEL_F32, n);
}

static void put_block(struct build *b, const struct arch_file *f, uint32_t block)
{
	const uint32_t e = f->embd, d = e / f->heads, kv = f->kv_heads * d, fused = f->parts & FUSED;
	const uint32_t ff = f->ffs ? f->ffs[block] : f->ff, post = f->parts & POST_NORMS;
	const struct { const char *name; uint32_t n; } norms[] = {
		{ "attn_norm", f->parts & NO_NORMS ? 0 : e }, { "ffn_norm", f->parts & NO_NORMS ? 0 : e },
		{ "attn_q_norm", f->parts & QK_NORMS ? d : f->parts & QK_NORMS_OF_ALL ? e : 0 },
		{ "attn_k_norm", f->parts & QK_NORMS ? d : f->parts & QK_NORMS_OF_ALL ? kv : 0 },
		{ "post_attention_norm", post ? e : 0 },
		{ "post_ffw_norm", post ? e : 0 },
	};
	const struct { const char *name; uint32_t cols, rows; } matrices[] = {
		{ "attn_qkv", e, fused ? e + 2 * kv : 0 }, { "attn_q", e, fused ? 0 : e },
		{ "attn_k", e, fused ? 0 : kv }, { "attn_v", e, fused ? 0 : kv }, { "attn_output", e, e },
		{ "ffn_gate", e, f->parts & GATE && !fused ? ff : 0 },
		{ "ffn_up", e, f->parts & GATE && fused ? 2 * ff : ff }, { "ffn_down", ff, e },
	};
	char name[64];

	for (size_t i = 0; i < N(norms); i++) {
		snprintf(name, sizeof(name), "blk.%u.%s", block, norms[i].name);
		if (norms[i].n)
			put_norm(b, f, name, norms[i].n);
	}
	for (size_t i = 0; i < N(matrices); i++) {
		snprintf(name, sizeof(name), "blk.%u.%s.weight", block, matrices[i].name);
		if (matrices[i].rows)
			llama_matrix(b, name, ACCEL_F32, matrices[i].cols, matrices[i].rows);
	}
}

/* Factors of rotary positions have no signs. */
static void put_factors(struct build *b)
{
	static const float factors[4] = { 1, 1.5f, 2, 4 };
	static const char *const names[] = { "rope_factors_short.weight", "rope_factors_long.weight" };
	struct gguf *g;
	char err[128];

	gguf_open_mem(b->p, b->n, &g, err, sizeof(err));
	for (size_t i = 0; i < N(names); i++)
		memcpy(b->p + gguf_find_tensor(g, names[i])->offset, factors, sizeof(factors));
	gguf_close(g);
}

static int load_file(const struct arch_file *f, struct accel_model **m)
{
	struct build b;

	build_begin(&b);
	put_keys(&b, f);
	llama_matrix(&b, "token_embd.weight", ACCEL_F32, f->embd, f->vocab);
	if (f->parts & EMBD_NORM_TOO)
		put_norm(&b, f, "token_embd_norm", f->embd);
	for (uint32_t i = 0; i < f->blocks; i++)
		put_block(&b, f, i);
	put_norm(&b, f, "output_norm", f->embd);
	if (f->parts & LONG) {
		llama_vector(&b, "rope_factors_short.weight", ACCEL_F32, f->embd / f->heads / 2);
		llama_vector(&b, "rope_factors_long.weight", ACCEL_F32, f->embd / f->heads / 2);
	}
	/* The last: whatever its rows, the others have the same numbers. */
	if (f->out)
		llama_matrix(&b, "output.weight", ACCEL_F32, f->embd, f->out);
	build_data(&b);
	llama_fill(&b);
	if (f->parts & LONG)
		put_factors(&b);
	*m = NULL;
	return load_built(&b, m);
}

/* NULL, and a test that failed: it does not load. */
static struct accel_model *loaded(const struct arch_file *f, const char *what)
{
	struct accel_model *m;
	bool good = !load_file(f, &m);

	ok(good, "%s: %s%s%s", f->arch, what, good ? "" : ": ", good ? "" : accel_error());
	return m;
}

static void refused(const struct arch_file *f, const char *sentence)
{
	struct accel_model *m;
	int err = load_file(f, &m);

	ok(err == -EINVAL && !m && strstr(accel_error(), sentence), "%s: refused: %s", f->arch,
	   err ? accel_error() : "it loads");
	accel_model_free(m);
}

/* Of a block: the layer of attention, or what is behind it. */
static const struct layer *attention(const struct accel_model *m, uint32_t block)
{
	return &m->layers[1 + 2 * block];
}

static const struct layer *feed_forward(const struct accel_model *m, uint32_t block)
{
	return &m->layers[2 + 2 * block];
}

static const struct layer *head(const struct accel_model *m)
{
	return &m->layers[m->n_layers - 1];
}

/* ---- apertus ---- */

#define BLOCKS 8
static float xielu_p[BLOCKS], xielu_n[BLOCKS], xielu_beta, xielu_eps;
static uint32_t xielu_count;		/* 1: no arrays */

static void put_floats(struct build *b, const char *key, const float *v)
{
	if (xielu_count == 1) {
		build_key_f32(b, key, *v);
		return;
	}
	build_key_array(b, key, GGUF_F32, xielu_count);
	build_bytes(b, v, 4 * xielu_count);
}

static void xielu_keys(struct build *b)
{
	put_floats(b, "xielu.alpha_p", xielu_p);
	put_floats(b, "xielu.alpha_n", xielu_n);
	build_key_f32(b, "xielu.beta", xielu_beta);
	build_key_f32(b, "xielu.eps", xielu_eps);
}

/*
 * Raw parameters, and what the activation has: ln(1 + e^x), and for negative values beta more (transformers,
 * activations.py, XIELUActivation; ggml_xielu()).  From 60 digits.
 */
static const struct {
	float raw, p, n;
} softplus[BLOCKS] = {
	{ 0.8f, 0x1.2bcd40p+0f, 0x1.abcd40p+0f },
	{ 0.3f, 0x1.b56e0ep-1f, 0x1.5ab706p+0f },
	{ -2.5f, 0x1.4321e2p-4f, 0x1.28643cp-1f },
	{ 0, 0x1.62e430p-1f, 0x1.317218p+0f },
	{ 12, 0x1.80000cp+3f, 0x1.90000cp+3f },
	{ 30, 0x1.e00000p+4f, 0x1.e80000p+4f },
	{ -30, 0x1.a56e0cp-44f, 0x1.000000p-1f },
	{ -9, 0x1.02cb0cp-13f, 0x1.00102cp-1f },
};

static void set_xielu(uint32_t n)
{
	xielu_count = n;
	xielu_beta = 0.5f;
	xielu_eps = -1e-6f;
	for (uint32_t i = 0; i < BLOCKS; i++) {
		xielu_p[i] = softplus[i].raw;
		xielu_n[i] = softplus[BLOCKS - 1 - i].raw;
	}
}

static void test_xielu(void)
{
	struct arch_file f = file("apertus", QK_NORMS, BLOCKS, xielu_keys);
	struct accel_model *m;
	size_t wrong = 0;

	set_xielu(BLOCKS);
	m = loaded(&f, "parameters of each block");
	for (uint32_t i = 0; m && i < BLOCKS; i++) {
		const struct ffn *l = &feed_forward(m, i)->ffn;

		wrong += l->activation != OCTANS_MAP_XIELU || l->alpha_p != softplus[i].p ||
			 l->alpha_n != softplus[BLOCKS - 1 - i].n;
	}
	ok(m && !wrong && feed_forward(m, 0)->kind == &layer_ffn, "are made positive to the last bit");
	accel_model_free(m);

	set_xielu(1);
	m = loaded(&f, "parameters of all blocks");
	for (uint32_t i = 0; m && i < BLOCKS; i++)
		wrong += feed_forward(m, i)->ffn.alpha_p != softplus[0].p;
	ok(!wrong, "are those of each");
	accel_model_free(m);

	set_xielu(BLOCKS - 1);
	refused(&f, "\"xielu.alpha_p\" is [7 x ");
	set_xielu(BLOCKS);
	xielu_beta = 0.25f;
	refused(&f, "\"xielu.beta\" is 0.25");
	set_xielu(BLOCKS);
	xielu_eps = -1e-5f;
	refused(&f, "\"xielu.eps\" is -1e-05");
	xielu_eps = -0x1.0cp-20f;	/* of BF16 */
	accel_model_free(loaded(&f, "eps of a checkpoint of BF16"));
}

#define GIVEN 5

static bool logits_of(const struct arch_file *f, const char *spec, float *to)
{
	static const int32_t tokens[GIVEN] = { 1, 11, 2, 10, 7 };
	const float *logits = NULL;
	struct accel_model *m = loaded(f, "computes");
	struct rig r;

	if (!m)
		return false;
	r = rig_new(m, spec, (struct accel_plan_opts) { .ctx = 8 }, NULL);
	rig_eval(&r, tokens, GIVEN, ACCEL_WANT_LAST, &logits);
	if (logits)
		memcpy(to, logits, sizeof(*to) * m->n_vocab);
	rig_free(&r);
	accel_model_free(m);
	return logits;
}

/* Apertus 1.5 takes tokens of pictures and of sound that it does not give. */
static void test_fewer_out(void)
{
	static const char *const specs[] = { NULL, "sim" };
	struct arch_file f = file("apertus", QK_NORMS, 2, xielu_keys);
	float all[12], some[12];
	struct accel_model *m;

	set_xielu(1);
	f.out = 7;
	m = loaded(&f, "12 tokens in, 7 out");
	ok(m && m->n_tokens == 12 && m->n_vocab == 7, "so many tokens");
	accel_model_free(m);
	for (size_t i = 0; i < N(specs); i++) {
		f.out = 12;
		if (!logits_of(&f, specs[i], all))
			continue;
		f.out = 7;
		ok(logits_of(&f, specs[i], some) && !memcmp(all, some, 7 * sizeof(*all)),
		   "the same bits as with all rows");
	}
}

static void test_widths(void)
{
	static const uint32_t widths[3] = { 64, 32, 96 };
	struct arch_file f = file("apertus", QK_NORMS, 3, xielu_keys);
	struct accel_model *m;
	size_t wrong = 0;

	set_xielu(1);
	f.ffs = widths;
	m = loaded(&f, "a width for each block");
	for (uint32_t i = 0; m && i < N(widths); i++)
		wrong += feed_forward(m, i)->ffn.width != widths[i] || feed_forward(m, i)->w[FFN_UP].rows != widths[i];
	ok(m && !wrong, "is that block's");
	accel_model_free(m);
}

/* ---- smollm3 ---- */

static void test_smollm3(void)
{
	struct arch_file f = file("smollm3", GATE, 9, NULL);
	struct accel_model *m = loaded(&f, "nine blocks");
	size_t wrong = 0;

	for (uint32_t i = 0; m && i < f.blocks; i++)
		wrong += (attention(m, i)->attn.rope == LAYER_NONE) != (i == 3 || i == 7);
	ok(m && !wrong && m->n_tables == 1, "the fourth and the eighth do not know positions");
	accel_model_free(m);
}

/* ---- gemma ---- */

static uint32_t gemma_window, pattern;
static float cap;

static void gemma3_keys(struct build *b)
{
	static const uint8_t slides[7] = { 1, 0, 0, 1, 1, 0, 1 };

	if (gemma_window)
		build_key_u32(b, "gemma3.attention.sliding_window", gemma_window);
	if (pattern > 1)
		build_key_u32(b, "gemma3.attention.sliding_window_pattern", pattern);
	if (pattern == 1) {
		build_key_array(b, "gemma3.attention.sliding_window_pattern", GGUF_BOOL, sizeof(slides));
		build_bytes(b, slides, sizeof(slides));
	}
	if (cap != 0)
		build_key_f32(b, "gemma3.attn_logit_softcapping", cap);
	build_key_f32(b, "gemma3.rope.freq_base", 1e6f);
	build_key_text(b, "gemma3.rope.scaling.type", "linear");
	build_key_f32(b, "gemma3.rope.scaling.factor", 8);
}

/* which: a letter for each block, "w" of those that attend to the window by the other rope. */
static void check_windows(const char *what, const char *which)
{
	const struct arch_file f = file("gemma3", GATE | QK_NORMS | POST_NORMS, 7, gemma3_keys);
	struct accel_model *m = loaded(&f, what);
	size_t wrong = 0;

	for (uint32_t i = 0; m && i < f.blocks; i++) {
		const struct attn_gqa *a = &attention(m, i)->attn;

		wrong += a->window != (which[i] == 'w') || a->rope != (which[i] == 'w');
	}
	ok(m && !wrong && m->n_windows == (strchr(which, 'w') != NULL), "%s", which);
	if (m && m->n_windows)
		ok(m->windows[0] == 16 && m->tables[0].rope.base == 1e6 &&
		   m->tables[0].rope.scale == 8 && m->tables[1].rope.base == 10000 && m->tables[1].rope.scale == 1,
		   "its ropes");
	accel_model_free(m);
}

static void test_gemma3(void)
{
	struct arch_file f = file("gemma3", GATE | QK_NORMS | POST_NORMS, 1, gemma3_keys);
	struct accel_model *m;

	gemma_window = 16;
	check_windows("five of six slide", "wwwww.w");
	pattern = 3;
	check_windows("two of three", "ww.ww.w");
	pattern = 1;
	check_windows("as each block says", "w..ww.w");
	gemma_window = pattern = 0;
	check_windows("no window", ".......");

	m = loaded(&f, "scales");
	ok(m && m->layers[0].embed.scale == sqrtf(32) && attention(m, 0)->attn.scale == 1 / sqrtf(8) &&
	   attention(m, 0)->w[POST_W].cols == 32 && feed_forward(m, 0)->w[POST_W].cols == 32 &&
	   feed_forward(m, 0)->ffn.activation == OCTANS_MAP_GELU_TANH, "of embeddings and scores, norms of sums");
	accel_model_free(m);
	cap = 50;
	refused(&f, "\"gemma3.attn_logit_softcapping\" is 50; models with other than 0");
	cap = 0;
}

static void gemma2_keys(struct build *b)
{
	build_key_u32(b, "gemma2.attention.sliding_window", 16);
	build_key_f32(b, "gemma2.attn_logit_softcapping", 40);
	build_key_f32(b, "gemma2.final_logit_softcapping", 20);
}

static void check_gemma2(struct arch_file *f, const char *what, uint32_t size, float scores, float out)
{
	struct accel_model *m = loaded(f, what);

	ok(m && m->n_windows == 1 && m->windows[0] == size && attention(m, 0)->attn.window == 1 &&
	   attention(m, 1)->attn.window == 0 && attention(m, 1)->attn.cap == scores && head(m)->head.cap == out,
	   "a window of %u, caps of %g and %g", size, scores, out);
	accel_model_free(m);
}

static void test_gemma2(void)
{
	struct arch_file f = file("gemma2", GATE | POST_NORMS, 2, NULL);
	struct accel_model *m;

	check_gemma2(&f, "what the first files do not say", 4096, 50, 30);
	f.keys = gemma2_keys;
	check_gemma2(&f, "what others do", 16, 40, 20);
	f.blocks = 46;
	f.heads = 2;
	f.kv_heads = 1;
	m = loaded(&f, "46 blocks are the 27B's");
	ok(m && attention(m, 45)->attn.scale == 1 / sqrtf(16), "its scale of scores");
	accel_model_free(m);
}

/* ---- granite ---- */

static bool granite_positions;

static void granite_keys(struct build *b)
{
	build_key_f32(b, "granite.embedding_scale", 12);
	build_key_f32(b, "granite.residual_scale", 0.25f);
	build_key_f32(b, "granite.logit_scale", 8);
	build_key_f32(b, "granite.attention.scale", 0.5f);
	build_key_bool(b, "granite.rope.scaling.finetuned", granite_positions);
}

static void test_granite(void)
{
	struct arch_file f = file("granite", GATE, 1, granite_keys);
	struct accel_model *m;

	for (int i = 0; i < 2; i++) {
		granite_positions = i;
		m = loaded(&f, "scales");
		ok(m && m->layers[0].embed.scale == 12 && attention(m, 0)->residual == 0.25f &&
		   feed_forward(m, 0)->residual == 0.25f && head(m)->head.scale == 0.125f &&
		   attention(m, 0)->attn.scale == 0.5f, "multiply, but logits are divided by theirs");
		ok(m && attention(m, 0)->attn.rope == (i ? 0 : LAYER_NONE), "positions are told: %s", i ? "yes" : "no");
		accel_model_free(m);
	}
	f.keys = NULL;
	refused(&f, "the key \"granite.logit_scale\" is missing");
}

/* ---- mistral3, and YaRN ---- */

static uint32_t original, length;

static void mistral3_keys(struct build *b)
{
	build_key_text(b, "mistral3.rope.scaling.type", "yarn");
	build_key_f32(b, "mistral3.rope.scaling.factor", 64);
	build_key_f32(b, "mistral3.rope.scaling.yarn_beta_fast", 4);
	build_key_f32(b, "mistral3.rope.scaling.yarn_log_multiplier", 1);
	build_key_f32(b, "mistral3.attention.temperature_scale", 0.1f);
	if (original)
		build_key_u32(b, "mistral3.rope.scaling.original_context_length", original);
	if (length)
		build_key_u32(b, "mistral3.attention.temperature_length", length);
}

static void check_mistral3(const char *what, uint32_t every)
{
	struct arch_file f = file("mistral3", GATE, 1, mistral3_keys);
	struct accel_model *m = loaded(&f, what);
	const struct rope *r = m ? &m->tables[0].rope : NULL;
	const struct table *t = m ? &m->tables[1] : NULL;

	ok(m && m->n_tables == 2 && r->scale == 64 && r->fast == 4 && r->slow == 1 && r->shrink == 1 &&
	   r->extrapolate == 1 && !r->half, "YaRN of Medium 3.5");
	ok(m && t->kind == TABLE_TEMPERATURE && t->temperature.scale == 0.1f && t->temperature.every == every &&
	   attention(m, 0)->attn.temperature == 1, "queries grow every %u positions", every);
	accel_model_free(m);
}

static void qwen2_log(struct build *b)
{
	build_key_f32(b, "qwen2.rope.scaling.yarn_log_multiplier", 0.1f);
}

static float magnitude;

static void qwen2_attn(struct build *b)
{
	build_key_text(b, "qwen2.rope.scaling.type", "yarn");
	build_key_f32(b, "qwen2.rope.scaling.factor", 8);
	build_key_f32(b, "qwen2.rope.scaling.yarn_attn_factor", magnitude);
}

static void test_mistral3(void)
{
	struct arch_file f = file("qwen2", GATE, 1, qwen2_log);

	check_mistral3("nothing said of lengths", 64);
	original = 16;
	check_mistral3("a trained context", 16);
	length = 8;
	check_mistral3("a length", 8);
	refused(&f, "\"qwen2.rope.scaling.yarn_log_multiplier\" is 0.1; models with other than 0");
	f.keys = qwen2_attn;
	magnitude = 1.25f;
	refused(&f, "\"qwen2.rope.scaling.yarn_attn_factor\" is 1.25; models with other than 1, or 1.20794 of this factor");
	magnitude = 1.2079441541679836f;	/* Olmo 3's */
	accel_model_free(loaded(&f, "YaRN's magnitude is said again"));
}

/* ---- phi3 ---- */

static uint32_t phi_window;

static void phi3_keys(struct build *b)
{
	build_key_u32(b, "phi3.rope.scaling.original_context_length", 16);
	build_key_f32(b, "phi3.rope.scaling.attn_factor", 1.25f);
	build_key_u32(b, "phi3.attention.sliding_window", phi_window);
}

static void test_phi3(void)
{
	struct arch_file f = file("phi3", GATE | FUSED | LONG, 1, phi3_keys);
	struct accel_model *m = loaded(&f, "joined tensors");

	if (m) {
		const struct weight *a = attention(m, 0)->w, *n = feed_forward(m, 0)->w;
		const char *qkv = a[ATTN_Q].data, *up = n[FFN_GATE].data;
		const struct rope *r = &m->tables[0].rope;

		ok((const char *)a[ATTN_K].data == qkv + 32 * 128 && (const char *)a[ATTN_V].data == qkv + 48 * 128 &&
		   a[ATTN_V].rows == 16 && (const char *)n[FFN_UP].data == up + 64 * 128 && n[FFN_UP].rows == 64,
		   "queries, keys, values; gate, up");
		ok(r->half && r->divisor && r->long_divisor && r->original == 16 && r->magnitude == 1.25 &&
		   !m->n_windows, "factors without a type");
		accel_model_free(m);
	}
	for (int i = 0; i < 2; i++) {
		phi_window = 63 + i;
		m = loaded(&f, "a window");
		ok(m && m->n_windows == !i, "of %u in a context of 64 %s", phi_window, i ? "is none" : "is one");
		accel_model_free(m);
	}
}

/* ---- olmo2 ---- */

static void olmo2_keys(struct build *b)
{
	build_key_u32(b, "olmo2.attention.sliding_window", 16);
	build_key_text(b, "olmo2.rope.scaling.type", "yarn");
	build_key_f32(b, "olmo2.rope.scaling.factor", 8);
	build_key_u32(b, "olmo2.rope.scaling.original_context_length", 16);
}

static void test_olmo2(void)
{
	struct arch_file f = file("olmo2", GATE | QK_NORMS_OF_ALL | POST_NORMS | NO_NORMS, 5, olmo2_keys);
	struct accel_model *m = loaded(&f, "nothing that comes in is normed");
	size_t wrong = 0;

	for (uint32_t i = 0; m && i < f.blocks; i++) {
		const struct layer *l = attention(m, i);

		wrong += l->w[NORM_W].data || !l->w[POST_W].data || !l->attn.whole_norm ||
			 l->w[ATTN_KNORM].cols != 16 || l->attn.window != (i != 3) || l->attn.rope != (i != 3);
	}
	ok(m && !wrong && m->tables[0].rope.extrapolate == 1 && m->tables[0].rope.scale == 8 &&
	   m->tables[1].rope.extrapolate == 0 && m->tables[1].rope.scale == 1,
	   "windows, where positions are not scaled, but for the fourth");
	accel_model_free(m);
}

/* ---- LayerNorms ---- */

static void nemotron_keys(struct build *b)
{
	build_key_f32(b, "nemotron.attention.layer_norm_rms_epsilon", 1e-5f);
	build_key_u32(b, "nemotron.rope.dimension_count", 4);
	build_key_text(b, "nemotron.rope.scaling.type", "none");
}

static void test_nemotron(void)
{
	const struct arch_file f = file("nemotron", NORM_BIASES, 1, nemotron_keys);
	struct accel_model *m = loaded(&f, "one epsilon under two names");

	ok(m && attention(m, 0)->norm == OCTANS_ROW_LAYER && attention(m, 0)->eps == 1e-5f &&
	   attention(m, 0)->w[NORM_B].cols == 32 && head(m)->w[NORM_B].cols == 32, "LayerNorms");
	ok(m && m->tables[0].rope.rot == 4 && m->tables[0].rope.half &&
	   feed_forward(m, 0)->ffn.activation == OCTANS_MAP_RELU2 && !feed_forward(m, 0)->w[FFN_GATE].data,
	   "half of a head is rotated; no gate");
	accel_model_free(m);
}

/* As the paper has them: powers of two first, then, between them, those of twice as many heads. */
static void test_bloom(void)
{
	static const struct { uint32_t heads; int logs[8]; } slopes[] = {
		{ 8, { -1, -2, -3, -4, -5, -6, -7, -8 } }, { 6, { -2, -4, -6, -8, -1, -3 } }, { 1, { -8 } },
		{ 3, { -4, -8, -2 } },
	};

	for (size_t i = 0; i < N(slopes); i++) {
		struct arch_file f = file("bloom", NORM_BIASES | FUSED | EMBD_NORM_TOO, 1, NULL);
		struct accel_model *m;
		size_t wrong = 0;

		f.heads = f.kv_heads = slopes[i].heads;
		f.embd = 8 * f.heads;
		m = loaded(&f, "slopes");
		for (uint32_t k = 0; m && k < f.heads; k++)
			wrong += ((const float *)attention(m, 0)->w[ATTN_SLOPES].data)[k] !=
				 ldexpf(1, slopes[i].logs[k]);
		ok(m && !wrong && !m->n_tables && m->layers[0].w[EMBED_NORM].cols == f.embd,
		   "of %u heads, and no rotary positions", f.heads);
		accel_model_free(m);
	}
}

/* One number for the model is one number: what follows from it is made once. */

static void three_windows(struct build *b)
{
	static const uint32_t windows[] = { 4, 4, 8 };

	build_key_array(b, "gemma3.attention.sliding_window", GGUF_U32, 3);
	build_bytes(b, windows, sizeof(windows));
}

static void three_softcaps(struct build *b)
{
	static const float caps[] = { 30, 20, 30 };

	build_key_u32(b, "gemma2.attention.sliding_window", 4);
	build_key_array(b, "gemma2.final_logit_softcapping", GGUF_F32, 3);
	build_bytes(b, caps, sizeof(caps));
}

static void test_unequal(void)
{
	struct arch_file f = file("gemma3", QK_NORMS | POST_NORMS, 3, three_windows);

	refused(&f, "not one whole number");
	f = file("gemma2", POST_NORMS, 3, three_softcaps);
	refused(&f, "not a number");
}

int main(void)
{
	test_xielu();
	test_fewer_out();
	test_widths();
	test_smollm3();
	test_gemma3();
	test_gemma2();
	test_granite();
	test_mistral3();
	test_phi3();
	test_olmo2();
	test_nemotron();
	test_bloom();
	test_unequal();
	return done();
}
