// SPDX-License-Identifier: MIT
/*
 * Tokens that text can spell as a whole, and those that generation ends with.  In files of the wild
 * the type of an added token is often wrong: what a token's text says of it counts, as in
 * llama.cpp.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/gguf.h"
#include "vocab.h"

#define DEEPSEEK_END "<\uff5cend\u2581of\u2581sentence\uff5c>"
#define N(a) (sizeof(a) / sizeof((a)[0]))

/* Control tokens, whatever the file says of their type.  These end a turn, ... */
static const char *const turn_ends[] = {
	"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>",
	"<EOT>", "_<EOT>", "[EOT]", DEEPSEEK_END, "<end_of_utterance>",
};

/* ... these what is said; where a middle is filled in, padding and the next file's name do. */
static const char *const other_ends[] = {
	"<|eom_id|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "</s>", "[EOS]", "<eos>",
	"<turn|>", "<|tool_response>", "[e~[",
	"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]", "<|fim_repo|>", "<|repo_name|>",
	"<fim-repo>", "<REPO>", "<reponame>", "<|file_sep|>",
};

/* ... and these nothing. */
static const char *const no_ends[] = {
	"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<\uff5cfim\u2581begin\uff5c>", "<PRE>",
	"\u2581<PRE>", "<|code_prefix|>", "<|prefix|>",
	"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<\uff5cfim\u2581hole\uff5c>", "<SUF>",
	"\u2581<SUF>", "<|code_suffix|>", "<|suffix|>",
	"<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<\uff5cfim\u2581end\uff5c>", "<MID>",
	"\u2581<MID>", "<|code_middle|>", "<|middle|>",
};

/* The headers of gpt-oss's messages count, and are shown, in any text. */
static const char *const shown[] = { "<|channel|>", "<|message|>", "<|start|>", "<|constrain|>" };

static int32_t find(const struct accel_tokenizer *t, const char *text)
{
	return token_find(t, text, strlen(text));
}

static void end_with(struct accel_tokenizer *t, int32_t id)
{
	if (id >= 0)
		t->tokens[id].ends = true;
}

static void override(struct accel_tokenizer *t, const char *const *texts, size_t n, uint8_t type,
		     bool ends)
{
	for (size_t i = 0; i < n; i++) {
		int32_t id = find(t, texts[i]);

		if (id < 0)
			continue;
		t->tokens[id].type = type;
		t->tokens[id].ends = ends;
	}
}

static bool is_end(const struct accel_tokenizer *t, const char *text)
{
	int32_t id = find(t, text);

	return id >= 0 && t->tokens[id].ends;
}

/* What is no end after all: "<|end|>" ends but a part of gpt-oss's answers; Gemma 4 has "</s>" as
 * text. */
static void except(struct accel_tokenizer *t)
{
	bool calls = is_end(t, "<|call|>") || is_end(t, "<|calls|>");
	int32_t end = find(t, "<|end|>"), s = find(t, "</s>");

	if (end >= 0 && calls && (is_end(t, "<|return|>") || is_end(t, "<|flush|>"))) {
		t->tokens[end].ends = false;
		t->tokens[end].type = TOKEN_USER;
	}
	if (s >= 0 && is_end(t, "<|tool_response>")) {
		t->tokens[s].ends = false;
		t->tokens[s].type = TOKEN_NORMAL;
	}
}

/* Those that the file names; there may be several of the end of a text. */
static void name_ends(struct accel_tokenizer *t, const struct gguf *g, const char *key)
{
	int64_t v;
	int rc = 0;

	for (uint64_t i = 0; rc != -ENOENT; i++) {
		rc = vocab_number(g, key, i, &v);
		if (!rc && v >= 0 && v < t->n)
			t->tokens[v].ends = true;
	}
}

/* By the texts first: what the file names counts whatever its text. */
static void read_ends(struct accel_tokenizer *t, const struct gguf *g, const char *const *more)
{
	static const char *const keys[] = {
		"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eos_token_ids",
		"tokenizer.ggml.fim_pad_token_id", "tokenizer.ggml.fim_rep_token_id",
		"tokenizer.ggml.fim_sep_token_id",
	};

	for (size_t i = 0; i < N(turn_ends) && t->eot < 0; i++)
		t->eot = find(t, turn_ends[i]);
	if (t->eom < 0)
		t->eom = find(t, "<|eom_id|>");
	override(t, turn_ends, N(turn_ends), TOKEN_CONTROL, true);
	override(t, other_ends, N(other_ends), TOKEN_CONTROL, true);
	override(t, no_ends, N(no_ends), TOKEN_CONTROL, false);
	override(t, shown, N(shown), TOKEN_USER, false);
	end_with(t, t->eos);
	end_with(t, t->eot);
	end_with(t, t->eom);
	for (size_t i = 0; i < N(keys); i++)
		name_ends(t, g, keys[i]);
	except(t);
	for (; more && *more; more++) {
		int32_t id = find(t, *more);

		if (id >= 0 &&
		    (t->tokens[id].type == TOKEN_CONTROL || t->tokens[id].type == TOKEN_USER))
			t->tokens[id].ends = true;
	}
}

static int list_ends(struct accel_tokenizer *t)
{
	size_t n = 0;

	for (uint32_t i = 0; i < t->n; i++)
		n += t->tokens[i].ends;
	t->ends = malloc((n + 1) * sizeof(*t->ends));
	if (!t->ends)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->n; i++)
		if (t->tokens[i].ends)
			t->ends[t->n_ends++] = i;
	return 0;
}

static int list_special(struct accel_tokenizer *t)
{
	int rc = sorted_new(&t->special, t, 1u << TOKEN_CONTROL | 1u << TOKEN_USER | 1u << TOKEN_UNKNOWN);

	for (uint32_t i = 0; i < t->special.n; i++)
		t->special_first[(uint8_t)t->tokens[t->special.list[i]].text[0]] = true;
	return rc;
}

int special_read(struct accel_tokenizer *t, const struct gguf *g, const char *const *more)
{
	read_ends(t, g, more);
	return list_ends(t) || list_special(t) ? -ENOMEM : 0;
}

int32_t special_at(const struct accel_tokenizer *t, const char *s, size_t n, bool parse)
{
	struct walk w = { .high = t->special.n };
	int32_t best = -1;

	if (!t->special_first[(uint8_t)s[0]])
		return -1;
	for (size_t k = 0; k < n && sorted_next(&t->special, t, &w, s[k]); k++)
		if (w.id >= 0 && (parse || t->tokens[w.id].type == TOKEN_USER))
			best = w.id;
	return best;
}
