/* SPDX-License-Identifier: MIT */
/*
 * The inner loops of dot.c, included once for each level of the processor with LEVEL(name)
 * and LANES (words of a vector: 4 or 8) defined.  Products are taken along the rows, as halfwords,
 * and folded until the sums of LANES rows lie side by side.
 */
#define TYPED(name, type) \
	typedef type LEVEL(name) __attribute__((vector_size(4 * LANES), aligned(1), may_alias))
TYPED(halves, int16_t);
TYPED(words, int32_t);
TYPED(bits, uint32_t);
TYPED(longs, int64_t);
TYPED(reals, float);
#undef TYPED
#define halves LEVEL(halves)
#define words LEVEL(words)
#define bits LEVEL(bits)
#define longs LEVEL(longs)
#define reals LEVEL(reals)

#define FROM(type, p) (*(const type *)(const void *)(p))
#define PICK(type, a, b, ...) __builtin_shufflevector((type)(a), (type)(b), __VA_ARGS__)

/* Sums of neighbours, so long or so wide: those of a, then those of b, in every 128 bits apart, as
 * processors shuffle. */
#if LANES == 8
#define FOLD_LONGS(a, b) ((halves)PICK(longs, a, b, 0, 4, 2, 6) + \
			  (halves)PICK(longs, a, b, 1, 5, 3, 7))
#define FOLD_WORDS(a, b) ((halves)PICK(words, a, b, 0, 2, 8, 10, 4, 6, 12, 14) + \
			  (halves)PICK(words, a, b, 1, 3, 9, 11, 5, 7, 13, 15))
#else
#define FOLD_LONGS(a, b) ((halves)PICK(longs, a, b, 0, 2) + (halves)PICK(longs, a, b, 1, 3))
#define FOLD_WORDS(a, b) ((halves)PICK(words, a, b, 0, 2, 4, 6) + \
			  (halves)PICK(words, a, b, 1, 3, 5, 7))
#endif

SIM_PART words LEVEL(pairs)(halves a)
{
	return ((words)((bits)a << 16) >> 16) + ((words)a >> 16);
}

/*
 * Of LANES rows, @n elements (16 or 32).  A halfword adds up to 2 n / LANES products on the way:
 * 16 of 5-bit codes or 8 of 6-bit codes with int8 just fit.
 */
SIM_PART reals LEVEL(sums)(const int16_t *code, const int16_t *x, int n)
{
	halves p[LANES];
	words sum;

	for (int r = 0; r < LANES; r++) {
		const int16_t *row = code + r * SIM_BLOCK;

		p[r] = FROM(halves, row) * FROM(halves, x);
		for (int i = 2 * LANES; i < n; i += 2 * LANES)
			p[r] += FROM(halves, row + i) * FROM(halves, x + i);
	}
	for (int r = 0; r < LANES / 2; r++)
		p[r] = FOLD_LONGS(p[2 * r], p[2 * r + 1]);
	for (int r = 0; r < LANES / 4; r++)
		p[r] = FOLD_WORDS(p[2 * r], p[2 * r + 1]);
#if LANES == 8
	words a = LEVEL(pairs)(p[0]), b = LEVEL(pairs)(p[1]);

	sum = PICK(words, a, b, 0, 1, 2, 3, 8, 9, 10, 11) +
	      PICK(words, a, b, 4, 5, 6, 7, 12, 13, 14, 15);
#else
	sum = LEVEL(pairs)(p[0]);
#endif
	return __builtin_convertvector(sum, reals);
}

SIM_PART reals LEVEL(fused)(reals a, reals b, reals c)
{
	for (int i = 0; i < LANES; i++)
		c[i] = fmaf(a[i], b[i], c[i]);
	return c;
}

SIM_PART reals LEVEL(splat)(float f)
{
	return f - (reals){ 0 };
}

SIM_PART reals LEVEL(f16)(const uint16_t *h)
{
	float f[LANES];

	ROLLED
	for (int i = 0; i < LANES; i++)
		f[i] = f16_to_f32(h[i]);
	return FROM(reals, f);
}

