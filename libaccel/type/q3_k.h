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

#ifdef TYPE_WORDS
INLINE void q3_k_words(struct panel *p, struct rows *w, size_t at)
{
	words third[8], v[4], s[3];

	load_words(third, w, at);
	load_words(third + 4, w, at + 16);
	codes_of_two_bits(p, w, at + 32);
	UNROLL
	for (int j = 0; j < 8; j++)
		UNROLL
		for (int k = 0; k < 8; k++)
			p->code[j][k] |= move_bit(third[k], j, 2);
	load_words(v, w, at + 94);	/* its last sixteen bytes */
	UNROLL
	for (int i = 0; i < 3; i++)
		s[i] = v[i] >> 16 | v[i + 1] << 16;
	UNROLL
	for (int j = 0; j < 16; j++) {
		words low = s[j / 4 % 2] >> (8 * (j % 4) + 4 * (j / 8)) & 15;
		words high = s[2] >> (8 * (j % 4) + 2 * (j / 4)) & 3;

		p->scale[j] = (low | high << 4) - 32;
	}
	p->d[0] = high_f16(v[3]);
}
#endif
