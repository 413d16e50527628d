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

#ifdef TYPE_AVX2
INLINE __m256i q4_0_codes(const uint8_t *w)
{
	return nibbles(w + 2);
}
#endif

AVX512_TYPE(q4_0, PLAIN)
#ifdef TYPE_AVX512
INLINE void q4_0_words(struct panel *p, uint32_t b, struct rows *w, size_t at)
{
	__m512i head[4];

	seen_words(head, w, at);
	p->d[b] = low_f16(head[0]);
	nibbles(p->code[b], p->code[b] + 4, w, at + 2);
}
#endif
