// SPDX-License-Identifier: MIT
/* accelctl help, and --help: what the tables of commands and options say. */
#include <string.h>

#include "accelctl.h"
#include "options.h"

#define TEXT_AT 34

static void print_option(FILE *f, const struct option_entry *e)
{
	char tag[96];
	int n;

	option_tag(e, tag, sizeof(tag));
	n = fprintf(f, "  %s%s", e->letter ? "" : "    ", tag);
	if (n >= TEXT_AT)
		n = fprintf(f, "\n") * 0;
	fprintf(f, "%*s%s", TEXT_AT - n, "", e->text);
	if (e->preset && strcmp(e->preset, "-1"))
		fprintf(f, " (default %s)", e->preset);
	fputc('\n', f);
}

void print_help(FILE *f, const struct command *c)
{
	if (!c) {
		fprintf(f, "Usage: accelctl COMMAND [options] [arguments]\n\n");
		for (size_t i = 0; i < n_commands; i++)
			fprintf(f, "  %-11s%-16s %s\n", commands[i].name, commands[i].args,
				commands[i].text);
		fprintf(f, "\n`accelctl help COMMAND` lists a command's options; accelctl(1) explains.\n");
		return;
	}
	fprintf(f, "Usage: accelctl %s [options]%s%s\n%s.\n\n", c->name, *c->args ? " " : "", c->args,
		c->text);
	for (size_t i = 0; i < n_option_entries; i++)
		if (option_entries[i].commands & c->bit)
			print_option(f, &option_entries[i]);
	if (c->bit & FOR_RUN)
		fprintf(f, "\nA prompt that begins with a dash comes after --, one that is - is standard input.\n");
}

int cmd_help(const struct options *o)
{
	const struct command *c = o->n_args ? command_find(o->args[0]) : NULL;

	if (o->n_args && !c)
		return complain(EXIT_USAGE, "\"%s\" is not a command: `accelctl help` lists them", o->args[0]);
	print_help(stdout, c);
	return EXIT_OK;
}
