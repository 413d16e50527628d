/* SPDX-License-Identifier: MIT */
/* F16: IEEE 754 binary16. */
WEIGHT_TYPE(F16, f16, FLOAT, 1, .elements = 1, .bytes = 2)

#ifdef TYPE_SCALAR
static void f16_widen(float *to, const uint8_t *from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		to[i] = load_f16(from + 2 * i);
}
#endif

#ifdef TYPE_AVX2
INLINE __m256 f16_load8(const uint8_t *from)
{
	return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from));
}
#endif
