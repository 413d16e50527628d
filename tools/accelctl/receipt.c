// SPDX-License-Identifier: MIT
#include "receipt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "placement.h"

#define SCHEMA	"octans.receipt/1"

void receipt_free_files(struct receipt_file *file, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(file[i].name);
	free(file);
}

void receipt_free(struct receipt *r)
{
	receipt_free_files(r->file, r->n_files);
	free(r->architecture);
	free(r->chat_format);
	free(r->prompt);
	free(r->prompt_text);
	free(r->step);
	free(r->text);
	free(r->stop);
	memset(r, 0, sizeof(*r));
}

void receipt_hash_row(const float *row, uint32_t n, char text[SHA256_TEXT])
{
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "rows are hashed as they are in memory, which is to be little endian"
#endif
	sha256_text(row, n * sizeof(*row), text);
}

int receipt_add(struct receipt *r, int32_t token, const float *row, uint32_t n)
{
	if (r->n_steps == r->room) {
		size_t room = r->room ? 2 * r->room : 64;
		struct receipt_step *grown = realloc(r->step, room * sizeof(*grown));

		if (!grown)
			return complain(EXIT_FAILED, "no memory for a receipt of %zu steps", room);
		r->step = grown;
		r->room = room;
	}
	r->step[r->n_steps].token = token;
	receipt_hash_row(row, n, r->step[r->n_steps].logits);
	r->n_steps++;
	return EXIT_OK;
}

/* ---- writing ---- */

static json_t *files_json(const struct receipt *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->n_files; i++)
		json_array_append_new(list, json_pack("{s:o, s:I, s:s}", "name", json_text(r->file[i].name),
			"bytes", (json_int_t)r->file[i].bytes, "sha256", r->file[i].sha256));
	return list;
}

/* The seed is text: it may be larger than what JSON's readers take for a whole number. */
static json_t *sampler_json(const struct accel_sampler_opts *so)
{
	char seed[24];

	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)so->seed);
	return json_pack("{s:s, s:f, s:i, s:f, s:f, s:f, s:f, s:f, s:i}", "seed", seed, "temperature",
		so->temperature, "top_k", (int)so->top_k, "top_p", so->top_p, "min_p", so->min_p,
		"repeat_penalty", so->repeat, "frequency_penalty", so->frequency, "presence_penalty",
		so->presence, "penalty_last", (int)so->penalty_last);
}

static json_t *prompt_json(const struct receipt *r)
{
	json_t *tokens = json_array();

	for (size_t i = 0; i < r->n_prompt; i++)
		json_array_append_new(tokens, json_integer(r->prompt[i]));
	return json_pack("{s:o, s:o}", "text", json_text(r->prompt_text), "tokens", tokens);
}

static json_t *answer_json(const struct receipt *r)
{
	json_t *steps = json_array();

	for (size_t i = 0; i < r->n_steps; i++)
		json_array_append_new(steps, json_pack("{s:i, s:s}", "token", (int)r->step[i].token, "logits",
						       r->step[i].logits));
	return json_pack("{s:o, s:s, s:o}", "text", json_text(r->text), "stop", r->stop, "steps", steps);
}

/* Where it was computed: what is said of it, and need not be believed. */
static json_t *computed_json(const struct running *run)
{
	struct accel_engine_stats st = compute_stats(run);
	json_t *layers = json_array();
	char where[256];

	for (uint32_t i = 0; i < run->plan_info.layers; i++) {
		struct accel_layer l = layer_now(run, i);

		json_array_append_new(layers, json_string(layer_devices(run, &l, where, sizeof(where))));
	}
	return json_pack("{s:s, s:i, s:o, s:i, s:o}", "isa", st.isa, "threads", (int)st.threads, "layers",
			 layers, "fallbacks", (int)st.fallbacks, "fallback_reason",
			 json_text(st.fallback_reason));
}

json_t *receipt_json(const struct receipt *r, const struct running *run)
{
	uint32_t v = accel_version();
	char tool[32], library[32], now[32];
	time_t t = time(NULL);
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(tool, sizeof(tool), "%d.%d.%d", ACCEL_VERSION_MAJOR, ACCEL_VERSION_MINOR, ACCEL_VERSION_PATCH);
	snprintf(library, sizeof(library), "%u.%u.%u", v >> 16, v >> 8 & 0xff, v & 0xff);
	return json_pack("{s:s, s:s, s:{s:s, s:s}, s:i, s:{s:s, s:o}, s:s, s:s?, s:o, s:o, s:o, s:o}",
		"schema", SCHEMA, "generated", now, "versions", "accelctl", tool, "libaccel", library, "numerics",
		(int)accel_numerics(), "model", "architecture", r->architecture, "files", files_json(r), "kv_type",
		kv_type_names[r->kv_type], "chat_format", r->chat_format, "sampler", sampler_json(&r->sampler),
		"prompt", prompt_json(r), "answer", answer_json(r), "computed", computed_json(run));
}
