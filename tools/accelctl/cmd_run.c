// SPDX-License-Identifier: MIT
/* accelctl run: text in, text out, one line at the end that says where it was computed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <accel/text.h>

#include "accelctl.h"

#define MAX_PROMPT (16u << 20)

struct text {
	char *s;
	size_t n;
};

static int append(struct text *t, const char *s, size_t n)
{
	char *grown;

	if (n > MAX_PROMPT - t->n)
		return complain(EXIT_FAILED, "the prompt is longer than %u MiB", MAX_PROMPT >> 20);
	grown = realloc(t->s, t->n + n + 1);
	if (!grown)
		return complain(EXIT_FAILED, "no memory for the prompt");
	t->s = grown;
	memcpy(t->s + t->n, s, n);
	t->n += n;
	t->s[t->n] = 0;
	return 0;
}

/* The arguments after the model joined by spaces, or else standard input. */
static int read_prompt(const struct options *o, struct text *t)
{
	char chunk[4096];
	size_t n;
	int rc = 0;

	for (int i = 1; i < o->n_args && !rc; i++) {
		if (i > 1)
			rc = append(t, " ", 1);
		if (!rc)
			rc = append(t, o->args[i], strlen(o->args[i]));
	}
	if (o->n_args > 1 || rc)
		return rc;
	if (isatty(STDIN_FILENO))
		fputs("accelctl: reading the prompt from the terminal; end it with Ctrl-D\n", stderr);
	while (!rc && (n = fread(chunk, 1, sizeof(chunk), stdin)) > 0)
		rc = append(t, chunk, n);
	if (!rc && ferror(stdin))
		rc = complain(EXIT_FAILED, "standard input could not be read: %s", strerror(errno));
	while (!rc && t->n && t->s[t->n - 1] == '\n')
		t->s[--t->n] = 0;
	if (!rc && !t->n)
		rc = complain(EXIT_USAGE, "there is no prompt: give it after the model or on standard input");
	return rc;
}

/* A model may say how its prompts look; a template for conversations is not used here. */
static int apply_format(const struct options *o, const struct accel_model *m, struct text *t,
			bool *formatted)
{
	struct accel_chat_message question = { "user", t->s, t->n };
	struct accel_chat *chat;
	size_t size = 0;
	char *out;
	int rc;

	rc = o->raw ? -ENOENT : accel_chat_new(m, NULL, &chat);
	if (rc == -ENOENT || rc == -ENOTSUP)
		return 0;
	if (rc)
		return complain(EXIT_FAILED, "%s; use --raw", accel_error());
	if (strcmp(accel_chat_name(chat), "octans")) {
		accel_chat_free(chat);
		return 0;
	}
	accel_chat_format(chat, &question, 1, 0, ACCEL_CHAT_ANSWER, NULL, &size);
	out = malloc(size + 1);
	rc = out ? accel_chat_format(chat, &question, 1, 0, ACCEL_CHAT_ANSWER, out, &size)
		 : -ENOMEM;
	accel_chat_free(chat);
	if (rc) {
		free(out);
		return complain(EXIT_FAILED, "no memory for the prompt");
	}
	free(t->s);
	*t = (struct text) { out, size };
	*formatted = true;
	return 0;
}

/* *ids is malloc'd. */
static int encode(const struct accel_tokenizer *tok, const struct text *t, int32_t **ids, size_t *n)
{
	*n = 3 * t->n + 4;
	*ids = malloc(*n * sizeof(**ids));
	if (!*ids)
		return complain(EXIT_FAILED, "no memory for the prompt's tokens");
	if (accel_tokenizer_encode(tok, t->s, t->n, ACCEL_ENCODE_ENDS | ACCEL_ENCODE_SPECIAL, *ids,
				   n))
		return complain(EXIT_FAILED, "the prompt: %s", accel_error());
	return *n ? 0 : complain(EXIT_USAGE, "the prompt has no tokens");
}

struct timing {
	double prompt, generation;
	size_t prompt_tokens, generated;
	size_t steps;		/* of one token, after the prompt */
	bool newline;		/* the text ends with one */
	struct accel_engine_stats after_prompt;
};

