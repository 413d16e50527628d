// SPDX-License-Identifier: MIT
/*
 * Chat templates and conversations that mean harm: a template is data's first text, the messages
 * are the next ones.  Writing bit by bit gives what writing at once gives.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <accel/accel.h>
#include <accel/text.h>

#include "text/chat.h"
#include "text/tokenizer.h"
#include "../unit/gguf_build.h"
#include "fuzz.h"

#define MOST 12

static const char *const roles[] = { "system", "user", "assistant", "tool", "", "\1\2\3\4%s" };

#define N(a) (sizeof(a) / sizeof((a)[0]))

/* The text malloc'd, or NULL where the format has no place for a role. */
static char *text_of(const struct accel_chat *c, const struct accel_chat_message *m, size_t n,
		     size_t known, size_t *size)
{
	char *out;
	int rc;

	*size = 0;
	rc = accel_chat_format(c, m, n, known, ACCEL_CHAT_ANSWER, NULL, size);
	if (rc == -EINVAL)
		return NULL;
	if (rc && rc != -ENOSPC)
		abort();
	out = malloc(*size + 1);
	if (!out || accel_chat_format(c, m, n, known, ACCEL_CHAT_ANSWER, out, size))
		abort();
	return out;
}

/* The bytes, a space, and two control tokens; made once. */
static const struct accel_tokenizer *vocabulary(void)
{
	static const char *const control[] = { "<s>", "<|im_end|>" };
	static struct accel_tokenizer *t;
	const size_t n = 256 + 1 + N(control);
	char err[256], name[8];
	struct build b;
	struct gguf *g;

	if (t)
		return t;
	build_begin(&b);
	build_key_text(&b, "tokenizer.ggml.model", "llama");
	build_key_array(&b, "tokenizer.ggml.tokens", GGUF_STRING, n);
	for (unsigned int i = 0; i < 256; i++)
		build_text_n(&b, name, snprintf(name, sizeof(name), "<0x%02X>", i));
	build_text(&b, "\xe2\x96\x81");
	for (size_t i = 0; i < N(control); i++)
		build_text(&b, control[i]);
	build_key_array(&b, "tokenizer.ggml.scores", GGUF_F32, n);
	for (size_t i = 0; i < n; i++)
		build_bytes(&b, &(float) { 0 }, 4);
	build_key_array(&b, "tokenizer.ggml.token_type", GGUF_I32, n);
	for (size_t i = 0; i < n; i++)
		build_bytes(&b, &(int32_t) { i < 256 ? 6 : i > 256 ? 3 : 1 }, 4);
	if (gguf_open_mem(b.p, b.n, &g, err, sizeof(err)) || tokenizer_new(g, &t))
		abort();
	gguf_close(g);
	build_end(&b);
	return t;
}

static void encode(const struct accel_chat *c, const struct accel_chat_message *m, size_t n,
		   size_t known)
{
	size_t n_ids = 0;
	int32_t *ids;

	if (accel_chat_encode(c, vocabulary(), m, n, known, 0, NULL, &n_ids) != -ENOSPC && n_ids)
		abort();
	ids = malloc((n_ids + 1) * sizeof(*ids));
	if (accel_chat_encode(c, vocabulary(), m, n, known, 0, ids, &n_ids))
		abort();
	free(ids);
}

static void talk(const struct accel_chat *c, const struct accel_chat_message *m, size_t n)
{
	size_t size, part;
	char *whole = text_of(c, m, n, 0, &size);

	for (size_t k = 0; whole && k <= n; k++) {
		char *rest = text_of(c, m, n, k, &part);

		if (!rest || part > size || memcmp(whole + size - part, rest, part))
			abort();
		free(rest);
		encode(c, m, n, k);
	}
	for (const char *const *s = accel_chat_stops(c); *s; s++)
		if (!**s)
			abort();
	free(whole);
}

/* The next text of the data, as long as its first byte says, or all that is left. */
static const char *next(const uint8_t **data, size_t *left, size_t *n)
{
	const char *s;

	*n = 0;
	if (!*left)
		return "";
	*n = **data;
	if (*n > *left - 1)
		*n = *left - 1;
	s = (const char *)*data + 1;
	*data += *n + 1;
	*left -= *n + 1;
	return s;
}

/* As a file's own format, its template, and by name. */
static int make(unsigned int how, const char *s, size_t n, struct accel_chat **c)
{
	struct build b;
	struct gguf *g;
	char err[256], *name;
	int rc;

	if (how % 3 == 2) {
		name = strndup(s, n);
		rc = accel_chat_new(NULL, name, c);
		free(name);
		return rc;
	}
	build_begin(&b);
	build_key(&b, how % 3 ? "octans.prompt.format" : "tokenizer.chat_template", GGUF_STRING);
	build_text_n(&b, s, n);
	if (gguf_open_mem(b.p, b.n, &g, err, sizeof(err)))
		abort();
	rc = chat_new(g, c);
	gguf_close(g);
	build_end(&b);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct accel_chat_message m[MOST];
	struct accel_chat *c;
	const char *pattern;
	unsigned int how;
	size_t n, count = 0;

	if (!size)
		return 0;
	how = *data++;
	size--;
	pattern = next(&data, &size, &n);
	if (make(how, pattern, n, &c)) {
		if (c || !*accel_error())
			abort();
		return 0;
	}
	while (size && count < MOST) {
		m[count].role = roles[*data % N(roles)];
		m[count].text = next(&data, &size, &m[count].n);
		count++;
	}
	talk(c, m, count);
	accel_chat_free(c);
	return 0;
}

size_t fuzz_seed(unsigned int i, uint8_t **data)
{
	static const char talk[] = "\014Be brief, so\007  Hi \n  \006 A star\002ok";
	static const char own[] = "Q: %s\nA:";
	const char *name = accel_chat_known(i / 2);
	const char *s = i & 1 ? own : name;
	size_t n;

	if (!name)
		return 0;
	n = strlen(s);
	*data = malloc(2 + n + sizeof(talk));
	(*data)[0] = i & 1 ? 1 : 2;
	(*data)[1] = n;
	memcpy(*data + 2, s, n);
	memcpy(*data + 2 + n, talk, sizeof(talk));
	return 2 + n + sizeof(talk);
}
