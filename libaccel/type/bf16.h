/* SPDX-License-Identifier: MIT */
/* BF16: the upper half of an F32. */
WEIGHT_TYPE(BF16, bf16, FLOAT, 30, .elements = 1, .bytes = 2)

#ifdef TYPE_SCALAR
static void bf16_widen(float *to, const uint8_t *from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		to[i] = load_bf16(from + 2 * i);
}
#endif

#ifdef TYPE_AVX2
INLINE __m256 bf16_load8(const uint8_t *from)
{
	__m128i h = _mm_loadu_si128((const __m128i *)from);

	return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}
#endif
