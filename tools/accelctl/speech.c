// SPDX-License-Identifier: MIT
#include "speech.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <accel/text.h>

struct speech {
	const struct options *o;
	uint32_t vocab;
	struct accel_tokenizer *tok;
	struct accel_sampler *sampler;
	struct accel_chat *chat;	/* how a prompt is to look; NULL: as it is */
	struct accel_decoder *decoder;
	struct accel_stop *stop;	/* NULL: there is no text to stop at */
	struct bytes tail;
};

/* What changes nothing is not passed over in silence. */
static void note_sampling(const struct options *o)
{
	static const char *const names[] = { "top-k", "top-p", "min-p", "seed" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && o->temperature <= 0; i++)
		if (option_given(o, names[i])) {
			note("--%s changes nothing at temperature 0: --temperature says how freely tokens are chosen",
			     names[i]);
			return;
		}
}

static int make_sampler(const struct options *o, uint32_t trained, struct accel_sampler **out)
{
	struct accel_sampler_opts so = {
		.sz = sizeof(so), .seed = o->seed, .temperature = o->temperature, .top_k = o->top_k,
		.top_p = o->top_p, .min_p = o->min_p, .penalty_last = o->repeat_last_n,
	};

	note_sampling(o);
	if (o->repeat_last_n == UINT32_MAX)	/* all that there can be */
		so.penalty_last = o->ctx ? o->ctx : trained;
	if (o->repeat_last_n) {		/* 0: no penalties; of the library, its default */
		so.repeat = o->repeat_penalty;
		so.frequency = o->frequency_penalty;
		so.presence = o->presence_penalty;
	}
	return accel_sampler_new(&so, out) ? complain(EXIT_USAGE, "%s", accel_error()) : EXIT_OK;
}

/* A model may say how its prompts look; a template for conversations is another matter. */
static int find_format(struct speech *s, const struct accel_model *m)
{
	int err = s->o->raw ? -ENOENT : accel_chat_new(m, NULL, &s->chat);

	if (err && err != -ENOENT && err != -ENOTSUP)
		return complain(EXIT_FAILED, "%s; use --raw", accel_error());
	if (!err && !strcmp(accel_chat_name(s->chat), "octans"))
		return EXIT_OK;
	if (err != -ENOENT)
		note("the model has a chat template, which is not used: the prompt is completed as it stands");
	accel_chat_free(s->chat);
	s->chat = NULL;
	return EXIT_OK;
}

static int make_reader(struct speech *s, const struct accel_model *m)
{
	struct accel_tokenizer_info info = { .sz = sizeof(info) };

	if (accel_tokenizer_new(m, &s->tok))
		return complain(EXIT_FAILED, "%s: %s", s->o->model, accel_error());
	accel_tokenizer_info(s->tok, &info);
	if (info.note[0])
		note("%s: %s", s->o->model, info.note);
	return EXIT_OK;
}

/* An answer stands alone; what continues a prompt can be joined to it. */
static int make_writer(struct speech *s)
{
	const struct texts *t = &s->o->stop;

	if (accel_decoder_new(s->tok, s->chat ? ACCEL_DECODE_BEGIN : 0, &s->decoder) ||
	    (t->n && accel_stop_new(t->text, t->n, &s->stop)))
		return complain(EXIT_FAILED, "%s", accel_error());
	return EXIT_OK;
}

int speech_new(const struct options *o, const struct running *r, struct speech **out)
{
	struct speech *s = calloc(1, sizeof(*s));
	int rc;

	*out = s;
	if (!s)
		return complain(EXIT_FAILED, "no memory for the vocabulary");
	s->o = o;
	s->vocab = r->model_info.n_vocab;
	rc = make_sampler(o, r->model_info.n_ctx_train, &s->sampler);
	if (!rc)
		rc = make_reader(s, r->model);
	if (!rc)
		rc = find_format(s, r->model);
	return rc ? rc : make_writer(s);
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

static int apply_format(const struct speech *s, const struct bytes *prompt, struct bytes *out)
{
	struct accel_chat_message question = { "user", prompt->s, prompt->n };

	if (!s->chat)
		return bytes_add(out, prompt->s, prompt->n);
	accel_chat_format(s->chat, &question, 1, 0, ACCEL_CHAT_ANSWER, NULL, &out->n);
	out->s = malloc(out->n + 1);
	if (!out->s || accel_chat_format(s->chat, &question, 1, 0, ACCEL_CHAT_ANSWER, out->s, &out->n))
		return complain(EXIT_FAILED, "no memory for the prompt");
	return EXIT_OK;
}

static int encode(const struct speech *s, const struct bytes *text, int32_t **ids, size_t *n)
{
	*n = 3 * text->n + 4;
	*ids = malloc(*n * sizeof(**ids));
	if (!*ids)
		return complain(EXIT_FAILED, "no memory for the prompt's tokens");
	if (accel_tokenizer_encode(s->tok, text->s, text->n, ACCEL_ENCODE_BEGIN | ACCEL_ENCODE_SPECIAL, *ids, n))
		return complain(EXIT_FAILED, "the prompt: %s", accel_error());
	if (accel_tokenizer_double_bos(s->tok, *ids, *n))
		note("the prompt begins with two tokens that begin a text: leave out the one that it spells, answers suffer");
	for (size_t i = 0; i < *n; i++)
		accel_sampler_accept(s->sampler, (*ids)[i]);
	return *n ? EXIT_OK : complain(EXIT_USAGE, "the prompt has no tokens");
}

int speech_encode(struct speech *s, const struct bytes *prompt, int32_t **ids, size_t *n)
{
	struct bytes text = { 0 };
	int rc = apply_format(s, prompt, &text);

	*ids = NULL;
	*n = 0;
	if (!rc)
		rc = encode(s, &text, ids, n);
	free(text.s);
	return rc;
}

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
	return -1 - complain(EXIT_FAILED, s->o->kv_type == ACCEL_KV_F32 ?
			     "the model gave no number for any token: its weights are damaged" :
			     "the model gave no number for any token: its weights are damaged, or its keys and values are too large for 16 bits: try --kv-type f32");
}

bool speech_ends(const struct speech *s, int32_t id)
{
	return accel_token_ends(s->tok, id);
}

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
