/* SPDX-License-Identifier: MIT */
/* IQ4_NL: F16 d, 16 bytes of nibbles, which choose among sixteen values. */
WEIGHT_TYPE(IQ4_NL, iq4_nl, PLAIN, 20, .elements = 32, .bytes = 18, .has_sign = true)

#ifdef TYPE_SCALAR
static void iq4_nl_unpack(struct type_block *b, const uint8_t *w)
{
	b->d = load_f16(w);
	look_up_nibbles(b->code, iq4_values, w + 2);
}
#endif

#ifdef TYPE_AVX2
INLINE __m256i iq4_nl_codes(const uint8_t *w)
{
	return look_up(iq4_values, nibbles(w + 2));
}
#endif
