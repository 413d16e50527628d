/* SPDX-License-Identifier: MIT */
/* Q5_0: F16 d, a word of the fifth bits, 16 bytes of nibbles. */
WEIGHT_TYPE(Q5_0, q5_0, PLAIN, 6, .elements = 32, .bytes = 22, .offset = 16, .top = 31)

#ifdef TYPE_SCALAR
static void q5_0_unpack(struct type_block *b, const uint8_t *w)
{
	b->d = load_f16(w);
	unpack_nibbles(b->code, w + 6, 16);
	add_fifth_bits(b->code, w + 2);
}
#endif

#ifdef TYPE_WORDS
INLINE void q5_0_words(struct panel *p, uint32_t b, struct rows *w, size_t at)
{
	words head[4];

	seen_words(head, w, at);
	p->d[b] = low_f16(head[0]);
	nibbles(p->code[b], p->code[b] + 4, w, at + 6);
	fifth_bits(p->code[b], head[0] >> 16 | head[1] << 16);
}
#endif
