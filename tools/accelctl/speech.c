// SPDX-License-Identifier: MIT
#include "speech.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How far penalties of the library look back at most. */
#define MOST_PENALISED (1u << 20)

struct speech {
	const char *name;	/* of the model's file, for sentences */
	uint32_t vocab, kv_type;
	struct texts asked;	/* texts to stop at that the user gave; the options' */
	struct accel_tokenizer *tok;
	struct accel_sampler_opts so;
	struct accel_sampler *sampler;
	struct accel_chat *chat;	/* NULL: prompts are completed as they stand */
	bool begin;		/* an answer is a text of its own */
	struct accel_decoder *decoder;
	struct accel_stop *stop;	/* NULL: there is no text to stop at */
	struct bytes tail;
};

/* What changes nothing is not passed over in silence. */
static void note_sampling(const struct options *o)
{
	static const char *const names[] = { "top-k", "top-p", "min-p", "seed" };

	if (o->random_seed && o->temperature > 0)
		note("the seed is %llu: with it the answer will be the same", (unsigned long long)o->seed);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && o->temperature <= 0; i++)
		if (option_given(o, names[i])) {
			note("--%s changes nothing at temperature 0: --temperature says how freely tokens are chosen",
			     names[i]);
			return;
		}
}

static struct accel_sampler_opts sampling(const struct options *o, uint32_t trained)
{
	struct accel_sampler_opts so = {
		.sz = sizeof(so), .seed = o->seed, .temperature = o->temperature > 0 ? o->temperature : 0,
		.top_k = o->top_k, .top_p = o->top_p > 0 ? o->top_p : -1, .min_p = o->min_p,
		.penalty_last = o->repeat_last_n,
	};

	note_sampling(o);
	if (o->repeat_last_n == UINT32_MAX)	/* all that there can be */
		so.penalty_last = o->ctx ? o->ctx : trained;
	if (so.penalty_last > MOST_PENALISED)
		so.penalty_last = MOST_PENALISED;
	if (o->repeat_last_n) {		/* 0: no penalties; of the library, its default */
		so.repeat = o->repeat_penalty;
		so.frequency = o->frequency_penalty;
		so.presence = o->presence_penalty;
	}
	return so;
}

/* ---- the format of conversations ---- */

/* Of the file: one that is not known is named, and the prompt completed, but a conversation needs one. */
static int format_of_file(struct speech *s, const struct options *o, const struct accel_model *m)
{
	int err = accel_chat_new(m, NULL, &s->chat);

	if (!err)
		return EXIT_OK;
	if (err != -ENOENT && err != -ENOTSUP)
		return complain(EXIT_FAILED, "%s: --raw does without, --chat-format names another", accel_error());
	if (o->chat)
		return complain(EXIT_USAGE, "%s: --chat-format names the one to use, such as chatml", accel_error());
	if (option_given(o, "system"))
		return complain(EXIT_USAGE, "%s: without one there is no place for --system; --chat-format names one",
				accel_error());
	if (err == -ENOTSUP)
		note("%s; the prompt is completed as it stands: --chat-format names one to use", accel_error());
	return EXIT_OK;
}

static int find_format(struct speech *s, const struct options *o, const struct accel_model *m)
{
	int rc = EXIT_OK;

	if (o->chat_format && accel_chat_new(NULL, o->chat_format, &s->chat))
		return complain(EXIT_USAGE, "--chat-format: %s", accel_error());
	if (!o->chat_format && !o->raw)
		rc = format_of_file(s, o, m);
	s->begin = s->chat;	/* what continues a prompt can be joined to it */
	return rc;
}

/* ---- making and freeing ---- */

static int make_reader(struct speech *s, const struct accel_model *m)
{
	struct accel_tokenizer_info info = { .sz = sizeof(info) };

	if (accel_tokenizer_new(m, &s->tok))
		return complain(EXIT_FAILED, "%s: %s", s->name, accel_error());
	accel_tokenizer_info(s->tok, &info);
	if (info.note[0])
		note("%s: %s", s->name, info.note);
	return EXIT_OK;
}

