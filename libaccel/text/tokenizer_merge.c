// SPDX-License-Identifier: MIT
/* Merging neighbours by score: what SentencePiece and BPE have in common. */
#include <errno.h>
#include <stdlib.h>

#include "vocab.h"

static bool better(const struct pair *a, const struct pair *b)
{
	return a->score > b->score || (a->score == b->score && a->left < b->left);
}

static int push(struct merger *m, struct pair p)
{
	size_t i = m->n;

	if (m->n == m->room) {
		size_t room = 2 * m->room + 64;
		struct pair *grown = realloc(m->heap, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		m->heap = grown;
		m->room = room;
	}
	m->n++;
	for (; i && better(&p, &m->heap[(i - 1) / 2]); i = (i - 1) / 2)
		m->heap[i] = m->heap[(i - 1) / 2];
	m->heap[i] = p;
	return 0;
}

static struct pair pop(struct merger *m)
{
	struct pair top = m->heap[0], last = m->heap[--m->n];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < m->n) {
		if (child + 1 < m->n && better(&m->heap[child + 1], &m->heap[child]))
			child++;
		if (!better(&m->heap[child], &last))
			break;
		m->heap[i] = m->heap[child];
		i = child;
	}
	m->heap[i] = last;
	return top;
}

static int consider(struct merger *m, int32_t left, int32_t right)
{
	struct pair p = { .left = left, .right = right };
	const struct symbol *l, *r;

	if (left < 0 || right < 0)
		return 0;
	l = &m->symbols[left];
	r = &m->symbols[right];
	p.n = l->n + r->n;
	if (!m->score_of(m->t, m->text + l->at, l->n, p.n, &p.score))
		return 0;
	return push(m, p);
}

/* By its first byte alone: what is damaged stays together as the byte says. */
static uint32_t character_bytes(uint8_t c)
{
	return c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

static int cut(struct merger *m, const char *text, size_t n)
{
	size_t count = 0;

	if (n > INT32_MAX / 2)
		return -ENOMEM;
	if (n > m->room_symbols) {
		struct symbol *grown = realloc(m->symbols, n * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		m->symbols = grown;
		m->room_symbols = n;
	}
	m->text = text;
	m->n = 0;
	for (size_t at = 0; at < n; count++) {
		uint32_t len = character_bytes(text[at]);

		if (len > n - at)
			len = n - at;
		m->symbols[count] = (struct symbol) {
			.at = at, .n = len, .prev = (int32_t)count - 1,
			.next = at + len < n ? (int32_t)count + 1 : -1,
		};
		at += len;
	}
	return 0;
}

int merge_text(struct merger *m, const char *text, size_t n)
{
	int rc = cut(m, text, n);

	for (int32_t i = 0; !rc && m->symbols[i].next >= 0; i++)
		rc = consider(m, i, i + 1);
	while (!rc && m->n) {
		struct pair p = pop(m);
		struct symbol *l = &m->symbols[p.left], *r = &m->symbols[p.right];

		if (!l->n || !r->n || l->n + r->n != p.n)
			continue;	/* one of them was merged meanwhile */
		l->n += r->n;
		r->n = 0;
		l->next = r->next;
		if (r->next >= 0)
			m->symbols[r->next].prev = p.left;
		rc = consider(m, l->prev, p.left);
		if (!rc)
			rc = consider(m, p.left, l->next);
	}
	return rc;
}

void merge_end(struct merger *m)
{
	free(m->symbols);
	free(m->heap);
}
