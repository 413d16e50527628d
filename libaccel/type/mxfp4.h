/* SPDX-License-Identifier: MIT */
/* MXFP4: an exponent, 16 bytes of nibbles: floats of four bits (E2M1), twice as large here so that
 * they are whole numbers, and the scale is half as large. */
WEIGHT_TYPE(MXFP4, mxfp4, PLAIN, 39, .elements = 32, .bytes = 17, .offset = 12, .top = 24,
	    .d_exponent = true)

#ifdef TYPE_SCALAR
static void mxfp4_unpack(struct type_block *b, const uint8_t *w)
{
	static const int8_t values[16] = {
		0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12,
	};

	b->d = ldexpf(1, w[0] - 128);
	look_up_nibbles(b->code, values, w + 1);
}
#endif

#ifdef TYPE_WORDS
static const int8_t mxfp4_above[16] = {	/* greater by offset */
	12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0,
};

INLINE void mxfp4_words(struct panel *p, uint32_t b, struct rows *w, size_t at)
{
	words head[4], e, small;

	seen_words(head, w, at);
	e = head[0] & 255;
	small = (words)(e < 2);	/* subnormal */
	p->d[b] = (floats)((small & 0x200000 << (e & 1)) | (~small & (e - 1) << 23));
	nibbles(p->code[b], p->code[b] + 4, w, at + 1);
	UNROLL
	for (int k = 0; k < 8; k++)
		p->code[b][k] = look_up(mxfp4_above, p->code[b][k]);
}
#endif
