/* SPDX-License-Identifier: MIT */
/* Q2_K: 16 bytes, a scale in the low and a minimum in the high nibble; 64 bytes of codes of two
 * bits; F16 d, F16 dmin. */
WEIGHT_TYPE(Q2_K, q2_k, SCALED, 10, .elements = 256, .bytes = 84, .group = 16, .minima = true,
	    .top = 3, .d_at = 80, .m_at = 82)

#ifdef TYPE_SCALAR
static void q2_k_unpack(struct type_block *b, const uint8_t *w)
{
	b->d = load_f16(w + 80);
	b->m = load_f16(w + 82);
	for (int j = 0; j < 16; j++) {
		b->scale[j] = (int8_t)(w[j] & 15);
		b->min[j] = w[j] >> 4;
	}
	for (int j = 0; j < 8; j++)
		for (int i = 0; i < 32; i++)
			b->code[32 * j + i] = (int8_t)(w[16 + 32 * (j / 4) + i] >> 2 * (j % 4) & 3);
}
#endif

#ifdef TYPE_AVX2
INLINE void q2_k_codes(struct panel *p, const uint8_t *w, int r)
{
	const __m256i low = _mm256_set1_epi8(3);

	UNROLL
	for (int h = 0; h < 2; h++) {
		__m256i v = _mm256_loadu_si256((const __m256i *)(w + 16 + 32 * h));
		uint64_t s;

		memcpy(&s, w + 8 * h, 8);
		p->sc[h][r] = s & 0x0f0f0f0f0f0f0f0full;
		p->mins[h][r] = s >> 4 & 0x0f0f0f0f0f0f0f0full;
		p->code[4 * h][r] = _mm256_and_si256(v, low);
		p->code[4 * h + 1][r] = _mm256_and_si256(_mm256_srli_epi16(v, 2), low);
		p->code[4 * h + 2][r] = _mm256_and_si256(_mm256_srli_epi16(v, 4), low);
		p->code[4 * h + 3][r] = _mm256_and_si256(_mm256_srli_epi16(v, 6), low);
	}
}
#endif
