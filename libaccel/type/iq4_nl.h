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

#ifdef TYPE_WORDS
INLINE void iq4_nl_words(struct panel *p, uint32_t b, struct rows *w, size_t at)
{
	words head[4];

	seen_words(head, w, at);
	p->d[b] = low_f16(head[0]);
	nibbles(p->code[b], p->code[b] + 4, w, at + 2);
	UNROLL
	for (int k = 0; k < 8; k++)
		p->code[b][k] = look_up(iq4_values, p->code[b][k]);
}
#endif
