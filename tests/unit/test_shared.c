// SPDX-License-Identifier: MIT
/*
 * Blocks that use keys and values of others, and that have inputs from a table which is most of the model: the same
 * bits however it is computed, what it takes of memory, where layers may be, and what is left of it in a file or when
 * a processor fails.
 */
#include <errno.h>
#include <math.h>
#include <time.h>

#include "demo_rig.h"
#include "device/transport.h"
#include "llama_load.h"

enum {
	BLOCKS = 6, SHARED = 3, EMBD = 64, HEADS = 2, SLIDING = 16, WIDE = 32, FF = 48, INPUT = 32, VOCAB = 4096, CTX = 128,
	TOKENS = 100,
	OWN = 5, OWN_WIDE = 8,		/* layers: the last that keep keys and values, of each kind ... */
	USES = 11, USES_WIDE = 17,	/* ... and the first that use them */
	ROW = 4 * (2 * SLIDING + WIDE),	/* bytes of a position in F16, of the three blocks that keep any */
	TABLE = VOCAB * BLOCKS * INPUT * 4,
};

static bool is_wide(uint32_t block)
{
	return block % 3 == 2;
}

static void tensor(struct build *b, uint32_t block, const char *part, uint64_t cols, uint64_t rows)
{
	char name[64];

	snprintf(name, sizeof(name), "blk.%u.%s.weight", block, part);
	if (rows)
		llama_matrix(b, name, ACCEL_F32, cols, rows);
	else
		llama_vector(b, name, ACCEL_F32, cols);
}

static void put_block(struct build *b, uint32_t i)
{
	const uint32_t d = is_wide(i) ? WIDE : SLIDING;

	tensor(b, i, "attn_norm", EMBD, 0);
	tensor(b, i, "attn_q", EMBD, HEADS * d);
	tensor(b, i, "attn_q_norm", d, 0);
	if (i < BLOCKS - SHARED) {
		tensor(b, i, "attn_k", EMBD, d);
		tensor(b, i, "attn_k_norm", d, 0);
		tensor(b, i, "attn_v", EMBD, d);
	}
	tensor(b, i, "attn_output", HEADS * d, EMBD);
	tensor(b, i, "post_attention_norm", EMBD, 0);
	tensor(b, i, "ffn_norm", EMBD, 0);
	tensor(b, i, "ffn_gate", EMBD, FF);
	tensor(b, i, "ffn_up", EMBD, FF);
	tensor(b, i, "ffn_down", FF, EMBD);
	tensor(b, i, "post_ffw_norm", EMBD, 0);
	tensor(b, i, "inp_gate", EMBD, INPUT);
	tensor(b, i, "proj", INPUT, EMBD);
	tensor(b, i, "post_norm", EMBD, 0);
	tensor(b, i, "layer_output_scale", 1, 0);
}

static void put_keys(struct build *b)
{
	static const struct { const char *name; uint32_t v; } keys[] = {
		{ "block_count", BLOCKS }, { "context_length", CTX }, { "embedding_length", EMBD },
		{ "feed_forward_length", FF }, { "attention.head_count", HEADS }, { "attention.head_count_kv", 1 },
		{ "attention.key_length", WIDE }, { "attention.value_length", WIDE },
		{ "attention.key_length_swa", SLIDING }, { "attention.value_length_swa", SLIDING },
		{ "attention.sliding_window", 24 }, { "attention.sliding_window_pattern", 3 },
		{ "attention.shared_kv_layers", SHARED }, { "embedding_length_per_layer_input", INPUT },
	};

	build_key_text(b, "general.architecture", "gemma4");
	build_key_f32(b, "gemma4.attention.layer_norm_rms_epsilon", 1e-6f);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		char name[64];

		snprintf(name, sizeof(name), "gemma4.%s", keys[i].name);
		build_key_u32(b, name, keys[i].v);
	}
}

