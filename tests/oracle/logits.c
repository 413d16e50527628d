// SPDX-License-Identifier: MIT
/*
 * The logits that libllama computes, in the format of `accelctl logits`: "LGT1", u32 tokens,
 * u32 vocabulary, i32 ids[tokens], f32 logits[tokens][vocabulary]; little endian.
 *
 *   logits [-b BACKEND.so] [-g LAYERS] [-n N | -t 1,2,3] [-q N] [-c N] [-sv] MODEL OUT
 *     -b FILE    this build of ggml's CPU kernels; else ggml chooses by CPU, and two machines
 *                may differ in the last bits
 *     -g N       so many layers, from the end, are on processors that ggml finds (0)
 *     -n N       N tokens (24): token i is 3 + (7 i^2 + 13 i + 5) mod (vocabulary - 3)
 *     -t LIST    these tokens
 *     -s         one at a time (as when text is generated) instead of all at once
 *     -v         all that libllama has to say
 *     -c N       a context of N positions, else as many as are needed
 *     -q N       N sequences of these tokens side by side, as in a server; the logits of the last
 *
 * Everything that would cost accuracy for speed is off: the KV cache is F32, attention is not
 * the "flash" kind (with -q both are as libllama has them), weights are not repacked; one thread.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ggml-backend.h>
#include <llama.h>

#define MAX_TOKENS 4096

struct job {
	llama_token tokens[MAX_TOKENS];
	int n;		/* 0: none given */
	int n_fixed;
	int n_layers;	/* on processors */
	int n_ctx;	/* 0: as many as are needed */
	int n_sequences;	/* 0: one, computed as exactly as can be */
	bool step;
};

static bool verbose;

static void log_errors(enum ggml_log_level level, const char *text, void *arg)
{
	(void)arg;
	if (verbose || level == GGML_LOG_LEVEL_ERROR)
		fputs(text, stderr);
}

static int fail(const char *what, const char *name)
{
	fprintf(stderr, "logits: %s: %s\n", what, name);
	return -1;
}

static int parse_tokens(struct job *j, const char *s)
{
	char *end;

	for (j->n = 0; j->n < MAX_TOKENS; s = end + 1) {
		j->tokens[j->n++] = strtol(s, &end, 10);
		if (end == s || (*end && *end != ','))
			break;
		if (!*end)
			return 0;
	}
	return fail("not a list of token numbers", s);
}

static int write_all(FILE *f, const void *data, size_t size)
{
	return fwrite(data, 1, size, f) == size ? 0 : fail("write error", "output");
}

static int decode(struct llama_context *ctx, const struct job *j, int at, int n, int n_vocab, FILE *f)
{
	const int sequences = j->n_sequences ? j->n_sequences : 1;
	struct llama_batch b = llama_batch_init(n * sequences, 0, 1);
	int err;

	b.n_tokens = n * sequences;
	for (int i = 0; i < b.n_tokens; i++) {
		b.token[i] = j->tokens[at + i % n];
		b.pos[i] = at + i % n;
		b.n_seq_id[i] = 1;
		b.seq_id[i][0] = i / n;
		b.logits[i] = true;
	}
	err = llama_decode(ctx, b) ? fail("llama_decode() failed", "batch") : 0;
	for (int i = b.n_tokens - n; i < b.n_tokens && !err; i++)
		err = write_all(f, llama_get_logits_ith(ctx, i), n_vocab * sizeof(float));
	llama_batch_free(b);
	return err;
}

static struct llama_context *new_context(struct llama_model *model, const struct job *j)
{
	const int n = j->n, sequences = j->n_sequences;
	struct llama_context_params p = llama_context_default_params();

	p.n_ctx = j->n_ctx ? j->n_ctx : (n + 255) / 256 * 256;
	p.n_batch = p.n_ubatch = n;
	p.n_threads = p.n_threads_batch = 1;
	if (sequences) {
		p.n_seq_max = sequences;
		p.n_ctx *= sequences;
		p.n_batch = p.n_ubatch = n * sequences;
	} else {
		p.type_k = p.type_v = GGML_TYPE_F32;
		p.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
	}
	p.no_perf = true;
	return llama_init_from_model(model, p);
}

static int run(struct job *j, const char *path, const char *out)
{
	struct llama_model_params mp = llama_model_default_params();
	struct llama_context *ctx = NULL;
	struct llama_model *model;
	uint32_t head[2];
	FILE *f = NULL;
	int n_vocab, per, err = -1;

	mp.n_gpu_layers = j->n_layers;
	mp.use_extra_bufts = false;
	model = llama_model_load_from_file(path, mp);
	if (!model)
		return fail("cannot be loaded", path);
	n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
	if (!j->n) {
		j->n = j->n_fixed;
		for (int64_t i = 0; i < j->n; i++)
			j->tokens[i] = 3 + (i * i * 7 + i * 13 + 5) % (n_vocab - 3);
	}
	ctx = new_context(model, j);
	if (!ctx) {
		fail("no context for it", path);
		goto out;
	}
	f = fopen(out, "wb");
	if (!f) {
		fail("cannot be written", out);
		goto out;
	}
	head[0] = j->n;
	head[1] = n_vocab;
	err = write_all(f, "LGT1", 4) || write_all(f, head, sizeof(head)) ||
	      write_all(f, j->tokens, j->n * sizeof(*j->tokens));
	per = j->step ? 1 : j->n;
	for (int at = 0; at < j->n && !err; at += per)
		err = decode(ctx, j, at, per, n_vocab, f);
	if (fclose(f))
		err = fail("cannot be written", out);
out:
	if (ctx)
		llama_free(ctx);
	llama_model_free(model);
	return err;
}

int main(int argc, char **argv)
{
	static struct job j = { .n_fixed = 24 };
	const char *backend = NULL;
	int c;

	while ((c = getopt(argc, argv, "b:g:n:t:q:c:sv")) != -1) {
		if (c == 'b')
			backend = optarg;
		else if (c == 'g')
			j.n_layers = atoi(optarg);
		else if (c == 'n')
			j.n_fixed = atoi(optarg);
		else if (c == 'q')
			j.n_sequences = atoi(optarg);
		else if (c == 'c')
			j.n_ctx = atoi(optarg);
		else if (c == 's')
			j.step = true;
		else if (c == 'v')
			verbose = true;
		else if (c != 't' || parse_tokens(&j, optarg))
			return 2;
	}
	if (argc - optind != 2 || j.n_fixed < 1 || j.n_fixed > MAX_TOKENS ||
	    j.n_sequences < 0 || j.n_sequences > 64 || j.n_ctx < 0) {
		fprintf(stderr, "usage: logits [-b BACKEND.so] [-g LAYERS] [-n N | -t 1,2,3] [-q N] [-c N] [-sv] MODEL OUT\n");
		return 2;
	}
	llama_log_set(log_errors, NULL);
	if (!backend)
		ggml_backend_load_all();
	else if (!ggml_backend_load(backend))
		return 1;
	llama_backend_init();
	c = run(&j, argv[optind], argv[optind + 1]);
	llama_backend_free();
	return c ? 1 : 0;
}
