/* SPDX-License-Identifier: MIT */
/*
 * libaccel: text to tokens and back, choosing the next token, conversations, and texts to stop at.
 * Nothing here computes on a processor; everything gives the same result on every machine.
 *
 * Beside the conventions of <accel/accel.h>: texts are bytes with a length, not ended by zero
 * unless stated; they need not be valid UTF-8.  A structure whose first member is sz may grow: set
 * it to sizeof(the structure), and what is not used to zero; -E2BIG: it asks for what this version
 * of the library does not know.
 */
#ifndef ACCEL_TEXT_H
#define ACCEL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct accel_model;

/* ---- the vocabulary ---- */

/* A vocabulary.  It never changes: MT, all functions that take it const. */
struct accel_tokenizer;

/*
 * Reads the vocabulary that the model's file carries, and copies it: model may be freed before it.
 * *out is freed by accel_tokenizer_free(), and NULL on errors.  -EINVAL: the file has none, a
 * damaged one, or one of a kind that is not supported; -EIO: it has changed since it was opened;
 * -ENOMEM.  MT
 */
int accel_tokenizer_new(const struct accel_model *model, struct accel_tokenizer **out);
/* Takes NULL.  Nothing that was made from t may be left.  ST */
void accel_tokenizer_free(struct accel_tokenizer *t);

struct accel_tokenizer_info {
	size_t sz;		/* sizeof(struct accel_tokenizer_info), set by the caller */
	uint32_t n_tokens;	/* ids are 0 .. n_tokens - 1; what a model has beyond is no text */
	int32_t bos, eos;	/* tokens that begin and end a text; as the next three -1 = none */
	int32_t eot, eom;	/* that end a turn, and a message, of a conversation */
	int32_t unknown;	/* that stands for what cannot be spelt */
	bool add_bos, add_eos;	/* do ACCEL_ENCODE_BEGIN and _END add them? */
	bool add_space;		/* is a space put before a text? */
	const char *kind;	/* "spm" (SentencePiece with scores), "bpe" (byte-level), "unigram" or "gemma" */
	const char *pre;	/* the pre-tokenizer that is used, "" if the kind has none */
	/* A sentence that a user should read once ("the file does not name its pre-tokenizer
	 * ..."), or "".  These three texts end with zero and live as long as the tokenizer. */
	const char *note;
};

/* Fills the *info->sz bytes of *info.  -EINVAL: sz is too small to hold itself.  MT */
int accel_tokenizer_info(const struct accel_tokenizer *t, struct accel_tokenizer_info *info);

enum accel_token_attr {		/* of no other kind: none of these, an ordinary token */
	ACCEL_TOKEN_UNKNOWN = 1,
	ACCEL_TOKEN_CONTROL = 2,	/* not text: decoded only if asked for */
	ACCEL_TOKEN_USER = 4,		/* stands for its text, and is found in any text */
	ACCEL_TOKEN_UNUSED = 8,
	ACCEL_TOKEN_BYTE = 16,		/* one byte; its text is "<0x41>" */
	ACCEL_TOKEN_END = 32,		/* generation ends with it, whatever the kind */
};

/* The attributes of a token; 0 also for what is no token.  MT */
uint32_t accel_token_attr(const struct accel_tokenizer *t, int32_t id);
/* The text of a token as the vocabulary writes it (a space may be U+2581 or U+0120), *n bytes,
 * which live as long as t; NULL and 0 for what is no token.  MT */
const char *accel_token_text(const struct accel_tokenizer *t, int32_t id, size_t *n);
/* The first token with this text, written so; -1 = none.  MT */
int32_t accel_token_find(const struct accel_tokenizer *t, const char *text, size_t n);
/*
 * Does generation end with the token?  The ends are those that the file names, those whose text is
 * known to end a turn, whatever the file says of their type, and the end-of-turn texts of the chat
 * format that the file asks for.  MT
 */
bool accel_token_ends(const struct accel_tokenizer *t, int32_t id);
/* All of them, *n ids in ascending order, which live as long as t.  MT */
const int32_t *accel_tokenizer_ends(const struct accel_tokenizer *t, size_t *n);

/* ---- text to tokens ---- */

enum accel_encode_flags {
	/* With the token that the vocabulary puts before a text, and that behind it.  What is to be
	 * continued (a prompt) has no end, whatever the vocabulary says of whole texts. */
	ACCEL_ENCODE_BEGIN = 1,
	ACCEL_ENCODE_END = 8,
	ACCEL_ENCODE_ENDS = ACCEL_ENCODE_BEGIN | ACCEL_ENCODE_END,
	ACCEL_ENCODE_SPECIAL = 2,	/* the text may spell control tokens ("</s>") */
	ACCEL_ENCODE_JOIN = 4,		/* it goes on from another: no space is put before it */
};

