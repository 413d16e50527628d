// SPDX-License-Identifier: MIT
/*
 * Reads a model by the tables of its architecture.  Every key under the architecture's prefix, and
 * every tensor, is accounted for.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <octans/isa.h>

#include "arch.h"
#include "error.h"
#include "model/gguf.h"
#include "op/cpu.h"
#include "plain.h"
#include "type/type.h"

#define ARCH(name) extern const struct arch arch_##name;
#include "list.h"
#undef ARCH

static const struct arch *const architectures[] = {
#define ARCH(name) &arch_##name,
#include "list.h"
#undef ARCH
};

#define KEY_ROOM 128	/* of a key's name: longer ones are none of ours */

static const char *key_name(const struct loader *ld, const char *name, char room[KEY_ROOM])
{
	if (*name == '.')
		return name + 1;
	snprintf(room, KEY_ROOM, "%s.%s", ld->arch->name, name);
	return room;
}

/* ---- keys ---- */

static int missing(const struct loader *ld, const char *key)
{
	return fail(-EINVAL, "%s: the key \"%s\" is missing", ld->path, key);
}

/* Which element of an array is the block's: *i.  A single number is every block's. */
static int element(const struct loader *ld, const char *key, const struct hparams *h, uint64_t *i)
{
	enum gguf_type type;
	bool array;
	uint64_t n;
	int err = gguf_shape(ld->g, key, &type, &array, &n);

	if (err)
		return err;
	*i = array ? h->block : 0;
	if (array && n != h->blocks)
		return fail(-EINVAL, "%s: \"%s\" is %s, it must be one number, or one for each of %u blocks", ld->path,
			    key, gguf_value_text(ld->g, key, (char [64]) { 0 }, 64), h->blocks);
	return 0;
}

/* Of all blocks the same. */
static int read_one_u32(const struct loader *ld, const struct arch_key *k, const char *key, struct hparams *h)
{
	bool yes;
	uint32_t v;
	uint64_t i;
	int err = element(ld, key, h, &i);

	if (err == -ENOENT)
		return k->needed ? missing(ld, key) : 0;
	if (err)
		return err;
	err = gguf_get_u32(ld->g, key, &v);
	if (err && !gguf_get_bool(ld->g, key, &yes)) {
		v = yes;
		err = 0;
	}
	if (err)
		return fail(-EINVAL, "%s: \"%s\" is %s, not one whole number", ld->path, key,
			    gguf_value_text(ld->g, key, (char [64]) { 0 }, 64));
	if (v < k->min || v > k->max)
		return fail(-EINVAL, "%s: \"%s\" is %u, it must be from %.0f to %.0f", ld->path, key, v, k->min,
			    k->max);
	memcpy((char *)h + k->field, &v, sizeof(v));
	return 0;
}

static int read_u32(const struct loader *ld, const struct arch_key *k, const char *key, struct hparams *h)
{
	int64_t v;
	uint64_t i;
	int err = element(ld, key, h, &i);
	uint32_t u;

	if (err == -ENOENT)
		return k->needed ? missing(ld, key) : 0;
	if (err)
		return err;
	if (gguf_int_at(ld->g, key, i, &v))
		return fail(-EINVAL, "%s: \"%s\" is %s, not a whole number", ld->path, key,
			    gguf_value_text(ld->g, key, (char [64]) { 0 }, 64));
	if (v < k->min || v > k->max)
		return fail(-EINVAL, "%s: \"%s\" is %lld, it must be from %.0f to %.0f", ld->path, key,
			    (long long)v, k->min, k->max);
	u = (uint32_t)v;
	memcpy((char *)h + k->field, &u, sizeof(u));
	return 0;
}

static int read_f32(const struct loader *ld, const struct arch_key *k, const char *key, struct hparams *h)
{
	double d;
	uint64_t i = 0;
	float v;
	int err = k->kind == ARCH_EACH_F32 ? element(ld, key, h, &i) :
		  gguf_key_name(ld->g, key) ? 0 : -ENOENT;

	if (err == -ENOENT)
		return k->needed ? missing(ld, key) : 0;
	if (err)
		return err;
	if ((k->kind == ARCH_F32 && gguf_get_f32(ld->g, key, &v)) || gguf_double_at(ld->g, key, i, &d) ||
	    !isfinite(d))
		return fail(-EINVAL, "%s: \"%s\" is %s, not a number", ld->path, key,
			    gguf_value_text(ld->g, key, (char [64]) { 0 }, 64));
	v = (float)d;
	/* As rounded: a limit may be no float. */
	if (!(v >= (float)k->min && v <= (float)k->max))
		return fail(-EINVAL, "%s: \"%s\" is %g, it must be from %g to %g", ld->path, key, v, k->min,
			    k->max);
	memcpy((char *)h + k->field, &v, sizeof(v));
	return 0;
}

