// SPDX-License-Identifier: MIT
#include "speech.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/gguf.h"
#include "model/layer.h"
#include "text/sampler.h"
#include "text/tokenizer.h"

struct speech {
	const struct gguf *file;
	const char *path;
	struct tokenizer *tok;
	struct tokenizer_stream stream;
	struct sampler sampler;
	uint32_t vocab;
	bool raw, wide_kv;
	char piece[TOKENIZER_PIECE];
};

/* What can be asked for and is not computed here yet must not be passed over in silence. */
static int check_sampling(const struct options *o)
{
	static const char *const to_come[] = {
		"min-p", "repeat-penalty", "frequency-penalty", "presence-penalty", "stop",
	};
	const bool asked[] = {
		o->min_p > 0, o->repeat_penalty != 1, o->frequency_penalty != 0,
		o->presence_penalty != 0, o->stop.n > 0,
	};

	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
		if (asked[i])
			return complain(EXIT_USAGE, "--%s cannot be had yet: leave it away", to_come[i]);
	if (o->temperature <= 0 && (option_given(o, "top-k") || option_given(o, "top-p") ||
				    option_given(o, "seed")))
		note("--top-k, --top-p and --seed change nothing at temperature 0: --temperature says how freely tokens are chosen");
	return EXIT_OK;
}

int speech_new(const struct options *o, const struct running *r, struct speech **out)
{
	struct speech *s;
	char why[256];
	int rc = check_sampling(o);

	*out = NULL;
	if (rc)
		return rc;
	s = calloc(1, sizeof(*s));
	if (!s)
		return complain(EXIT_FAILED, "no memory for the vocabulary");
	*out = s;
	s->file = accel_model_gguf(r->model);
	s->path = o->model;
	s->vocab = r->model_info.n_vocab;
	s->raw = o->raw;
	s->wide_kv = o->kv_type == ACCEL_KV_F32;
	s->sampler = (struct sampler) {
		.temperature = o->temperature, .top_k = o->top_k, .top_p = o->top_p, .state = o->seed,
	};
	if (tokenizer_new(s->file, &s->tok, why, sizeof(why)))
		return complain(EXIT_FAILED, "%s: %s", o->model, why);
	return EXIT_OK;
}

void speech_free(struct speech *s)
{
	if (!s)
		return;
	sampler_end(&s->sampler);
	tokenizer_free(s->tok);
	free(s);
}

/* A model may say how its prompts look: "%s" stands for the question. */
static int apply_format(struct speech *s, const struct bytes *prompt, struct bytes *out)
{
	const char *f, *mark;
	size_t n;
	int rc;

	if (s->raw || gguf_get_str(s->file, "octans.prompt.format", &f, &n)) {
		/* The answer goes on from the prompt: its first space is part of it. */
		s->stream.started = true;
		if (!s->raw && !gguf_get_str(s->file, "tokenizer.chat_template", &f, &n))
			note("the model has a chat template, which is not used: the prompt is completed as it stands");
		return bytes_add(out, prompt->s, prompt->n);
	}
	mark = memmem(f, n, "%s", 2);
	if (!mark)
		return complain(EXIT_FAILED, "the model's prompt format \"%.*s\" has no %%s; use --raw",
				n < 64 ? (int)n : 64, f);
	rc = bytes_add(out, f, mark - f);
	if (!rc)
		rc = bytes_add(out, prompt->s, prompt->n);
	if (!rc)
		rc = bytes_add(out, mark + 2, f + n - mark - 2);
	return rc;
}

int speech_encode(struct speech *s, const struct bytes *prompt, int32_t **ids, size_t *n)
{
	struct bytes text = { 0 };
	int rc = apply_format(s, prompt, &text), err;

	*ids = NULL;
	*n = 0;
	if (!rc) {
		err = tokenizer_encode(s->tok, text.s, text.n, true, true, ids, n);
		if (err)
			rc = complain(EXIT_FAILED, err == -EILSEQ ? "the model's vocabulary cannot spell the prompt" :
				      "no memory for the prompt's tokens");
		else if (!*n)
			rc = complain(EXIT_USAGE, "the prompt has no tokens");
	}
	free(text.s);
	return rc;
}

uint32_t speech_top(const struct speech *s)
{
	return sampler_top(&s->sampler, s->vocab);
}

int64_t speech_choose(struct speech *s, const float *logits, const int32_t *ids, const float *values,
		      uint32_t k)
{
	int64_t next = logits ? sample(&s->sampler, logits, s->vocab) :
		       sample_top(&s->sampler, ids, values, k);

	if (next >= 0)
		return next;
	/* Keys and values may be larger than the cache can hold, in a model that is sound. */
	return -1 - complain(EXIT_FAILED, next != -EDOM ? "no memory for sampling" : s->wide_kv ?
			     "the model gave no number for any token: its weights are damaged" :
			     "the model gave no number for any token: its weights are damaged, or its keys and values are too large for 16 bits: try --kv-type f32");
}

bool speech_ends(const struct speech *s, int32_t id)
{
	return tokenizer_is_eog(s->tok, id);
}

size_t speech_say(struct speech *s, int32_t id, const char **text, bool *stopped)
{
	*text = s->piece;
	*stopped = false;
	return tokenizer_decode(s->tok, &s->stream, id, s->piece, sizeof(s->piece));
}

size_t speech_end(struct speech *s, const char **text)
{
	*text = s->piece;
	return 0;
}
