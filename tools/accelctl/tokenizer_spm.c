// SPDX-License-Identifier: MIT
/*
 * SentencePiece with scores: the text begins as single characters; again and again the
 * neighbours whose union is the token of the highest score (of equals the leftmost) are
 * merged.  What is no token in the end is written as byte tokens.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vocab.h"

struct symbol {
	uint32_t at, n;		/* bytes of the text; n = 0: merged into its left neighbour */
	int32_t prev, next;
};

struct pair {
	float score;
	int32_t left, right;
	uint32_t n;		/* bytes of both when the pair was found */
};

struct work {
	const struct tokenizer *t;
	char *text;
	struct symbol *symbols;
	struct pair *heap;	/* best first */
	size_t n, room;
};

static bool better(const struct pair *a, const struct pair *b)
{
	return a->score > b->score || (a->score == b->score && a->left < b->left);
}

static int push(struct work *w, struct pair p)
{
	size_t i = w->n;

	if (w->n == w->room) {
		size_t room = 2 * w->room + 64;
		struct pair *grown = realloc(w->heap, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		w->heap = grown;
		w->room = room;
	}
	w->n++;
	for (; i && better(&p, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
		w->heap[i] = w->heap[(i - 1) / 2];
	w->heap[i] = p;
	return 0;
}

static struct pair pop(struct work *w)
{
	struct pair top = w->heap[0], last = w->heap[--w->n];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < w->n) {
		if (child + 1 < w->n && better(&w->heap[child + 1], &w->heap[child]))
			child++;
		if (!better(&w->heap[child], &last))
			break;
		w->heap[i] = w->heap[child];
		i = child;
	}
	w->heap[i] = last;
	return top;
}

static int consider(struct work *w, int32_t left, int32_t right)
{
	struct pair p = { .left = left, .right = right };
	int32_t id;

	if (left < 0 || right < 0)
		return 0;
	p.n = w->symbols[left].n + w->symbols[right].n;
	id = token_find(w->t, w->text + w->symbols[left].at, p.n);
	if (id < 0)
		return 0;
	p.score = w->t->tokens[id].score;
	return push(w, p);
}

static int merge_all(struct work *w)
{
	while (w->n) {
		struct pair p = pop(w);
		struct symbol *l = &w->symbols[p.left], *r = &w->symbols[p.right];
		int rc;

		if (!l->n || !r->n || l->n + r->n != p.n)
			continue;	/* one of them was merged meanwhile */
		l->n += r->n;
		r->n = 0;
		l->next = r->next;
		if (r->next >= 0)
			w->symbols[r->next].prev = p.left;
		rc = consider(w, l->prev, p.left);
		if (!rc)
			rc = consider(w, p.left, l->next);
		if (rc)
			return rc;
	}
	return 0;
}

static int output(struct work *w, struct ids *out)
{
	int rc = 0;

	for (int32_t i = 0; i >= 0 && !rc; i = w->symbols[i].next) {
		const struct symbol *s = &w->symbols[i];
		int32_t id = token_find(w->t, w->text + s->at, s->n);

		if (id >= 0) {
			rc = ids_add(out, id);
			continue;
		}
		for (uint32_t k = 0; k < s->n && !rc; k++) {
			id = w->t->byte_token[(uint8_t)w->text[s->at + k]];
			if (id < 0)
				id = w->t->unknown;
			if (id >= 0)
				rc = ids_add(out, id);
		}
	}
	return rc;
}

int spm_encode(const struct tokenizer *t, const char *s, size_t n, bool prefix, struct ids *out)
{
	struct work w = { .t = t };
	size_t size = 0, count = 0;
	int rc = -ENOMEM;

	if (n > INT32_MAX / 4)
		return -ENOMEM;
	w.text = malloc(3 * (n + 1));
	w.symbols = malloc((n + 1) * sizeof(*w.symbols));
	if (!w.text || !w.symbols)
		goto out;
	for (size_t i = 0; i < n + prefix; i++) {
		char c = prefix ? i ? s[i - 1] : ' ' : s[i];

		if (c == ' ') {
			memcpy(w.text + size, "\xe2\x96\x81", 3);
			size += 3;
		} else {
			w.text[size++] = c;
		}
	}
	for (size_t at = 0; at < size; count++) {
		struct symbol *y = &w.symbols[count];
		uint32_t len;

		utf8_at(w.text + at, size - at, &len);
		y->at = at;
		y->n = len;
		y->prev = (int32_t)count - 1;
		at += len;
		y->next = at < size ? (int32_t)count + 1 : -1;
	}
	rc = 0;
	for (size_t i = 1; i < count && !rc; i++)
		rc = consider(&w, i - 1, i);
	if (!rc)
		rc = merge_all(&w);
	if (!rc)
		rc = output(&w, out);
out:
	free(w.heap);
	free(w.symbols);
	free(w.text);
	return rc;
}
