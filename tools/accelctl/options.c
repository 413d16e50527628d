// SPDX-License-Identifier: MIT
/* The tables of commands and options, and the command line. */
#include "options.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "accelctl.h"

static const char *const shells[] = { "bash", "zsh", "fish", NULL };

const struct command commands[] = {
	{ .name = "list", .bit = FOR_LIST, .run = cmd_list, .args = "[DEVICE]", .schema = 2,
	  .text = "the processors of this machine, and the model of one" },
	{ .name = "show", .bit = FOR_SHOW, .run = cmd_show, .args = "[DEVICE]", .schema = 2,
	  .text = "what a processor is and can do" },
	{ .name = "plan", .bit = FOR_PLAN, .run = cmd_plan, .args = "MODEL", .schema = 2,
	  .text = "which layer would run where, and why" },
	{ .name = "run", .bit = FOR_RUN, .run = cmd_run, .args = "MODEL [PROMPT]", .schema = 1,
	  .max_args = INT_MAX, .text = "complete a prompt (or standard input)" },
	{ .name = "verify", .bit = FOR_VERIFY, .run = cmd_verify, .args = "RECEIPT MODEL", .schema = 1,
	  .first = 1, .min_args = 1, .max_args = 1, .text = "compute again what a receipt says, anywhere" },
	{ .name = "logits", .bit = FOR_LOGITS, .run = cmd_logits, .args = "MODEL OUT", .schema = 2,
	  .min_args = 1, .max_args = 1, .text = "write the logits of every position to a file" },
	{ .name = "bench", .bit = FOR_BENCH, .run = cmd_bench, .args = "MODEL", .schema = 1,
	  .text = "what a prompt and generation cost" },
	{ .name = "doctor", .bit = FOR_DOCTOR, .run = cmd_doctor, .args = "[DEVICE]", .schema = 2,
	  .text = "find out what keeps a processor from working" },
	{ .name = "version", .bit = FOR_VERSION, .run = cmd_version, .args = "", .schema = 2,
	  .text = "versions of tool, library and driver" },
	{ .name = "completion", .bit = FOR_COMPLETION, .run = cmd_completion, .args = "SHELL",
	  .min_args = 1, .max_args = 1, .words = shells,
	  .text = "a script that makes bash, zsh or fish complete these commands" },
	{ .name = "help", .bit = FOR_HELP, .run = cmd_help, .args = "[COMMAND]", .max_args = 1,
	  .text = "this text, or a command's options" },
};
const size_t n_commands = sizeof(commands) / sizeof(commands[0]);

static const char *const formats[] = { "text", "json", NULL };
static const char *const devices[] = { "auto", "cpu", "sim", NULL };
static const char *const layer_words[] = { "all", "none", NULL };
const char *const kv_type_names[] = { "f16", "f32", "q8_0", NULL };
/* What the library was built with, from options_parse() on. */
static const char *isas[16] = { "auto" };

#define FIELD(name) offsetof(struct options, name)
#define MAX_POSITIONS (1u << 24)

