/* SPDX-License-Identifier: MIT */
/*
 * The inner loops of tile.c, included once for each level of the processor with LEVEL(name)
 * and LANES (floats of a vector) defined.  Eight sums are in registers at a time.
 */
#define VECTORS (TILE_LANES / LANES)
#define TALL (8 / VECTORS)	/* rows of weights */

typedef float LEVEL(vec) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
#define vec LEVEL(vec)

SIM_PART vec LEVEL(splat)(float f)
{
#if LANES == 16
	return (vec)_mm512_set1_ps(f);
#elif LANES == 8
	return (vec)_mm256_set1_ps(f);
#else
	return (vec){ f, f, f, f };
#endif
}

SIM_PART vec LEVEL(fused)(vec a, vec b, vec c)
{
#if LANES == 16
	return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif LANES == 8
	return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
	for (int i = 0; i < LANES; i++)
		c[i] = fmaf(a[i], b[i], c[i]);
	return c;
#endif
}

/* Products and sums that are exact anyway. */
SIM_PART vec LEVEL(exact)(vec a, vec b, vec c)
{
#if LANES > 4
	return LEVEL(fused)(a, b, c);
#else
	return a * b + c;
#endif
}

#define AT(p) (*(vec *)(void *)(p))
#define FROM(p) (*(const vec *)(const void *)(p))
#define EACH_SUM for (uint32_t r = 0; r < TALL; r++) for (uint32_t v = 0; v < VECTORS; v++)

/* s += 32 products. */
SIM_PART void LEVEL(products)(vec s[TALL][VECTORS], const struct sim_block *w, uint32_t first,
			      const float *x, bool exact)
{
	for (int i = 0; i < 32; i++) {
		vec xs[VECTORS];

		for (uint32_t v = 0; v < VECTORS; v++)
			xs[v] = FROM(x + TILE_LANES * i + LANES * v);
		for (uint32_t r = 0; r < TALL; r++) {
			vec f = LEVEL(splat)(w[r].w[first + i]);

			for (uint32_t v = 0; v < VECTORS; v++)
				s[r][v] = exact ? LEVEL(exact)(f, xs[v], s[r][v]) :
						    LEVEL(fused)(f, xs[v], s[r][v]);
		}
	}
}

/* The eight sums of floats. */
SIM_PART void LEVEL(floats)(float *acc, const struct sim_block *w, const float *x)
{
	for (uint32_t p = 0; p < 8; p++) {
		vec s[TALL][VECTORS];

		EACH_SUM
			s[r][v] = FROM(acc + TILE_LANES * (8 * r + p) + LANES * v);
		LEVEL(products)(s, w, 32 * p, x + TILE_LANES * 32 * p, false);
		EACH_SUM
			AT(acc + TILE_LANES * (8 * r + p) + LANES * v) = s[r][v];
	}
}

/* @n sub-blocks of 32 with a scale each. */
SIM_PART void LEVEL(simple)(float *acc, const struct sim_block *w, const float *x, const float *d,
			    const float *xs, bool mins, uint32_t n)
{
	for (uint32_t j = 0; j < n; j++) {
		vec s[TALL][VECTORS] = { 0 };

		LEVEL(products)(s, w, 32 * j, x + TILE_LANES * 32 * j, true);
		EACH_SUM {
			vec scale = LEVEL(splat)(w[r].d[j]) * FROM(d + TILE_LANES * j + LANES * v);
			float *to = acc + TILE_LANES * r + LANES * v;

			AT(to) = LEVEL(fused)(scale, s[r][v], FROM(to));
			if (mins)
				AT(to) = LEVEL(fused)(LEVEL(splat)(w[r].m[j]),
						      FROM(xs + TILE_LANES * j + LANES * v),
						      FROM(to));
		}
	}
}

/* The minima of a block of 256, one for each 32 elements. */
SIM_PART void LEVEL(mins)(vec b[TALL][VECTORS], const struct sim_block *w, const float *xs)
{
	for (uint32_t j = 0; j < 8; j++)
		EACH_SUM
			b[r][v] = LEVEL(fused)(LEVEL(splat)(w[r].m[j]),
					       FROM(xs + TILE_LANES * j + LANES * v), b[r][v]);
}

