// SPDX-License-Identifier: MIT
/*
 * Pre-tokenizers: how the text is cut into words before BPE merges within each.  They are
 * published as regular expressions; the functions here are those expressions, alternative by
 * alternative, in linear time.
 */
#include <stdio.h>
#include <string.h>

#include "unicode.h"
#include "vocab.h"

struct text {
	const char *s;
	size_t n;
};

/* The code point at byte i; *len = 0 at the end. */
static uint32_t at(const struct text *x, size_t i, uint32_t *len)
{
	*len = 0;
	return i < x->n ? utf8_next(x->s + i, x->n - i, len) : 0;
}

static bool is_eol(uint32_t c)
{
	return c == '\r' || c == '\n';
}

static bool is_ascii_letter(uint32_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* [class]+ at i, at most max characters. */
static size_t run(const struct text *x, size_t i, bool (*is)(uint32_t c), size_t max)
{
	uint32_t len, c;
	size_t k = i;

	for (; max-- && (c = at(x, k, &len), len) && is(c); k += len)
		;
	return k - i;
}

/* 's|'t|'re|'ve|'m|'ll|'d; fold = 32: in capitals, too, else 0 */
static size_t contraction(const struct text *x, size_t i, int fold)
{
	static const char *const ends[] = { "s", "t", "re", "ve", "m", "ll", "d" };

	if (x->s[i] != '\'')
		return 0;
	for (size_t k = 0; k < sizeof(ends) / sizeof(ends[0]); k++) {
		size_t n = strlen(ends[k]), j = 0;

		while (j < n && i + 1 + j < x->n && (x->s[i + 1 + j] | fold) == ends[k][j])
			j++;
		if (j == n)
			return n + 1;
	}
	return 0;
}

/* [^\r\n\p{L}\p{N}]?\p{L}+ */
static size_t letters(const struct text *x, size_t i)
{
	uint32_t len, c = at(x, i, &len);
	size_t k = i, n;

	if (!is_eol(c) && !unicode_letter(c) && !unicode_number(c))
		k += len;
	n = run(x, k, unicode_letter, SIZE_MAX);
	return n ? k + n - i : 0;
}

static bool is_other(uint32_t c)	/* [^\s\p{L}\p{N}] */
{
	return !unicode_space(c) && !unicode_letter(c) && !unicode_number(c);
}

/*  ?[class]+[\r\n]*, with "/" among the line ends if asked for */
static size_t spaced(const struct text *x, size_t i, bool (*is)(uint32_t c), bool slash)
{
	size_t k = i + (x->s[i] == ' '), n = run(x, k, is, SIZE_MAX);

	if (!n)
		return 0;
	for (k += n; k < x->n && (is_eol(x->s[k]) || (slash && x->s[k] == '/')); k++)
		;
	return k - i;
}

/* \s+(?!\S)|\s+, before them \s*[\r\n]+ if eols is asked for */
static size_t some_spaces(const struct text *x, size_t i, bool eols)
{
	size_t k = i, eol = 0, last = i;
	uint32_t len, c;

	for (; c = at(x, k, &len), len && unicode_space(c); k += len) {
		last = k;
		if (is_eol(c))
			eol = k + len;
	}
	if (eol && eols)
		return eol - i;
	if (k < x->n && last > i)	/* leave one for the word that follows */
		return last - i;
	return k - i;
}

static size_t spaces(const struct text *x, size_t i)
{
	return some_spaces(x, i, true);
}

/* ---- llama-bpe, qwen2 and their kin ---- */

/* All but the contractions. */
static size_t plain_word(const struct text *x, size_t i, size_t max_digits)
{
	size_t n = letters(x, i);

	if (!n)
		n = run(x, i, unicode_number, max_digits);
	if (!n)
		n = spaced(x, i, is_other, false);
	return n ? n : spaces(x, i);
}

static size_t llama_word(const struct text *x, size_t i, size_t max_digits)
{
	size_t n = contraction(x, i, 32);

	return n ? n : plain_word(x, i, max_digits);
}

/*
 * (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
 *  ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 */
static size_t llama_bpe(const char *s, size_t n, size_t i)
{
	return llama_word(&(struct text) { s, n }, i, 3);
}

/* The same with \p{N} for \p{N}{1,3}. */
static size_t qwen2(const char *s, size_t n, size_t i)
{
	return llama_word(&(struct text) { s, n }, i, 1);
}

/* With \p{N}+. */
static size_t minicpm5(const char *s, size_t n, size_t i)
{
	return llama_word(&(struct text) { s, n }, i, SIZE_MAX);
}

/* qwen2 without the contractions: what follows an apostrophe stays with it. */
static size_t ufakzeka(const char *s, size_t n, size_t i)
{
	return plain_word(&(struct text) { s, n }, i, 1);
}

/* qwen2 without line ends behind signs:  ?[^\s\p{L}\p{N}]+ */
static size_t seed_coder(const char *s, size_t n, size_t i)
{
	struct text x = { s, n };
	size_t k = contraction(&x, i, 32), from = i + (s[i] == ' ');

	if (!k)
		k = letters(&x, i);
	if (!k)
		k = run(&x, i, unicode_number, 1);
	if (k)
		return k;
	k = run(&x, from, is_other, SIZE_MAX);
	return k ? from + k - i : spaces(&x, i);
}

static bool is_letter_or_mark(uint32_t c)
{
	return unicode_letter(c) || unicode_class(c) == UNICODE_MARK;
}

static bool is_other_than_mark(uint32_t c)	/* [^\s\p{L}\p{M}\p{N}] */
{
	return !unicode_space(c) && !is_letter_or_mark(c) && !unicode_number(c);
}

/* qwen2 with marks among the letters: [^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+ */
static size_t qwen35(const char *s, size_t n, size_t i)
{
	struct text x = { s, n };
	uint32_t len, c = at(&x, i, &len);
	size_t k = contraction(&x, i, 32);

	if (k)
		return k;
	if (!is_eol(c) && !unicode_letter(c) && !unicode_number(c)) {
		k = run(&x, i + len, is_letter_or_mark, SIZE_MAX);
		if (k)
			return len + k;
	}
	k = run(&x, i, is_letter_or_mark, SIZE_MAX);
	if (!k)
		k = run(&x, i, unicode_number, 1);
	if (!k)
		k = spaced(&x, i, is_other_than_mark, false);
	return k ? k : spaces(&x, i);
}

/* ---- tekken, gpt-4o ---- */

static bool is_caseless(uint32_t c)	/* in both sets below */
{
	enum unicode_class k = unicode_class(c);

	return k == UNICODE_CASELESS || k == UNICODE_MARK;
}

static bool is_upper(uint32_t c)	/* [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] */
{
	return unicode_class(c) == UNICODE_UPPER || is_caseless(c);
}

static bool is_lower(uint32_t c)	/* [\p{Ll}\p{Lm}\p{Lo}\p{M}] */
{
	return unicode_class(c) == UNICODE_LOWER || is_caseless(c);
}

/* What may begin a word and what may end it; both: in either set. */
struct cases {
	bool (*upper)(uint32_t c), (*lower)(uint32_t c), (*both)(uint32_t c);
};

static const struct cases any_cases = { is_upper, is_lower, is_caseless };

/* upper*lower+: the end of the match, 0 = none.  What is in both sets may count as either. */
static size_t upper_lower(const struct text *x, size_t i, const struct cases *of)
{
	size_t k = i, both = 0, n;
	uint32_t len, c;

	for (; c = at(x, k, &len), len && of->upper(c); k += len)
		if (of->both(c))
			both = k + len;
	n = run(x, k, of->lower, SIZE_MAX);
	return n ? k + n : both;
}

/* upper+lower* */
static size_t upper_only(const struct text *x, size_t i, const struct cases *of)
{
	size_t n = run(x, i, of->upper, SIZE_MAX);

	return n ? i + n + run(x, i + n, of->lower, SIZE_MAX) : 0;
}

/* [^\r\n\p{L}\p{N}]?upper*lower+|[^\r\n\p{L}\p{N}]?upper+lower* */
static size_t cased_word(const struct text *x, size_t i, const struct cases *of)
{
	uint32_t len, c = at(x, i, &len);
	bool lead = !is_eol(c) && !unicode_letter(c) && !unicode_number(c);
	size_t end = lead ? upper_lower(x, i + len, of) : 0;

	if (!end)
		end = upper_lower(x, i, of);
	if (!end && lead)
		end = upper_only(x, i + len, of);
	if (!end)
		end = upper_only(x, i, of);
	return end ? end - i : 0;
}

/* The same, with the contraction that it ends with. */
static size_t contracted_word(const struct text *x, size_t i, const struct cases *of)
{
	size_t k = cased_word(x, i, of);

	return k && i + k < x->n ? k + contraction(x, i + k, 32) : k;
}

/* \p{N}{1,max}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
static size_t no_word(const struct text *x, size_t i, size_t max_digits)
{
	size_t n = run(x, i, unicode_number, max_digits);

	if (!n)
		n = spaced(x, i, is_other, true);
	return n ? n : spaces(x, i);
}

static size_t tekken(const char *s, size_t n, size_t i)
{
	struct text x = { s, n };
	size_t k = cased_word(&x, i, &any_cases);

	return k ? k : no_word(&x, i, 1);
}

/* A contraction stays with its word, and digits come by threes. */
static size_t gpt4o(const char *s, size_t n, size_t i)
{
	struct text x = { s, n };
	size_t k = contracted_word(&x, i, &any_cases);

	return k ? k : no_word(&x, i, 3);
}

/* ---- kimi-k2 ---- */

static bool is_han(uint32_t c)		/* \p{Han} */
{
	static const uint32_t ranges[][2] = {
		{ 0x2e80, 0x2e99 },   { 0x2e9b, 0x2ef3 },   { 0x2f00, 0x2fd5 },	  { 0x3005, 0x3005 },
		{ 0x3007, 0x3007 },   { 0x3021, 0x3029 },   { 0x3038, 0x303b },	  { 0x3400, 0x4dbf },
		{ 0x4e00, 0x9fff },   { 0xf900, 0xfa6d },   { 0xfa70, 0xfad9 },	  { 0x16fe2, 0x16fe3 },
		{ 0x16ff0, 0x16ff1 }, { 0x20000, 0x2a6df }, { 0x2a700, 0x2b739 }, { 0x2b740, 0x2b81d },
		{ 0x2b820, 0x2cea1 }, { 0x2ceb0, 0x2ebe0 }, { 0x2ebf0, 0x2ee5d }, { 0x2f800, 0x2fa1d },
		{ 0x30000, 0x3134a }, { 0x31350, 0x323af },
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]) && c >= ranges[i][0]; i++)
		if (c <= ranges[i][1])
			return true;
	return false;
}

