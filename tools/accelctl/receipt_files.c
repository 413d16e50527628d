// SPDX-License-Identifier: MIT
/* The hashes of a model's files.  A model may be in parts, NAME-00001-of-00003.gguf, and be named by any. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "receipt.h"

#define CHUNK		(1u << 20)
#define PART_TEXT	"-00001-of-00003.gguf"

struct progress {
	uint64_t done, total;
};

static int hash_file(const char *path, struct receipt_file *f, struct progress *p)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t hash[SHA256_BYTES];
	char *chunk = malloc(CHUNK);
	struct sha256 s;
	ssize_t n = -1;

	sha256_begin(&s);
	while (fd >= 0 && chunk && (n = read(fd, chunk, CHUNK)) > 0) {
		sha256_add(&s, chunk, n);
		p->done += n;
		show_progress("hashing the model", p->done, p->total);
	}
	end_progress();
	if (fd >= 0)
		close(fd);
	free(chunk);
	if (n < 0)
		return complain(EXIT_FAILED, "%s could not be read: %s", path, strerror(errno));
	f->bytes = s.size;
	sha256_end(&s, hash);
	sha256_hex(hash, f->sha256);
	return EXIT_OK;
}

/* How many parts the name speaks of, 0: it does not. */
static unsigned int parts_of(const char *path)
{
	size_t n = strlen(path), len = strlen(PART_TEXT);
	unsigned int part, parts;
	int end = 0;

	if (n <= len || sscanf(path + n - len, "-%5u-of-%5u.gguf%n", &part, &parts, &end) != 2 ||
	    (size_t)end != len)
		return 0;
	return parts;
}

static int hash_part(const char *path, struct receipt_file *f, struct progress *p)
{
	const char *base = strrchr(path, '/');

	f->name = strdup(base ? base + 1 : path);
	return f->name ? hash_file(path, f, p) : complain(EXIT_FAILED, "no memory for a receipt");
}

static int hash_parts(const char *path, struct receipt_file *file, size_t n, struct progress *p)
{
	size_t stem = strlen(path) - strlen(PART_TEXT);
	int rc = EXIT_OK;
	char *name;

	for (size_t i = 0; i < n && !rc; i++) {
		if (asprintf(&name, "%.*s-%05zu-of-%05zu.gguf", (int)stem, path, i + 1, n) < 0)
			return complain(EXIT_FAILED, "no memory for a receipt");
		rc = hash_part(name, &file[i], p);
		free(name);
	}
	return rc;
}

int receipt_hash_files(const char *path, const struct accel_model_info *info, struct receipt_file **file, size_t *n)
{
	struct progress p = { .total = info->file_bytes };
	struct stat st;
	int rc;

	*n = parts_of(path);
	if (!*n || (!stat(path, &st) && (uint64_t)st.st_size == info->file_bytes))
		*n = 1;
	*file = calloc(*n, sizeof(**file));
	if (!*file) {
		*n = 0;
		return complain(EXIT_FAILED, "no memory for a receipt");
	}
	rc = *n == 1 ? hash_part(path, *file, &p) : hash_parts(path, *file, *n, &p);
	/* What was hashed is to be what is computed with. */
	if (!rc && p.done != info->file_bytes)
		rc = complain(EXIT_FAILED, "%s has changed while it was read", path);
	return rc;
}
