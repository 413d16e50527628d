// SPDX-License-Identifier: MIT
/*
 * The tokens that libllama makes of texts.
 *
 *   tokens MODEL <TEXTS >LISTS
 *
 * TEXTS are texts, each ended by a zero byte.  Each gives two lines of token numbers: as plain
 * text, and as a prompt (with the tokens that the vocabulary adds at the ends, and control tokens
 * recognised where the text spells them).
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <llama.h>

static void log_errors(enum ggml_log_level level, const char *text, void *arg)
{
	(void)arg;
	if (level == GGML_LOG_LEVEL_ERROR)
		fputs(text, stderr);
}

static int print_tokens(const struct llama_vocab *v, const char *text, size_t n, bool prompt)
{
	size_t room = 3 * n + 8;	/* a space may be spelt as the bytes of its mark */
	llama_token *ids = malloc(room * sizeof(*ids));
	int count;

	if (!ids)
		return -1;
	count = llama_tokenize(v, text, n, ids, room, prompt, prompt);
	for (int i = 0; i < count; i++)
		printf("%s%d", i ? " " : "", ids[i]);
	putchar('\n');
	free(ids);
	return count < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
	struct llama_model_params p = llama_model_default_params();
	struct llama_model *model;
	char *text = NULL;
	size_t room = 0;
	ssize_t n;
	int err = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: tokens MODEL <TEXTS >LISTS\n");
		return 2;
	}
	llama_log_set(log_errors, NULL);
	p.vocab_only = true;
	model = llama_model_load_from_file(argv[1], p);
	if (!model)
		return 1;
	while (!err && (n = getdelim(&text, &room, 0, stdin)) > 0)
		for (int prompt = 0; prompt < 2 && !err; prompt++)
			err = print_tokens(llama_model_get_vocab(model), text, n - 1, prompt);
	free(text);
	llama_model_free(model);
	return err ? 1 : 0;
}
