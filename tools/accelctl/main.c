// SPDX-License-Identifier: MIT
/* accelctl: the command table, options, and dispatch. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accelctl.h"

enum { OPT_LAYERS = 256, OPT_THREADS, OPT_ISA, OPT_CTX, OPT_BATCH, OPT_STRICT, OPT_TEMP, OPT_TOP_K,
       OPT_TOP_P, OPT_SEED, OPT_RAW, OPT_TOKENS, OPT_STEP, OPT_KV_TYPE, OPT_PROMPT, OPT_GENERATE, OPT_AT };

#define FOR_LIST 1u
#define FOR_MODEL 2u
#define FOR_RUN 4u
#define FOR_LOGITS 8u
#define FOR_SESSION 16u
#define FOR_BENCH 32u

static const struct command {
	const char *name;
	int (*run)(const struct options *o);
	const char *args, *text;
	int min_args, max_args;
	unsigned int options;
} commands[] = {
	{ "list", cmd_list, "", "the processors of this machine", 0, 0, FOR_LIST },
	{ "show", cmd_show, "[DEVICE]", "what a processor is and can do", 0, 1, FOR_LIST },
	{ "plan", cmd_plan, "MODEL", "which layer would run where, and why", 1, 1,
	  FOR_LIST | FOR_MODEL },
	{ "run", cmd_run, "MODEL [PROMPT]", "complete a prompt (or standard input)", 1, INT_MAX,
	  FOR_MODEL | FOR_SESSION | FOR_RUN },
	{ "logits", cmd_logits, "MODEL OUT", "write the logits of every position to a file", 2, 2,
	  FOR_LIST | FOR_MODEL | FOR_SESSION | FOR_LOGITS },
	{ "bench", cmd_bench, "MODEL", "what a prompt and generation cost", 1, 1,
	  FOR_LIST | FOR_MODEL | FOR_BENCH },
	{ "doctor", cmd_doctor, "", "find out what keeps a processor from working", 0, 0, FOR_LIST },
	{ "version", cmd_version, "", "versions of tool, library and driver interface", 0, 0,
	  FOR_LIST },
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct option_text {
	struct option opt;
	unsigned int where;
	const char *arg, *text;
} option_texts[] = {
	{ { "output", required_argument, NULL, 'o' }, FOR_LIST, "text|json", "format of the output" },
	{ { "device", required_argument, NULL, 'd' }, FOR_MODEL, "auto|cpu|sim[:SPEC]|accelN",
	  "where to compute (default auto)" },
	{ { "layers", required_argument, NULL, OPT_LAYERS }, FOR_MODEL, "A-B|A|all|none",
	  "layers allowed on the processor" },
	{ { "ctx", required_argument, NULL, OPT_CTX }, FOR_MODEL, "N", "positions of the context" },
	{ { "batch", required_argument, NULL, OPT_BATCH }, FOR_MODEL, "N",
	  "tokens computed at once (default: at most 512)" },
	{ { "kv-type", required_argument, NULL, OPT_KV_TYPE }, FOR_MODEL, "f16|f32|q8_0",
	  "what keys and values are kept as (default f16)" },
	{ { "threads", required_argument, NULL, OPT_THREADS }, FOR_MODEL, "N",
	  "CPU threads (default: one per CPU)" },
	{ { "isa", required_argument, NULL, OPT_ISA }, FOR_MODEL, "auto|scalar|avx2",
	  "instructions of the CPU executor" },
	{ { "strict", no_argument, NULL, OPT_STRICT }, FOR_SESSION, NULL,
	  "fail, instead of going on on the CPU, when the processor fails" },
	{ { "predict", required_argument, NULL, 'n' }, FOR_RUN, "N", "most tokens to generate" },
	{ { "temperature", required_argument, NULL, OPT_TEMP }, FOR_RUN, "T",
	  "0 = greedy (default)" },
	{ { "top-k", required_argument, NULL, OPT_TOP_K }, FOR_RUN, "K", "0 = all (default 40)" },
	{ { "top-p", required_argument, NULL, OPT_TOP_P }, FOR_RUN, "P", "default 0.95" },
	{ { "seed", required_argument, NULL, OPT_SEED }, FOR_RUN, "N", "of sampling (default 0)" },
	{ { "raw", no_argument, NULL, OPT_RAW }, FOR_RUN, NULL,
	  "the prompt as it is, without the model's prompt format" },
	{ { "tokens", required_argument, NULL, OPT_TOKENS }, FOR_LOGITS, "1,2,3",
	  "token ids (default: 24 fixed ones)" },
	{ { "step", no_argument, NULL, OPT_STEP }, FOR_LOGITS, NULL, "one token at a time" },
	{ { "prompt", required_argument, NULL, OPT_PROMPT }, FOR_BENCH, "N",
	  "tokens of the prompt, 0 = none (default 512)" },
	{ { "generate", required_argument, NULL, OPT_GENERATE }, FOR_BENCH, "N",
	  "tokens generated, 0 = none (default 16)" },
	{ { "at", required_argument, NULL, OPT_AT }, FOR_BENCH, "N",
	  "position of the first of them (default: after the prompt)" },
	{ { "help", no_argument, NULL, 'h' }, ~0u, NULL, "this text" },
};
#define N_OPTIONS (sizeof(option_texts) / sizeof(option_texts[0]))

static void print_options(FILE *f, unsigned int where)
{
	for (size_t i = 0; i < N_OPTIONS; i++) {
		const struct option_text *t = &option_texts[i];
		char name[64];

		if (!(t->where & where))
			continue;
		snprintf(name, sizeof(name), "%s--%s%s%s",
			 t->opt.val < 256 ? (char[]) { '-', t->opt.val, ',', ' ', 0 } : "    ",
			 t->opt.name, t->arg ? " " : "", t->arg ? t->arg : "");
		fprintf(f, "  %-40s %s\n", name, t->text);
	}
}

static void usage(FILE *f, const struct command *c)
{
	if (c) {
		fprintf(f, "Usage: accelctl %s [options] %s\n%s.\n\n", c->name, c->args, c->text);
		print_options(f, c->options);
		return;
	}
	fprintf(f, "Usage: accelctl COMMAND [options] [arguments]\n\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(f, "  %-8s %-16s %s\n", commands[i].name, commands[i].args, commands[i].text);
	fprintf(f, "\n`accelctl COMMAND --help` lists a command's options; accelctl(1) explains.\n");
}

static bool read_u64(const char *text, uint64_t max, uint64_t *value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return !errno && !*end && *value <= max;
}

static int read_u32(const char *option, const char *text, uint32_t min, uint32_t max, uint32_t *value)
{
	uint64_t v;

	if (!read_u64(text, max, &v) || v < min)
		return complain(EXIT_USAGE, "--%s \"%s\" is not a number from %u to %u", option, text,
				min, max);
	*value = v;
	return 0;
}

static int read_double(const char *option, const char *text, double max, double *value)
{
	char *end;

	*value = strtod(text, &end);
	if (end == text || *end || !(*value >= 0) || *value > max)
		return complain(EXIT_USAGE, "--%s \"%s\" is not a number from 0 to %g", option, text, max);
	return 0;
}

static int read_layers(struct options *o, const char *text)
{
	char *end;

	o->all_layers = !strcmp(text, "all");
	o->no_layers = !strcmp(text, "none");
	if (o->all_layers || o->no_layers)
		return 0;
	if (*text >= '0' && *text <= '9') {
		unsigned long a = strtoul(text, &end, 10), b = a;

		if (*end == '-' && end[1] >= '0' && end[1] <= '9')
			b = strtoul(end + 1, &end, 10);
		if (!*end && a <= b && b <= UINT32_MAX) {
			o->first = a;
			o->last = b;
			return 0;
		}
	}
	return complain(EXIT_USAGE, "--layers \"%s\" is not a range such as 0-7, 3, all or none", text);
}

static int read_tokens(struct options *o, const char *text)
{
	const char *p = text;
	char *end;

	do {
		long v = strtol(p, &end, 10);
		int32_t *grown;

		if (end == p || v < 0 || v > INT32_MAX || (*end && *end != ','))
			return complain(EXIT_USAGE, "--tokens \"%s\" is not a list of token ids such as 1,2,3",
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

static int read_isa(struct options *o, const char *text)
{
	o->isa = text;
	return 0;
}

static int read_kv_type(struct options *o, const char *text)
{
	static const char *const names[] = {
		[ACCEL_KV_F16] = "f16", [ACCEL_KV_F32] = "f32", [ACCEL_KV_Q8_0] = "q8_0",
	};

	for (int i = 0; i < 3; i++)
		if (!strcmp(text, names[i])) {
			o->kv_type = i;
			return 0;
		}
	return complain(EXIT_USAGE, "--kv-type \"%s\" is not f16, f32 or q8_0", text);
}

static int read_option(struct options *o, int c, const char *arg)
{
	switch (c) {
	case 'o':
		o->json = !strcmp(arg, "json");
		if (!o->json && strcmp(arg, "text"))
			return complain(EXIT_USAGE, "--output \"%s\" is not text or json", arg);
		return 0;
	case 'd':
		o->device = arg;
		return 0;
	case 'n':
		return read_u32("predict", arg, 1, 1u << 24, &o->predict);
	case OPT_LAYERS:
		return read_layers(o, arg);
	case OPT_THREADS:
		return read_u32("threads", arg, 1, 1024, &o->threads);
	case OPT_ISA:
		return read_isa(o, arg);
	case OPT_CTX:
		return read_u32("ctx", arg, 1, 1u << 24, &o->ctx);
	case OPT_BATCH:
		return read_u32("batch", arg, 1, 1u << 16, &o->batch);
	case OPT_STRICT:
		o->strict = true;
		return 0;
	case OPT_TEMP:
		return read_double("temperature", arg, 100, &o->temperature);
	case OPT_TOP_P:
		return read_double("top-p", arg, 1, &o->top_p);
	case OPT_TOP_K:
		return read_u32("top-k", arg, 0, 1u << 24, &o->top_k);
	case OPT_SEED:
		if (!read_u64(arg, UINT64_MAX, &o->seed))
			return complain(EXIT_USAGE, "--seed \"%s\" is not a number", arg);
		return 0;
	case OPT_RAW:
		o->raw = true;
		return 0;
	case OPT_TOKENS:
		return read_tokens(o, arg);
	case OPT_STEP:
		o->step = true;
		return 0;
	case OPT_KV_TYPE:
		return read_kv_type(o, arg);
	case OPT_PROMPT:
		return read_u32("prompt", arg, 0, 1u << 24, &o->prompt);
	case OPT_GENERATE:
		return read_u32("generate", arg, 0, 1u << 24, &o->generate);
	case OPT_AT:
		o->has_at = true;
		return read_u32("at", arg, 0, 1u << 24, &o->at);
	}
	return EXIT_USAGE;
}

/* -1: go on; else the exit code. */
static int read_options(const struct command *cmd, struct options *o, int argc, char **argv)
{
	struct option longs[N_OPTIONS + 1] = { 0 };
	char shorts[2 * N_OPTIONS + 2] = ":";
	size_t n = 0, s = 1;
	int c, rc;

	for (size_t i = 0; i < N_OPTIONS; i++) {
		const struct option_text *t = &option_texts[i];

		if (!(t->where & cmd->options))
			continue;
		longs[n++] = t->opt;
		if (t->opt.val < 256) {
			shorts[s++] = t->opt.val;
			if (t->opt.has_arg)
				shorts[s++] = ':';
		}
	}
	opterr = 0;
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (c == 'h') {
			usage(stdout, cmd);
			return EXIT_OK;
		}
		if (c == '?' || c == ':')
			return complain(EXIT_USAGE, c == ':' ? "option \"%s\" needs a value: `accelctl %s --help` lists the options" :
					"option \"%s\" is not known: `accelctl %s --help` lists the options",
					argv[optind - 1], cmd->name);
		rc = read_option(o, c, optarg);
		if (rc)
			return rc;
	}
	o->args = argv + optind;
	o->n_args = argc - optind;
	if (o->n_args < cmd->min_args || o->n_args > cmd->max_args)
		return complain(EXIT_USAGE, "%s: the arguments are \"%s\", %d given", cmd->name, cmd->args,
				o->n_args);
	return -1;
}

