// SPDX-License-Identifier: MIT
/* The tokens that accelctl makes of texts; use and output are those of tokens.c. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/gguf.h"
#include "text/tokenizer.h"

static int print_tokens(const struct tokenizer *t, const char *text, size_t n, bool prompt)
{
	int32_t *ids;
	size_t count;
	int err = tokenizer_encode(t, text, n, prompt, prompt, &ids, &count);

	if (err)
		return err;
	for (size_t i = 0; i < count; i++)
		printf("%s%d", i ? " " : "", ids[i]);
	putchar('\n');
	free(ids);
	return 0;
}

int main(int argc, char **argv)
{
	struct tokenizer *t = NULL;
	struct gguf *g = NULL;
	char *text = NULL, why[256] = "";
	size_t room = 0;
	ssize_t n;
	int err;

	if (argc != 2) {
		fprintf(stderr, "usage: encode MODEL <TEXTS >LISTS\n");
		return 2;
	}
	err = gguf_open(argv[1], &g, why, sizeof(why));
	if (!err)
		err = tokenizer_new(g, &t, why, sizeof(why));
	while (!err && (n = getdelim(&text, &room, 0, stdin)) > 0)
		for (int prompt = 0; prompt < 2 && !err; prompt++)
			err = print_tokens(t, text, n - 1, prompt);
	if (err)
		fprintf(stderr, "encode: %d %s\n", err, why);
	free(text);
	tokenizer_free(t);
	if (g)
		gguf_close(g);
	return err ? 1 : 0;
}
