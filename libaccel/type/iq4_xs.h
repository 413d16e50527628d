/* SPDX-License-Identifier: MIT */
/* IQ4_XS: F16 d, the upper two bits of eight scales, 4 bytes of the lower four, each 32 too large;
 * 128 bytes of nibbles, 16 bytes for 32 values, which choose among the values of IQ4_NL. */
WEIGHT_TYPE(IQ4_XS, iq4_xs, SCALED, 23, .elements = 256, .bytes = 136, .group = 32,
	    .has_sign = true)

#ifdef TYPE_SCALAR
static void iq4_xs_unpack(struct type_block *b, const uint8_t *w)
{
	b->d = load_f16(w);
	for (int j = 0; j < 8; j++) {
		int low = w[4 + j / 2] >> 4 * (j % 2) & 15, high = load_u16(w + 2) >> 2 * j & 3;

		b->scale[j] = (int8_t)((low | high << 4) - 32);
		look_up_nibbles(b->code + 32 * j, iq4_values, w + 8 + 16 * j);
	}
}
#endif

#ifdef TYPE_AVX2
INLINE void iq4_xs_codes(struct panel *p, const uint8_t *w, int r)
{
	uint64_t low = 0, high = load_u16(w + 2);

	memcpy(&low, w + 4, 4);
	/* nibbles and pairs of bits to a byte each */
	low = (low | low << 16) & 0x0000ffff0000ffffull;
	low = (low | low << 8) & 0x00ff00ff00ff00ffull;
	low = (low | low << 4) & 0x0f0f0f0f0f0f0f0full;
	high = (high | high << 24) & 0x000000ff000000ffull;
	high = (high | high << 12) & 0x000f000f000f000full;
	high = (high | high << 6) & 0x0303030303030303ull;
	p->sc[0][r] = less_32(low | high << 4);
	UNROLL
	for (int j = 0; j < 8; j++)
		p->code[j][r] = look_up(iq4_values, nibbles(w + 8 + 16 * j));
}
#endif
