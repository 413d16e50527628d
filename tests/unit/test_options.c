// SPDX-License-Identifier: MIT
/* accelctl's command line: the tables, what is read from words, and lists of layers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../tools/accelctl/accelctl.h"
#include "tap.h"

#define MAX_WORDS 16

static char said[4096];		/* on stderr, by the newest parse() */
static const struct command *cmd;
static struct options o;

/* Parses "run -n 5 m"; words are what spaces separate, "_" stands for one of no letters and '~' for a
 * space.  Returns the exit code. */
static int parse(const char *text)
{
	static char copy[512];
	char *argv[MAX_WORDS + 1] = { (char *)"accelctl" }, *p = copy;
	int argc = 1, rc, err = dup(2), in[2];
	ssize_t n;

	snprintf(copy, sizeof(copy), "%s", text);
	while ((p = strtok(p, " "))) {
		for (char *c = p; *c; c++)
			*c = *c == '~' ? ' ' : *c;
		argv[argc++] = strcmp(p, "_") ? p : (char *)"";
		p = NULL;
	}
	if (pipe(in))
		exit(1);
	fflush(stderr);
	dup2(in[1], 2);
	close(in[1]);
	options_free(&o);
	rc = options_parse(argc, argv, &cmd, &o);
	fflush(stderr);
	dup2(err, 2);
	close(err);
	n = read(in[0], said, sizeof(said) - 1);
	said[n > 0 ? n : 0] = 0;
	close(in[0]);
	return rc;
}

/* A usage error whose sentence holds this. */
static bool refuses(const char *text, const char *what)
{
	int rc = parse(text);

	if (rc == EXIT_USAGE && strstr(said, what) && strchr(said, '\n') == said + strlen(said) - 1)
		return true;
	printf("# %s: %d, %s\n", text, rc, said);
	return false;
}

static void test_tables(void)
{
	for (size_t c = 0; c < n_commands; c++) {
		bool good = true;

		for (size_t i = 0; i < n_option_entries; i++)
			for (size_t k = 0; k < i; k++) {
				const struct option_entry *a = &option_entries[i], *b = &option_entries[k];

				if (!(a->commands & b->commands & commands[c].bit))
					continue;
				good &= strcmp(a->name, b->name) && (!a->letter || a->letter != b->letter);
				good &= !a->alias || (strcmp(a->alias, b->name) &&
						      (!b->alias || strcmp(a->alias, b->alias)));
			}
		ok(good, "%s: no two options share a name", commands[c].name);
	}
	for (size_t i = 0; i < n_option_entries; i++) {
		const struct option_entry *e = &option_entries[i];
		bool choice = e->value == VALUE_CHOICE || e->value == VALUE_OUTPUT;

		if (!e->text || !e->commands || !!e->arg != (e->value != VALUE_NONE) ||
		    (choice && !e->words) || (e->value == VALUE_U32 && e->max <= e->min))
			ok(false, "--%s: the entry is whole", e->name);
	}
}

static void test_words(void)
{
	ok(!parse("run m.gguf one two") && !strcmp(o.model, "m.gguf") && o.n_args == 2 &&
	   !strcmp(o.args[1], "two"), "arguments");
	ok(!parse("run -m m.gguf one") && !strcmp(o.model, "m.gguf") && o.n_args == 1, "-m is the model");
	ok(!parse("run m -n 5 -c 77 -t3 --temp 0.5 -s 9 --threads=4 hello") && o.predict == 5 &&
	   o.ctx == 77 && o.threads == 4 && o.temperature == 0.5 && o.seed == 9, "values, in all their forms");
	ok(!parse("-o json list") && o.json && cmd->bit == FOR_LIST, "options before the command");
	ok(!parse("-m x.gguf run hello") && !strcmp(o.model, "x.gguf") && o.n_args == 1,
	   "also those that take a value");
	ok(!parse("run -qvn 7 m") && o.quiet && o.verbose && o.predict == 7, "a group of letters");
	ok(!parse("run m -- -n -5") && o.n_args == 2 && !strcmp(o.args[0], "-n"), "after -- all is argument");
	ok(!parse("run m -") && o.n_args == 1 && !strcmp(o.args[0], "-"), "- is an argument");
	ok(!parse("run m --predict -1") && o.predict == UINT32_MAX, "-1 where it means no limit");
	ok(!parse("run m -p -x") && !strcmp(o.prompt_text, "-x"), "a value may begin with a dash");
	ok(!parse("run m -p _") && !*o.prompt_text, "or be empty");
	ok(!parse("run m --pred 3") && o.predict == 3, "a name may be cut");
	ok(!parse("run m --stop a --stop b -r c") && o.stop.n == 3 && !strcmp(o.stop.text[2], "c"),
	   "an option that may be repeated");
	ok(!parse("bench m -p 5 -n 6") && o.prompt == 5 && o.generate == 6 && o.at == UINT32_MAX,
	   "the same letters mean other things to other commands");
	ok(!parse("show -d accel1") && !strcmp(o.device, "accel1"), "show --device");
	ok(!parse("show accel1") && !strcmp(o.device, "accel1"), "show DEVICE");
	ok(!parse("run m") && o.predict == 256 && o.top_k == 40 && o.top_p == 0.95 &&
	   o.repeat_penalty == 1 && o.repeat_last_n == 64, "values of options that are not given");
	ok(!parse("run m -s 5") && option_given(&o, "seed") && !option_given(&o, "top-k"), "which were given");
	ok(!parse("") && cmd->bit == FOR_LIST && !o.device && !o.n_args, "nothing at all is the list");
	ok(!parse("-V") && o.version, "-V");
	ok(!parse("run -h") && o.help && cmd->bit == FOR_RUN, "-h needs no arguments");
	ok(!parse("run -n 3 --help --frob") && o.help, "nor what comes after it");
}