static bool is_upper_not_han(uint32_t c)
{
	return is_upper(c) && !is_han(c);
}

static bool is_lower_not_han(uint32_t c)
{
	return is_lower(c) && !is_han(c);
}

/*
 * [\p{Han}]+|those of gpt-4o with &&[^\p{Han}]|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|
 * \s+(?!\S)|\s+
 */
static size_t kimi_k2(const char *s, size_t n, size_t i)
{
	static const struct cases cases = { is_upper_not_han, is_lower_not_han, is_caseless };
	struct text x = { s, n };
	size_t k = run(&x, i, is_han, SIZE_MAX);

	if (!k)
		k = contracted_word(&x, i, &cases);
	if (!k)
		k = run(&x, i, unicode_number, 3);
	if (!k)
		k = spaced(&x, i, is_other, false);
	return k ? k : spaces(&x, i);
}

/* ---- deepseek-llm ---- */

static size_t one_eol(const char *s, size_t n, size_t i)	/* [\r\n] */
{
	return n && is_eol(s[i]);
}

/*
 * The published set lists ranges: the letters with case of Latin, Greek, Cyrillic and some
 * other scripts.  They are all such letters but those of these ranges.
 */
static bool is_listed_letter(uint32_t c)
{
	static const uint32_t but[][2] = {
		{ 0x560, 0x588 },     { 0x10c6, 0x10ff },   { 0x1c80, 0x1c88 },
		{ 0x2d00, 0x2d2d },   { 0xa790, 0xab68 },   { 0x10570, 0x105bc },
		{ 0x16e40, 0x16e7f }, { 0x1d400, 0x1df1e },
	};
	enum unicode_class k = unicode_class(c);

	if (k != UNICODE_UPPER && k != UNICODE_LOWER)
		return false;
	for (size_t i = 0; i < sizeof(but) / sizeof(but[0]); i++)
		if (c >= but[i][0] && c <= but[i][1])
			return false;
	return true;
}