const struct option_entry option_entries[] = {
	{ .name = "model", .letter = 'm', .value = VALUE_FILE,
	  .commands = FOR_MODEL, .field = FIELD(model), .arg = "FILE",
	  .text = "the model, instead of the argument MODEL" },
	{ .name = "device", .letter = 'd', .value = VALUE_DEVICE,
	  .commands = FOR_MODEL, .field = FIELD(device), .arg = "DEVICE",
	  .text = "where to compute: auto, cpu, sim, sim:SPEC, accelN", .words = devices },
	{ .name = "device", .letter = 'd', .value = VALUE_DEVICE,
	  .commands = FOR_DEVICE, .field = FIELD(device), .arg = "DEVICE",
	  .text = "the processor, instead of the argument DEVICE", .words = devices },
	{ .name = "layers", .value = VALUE_LAYERS,
	  .commands = FOR_MODEL, .field = FIELD(layers), .arg = "LIST",
	  .text = "layers allowed on a processor: 0-7,12,20- or all or none", .preset = "all",
	  .words = layer_words },
	{ .name = "ctx", .alias = "ctx-size", .letter = 'c', .value = VALUE_U32,
	  .commands = FOR_PLANNED, .field = FIELD(ctx), .arg = "N",
	  .text = "positions of the context", .min = 1, .max = MAX_POSITIONS },
	{ .name = "batch", .alias = "batch-size", .letter = 'b', .value = VALUE_U32,
	  .commands = FOR_MODEL, .field = FIELD(batch), .arg = "N",
	  .text = "tokens computed at once", .min = 1, .max = 1u << 16 },
	{ .name = "kv-type", .value = VALUE_CHOICE,
	  .commands = FOR_PLANNED, .field = FIELD(kv_type), .arg = "TYPE",
	  .text = "what keys and values are kept as: f16, f32, q8_0", .preset = "f16", .words = kv_type_names },
	{ .name = "threads", .letter = 't', .value = VALUE_U32,
	  .commands = FOR_MODEL, .field = FIELD(threads), .arg = "N",
	  .text = "threads of the CPU executor", .min = 1, .max = 1024 },
	{ .name = "isa", .value = VALUE_ISA,
	  .commands = FOR_MODEL, .field = FIELD(isa), .arg = "ISA",
	  .text = "instructions of the CPU executor: auto or what `accelctl version` lists", .preset = "auto", .words = isas },
	{ .name = "strict", .value = VALUE_NONE,
	  .commands = FOR_RUN | FOR_LOGITS | FOR_VERIFY, .field = FIELD(strict),
	  .text = "fail, instead of going on on the CPU, when the processor fails" },

	{ .name = "prompt", .letter = 'p', .value = VALUE_TEXT,
	  .commands = FOR_RUN, .field = FIELD(prompt_text), .arg = "TEXT",
	  .text = "the prompt, instead of the argument; - is standard input" },
	{ .name = "file", .letter = 'f', .value = VALUE_FILE,
	  .commands = FOR_RUN, .field = FIELD(prompt_file), .arg = "FILE",
	  .text = "a file that holds the prompt; - is standard input" },
	{ .name = "predict", .alias = "n-predict", .letter = 'n', .value = VALUE_U32,
	  .commands = FOR_RUN, .field = FIELD(predict), .arg = "N",
	  .text = "most tokens to generate; -1: until the context is full", .preset = "256",
	  .min = 1, .max = MAX_POSITIONS, .minus_one = true },
	{ .name = "stop", .alias = "reverse-prompt", .letter = 'r', .value = VALUE_TEXTS,
	  .commands = FOR_RUN, .field = FIELD(stop), .arg = "TEXT",
	  .text = "end the answer before this text; may be repeated" },
	{ .name = "raw", .value = VALUE_NONE,
	  .commands = FOR_RUN, .field = FIELD(raw),
	  .text = "complete the prompt as it is: no chat format, no line end taken away" },
	{ .name = "chat", .alias = "conversation", .word = "cnv", .value = VALUE_NONE,
	  .commands = FOR_RUN, .field = FIELD(chat),
	  .text = "a conversation: turns are read from the terminal, or lines of standard input" },
	{ .name = "system", .alias = "system-prompt", .word = "sys", .value = VALUE_TEXT,
	  .commands = FOR_RUN, .field = FIELD(system), .arg = "TEXT",
	  .text = "what the model is told before the first turn" },
	{ .name = "chat-format", .alias = "chat-template", .value = VALUE_TEXT,
	  .commands = FOR_RUN, .field = FIELD(chat_format), .arg = "NAME",
	  .text = "how turns are written down, instead of what the model's file says" },
	{ .name = "session", .value = VALUE_FILE,
	  .commands = FOR_RUN, .field = FIELD(session), .arg = "FILE",
	  .text = "the conversation goes on from this file, and is kept there" },
	{ .name = "receipt", .value = VALUE_FILE,
	  .commands = FOR_RUN, .field = FIELD(receipt), .arg = "FILE",
	  .text = "write down what was computed, for `accelctl verify`" },
	{ .name = "temperature", .alias = "temp", .value = VALUE_REAL,
	  .commands = FOR_RUN, .field = FIELD(temperature), .arg = "T",
	  .text = "of sampling; 0: always the most likely token", .preset = "0", .max = 100 },
	{ .name = "top-k", .value = VALUE_U32,
	  .commands = FOR_RUN, .field = FIELD(top_k), .arg = "K",
	  .text = "sample among the K most likely tokens; 0: all", .preset = "40", .max = 1u << 24 },
	{ .name = "top-p", .value = VALUE_REAL,
	  .commands = FOR_RUN, .field = FIELD(top_p), .arg = "P",
	  .text = "sample among the most likely tokens of this probability", .preset = "0.95", .max = 1 },
	{ .name = "min-p", .value = VALUE_REAL,
	  .commands = FOR_RUN, .field = FIELD(min_p), .arg = "P",
	  .text = "sample among tokens P times as likely as the best; 0: all", .preset = "0.05", .max = 1 },
	{ .name = "repeat-penalty", .value = VALUE_REAL,
	  .commands = FOR_RUN, .field = FIELD(repeat_penalty), .arg = "X",
	  .text = "divide what occurred before by X; 1: no penalty", .preset = "1", .max = 100 },
	{ .name = "repeat-last-n", .value = VALUE_U32,
	  .commands = FOR_RUN, .field = FIELD(repeat_last_n), .arg = "N",
	  .text = "how far penalties look back; 0: no penalties; -1: to the beginning", .preset = "64",
	  .max = MAX_POSITIONS, .minus_one = true },
	{ .name = "frequency-penalty", .value = VALUE_REAL,
	  .commands = FOR_RUN, .field = FIELD(frequency_penalty), .arg = "X",
	  .text = "subtracted for each time that a token occurred; 0: none", .preset = "0", .min = -100,
	  .max = 100 },
	{ .name = "presence-penalty", .value = VALUE_REAL,
	  .commands = FOR_RUN, .field = FIELD(presence_penalty), .arg = "X",
	  .text = "subtracted from tokens that occurred; 0: none", .preset = "0", .min = -100, .max = 100 },
	{ .name = "seed", .letter = 's', .value = VALUE_U64,
	  .commands = FOR_RUN, .field = FIELD(seed), .arg = "N",
	  .text = "of sampling", .preset = "0" },

	{ .name = "tokens", .value = VALUE_TOKENS,
	  .commands = FOR_LOGITS, .field = FIELD(tokens), .arg = "LIST",
	  .text = "token ids such as 1,2,3, instead of 24 fixed ones" },
	{ .name = "step", .value = VALUE_NONE,
	  .commands = FOR_LOGITS, .field = FIELD(step),
	  .text = "one token at a time" },

	{ .name = "prompt", .alias = "n-prompt", .letter = 'p', .value = VALUE_U32,
	  .commands = FOR_BENCH, .field = FIELD(prompt), .arg = "N",
	  .text = "tokens of the prompt; 0: none", .preset = "512", .max = MAX_POSITIONS },
	{ .name = "generate", .alias = "n-gen", .letter = 'n', .value = VALUE_U32,
	  .commands = FOR_BENCH, .field = FIELD(generate), .arg = "N",
	  .text = "tokens generated; 0: none", .preset = "16", .max = MAX_POSITIONS },
	{ .name = "seqs", .value = VALUE_U32,
	  .commands = FOR_BENCH, .field = FIELD(seqs), .arg = "N",
	  .text = "generate for N sequences together, too", .min = 1, .max = 1024 },
	{ .name = "at", .alias = "n-depth", .value = VALUE_U32,
	  .commands = FOR_BENCH, .field = FIELD(at), .arg = "N",
	  .text = "position of the first token generated; -1: after the prompt", .preset = "-1",
	  .max = MAX_POSITIONS, .minus_one = true },

	{ .name = "output", .letter = 'o', .value = VALUE_OUTPUT,
	  .commands = FOR_JSON, .field = FIELD(json), .arg = "FORMAT",
	  .text = "format of the output: text or json", .preset = "text", .words = formats },
	{ .name = "quiet", .letter = 'q', .value = VALUE_NONE,
	  .commands = FOR_ALL, .field = FIELD(quiet),
	  .text = "nothing on standard error but failures" },
	{ .name = "verbose", .letter = 'v', .value = VALUE_NONE,
	  .commands = FOR_ALL, .field = FIELD(verbose),
	  .text = "more on standard error about what is done" },
	{ .name = "version", .letter = 'V', .value = VALUE_NONE,
	  .commands = FOR_ALL, .field = FIELD(version),
	  .text = "as the command version" },
	{ .name = "help", .letter = 'h', .value = VALUE_NONE,
	  .commands = FOR_ALL, .field = FIELD(help),
	  .text = "these options" },
};
const size_t n_option_entries = sizeof(option_entries) / sizeof(option_entries[0]);

