// SPDX-License-Identifier: MIT
/* What files say about rotary positions, and how contexts beyond the trained one are had. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <octans/isa.h>

#include "arch.h"
#include "error.h"
#include "model/exact.h"
#include "model/gguf.h"
#include "plain.h"

const struct arch_key rope_keys[] = {
	KEY_U32("rope.dimension_count",			rope.rot,		2,	OCTANS_MAX_HEAD_DIM),
	KEY_F32("rope.freq_base",			rope.base,		1.001,	1e12),
	KEY_F32("rope.scaling.factor",			rope.factor,		0,	1e6),
	KEY_F32("rope.scale_linear",			rope.old_factor,	0,	1e6),
	KEY_F32("rope.scaling.attn_factor",		rope.magnitude,		1e-6,	1e6),
	KEY_U32("rope.scaling.original_context_length",	rope.original,		0,	1u << 30),
	KEY_F32("rope.scaling.yarn_ext_factor",		rope.extrapolate,	-1,	1),
	KEY_F32("rope.scaling.yarn_beta_fast",		rope.fast,		1e-3,	1e6),
	KEY_F32("rope.scaling.yarn_beta_slow",		rope.slow,		1e-3,	1e6),
	KEY_F32("rope.scaling.yarn_attn_factor",	rope.yarn_magnitude,	0,	1e6),
	KEY_ONLY("rope.scaling.yarn_truncate",		1,			1),
	KEY_KNOWN("rope.scaling.type"),
	KEY_KNOWN("rope.scaling.finetuned"),
};

const unsigned int n_rope_keys = ARCH_N(rope_keys);

static int read_type(const struct loader *ld, enum rope_scaling *type)
{
	static const char *const names[] = {
		[ROPE_LINEAR] = "linear", [ROPE_NONE] = "none", [ROPE_YARN] = "yarn", [ROPE_LONG] = "longrope",
	};
	char key[64];
	const char *s;
	size_t n;
	int err;

	/* Without a type, a factor is a linear one. */
	*type = ROPE_LINEAR;
	snprintf(key, sizeof(key), "%s.rope.scaling.type", ld->arch->name);
	err = gguf_get_str(ld->g, key, &s, &n);
	if (err == -ENOENT)
		return 0;
	for (unsigned int i = 0; i < ARCH_N(names) && !err; i++)
		if (n == strlen(names[i]) && !memcmp(s, names[i], n)) {
			*type = i;
			return 0;
		}
	return fail(-EINVAL, "%s: \"%s\" is %s, which is not supported; supported: none, linear, yarn, longrope",
		    ld->path, key, gguf_value_text(ld->g, key, (char [64]) { 0 }, 64));
}

int loader_scaling(const struct loader *ld, struct hparams *h)
{
	int err = read_type(ld, &h->rope.scaling);

	if (!h->rope.factor)
		h->rope.factor = h->rope.old_factor;
	if (!h->rope.factor || h->rope.scaling == ROPE_NONE)
		h->rope.factor = 1;
	if (!h->rope.magnitude)
		h->rope.magnitude = 1;
	/* Negative, or not said: all of it.  Who writes something else is not agreed on what it means. */
	if (!err && h->rope.scaling == ROPE_YARN && h->rope.extrapolate >= 0 && h->rope.extrapolate != 1)
		err = fail(-EINVAL, "%s: \"%s.rope.scaling.yarn_ext_factor\" is %g; models with other than 1 are not supported",
			   ld->path, h->arch, h->rope.extrapolate);
	return err;
}

/* Divisors of the frequencies, if the file has them. */
static int read_divisors(struct loader *ld, const struct rope *r, const char *name, const float **divisors)
{
	struct weight w;
	const float *f;
	int err = loader_take(ld, name, 1, r->rot / 2, &w);

	if (err)
		return err;
	f = w.data;
	for (uint32_t i = 0; i < w.cols; i++)
		if (!(f[i] >= 1e-3f))	/* infinite: a pair that does not turn */
			return fail(-EINVAL, "%s: value %u of the tensor \"%s\" is %g, it must be 0.001 or more",
				    ld->path, i, name, f[i]);
	*divisors = f;
	return 0;
}