static int load_small(struct accel_model **m)
{
	struct build b;

	build_begin(&b);
	put_keys(&b);
	llama_matrix(&b, "token_embd.weight", ACCEL_F32, EMBD, VOCAB);
	llama_matrix(&b, "per_layer_token_embd.weight", ACCEL_F32, BLOCKS * INPUT, VOCAB);
	llama_matrix(&b, "per_layer_model_proj.weight", ACCEL_F32, EMBD, BLOCKS * INPUT);
	llama_vector(&b, "per_layer_proj_norm.weight", ACCEL_F32, INPUT);
	llama_vector(&b, "output_norm.weight", ACCEL_F32, EMBD);
	for (uint32_t i = 0; i < BLOCKS; i++)
		put_block(&b, i);
	build_data(&b);
	llama_fill(&b);
	return load_built(&b, m);
}

static struct accel_layer layer_of(const struct accel_plan *plan, uint32_t i)
{
	struct accel_layer l = { .sz = sizeof(l) };

	accel_plan_layer(plan, i, &l);
	return l;
}

static size_t row_size(void)
{
	return mi.n_vocab * sizeof(float);
}

/* Another sequence of tokens for each number. */
static const int32_t *tokens(uint32_t number)
{
	static int32_t t[TOKENS];

	for (uint32_t i = 0; i < TOKENS; i++)
		t[i] = (i * i * 7 + i * 13 + 101 * number) % VOCAB;
	return t;
}

/* ---- bits ---- */

/* Logits of all tokens. */
static bool run(struct rig *r, float *to)
{
	const float *logits;
	bool good = r->engine && !rig_eval(r, tokens(0), TOKENS, ACCEL_WANT_ALL, &logits);

	if (good)
		memcpy(to, logits, TOKENS * row_size());
	else
		printf("# %s\n", accel_error());
	return good;
}

static bool is_good(const float *logits)
{
	uint32_t same = 0;

	for (size_t i = 0; i < (size_t)TOKENS * mi.n_vocab; i++)
		if (!isfinite(logits[i]))
			return false;
	for (uint32_t i = 1; i < TOKENS; i++)
		same += !memcmp(logits, logits + (size_t)i * mi.n_vocab, row_size());
	return !same;
}

static void test_bits(void)
{
	static const struct {
		const char *device;
		struct accel_plan_opts po;
	} ways[] = {
		{ NULL, { .batch = 512 } }, { NULL, { .batch = 37, .page = 16 } }, { NULL, { .batch = 1, .page = 1 } },
		{ "sim:rings=1", { .batch = 512 } }, { "sim:rings=1", { .batch = 31, .page = 8 } },
		{ "sim:rings=1,profile=octans-s", { .batch = 5 } },
		{ "sim:rings=1,local=1M", { .stream = ACCEL_STREAM_ALWAYS } },
		{ "sim:rings=1,local=1M", { .batch = 7 } },
	};
	static const enum accel_kv_type kinds[] = { ACCEL_KV_F32, ACCEL_KV_F16 };
	float *want = malloc(TOKENS * row_size()), *is = malloc(TOKENS * row_size());

	for (int k = 0; k < 2; k++) {
		const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .isa = "scalar", .strict = true };
		struct rig r = rig_new(model, NULL, (struct accel_plan_opts) { .batch = 1, .kv_type = kinds[k] }, &o);

		ok(run(&r, want) && is_good(want), "it is computed");
		rig_free(&r);
		for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
			struct accel_plan_opts po = ways[i].po;

			po.kv_type = kinds[k];
			r = make(ways[i].device, ways[i].device ? to_card(po) : po);
			ok(run(&r, is) && !memcmp(is, want, TOKENS * row_size()),
			   "%s, %u at once, pages of %u, %u layers on it: the same bits",
			   ways[i].device ? ways[i].device : "CPU", po.batch, po.page, rig_stats(&r).layers_device);
			rig_free(&r);
		}
	}
	free(want);
	free(is);
}

/* ---- memory ---- */

