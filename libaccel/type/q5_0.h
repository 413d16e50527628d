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

#ifdef TYPE_AVX2
INLINE __m256i q5_0_codes(const uint8_t *w)
{
	return _mm256_or_si256(nibbles(w + 6), fifth_bits(w + 2));
}
#endif

AVX512_TYPE(q5_0, PLAIN)
#ifdef TYPE_AVX512
INLINE void q5_0_words(struct panel *p, uint32_t b, struct rows *w, size_t at)
{
	__m512i head[4];

	seen_words(head, w, at);
	p->d[b] = low_f16(head[0]);
	nibbles(p->code[b], p->code[b] + 4, w, at + 6);
	fifth_bits(p->code[b], _mm512_or_si512(_mm512_srli_epi32(head[0], 16),
					       _mm512_slli_epi32(head[1], 16)));
}
#endif
