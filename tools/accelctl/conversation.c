// SPDX-License-Identifier: MIT
#include "conversation.h"

#include <stdlib.h>
#include <string.h>

static void turn_free(struct turn *t)
{
	free(t->user.s);
	free(t->assistant.s);
}

void conversation_free(struct conversation *c)
{
	for (size_t i = 0; i < c->n; i++)
		turn_free(&c->turn[i]);
	free(c->turn);
	free(c->system.s);
	*c = (struct conversation) { 0 };
}

uint32_t conversation_cut(struct conversation *c, size_t n)
{
	uint32_t positions = c->turn[n].start;

	c->known = c->turn[n].known;
	while (c->n > n)
		turn_free(&c->turn[--c->n]);
	return positions;
}

int conversation_ask(struct conversation *c, const char *text, size_t n, uint32_t position)
{
	struct turn *grown = realloc(c->turn, (c->n + 1) * sizeof(*grown));
	int rc;

	if (!grown)
		return complain(EXIT_FAILED, "no memory for another turn");
	c->turn = grown;
	grown[c->n] = (struct turn) { .start = position, .known = c->known };
	rc = bytes_add(&grown[c->n].user, text, n);
	if (!rc)
		c->n++;
	return rc;
}

struct accel_chat_message *conversation_messages(const struct conversation *c, size_t *n)
{
	struct accel_chat_message *list = calloc(2 * c->n + 1, sizeof(*list));
	size_t at = 0;

	if (!list)
		return NULL;
	if (c->has_system)
		list[at++] = (struct accel_chat_message) { "system", c->system.s ? c->system.s : "", c->system.n };
	for (size_t i = 0; i < c->n; i++) {
		const struct turn *t = &c->turn[i];

		list[at++] = (struct accel_chat_message) { "user", t->user.s, t->user.n };
		if (t->answered)
			list[at++] = (struct accel_chat_message) {
				"assistant", t->assistant.s ? t->assistant.s : "", t->assistant.n
			};
	}
	*n = at;
	return list;
}
