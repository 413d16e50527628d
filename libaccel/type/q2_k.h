/* SPDX-License-Identifier: MIT */
/* Q2_K: 16 bytes, a scale in the low and a minimum in the high nibble; 64 bytes of codes of two
 * bits; F16 d, F16 dmin. */
WEIGHT_TYPE(Q2_K, q2_k, SCALED, 10, .elements = 256, .bytes = 84, .group = 16, .minima = true,
	    .top = 3, .d_at = 80, .m_at = 82)

#ifdef TYPE_SCALAR
static void q2_k_unpack(struct type_block *b, const uint8_t *w)
{
	b->d = load_f16(w + 80);
	b->m = load_f16(w + 82);
	for (int j = 0; j < 16; j++) {
		b->scale[j] = (int8_t)(w[j] & 15);
		b->min[j] = w[j] >> 4;
	}
	for (int j = 0; j < 8; j++)
		for (int i = 0; i < 32; i++)
			b->code[32 * j + i] = (int8_t)(w[16 + 32 * (j / 4) + i] >> 2 * (j % 4) & 3);
}
#endif

#ifdef TYPE_WORDS
INLINE void q2_k_words(struct panel *p, struct rows *w, size_t at)
{
	words s[4], last[4];

	load_words(s, w, at);
	UNROLL
	for (int j = 0; j < 16; j++) {
		p->scale[j] = s[j / 4] >> 8 * (j % 4) & 15;
		p->min[j] = s[j / 4] >> (8 * (j % 4) + 4) & 15;
	}
	codes_of_two_bits(p, w, at + 16);
	seen_words(last, w, at + 68);
	p->d[0] = low_f16(last[3]);
	p->m[0] = high_f16(last[3]);
}
#endif
