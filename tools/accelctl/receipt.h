/* SPDX-License-Identifier: MIT */
/*
 * Receipts: what `accelctl run` computed, so that `accelctl verify` can compute it again anywhere, and say
 * where it differs.  JSON, {"schema": "octans.receipt/1"}; accelctl(1) has the fields.
 */
#ifndef ACCELCTL_RECEIPT_H
#define ACCELCTL_RECEIPT_H

#include <accel/text.h>

#include "compute.h"
#include "prompt.h"
#include "sha256.h"

struct receipt_file {
	char *name;		/* malloc'd, without folders */
	uint64_t bytes;
	char sha256[SHA256_TEXT];
};

struct receipt_step {
	int32_t token;		/* chosen from logits: */
	char logits[SHA256_TEXT];	/* of the row, F32, little endian */
};

/* All pointers are malloc'd. */
struct receipt {
	struct receipt_file *file;	/* the parts of the model, in their order */
	size_t n_files;
	char *architecture;
	uint32_t kv_type;
	char *chat_format;	/* or NULL: the prompt was completed as it stood */
	struct accel_sampler_opts sampler;
	int32_t *prompt;
	size_t n_prompt;
	char *prompt_text;	/* as JSON holds it: for people, and checked */
	struct receipt_step *step;
	size_t n_steps, room;
	char *text;		/* of the tokens chosen */
	char *stop;		/* why it ended */
};

void receipt_free(struct receipt *r);
/* Adds a step; an exit code. */
int receipt_add(struct receipt *r, int32_t token, const float *row, uint32_t n);
void receipt_hash_row(const float *row, uint32_t n, char text[SHA256_TEXT]);
/* Hashes the model's files, with progress.  An exit code. */
int receipt_hash_files(const char *path, const struct accel_model_info *info, struct receipt_file **file, size_t *n);
void receipt_free_files(struct receipt_file *file, size_t n);

/* The document: r, and where it was computed.  NULL: no memory. */
json_t *receipt_json(const struct receipt *r, const struct running *run);
/*
 * Reads a document that anybody may have written: 0, or -EINVAL and a sentence in why; every field is of its
 * type and within its bounds, which says nothing about whether it is true.  receipt_free() in any case.
 */
int receipt_read(const char *text, size_t n, struct receipt *r, char *why, size_t len);

#endif
