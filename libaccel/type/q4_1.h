/* SPDX-License-Identifier: MIT */
/* Q4_1: F16 d, F16 m, 16 bytes of nibbles. */
WEIGHT_TYPE(Q4_1, q4_1, PLAIN, 3, .elements = 32, .bytes = 20, .minima = true, .top = 15, .m_at = 2)

#ifdef TYPE_SCALAR
static void q4_1_unpack(struct type_block *b, const uint8_t *w)
{
	b->d = load_f16(w);
	b->m = load_f16(w + 2);
	unpack_nibbles(b->code, w + 4, 0);
}
#endif

#ifdef TYPE_WORDS
INLINE void q4_1_words(struct panel *p, uint32_t b, struct rows *w, size_t at)
{
	words head[4];

	seen_words(head, w, at);
	p->d[b] = low_f16(head[0]);
	p->m[b] = high_f16(head[0]);
	nibbles(p->code[b], p->code[b] + 4, w, at + 4);
}
#endif
