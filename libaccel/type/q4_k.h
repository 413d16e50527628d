/* SPDX-License-Identifier: MIT */
/* Q4_K: F16 d, F16 dmin, 12 bytes of scales and minima, 128 bytes of nibbles. */
WEIGHT_TYPE(Q4_K, q4_k, SCALED, 12, .elements = 256, .bytes = 144, .group = 32, .minima = true,
	    .top = 15, .m_at = 2)

#ifdef TYPE_SCALAR
static void q4_k_unpack(struct type_block *b, const uint8_t *w)
{
	b->d = load_f16(w);
	b->m = load_f16(w + 2);
	unpack_six_bits(b->scale, b->min, w + 4);
	unpack_groups(b->code, w + 16);
}
#endif

#ifdef TYPE_WORDS
INLINE void q4_k_words(struct panel *p, struct rows *w, size_t at)
{
	head_of_six_bits(p, w, at);
	groups_of_nibbles(p, w, at + 16);
}
#endif