_Static_assert(sizeof(option_entries) / sizeof(option_entries[0]) <= 64, "struct options.given");

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < n_commands; i++)
		if (!strcmp(name, commands[i].name))
			return &commands[i];
	return NULL;
}

void option_tag(const struct option_entry *e, char *tag, size_t len)
{
	snprintf(tag, len, "%s%s%s%s--%s%s%s%s%s",
		 e->letter ? (char[]) { '-', e->letter, ',', ' ', 0 } : "", e->word ? "-" : "",
		 e->word ? e->word : "", e->word ? ", " : "", e->name,
		 e->alias ? ", --" : "", e->alias ? e->alias : "", e->arg ? " " : "",
		 e->arg ? e->arg : "");
}

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

static int unknown(const struct parse *p, const char *option, const char *word)
{
	bool part = strcmp(option, word);

	return complain(EXIT_USAGE, "option \"%s\"%s%s%s is not known: %s lists the options%s", option,
			part ? " of \"" : "", part ? word : "", part ? "\"" : "", help_of(p),
			p->cmd && p->cmd->bit == FOR_RUN ?
			"; a prompt that begins with a dash comes after --" : "");
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
		return unknown(p, name, name);
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

static void find_isas(void)
{
	const size_t room = sizeof(isas) / sizeof(isas[0]) - 2;
	const char *name;

	for (uint32_t i = 0; i < room && (name = accel_isa_name(i, NULL)); i++)
		isas[i + 1] = name;
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

int options_parse(int argc, char **argv, const struct command **cmd, struct options *o)
{
	struct parse p = { .o = o, .argc = argc, .argv = argv };
	bool only_arguments = false;
	const char *name;
	int n = 0, rc;

	memset(o, 0, sizeof(*o));
	find_isas();
	*cmd = p.cmd = find_command(argc, argv, &name);
	if (!p.cmd && name)
		return complain(EXIT_USAGE, "\"%s\" is not a command: `accelctl help` lists them", name);
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
		return argc > 1 ? complain(EXIT_USAGE, "there is no command: `accelctl help` lists them") : 0;
	o->args = argv + 2;
	o->n_args = n - 1;
	return check_arguments(p.cmd, o);
}

void options_free(struct options *o)
{
	free(o->tokens);
	free(o->stop.text);
	layers_free(&o->layers);
}
