/* SPDX-License-Identifier: MIT */
/* Text to tokens, the choice of the next one, and tokens to text: what `accelctl run` knows of them. */
#ifndef ACCELCTL_SPEECH_H
#define ACCELCTL_SPEECH_H

#include "compute.h"
#include "prompt.h"

struct speech;

/* Checks the vocabulary and what is asked of sampling.  Returns an exit code; speech_free() takes NULL. */
int speech_new(const struct options *o, const struct running *r, struct speech **out);
void speech_free(struct speech *s);

/* The tokens of a prompt, in the format that the model asks for unless --raw.  *ids is malloc'd.
 * Returns an exit code. */
int speech_encode(struct speech *s, const struct bytes *prompt, int32_t **ids, size_t *n);

/* How many of the largest logits a choice needs; 0: all. */
uint32_t speech_top(const struct speech *s);
/* A token, or an exit code as -1 - code after a complaint.  logits NULL: the k in ids and values. */
int64_t speech_choose(struct speech *s, const float *logits, const int32_t *ids, const float *values,
		      uint32_t k);
/* Does the token end an answer? */
bool speech_ends(const struct speech *s, int32_t id);
/* Appends a token to the answer.  Returns how many bytes can be shown now; *text is the speech's until
 * the next call.  *stopped: one of the texts of --stop has come; what comes from it on is not shown. */
size_t speech_say(struct speech *s, int32_t id, const char **text, bool *stopped);
/* What was held back, at the end of an answer that no text of --stop has ended. */
size_t speech_end(struct speech *s, const char **text);

#endif