/* Appends tokens to the sequence; *next: the one chosen to follow, or a negative error of choosing. */
static int advance(struct accel_session *s, struct accel_sampler *sampler, uint32_t vocab,
		   const int32_t *tokens, size_t n, int32_t *next)
{
	uint32_t k = accel_sampler_top(sampler, vocab);
	int32_t ids[OCTANS_MAX_TOPK];
	float values[OCTANS_MAX_TOPK];
	const float *logits;
	int err, rc;

	if (k) {
		err = session_eval_top(s, tokens, n, k, ids, values);
		rc = err ? 0 : accel_sampler_choose_top(sampler, ids, values, k, vocab, next);
	} else {
		err = session_eval(s, tokens, n, ACCEL_LOGITS_LAST, &logits);
		rc = err ? 0 : accel_sampler_choose(sampler, logits, vocab, next);
	}
	if (rc)
		*next = rc;
	return err;
}

/* Keys and values may be larger than the cache can hold, in a model that is sound. */
static int no_number(const struct options *o)
{
	return complain(EXIT_FAILED, "the model gave no number for any token: its weights are damaged%s",
			o->kv_type == ACCEL_KV_F32 ? "" :
			", or its keys and values are too large for 16 bits: try --kv-type f32");
}

static int generate(const struct options *o, struct accel_session *s, struct accel_tokenizer *tok,
		    struct accel_sampler *sampler, struct accel_decoder *decoder,
		    const int32_t *ids, size_t n, uint32_t vocab, uint32_t ctx, struct timing *time)
{
	double t0 = seconds();
	int rc = EXIT_OK, err;
	int32_t next;

	err = advance(s, sampler, vocab, ids, n, &next);
	if (err)
		return complain_eval(err);
	time->after_prompt = stats_of(s);
	time->prompt_tokens = n;
	time->prompt = seconds() - t0;
	t0 = seconds();
	for (uint32_t i = 0; i < o->predict; i++) {
		const char *piece;
		size_t len;
		int32_t id;

		if (next < 0) {
			rc = next != -EDOM ? complain(EXIT_FAILED, "no memory for sampling") : no_number(o);
			break;
		}
		id = next;
		if (accel_token_ends(tok, id))
			break;
		len = accel_decoder_push(decoder, id, &piece);
		if (len)
			time->newline = piece[len - 1] == '\n';
		fwrite(piece, 1, len, stdout);
		if (!flush_output(&rc)) {
			time->newline = true;	/* nothing more can be written */
			break;
		}
		time->generated++;
		if (n + time->generated >= ctx) {
			fprintf(stderr, "\naccelctl: the context of %u positions is full; --ctx makes it larger\n",
				ctx);
			break;
		}
		if (i + 1 == o->predict)
			break;
		err = advance(s, sampler, vocab, &id, 1, &next);
		time->steps += !err;
		if (err) {
			putchar('\n');
			rc = complain_eval(err);
			break;
		}
	}
	time->generation = seconds() - t0;
	return rc;
}

static void print_part(const char *what, const struct accel_engine_stats *d, size_t tokens,
		       uint64_t clock_hz)
{
	if (tokens && d->modelled.cycles)
		fprintf(stderr, "; %s %.0f tokens/s, %.1f %% of the ceiling", what,
			(double)tokens * clock_hz / d->modelled.cycles,
			100.0 * d->ceiling_cycles / d->modelled.cycles);
}

/* What the processor would have taken, were it real. */
static void summarise_modelled(const struct accel_devinfo *info, const struct accel_engine_stats *st,
			       const struct timing *t)
{
	const struct accel_engine_stats nothing = { 0 };
	struct accel_engine_stats prompt = stats_between(&nothing, &t->after_prompt);
	struct accel_engine_stats generation = stats_between(&t->after_prompt, st);
	const struct octans_counters *c = &st->modelled;
	double percent = c->cycles ? 100.0 / c->cycles : 0;

	if (!c->cycles)
		return;
	fprintf(stderr, "[modelled, %u layers on a processor of profile %s", st->layers_device, info->profile);
	print_part("prompt", &prompt, t->prompt_tokens, info->clock_hz);
	print_part("generation", &generation, t->steps, info->clock_hz);
	fprintf(stderr, "; busy: matrix %.1f %%, vector %.1f %%, DMA %.1f %%, MMU %.1f %%, on-card memory %.1f %%, PCIe %.1f %%]\n",
		c->busy_matrix * percent, c->busy_vector * percent, c->busy_dma * percent,
		c->busy_mmu * percent, c->busy_local * percent, c->busy_pcie * percent);
}

