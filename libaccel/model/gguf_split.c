// SPDX-License-Identifier: MIT
/* Split files: NAME-00001-of-00003.gguf, each with tensors of its own, the first with the keys. */
#include "gguf_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mapping.h"
#include "plain.h"

#define MAX_PARTS 999u		/* each takes a file descriptor */
#define PART_TAIL (sizeof("-00001-of-00001.gguf") - 1)

struct split {
	uint32_t no, count;	/* part no, from 0 on, of count; 0 of 1: the file is whole */
};

static int read_split(struct gguf *g, struct split *s)
{
	int no, count;

	*s = (struct split) { 0, 1 };
	no = gguf_get_u32(g, "split.no", &s->no);
	count = gguf_get_u32(g, "split.count", &s->count);
	if ((no && no != -ENOENT) || (count && count != -ENOENT))
		return gguf_bad(g, -EINVAL, "\"split.no\" and \"split.count\" must be whole numbers");
	if (!s->count)		/* as some write for a whole file */
		*s = (struct split) { 0, 1 };
	if (s->no >= s->count || s->count > MAX_PARTS)
		return gguf_bad(g, -EINVAL, "it says that it is part %llu of %u; a model has 1 to %u parts",
				s->no + 1ull, s->count, MAX_PARTS);
	return 0;
}

/* What the name of a part ends in; path: NULL, or whether it does. */
static bool part_tail(char tail[PART_TAIL + 1], uint32_t no, uint32_t count, const char *path)
{
	/* Five digits are enough for MAX_PARTS; a compiler is told so. */
	snprintf(tail, PART_TAIL + 1, "-%05u-of-%05u.gguf", (no + 1) % 100000, count % 100000);
	return !path || (strlen(path) > PART_TAIL && !strcmp(path + strlen(path) - PART_TAIL, tail));
}

/* Whether two texts that keys hold are the same; one that a part does not hold is. */
static bool same_text(const struct gguf *a, const struct gguf *b, const char *key)
{
	const char *s, *t;
	size_t n, k;

	return gguf_get_str(b, key, &t, &k) == -ENOENT ||
	       (!gguf_get_str(a, key, &s, &n) && !gguf_get_str(b, key, &t, &k) && n == k &&
		!memcmp(s, t, n));
}

static int check_part(struct gguf *part, const struct gguf *first, const struct split *want)
{
	struct split got;
	int err = read_split(part, &got);

	if (err)
		return err;
	if (got.no != want->no || got.count != want->count)
		return gguf_bad(part, -EINVAL, "it says that it is part %u of %u, not %u of %u; it belongs to another model or was renamed",
				got.no + 1, got.count, want->no + 1, want->count);
	if (!same_text(first, part, "general.architecture"))
		return gguf_bad(part, -EINVAL, "its architecture is another than that of the first part; it belongs to another model");
	return 0;
}

/* Takes the tensors of a part that has been checked, and the part. */
static int add_part(struct gguf *g, struct gguf *part)
{
	uint64_t n = g->n_tensors + part->n_tensors;
	struct gguf_tensor *t = realloc(g->tensors, (n ? n : 1) * sizeof(*t));

	if (t)
		g->tensors = t;
	if (!t || n > UINT32_MAX - 1) {
		gguf_close(part);
		return gguf_bad(g, -ENOMEM, "no memory for %llu tensors", (unsigned long long)n);
	}
	g->rest[g->n_rest++] = part;
	for (uint64_t i = 0; i < part->n_tensors; i++) {
		g->tensors[g->n_tensors] = part->tensors[i];
		g->tensors[g->n_tensors++].part = g->n_rest;
	}
	part->n_tensors = 0;
	return 0;
}

/* With all parts there: their tensors by name, and none twice. */
static int join(struct gguf *g)
{
	uint32_t total = 0;
	int err = gguf_get_u32(g, "split.tensors.count", &total);

	free(g->tensor_table.slot);
	if (gguf_table_new(&g->tensor_table, g->n_tensors))
		return gguf_bad(g, -ENOMEM, "no memory for %llu tensors", (unsigned long long)g->n_tensors);
	for (uint64_t i = 0; i < g->n_tensors; i++) {
		const struct gguf_tensor *t = &g->tensors[i];
		uint32_t *slot = gguf_table_slot(g, &g->tensor_table, gguf_tensor_name, t->name);

		if (*slot)
			return gguf_bad(t->part ? g->rest[t->part - 1] : g, -EINVAL, "the tensor \"%s\" is in part %u, too",
					PLAIN(t->name), g->tensors[*slot - 1].part + 1);
		*slot = i + 1;
	}
	if (!err && total != g->n_tensors)
		return gguf_bad(g, -EINVAL, "its parts hold %llu tensors, \"split.tensors.count\" says %u; a part is of another model",
				(unsigned long long)g->n_tensors, total);
	return 0;
}

static int room_for_parts(struct gguf *g, uint32_t count)
{
	g->rest = calloc(count, sizeof(struct gguf *));
	return g->rest ? 0 : gguf_bad(g, -ENOMEM, "no memory for its %u parts", count);
}

/* Checks a part that was opened, and takes it, even if it fails. */
static int take_part(struct gguf *g, struct gguf *part, uint32_t no, uint32_t count)
{
	int err = check_part(part, g, &(struct split) { no, count });

	if (!err)
		return add_part(g, part);
	gguf_close(part);
	return err;
}

/* ---- parts that the caller has ---- */

/* All parts, in order; read() gets each. */
struct given {
	int (*read)(const struct given *given, uint32_t i, struct gguf **out, char *err, size_t errlen);
	const void *const *data;	/* of memory */
	const size_t *size;
	const int *fds;			/* of files */
	uint32_t n;
};