/* As llama.cpp means it. */
static void test_special(void)
{
	ok(!parse("run m --top-k -1") && !o.top_k, "--top-k -1: all");
	ok(!parse("run m --temp -1") && o.temperature <= 0, "--temp -1: the most likely token");
	ok(!parse("run m --repeat-last-n -1") && o.repeat_last_n == UINT32_MAX, "--repeat-last-n -1: no limit");
	ok(!parse("run m -c 0") && !o.ctx && option_given(&o, "ctx"), "-c 0: the model's");
	ok(!parse("run m -t -1") && !o.threads, "-t -1: as without");
	ok(!parse("run m -s 5 -s -1") && o.random_seed && o.seed <= UINT32_MAX, "-s -1: a random one");
	ok(!parse("run m -s -1 -s 5") && !o.random_seed && o.seed == 5, "the last one counts");
	ok(refuses("run m -s -2", "-s \"-2\"") && refuses("run m --top-k -2", "--top-k \"-2\"") &&
	   refuses("run m --temp -2", "--temp \"-2\""), "-2 means nothing");
	ok(refuses("bench m -p -1", "-p \"-1\""), "nor does -1 where it is none of these");
}

static void test_refused(void)
{
	ok(refuses("frob", "\"frob\" is not a command"), "no such command");
	ok(refuses("-o json", "there is no command"), "no command");
	ok(refuses("list --frob", "\"--frob\""), "no such option");
	ok(refuses("list --frob=1", "\"--frob\""), "no such option with a value");
	ok(refuses("list -xyz", "\"-xyz\""), "no such letter");
	ok(refuses("run -xn 5 m", "\"-xn\""), "the word with the letter is quoted, not the one before");
	ok(refuses("run -qx m", "\"-x\" of \"-qx\""), "the letter and its word");
	ok(refuses("run m -1~+~1~=~?", "\"-1 + 1 = ?\""), "a prompt with a dash is quoted");
	ok(refuses("run m -1~+~1~=~?", "comes after --"), "and it is said what to do");
	ok(refuses("lst", "nearest is list") && refuses("versoin", "nearest is version") &&
	   refuses("benhc", "nearest is bench"), "nearly a command");
	ok(refuses("bananas", "help` lists") && refuses("ls", "help` lists") && !strstr(said, "nearest"), "far from one");
	ok(refuses("x.gguf", "accelctl run x.gguf"), "a model in its place");
	ok(refuses("run m --top_k 3", "nearest is --top-k") && refuses("run m --temprature=1", "nearest is --temp"),
	   "nearly an option");
	ok(refuses("list --repeat-penaltie 1", "\"--repeat-penaltie\"") && !strstr(said, "nearest"),
	   "of this command alone");
	ok(refuses("run m -mg 0", "--device") && refuses("run m -nkvo", "--layers"), "and what belongs to its cards");
	ok(refuses("run m -ngl 99", "--layers") && refuses("run m --n-gpu-layers 99", "--layers"), "what llama.cpp calls layers");
	ok(refuses("run m -fa on", "\"-fa\" is llama.cpp's") && refuses("run m -hf a/b", "\"-hf\"") &&
	   refuses("plan m -ctk q8_0", "--kv-type"), "its words are not read as letters");
	ok(refuses("run m --mlock", "leave it out"), "what is not needed");
	ok(refuses("list --mlock", "\"--mlock\"") && !strstr(said, "llama"), "where no model is");
	ok(refuses("run m --top-k -5", "not -1 or a number"), "-1 is told");
	ok(refuses("list --layers 3", "\"--layers\""), "another command's option");
	ok(refuses("plan m --device", "\"--device\" needs a value"), "a value is missing");
	ok(refuses("plan m -d", "\"-d\" needs a value"), "a letter's value is missing");
	ok(refuses("run m --raw=3", "takes no value"), "a value too many");
	ok(refuses("run m --t 3", "may mean"), "a name cut too short");
	ok(refuses("run m -n 0", "-n \"0\""), "a number too small");
	ok(refuses("run m --predict=12x", "--predict \"12x\""), "no number");
	ok(refuses("run m -n -7", "-n \"-7\""), "a negative number");
	ok(refuses("run m --top-p 1.5", "--top-p \"1.5\""), "a probability above 1");
	ok(refuses("run m --temp nan", "--temp \"nan\""), "not a number");
	ok(refuses("run m -s 18446744073709551616", "-s \"18446744073709551616\""), "a seed too large");
	ok(refuses("plan m --kv-type f64", "not f16, f32 or q8_0"), "a word that is none of them");
	ok(refuses("logits m o --tokens 1,x", "--tokens \"1,x\""), "no list of tokens");
	ok(refuses("logits m o --tokens 1,-2", "--tokens \"1,-2\""), "a negative token");
	ok(refuses("run m --stop _", "empty"), "an empty text");
	ok(refuses("run", "there is no model"), "no model");
	ok(refuses("plan m x", "\"x\" is one too many"), "an argument too many");
	ok(refuses("logits m", "an argument is missing"), "an argument too few");
	ok(refuses("show accel0 -d accel1", "two devices"), "two devices");
	ok(refuses("help a b", "\"b\" is one too many"), "help of two commands");
	ok(refuses("plan m \033[31m", "\"?[31m\""), "control characters do not reach the terminal");
}