/* A bool, or a number, or an array of equal ones. */
static int any_number(const struct gguf *g, const char *key, double *v)
{
	uint32_t u;
	float f;
	bool b;

	if (!gguf_get_bool(g, key, &b))
		*v = b;
	else if (!gguf_get_u32(g, key, &u))
		*v = u;
	else if (!gguf_get_f32(g, key, &f))
		*v = f;
	else
		return -EINVAL;
	return 0;
}

static int read_only(const struct loader *ld, const struct arch_key *k, const char *key)
{
	char is[64], must[64];
	double v;
	bool b;

	if (!any_number(ld->g, key, &v) && (v == k->min || v == k->max))
		return 0;
	if (!gguf_get_bool(ld->g, key, &b))
		snprintf(must, sizeof(must), "%s", k->min ? "true" : "false");
	else
		snprintf(must, sizeof(must), "%g", k->min);
	return fail(-EINVAL, "%s: \"%s\" is %s; models with other than %s are not supported", ld->path, key,
		    gguf_value_text(ld->g, key, is, sizeof(is)), must);
}

/* Truths of blocks are no numbers of blocks. */
static int read_pattern(const struct loader *ld, const struct arch_key *k, const char *key, struct hparams *h)
{
	enum gguf_type type = GGUF_U32;
	bool array = false;
	uint64_t n;
	uint32_t v;
	int err = read_u32(ld, k, key, h);

	if (err || gguf_shape(ld->g, key, &type, &array, &n) || !(array || type == GGUF_BOOL))
		return err;
	memcpy(&v, (char *)h + k->field, sizeof(v));
	v = v ? ARCH_YES : ARCH_NO;
	memcpy((char *)h + k->field, &v, sizeof(v));
	return 0;
}

static bool has(const struct gguf *g, const char *key)
{
	return gguf_value_text(g, key, (char [8]) { 0 }, 8) != NULL;
}

static int read_key(const struct loader *ld, const struct arch_key *k, struct hparams *h)
{
	char room[KEY_ROOM];
	const char *key = key_name(ld, k->name, room);

	switch (k->kind) {
	case ARCH_U32:
		return read_one_u32(ld, k, key, h);
	case ARCH_EACH_U32:
		return read_u32(ld, k, key, h);
	case ARCH_F32:
	case ARCH_EACH_F32:
		return read_f32(ld, k, key, h);
	case ARCH_PATTERN:
		return read_pattern(ld, k, key, h);
	case ARCH_ONLY:
		return has(ld->g, key) ? read_only(ld, k, key) : 0;
	case ARCH_BEYOND:
	case ARCH_USUAL:
	case ARCH_KNOWN:
		break;
	}
	return 0;
}

/*
 * Keys of one architecture in files of another, as converters and editors leave them: with these values they
 * say of any model what is so anyway.  What an architecture's own table has counts instead.
 */
