// SPDX-License-Identifier: MIT
/* accelctl completion: scripts for shells, made from the tables of commands and options. */
#include <stdio.h>
#include <string.h>

#include "accelctl.h"

#define NODES "$(ls /sys/class/accel 2>/dev/null)"

static bool is_for(const struct option_entry *e, const struct command *c)
{
	return e->commands & c->bit;
}

static bool takes_file(const struct command *c)
{
	return c->bit & FOR_MODEL;
}

static void print_words(const char *const *words, const char *sep)
{
	for (size_t i = 0; words && words[i]; i++)
		printf("%s%s", i ? sep : "", words[i]);
}

static void print_commands(const char *sep)
{
	for (size_t i = 0; i < n_commands; i++)
		printf("%s%s", i ? sep : "", commands[i].name);
}

/* ---- bash ---- */

/* What completes the value of an option, as an argument of compgen. */
static void bash_value(const struct option_entry *e)
{
	if (e->value == VALUE_FILE) {
		printf("-f");
	} else if (e->words) {
		printf("-W \"");
		print_words(e->words, " ");
		printf("%s\"", e->value == VALUE_DEVICE ? " " NODES : "");
	} else {
		printf("-W \"\"");
	}
}

static void bash_option(const struct option_entry *e, const struct command *c)
{
	printf("\t%s.--%s", c->name, e->name);
	if (e->alias)
		printf("|%s.--%s", c->name, e->alias);
	if (e->letter)
		printf("|%s.-%c", c->name, e->letter);
	printf(") _accelctl_words ");
	bash_value(e);
	printf("; return ;;\n");
}

static void bash_command(const struct command *c)
{
	printf("\t%s) options=\"", c->name);
	for (size_t i = 0; i < n_option_entries; i++)
		if (is_for(&option_entries[i], c)) {
			printf(" --%s", option_entries[i].name);
			if (option_entries[i].letter)
				printf(" -%c", option_entries[i].letter);
		}
	printf("\"; words='");
	if (c->words)
		print_words(c->words, " ");
	else if (c->bit & FOR_HELP)
		print_commands(" ");
	else if (c->bit & FOR_DEVICE)
		printf("auto sim %s", NODES);
	printf("'; files=%s ;;\n", takes_file(c) ? "1" : "");
}