/* [!-/:-~！-／：-～‘-‟　-。], Latin letters included */
static bool is_listed_mark(uint32_t c)
{
	return (c >= '!' && c <= '/') || (c >= ':' && c <= '~') || (c >= 0xff01 && c <= 0xff0f) ||
	       (c >= 0xff1a && c <= 0xff5e) || (c >= 0x2018 && c <= 0x201f) ||
	       (c >= 0x3000 && c <= 0x3002);
}

/* \s?[class]+ */
static size_t after_space(const struct text *x, size_t i, bool (*is)(uint32_t c))
{
	uint32_t len, c = at(x, i, &len);
	size_t k = unicode_space(c) ? i + len : i;
	size_t n = run(x, k, is, SIZE_MAX);

	if (n)
		return k + n - i;
	return k > i ? run(x, i, is, SIZE_MAX) : 0;	/* a space may be in the class */
}

static size_t listed_letters(const char *s, size_t n, size_t i)
{
	return after_space(&(struct text) { s, n }, i, is_listed_letter);
}

static size_t listed_marks(const char *s, size_t n, size_t i)
{
	return after_space(&(struct text) { s, n }, i, is_listed_mark);
}

/* \s+$; a match begins where a run of spaces begins, to look at each run but once */
static size_t last_spaces(const char *s, size_t n, size_t i)
{
	struct text x = { s, n };
	size_t before = i, k;
	uint32_t len;

	while (before && (s[--before] & 0xc0) == 0x80)
		;
	if (i && unicode_space(at(&x, before, &len)))
		return 0;
	k = run(&x, i, unicode_space, SIZE_MAX);
	return i + k == n ? k : 0;
}

