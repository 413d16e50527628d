/* SPDX-License-Identifier: MIT */
/* F32: IEEE 754 binary32. */
WEIGHT_TYPE(F32, f32, FLOAT, 0, .elements = 1, .bytes = 4)

#ifdef TYPE_SCALAR
static void f32_widen(float *to, const uint8_t *from, uint32_t n)
{
	memcpy(to, from, (size_t)n * 4);
}
#endif

#ifdef TYPE_AVX2
INLINE __m256 f32_load8(const uint8_t *from)
{
	return _mm256_loadu_ps((const float *)(const void *)from);
}
#endif