/* The same, one for each 16. */
SIM_PART void LEVEL(mins_16)(vec b[TALL][VECTORS], const struct sim_block *w, const float *x,
			     const float *d)
{
	for (uint32_t j = 0; j < 8; j++) {
		vec half[2][VECTORS] = { 0 };

		for (uint32_t i = 0; i < 32; i++)
			for (uint32_t v = 0; v < VECTORS; v++)
				half[i / 16][v] += FROM(x + TILE_LANES * (32 * j + i) + LANES * v);
		EACH_SUM {
			vec m = LEVEL(splat)(w[r].m[2 * j]) * half[0][v];

			m = LEVEL(exact)(LEVEL(splat)(w[r].m[2 * j + 1]), half[1][v], m);
			b[r][v] = LEVEL(fused)(FROM(d + TILE_LANES * j + LANES * v), m, b[r][v]);
		}
	}
}

/* A block of 256; the scales of its parts are in the codes. */
SIM_PART void LEVEL(nested)(float *acc, const struct sim_block *w, const float *x, const float *d,
			    const float *xs, const struct sim_type *t)
{
	vec a[TALL][VECTORS] = { 0 }, b[TALL][VECTORS] = { 0 };

	for (uint32_t j = 0; j < 8; j++) {
		vec s[TALL][VECTORS] = { 0 };

		LEVEL(products)(s, w, 32 * j, x + TILE_LANES * 32 * j, true);
		EACH_SUM
			a[r][v] = LEVEL(fused)(FROM(d + TILE_LANES * j + LANES * v), s[r][v],
					       a[r][v]);
	}
	EACH_SUM {
		float *to = acc + TILE_LANES * r + LANES * v;

		AT(to) = LEVEL(fused)(LEVEL(splat)(w[r].d[0]), a[r][v], FROM(to));
	}
	if (!t->mins)
		return;
	if (t->part == 32)
		LEVEL(mins)(b, w, xs);
	else
		LEVEL(mins_16)(b, w, x, d);
	EACH_SUM {
		float *to = acc + TILE_LANES * r + LANES * v;

		AT(to) = LEVEL(fused)(LEVEL(splat)(-w[r].dmin), b[r][v], FROM(to));
	}
}

static void LEVEL(tile_dot)(float *acc, const uint8_t *const *rows, uint32_t type,
			    const struct sim_tile *t)
{
	const struct sim_type *kind = sim_type(type);
	uint32_t sums = kind->form == SIM_FLOATS ? 8 : 1;
	_Alignas(64) struct sim_block w[TILE_ROWS];

	for (uint32_t at = 0, n; at < t->n; at += n) {
		uint32_t b = at / SIM_BLOCK;

		n = t->n - at < SIM_BLOCK ? t->n - at : SIM_BLOCK;
		for (uint32_t r = 0; r < TILE_ROWS; r++)
			sim_unpack_block(&w[r], rows[r] + at / kind->elements * kind->bytes, type,
					 n);
		for (uint32_t g = 0; g < t->groups; g++) {
			uint64_t group = (uint64_t)b * t->groups + g;
			const float *x = t->x + group * SIM_BLOCK * TILE_LANES;
			const float *d = t->d + group * 8 * TILE_LANES;
			const float *xs = t->xs + group * 8 * TILE_LANES;

			for (uint32_t r = 0; r < TILE_ROWS; r += TALL) {
				float *to = acc + ((uint64_t)g * TILE_ROWS + r) * sums * TILE_LANES;

				if (sums == 8)
					LEVEL(floats)(to, w + r, x);
				else if (kind->form == SIM_NESTED)
					LEVEL(nested)(to, w + r, x, d, xs, kind);
				else
					LEVEL(simple)(to, w + r, x, d, xs, kind->mins, n / 32);
			}
		}
	}
}

#undef EACH_SUM
#undef FROM
#undef AT
#undef vec
#undef TALL
#undef VECTORS
#undef LANES
#undef LEVEL
