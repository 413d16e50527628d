// SPDX-License-Identifier: MIT
/* Loading a model: the file, then the architecture that it names. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "error.h"
#include "fpenv.h"
#include "gguf.h"
#include "layer.h"
#include "opts.h"
#include "plain.h"

static int load_architecture(struct accel_model *m, const char *path)
{
	const char *s;
	size_t n;

	if (gguf_get_str(m->file, "general.architecture", &s, &n))
		return fail(-EINVAL, "%s: general.architecture is missing; this is not a model file",
			    path);
	plain_text(m->arch, sizeof(m->arch), s, n);
	if (!gguf_get_str(m->file, "general.name", &s, &n))
		plain_text(m->name, sizeof(m->name), s, n);
	return arch_load(m, path);
}

/* Takes what gguf_open() gave: err, and the file or a sentence. */
static int model_of(int err, struct gguf *file, const char *path, const char *sentence,
		    struct accel_model **out)
{
	struct accel_model *m;

	if (err)
		return fail(err, "%s", sentence);
	m = calloc(1, sizeof(*m));
	if (!m) {
		gguf_close(file);
		return fail(-ENOMEM, "no memory for a model");
	}
	m->file = file;
	err = load_architecture(m, path);
	/* What a file said that changed meanwhile is not the news. */
	if (gguf_intact(file))
		err = -EIO;
	if (err) {
		accel_model_free(m);
		return err;
	}
	*out = m;
	return 0;
}

int accel_model_load(const char *path, struct accel_model **out)
{
	FP_SCOPE();
	char sentence[ACCEL_ERROR_MAX];
	struct gguf *file;
	int err = gguf_open(path, &file, sentence, sizeof(sentence));

	*out = NULL;
	return model_of(err, file, path, sentence, out);
}

static int check_parts(size_t n)
{
	return n && n < UINT32_MAX ? 0 : fail(-EINVAL, "a model is one file, or some parts, not %zu", n);
}

int accel_model_load_fd(const int *fds, size_t n, struct accel_model **out)
{
	FP_SCOPE();
	char sentence[ACCEL_ERROR_MAX], name[32];
	struct gguf *file;
	int err = check_parts(n);

	*out = NULL;
	if (err)
		return err;
	snprintf(name, sizeof(name), "descriptor %d", fds[0]);
	err = gguf_open_fds(fds, n, &file, sentence, sizeof(sentence));
	return model_of(err, file, name, sentence, out);
}

int accel_model_load_memory(const void *const *data, const size_t *size, size_t n, struct accel_model **out)
{
	FP_SCOPE();
	char sentence[ACCEL_ERROR_MAX];
	struct gguf *file;
	int err = check_parts(n);

	*out = NULL;
	if (err)
		return err;
	err = gguf_open_mem_parts(data, size, n, &file, sentence, sizeof(sentence));
	return model_of(err, file, "memory", sentence, out);
}

void accel_model_free(struct accel_model *m)
{
	if (!m)
		return;
	free(m->layers);
	while (m->converted) {
		struct converted *next = m->converted->next;

		free(m->converted);
		m->converted = next;
	}
	if (m->file)
		gguf_close(m->file);
	free(m);
}

int accel_model_info(const struct accel_model *m, struct accel_model_info *info)
{
	struct accel_model_info i = {
		.n_layers = m->n_layers, .n_blocks = m->n_blocks, .n_ctx_train = m->n_ctx_train,
		.n_embd = m->n_embd, .n_vocab = m->n_vocab, .n_ff = m->n_ff, .n_heads = m->n_heads,
		.n_kv_heads = m->n_kv_heads, .head_dim = m->head_dim, .n_params = m->n_params,
		.file_bytes = gguf_file_size(m->file),
	};

	memcpy(i.arch, m->arch, sizeof(i.arch));
	memcpy(i.name, m->name, sizeof(i.name));
	for (uint32_t k = 0; k < m->n_layers; k++)
		i.weight_bytes += layer_weight_bytes(&m->layers[k]);
	return opts_write(info, &i, sizeof(i), "a model's description");
}

const struct gguf *accel_model_gguf(const struct accel_model *m)
{
	return m->file;
}

/* Ropes are told apart by who adds them. */
static bool same_table(const struct table *a, const struct table *b)
{
	return a->kind == b->kind && a->kind != TABLE_ROPE && a->n == b->n &&
	       a->temperature.scale == b->temperature.scale && a->temperature.every == b->temperature.every;
}

int model_table(struct accel_model *m, const struct table *t)
{
	for (uint32_t i = 0; i < m->n_tables; i++)
		if (same_table(&m->tables[i], t))
			return i;
	if (m->n_tables == MODEL_TABLES)
		return fail(-EINVAL, "the model needs more than %u tables", MODEL_TABLES);
	m->tables[m->n_tables] = *t;
	return m->n_tables++;
}

int model_window(struct accel_model *m, uint32_t size)
{
	for (uint32_t i = 0; i < m->n_windows; i++)
		if (m->windows[i] == size)
			return 1 + i;
	if (m->n_windows == MODEL_WINDOWS)
		return fail(-EINVAL, "models with windows of more than %u sizes are not supported", MODEL_WINDOWS);
	m->windows[m->n_windows] = size;
	return 1 + m->n_windows++;
}

static int add_times(struct accel_model *m, uint32_t n, uint8_t rung, bool by_page)
{
	for (uint32_t i = 0; i < m->n_times; i++)
		if (m->times[i] == n && m->rung[i] == rung && m->by_page[i] == by_page)
			return i;
	if (m->n_times == MODEL_TIMES)
		return fail(-EINVAL, "models with more than %u numbers of heads and experts are not supported",
			    MODEL_TIMES);
	m->times[m->n_times] = n;
	m->rung[m->n_times] = rung;
	m->by_page[m->n_times] = by_page;
	return m->n_times++;
}

int model_times(struct accel_model *m, uint32_t n)
{
	return add_times(m, n, 0, false);
}

int model_times_rung(struct accel_model *m, uint32_t n, uint32_t rung, bool by_page)
{
	return add_times(m, n, 1 + rung, by_page);
}

uint32_t model_times_of(const struct accel_model *m, int times, const struct shape *s)
{
	return m->times[times] * (m->by_page[times] ? model_rung_pages(m, s, m->rung[times] - 1) : 1);
}

uint32_t model_rung_pages(const struct accel_model *m, const struct shape *s, uint32_t rung)
{
	const uint32_t part = 1u << 2 * rung, pages = (shape_seq_pages(s) + part - 1) / part;

	return !rung || (uint64_t)pages << s->page_log2 >= m->list ? pages : 0;
}

uint32_t model_rung(const struct accel_model *m, const struct shape *s, uint32_t pages)
{
	uint32_t rung = RUNGS - 1;

	while (rung && model_rung_pages(m, s, rung) < (pages ? pages : 1))
		rung--;
	return rung;
}

uint64_t model_scratch(const struct accel_model *m, const struct shape *s, unsigned int i)
{
	uint64_t most = 0;

	for (uint32_t k = 0; k < m->n_layers; k++) {
		uint64_t cols = m->layers[k].kind->scratch(&m->layers[k], s, i);

		if (cols > most)
			most = cols;
	}
	return most;
}
