/* SPDX-License-Identifier: MIT */
/* What the kinds of tokenizers share: the vocabulary, lookup by text, merging, growing lists. */
#ifndef ACCEL_VOCAB_H
#define ACCEL_VOCAB_H

#include <accel/text.h>

#include "model/hash.h"
#include "tokenizer.h"

#define MAX_TOKENS (1u << 24)
#define MAX_TOKEN 2048u		/* bytes of a token's text; the longest in use are far below */
#define SPACE_MARK "\xe2\x96\x81"	/* U+2581, how SentencePiece writes a space */

enum token_type {	/* GGUF's numbers */
	TOKEN_NORMAL = 1, TOKEN_UNKNOWN, TOKEN_CONTROL, TOKEN_USER, TOKEN_UNUSED, TOKEN_BYTE,
};

struct token {
	const char *text;	/* not terminated */
	uint32_t n;
	uint8_t type;
	bool ends;		/* generation */
	float score;
};

/* Text to number; open addressing, slots hold number + 1. */
struct text_map {
	uint32_t *slot;
	uint64_t mask;
	struct hash_key key;
	uint32_t longest;	/* bytes of the longest text */
};

/* Tokens by their texts, no text twice. */
struct sorted {
	uint32_t *list;
	uint32_t n;
};

struct pretokenizer;

/* Replacements of texts, in memory of the file's (tokenizer_ugm.c). */
struct charsmap {
	uint8_t *data;
	const uint8_t *trie;	/* [n] of 4 bytes */
	uint32_t n;
	const char *texts;
	size_t size;
};

enum tokenizer_kind {
	TOKENS_SPM,		/* SentencePiece with scores */
	TOKENS_BPE,		/* byte-level BPE */
	TOKENS_UGM,		/* SentencePiece by unigrams */
	TOKENS_GEMMA,		/* merges of characters */
};

struct accel_tokenizer {
	enum tokenizer_kind kind;
	bool bpe;		/* its texts are bytes in printable code points */
	const struct pretokenizer *pre;		/* of BPE */
	char note[256];
	struct token *tokens;
	uint32_t n;
	char *texts[2];		/* of tokens and merges */
	struct text_map by_text;
	struct sorted special;		/* control, user and unknown tokens */
	bool special_first[256];	/* bytes that special tokens begin with */
	int32_t *ends;		/* tokens that end generation, ascending */
	size_t n_ends;
	int32_t bos, eos, eot, eom, unknown;	/* -1 = none */
	bool add_bos, add_eos, add_space;
	int32_t byte_token[256];	/* -1 = none */
	/* UGM */
	struct charsmap charsmap;
	struct sorted plain;		/* tokens that texts are cut into */
	bool merge_spaces;
	float unknown_score;
	/* BPE, GEMMA */
	struct token *merges;	/* texts "left right", by rank */
	uint32_t n_merges;
	struct text_map by_merge;
};

struct ids {
	int32_t *list;
	size_t n, room;
};

int ids_add(struct ids *l, int32_t id);
bool token_is(const struct token *t, const char *s, size_t n);
/* The token with this text, -1 = none. */
int32_t token_find(const struct accel_tokenizer *t, const char *s, size_t n);
/* The same for what stands in plain text, which must never become a control token. */
int32_t token_of_text(const struct accel_tokenizer *t, const char *s, size_t n);
/* The rank of the merge of a and b, -1 = none. */
int32_t merge_find(const struct accel_tokenizer *t, const char *a, size_t n_a, const char *b,
		   size_t n_b);

/* Number i that a key of the file holds, which may be a list or one number; UINT32_MAX is -1.
 * -ENOENT: there is none; -EINVAL: what is there is no whole number. */
int vocab_number(const struct gguf *g, const char *key, uint64_t i, int64_t *v);

/* ---- tokens that begin alike (sorted.c) ---- */

/* Those of some types, a bit each.  -ENOMEM */
int sorted_new(struct sorted *l, const struct accel_tokenizer *t, unsigned int types);

/* Those of list[low..high) begin with the n bytes that were walked; id: the one that ends here, -1 = none.
 * Begin with all of them. */
struct walk {
	uint32_t low, high, n;
	int32_t id;
};

/* One byte further; false: none is left. */
bool sorted_next(const struct sorted *l, const struct accel_tokenizer *t, struct walk *w, uint8_t c);

/* ---- tokens that text can spell as a whole (special.c) ---- */

/* Overrides types where the text says more than they do, and lists what ends generation.  more:
 * texts that end it as well, the last is NULL; may be NULL.  -ENOMEM */
int special_read(struct accel_tokenizer *t, const struct gguf *g, const char *const *more);
/* The longest special token that the text, which is not empty, begins with, -1 = none.  parse: of
 * any kind, else only those that count in any text. */
