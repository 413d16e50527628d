/* SPDX-License-Identifier: MIT */
/* Text to tokens, the choice of the next one, and tokens to text: what `accelctl run` knows of them. */
#ifndef ACCELCTL_SPEECH_H
#define ACCELCTL_SPEECH_H

#include <accel/text.h>

#include "compute.h"
#include "prompt.h"

struct speech;

/* Checks the vocabulary and what is asked of sampling and chat formats.  Returns an exit code;
 * speech_free() takes NULL. */
int speech_new(const struct options *o, const struct running *r, struct speech **out);
/* The same for what is already tokens: nothing is asked of options, sampling is *so, format the name of
 * that of conversations, or NULL. */
int speech_again(const struct running *r, const struct accel_sampler_opts *so, const char *format,
		 struct speech **out);
void speech_free(struct speech *s);

/* The format of conversations: NULL, prompts are completed as they stand. */
const struct accel_chat *speech_chat(const struct speech *s);
const struct accel_sampler_opts *speech_sampling(const struct speech *s);

/* Tokens of a text as it stands, and of what comes after the first `known` messages and makes the model
 * answer.  *ids is malloc'd.  Return exit codes. */
int speech_encode(const struct speech *s, const struct bytes *text, int32_t **ids, size_t *n);
int speech_encode_chat(const struct speech *s, const struct accel_chat_message *messages, size_t n,
		       size_t known, int32_t **ids, size_t *n_ids);
/* Text of tokens that are known.  special: control tokens are shown. */
int speech_decode(const struct speech *s, const int32_t *ids, size_t n, bool special, struct bytes *text);

/*
 * Begins an answer to tokens[n], all that stand before it.  What is chosen follows from them, the options and
 * `turn`, which tells answers of a conversation apart, and from nothing that was before.
 */
int speech_begin(struct speech *s, const int32_t *tokens, size_t n, uint64_t turn);
/* How many of the largest logits a choice needs; 0: all. */
uint32_t speech_top(const struct speech *s);
/* A token, or an exit code as -1 - code after a complaint.  logits NULL: the k in ids and values. */
int64_t speech_choose(struct speech *s, const float *logits, const int32_t *ids, const float *values,
		      uint32_t k);
/* Does the token end an answer? */
bool speech_ends(const struct speech *s, int32_t id);
/* Appends a token to the answer.  Returns how many bytes can be shown now; *text is the speech's until
 * the next call.  *stopped: a text to stop at has come; what comes from it on is not shown. */
size_t speech_say(struct speech *s, int32_t id, const char **text, bool *stopped);
/* What was held back, at the end of an answer that no such text has ended. */
size_t speech_end(struct speech *s, const char **text);

#endif