static void test_memory(void)
{
	struct rig r = make("sim:rings=1", to_card((struct accel_plan_opts) { .ctx = CTX, .seqs = 3, .batch = 16 }));
	const struct accel_plan_info info = plan_info(r.plan);
	const uint64_t positions = (uint64_t)info.pages * info.page;
	struct accel_prediction told = { .sz = sizeof(told) };
	const struct accel_layer table = layer_of(r.plan, 0);
	uint64_t kv = 0, with = memory_used(r.dev), planned = accel_plan_device_bytes(r.plan, 0);

	for (uint32_t i = 0; i < mi.n_layers; i++)
		kv += layer_of(r.plan, i).kv_bytes;
	ok(!accel_plan_predict(r.plan, 16, &told) && told.kv_bytes == positions * ROW && kv == positions * ROW &&
	   layer_of(r.plan, OWN).kv_bytes && !layer_of(r.plan, USES).kv_bytes && !layer_of(r.plan, USES_WIDE).kv_bytes,
	   "keys and values of %llu positions: foretold %llu bytes, in all layers %llu, of three blocks %llu",
	   (unsigned long long)positions, (unsigned long long)told.kv_bytes, (unsigned long long)kv,
	   (unsigned long long)positions * ROW);
	ok(table.device == -1 && table.reason == ACCEL_REASON_TABLE && rig_stats(&r).layers_device == mi.n_layers - 1,
	   "the table is on no processor, all else is: %s", table.detail);
	/* the other table is its head */
	ok(planned < TABLE && planned > (uint64_t)VOCAB * EMBD * 4, "%llu bytes of the card, where the table has %u",
	   (unsigned long long)planned, TABLE);
	ok(info.host_bytes < TABLE, "and %llu of the host", (unsigned long long)info.host_bytes);
	rig_stop(&r);
	ok(with - memory_used(r.dev) == planned, "%llu bytes of the card are planned, %llu are taken",
	   (unsigned long long)planned, (unsigned long long)(with - memory_used(r.dev)));
	rig_free(&r);
}

/* A table that never was to be there takes no part in what has room. */
static void test_small_card(void)
{
	struct rig r = make("sim:rings=1,local=1M", (struct accel_plan_opts) { .ctx = CTX, .stream = ACCEL_STREAM_NEVER });

	ok(layer_of(r.plan, mi.n_layers - 1).reason == ACCEL_REASON_NO_MEMORY && rig_stats(&r).layers_device >= 10,
	   "a card without room for the head has %u other layers", rig_stats(&r).layers_device);
	rig_free(&r);
}

/* ---- where layers are ---- */

/* Are layers that share keys and values where the one is that has them? */
static bool is_together(const struct rig *r)
{
	static const uint32_t of[][2] = { { USES, OWN }, { USES + 3, OWN }, { USES_WIDE, OWN_WIDE } };
	struct accel_layer a = { .sz = sizeof(a) }, b = a;

	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++)
		if (accel_engine_layer(r->engine, of[i][0], &a) || accel_engine_layer(r->engine, of[i][1], &b) ||
		    a.device != b.device)
			return false;
	return true;
}

/* All but these are for the processor, if they may. */
static struct accel_plan_opts but(uint32_t a, uint32_t b)
{
	static uint32_t places[64];

	for (uint32_t i = 0; i < 64; i++)
		places[i] = i == a || i == b ? ACCEL_PLACE_CPU : ACCEL_PLACE_DEVICE(0);
	return (struct accel_plan_opts) { .ctx = CTX, .places = places, .n_places = mi.n_layers };
}

static void test_places(void)
{
	float *want = malloc(TOKENS * row_size()), *is = malloc(TOKENS * row_size());
	struct rig r = make(NULL, (struct accel_plan_opts) { .ctx = CTX });

	ok(run(&r, want), "it is computed");
	rig_free(&r);
	r = make("sim:rings=1", but(USES, USES_WIDE));
	ok(layer_of(r.plan, USES).device == 0 && layer_of(r.plan, USES_WIDE).device == 0 && is_together(&r) && run(&r, is) &&
	   !memcmp(is, want, TOKENS * row_size()), "layers that use keys and values of others go where these are");
	rig_free(&r);
	r = make("sim:rings=1", but(OWN, UINT32_MAX));
	ok(layer_of(r.plan, USES).device == -1 && layer_of(r.plan, USES).reason == ACCEL_REASON_SHARED &&
	   layer_of(r.plan, USES_WIDE).device == 0 && is_together(&r) && run(&r, is) &&
	   !memcmp(is, want, TOKENS * row_size()), "also to the CPU: %s", layer_of(r.plan, USES).detail);
	rig_free(&r);
	free(want);
	free(is);
}

static bool any_before(const struct accel_plan *p, uint32_t index)
{
	while (index--)
		if (layer_of(p, index).device >= 0)
			return true;
	return false;
}

