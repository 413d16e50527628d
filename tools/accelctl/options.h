/* SPDX-License-Identifier: MIT */
/*
 * The commands and the options of accelctl, each one entry of a table, and the command line.
 * Parsing, --help, completion, and the test of the manual page go by these tables.
 */
#ifndef ACCELCTL_OPTIONS_H
#define ACCELCTL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "layers.h"

/* Texts in the order in which they were given. */
struct texts {
	const char **text;	/* malloc'd; what it points to is argv's */
	size_t n;
};

struct options {
	uint64_t given;		/* bit n: option n of the table was on the command line */
	bool help, version, json, quiet, verbose;
	/* where and how to compute */
	const char *model, *device;	/* device NULL: auto */
	struct layers layers;
	uint32_t ctx, batch, kv_type, stream, split, threads;
	const char *isa;
	bool strict;
	/* run */
	const char *prompt_text, *prompt_file;
	uint32_t predict;	/* UINT32_MAX: until the context is full */
	double temperature, top_p, min_p, repeat_penalty, frequency_penalty, presence_penalty;
	uint32_t top_k, repeat_last_n;
	uint64_t seed;
	bool random_seed;	/* it was drawn */
	struct texts stop;
	bool raw, chat;
	const char *system, *chat_format, *session, *receipt;
	/* logits */
	int32_t *tokens;	/* malloc'd */
	size_t n_tokens;
	bool step;
	/* bench */
	uint32_t prompt, generate;
	uint32_t seqs;		/* 0: one alone */
	uint32_t at;		/* UINT32_MAX: after the prompt */
	/* reset */
	bool force;
	/* metrics, cdi */
	const char *listen, *textfile, *cdi_file;
	uint32_t metrics_format;
	/* arguments beside the model or the device */
	char **args;
	int n_args;
};

/* Which commands an option is for, and more about a command. */
enum {
	FOR_LIST = 1u << 0,
	FOR_SHOW = 1u << 1,
	FOR_PLAN = 1u << 2,
	FOR_RUN = 1u << 3,
	FOR_LOGITS = 1u << 4,
	FOR_BENCH = 1u << 5,
	FOR_DOCTOR = 1u << 6,
	FOR_VERSION = 1u << 7,
	FOR_COMPLETION = 1u << 8,
	FOR_HELP = 1u << 9,
	FOR_VERIFY = 1u << 10,
	FOR_RESET = 1u << 11,
	FOR_METRICS = 1u << 12,
	FOR_CDI = 1u << 13,

	FOR_PLANNED = FOR_PLAN | FOR_RUN | FOR_LOGITS | FOR_BENCH,
	FOR_MODEL = FOR_PLANNED | FOR_VERIFY,
	FOR_SHOWN = FOR_LIST | FOR_SHOW | FOR_DOCTOR | FOR_RESET,
	FOR_DEVICE = FOR_SHOWN | FOR_METRICS | FOR_CDI,
	FOR_JSON = FOR_MODEL | FOR_SHOWN | FOR_VERSION,
	FOR_ALL = (1u << 14) - 1,
};

struct command {
	const char *name;
	unsigned int bit;
	int (*run)(const struct options *o);
	const char *args, *text;
	int first;		/* arguments before MODEL or DEVICE */
	int max_args;		/* beside MODEL or DEVICE */
	int min_args;
	const char *const *words;	/* that an argument may be, or NULL */
};

/* ---- tables.c ---- */

/* In the order of enum accel_kv_type, ended by NULL. */
extern const char *const kv_type_names[];

extern const struct command commands[];
extern const size_t n_commands;
const struct command *command_find(const char *name);

enum value {
	VALUE_NONE,		/* sets a bool */
	VALUE_U32,		/* min .. max */
	VALUE_SEED,		/* u64; -1: a random one */
	VALUE_REAL,
	VALUE_CHOICE,		/* u32: the index of one of the words */
	VALUE_ISA, VALUE_TEXT, VALUE_FILE, VALUE_DEVICE,	/* const char * */
	VALUE_OUTPUT, VALUE_LAYERS, VALUE_TOKENS, VALUE_TEXTS,
};

/* What -1 means, of a U32. */
enum minus_one {
	MINUS_ONE_WRONG,
	MINUS_ONE_MOST,		/* the largest there is */
	MINUS_ONE_ZERO,		/* the same as 0 */
};

struct option_entry {
	const char *name, *alias;	/* long names; alias may be NULL */
	const char *word;	/* after one dash, as others write it: "sys"; or NULL */
	char letter;		/* or 0 */
	enum value value;
	unsigned int commands;
	size_t field;		/* in struct options */
	const char *arg;	/* as --help shows it, NULL: without */
	const char *text;
	const char *preset;	/* the value without the option, read as if it were given; or NULL */
	double min, max;
	const char *const *words;	/* of a choice; for completion also of others */
	enum minus_one minus_one;
};

extern const struct option_entry option_entries[];
extern const size_t n_option_entries;

/* "-n, --predict, --n-predict N" */
void option_tag(const struct option_entry *e, char *tag, size_t len);
/* Before anything of the tables is used: enters what this build's library has. */
void tables_begin(void);

/* ---- options.c, values.c ---- */

/*
 * Reads a command line into *o and *cmd; one without a word is that of the list.  Returns 0, or an
 * exit code after a complaint.  If o->help or o->version is set the rest was not looked at, and *cmd
 * may be NULL.  options_free() takes what there is.
 */
int options_parse(int argc, char **argv, const struct command **cmd, struct options *o);
void options_free(struct options *o);
/* Was the option of this long name on the command line? */
bool option_given(const struct options *o, const char *name);

/* Reads what follows an option; 0 or an exit code after a complaint.  word: the option as it was given. */
int value_read(const struct option_entry *e, struct options *o, const char *word, const char *text);

/* ---- help.c ---- */

/* cmd NULL: all commands. */
void print_help(FILE *f, const struct command *cmd);

#endif
