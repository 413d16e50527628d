// SPDX-License-Identifier: MIT
/* The tables of commands and options. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "accelctl.h"
#include "options.h"

static const char *const cdi_words[] = { "generate", NULL };
static const char *const shells[] = { "bash", "zsh", "fish", NULL };

const struct command commands[] = {
	{ .name = "list", .bit = FOR_LIST, .run = cmd_list, .args = "[DEVICE]",
	  .text = "the processors of this machine, and the model of one" },
	{ .name = "show", .bit = FOR_SHOW, .run = cmd_show, .args = "[DEVICE | MODEL]",
	  .text = "what a processor is and can do, or what a model's file says" },
	{ .name = "plan", .bit = FOR_PLAN, .run = cmd_plan, .args = "MODEL",
	  .text = "which layer would run where, and why" },
	{ .name = "run", .bit = FOR_RUN, .run = cmd_run, .args = "MODEL [PROMPT]",
	  .max_args = INT_MAX, .text = "complete a prompt (or standard input)" },
	{ .name = "verify", .bit = FOR_VERIFY, .run = cmd_verify, .args = "RECEIPT MODEL",
	  .first = 1, .min_args = 1, .max_args = 1, .text = "compute again what a receipt says, anywhere" },
	{ .name = "logits", .bit = FOR_LOGITS, .run = cmd_logits, .args = "MODEL OUT",
	  .min_args = 1, .max_args = 1, .text = "write the logits of every position to a file" },
	{ .name = "bench", .bit = FOR_BENCH, .run = cmd_bench, .args = "MODEL",
	  .text = "what a prompt and generation cost" },
	{ .name = "doctor", .bit = FOR_DOCTOR, .run = cmd_doctor, .args = "[DEVICE]",
	  .text = "find out what keeps a processor from working" },
	{ .name = "reset", .bit = FOR_RESET, .run = cmd_reset, .args = "[DEVICE]",
	  .text = "reset a processor that nobody uses, and see whether it works" },
	{ .name = "metrics", .bit = FOR_METRICS, .run = cmd_metrics, .args = "[DEVICE]",
	  .text = "numbers of all processors for monitoring, once or to all who ask" },
	{ .name = "cdi", .bit = FOR_CDI, .run = cmd_cdi, .args = "generate [DEVICE]",
	  .first = 1, .min_args = 1, .max_args = 1, .words = cdi_words,
	  .text = "what lets container engines give a processor to a container" },
	{ .name = "version", .bit = FOR_VERSION, .run = cmd_version, .args = "",
	  .text = "versions of tool, library and driver" },
	{ .name = "completion", .bit = FOR_COMPLETION, .run = cmd_completion, .args = "SHELL",
	  .min_args = 1, .max_args = 1, .words = shells,
	  .text = "a script that makes bash, zsh or fish complete these commands" },
	{ .name = "help", .bit = FOR_HELP, .run = cmd_help, .args = "[COMMAND]", .max_args = 1,
	  .text = "this text, or a command's options" },
};
const size_t n_commands = sizeof(commands) / sizeof(commands[0]);

static const char *const formats[] = { "text", "json", NULL };
/* in the order of cmd_metrics.c's */
static const char *const metrics_formats[] = { "auto", "openmetrics", "prometheus", NULL };
static const char *const listeners[] = { "systemd", NULL };
static const char *const devices[] = { "auto", "cpu", "sim", NULL };
static const char *const layer_words[] = { "all", "none", NULL };
static const char *const stream_names[] = { "auto", "never", "always", NULL };	/* of enum accel_stream */
static const char *const split_names[] = { "auto", "layer", "tensor", NULL };	/* of enum accel_split */
const char *const kv_type_names[] = { "f16", "f32", "q8_0", NULL };
/* What the library was built with, from tables_begin() on. */
static const char *isas[16] = { "auto" };

#define FIELD(name) offsetof(struct options, name)
#define MAX_POSITIONS (1u << 24)