/* What is opened later must not become standard output because that was closed: the model's memory
 * would take the answer.  Using such a stream still fails. */
static void take_standard_streams(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", fd ? O_RDONLY : O_WRONLY);
}

static int dispatch(int argc, char **argv)
{
	struct options o = {
		.all_layers = true, .predict = 256, .top_k = 40, .top_p = 0.95,
		.prompt = 512, .generate = 16,
	};
	const char *name = argc > 1 ? argv[1] : "help";
	int rc;

	if (!strcmp(name, "help") || !strcmp(name, "--help") || !strcmp(name, "-h")) {
		usage(stdout, NULL);
		return EXIT_OK;
	}
	if (!strcmp(name, "--version"))
		name = "version";
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(name, commands[i].name))
			continue;
		rc = read_options(&commands[i], &o, argc - 1, argv + 1);
		if (rc < 0)
			rc = commands[i].run(&o);
		free(o.tokens);
		return rc;
	}
	return complain(EXIT_USAGE, "\"%s\" is not a command: `accelctl help` lists them", name);
}

int main(int argc, char **argv)
{
	int rc;

	take_standard_streams();
	signal(SIGPIPE, SIG_IGN);	/* a reader that closes early is noticed when we write */
	accel_guard_files();		/* a model file that is cut ends in a sentence */
	rc = dispatch(argc, argv);
	if (rc == EXIT_OK)
		flush_output(&rc);
	return rc;
}
