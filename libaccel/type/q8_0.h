/* SPDX-License-Identifier: MIT */
/* Q8_0: F16 d, 32 int8. */
WEIGHT_TYPE(Q8_0, q8_0, PLAIN, 8, .elements = 32, .bytes = 34, .has_sign = true)

#ifdef TYPE_SCALAR
static void q8_0_unpack(struct type_block *b, const uint8_t *w)
{
	b->d = load_f16(w);
	memcpy(b->code, w + 2, 32);
}
#endif

#ifdef TYPE_WORDS
INLINE void q8_0_words(struct panel *p, uint32_t b, struct rows *w, size_t at)
{
	words head[4];

	seen_words(head, w, at);
	p->d[b] = low_f16(head[0]);
	load_words(p->code[b], w, at + 2);
	load_words(p->code[b] + 4, w, at + 18);
}
#endif