static bool is_east_asian(uint32_t c)	/* [一-龥ࠀ-一가-퟿] */
{
	return (c >= 0x800 && c <= 0x9fa5) || (c >= 0xac00 && c <= 0xd7ff);
}

static size_t east_asian(const char *s, size_t n, size_t i)
{
	return run(&(struct text) { s, n }, i, is_east_asian, SIZE_MAX);
}

static size_t numbers(const char *s, size_t n, size_t i)	/* \p{N}+ */
{
	return run(&(struct text) { s, n }, i, unicode_number, SIZE_MAX);
}

/* ---- deepseek-coder ---- */

static bool is_punctuation_only(uint32_t c)	/* \p{P} */
{
	return unicode_class(c) == UNICODE_PUNCTUATION;
}

static size_t any_letters(const char *s, size_t n, size_t i)	/* \s?\p{L}+ */
{
	return after_space(&(struct text) { s, n }, i, unicode_letter);
}

static size_t punctuation(const char *s, size_t n, size_t i)	/* \s?\p{P}+ */
{
	return after_space(&(struct text) { s, n }, i, is_punctuation_only);
}

static size_t one_number(const char *s, size_t n, size_t i)	/* \p{N} */
{
	return run(&(struct text) { s, n }, i, unicode_number, 1);
}

/* ---- deepseek-v3 ---- */

static size_t three_numbers(const char *s, size_t n, size_t i)	/* \p{N}{1,3} */
{
	return run(&(struct text) { s, n }, i, unicode_number, 3);
}

static bool is_han_or_kana(uint32_t c)	/* [一-龥぀-ゟ゠-ヿ] */
{
	return (c >= 0x4e00 && c <= 0x9fa5) || (c >= 0x3040 && c <= 0x30ff);
}

static size_t han_or_kana(const char *s, size_t n, size_t i)
{
	return run(&(struct text) { s, n }, i, is_han_or_kana, SIZE_MAX);
}

static bool is_punctuation(uint32_t c)	/* [\p{P}\p{S}] */
{
	return unicode_class(c) >= UNICODE_PUNCTUATION;
}

/*
 * [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|
 *  ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 */
