/* SPDX-License-Identifier: MIT */
/* Q6_K: 128 bytes of the lower four bits, 64 of the upper two, 16 int8 scales, F16 d. */
WEIGHT_TYPE(Q6_K, q6_k, SCALED, 14, .elements = 256, .bytes = 210, .group = 16, .offset = 32,
	    .top = 63, .d_at = 208)

#ifdef TYPE_SCALAR
static void q6_k_unpack(struct type_block *b, const uint8_t *w)
{
	b->d = load_f16(w + 208);
	memcpy(b->scale, w + 192, 16);
	for (int j = 0; j < 8; j++) {
		const uint8_t *low = w + 64 * (j / 4) + 32 * (j % 2);
		const uint8_t *high = w + 128 + 32 * (j / 4);

		for (int i = 0; i < 32; i++)
			b->code[32 * j + i] = (int8_t)((low[i] >> 4 * (j % 4 / 2) & 15) +
						       ((high[i] >> 2 * (j % 4) & 3) << 4) - 32);
	}
}
#endif

#ifdef TYPE_WORDS
INLINE void q6_k_words(struct panel *p, struct rows *w, size_t at)
{
	words s[4], last[4];

	UNROLL
	for (int i = 0; i < 4; i++) {	/* half of the block, half of 32 columns */
		words (*code)[8] = p->code + 4 * (i / 2), high[4];
		size_t low = at + 64 * (i / 2) + 16 * (i % 2);
		int k = 4 * (i % 2);

		load_words(high, w, at + 128 + 16 * i);
		nibbles(code[0] + k, code[2] + k, w, low);
		nibbles(code[1] + k, code[3] + k, w, low + 32);
		UNROLL
		for (int q = 0; q < 4; q++) {
			code[0][k + q] |= high[q] << 4 & 0x30303030;
			code[1][k + q] |= high[q] << 2 & 0x30303030;
			code[2][k + q] |= high[q] & 0x30303030;
			code[3][k + q] |= high[q] >> 2 & 0x30303030;
		}
	}
	load_words(s, w, at + 192);
	UNROLL
	for (int j = 0; j < 16; j++)
		p->scale[j] = (words)((numbers)s[j / 4] << (24 - 8 * (j % 4)) >> 24);
	seen_words(last, w, at + 194);
	p->d[0] = high_f16(last[3]);
}
#endif
