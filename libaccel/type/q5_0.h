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
