// SPDX-License-Identifier: MIT
/* Tokens in the order of their bytes: all that a text begins with are found in one walk along it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vocab.h"

/* Of equal texts first those that count in any text, then the lowest number. */
static int by_text(const void *a, const void *b, void *arg)
{
	const struct accel_tokenizer *t = arg;
	uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
	const struct token *x = &t->tokens[i], *y = &t->tokens[j];
	int d = memcmp(x->text, y->text, x->n < y->n ? x->n : y->n);

	if (!d)
		d = (x->n > y->n) - (x->n < y->n);
	if (!d)
		d = (y->type == TOKEN_USER) - (x->type == TOKEN_USER);
	return d ? d : (i > j) - (i < j);
}

int sorted_new(struct sorted *l, const struct accel_tokenizer *t, unsigned int types)
{
	uint32_t n = 0;

	l->n = 0;
	l->list = malloc(t->n * sizeof(*l->list));
	if (!l->list)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->n; i++)
		if (types >> t->tokens[i].type & 1 && t->tokens[i].n)
			l->list[n++] = i;
	qsort_r(l->list, n, sizeof(*l->list), by_text, (void *)t);
	for (uint32_t i = 0; i < n; i++) {
		const struct token *k = &t->tokens[l->list[i]];

		if (!l->n || !token_is(&t->tokens[l->list[l->n - 1]], k->text, k->n))
			l->list[l->n++] = l->list[i];
	}
	return 0;
}

/* In list[low..high), all equal in their first k bytes: those that go on with c or more. */
static uint32_t bound(const struct sorted *l, const struct accel_tokenizer *t, uint32_t low, uint32_t high,
		      uint32_t k, unsigned int c)
{
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		const struct token *x = &t->tokens[l->list[mid]];

		if (x->n > k && (uint8_t)x->text[k] >= c)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static bool goes_on(const struct token *t, uint32_t k, uint8_t c)
{
	return t->n > k && (uint8_t)t->text[k] == c;
}

bool sorted_next(const struct sorted *l, const struct accel_tokenizer *t, struct walk *w, uint8_t c)
{
	/* Far into long tokens all of them mostly do. */
	if (w->low == w->high || !goes_on(&t->tokens[l->list[w->low]], w->n, c) ||
	    !goes_on(&t->tokens[l->list[w->high - 1]], w->n, c)) {
		w->low = bound(l, t, w->low, w->high, w->n, c);
		w->high = bound(l, t, w->low, w->high, w->n, c + 1u);
	}
	w->n++;
	/* What ends here is the first of those that are left. */
	w->id = w->low < w->high && t->tokens[l->list[w->low]].n == w->n ? (int32_t)l->list[w->low] : -1;
	return w->low < w->high;
}
