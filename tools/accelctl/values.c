// SPDX-License-Identifier: MIT
/* What follows an option: numbers, words, lists. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <accel/accel.h>

#include "options.h"
#include "output.h"

static bool read_u64(const char *text, uint64_t *value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return !errno && !*end;
}

static int read_u32(const struct option_entry *e, uint32_t *value, const char *word, const char *text)
{
	uint64_t v;

	if (e->minus_one && !strcmp(text, "-1")) {
		*value = e->minus_one == MINUS_ONE_MOST ? UINT32_MAX : 0;
		return 0;
	}
	if (!read_u64(text, &v) || v < (uint64_t)e->min || v > (uint64_t)e->max)
		return complain(EXIT_USAGE, "%s \"%s\" is not %sa number from %.0f to %.0f", word, text,
				e->minus_one ? "-1 or " : "", e->min, e->max);
	*value = v;
	return 0;
}

/* A random one is short, since it may be typed again. */
static int read_seed(struct options *o, const char *word, const char *text)
{
	uint32_t drawn;

	o->random_seed = !strcmp(text, "-1");
	if (!o->random_seed)
		return read_u64(text, &o->seed) ? 0 :
		       complain(EXIT_USAGE, "%s \"%s\" is not -1 or a number from 0 to %llu", word, text,
				(unsigned long long)UINT64_MAX);
	if (getrandom(&drawn, sizeof(drawn), 0) != sizeof(drawn))
		return complain(EXIT_FAILED, "there is no random seed: %s", strerror(errno));
	o->seed = drawn;
	return 0;
}

static int read_real(const struct option_entry *e, double *value, const char *word, const char *text)
{
	char *end;

	*value = strtod(text, &end);
	if (end == text || *end || !(*value >= e->min) || *value > e->max)
		return complain(EXIT_USAGE, "%s \"%s\" is not a number from %g to %g", word, text, e->min,
				e->max);
	return 0;
}

static int read_choice(const struct option_entry *e, uint32_t *value, const char *word,
		       const char *text)
{
	char list[128] = "";

	for (uint32_t i = 0; e->words[i]; i++) {
		size_t n = strlen(list);

		if (!strcmp(text, e->words[i])) {
			*value = i;
			return 0;
		}
		snprintf(list + n, sizeof(list) - n, "%s%s", !i ? "" : e->words[i + 1] ? ", " : " or ",
			 e->words[i]);
	}
	return complain(EXIT_USAGE, "%s \"%s\" is not %s", word, text, list);
}

/* Known before anything is read or copied. */
static int read_isa(const char **value, const char *word, const char *text)
{
	bool supported, known = !strcmp(text, "auto");
	char list[128] = "auto";
	const char *name;

	for (uint32_t i = 0; (name = accel_isa_name(i, &supported)); i++) {
		size_t n = strlen(list);

		known |= supported && !strcmp(text, name);
		if (supported)
			snprintf(list + n, sizeof(list) - n, ", %s", name);
	}
	*value = text;
	return known ? 0 :
	       complain(EXIT_USAGE, "%s \"%s\" is not an instruction set of this machine and build: %s", word,
			text, list);
}

static int read_tokens(struct options *o, const char *word, const char *text)
{
	const char *p = text;
	char *end;

	o->n_tokens = 0;
	do {
		int32_t *grown;
		long v;

		errno = 0;
		v = strtol(p, &end, 10);
		if (*p < '0' || *p > '9' || errno || v > INT32_MAX || (*end && *end != ','))
			return complain(EXIT_USAGE, "%s \"%s\" is not a list of token ids such as 1,2,3", word,
					text);
		grown = realloc(o->tokens, (o->n_tokens + 1) * sizeof(*grown));
		if (!grown)
			return complain(EXIT_FAILED, "no memory for the list of tokens");
		o->tokens = grown;
		grown[o->n_tokens++] = v;
		p = end + 1;
	} while (*end);
	return 0;
}

static int add_text(struct texts *t, const char *word, const char *text)
{
	const char **grown;

	if (!*text)
		return complain(EXIT_USAGE, "%s \"\" is empty: every answer would end there", word);
	grown = realloc(t->text, (t->n + 1) * sizeof(*grown));
	if (!grown)
		return complain(EXIT_FAILED, "no memory for %s", word);
	t->text = grown;
	grown[t->n++] = text;
	return 0;
}

static int read_layers(struct options *o, const char *word, const char *text)
{
	char why[256];
	int err = layers_read(text, &o->layers, why, sizeof(why));

	return err ? complain(err == -ENOMEM ? EXIT_FAILED : EXIT_USAGE, "%s \"%s\"%s", word, text, why) : 0;
}

int value_read(const struct option_entry *e, struct options *o, const char *word, const char *text)
{
	void *field = (char *)o + e->field;
	uint32_t choice;
	int rc;

	switch (e->value) {
	case VALUE_NONE:
		*(bool *)field = true;
		return 0;
	case VALUE_U32:
		return read_u32(e, field, word, text);
	case VALUE_SEED:
		return read_seed(o, word, text);
	case VALUE_REAL:
		return read_real(e, field, word, text);
	case VALUE_CHOICE:
		return read_choice(e, field, word, text);
	case VALUE_OUTPUT:
		rc = read_choice(e, &choice, word, text);
		if (!rc)
			*(bool *)field = choice;
		return rc;
	case VALUE_ISA:
		return read_isa(field, word, text);
	case VALUE_TEXT:
	case VALUE_FILE:
	case VALUE_DEVICE:
		*(const char **)field = text;
		return 0;
	case VALUE_LAYERS:
		return read_layers(o, word, text);
	case VALUE_TOKENS:
		return read_tokens(o, word, text);
	case VALUE_TEXTS:
		return add_text(field, word, text);
	}
	return EXIT_USAGE;
}