static size_t deepseek_v3(const char *s, size_t n, size_t i)
{
	struct text x = { s, n };
	uint32_t len, c = at(&x, i, &len);
	size_t k;

	if (c > ' ' && c < 127 && is_punctuation(c)) {
		k = run(&x, i + 1, is_ascii_letter, SIZE_MAX);
		if (k)
			return 1 + k;
	}
	if (!is_eol(c) && !unicode_letter(c) && !is_punctuation(c)) {
		k = run(&x, i + len, is_letter_or_mark, SIZE_MAX);
		if (k)
			return len + k;
	}
	k = run(&x, i, is_letter_or_mark, SIZE_MAX);
	if (!k)
		k = spaced(&x, i, is_punctuation, false);
	return k ? k : spaces(&x, i);
}

/* ---- gpt-2, viking ---- */

/*
 * 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 */
static size_t gpt2(const char *s, size_t n, size_t i)
{
	struct text x = { s, n };
	size_t k = contraction(&x, i, 0), from = i + (s[i] == ' ');

	if (k)
		return k;
	k = run(&x, from, unicode_letter, SIZE_MAX);
	if (!k)
		k = run(&x, from, unicode_number, SIZE_MAX);
	if (!k)
		k = run(&x, from, is_other, SIZE_MAX);
	return k ? from + k - i : some_spaces(&x, i, false);
}

static bool is_falcon_mark(uint32_t c)	/* [\p{P}\$\+<=>\^~\|`] */
{
	return is_punctuation_only(c) || (c < 0x80 && c && strchr("$+<=>^~|`", (int)c));
}

static bool is_default_mark(uint32_t c)	/* the same without ` */
{
	return c != '`' && is_falcon_mark(c);
}

static size_t falcon_marks(const char *s, size_t n, size_t i)
{
	return run(&(struct text) { s, n }, i, is_falcon_mark, SIZE_MAX);
}

static size_t default_marks(const char *s, size_t n, size_t i)
{
	return run(&(struct text) { s, n }, i, is_default_mark, SIZE_MAX);
}

static bool is_digit(uint32_t c)
{
	return c >= '0' && c <= '9';
}

static size_t three_digits(const char *s, size_t n, size_t i)	/* [0-9][0-9][0-9] */
{
	return run(&(struct text) { s, n }, i, is_digit, 3) == 3 ? 3 : 0;
}

static bool is_no_mark(uint32_t c)	/* [^(\s|.,!?…。，、।۔،)] */
{
	static const uint32_t marks[] = {
		'(',	'|',	'.',	',',   '!',   '?',   0x2026,
		0x3002, 0xff0c, 0x3001, 0x964, 0x6d4, 0x60c, ')',
	};

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (c == marks[i])
			return false;
	return !unicode_space(c);
}

static size_t viking(const char *s, size_t n, size_t i)		/*  ?[class]+ */
{
	size_t k = i + (s[i] == ' ');
	size_t len = run(&(struct text) { s, n }, k, is_no_mark, SIZE_MAX);

	return len ? k + len - i : 0;
}

/* ---- the list ---- */

/* Other names are what files call the same expression, with the same flags; they end with a
 * space. */