static const struct arch_key neutral_keys[] = {
	KEY_ONLY("expert_count",			0,	0),
	/* of experts that are not there */
	KEY_KNOWN("expert_used_count"),
	KEY_KNOWN("expert_shared_count"),
	KEY_KNOWN("expert_feed_forward_length"),
	KEY_KNOWN("expert_shared_feed_forward_length"),
	KEY_KNOWN("expert_group_count"),
	KEY_KNOWN("expert_group_used_count"),
	KEY_KNOWN("expert_gating_func"),
	KEY_KNOWN("expert_weights_norm"),
	KEY_KNOWN("expert_weights_scale"),
	KEY_KNOWN("leading_dense_block_count"),
	KEY_ONLY("moe_latent_size",			0,	0),
	KEY_ONLY("nextn_predict_layers",		0,	0),
	KEY_ONLY("attention.causal",			1,	1),
	KEY_ONLY("attention.clamp_kqv",			0,	0),
	KEY_ONLY("attention.max_alibi_bias",		0,	0),
	KEY_ONLY("attention.shared_kv_layers",		0,	0),
	KEY_ONLY("attention.temperature_scale",		0,	0),
	KEY_BEYOND("attention.sliding_window"),
	KEY_USUAL("attention.scale"),
	KEY_ONLY("rope.scaling.yarn_log_multiplier",	0,	0),
	KEY_ONLY("embedding_length_per_layer_input",	0,	0),
	KEY_ONLY("embedding_scale",			1,	0),
	KEY_ONLY("residual_scale",			1,	0),
	KEY_ONLY("logit_scale",				1,	0),
	KEY_ONLY("attn_logit_softcapping",		0,	0),
	KEY_ONLY("final_logit_softcapping",		0,	0),
	KEY_ONLY("router_logit_softcapping",		0,	0),
	KEY_ONLY("use_parallel_residual",		0,	0),
	/* The norm of the other kind, which needs its own; how vectors of texts are made; how q and k were, once */
	KEY_KNOWN("attention.layer_norm_epsilon"),
	KEY_KNOWN("attention.layer_norm_rms_epsilon"),
	KEY_KNOWN("pooling_type"),
	KEY_KNOWN("tensor_data_layout"),
};

static int check_neutral(const struct loader *ld, const struct arch_key *k, const char *key)
{
	char is[64];
	double v;

	if (k->kind == ARCH_KNOWN)
		return 0;
	if (k->kind == ARCH_ONLY)
		return read_only(ld, k, key);
	if (!any_number(ld->g, key, &v) &&
	    (!v || (k->kind == ARCH_BEYOND && v >= ld->h.ctx) ||
	     (k->kind == ARCH_USUAL && fabs(v * sqrt(ld->h.key_dim) - 1) < 1e-5)))
		return 0;
	gguf_value_text(ld->g, key, is, sizeof(is));
	if (k->kind == ARCH_BEYOND)
		return fail(-EINVAL, "%s: \"%s\" is %s, less than the context of %u, which is not supported", ld->path,
			    key, is, ld->h.ctx);
	return fail(-EINVAL, "%s: \"%s\" is %s; models with other than %g are not supported", ld->path, key, is,
		    1 / sqrt(ld->h.key_dim));
}

/* What the file says of a block, and what follows from it. */
static int read_keys(const struct loader *ld, uint32_t block, struct hparams *h)
{
	char router[64];
	int err = 0;

	*h = (struct hparams) {
		.one = 1, .block = block, .arch = ld->arch->name, .rope.extrapolate = -1, .window_pattern = ARCH_UNSAID, .positions = 1,
		.recurrent = ARCH_UNSAID,
		.vocab = ld->vocab, .out_vocab = ld->out_vocab,
	};
	for (unsigned int i = 0; i < ld->arch->n_keys && !err; i++)
		err = read_key(ld, &ld->arch->keys[i], h);
	for (unsigned int i = 0; ld->arch->rope && i < n_rope_keys && !err; i++)
		err = read_key(ld, &rope_keys[i], h);
	if (!err && ld->arch->rope)
		err = loader_scaling(ld, h);
	if (!err && h->nextn >= h->blocks)
		err = fail(-EINVAL, "%s: \"%s.nextn_predict_layers\" is %u, of %u blocks", ld->path, ld->arch->name,
			   h->nextn, h->blocks);
	if (err)
		return err;
	h->blocks -= h->nextn;
	snprintf(router, sizeof(router), "blk.%u.ffn_gate_inp.weight", block);
	h->router = gguf_find_tensor(ld->g, router) != NULL;
	return ld->arch->derive(h, ld->path);
}