static void print_bash(void)
{
	printf("# bash completion of accelctl, made by `accelctl completion bash`\n"
	       "_accelctl_words() {\n"
	       "\twhile read -r word; do COMPREPLY+=(\"$word\"); done < <(compgen \"$@\" -- \"$cur\")\n"
	       "}\n\n"
	       "_accelctl() {\n"
	       "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	       "\tlocal i cmd='' options='' words='' files='' word\n"
	       "\tCOMPREPLY=()\n"
	       "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	       "\t\tcase ${COMP_WORDS[i]} in\n\t\t");
	print_commands("|");
	printf(") cmd=${COMP_WORDS[i]}; break ;;\n\t\tesac\n\tdone\n"
	       "\tif [ -z \"$cmd\" ]; then\n\t\t_accelctl_words -W \"");
	print_commands(" ");
	printf("\"\n\t\treturn\n\tfi\n\tcase $cmd.$prev in\n");
	for (size_t c = 0; c < n_commands; c++)
		for (size_t i = 0; i < n_option_entries; i++)
			if (is_for(&option_entries[i], &commands[c]) && option_entries[i].value != VALUE_NONE)
				bash_option(&option_entries[i], &commands[c]);
	printf("\tesac\n\tcase $cmd in\n");
	for (size_t c = 0; c < n_commands; c++)
		bash_command(&commands[c]);
	printf("\tesac\n"
	       "\tcase $cur in\n"
	       "\t-*) _accelctl_words -W \"$options\" ;;\n"
	       "\t*)\n"
	       "\t\t[ -z \"$files\" ] || { compopt -o filenames 2>/dev/null; _accelctl_words -f; }\n"
	       "\t\t[ -z \"$words\" ] || _accelctl_words -W \"$words\"\n"
	       "\t\t;;\n"
	       "\tesac\n"
	       "}\n\n"
	       "complete -F _accelctl accelctl\n");
}

/* ---- zsh ---- */

/* In single quotes, where [ ] : have a meaning. */
static void zsh_text(const char *s)
{
	for (; *s; s++) {
		if (strchr("[]:\\", *s))
			putchar('\\');
		if (*s == '\'')
			printf("'\\''");
		else
			putchar(*s);
	}
}

static void zsh_value(const struct option_entry *e)
{
	if (e->value == VALUE_NONE)
		return;
	printf(":");
	zsh_text(e->arg);
	printf(":");
	if (e->value == VALUE_FILE) {
		printf("_files");
	} else if (e->words) {
		printf("(");
		print_words(e->words, " ");
		printf(")");
	}
}

static void zsh_name(const struct option_entry *e, const char *name)
{
	printf("\t\t\t'%s%s[", e->value == VALUE_TEXTS ? "*" : "", name);
	zsh_text(e->text);
	printf("]");
	zsh_value(e);
	printf("' \\\n");
}

static void zsh_option(const struct option_entry *e)
{
	char name[64];

	snprintf(name, sizeof(name), "--%s", e->name);
	zsh_name(e, name);
	if (e->alias) {
		snprintf(name, sizeof(name), "--%s", e->alias);
		zsh_name(e, name);
	}
	if (e->letter) {
		snprintf(name, sizeof(name), "-%c", e->letter);
		zsh_name(e, name);
	}
}

static void zsh_arguments(const struct command *c)
{
	printf("\t\t\t'*:argument:");
	if (c->words || c->bit & FOR_HELP) {
		printf("(");
		if (c->words)
			print_words(c->words, " ");
		else
			print_commands(" ");
		printf(")");
	} else if (c->bit & FOR_DEVICE) {
		printf("(auto sim)");
	} else {
		printf("%s", takes_file(c) ? "_files" : "");
	}
	printf("'\n\t\t;;\n");
}

static void print_zsh(void)
{
	printf("#compdef accelctl\n# zsh completion of accelctl, made by `accelctl completion zsh`\n\n"
	       "_accelctl() {\n\tlocal context state line\n\ttypeset -A opt_args\n"
	       "\t_arguments -C '1:command:->command' '*::argument:->argument'\n"
	       "\tcase $state in\n\tcommand)\n\t\tlocal -a commands=(\n");
	for (size_t c = 0; c < n_commands; c++) {
		printf("\t\t\t'%s:", commands[c].name);
		zsh_text(commands[c].text);
		printf("'\n");
	}
	printf("\t\t)\n\t\t_describe command commands\n\t\t;;\n\targument)\n\t\tcase $words[1] in\n");
	for (size_t c = 0; c < n_commands; c++) {
		printf("\t\t%s) _arguments \\\n", commands[c].name);
		for (size_t i = 0; i < n_option_entries; i++)
			if (is_for(&option_entries[i], &commands[c]))
				zsh_option(&option_entries[i]);
		zsh_arguments(&commands[c]);
	}
	printf("\t\tesac\n\t\t;;\n\tesac\n}\n\n"
	       "if [ \"$funcstack[1]\" = _accelctl ]; then\n\t_accelctl \"$@\"\nelse\n\tcompdef _accelctl accelctl\nfi\n");
}

/* ---- fish ---- */

static void fish_text(const char *s)
{
	putchar('\'');
	for (; *s; s++) {
		if (*s == '\'' || *s == '\\')
			putchar('\\');
		putchar(*s);
	}
	putchar('\'');
}

static void fish_option(const struct option_entry *e)
{
	printf("complete -c accelctl -n '__fish_seen_subcommand_from");
	for (size_t c = 0; c < n_commands; c++)
		if (is_for(e, &commands[c]))
			printf(" %s", commands[c].name);
	printf("' -l %s", e->name);
	if (e->alias)
		printf(" -l %s", e->alias);
	if (e->letter)
		printf(" -s %c", e->letter);
	if (e->value == VALUE_FILE) {
		printf(" -rF");
	} else if (e->value != VALUE_NONE) {
		printf(" -x");
		if (e->words) {
			printf(" -a '");
			print_words(e->words, " ");
			printf("'");
		}
	}
	printf(" -d ");
	fish_text(e->text);
	putchar('\n');
}

static void print_fish(void)
{
	printf("# fish completion of accelctl, made by `accelctl completion fish`\n"
	       "complete -c accelctl -f\n");
	for (size_t c = 0; c < n_commands; c++) {
		printf("complete -c accelctl -n __fish_use_subcommand -a %s -d ", commands[c].name);
		fish_text(commands[c].text);
		putchar('\n');
		if (!commands[c].words && !takes_file(&commands[c]) &&
		    !(commands[c].bit & (FOR_DEVICE | FOR_HELP)))
			continue;
		printf("complete -c accelctl -n '__fish_seen_subcommand_from %s' ", commands[c].name);
		if (takes_file(&commands[c])) {
			printf("-F\n");
			continue;
		}
		printf("-a '");
		if (commands[c].words)
			print_words(commands[c].words, " ");
		else if (commands[c].bit & FOR_HELP)
			print_commands(" ");
		else
			printf("auto sim");
		printf("'\n");
	}
	for (size_t i = 0; i < n_option_entries; i++)
		fish_option(&option_entries[i]);
}

int cmd_completion(const struct options *o)
{
	const char *shell = o->args[0];

	if (!strcmp(shell, "bash"))
		print_bash();
	else if (!strcmp(shell, "zsh"))
		print_zsh();
	else if (!strcmp(shell, "fish"))
		print_fish();
	else
		return complain(EXIT_USAGE, "\"%s\" is not a shell that is known: bash, zsh or fish", shell);
	return EXIT_OK;
}