/*
 * The tokens of text[n].  ids: [*n_ids], the caller's, may be NULL if *n_ids is 0.  *n_ids: in, the
 * room; out, how many there are.  3 * n + 4 is always room enough.  Bytes that are not UTF-8 become
 * byte tokens or U+FFFD, as the kind has it.  -ENOSPC: there are more than room, nothing was
 * written but *n_ids; -EILSEQ: the vocabulary has no tokens for some of the bytes; -EINVAL: a flag
 * that is not known; -ENOMEM.  MT
 */
int accel_tokenizer_encode(const struct accel_tokenizer *t, const char *text, size_t n,
			   uint32_t flags, int32_t *ids, size_t *n_ids);
/* Do the tokens begin with two that begin a text?  So they do if the vocabulary adds one to a
 * prompt that spells one itself; answers suffer, and a user wants to be told.  MT */
bool accel_tokenizer_double_bos(const struct accel_tokenizer *t, const int32_t *ids, size_t n);

/* ---- tokens to text ---- */

/* A text that is put together token by token.  ST, all functions. */
struct accel_decoder;

enum accel_decode_flags {
	/* The first token begins a text of its own: the space that encoding put before it is
	 * taken away.  Without it tokens go on from what stands before them (a prompt), and can be
	 * joined to that. */
	ACCEL_DECODE_BEGIN = 1,
	ACCEL_DECODE_SPECIAL = 2,	/* control and unknown tokens are shown as their text */
};

/* t stays the caller's and must outlive the decoder.  *out is freed by accel_decoder_free(), and
 * NULL on errors.  -EINVAL: a flag that is not known; -ENOMEM.  MT */
int accel_decoder_new(const struct accel_tokenizer *t, uint32_t flags, struct accel_decoder **out);
/* Takes NULL. */
void accel_decoder_free(struct accel_decoder *d);
/*
 * Appends a token.  Returns how many bytes can be shown now, and where: *text, the decoder's, until
 * its next call.  A character that is not complete is held back.  What is no token is no text.
 */
size_t accel_decoder_push(struct accel_decoder *d, int32_t id, const char **text);
/* What is held back at the end, never a whole character: as accel_decoder_push().  The decoder is
 * then as it was when it was made. */
size_t accel_decoder_end(struct accel_decoder *d, const char **text);

/* ---- choosing the next token ---- */

/*
 * Steps, in llama.cpp's order, each on what the one before left: penalties; the top_k largest
 * logits; of those the fewest whose probabilities sum to top_p; of those the ones at least min_p
 * times as likely as the best; these logits divided by the temperature; one drawn by its
 * probability.  Of equal logits the one of the smaller id comes first.  Weights are whole numbers
 * of 2^-38 of the best one's, and the generator is the library's own: a seed gives the same tokens
 * on every machine.  ST, all functions.
 */
struct accel_sampler;

struct accel_sampler_opts {
	size_t sz;		/* sizeof(struct accel_sampler_opts) */
	uint64_t seed;
	double temperature;	/* 0 or less: always the largest logit, penalties applied */
	uint32_t top_k;		/* 0 = all */
	double top_p;		/* 0, 1 and more: all; less than 0: the largest logit alone */
	double min_p;		/* 0 or less: all */
	/* Penalties of tokens among the last penalty_last accepted ones.  repeat: a positive logit
	 * is divided by it, another multiplied; 0 and 1: none.  Then frequency, times how often the
	 * token is among them, and presence are subtracted. */
	double repeat, frequency, presence;
	uint32_t penalty_last;	/* 0 = 64 */
	uint32_t reserved;	/* zero */
};

/* llama.cpp's defaults: temperature 0.8, top_k 40, top_p 0.95, min_p 0.05, repeat 1, penalty_last
 * 64; sz and seed 0 as well.  All zero is good, too: the largest logit.  MT */
void accel_sampler_defaults(struct accel_sampler_opts *opts);
/* opts NULL: all zero.  *out is freed by accel_sampler_free(), and NULL on errors.  -EINVAL: a
 * number that is none, or negative where that means nothing; -E2BIG; -ENOMEM.  MT */
int accel_sampler_new(const struct accel_sampler_opts *opts, struct accel_sampler **out);
/* Takes NULL. */
void accel_sampler_free(struct accel_sampler *s);
/* Tells of a token of the sequence, of the prompt or chosen, for the penalties; choosing does not
 * do it.  -EINVAL: a negative id. */
int accel_sampler_accept(struct accel_sampler *s, int32_t id);
/*
 * How many of the largest logits suffice for the next choice among n_vocab: with as many (or more)
 * from accel_step_top(), accel_sampler_choose_top() chooses what accel_sampler_choose()
 * would.  0: all are needed.  It may grow as tokens are accepted, to top_k + penalty_last at most.
 */