/* With any room there is, who has keys and values is on the processor only if there is room for all that use them. */
static void test_room(void)
{
	static const uint32_t owners[] = { OWN, OWN_WIDE };
	struct rig r = { 0 };
	uint32_t torn = 0, on = 0, off = 0, untrue = 0;

	accel_open("sim:rings=1", &r.dev);
	for (uint64_t room = 128 << 10; room < 1400 << 10; room += 12 << 10) {
		struct accel_plan_opts po = to_card((struct accel_plan_opts) { .ctx = CTX, .batch = 16 });

		po.stream = ACCEL_STREAM_NEVER;
		po.max_device_bytes = room;
		if (rig_plan(&r, model, po)) {
			printf("# %s\n", accel_error());
			break;
		}
		for (int i = 0; i < 2; i++) {
			const struct accel_layer l = layer_of(r.plan, owners[i]);

			torn += l.reason == ACCEL_REASON_SHARED;
			on += l.device >= 0;
			off += l.device < 0;
			/* what steps take is there with others; what comes along is weights */
			untrue += l.device < 0 && any_before(r.plan, owners[i]) && strstr(l.detail, "at once");
		}
		accel_plan_free(r.plan);
		r.plan = NULL;
	}
	ok(!torn && on > 20 && off > 20, "keys and values are on the processor for %u of %u sizes, and stay with whom they are for",
	   on, on + off);
	ok(!untrue, "what comes with them is not said to be for steps");
	rig_free(&r);
}

/* Others fill the card between plan and engine, more and more of it. */
static void test_fuller(void)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1 };
	float *want = malloc(TOKENS * row_size()), *is = malloc(TOKENS * row_size());
	struct rig r = make(NULL, (struct accel_plan_opts) { .ctx = CTX });
	uint32_t apart = 0, wrong = 0, some = 0, tries = 0;

	ok(run(&r, want), "it is computed");
	rig_free(&r);
	for (uint64_t left = 1400 << 10; left > 100 << 10; left -= 20 << 10) {
		struct accel_bo *other = NULL;

		memset(&r, 0, sizeof(r));
		if (accel_open("sim:rings=1,local=4M", &r.dev) ||
		    rig_plan(&r, model, to_card((struct accel_plan_opts) { .ctx = CTX, .batch = 16 })))
			break;
		accel_bo_new(r.dev, (4 << 20) - memory_used(r.dev) - left, ACCEL_BO_DEVICE, "another's", &other);
		if (!rig_engine(&r, &o)) {
			apart += !is_together(&r);
			wrong += !run(&r, is) || memcmp(is, want, TOKENS * row_size());
			some += rig_stats(&r).layers_device && rig_stats(&r).layers_device < mi.n_layers - 2;
			tries++;
		}
		rig_stop(&r);
		accel_bo_free(other);
		rig_free(&r);
	}
	ok(tries > 60 && some > 20 && !apart && !wrong, "%u cards that are fuller than they were, %u with some layers: together, and the same bits",
	   tries, some);
	free(want);
	free(is);
}

/* ---- sequences ---- */

static bool step_of(struct rig *r, struct accel_seq *const *seqs, const uint32_t *numbers, uint32_t at, uint32_t n,
		    struct accel_step **step)
{
	struct accel_input in[3];
	int32_t t[3][TOKENS];

	for (int i = 0; i < 3; i++) {
		memcpy(t[i], tokens(numbers[i]), sizeof(t[i]));
		in[i] = (struct accel_input) {
			.sz = sizeof(in[i]), .seq = seqs[i], .tokens = t[i] + at, .n = n, .want = ACCEL_WANT_LAST,
		};
	}
	return !accel_step_run(r->engine, in, 3, NULL, step);
}

