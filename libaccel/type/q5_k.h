/* SPDX-License-Identifier: MIT */
/* Q5_K: F16 d, F16 dmin, 12 bytes of scales and minima, 32 bytes of fifth bits, 128 bytes of
 * nibbles. */
WEIGHT_TYPE(Q5_K, q5_k, SCALED, 13, .elements = 256, .bytes = 176, .group = 32, .minima = true,
	    .top = 31, .m_at = 2)

#ifdef TYPE_SCALAR
static void q5_k_unpack(struct type_block *b, const uint8_t *w)
{
	const uint8_t *fifth = w + 16;

	b->d = load_f16(w);
	b->m = load_f16(w + 2);
	unpack_six_bits(b->scale, b->min, w + 4);
	unpack_groups(b->code, w + 48);
	for (int j = 0; j < 8; j++)
		for (int i = 0; i < 32; i++)
			b->code[32 * j + i] = (int8_t)(b->code[32 * j + i] +
						       (fifth[i] >> j & 1) * 16);
}
#endif

#ifdef TYPE_WORDS
INLINE void q5_k_words(struct panel *p, struct rows *w, size_t at)
{
	words fifth[8];

	head_of_six_bits(p, w, at);
	load_words(fifth, w, at + 16);
	load_words(fifth + 4, w, at + 32);
	groups_of_nibbles(p, w, at + 48);
	UNROLL
	for (int j = 0; j < 8; j++)
		UNROLL
		for (int k = 0; k < 8; k++)
			p->code[j][k] |= move_bit(fifth[k], j, 4);
}
#endif
