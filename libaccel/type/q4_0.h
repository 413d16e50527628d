/* SPDX-License-Identifier: MIT */
/* Q4_0: F16 d, 16 bytes of nibbles. */
WEIGHT_TYPE(Q4_0, q4_0, PLAIN, 2, .elements = 32, .bytes = 18, .offset = 8, .top = 15)

#ifdef TYPE_SCALAR
static void q4_0_unpack(struct type_block *b, const uint8_t *w)
{
	b->d = load_f16(w);
	unpack_nibbles(b->code, w + 2, 8);
}
#endif

#ifdef TYPE_WORDS
INLINE void q4_0_words(struct panel *p, uint32_t b, struct rows *w, size_t at)
{
	words head[4];

	seen_words(head, w, at);
	p->d[b] = low_f16(head[0]);
	nibbles(p->code[b], p->code[b] + 4, w, at + 2);
}
#endif
