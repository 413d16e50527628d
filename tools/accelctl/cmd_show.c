// SPDX-License-Identifier: MIT
/* accelctl show MODEL: what a model's file says, and what layers it makes. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <accel/model.h>

#include "accelctl.h"

bool is_model(const char *arg)
{
	size_t n = arg ? strlen(arg) : 0;
	struct stat st;

	return arg && ((n > 5 && !strcmp(arg + n - 5, ".gguf")) || (!stat(arg, &st) && S_ISREG(st.st_mode)));
}

static struct accel_key key_at(const struct accel_model *m, uint64_t i)
{
	struct accel_key k = { .sz = sizeof(k) };

	accel_model_key(m, i, &k);
	return k;
}

static struct accel_tensor tensor_at(const struct accel_model *m, uint64_t i)
{
	struct accel_tensor t = { .sz = sizeof(t) };

	accel_model_tensor(m, i, &t);
	return t;
}

/* The numbers of kinds have no gaps. */
static bool is_kind(unsigned int kind)
{
	return *accel_layer_kind_name(kind) != '?';
}

/* How many layers of this kind. */
static unsigned int count_kind(const struct accel_plan *plan, unsigned int kind)
{
	struct accel_plan_info info = { .sz = sizeof(info) };
	struct accel_layer l = { .sz = sizeof(l) };
	unsigned int n = 0;

	accel_plan_info(plan, &info);
	for (uint32_t i = 0; i < info.layers; i++)
		n += !accel_plan_layer(plan, i, &l) && l.kind == kind;
	return n;
}

/* ---- text ---- */

/* "64 x 512": the length of a row first, as in the file. */
static const char *shape_text(const struct accel_tensor *t, char *to, size_t room)
{
	size_t at = 0;

	for (uint32_t i = 0; i < t->n_dims && at < room; i++)
		at += snprintf(to + at, room - at, "%s%llu", i ? " x " : "", (unsigned long long)t->dims[i]);
	return to;
}

static void print_model(const struct accel_model *m, const struct accel_plan *plan)
{
	char name[128], text[128];

	printf("%-44s VALUE\n", "KEY");
	for (uint64_t i = 0; i < accel_model_keys(m); i++) {
		struct accel_key k = key_at(m, i);

		accel_key_show(m, k.name, text, sizeof(text));
		printf("%-44s %s\n", shown(k.name, name, sizeof(name)), text);
	}
	printf("\n%-32s %-7s %-20s %12s\n", "TENSOR", "TYPE", "SHAPE", "BYTES");
	for (uint64_t i = 0; i < accel_model_tensors(m); i++) {
		struct accel_tensor t = tensor_at(m, i);

		printf("%-32s %-7s %-20s %12llu\n", shown(t.name, name, sizeof(name)), accel_type_name(t.type),
		       shape_text(&t, text, sizeof(text)), (unsigned long long)t.bytes);
	}
	printf("\n%-9s LAYERS\n", "KIND");
	for (unsigned int kind = 0; is_kind(kind); kind++)
		if (count_kind(plan, kind))
			printf("%-9s %6u\n", accel_layer_kind_name(kind), count_kind(plan, kind));
}

/* ---- JSON ---- */

static json_t *value_json(const struct accel_model *m, const struct accel_key *k)
{
	const char *s;
	int64_t v;
	double f;
	size_t n;

	if (k->type == ACCEL_KEY_BOOL && !accel_key_int(m, k->name, 0, &v))
		return json_boolean(v);
	if (k->type != ACCEL_KEY_F32 && k->type != ACCEL_KEY_F64 && !accel_key_int(m, k->name, 0, &v))
		return json_integer(v);
	if (!accel_key_float(m, k->name, 0, &f))
		return json_real(f);		/* NULL: JSON has no such number */
	return accel_key_text(m, k->name, 0, &s, &n) ? NULL : json_bytes(s, n);
}

static json_t *key_json(const struct accel_model *m, const struct accel_key *k)
{
	json_t *value;

	if (k->array)
		return json_pack("{s:o, s:I}", "name", json_text(k->name), "elements", (json_int_t)k->n);
	value = value_json(m, k);
	return json_pack("{s:o, s:o}", "name", json_text(k->name), "value", value ? value : json_null());
}

static json_t *tensor_json(const struct accel_tensor *t)
{
	json_t *shape = json_array();

	for (uint32_t i = 0; i < t->n_dims; i++)
		json_array_append_new(shape, json_integer(t->dims[i]));
	return json_pack("{s:o, s:s, s:o, s:I, s:I, s:I}", "name", json_text(t->name), "type",
			 accel_type_name(t->type), "shape", shape, "part", (json_int_t)t->part, "offset",
			 (json_int_t)t->offset, "bytes", (json_int_t)t->bytes);
}

static int model_json(const struct accel_model *m, const struct accel_plan *plan)
{
	json_t *keys = json_array(), *tensors = json_array(), *layers = json_object();

	for (uint64_t i = 0; i < accel_model_keys(m); i++) {
		struct accel_key k = key_at(m, i);

		json_array_append_new(keys, key_json(m, &k));
	}
	for (uint64_t i = 0; i < accel_model_tensors(m); i++) {
		struct accel_tensor t = tensor_at(m, i);

		json_array_append_new(tensors, tensor_json(&t));
	}
	for (unsigned int kind = 0; is_kind(kind); kind++)
		if (count_kind(plan, kind))
			json_object_set_new(layers, accel_layer_kind_name(kind), json_integer(count_kind(plan, kind)));
	return print_json("show/2", json_pack("{s:o, s:o, s:o}", "keys", keys, "tensors", tensors, "layers", layers));
}

int show_model(const struct options *o)
{
	struct accel_plan *plan = NULL;
	struct accel_model *m;
	int rc = EXIT_OK;

	if (accel_model_load(o->device, &m))
		return complain(EXIT_FAILED, "%s", accel_error());
	if (accel_plan_new(m, NULL, 0, NULL, &plan))
		rc = complain(EXIT_FAILED, "%s", accel_error());
	else if (o->json)
		rc = model_json(m, plan);
	else
		print_model(m, plan);
	accel_plan_free(plan);
	accel_model_free(m);
	return rc;
}
