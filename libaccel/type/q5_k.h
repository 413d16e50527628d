/* SPDX-License-Identifier: MIT */
/* Q5_K: F16 d, F16 dmin, 12 bytes of scales and minima, 32 bytes of fifth bits, 128 bytes of
 * nibbles. */
WEIGHT_TYPE(Q5_K, q5_k, SCALED, 13, .elements = 256, .bytes = 176, .group = 32, .minima = true,
	    .top = 31, .m_at = 2)

#ifdef TYPE_SCALAR
static void q5_k_unpack(struct type_block *b, const uint8_t *w)
{
	const uint8_t *fifth = w + 16;

	b->d = load_f16(w);
	b->m = load_f16(w + 2);
	unpack_six_bits(b->scale, b->min, w + 4);
	unpack_groups(b->code, w + 48);
	for (int j = 0; j < 8; j++)
		for (int i = 0; i < 32; i++)
			b->code[32 * j + i] = (int8_t)(b->code[32 * j + i] +
						       (fifth[i] >> j & 1) * 16);
}
#endif

#ifdef TYPE_AVX2
INLINE void q5_k_codes(struct panel *p, const uint8_t *w, int r)
{
	const __m256i low = _mm256_set1_epi8(15);
	__m256i fifth = _mm256_loadu_si256((const __m256i *)(w + 16));

	six_bits_behind(w, &p->sc[0][r], &p->mins[0][r]);
	UNROLL
	for (int g = 0; g < 4; g++) {
		__m256i v = _mm256_loadu_si256((const __m256i *)(w + 48 + 32 * g));

		p->code[2 * g][r] = _mm256_or_si256(
			_mm256_and_si256(v, low), move_bit(fifth, 2 * g, 4));
		p->code[2 * g + 1][r] = _mm256_or_si256(
			_mm256_and_si256(_mm256_srli_epi16(v, 4), low),
			move_bit(fifth, 2 * g + 1, 4));
	}
}
#endif

AVX512_TYPE(q5_k, SCALED)
#ifdef TYPE_AVX512
INLINE void q5_k_words(struct panel *p, struct rows *w, size_t at)
{
	__m512i fifth[8];

	six_bits_head(p, w, at);
	load_words(fifth, w, at + 16);
	load_words(fifth + 4, w, at + 32);
	UNROLL
	for (int i = 0; i < 8; i++)
		nibbles(p->code[i & ~1] + 4 * (i & 1), p->code[i | 1] + 4 * (i & 1), w,
			at + 48 + 16 * i);
	UNROLL
	for (int j = 0; j < 8; j++)
		UNROLL
		for (int k = 0; k < 8; k++)
			p->code[j][k] = or_field(p->code[j][k], fifth[k], j - 4, 16);
}
#endif
