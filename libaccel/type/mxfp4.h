/* SPDX-License-Identifier: MIT */
/* MXFP4: an exponent, 16 bytes of nibbles: floats of four bits (E2M1), twice as large here so that
 * they are whole numbers, and the scale is half as large. */
WEIGHT_TYPE(MXFP4, mxfp4, PLAIN, 39, .elements = 32, .bytes = 17, .offset = 12, .top = 24,
	    .d_exponent = true)

#ifdef TYPE_SCALAR
static void mxfp4_unpack(struct type_block *b, const uint8_t *w)
{
	static const int8_t values[16] = {
		0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12,
	};

	b->d = ldexpf(1, w[0] - 128);
	look_up_nibbles(b->code, values, w + 1);
}
#endif

#ifdef TYPE_AVX2
INLINE __m256i mxfp4_codes(const uint8_t *w)
{
	static const int8_t values[16] = {
		12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0,
	};

	return look_up(values, nibbles(w + 1));
}
#endif