uint32_t accel_sampler_top(const struct accel_sampler *s, uint32_t n_vocab);
/* *id: a token chosen from logits[n_vocab]; NaNs are passed over.  -EDOM: there is nothing else;
 * -EINVAL: n_vocab is 0; -ENOMEM. */
int accel_sampler_choose(struct accel_sampler *s, const float *logits, uint32_t n_vocab,
			 int32_t *id);
/* The same from the n largest, ids[n] and logits[n], largest first, of equals the smaller id first,
 * NaNs last.  -EINVAL: also if n is less than accel_sampler_top() says for n_vocab. */
int accel_sampler_choose_top(struct accel_sampler *s, const int32_t *ids, const float *logits,
			     uint32_t n, uint32_t n_vocab, int32_t *id);

/* ---- conversations ---- */

/* How a model wants a conversation written down.  It never changes: MT, all functions. */
struct accel_chat;

struct accel_chat_message {	/* this one does not grow */
	const char *role;	/* "system", "user", "assistant", "tool", ends with zero */
	const char *text;
	size_t n;		/* bytes of the text */
};

/*
 * name NULL: the format that the model's file asks for, by "octans.prompt.format" ("%s" stands for
 * the message of the user, who has no other) or by "tokenizer.chat_template", recognised by what
 * that template contains.  Else a format by its name, or a template's text to be recognised; model
 * may then be NULL.  The model may be freed before the format.  *out is freed by accel_chat_free(),
 * and NULL on errors.  -ENOENT: the file asks for none; -ENOTSUP: for one that is not known, which
 * the sentence quotes; -EINVAL: neither model nor name; -EIO: the file has changed; -ENOMEM.
 */
int accel_chat_new(const struct accel_model *model, const char *name, struct accel_chat **out);
/* Takes NULL.  ST */
void accel_chat_free(struct accel_chat *c);
/* "llama3", "octans" (a file's own). */
const char *accel_chat_name(const struct accel_chat *c);
/* The name of known format i, from 0; NULL after the last. */
const char *accel_chat_known(uint32_t i);
/* Texts that end a turn of the assistant, each ended by zero, after the last NULL: to be stopped
 * at.  They live as long as c. */
const char *const *accel_chat_stops(const struct accel_chat *c);

enum accel_chat_flags {
	ACCEL_CHAT_ANSWER = 1,		/* and what makes the model answer */
};

/*
 * Writes messages[n] down, to be encoded with ACCEL_ENCODE_SPECIAL (and _JOIN if some are known).
 * The first `known` of them are in the sequence already, the last of these as the model's own
 * answer if the assistant said it: the text is only what comes after, and begins with what ends
 * that answer.  Writing them down bit by bit gives what writing them all down at once gives.  out:
 * [*size], the caller's, may be NULL if *size is 0.  *size: in, the room; out, the bytes of the
 * text, which no zero ends.  -ENOSPC: it has more than room, nothing was written but *size;
 * -EINVAL: a role that the format has no place for, a flag that is not known, known above n.
 */
int accel_chat_format(const struct accel_chat *c, const struct accel_chat_message *messages,
		      size_t n, size_t known, uint32_t flags, char *out, size_t *size);

/*
 * The tokens of the same; if nothing is known with the one that begins a text, and, without
 * ACCEL_CHAT_ANSWER, the one that ends it.  What is said
 * cannot spell control tokens, as it could if the text were encoded: no message ends itself and
 * begins another.  ids and *n_ids, and errors: also as accel_tokenizer_encode().
 */
int accel_chat_encode(const struct accel_chat *c, const struct accel_tokenizer *t,
		      const struct accel_chat_message *messages, size_t n, size_t known,
		      uint32_t flags, int32_t *ids, size_t *n_ids);

/* ---- texts to stop at ---- */

/* Watches a text that is made bit by bit for others.  ST, all functions. */
struct accel_stop;

/* texts[n] are copied, each ends with zero.  *out is freed by accel_stop_free(), and NULL on
 * errors.  -EINVAL: one is empty; -ENOMEM.  MT */
int accel_stop_new(const char *const *texts, size_t n, struct accel_stop **out);
/* Takes NULL. */
void accel_stop_free(struct accel_stop *s);
/*
 * The text goes on with text[n].  *out, *n_out: what can be shown now, the matcher's, until its
 * next call; bytes that one of the texts may begin with are held back.  Returns 1 if one is
 * complete: what stands before it is shown, it and all that follows are not, now and in later
 * calls.  Else 0; -ENOMEM: then text[n] was not taken.
 */
int accel_stop_push(struct accel_stop *s, const char *text, size_t n, const char **out,
		    size_t *n_out);
/* What is held back at the end; *out as above. */
size_t accel_stop_end(struct accel_stop *s, const char **out);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