int32_t special_at(const struct accel_tokenizer *t, const char *s, size_t n, bool parse);

/* ---- merging neighbours (tokenizer_merge.c) ---- */

struct symbol {
	uint32_t at, n;		/* bytes of the text; n = 0: merged into its left neighbour */
	int32_t prev, next;	/* -1 = none */
};

struct pair {
	double score;
	int32_t left, right;
	uint32_t n;		/* bytes of both when the pair was found */
};

/* Work space that may serve many texts; begin with zeros and t and score_of. */
struct merger {
	const struct accel_tokenizer *t;
	/* May the first n_left of n bytes merge with the rest, and how good would that be? */
	bool (*score_of)(const struct accel_tokenizer *t, const char *s, uint32_t n_left,
			 uint32_t n, double *score);
	const char *text;
	struct symbol *symbols;	/* after merge_text(): the pieces, from the first by next */
	size_t room_symbols;
	struct pair *heap;	/* best first */
	size_t n, room;
};

/*
 * Cuts the text, which is not empty, into characters and merges neighbours, again and again
 * the best pair (of equals the leftmost), until no pair is left.  Takes n log n.  -ENOMEM.
 */
int merge_text(struct merger *m, const char *text, size_t n);
void merge_end(struct merger *m);

/* ---- the kinds ---- */

/* -EILSEQ: the vocabulary cannot spell it; -ENOMEM. */
int spm_encode(const struct accel_tokenizer *t, const char *s, size_t n, bool prefix,
	       struct ids *out);
/* As SentencePiece writes it: spaces marked, and one before it with prefix; *size bytes. */
char *spm_escape(const char *s, size_t n, bool prefix, size_t *size);
/* The pieces that are left when no more merge; -EILSEQ. */
int spm_output(const struct merger *m, struct ids *out);
int gemma_encode(const struct accel_tokenizer *t, const char *s, size_t n, struct ids *out);
int ugm_encode(const struct accel_tokenizer *t, const char *s, size_t n, bool prefix, struct ids *out);

/* The best way to a place of a text: its last token, where that begins, the sum of scores. */
struct way {
	int32_t id;
	uint32_t from;
	double score;
};

/* Ways to all places of s, of which [0] is given and the others have no score yet.  Returns how many bytes were
 * walked for it: of each place as many as a token begins with, and one. */
uint64_t ugm_ways(const struct accel_tokenizer *t, const char *s, size_t n, struct way *way);
/* Of what a file has; damaged it has no replacements. */
int ugm_charsmap(struct charsmap *c, const uint8_t *data, size_t size);
/* UTF-8 of the text, U+FFFD where it is not; the caller frees it. */
char *bpe_repaired(const char *s, size_t n, size_t *size);
int bpe_encode(const struct accel_tokenizer *t, const char *s, size_t n, struct ids *out);

/* Byte-level BPE writes byte b as this code point, and the reverse (-1 = none). */
uint32_t bpe_code_of_byte(uint8_t b);
int bpe_byte_of_code(uint32_t c);

/* ---- words (tokenizer_words.c) ---- */

struct pretokenizer {
	const char *name;	/* tokenizer.ggml.pre */
	const char *others;	/* that stand for the same, each with a space behind it */
	bool add_bos;		/* unless the file says otherwise */
	bool ignore_merges;	/* a word that is a token is not merged */
	bool thousands;		/* last, words are cut before each three digits, from the end of a number */
	/*
	 * The text is cut by the first rule; what it matches and what lies between is cut by
	 * the second, and so on.  A rule says how many bytes match at byte i, of s[0..n).
	 */
	size_t (*rule[7])(const char *s, size_t n, size_t i);
};

/* By its name or another one of it; NULL: not known. */
const struct pretokenizer *pretokenizer_find(const char *name, size_t n);
/* All names but the other ones, separated by commas. */
void pretokenizer_names(char *s, size_t room);
/* Calls word() for each word of the text, which is valid UTF-8, until it returns non-zero. */
int words_of(const struct pretokenizer *p, const char *s, size_t n,
	     int (*word)(void *arg, const char *s, size_t n), void *arg);

/* The code point at s and its length; len = 0: the bytes there are not UTF-8. */
static inline uint32_t utf8_next(const char *s, size_t n, uint32_t *len)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const uint8_t *p = (const uint8_t *)s;
	uint32_t need = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 :
			p[0] < 0xf5 ? 4 : 0;
	uint32_t c = need < 2 ? p[0] : p[0] & (0x7f >> need);

	*len = 0;
	if (!need || need > n)
		return p[0];
	for (uint32_t i = 1; i < need; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return p[0];
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[need] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return p[0];
	*len = need;
	return c;
}

#endif