static const struct pretokenizer all[] = {
	{ "llama-bpe",
	  "llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano ",
	  true,
	  true,
	  false,
	  { llama_bpe } },
	{ "smaug-bpe", "dbrx chatglm-bpe ", false, false, false, { llama_bpe } },
	{ "glm4", "", false, true, false, { llama_bpe } },
	{ "minicpm5", "", false, true, false, { three_numbers, minicpm5 } },
	{ "qwen2",
	  "stablelm2 deepseek-r1-qwen megrez hunyuan solar-open kormo f2llmv2 grok-2 bailingmoe "
	  "bailingmoe2 llada-moe ",
	  false,
	  false,
	  false,
	  { qwen2 } },
	{ "qwen35", "", false, false, false, { qwen35 } },
	{ "ufakzeka", "", false, false, false, { ufakzeka } },
	{ "seed-coder", "", false, false, false, { seed_coder } },
	{ "tekken", "", true, true, false, { tekken } },
	{ "gpt-4o", "llama4 kanana2 talkie minimax-m2 ", false, false, false, { gpt4o } },
	{ "deepseek-llm",
	  "",
	  false,
	  false,
	  false,
	  { one_eol, listed_letters, listed_marks, last_spaces, east_asian, numbers } },
	{ "deepseek-coder",
	  "",
	  false,
	  false,
	  false,
	  { one_eol, any_letters, punctuation, east_asian, one_number } },
	{ "deepseek-v3",
	  "hunyuan-dense joyai-llm hy_v4 ",
	  false,
	  false,
	  false,
	  { three_numbers, han_or_kana, deepseek_v3 } },
	{ "gpt-2",
	  "phi-2 mpt olmo jais trillion granite-docling exaone4 gigachat a.x-4.0 mellum modern-bert "
	  "jina-es jina-de jina-v2-es jina-v2-de jina-v1-en jina-v2-code roberta-bpe ",
	  false,
	  false,
	  false,
	  { gpt2 } },
	{ "smollm",
	  "starcoder refact command-r codeshell exaone minerva-7b mellum2 ",
	  false,
	  false,
	  false,
	  { one_number, gpt2 } },
	{ "falcon", "", false, false, false, { falcon_marks, gpt2, three_digits } },
	{ "default", "", false, false, false, { default_marks, gpt2, numbers, three_digits } },
	{ "kimi-k2", "", false, false, false, { kimi_k2 } },
	{ "superbpe", "", false, false, true, { numbers } },
	{ "viking", "", false, false, false, { viking, one_number } },
	{ "poro-chat", "bloom gpt3-finnish ", false, false, false, { viking } },
};

#define N_ALL (sizeof(all) / sizeof(all[0]))

static bool is_one_of(const char *names, const char *name, size_t n)
{
	for (const char *end; (end = strchr(names, ' ')); names = end + 1)
		if ((size_t)(end - names) == n && !memcmp(names, name, n))
			return true;
	return false;
}

const struct pretokenizer *pretokenizer_find(const char *name, size_t n)
{
	for (size_t i = 0; i < N_ALL; i++)
		if ((n == strlen(all[i].name) && !memcmp(name, all[i].name, n)) ||
		    is_one_of(all[i].others, name, n))
			return &all[i];
	return NULL;
}

void pretokenizer_names(char *s, size_t room)
{
	size_t n = 0;

	*s = 0;
	for (size_t i = 0; i < N_ALL && n < room; i++)
		n += snprintf(s + n, room - n, "%s%s", i ? ", " : "", all[i].name);
}

struct cutting {
	const struct pretokenizer *p;
	int (*word)(void *arg, const char *s, size_t n);
	void *arg;
};

/* (?=([0-9]{3})+(?![0-9])): before each three digits, counted from the end of a run of them. */
static int cut_thousands(const struct cutting *k, const char *s, size_t n)
{
	size_t begin = 0, i = 0, len;
	int rc = 0;

	for (; i < n && !rc; i += len + !len) {
		len = run(&(struct text) { s, n }, i, is_digit, SIZE_MAX);
		for (size_t at = i + len % 3; at < i + len && !rc; at += 3)
			if (at > begin) {
				rc = k->word(k->arg, s + begin, at - begin);
				begin = at;
			}
	}
	return rc ? rc : k->word(k->arg, s + begin, n - begin);
}

/* Cuts a piece by rule number r and those after it. */
static int cut(const struct cutting *k, unsigned int r, const char *s, size_t n)
{
	size_t begin = 0, i = 0, len;
	int rc = 0;

	if (!k->p->rule[r])
		return k->p->thousands ? cut_thousands(k, s, n) : k->word(k->arg, s, n);
	while (i < n && !rc) {
		len = k->p->rule[r](s, n, i);
		if (!len) {		/* belongs to what lies between matches */
			i++;
			while (i < n && (s[i] & 0xc0) == 0x80)
				i++;
			continue;
		}
		if (i > begin)
			rc = cut(k, r + 1, s + begin, i - begin);
		if (!rc)
			rc = cut(k, r + 1, s + i, len);
		i += len;
		begin = i;
	}
	if (!rc && i > begin)
		rc = cut(k, r + 1, s + begin, i - begin);
	return rc;
}

int words_of(const struct pretokenizer *p, const char *s, size_t n,
	     int (*word)(void *arg, const char *s, size_t n), void *arg)
{
	struct cutting k = { p, word, arg };

	return n ? cut(&k, 0, s, n) : 0;
}
