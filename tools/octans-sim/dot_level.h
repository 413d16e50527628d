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

/* Of LANES rows, @n elements (16 or 32).  A halfword adds up to 2 n / LANES products on the way. */
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

/* Of 32 elements, in one go if 16 bits hold it: 16 of 5-bit codes with int8 just fit. */
SIM_PART reals LEVEL(sums_of_32)(const int16_t *code, const int16_t *x, const struct sim_type *t)
{
	if (64 / LANES * 127 * t->most < 32768)
		return LEVEL(sums)(code, x, 32);
	return LEVEL(sums)(code, x, 16) + LEVEL(sums)(code + 16, x + 16, 16);
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

SIM_PART reals LEVEL(powers)(const uint16_t *e)
{
	float f[LANES];

	ROLLED
	for (int i = 0; i < LANES; i++)
		f[i] = power_of_two(e[i]);
	return FROM(reals, f);
}

/* 32 elements, times the scales of their parts; exact. */
SIM_PART reals LEVEL(scaled)(const struct dot_rows *w, const int16_t *code, uint32_t r, uint32_t j,
			     const struct sim_type *t, const int16_t *x)
{
	if (t->part == 32)
		return LEVEL(sums_of_32)(code, x, t) *
		       LEVEL(signed_byte)(w->scale[j / 4] + r, j % 4);
	return LEVEL(sums)(code, x, 16) * LEVEL(signed_byte)(w->scale[j / 2] + r, j % 2 * 2) +
	       LEVEL(sums)(code + 16, x + 16, 16) *
		       LEVEL(signed_byte)(w->scale[j / 2] + r, j % 2 * 2 + 1);
}

/* LANES rows from row @r on over one block of NESTED. */
SIM_PART reals LEVEL(nested)(reals acc, const struct dot_rows *w, uint32_t r,
			     const struct sim_type *t, const float *d, const float *xs, const float *half, const int16_t *x)
{
	reals products = { 0 }, mins = { 0 };

	for (uint32_t j = 0; j < 8; j++) {
		reals s = LEVEL(scaled)(w, w->code[r] + 32 * j, r, j, t, x + 32 * j);

		products = LEVEL(fused)(LEVEL(splat)(d[j]), s, products);
		if (t->mins && t->part == 32)
			mins = LEVEL(fused)(LEVEL(byte)(w->min[j / 4] + r, j % 4),
					    LEVEL(splat)(xs[j]), mins);
		if (t->mins && t->part == 16)
			mins = LEVEL(fused)(LEVEL(splat)(d[j]),
					    LEVEL(byte)(w->min[j / 2] + r, j % 2 * 2) *
						    LEVEL(splat)(half[2 * j]) +
					    LEVEL(byte)(w->min[j / 2] + r, j % 2 * 2 + 1) *
						    LEVEL(splat)(half[2 * j + 1]),
					    mins);
	}
	acc = LEVEL(fused)(LEVEL(f16)(w->d[0] + r), products, acc);
	return t->mins ? LEVEL(fused)(-LEVEL(f16)(w->m[0] + r), mins, acc) : acc;
}

/* The same over @n elements of SIMPLE. */
SIM_PART reals LEVEL(simple)(reals acc, const struct dot_rows *w, uint32_t r,
			     const struct sim_type *t, const float *d, const float *xs, const int16_t *x, uint32_t n)
{
	for (uint32_t j = 0; j < n / 32; j++) {
		reals s = LEVEL(sums_of_32)(w->code[r] + 32 * j, x + 32 * j, t);
		reals scale = t->exponent ? LEVEL(powers)(w->d[j] + r) : LEVEL(f16)(w->d[j] + r);

		acc = LEVEL(fused)(scale * LEVEL(splat)(d[j]), s, acc);
		if (t->mins)
			acc = LEVEL(fused)(LEVEL(f16)(w->m[j] + r), LEVEL(splat)(xs[j]), acc);
	}
	return acc;
}

SIM_PART void LEVEL(block)(float *acc, const struct dot_rows *w, const struct sim_type *t,
			   const struct sim_quant *x, uint32_t at, uint32_t n)
{
	const float *d = x->d + at / 32, *xs = x->xs + at / 32;
	float half[16];

	if (t->mins && t->part == 16)
		dot_halves(half, x->q + at);
	for (uint32_t r = 0; r < DOT_ROWS; r += LANES) {
		reals *to = (reals *)(void *)(acc + r);

		*to = t->form == SIM_NESTED ?
		      LEVEL(nested)(*to, w, r, t, d, xs, half, x->q + at) :
		      LEVEL(simple)(*to, w, r, t, d, xs, x->q + at, n);
	}
}

#define DOT_FLOAT(NAME, name)
#define DOT_WIDE(NAME, name)
#define DOT_NARROW(NAME, name) \
	case OCTANS_TYPE_##NAME: \
		for (uint32_t at = 0, len; at < n; at += len) { \
			len = n - at < SIM_BLOCK ? n - at : SIM_BLOCK; \
			unpack_##name(&w, rows, ahead, at, len); \
			LEVEL(block)(acc, &w, &type_##name, x, at, len); \
		} \
		break;
#define DOT(NAME, name, form, codes, ...) DOT_##codes(NAME, name)

static void LEVEL(dot)(float *acc, const uint8_t *const *rows, size_t ahead, uint32_t type,
		       const struct sim_quant *x, uint32_t n)
{
	_Alignas(64) struct dot_rows w;

	switch (type) {
	SIM_TYPES(DOT)
	}
}

#undef DOT
#undef DOT_NARROW
#undef DOT_WIDE
#undef DOT_FLOAT
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