static const struct arch_key *find_key(const struct arch_key *keys, unsigned int n, const char *name)
{
	for (unsigned int i = 0; i < n; i++)
		if (!strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

/* A key that nobody reads may change what is to be computed. */
static int check_keys(const struct loader *ld)
{
	size_t prefix = strlen(ld->arch->name);

	for (uint64_t i = 0; i < gguf_n_keys(ld->g); i++) {
		const char *key = gguf_key_at(ld->g, i), *name = key + prefix + 1;
		const struct arch_key *neutral;
		int err;

		if (strncmp(key, ld->arch->name, prefix) || key[prefix] != '.' ||
		    find_key(ld->arch->keys, ld->arch->n_keys, name) ||
		    (ld->arch->rope && find_key(rope_keys, n_rope_keys, name)))
			continue;
		neutral = find_key(neutral_keys, ARCH_N(neutral_keys), name);
		err = neutral ? check_neutral(ld, neutral, key) : -ENOENT;
		if (!err)
			continue;
		if (neutral)
			return err;
		return fail(-EINVAL, "%s: the key \"%s\" (%s) is not known; it may mean that the model computes something else",
			    ld->path, PLAIN(key), gguf_value_text(ld->g, key, (char [64]) { 0 }, 64));
	}
	return 0;
}

/* ---- tensors ---- */

int loader_convert(struct loader *ld, uint32_t planes, uint32_t rows, uint32_t cols, struct weight *w,
		   float **data)
{
	const uint64_t n = (uint64_t)planes * rows * cols;
	struct converted *c = malloc(sizeof(*c) + 4 * n);

	if (!c)
		return fail(-ENOMEM, "no memory for weights that are not used as the file has them");
	c->next = ld->m->converted;
	ld->m->converted = c;
	ld->m->converted_bytes += sizeof(*c) + 4 * n;
	*data = c->data;
	*w = (struct weight) {
		.data = c->data, .size = 4 * n, .stride = 4ull * cols, .rows = rows, .cols = cols,
		.type = ACCEL_F32, .planes = planes,
	};
	return 0;
}

/* Norms and biases of half the size, exactly as F32: commands take them so. */
static int widen(struct loader *ld, struct weight *w)
{
	const struct weight was = *w;
	float *data = NULL;
	int err = loader_convert(ld, was.planes, was.rows, was.cols, w, &data);

	for (uint64_t i = 0; i < (uint64_t)was.planes * was.rows && !err; i++)
		type_widen(weight_type(was.type), data + i * was.cols, (const uint8_t *)was.data + i * was.stride,
			   was.cols);
	return err;
}

static int wrong_type(const struct loader *ld, const struct gguf_tensor *t, const char *what)
{
	return fail(-EINVAL, "%s: the tensor \"%s\" is of type %s, which is not supported%s", ld->path,
		    PLAIN(t->name), accel_type_name(t->type), what);
}

static int wrong_shape(const struct loader *ld, const struct gguf_tensor *t, uint32_t planes, uint32_t rows,
		       uint32_t cols)
{
	char must[48];

	snprintf(must, sizeof(must), planes > 1 ? "%u x %u x %u" : "%u x %u", cols, rows, planes);
	return fail(-EINVAL, "%s: the tensor \"%s\" is %llu x %llu x %llu x %llu, it must be %s", ld->path,
		    PLAIN(t->name), (unsigned long long)t->ne[0], (unsigned long long)t->ne[1],
		    (unsigned long long)t->ne[2], (unsigned long long)t->ne[3], must);
}

static int take(struct loader *ld, const char *name, uint32_t planes, uint32_t rows, uint32_t cols,
		unsigned int flags, struct weight *w)
{
	const struct gguf_tensor *t = gguf_find_tensor(ld->g, name);
	bool half = t && t->type != ACCEL_F32 && type_is_float(t->type);
	bool wide = (rows == 1 && planes == 1) || flags & ARCH_WIDE;

	if (!t)
		return -ENOENT;
	if (flags & ARCH_FLAT ? t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3] != cols :
	    t->ne[0] != cols || t->ne[1] != rows || t->ne[2] != planes || t->ne[3] != 1)
		return wrong_shape(ld, t, planes, rows, cols);
	if (wide && t->type != ACCEL_F32 && !half)
		return wrong_type(ld, t, " for norms and biases; F32, F16 and BF16 are");
	if (!wide && !cpu_type_supported(t->type))
		return wrong_type(ld, t, " here");
	*w = (struct weight) {
		.data = gguf_tensor_data(ld->g, t), .size = t->size,
		.stride = t->size / ((uint64_t)rows * planes), .rows = rows, .cols = cols, .type = t->type,
		.planes = planes,
	};
	if (!ld->used[t - gguf_tensor_at(ld->g, 0)])
		ld->m->n_params += (uint64_t)planes * rows * cols;
	ld->used[t - gguf_tensor_at(ld->g, 0)] = true;
	return wide && half ? widen(ld, w) : 0;
}

int loader_take(struct loader *ld, const char *name, uint32_t rows, uint32_t cols, struct weight *w)
{
	return take(ld, name, 1, rows, cols, 0, w);
}

/* Where a download was never filled in, files hold zeros; no model has a norm of them. */
static int check_hole(const struct loader *ld, const char *name, const struct weight *w)
{
	const float *v = w->data;

	for (uint32_t i = 0; i < w->cols; i++)
		if (v[i] != 0)
			return 0;
	return fail(-EINVAL, "%s: the tensor \"%s\" is nothing but zeros; the file was not fetched whole, get it again",
		    ld->path, name);
}

static uint32_t size_of(const struct hparams *h, size_t field)
{
	uint32_t v;

	memcpy(&v, (const char *)h + field, sizeof(v));
	return v;
}

/* Some of the rows of a matrix, or of the numbers of a vector. */
static int take_part(struct loader *ld, const struct hparams *h, const struct arch_tensor *t, const char *prefix,
		     struct weight *w)
{
	uint32_t from = size_of(h, t->from), all = size_of(h, t->all), rows = size_of(h, t->rows);
	uint32_t cols = size_of(h, t->cols);
	bool vector = t->rows == ARCH_FIELD(one);
	char name[64];
	int err;

	snprintf(name, sizeof(name), "%s%s", prefix, t->whole);
	err = loader_take(ld, name, vector ? 1 : all, vector ? all : cols, w);
	if (err)
		return err;
	if (vector)
		w->stride = 4ull * cols;
	w->data = (const char *)w->data + from * (vector ? sizeof(float) : w->stride);
	w->rows = rows;
	w->cols = cols;
	w->size = rows * w->stride;
	return 0;
}

static int take_tensor(struct loader *ld, const struct hparams *h, const struct arch_tensor *t,
		       const char *prefix, struct layer *l)
{
	const uint32_t planes = size_of(h, t->planes), rows = size_of(h, t->rows), cols = size_of(h, t->cols);
	char name[64];
	int err = -ENOENT;

	if (t->name && *t->name == '.')
		snprintf(name, sizeof(name), "%s", t->name + 1);
	else
		snprintf(name, sizeof(name), "%s%s", prefix, t->name ? t->name : t->whole);
	if (t->name)
		err = take(ld, name, planes, rows, cols, t->flags, &l->w[t->slot]);
	if (err == -ENOENT && t->otherwise)
		err = take(ld, t->otherwise, planes, rows, cols, t->flags, &l->w[t->slot]);
	if (err == -ENOENT && t->whole)
		err = take_part(ld, h, t, prefix, &l->w[t->slot]);
	if (!err && t->rows == ARCH_FIELD(one) && !(t->flags & (ARCH_OPTIONAL | ARCH_ZEROS)))
		err = check_hole(ld, name, &l->w[t->slot]);
	if (err == -ENOENT)
		err = t->flags & ARCH_OPTIONAL ? 0 :
		      fail(-EINVAL, "%s: the tensor \"%s\" is missing", ld->path, name);
	return err;
}

static int read_layer(struct loader *ld, const struct arch_layer *a, const char *prefix, const struct hparams *h,
		      struct layer *l)
{
	int err = 0;

	l->kind = a->kind;
	l->block = h->block;
	l->embd = h->embd;
	l->norm = ld->arch->norm;
	l->eps = h->eps;
	l->residual = h->residual == 1 ? 0 : h->residual;
	for (unsigned int i = 0; i < a->n_tensors && !err; i++)
		err = take_tensor(ld, h, &a->tensors[i], prefix, l);
	if (!err && a->set)
		err = a->set(l, h, ld);
	if (!err && l->kind->prepare)
		err = l->kind->prepare(l, ld->m);
	return err;
}

static int read_block(struct loader *ld, uint32_t block)
{
	const struct arch *a = ld->arch;
	char prefix[16];
	struct hparams h;
	int err = read_keys(ld, block, &h);

	snprintf(prefix, sizeof(prefix), "blk.%u.", block);
	for (unsigned int i = 0; i < a->n_block && !err; i++)
		if (!a->block[i].when || a->block[i].when(&h))
			err = read_layer(ld, &a->block[i], prefix, &h, &ld->m->layers[ld->m->n_layers++]);
	return err;
}

static int read_layers(struct loader *ld)
{
	const struct arch *a = ld->arch;
	struct accel_model *m = ld->m;
	const uint32_t most = ld->h.blocks * a->n_block + 2;
	int err;

	m->layers = calloc(most, sizeof(*m->layers));
	if (!m->layers)
		return fail(-ENOMEM, "no memory for %u layers", most);
	err = read_layer(ld, a->first, "", &ld->h, &m->layers[m->n_layers++]);
	for (uint32_t b = 0; b < ld->h.blocks && !err; b++)
		err = read_block(ld, b);
	return err ? err : read_layer(ld, a->last, "", &ld->h, &m->layers[m->n_layers++]);
}

/* Files that go with models are taken for them; what they lack is not what is wrong with them. */
static int check_kind(const struct loader *ld)
{
	const char *type;
	size_t n;

	if (gguf_get_str(ld->g, "general.type", &type, &n) || (n == 5 && !memcmp(type, "model", 5)))
		return 0;
	return fail(-EINVAL, "%s: \"general.type\" is %s; it goes with a model, and is none", ld->path,
		    gguf_value_text(ld->g, "general.type", (char [64]) { 0 }, 64));
}

static int not_a_model(const struct loader *ld)
{
	int err = check_kind(ld);

	if (err)
		return err;
	if (!gguf_n_tensors(ld->g))
		return fail(-EINVAL, "%s: it has no tensors; it is a vocabulary, not a model", ld->path);
	return fail(-EINVAL, "%s: the tensor \"token_embd.weight\" is missing", ld->path);
}

/* The rows of the embedding: files do not say it everywhere else, or say it wrongly. */
static int read_vocabulary(struct loader *ld)
{
	const struct gguf_tensor *t = gguf_find_tensor(ld->g, "token_embd.weight");

	if (!t)
		return not_a_model(ld);
	if (t->ne[1] > OCTANS_MAX_ROWS)
		return fail(-EINVAL, "%s: a vocabulary of %llu tokens is above the limit of %u", ld->path,
			    (unsigned long long)t->ne[1], OCTANS_MAX_ROWS);
	ld->vocab = ld->out_vocab = t->ne[1];
	/* Some models give fewer tokens than they take. */
	t = gguf_find_tensor(ld->g, "output.weight");
	if (t && t->ne[1] <= OCTANS_MAX_ROWS)
		ld->out_vocab = t->ne[1];
	return 0;
}

#define NAMED 3		/* of the tensors left over */

/* Is it of a block that is not computed? */
static bool is_beyond(const struct loader *ld, const char *name)
{
	unsigned int block;

	return sscanf(name, "blk.%u.", &block) == 1 && block >= ld->h.blocks &&
	       block < ld->h.blocks + ld->h.nextn;
}

static int check_tensors(const struct loader *ld)
{
	uint64_t n = gguf_n_tensors(ld->g), left = 0;
	char names[NAMED * (PLAIN_QUOTE + 4)] = "";

	for (uint64_t i = 0; i < n; i++) {
		size_t at = strlen(names);

		if (!ld->used[i] && !is_beyond(ld, gguf_tensor_at(ld->g, i)->name) && left++ < NAMED)
			snprintf(names + at, sizeof(names) - at, "%s\"%s\"", at ? ", " : "",
				 PLAIN(gguf_tensor_at(ld->g, i)->name));
	}
	if (!left)
		return 0;
	if (left > NAMED)
		return fail(-EINVAL, "%s: the tensors %s and %llu more are not part of the %s architecture as it is supported here",
			    ld->path, names, (unsigned long long)(left - NAMED), ld->arch->name);
	return fail(-EINVAL, "%s: the tensor%s %s %s not part of the %s architecture as it is supported here",
		    ld->path, left > 1 ? "s" : "", names, left > 1 ? "are" : "is", ld->arch->name);
}

/* ---- all of it ---- */

static void tell_model(const struct loader *ld)
{
	const struct hparams *h = &ld->h;
	struct accel_model *m = ld->m;

	m->n_blocks = h->blocks;
	m->n_ctx_train = h->ctx;
	m->n_embd = h->embd;
	m->n_stream = h->embd + h->inputs;
	m->n_vocab = h->out_vocab;
	m->n_tokens = h->vocab;
	m->n_ff = h->ff;
	m->n_heads = h->heads;
	m->n_kv_heads = h->kv_heads;
	m->head_dim = h->key_dim;
}

static int load(struct loader *ld)
{
	int err = read_vocabulary(ld);

	if (!err)
		err = read_keys(ld, 0, &ld->h);
	if (!err)
		err = check_keys(ld);
	if (!err && ld->arch->rope)
		err = loader_rope(ld);
	if (!err)
		err = read_layers(ld);
	if (!err)
		err = check_tensors(ld);
	tell_model(ld);
	return err;
}

static const struct arch *find(const char *name)
{
	for (unsigned int i = 0; i < ARCH_N(architectures); i++)
		if (!strcmp(architectures[i]->name, name))
			return architectures[i];
	return NULL;
}

/* What a tensor of a block is called behind the block's number. */
static const char *plain_name(const char *name)
{
	const char *dot = strncmp(name, "blk.", 4) ? NULL : strchr(name + 4, '.');

	return dot ? dot + 1 : name;
}

static bool in_layer(const struct arch_layer *a, const char *name)
{
	for (unsigned int i = 0; i < a->n_tensors; i++)
		if ((a->tensors[i].name && !strcmp(a->tensors[i].name + (*a->tensors[i].name == '.'), name)) ||
		    (a->tensors[i].whole && !strcmp(a->tensors[i].whole, name)))
			return true;
	return false;
}

/* Does any architecture have such a tensor? */
static bool is_of_any(const char *name)
{
	for (unsigned int i = 0; i < ARCH_N(architectures); i++) {
		const struct arch *a = architectures[i];

		if (in_layer(a->first, name) || in_layer(a->last, name))
			return true;
		for (unsigned int k = 0; k < a->n_block; k++)
			if (in_layer(&a->block[k], name))
				return true;
	}
	return false;
}

#define STRANGERS 6

/* Tensors that no architecture has: what the model computes with them is what is missing. */
static void list_strangers(const struct loader *ld, char *text, size_t size)
{
	const char *seen[STRANGERS];
	unsigned int n = 0;

	*text = 0;
	for (uint64_t i = 0; i < gguf_n_tensors(ld->g) && n < STRANGERS; i++) {
		const char *name = plain_name(gguf_tensor_at(ld->g, i)->name);
		unsigned int k = 0;
		size_t at = strlen(text);

		while (k < n && strcmp(seen[k], name))
			k++;
		if (k < n || is_of_any(name) || !strncmp(name, "rope_f", 6))
			continue;
		seen[n++] = name;
		snprintf(text + at, size - at, "%s\"%s\"", at ? ", " : "; of its tensors no supported one has ",
			 PLAIN(name));
	}
}

static int not_supported(const struct loader *ld)
{
	char names[ARCH_N(architectures) * 20] = "", strangers[STRANGERS * (PLAIN_QUOTE + 4) + 64];

	for (unsigned int i = 0; i < ARCH_N(architectures); i++) {
		size_t at = strlen(names);

		snprintf(names + at, sizeof(names) - at, "%s%s", at ? ", " : "", architectures[i]->name);
	}
	list_strangers(ld, strangers, sizeof(strangers));
	return fail(-EINVAL, "%s: architecture \"%s\" is not supported%s; supported: %s (why others are not: models.rst, in Documentation/ or share/doc/octans/)",
		    ld->path, ld->m->arch, strangers, names);
}

int arch_load(struct accel_model *m, const char *path)
{
	struct loader ld = { .m = m, .g = m->file, .arch = find(m->arch), .path = path };
	int err;

	if (!ld.arch) {
		err = check_kind(&ld);
		return err ? err : not_supported(&ld);
	}
	ld.used = calloc(gguf_n_tensors(ld.g) + 1, sizeof(*ld.used));
	if (!ld.used)
		return fail(-ENOMEM, "no memory for a model");
	err = load(&ld);
	free(ld.used);
	return err;
}
