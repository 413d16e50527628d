// SPDX-License-Identifier: MIT
/* The tokens that libaccel makes of texts; use and output are those of tokens.c. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <accel/accel.h>
#include <accel/text.h>

#include "model/gguf.h"
#include "text/tokenizer.h"

static int print_tokens(const struct accel_tokenizer *t, const char *text, size_t n, bool prompt)
{
	size_t count = 3 * n + 4;
	int32_t *ids = malloc(count * sizeof(*ids));
	int err = -1;

	if (ids)
		err = accel_tokenizer_encode(t, text, n,
					     prompt ? ACCEL_ENCODE_ENDS | ACCEL_ENCODE_SPECIAL : 0,
					     ids, &count);
	for (size_t i = 0; i < count && !err; i++)
		printf("%s%d", i ? " " : "", ids[i]);
	putchar('\n');
	free(ids);
	return err;
}

int main(int argc, char **argv)
{
	struct accel_tokenizer *t = NULL;
	struct gguf *g = NULL;
	char *text = NULL, why[256] = "";
	size_t room = 0;
	ssize_t n;
	int err;

	if (argc != 2) {
		fprintf(stderr, "usage: encode MODEL <TEXTS >LISTS\n");
		return 2;
	}
	/* Not as a model: files that hold a vocabulary alone will do. */
	err = gguf_open(argv[1], &g, why, sizeof(why));
	if (!err)
		err = tokenizer_new(g, &t);
	while (!err && (n = getdelim(&text, &room, 0, stdin)) > 0)
		for (int prompt = 0; prompt < 2 && !err; prompt++)
			err = print_tokens(t, text, n - 1, prompt);
	if (err)
		fprintf(stderr, "encode: %d %s\n", err, *why ? why : accel_error());
	free(text);
	accel_tokenizer_free(t);
	if (g)
		gguf_close(g);
	return err ? 1 : 0;
}
