// SPDX-License-Identifier: MIT
/* The command line. */
#include "options.h"

#include <stdlib.h>
#include <string.h>

#include "hints.h"
#include "output.h"

bool option_given(const struct options *o, const char *name)
{
	for (size_t i = 0; i < n_option_entries; i++)
		if (o->given >> i & 1 && !strcmp(option_entries[i].name, name))
			return true;
	return false;
}

/* ---- finding the entry of a word ---- */

static const struct option_entry *by_letter(char letter, unsigned int where)
{
	for (size_t i = 0; i < n_option_entries; i++)
		if (option_entries[i].letter == letter && option_entries[i].commands & where)
			return &option_entries[i];
	return NULL;
}

/* "-sys" */
static const struct option_entry *by_word(const char *word, unsigned int where)
{
	for (size_t i = 0; i < n_option_entries; i++)
		if (option_entries[i].word && !strcmp(option_entries[i].word, word) &&
		    option_entries[i].commands & where)
			return &option_entries[i];
	return NULL;
}

/* Is name[n] this long name, or does that begin with it? */
static bool begins(const char *full, const char *name, size_t n, bool *whole)
{
	if (!full || strncmp(full, name, n))
		return false;
	*whole = !full[n];
	return true;
}

/* A long name, or the beginning of one if it is that of one option alone.  *other: it is also that of
 * this one. */
static const struct option_entry *by_name(const char *name, size_t n, unsigned int where,
					  const struct option_entry **other)
{
	const struct option_entry *found = NULL;

	*other = NULL;
	for (size_t i = 0; i < n_option_entries && n; i++) {
		const struct option_entry *e = &option_entries[i];
		bool whole = false, whole_alias = false;
		bool fits = begins(e->name, name, n, &whole);

		fits |= begins(e->alias, name, n, &whole_alias);
		if (!fits || !(e->commands & where))
			continue;
		if (whole || whole_alias) {
			*other = NULL;
			return e;
		}
		if (!found)
			found = e;
		else
			*other = e;
	}
	return found;
}

/* The command: the first word that is neither an option nor what one takes.  Its options decide
 * what later words mean.  NULL: there is none, and *word is NULL, or it is not one. */
static const struct command *find_command(int argc, char **argv, const char **word)
{
	const struct option_entry *e, *other;

	*word = NULL;
	for (int i = 1; i < argc; i++) {
		const char *w = argv[i];

		if (w[0] != '-' || !w[1] || !strcmp(w, "--")) {
			i += w[0] == '-' && w[1];
			*word = i < argc ? argv[i] : NULL;
			return *word ? command_find(*word) : NULL;
		}
		if (w[1] == '-') {
			e = by_name(w + 2, strcspn(w + 2, "="), FOR_ALL, &other);
			i += e && e->value != VALUE_NONE && !strchr(w, '=');
			continue;
		}
		e = by_word(w + 1, FOR_ALL);
		if (e) {
			i += e->value != VALUE_NONE;
			continue;
		}
		for (w++; *w; w++) {
			e = by_letter(*w, FOR_ALL);
			if (e && e->value == VALUE_NONE)
				continue;
			i += e && !w[1];
			break;
		}
	}
	return NULL;
}

/* ---- reading words ---- */

struct parse {
	const struct command *cmd;	/* or NULL */
	unsigned int where;
	struct options *o;
	int argc, at;
	char **argv;
};

static const char *help_of(const struct parse *p)
{
	static char text[64];

	snprintf(text, sizeof(text), "`accelctl help%s%s`", p->cmd ? " " : "", p->cmd ? p->cmd->name : "");
	return text;
}

static const char *long_name(size_t i, const void *where)
{
	const struct option_entry *e = &option_entries[i / 2];

	return !(e->commands & *(const unsigned int *)where) ? NULL : i % 2 ? e->alias : e->name;
}

static int unknown(const struct parse *p, const char *option, const char *word)
{
	const char *near = !strncmp(option, "--", 2) ?
			   hint_nearest(option + 2, 2 * n_option_entries, long_name, &p->where) : NULL;
	bool part = strcmp(option, word);

	if (near)
		return complain(EXIT_USAGE, "option \"%s\" is not known, the nearest is --%s: %s lists them", option,
				near, help_of(p));
	return complain(EXIT_USAGE, "option \"%s\"%s%s%s is not known: %s lists the options%s", option,
			part ? " of \"" : "", part ? word : "", part ? "\"" : "", help_of(p),
			p->cmd && p->cmd->bit == FOR_RUN ?
			"; a prompt that begins with a dash comes after --" : "");
}

/* Of commands that run models. */
static bool is_llama(const struct parse *p, const char *word)
{
	return p->where & FOR_MODEL && hint_llama(word);
}

static int of_llama(const char *word)
{
	return complain(EXIT_USAGE, "option \"%s\" is llama.cpp's: %s", word, hint_llama(word));
}

/* value NULL: it is the next word. */
static int take(struct parse *p, const struct option_entry *e, const char *word, const char *value)
{
	p->o->given |= 1ull << (e - option_entries);
	if (e->value != VALUE_NONE && !value) {
		if (p->at + 1 >= p->argc)
			return complain(EXIT_USAGE, "option \"%s\" needs a value, %s: %s", word, e->arg, e->text);
		value = p->argv[++p->at];
	}
	return value_read(e, p->o, word, value);
}

