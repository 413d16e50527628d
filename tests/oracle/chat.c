// SPDX-License-Identifier: MIT
/*
 * Conversations as libllama writes them down.
 *
 *   chat <CASES >TEXTS
 *
 * A case is fields, each ended by a zero byte: a template or its name, "0" or "1" (what makes the
 * model answer), the number of messages, and the role and the text of each.  Each gives a line: the
 * text with all but printable ASCII as "\x0a", or "-" if libllama does not know the template.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <llama.h>

#define MOST 16

/* NULL at the end. */
static char *field(void)
{
	char *s = NULL;
	size_t room = 0;

	if (getdelim(&s, &room, 0, stdin) > 0)
		return s;
	free(s);
	return NULL;
}

static void print(const char *s, int n)
{
	for (int i = 0; i < n; i++) {
		unsigned char c = s[i];

		if (c < 32 || c > 126 || c == '\\' || c == '#')
			printf("\\x%02x", c);
		else
			putchar(c);
	}
	putchar('\n');
}

static bool one_case(void)
{
	static char out[1 << 20];
	llama_chat_message messages[MOST];
	char *pattern = field(), *answer, *count;
	int n, size;

	if (!pattern)
		return false;
	answer = field();
	count = field();
	n = count ? atoi(count) : 0;
	for (int i = 0; i < n && i < MOST; i++) {
		messages[i].role = field();
		messages[i].content = field();
	}
	size = llama_chat_apply_template(pattern, messages, n, answer && *answer == '1', out,
					 sizeof(out));
	if (size < 0)
		puts("-");
	else
		print(out, size);
	for (int i = 0; i < n && i < MOST; i++) {
		free((char *)messages[i].role);
		free((char *)messages[i].content);
	}
	free(pattern);
	free(answer);
	free(count);
	return true;
}

int main(void)
{
	while (one_case())
		;
	return 0;
}