const struct option_entry option_entries[] = {
	{ .name = "model", .letter = 'm', .value = VALUE_FILE,
	  .commands = FOR_MODEL, .field = FIELD(model), .arg = "FILE",
	  .text = "the model, instead of the argument MODEL" },
	{ .name = "device", .letter = 'd', .value = VALUE_DEVICE,
	  .commands = FOR_MODEL, .field = FIELD(device), .arg = "DEVICE",
	  .text = "where to compute: auto, cpu, sim, sim:SPEC, accelN; or several, with commas between", .words = devices },
	{ .name = "device", .letter = 'd', .value = VALUE_DEVICE,
	  .commands = FOR_DEVICE, .field = FIELD(device), .arg = "DEVICE",
	  .text = "the processor, instead of the argument DEVICE", .words = devices },
	{ .name = "layers", .value = VALUE_LAYERS,
	  .commands = FOR_MODEL, .field = FIELD(layers), .arg = "LIST",
	  .text = "layers allowed on a processor: 0-7,12,20- or all or none", .preset = "all",
	  .words = layer_words },
	{ .name = "ctx", .alias = "ctx-size", .letter = 'c', .value = VALUE_U32,
	  .commands = FOR_PLANNED, .field = FIELD(ctx), .arg = "N",
	  .text = "positions of the context; 0: as many as the model was trained for", .max = MAX_POSITIONS },
	{ .name = "batch", .alias = "batch-size", .letter = 'b', .value = VALUE_U32,
	  .commands = FOR_MODEL, .field = FIELD(batch), .arg = "N",
	  .text = "tokens computed at once", .min = 1, .max = 1u << 16 },
	{ .name = "kv-type", .value = VALUE_CHOICE,
	  .commands = FOR_PLANNED, .field = FIELD(kv_type), .arg = "TYPE",
	  .text = "what keys and values are kept as: f16, f32, q8_0", .preset = "f16", .words = kv_type_names },
	{ .name = "stream", .value = VALUE_CHOICE,
	  .commands = FOR_MODEL, .field = FIELD(stream), .arg = "WHEN",
	  .text = "weights stay in the host's memory, where processors read them: auto (if cards are full, and the CPU is slower), never, always",
	  .preset = "auto", .words = stream_names },
	{ .name = "split", .value = VALUE_CHOICE,
	  .commands = FOR_MODEL, .field = FIELD(split), .arg = "HOW",
	  .text = "several processors: auto (as is foretold to be fastest), layer (each layer is on one), tensor (they share each layer)",
	  .preset = "auto", .words = split_names },
	{ .name = "threads", .letter = 't', .value = VALUE_U32,
	  .commands = FOR_MODEL, .field = FIELD(threads), .arg = "N",
	  .text = "threads of the CPU executor; -1: one a CPU", .min = 1, .max = 1024, .minus_one = MINUS_ONE_ZERO },
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
	  .min = 1, .max = MAX_POSITIONS, .minus_one = MINUS_ONE_MOST },
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
	  .text = "of sampling; 0 or -1: always the most likely token", .preset = "0", .min = -1, .max = 100 },
	{ .name = "top-k", .value = VALUE_U32,
	  .commands = FOR_RUN, .field = FIELD(top_k), .arg = "K",
	  .text = "sample among the K most likely tokens; 0 or -1: all", .preset = "40", .max = 1u << 24,
	  .minus_one = MINUS_ONE_ZERO },
	{ .name = "top-p", .value = VALUE_REAL,
	  .commands = FOR_RUN, .field = FIELD(top_p), .arg = "P",
	  .text = "sample among the fewest tokens of this probability; 1: all; 0: one", .preset = "0.95", .max = 1 },
	{ .name = "min-p", .value = VALUE_REAL,
	  .commands = FOR_RUN, .field = FIELD(min_p), .arg = "P",
	  .text = "sample among tokens P times as likely as the best; 0: all", .preset = "0.05", .max = 1 },
	{ .name = "repeat-penalty", .value = VALUE_REAL,
	  .commands = FOR_RUN, .field = FIELD(repeat_penalty), .arg = "X",
	  .text = "divide what occurred before by X; 1: no penalty", .preset = "1", .max = 100 },
	{ .name = "repeat-last-n", .value = VALUE_U32,
	  .commands = FOR_RUN, .field = FIELD(repeat_last_n), .arg = "N",
	  .text = "how far penalties look back; 0: no penalties; -1: to the beginning", .preset = "64",
	  .max = MAX_POSITIONS, .minus_one = MINUS_ONE_MOST },
	{ .name = "frequency-penalty", .value = VALUE_REAL,
	  .commands = FOR_RUN, .field = FIELD(frequency_penalty), .arg = "X",
	  .text = "subtracted for each time that a token occurred; 0: none", .preset = "0", .min = -100,
	  .max = 100 },
	{ .name = "presence-penalty", .value = VALUE_REAL,
	  .commands = FOR_RUN, .field = FIELD(presence_penalty), .arg = "X",
	  .text = "subtracted from tokens that occurred; 0: none", .preset = "0", .min = -100, .max = 100 },
	{ .name = "seed", .letter = 's', .value = VALUE_SEED,
	  .commands = FOR_RUN, .field = FIELD(seed), .arg = "N",
	  .text = "of sampling; -1: a random one, which is told", .preset = "0" },

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
	  .commands = FOR_PLAN, .field = FIELD(seqs), .arg = "N",
	  .text = "sequences that there is to be room for", .preset = "1", .min = 1, .max = 1024 },
	{ .name = "seqs", .value = VALUE_U32,
	  .commands = FOR_BENCH, .field = FIELD(seqs), .arg = "N",
	  .text = "generate for N sequences together, too", .min = 1, .max = 1024 },
	{ .name = "at", .alias = "n-depth", .value = VALUE_U32,
	  .commands = FOR_BENCH, .field = FIELD(at), .arg = "N",
	  .text = "position of the first token generated; -1: after the prompt", .preset = "-1",
	  .max = MAX_POSITIONS, .minus_one = MINUS_ONE_MOST },

	{ .name = "force", .value = VALUE_NONE,
	  .commands = FOR_RESET, .field = FIELD(force),
	  .text = "also if others hold it, or if that cannot be seen" },

	{ .name = "listen", .value = VALUE_TEXT,
	  .commands = FOR_METRICS, .field = FIELD(listen), .arg = "ADDRESS",
	  .text = "answer HTTP requests for /metrics at HOST:PORT, PORT of this machine alone, or what systemd passes",
	  .words = listeners },
	{ .name = "textfile", .value = VALUE_FILE,
	  .commands = FOR_METRICS, .field = FIELD(textfile), .arg = "FILE",
	  .text = "write it there, whole or not at all, for node_exporter's textfile collector" },
	{ .name = "file", .letter = 'f', .value = VALUE_FILE,
	  .commands = FOR_CDI, .field = FIELD(cdi_file), .arg = "FILE",
	  .text = "write it there, whole or not at all, instead of standard output" },

	{ .name = "output", .alias = "output-format", .letter = 'o', .value = VALUE_OUTPUT,
	  .commands = FOR_JSON, .field = FIELD(json), .arg = "FORMAT",
	  .text = "format of the output: text or json", .preset = "text", .words = formats },
	/* behind the one of most commands, which is meant where there is none */
	{ .name = "output", .alias = "output-format", .letter = 'o', .value = VALUE_CHOICE,
	  .commands = FOR_METRICS, .field = FIELD(metrics_format), .arg = "FORMAT",
	  .text = "openmetrics, prometheus (what promtool and node_exporter read), or auto: that for --textfile, else openmetrics",
	  .preset = "auto", .words = metrics_formats },
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

void tables_begin(void)
{
	const size_t room = sizeof(isas) / sizeof(isas[0]) - 2;
	const char *name;

	for (uint32_t i = 0; i < room && (name = accel_isa_name(i, NULL)); i++)
		isas[i + 1] = name;
}