static int make(const struct running *r, struct speech **out)
{
	struct speech *s = calloc(1, sizeof(*s));

	*out = s;
	if (!s)
		return complain(EXIT_FAILED, "no memory for the vocabulary");
	s->name = r->o->model;
	s->kv_type = r->o->kv_type;
	s->vocab = r->model_info.n_vocab;
	return make_reader(s, r->model);
}

/* Texts of --stop, and those that end a turn in the format. */
static int make_stop(struct speech *s)
{
	const char *const *turn = s->chat ? accel_chat_stops(s->chat) : NULL;
	size_t n = s->asked.n, more = 0;
	const char **all;
	int err;

	while (turn && turn[more])
		more++;
	if (!(n + more))
		return EXIT_OK;
	all = calloc(n + more, sizeof(*all));
	if (!all)
		return complain(EXIT_FAILED, "no memory for texts to stop at");
	if (n)
		memcpy(all, s->asked.text, n * sizeof(*all));
	if (more)
		memcpy(all + n, turn, more * sizeof(*all));
	err = accel_stop_new(all, n + more, &s->stop);
	free(all);
	return err ? complain(EXIT_FAILED, "%s", accel_error()) : EXIT_OK;
}

int speech_begin(struct speech *s, const int32_t *tokens, size_t n, uint64_t turn)
{
	struct accel_sampler_opts so = s->so;

	accel_sampler_free(s->sampler);
	accel_decoder_free(s->decoder);
	accel_stop_free(s->stop);
	s->sampler = NULL;
	s->decoder = NULL;
	s->stop = NULL;
	so.seed += turn;
	if (accel_sampler_new(&so, &s->sampler))
		return complain(EXIT_USAGE, "%s", accel_error());
	if (accel_decoder_new(s->tok, s->begin ? ACCEL_DECODE_BEGIN : 0, &s->decoder))
		return complain(EXIT_FAILED, "%s", accel_error());
	for (size_t i = 0; i < n; i++)
		accel_sampler_accept(s->sampler, tokens[i]);
	return make_stop(s);
}

int speech_new(const struct options *o, const struct running *r, struct speech **out)
{
	int rc = make(r, out);

	if (rc)
		return rc;
	(*out)->asked = o->stop;
	(*out)->so = sampling(o, r->model_info.n_ctx_train);
	rc = find_format(*out, o, r->model);
	return rc ? rc : speech_begin(*out, NULL, 0, 0);	/* what cannot be had is said now */
}

int speech_again(const struct running *r, const struct accel_sampler_opts *so, const char *format,
		 struct speech **out)
{
	int rc = make(r, out);

	if (rc)
		return rc;
	(*out)->so = *so;
	(*out)->begin = format;
	/* A file's own format has no ends but those that the vocabulary knows. */
	if (format && strcmp(format, "octans") && accel_chat_new(NULL, format, &(*out)->chat))
		return complain(EXIT_FAILED, "%s", accel_error());
	return EXIT_OK;
}

void speech_free(struct speech *s)
{
	if (!s)
		return;
	free(s->tail.s);
	accel_stop_free(s->stop);
	accel_decoder_free(s->decoder);
	accel_chat_free(s->chat);
	accel_sampler_free(s->sampler);
	accel_tokenizer_free(s->tok);
	free(s);
}

const struct accel_chat *speech_chat(const struct speech *s)
{
	return s->chat;
}

const struct accel_sampler_opts *speech_sampling(const struct speech *s)
{
	return &s->so;
}

/* ---- text to tokens ---- */

static int check_tokens(const struct speech *s, const int32_t *ids, size_t n)
{
	if (accel_tokenizer_double_bos(s->tok, ids, n))
		note("the prompt begins with two tokens that begin a text: leave out the one that it spells, answers suffer");
	return n ? EXIT_OK : complain(EXIT_USAGE, "the prompt has no tokens");
}

int speech_encode(const struct speech *s, const struct bytes *text, int32_t **ids, size_t *n)
{
	*n = 3 * text->n + 4;
	*ids = malloc(*n * sizeof(**ids));
	if (!*ids)
		return complain(EXIT_FAILED, "no memory for the prompt's tokens");
	if (accel_tokenizer_encode(s->tok, text->s, text->n, ACCEL_ENCODE_BEGIN | ACCEL_ENCODE_SPECIAL, *ids, n))
		return complain(EXIT_FAILED, "the prompt: %s", accel_error());
	return check_tokens(s, *ids, *n);
}