/* Byte @i of each word. */
SIM_PART reals LEVEL(byte)(const uint32_t *w, int i)
{
	return __builtin_convertvector((words)(FROM(bits, w) >> 8 * i & 255), reals);
}

SIM_PART reals LEVEL(signed_byte)(const uint32_t *w, int i)
{
	return __builtin_convertvector((words)(FROM(bits, w) << (24 - 8 * i)) >> 24, reals);
}

/* LANES rows from row @r on over one block; sums times scales are exact. */
SIM_PART reals LEVEL(block)(reals acc, const struct dot_rows *w, uint32_t r, uint32_t type,
			    const float *d, const float *xs, const int16_t *x, uint32_t n)
{
	reals products = { 0 }, mins = { 0 };

	for (uint32_t j = 0; j < n / 32; j++) {
		const int16_t *code = w->code[r] + 32 * j;
		reals s;

		if (type == OCTANS_TYPE_Q6_K)
			s = LEVEL(sums)(code, x + 32 * j, 16) *
				    LEVEL(signed_byte)(w->scale[j / 2] + r, j % 2 * 2) +
			    LEVEL(sums)(code + 16, x + 32 * j + 16, 16) *
				    LEVEL(signed_byte)(w->scale[j / 2] + r, j % 2 * 2 + 1);
		else
			s = LEVEL(sums)(code, x + 32 * j, 32);
		if (type == OCTANS_TYPE_Q4_K) {
			s *= LEVEL(byte)(w->scale[j / 4] + r, j % 4);
			mins = LEVEL(fused)(LEVEL(byte)(w->min[j / 4] + r, j % 4),
					    LEVEL(splat)(xs[j]), mins);
		}
		if (type == OCTANS_TYPE_Q4_0 || type == OCTANS_TYPE_Q5_0)
			acc = LEVEL(fused)(LEVEL(f16)(w->d[j] + r) * LEVEL(splat)(d[j]), s,
					   acc);
		else
			products = LEVEL(fused)(LEVEL(splat)(d[j]), s, products);
	}
	if (type == OCTANS_TYPE_Q4_K || type == OCTANS_TYPE_Q6_K)
		acc = LEVEL(fused)(LEVEL(f16)(w->d[0] + r), products, acc);
	if (type == OCTANS_TYPE_Q4_K)
		acc = LEVEL(fused)(-LEVEL(f16)(w->dmin + r), mins, acc);
	return acc;
}

SIM_PART void LEVEL(dot_type)(float *acc, const uint8_t *const *rows, size_t ahead,
			      uint32_t type, const struct sim_quant *x, uint32_t n)
{
	_Alignas(64) struct dot_rows w;

	for (uint32_t at = 0, len; at < n; at += len) {
		len = n - at < SIM_BLOCK ? n - at : SIM_BLOCK;
		dot_unpack(&w, rows, ahead, type, at, len);
		for (uint32_t r = 0; r < DOT_ROWS; r += LANES)
			*(reals *)(void *)(acc + r) =
				LEVEL(block)(FROM(reals, acc + r), &w, r, type, x->d + at / 32,
					     x->xs + at / 32, x->q + at, len);
	}
}

static void LEVEL(dot)(float *acc, const uint8_t *const *rows, size_t ahead, uint32_t type,
		       const struct sim_quant *x, uint32_t n)
{
	switch (type) {
	case OCTANS_TYPE_Q4_0:
		LEVEL(dot_type)(acc, rows, ahead, OCTANS_TYPE_Q4_0, x, n);
		break;
	case OCTANS_TYPE_Q5_0:
		LEVEL(dot_type)(acc, rows, ahead, OCTANS_TYPE_Q5_0, x, n);
		break;
	case OCTANS_TYPE_Q4_K:
		LEVEL(dot_type)(acc, rows, ahead, OCTANS_TYPE_Q4_K, x, n);
		break;
	case OCTANS_TYPE_Q6_K:
		LEVEL(dot_type)(acc, rows, ahead, OCTANS_TYPE_Q6_K, x, n);
		break;
	}
}

#undef FOLD_WORDS
#undef FOLD_LONGS
#undef PICK
#undef FROM
#undef reals
#undef longs
#undef bits
#undef words
#undef halves
#undef LANES
#undef LEVEL