static int read_long(struct parse *p, char *word)
{
	const struct option_entry *e, *other;
	size_t n = strcspn(word + 2, "=");
	char name[64];
	bool has_value = word[2 + n];

	snprintf(name, sizeof(name), "%.*s", n + 2 < sizeof(name) ? (int)n + 2 : (int)sizeof(name) - 1, word);
	e = by_name(word + 2, n, p->where, &other);
	if (!e)
		return is_llama(p, name) ? of_llama(name) : unknown(p, name, name);
	if (other)
		return complain(EXIT_USAGE, "option \"%s\" may mean --%s or --%s: write more of it", name, e->name,
				other->name);
	if (e->value == VALUE_NONE && has_value)
		return complain(EXIT_USAGE, "option \"--%s\" takes no value, \"%s\" gives one", e->name, word);
	return take(p, e, name, has_value ? word + 2 + n + 1 : NULL);
}

static int read_letters(struct parse *p, char *word)
{
	const struct option_entry *whole = by_word(word + 1, p->where);

	if (whole)
		return take(p, whole, word, NULL);
	if (is_llama(p, word))
		return of_llama(word);
	for (char *w = word + 1; *w; w++) {
		const struct option_entry *e = by_letter(*w, p->where);
		char name[3] = { '-', *w, 0 };
		int rc;

		if (!e)
			return unknown(p, w == word + 1 ? word : name, word);
		rc = take(p, e, name, e->value != VALUE_NONE && w[1] ? w + 1 : NULL);
		if (rc || e->value != VALUE_NONE)
			return rc;
	}
	return 0;
}

static int read_presets(struct options *o, unsigned int where)
{
	for (size_t i = 0; i < n_option_entries; i++) {
		const struct option_entry *e = &option_entries[i];

		if (e->preset && e->commands & where) {
			int rc = value_read(e, o, e->name, e->preset);

			if (rc)
				return rc;
		}
	}
	return 0;
}

/* ---- arguments ---- */

/* The model or the device may be an argument, the first one or the one after c->first others. */
static int take_first(const struct command *c, struct options *o)
{
	bool model = c->bit & FOR_MODEL;
	const char **to = model ? &o->model : &o->device;

	if (!(c->bit & (FOR_MODEL | FOR_DEVICE)) || (model && *to) || o->n_args <= c->first)
		return model && !*to ? complain(EXIT_USAGE, "there is no model: give its file as in `accelctl %s %s`",
						c->name, c->args) : 0;
	if (*to)
		return complain(EXIT_USAGE, "two devices are given, \"%s\" and \"%s\"", *to, o->args[0]);
	*to = o->args[c->first];
	o->n_args--;
	if (!c->first)
		o->args++;
	for (int i = c->first; i < o->n_args && c->first; i++)
		o->args[i] = o->args[i + 1];
	return 0;
}

static int check_arguments(const struct command *c, struct options *o)
{
	int rc = take_first(c, o);

	if (rc)
		return rc;
	if (o->n_args > c->max_args)
		return complain(EXIT_USAGE, "the argument \"%s\" is one too many: it is `accelctl %s%s%s`",
				o->args[c->max_args], c->name, *c->args ? " " : "", c->args);
	if (o->n_args < c->min_args)
		return complain(EXIT_USAGE, "an argument is missing: it is `accelctl %s %s`", c->name, c->args);
	return 0;
}

static const char *command_name(size_t i, const void *arg)
{
	(void)arg;
	return commands[i].name;
}

/* name: what stands in the place of a command. */
static int no_command(const char *name)
{
	const char *near = hint_nearest(name, n_commands, command_name, NULL);

	if (near)
		return complain(EXIT_USAGE, "\"%s\" is not a command, the nearest is %s: `accelctl help` lists them",
				name, near);
	if (strchr(name, '/') || strstr(name, ".gguf"))
		return complain(EXIT_USAGE, "\"%s\" is not a command: `accelctl run %s` asks a model, `accelctl help` lists commands",
				name, name);
	return complain(EXIT_USAGE, "\"%s\" is not a command: `accelctl help` lists them", name);
}

int options_parse(int argc, char **argv, const struct command **cmd, struct options *o)
{
	struct parse p = { .o = o, .argc = argc, .argv = argv };
	bool only_arguments = false;
	const char *name = NULL;
	int n = 0, rc;

	memset(o, 0, sizeof(*o));
	tables_begin();
	*cmd = p.cmd = argc > 1 ? find_command(argc, argv, &name) : command_find("list");
	if (!p.cmd && name)
		return no_command(name);
	p.where = p.cmd ? p.cmd->bit : FOR_ALL;
	rc = read_presets(o, p.where);
	for (p.at = 1; p.at < argc && !rc && !o->help && !o->version; p.at++) {
		char *word = argv[p.at];

		if (only_arguments || word[0] != '-' || !word[1])
			argv[1 + n++] = word;	/* never beyond what has been read */
		else if (!strcmp(word, "--"))
			only_arguments = true;
		else
			rc = word[1] == '-' ? read_long(&p, word) : read_letters(&p, word);
	}
	if (rc || o->help || o->version)
		return rc;
	if (!p.cmd)
		return complain(EXIT_USAGE, "there is no command, such as list or run: `accelctl help` lists them");
	o->args = argv + 2;
	o->n_args = n ? n - 1 : 0;
	return check_arguments(p.cmd, o);
}

void options_free(struct options *o)
{
	free(o->tokens);
	free(o->stop.text);
	layers_free(&o->layers);
}