static int open_given(const struct given *given, struct gguf **out, char *err, size_t errlen)
{
	const uint32_t n = given->n;
	struct gguf *g = NULL, *part;
	struct split split;
	int rc = given->read(given, 0, &g, err, errlen);

	*out = NULL;
	if (!rc)
		rc = read_split(g, &split);
	if (!rc && split.count == 1 && n > 1)
		rc = gguf_bad(g, -EINVAL, "it is a whole model, the first of %u parts that were given: give it alone", n);
	if (!rc && (split.no || split.count != n))
		rc = gguf_bad(g, -EINVAL, "it is part %u of %u of a model, the first of %u that %s given; all parts are needed, in order",
			      split.no + 1, split.count, n, n == 1 ? "was" : "were");
	if (!rc)
		rc = room_for_parts(g, n);
	for (uint32_t i = 1; i < n && !rc; i++) {
		rc = given->read(given, i, &part, err, errlen);
		if (!rc)
			rc = take_part(g, part, i, n);
	}
	if (!rc && n > 1)
		rc = join(g);
	return gguf_opened(rc, g, out);
}

static int read_memory(const struct given *given, uint32_t i, struct gguf **out, char *err, size_t errlen)
{
	char name[48] = "memory";

	if (given->n > 1)
		snprintf(name, sizeof(name), "memory, part %u of %u", i + 1, given->n);
	/* Weights are read in place, as the types they are. */
	if ((uintptr_t)given->data[i] % GGUF_LEAST_ALIGNMENT) {
		*out = NULL;
		snprintf(err, errlen, "%s: it begins at %p, which must be a multiple of %u", name, given->data[i],
			 GGUF_LEAST_ALIGNMENT);
		return -EINVAL;
	}
	return gguf_read_mem(name, NULL, given->data[i], given->size[i], out, err, errlen);
}

int gguf_open_mem_parts(const void *const *data, const size_t *size, uint32_t n, struct gguf **out,
			char *err, size_t errlen)
{
	const struct given given = { .read = read_memory, .data = data, .size = size, .n = n };

	return open_given(&given, out, err, errlen);
}

static int read_fd(const struct given *given, uint32_t i, struct gguf **out, char *err, size_t errlen)
{
	struct mapping *map;
	char name[32];
	int rc;

	snprintf(name, sizeof(name), "descriptor %d", given->fds[i]);
	rc = mapping_open_fd(given->fds[i], name, &map, err, errlen);
	*out = NULL;
	return rc ? rc : gguf_read_map(name, map, out, err, errlen);
}

int gguf_open_fds(const int *fds, uint32_t n, struct gguf **out, char *err, size_t errlen)
{
	const struct given given = { .read = read_fd, .fds = fds, .n = n };

	return open_given(&given, out, err, errlen);
}

/* ---- parts that lie in a directory ---- */

/* A part by its number, beside path, which is one of them. */
static int open_part(const char *path, const struct split *s, uint32_t no, struct gguf **out, char *err,
		     size_t errlen)
{
	char *name = malloc(strlen(path) + 1);
	int rc;

	if (!name)
		return gguf_no_memory(path, err, errlen);
	strcpy(name, path);
	part_tail(name + strlen(path) - PART_TAIL, no, s->count, NULL);
	rc = gguf_read_path(name, out, err, errlen);
	if (rc == -ENOENT)
		snprintf(err, errlen, "%s is missing: it is part %u of the %u of this model, which must lie in one directory",
			 name, no + 1, s->count);
	free(name);
	return rc;
}

/* Does another file follow the last tensor?  Parts must not be put together as pieces are. */
static bool is_heap(const struct gguf *g)
{
	uint64_t end = 0;

	for (uint64_t i = 0; i < g->n_tensors; i++)
		if (g->tensors[i].offset + g->tensors[i].size > end)
			end = g->tensors[i].offset + g->tensors[i].size;
	for (uint64_t at = end; end && at - end < g->alignment && g->size - at >= 4; at++)
		if (!memcmp(g->base + at, "GGUF", 4))
			return true;
	return false;
}

static int open_rest(struct gguf *g, const char *path, const struct split *s, char *err, size_t errlen)
{
	int rc = room_for_parts(g, s->count);

	for (uint32_t i = 1; i < s->count && !rc; i++) {
		struct gguf *part;

		rc = open_part(path, s, i, &part, err, errlen);
		if (!rc)
			rc = take_part(g, part, i, s->count);
	}
	return rc ? rc : join(g);
}

int gguf_open(const char *path, struct gguf **out, char *err, size_t errlen)
{
	char tail[PART_TAIL + 1];
	struct split split;
	struct gguf *g;
	int rc = gguf_read_path(path, &g, err, errlen);

	*out = NULL;
	if (!rc)
		rc = read_split(g, &split);
	if (rc || split.count == 1)
		return gguf_opened(rc, g, out);
	if (is_heap(g))
		return gguf_opened(gguf_bad(g, -EINVAL, "it is part %u of %u of a model with other parts behind it; leave the parts as they were and name one of them",
				  split.no + 1, split.count), g, out);
	if (!part_tail(tail, split.no, split.count, path))
		return gguf_opened(gguf_bad(g, -EINVAL, "it is part %u of %u of a model; its name must end in \"%s\", or the other parts cannot be found",
				  split.no + 1, split.count, tail), g, out);
	/* The keys are in the first, whichever was named. */
	if (split.no) {
		gguf_close(g);
		rc = open_part(path, &split, 0, &g, err, errlen);
		if (!rc)
			rc = check_part(g, g, &(struct split) { 0, split.count });
	}
	if (!rc)
		rc = open_rest(g, path, &split, err, errlen);
	return gguf_opened(rc, g, out);
}
