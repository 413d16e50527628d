/* SPDX-License-Identifier: MIT */
/* Q4_K: F16 d, F16 dmin, 12 bytes of scales and minima, 128 bytes of nibbles. */
WEIGHT_TYPE(Q4_K, q4_k, SCALED, 12, .elements = 256, .bytes = 144, .group = 32, .minima = true,
	    .top = 15, .m_at = 2)

#ifdef TYPE_SCALAR
static void q4_k_unpack(struct type_block *b, const uint8_t *w)
{
	b->d = load_f16(w);
	b->m = load_f16(w + 2);
	unpack_six_bits(b->scale, b->min, w + 4);
	unpack_groups(b->code, w + 16);
}
#endif

#ifdef TYPE_AVX2
INLINE void q4_k_codes(struct panel *p, const uint8_t *w, int r)
{
	const __m256i low = _mm256_set1_epi8(15);

	six_bits_behind(w, &p->sc[0][r], &p->mins[0][r]);
	UNROLL
	for (int g = 0; g < 4; g++) {
		__m256i v = _mm256_loadu_si256((const __m256i *)(w + 16 + 32 * g));

		p->code[2 * g][r] = _mm256_and_si256(v, low);
		p->code[2 * g + 1][r] = _mm256_and_si256(_mm256_srli_epi16(v, 4), low);
	}
}
#endif

AVX512_TYPE(q4_k, SCALED)
#ifdef TYPE_AVX512
INLINE void q4_k_words(struct panel *p, struct rows *w, size_t at)
{
	six_bits_head(p, w, at);
	UNROLL
	for (int i = 0; i < 8; i++)
		nibbles(p->code[i & ~1] + 4 * (i & 1), p->code[i | 1] + 4 * (i & 1), w,
			at + 16 + 16 * i);
}
#endif
