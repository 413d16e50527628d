/* SPDX-License-Identifier: MIT */
/* Q6_K: 128 bytes of the lower four bits, 64 of the upper two, 16 int8 scales, F16 d. */
WEIGHT_TYPE(Q6_K, q6_k, SCALED, 14, .elements = 256, .bytes = 210, .group = 16, .offset = 32,
	    .top = 63, .d_at = 208)

#ifdef TYPE_SCALAR
static void q6_k_unpack(struct type_block *b, const uint8_t *w)
{
	b->d = load_f16(w + 208);
	memcpy(b->scale, w + 192, 16);
	for (int j = 0; j < 8; j++) {
		const uint8_t *low = w + 64 * (j / 4) + 32 * (j % 2);
		const uint8_t *high = w + 128 + 32 * (j / 4);

		for (int i = 0; i < 32; i++)
			b->code[32 * j + i] = (int8_t)((low[i] >> 4 * (j % 4 / 2) & 15) +
						       ((high[i] >> 2 * (j % 4) & 3) << 4) - 32);
	}
}
#endif

#ifdef TYPE_AVX2
INLINE void q6_k_codes(struct panel *p, const uint8_t *w, int r)
{
	const __m256i low4 = _mm256_set1_epi8(15), high2 = _mm256_set1_epi8(0x30);

	memcpy(&p->sc[0][r], w + 192, 8);
	memcpy(&p->sc[1][r], w + 200, 8);
	UNROLL
	for (int h = 0; h < 2; h++) {
		__m256i l0 = _mm256_loadu_si256((const __m256i *)(w + 64 * h));
		__m256i l1 = _mm256_loadu_si256((const __m256i *)(w + 64 * h + 32));
		__m256i q = _mm256_loadu_si256((const __m256i *)(w + 128 + 32 * h));

		p->code[4 * h][r] = _mm256_or_si256(
			_mm256_and_si256(l0, low4),
			_mm256_and_si256(_mm256_slli_epi16(q, 4), high2));
		p->code[4 * h + 1][r] = _mm256_or_si256(
			_mm256_and_si256(l1, low4),
			_mm256_and_si256(_mm256_slli_epi16(q, 2), high2));
		p->code[4 * h + 2][r] = _mm256_or_si256(
			_mm256_and_si256(_mm256_srli_epi16(l0, 4), low4),
			_mm256_and_si256(q, high2));
		p->code[4 * h + 3][r] = _mm256_or_si256(
			_mm256_and_si256(_mm256_srli_epi16(l1, 4), low4),
			_mm256_and_si256(_mm256_srli_epi16(q, 2), high2));
	}
}
#endif

AVX512_TYPE(q6_k, SCALED)
#ifdef TYPE_AVX512
INLINE void q6_k_words(struct panel *p, struct rows *w, size_t at)
{
	__m512i s[4], last[4];

	seen_words(last, w, at + 194);
	p->d[0] = high_f16(last[3]);
	load_words(s, w, at + 192);
	UNROLL
	for (int j = 0; j < 16; j++)
		p->scale[j] = signed_byte(s[j / 4], j % 4);
	UNROLL
	for (int i = 0; i < 4; i++) {	/* half of the block, half of 32 columns */
		__m512i (*code)[8] = p->code + 4 * (i / 2), high[4];
		int k = 4 * (i % 2);

		load_words(high, w, at + 128 + 16 * i);
		nibbles(code[0] + k, code[2] + k, w, at + 64 * (i / 2) + 16 * (i % 2));
		nibbles(code[1] + k, code[3] + k, w, at + 64 * (i / 2) + 16 * (i % 2) + 32);
		UNROLL
		for (int q = 0; q < 4; q++) {
			code[0][k + q] = or_field(code[0][k + q], high[q], -4, 0x30);
			code[1][k + q] = or_field(code[1][k + q], high[q], -2, 0x30);
			code[2][k + q] = or_field(code[2][k + q], high[q], 0, 0x30);
			code[3][k + q] = or_field(code[3][k + q], high[q], 2, 0x30);
		}
	}
}
#endif
