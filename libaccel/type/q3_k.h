/* SPDX-License-Identifier: MIT */
/* Q3_K: 32 bytes of third bits, 64 bytes of the lower two, 12 bytes of sixteen scales of six bits,
 * 32 too large, F16 d. */
WEIGHT_TYPE(Q3_K, q3_k, SCALED, 11, .elements = 256, .bytes = 110, .group = 16, .offset = 4,
	    .top = 7, .d_at = 108)

#ifdef TYPE_SCALAR
static void q3_k_unpack(struct type_block *b, const uint8_t *w)
{
	const uint8_t *s = w + 96;

	b->d = load_f16(w + 108);
	for (int j = 0; j < 16; j++)
		b->scale[j] = (int8_t)(((s[j % 8] >> 4 * (j / 8) & 15) |
					(s[8 + j % 4] >> 2 * (j / 4) & 3) << 4) - 32);
	for (int j = 0; j < 8; j++)
		for (int i = 0; i < 32; i++) {
			int low = w[32 + 32 * (j / 4) + i] >> 2 * (j % 4) & 3;

			b->code[32 * j + i] = (int8_t)(low + (w[i] >> j & 1) * 4 - 4);
		}
}
#endif

#ifdef TYPE_AVX2
INLINE void q3_k_codes(struct panel *p, const uint8_t *w, int r)
{
	const __m256i low = _mm256_set1_epi8(3);
	__m256i third = _mm256_loadu_si256((const __m256i *)w);
	uint64_t s, high;
	uint32_t two;

	memcpy(&s, w + 96, 8);
	memcpy(&two, w + 104, 4);
	high = (two & 0x03030303) | (uint64_t)(two >> 2 & 0x03030303) << 32;
	p->sc[0][r] = less_32((s & 0x0f0f0f0f0f0f0f0full) | high << 4);
	high = (two >> 4 & 0x03030303) | (uint64_t)(two >> 6 & 0x03030303) << 32;
	p->sc[1][r] = less_32((s >> 4 & 0x0f0f0f0f0f0f0f0full) | high << 4);
	UNROLL
	for (int h = 0; h < 2; h++) {
		__m256i v = _mm256_loadu_si256((const __m256i *)(w + 32 + 32 * h));

		UNROLL
		for (int j = 0; j < 4; j++)
			p->code[4 * h + j][r] = _mm256_or_si256(
				_mm256_and_si256(_mm256_srli_epi16(v, 2 * j), low),
				move_bit(third, 4 * h + j, 2));
	}
}
#endif