static int read_layers(struct layers *l, const char *text, char *why)
{
	return layers_read(text, l, why, 256);
}

/* The spans of eight layers as digits, '.' for the CPU. */
static const char *places(const char *text)
{
	static char out[9];
	struct layers l = { 0 };
	char why[256];
	int span[8];

	if (read_layers(&l, text, why) || layers_of(&l, 8, span, why, sizeof(why)))
		snprintf(out, sizeof(out), "%s", "refused");
	else
		for (int i = 0; i < 8; i++)
			out[i] = span[i] < 0 ? '.' : '0' + span[i];
	layers_free(&l);
	return out;
}

static void test_layers(void)
{
	static const struct { const char *text, *places; } cases[] = {
		{ "all", "00000000" }, { "none", "........" }, { "3", "...0...." },
		{ "0-2", "000....." }, { "5-", ".....000" }, { "0-1,4,6-", "00..1.22" },
		{ "accel0:0-3,accel1:4-7", "00001111" }, { "accel0:0-1,3,cpu:rest", "00.1...." },
		{ "cpu:0-1,accel0:rest", "..111111" }, { "cpu:2", "........" }, { "rest", "00000000" },
		{ "accel0:all", "00000000" }, { "7,0", "1......0" },
		{ "8", "refused" }, { "0-8", "refused" }, { "9-", "refused" },
	};
	static const char *const bad[] = {
		"", ",", "1,", ",1", "5-2", "-3", "x", "1-x", "0:3", "accel0:", ":3", "all,none", "none,1", "1 ",
		"4294967295", "99999999999999999999", "0-99999999999", "1,1", "0-3,2", "3-,7", "rest,rest",
		"all,3", "averyveryverylongnameofaprocessor:1",
	};
	struct layers l = { 0 };
	char why[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!ok(!strcmp(places(cases[i].text), cases[i].places), "layers %s", cases[i].text))
			printf("# %s\n", places(cases[i].text));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(read_layers(&l, bad[i], why) && !l.n, "layers \"%s\" are refused", bad[i]);
	layers_free(&l);
}

int main(void)
{
	test_tables();
	test_words();
	test_special();
	test_refused();
	test_layers();
	options_free(&o);
	return done();
}
