/* SPDX-License-Identifier: MIT */
/* Q5_1: F16 d, F16 m, a word of the fifth bits, 16 bytes of nibbles. */
WEIGHT_TYPE(Q5_1, q5_1, PLAIN, 7, .elements = 32, .bytes = 24, .minima = true, .top = 31, .m_at = 2)

#ifdef TYPE_SCALAR
static void q5_1_unpack(struct type_block *b, const uint8_t *w)
{
	b->d = load_f16(w);
	b->m = load_f16(w + 2);
	unpack_nibbles(b->code, w + 8, 0);
	add_fifth_bits(b->code, w + 4);
}
#endif

#ifdef TYPE_WORDS
INLINE void q5_1_words(struct panel *p, uint32_t b, struct rows *w, size_t at)
{
	words head[4];

	seen_words(head, w, at);
	p->d[b] = low_f16(head[0]);
	p->m[b] = high_f16(head[0]);
	nibbles(p->code[b], p->code[b] + 4, w, at + 8);
	fifth_bits(p->code[b], head[1]);
}
#endif