/* Layers on the CPU by reason: "2 on the CPU (1 user, 1 no-memory)". */
static void summarise(const struct running *r, const struct timing *t)
{
	struct accel_engine_stats st;
	unsigned int reasons[16] = { 0 };
	const char *sep = " (";
	struct accel_devinfo info = { .sz = sizeof(info), .name = "the processor" };

	st = stats_of(r->session);
	if (r->dev && accel_dev_info(r->dev, &info))
		snprintf(info.name, sizeof(info.name), "the processor");
	fprintf(stderr, "[%u layers on %s, %u on the CPU", st.layers_device, info.name, st.layers_cpu);
	for (uint32_t i = 0; i < plan_info(r->plan).layers; i++) {
		struct accel_layer l = { .sz = sizeof(l) };

		if (!accel_engine_layer(session_engine(r->session), i, &l) && l.device < 0 && (unsigned int)l.reason < 16)
			reasons[l.reason]++;
	}
	for (unsigned int i = 0; i < 16; i++)
		if (reasons[i]) {
			fprintf(stderr, "%s%u: %s", sep, reasons[i], accel_reason_name(i));
			sep = ", ";
		}
	fprintf(stderr, "%s; prompt %zu tokens, %.1f tokens/s; generated %zu, %.1f tokens/s]\n",
		st.layers_cpu ? ")" : "", t->prompt_tokens, t->prompt_tokens / (t->prompt + 1e-9),
		t->generated, t->generated / (t->generation + 1e-9));
	if (st.fallbacks == 0 && st.layers_device)
		summarise_modelled(&info, &st, t);
	if (st.fallbacks)
		fprintf(stderr, "accelctl: %sthe answer was finished on the CPU: %s\n",
			st.fallback_error == -ENOSPC || st.fallback_error == -ENOMEM ? "" :
			"the processor failed, ", st.fallback_reason);
}

static int make_sampler(const struct options *o, struct accel_sampler **out)
{
	struct accel_sampler_opts opts = {
		.sz = sizeof(opts), .seed = o->seed, .temperature = o->temperature, .top_k = o->top_k,
		.top_p = o->top_p,
	};

	return accel_sampler_new(&opts, out) ? complain(EXIT_FAILED, "%s", accel_error()) : 0;
}

int cmd_run(const struct options *o)
{
	struct accel_decoder *decoder = NULL;
	struct accel_sampler *sampler = NULL;
	struct accel_tokenizer *tok = NULL;
	struct accel_model_info mi;
	struct timing time = { 0 };
	struct text prompt = { 0 };
	struct running r = { 0 };
	int32_t *ids = NULL;
	bool formatted = false;
	size_t n;
	int rc;

	rc = read_prompt(o, &prompt);
	if (rc)
		goto out;
	rc = open_session(o, o->args[0], false, &r);
	if (rc)
		goto out;
	accel_model_info(r.model, &mi);
	rc = apply_format(o, r.model, &prompt, &formatted);
	if (rc)
		goto out;
	/* An answer stands alone; what continues a prompt can be joined to it. */
	if (accel_tokenizer_new(r.model, &tok) ||
	    accel_decoder_new(tok, formatted ? ACCEL_DECODE_BEGIN : 0, &decoder)) {
		rc = complain(EXIT_FAILED, "%s: %s", o->args[0], accel_error());
		goto out;
	}
	rc = make_sampler(o, &sampler);
	if (!rc)
		rc = encode(tok, &prompt, &ids, &n);
	if (rc)
		goto out;
	rc = generate(o, r.session, tok, sampler, decoder, ids, n, mi.n_vocab,
		      plan_info(r.plan).ctx, &time);
	if (rc == EXIT_OK) {
		if (!time.newline)
			putchar('\n');
		flush_output(&rc);
		summarise(&r, &time);
	}
out:
	accel_decoder_free(decoder);
	accel_sampler_free(sampler);
	accel_tokenizer_free(tok);
	free(ids);
	free(prompt.s);
	close_session(&r);
	return rc;
}