/* Of several in one step, each is what it is alone; two of them begin alike, and share pages. */
static void test_sequences(const char *device)
{
	static const uint32_t numbers[] = { 0, 1, 2 };
	struct accel_plan_opts po = { .ctx = CTX, .seqs = 3, .page = 16, .positions = 6 * CTX };
	struct rig r = make(device, device ? to_card(po) : po), alone = make(NULL, po);
	struct accel_seq *seqs[3] = { NULL };
	struct accel_step *step = NULL;
	bool good = r.engine && alone.engine;

	seqs[0] = r.seq;
	good = good && !rig_eval(&r, tokens(0), 21, ACCEL_WANT_NOTHING, NULL);	/* in the middle of a page */
	for (int i = 1; i < 3; i++)
		good = good && !accel_seq_fork(r.seq, 21, &seqs[i]);
	good = good && step_of(&r, seqs, numbers, 21, 50, &step);
	for (int i = 0; i < 3; i++) {
		const float *is = good ? accel_step_logits(step, i, NULL) : NULL, *want = NULL;

		accel_seq_trim(alone.seq, 0);
		if (good)
			good = !rig_eval(&alone, tokens(0), 21, ACCEL_WANT_NOTHING, NULL) &&
			       !rig_eval(&alone, tokens(numbers[i]) + 21, 50, ACCEL_WANT_LAST, &want);
		ok(good && !memcmp(is, want, row_size()), "%s: sequence %d of three has the bits that it has alone",
		   device ? device : "CPU", i);
	}
	accel_step_free(step);
	accel_seq_free(seqs[1]);
	accel_seq_free(seqs[2]);
	rig_free(&r);
	rig_free(&alone);
}

/* What is saved is what is kept: nothing of layers that use others'. */
static void test_saved(void)
{
	const struct accel_plan_opts po = { .ctx = CTX };
	struct rig a = make("sim:rings=1", to_card(po)), b = make(NULL, (struct accel_plan_opts) { .ctx = CTX, .page = 4 });
	const uint32_t n = 70;
	int fd = memfd_create("sequence", MFD_CLOEXEC);
	struct accel_seq *seq = NULL;
	const float *x, *y;
	long size;

	ok(!rig_eval(&a, tokens(0), n, ACCEL_WANT_NOTHING, NULL) && !accel_seq_save(a.seq, fd), "saved");
	size = lseek(fd, 0, SEEK_CUR);
	ok(size >= (long)(n * (ROW + 4)) && size < (long)(n * (ROW + 4)) + 100, "%ld bytes of %u positions of %u bytes", size, n, ROW);
	lseek(fd, 0, SEEK_SET);
	ok(!accel_seq_load(b.engine, fd, &seq), "loaded elsewhere");
	accel_seq_free(b.seq);
	b.seq = seq;
	ok(!rig_eval(&a, tokens(0) + n, TOKENS - n, ACCEL_WANT_LAST, &x) &&
	   !rig_eval(&b, tokens(0) + n, TOKENS - n, ACCEL_WANT_LAST, &y) && !memcmp(x, y, row_size()) &&
	   !rig_stats(&b).recomputed, "it goes on with the same bits, and nothing is computed again");
	rig_free(&a);
	rig_free(&b);
	close(fd);
}

/* A processor fails, and comes back. */
static void test_loss(void)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .retry_ms = 1 };
	const struct accel_plan_opts po = { .ctx = CTX, .page = 4 };
	struct rig a = rig_new(model, "sim:rings=1", to_card(po), &o), b = make(NULL, po);
	const float *x, *y;
	bool same = true;
	char reply[256];

	for (int32_t i = 0; i < 12 && a.engine; i++) {
		if (i % 4 == 2)
			accel_dev_control(a.dev, "fault 0", reply, sizeof(reply));
		same = same && !rig_eval(&a, tokens(0) + 3 * i, 3, ACCEL_WANT_LAST, &x) &&
		       !rig_eval(&b, tokens(0) + 3 * i, 3, ACCEL_WANT_LAST, &y) && !memcmp(x, y, row_size()) &&
		       is_together(&a);
		nanosleep(&(struct timespec) { .tv_nsec = 70000000 }, NULL);
	}
	ok(same && rig_stats(&a).fallbacks == 3 && rig_stats(&a).returns >= 2, "%u times away, %u times back: the same bits",
	   rig_stats(&a).fallbacks, rig_stats(&a).returns);
	rig_free(&a);
	rig_free(&b);
}

int main(void)
{
	if (!ok(!load_small(&model) && !accel_model_info(model, &mi), "a model"))
		return done();
	test_bits();
	test_memory();
	test_small_card();
	test_places();
	test_room();
	test_fuller();
	test_sequences(NULL);
	test_sequences("sim:rings=1");
	test_saved();
	test_loss();
	accel_model_free(model);
	return done();
}
