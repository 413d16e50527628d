/* SPDX-License-Identifier: MIT */
/* Q8_0: F16 d, 32 int8. */
WEIGHT_TYPE(Q8_0, q8_0, PLAIN, 8, .elements = 32, .bytes = 34, .has_sign = true)

#ifdef TYPE_SCALAR
static void q8_0_unpack(struct type_block *b, const uint8_t *w)
{
	b->d = load_f16(w);
	memcpy(b->code, w + 2, 32);
}
#endif

#ifdef TYPE_AVX2
INLINE __m256i q8_0_codes(const uint8_t *w)
{
	return _mm256_loadu_si256((const __m256i *)(w + 2));
}
#endif

AVX512_TYPE(q8_0, PLAIN)
#ifdef TYPE_AVX512
INLINE void q8_0_words(struct panel *p, uint32_t b, struct rows *w, size_t at)
{
	__m512i head[4];

	seen_words(head, w, at);
	p->d[b] = low_f16(head[0]);
	load_words(p->code[b], w, at + 2);
	load_words(p->code[b] + 4, w, at + 18);
	UNROLL
	for (int k = 0; k < 8; k++)
		p->code[b][k] = _mm512_xor_si512(p->code[b][k], bytes(128));
}
#endif