static int read_long(struct loader *ld, struct rope *r)
{
	static const char *const names[] = { "rope_factors_short.weight", "rope_factors_long.weight" };
	const float **to[] = { &r->divisor, &r->long_divisor };

	for (int i = 0; i < 2; i++) {
		int err = read_divisors(ld, r, names[i], to[i]);

		if (err == -ENOENT)
			err = fail(-EINVAL, "%s: the tensor \"%s\" is missing, which longrope needs", ld->path,
				   names[i]);
		if (err)
			return err;
	}
	return 0;
}

static int check(const struct loader *ld, const struct rope *r)
{
	/* What heads have room for, attention asks. */
	if (r->rot % 2 || r->rot > OCTANS_MAX_HEAD_DIM)
		return fail(-EINVAL, "%s: \"%s.rope.dimension_count\" is %u, it must be even, and no more than %u",
			    ld->path, ld->arch->name, r->rot, OCTANS_MAX_HEAD_DIM);
	if (!(r->scale >= 1e-3))
		return fail(-EINVAL, "%s: \"%s.rope.scaling.factor\" is %g, it must be 0.001 or more, or 0 for none",
			    ld->path, ld->arch->name, r->scale);
	return 0;
}

/* Some files say what YaRN's magnitude is anyway: 1 + ln(factor) / 10. */
static int check_magnitude(const struct loader *ld, const struct rope *r)
{
	const float says = ld->h.rope.yarn_magnitude;
	double is = r->scale > 1 ? 1 + 0.1 * exact_ln(r->scale) : 1;

	if (says == 0 || says == 1 || (r->extrapolate != 0 && fabs(says - is) < 1e-4))
		return 0;
	return fail(-EINVAL, "%s: \"%s.rope.scaling.yarn_attn_factor\" is %g; models with other than 1, or %g of this factor, are not supported",
		    ld->path, ld->arch->name, says, is);
}

static int read_rope(struct loader *ld, struct rope *r)
{
	const struct hparams *h = &ld->h;
	int err = 0;

	*r = (struct rope) {
		.half = ld->arch->rope_half,
		.rot = h->rope.rot ? h->rope.rot : h->key_dim,
		.base = h->rope.base ? h->rope.base : 10000,
		.scale = h->rope.factor,
		.original = h->rope.original ? h->rope.original : h->ctx,
		.fast = h->rope.fast ? h->rope.fast : 32, .slow = h->rope.slow ? h->rope.slow : 1,
		.extrapolate = h->rope.scaling == ROPE_YARN,
		.magnitude = h->rope.magnitude,
		.stretch = 1, .shrink = h->rope.log_mul,
	};
	if (ld->arch->rope_set)
		err = ld->arch->rope_set(r, h, ld->path);
	if (!err)
		err = check(ld, r);
	if (!err)
		err = check_magnitude(ld, r);
	if (err)
		return err;
	if (h->rope.scaling == ROPE_LONG || (ld->arch->rope_long && gguf_find_tensor(ld->g, "rope_factors_long.weight")))
		return read_long(ld, r);
	err = read_divisors(ld, r, "rope_freqs.weight", &r->divisor);
	return err == -ENOENT ? 0 : err;
}

int loader_rope(struct loader *ld)
{
	struct table t = { .kind = TABLE_ROPE };
	int err = read_rope(ld, &t.rope);

	if (!err)
		err = model_table(ld->m, &t);
	if (err < 0 || !ld->arch->rope_swa)
		return err;
	err = ld->arch->rope_swa(&t.rope, &ld->h);
	if (!err)
		err = check(ld, &t.rope);
	return err ? err : model_table(ld->m, &t) < 0 ? -EINVAL : 0;
}