int speech_encode_chat(const struct speech *s, const struct accel_chat_message *messages, size_t n,
		       size_t known, int32_t **ids, size_t *n_ids)
{
	int err;

	*ids = NULL;
	*n_ids = 0;
	err = accel_chat_encode(s->chat, s->tok, messages, n, known, ACCEL_CHAT_ANSWER, NULL, n_ids);
	if (err == -ENOSPC) {
		*ids = malloc(*n_ids * sizeof(**ids));
		if (!*ids)
			return complain(EXIT_FAILED, "no memory for the prompt's tokens");
		err = accel_chat_encode(s->chat, s->tok, messages, n, known, ACCEL_CHAT_ANSWER, *ids, n_ids);
	}
	if (err)
		return complain(err == -EINVAL ? EXIT_USAGE : EXIT_FAILED, "the prompt: %s", accel_error());
	return check_tokens(s, *ids, known ? 1 : *n_ids);
}

int speech_decode(const struct speech *s, const int32_t *ids, size_t n, bool special, struct bytes *text)
{
	uint32_t flags = special ? ACCEL_DECODE_SPECIAL : s->begin ? ACCEL_DECODE_BEGIN : 0;
	struct accel_decoder *d;
	const char *part;
	size_t len;
	int rc = EXIT_OK;

	if (accel_decoder_new(s->tok, flags, &d))
		return complain(EXIT_FAILED, "%s", accel_error());
	for (size_t i = 0; i < n && !rc; i++) {
		len = accel_decoder_push(d, ids[i], &part);
		rc = bytes_add(text, part, len);
	}
	len = accel_decoder_end(d, &part);
	if (!rc)
		rc = bytes_add(text, part, len);
	accel_decoder_free(d);
	return rc;
}

/* ---- the next token ---- */

uint32_t speech_top(const struct speech *s)
{
	uint32_t k = accel_sampler_top(s->sampler, s->vocab);

	return k > OCTANS_MAX_TOPK ? 0 : k;
}

int64_t speech_choose(struct speech *s, const float *logits, const int32_t *ids, const float *values,
		      uint32_t k)
{
	int32_t id;
	int err = logits ? accel_sampler_choose(s->sampler, logits, s->vocab, &id) :
		  accel_sampler_choose_top(s->sampler, ids, values, k, s->vocab, &id);

	if (!err) {
		accel_sampler_accept(s->sampler, id);
		return id;
	}
	if (err != -EDOM)
		return -1 - complain(EXIT_FAILED, "%s", accel_error());
	/* Keys and values may be larger than the cache can hold, in a model that is sound. */
	return -1 - complain(EXIT_FAILED, s->kv_type == ACCEL_KV_F32 ?
			     "the model gave no number for any token: its weights are damaged" :
			     "the model gave no number for any token: its weights are damaged, or its keys and values are too large for 16 bits: try --kv-type f32");
}

/* The format may be another than the file's, whose ends the vocabulary knows. */
bool speech_ends(const struct speech *s, int32_t id)
{
	const char *const *turn = s->chat ? accel_chat_stops(s->chat) : NULL;

	for (; turn && *turn; turn++)
		if (accel_token_find(s->tok, *turn, strlen(*turn)) == id && id >= 0)
			return true;
	return accel_token_ends(s->tok, id);
}

/* ---- tokens to text ---- */

size_t speech_say(struct speech *s, int32_t id, const char **text, bool *stopped)
{
	size_t n = accel_decoder_push(s->decoder, id, text);

	*stopped = s->stop && accel_stop_push(s->stop, *text, n, text, &n) == 1;
	return n;
}

size_t speech_end(struct speech *s, const char **text)
{
	size_t n = accel_decoder_end(s->decoder, text);

	if (!s->stop)
		return n;
	s->tail.n = 0;
	if (accel_stop_push(s->stop, *text, n, text, &n) || bytes_add(&s->tail, *text, n))
		return 0;
	n = accel_stop_end(s->stop, text);
	if (bytes_add(&s->tail, *text, n))
		return 0;
	*text = s->tail.s;
	return s->tail.n;
}
