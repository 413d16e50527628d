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

#ifdef TYPE_WORDS
INLINE void iq4_xs_words(struct panel *p, struct rows *w, size_t at)
{
	words head[4];

	seen_words(head, w, at);
	p->d[0] = low_f16(head[0]);
	UNROLL
	for (int j = 0; j < 8; j++) {
		p->scale[j] = ((head[1] >> 4 * j & 15) | (head[0] >> (16 + 2 * j) & 3) << 4) - 32;
		nibbles(p->code[j], p->code[j] + 4, w, at + 8 + 16 * j);
		UNROLL
		for (int k = 0; k < 8; k++)
			p->code[j][k] = look_up(iq4_values, p->code[j][k]);
	}
}
#endif
