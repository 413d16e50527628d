// SPDX-License-Identifier: MIT
#include "hints.h"

#include <string.h>

#define MAX_NAME 32

/* ---- options of llama.cpp ---- */

#define LAYERS "--layers says which layers may run on a processor, without it all that can do"
#define EXPERTS "--stream says whether weights, experts first, may stay in the host's memory"
#define NOT_NEEDED "nothing of the kind is needed here, leave it out"

/* Its options are words after one dash, which would be letters here: -fa the file "a". */
static const struct {
	const char *letters, *name, *instead;
} llama[] = {
	{ "-ngl", "--gpu-layers", LAYERS }, { NULL, "--n-gpu-layers", LAYERS },
	{ "-dev", NULL, "--device says where to compute" },
	{ "-ot", "--override-tensor", "--layers says which layers may run on a processor" },
	{ "-sm", "--split-mode", "--split says how the processors that --device names divide a model" },
	{ "-mg", "--main-gpu", "--device says where to compute" },
	{ "-ts", "--tensor-split", "--layers says which layers may run on a processor" },
	{ "-cmoe", "--cpu-moe", EXPERTS }, { "-ncmoe", "--n-cpu-moe", EXPERTS },
	{ "-np", "--parallel", "there is one sequence, of several `accelctl bench --seqs` tells the speed" },
	{ "-md", "--model-draft", "no tokens are drafted here, leave it out" },
	{ "-nkvo", "--no-kv-offload", "keys and values are where their layer is, which --layers says" },
	{ "-ub", "--ubatch-size", "--batch says how many tokens are computed at once" },
	{ "-tb", "--threads-batch", "--threads is for all" },
	{ "-ctk", "--cache-type-k", "--kv-type is for keys and values" },
	{ "-ctv", "--cache-type-v", "--kv-type is for keys and values" },
	{ "-fa", "--flash-attn", NOT_NEEDED },
	{ "-hf", "--hf-repo", "a model is a file here, fetch it first" },
	{ "-mu", "--model-url", "a model is a file here, fetch it first" },
	{ "-no-cnv", "--no-conversation", "without --chat there is one answer" },
	{ "-st", "--single-turn", "without --chat there is one answer" },
	{ "-i", "--interactive", "--chat is a conversation" },
	{ "-if", "--interactive-first", "--chat is a conversation" },
	{ "-e", "--escape", "a prompt is taken as it is, a shell writes line ends as in $'a\\nb'" },
	{ NULL, "--no-escape", "a prompt is always taken as it is, leave it out" },
	{ "-sysf", "--system-prompt-file", "--system takes the text, as in --system \"$(cat FILE)\"" },
	{ "-bf", "--binary-file", "--file is for text" },
	{ NULL, "--prompt-cache", "--session keeps a conversation and what was computed of it" },
	{ NULL, "--ignore-eos", "an answer ends where the model ends it" },
	{ NULL, "--list-devices", "`accelctl list` does that" },
	{ "-co", "--color", NOT_NEEDED }, { NULL, "--no-display-prompt", NOT_NEEDED },
	{ NULL, "--log-disable", NOT_NEEDED }, { NULL, "--no-warmup", NOT_NEEDED },
	{ NULL, "--simple-io", NOT_NEEDED }, { NULL, "--no-perf", NOT_NEEDED },
	{ NULL, "--mlock", NOT_NEEDED }, { NULL, "--no-mmap", NOT_NEEDED },
	{ NULL, "--jinja", NOT_NEEDED }, { NULL, "--no-context-shift", NOT_NEEDED },
};

const char *hint_llama(const char *word)
{
	for (size_t i = 0; i < sizeof(llama) / sizeof(llama[0]); i++)
		if ((llama[i].letters && !strcmp(word, llama[i].letters)) ||
		    (llama[i].name && !strcmp(word, llama[i].name)))
			return llama[i].instead;
	return NULL;
}

/* ---- names that are nearly right ---- */

/* How many letters are to be changed, added, or taken away. */
static size_t distance(const char *a, const char *b)
{
	size_t row[MAX_NAME + 1], n = strlen(b);

	for (size_t k = 0; k <= n; k++)
		row[k] = k;
	for (size_t i = 0; a[i]; i++) {
		size_t corner = row[0];

		row[0] = i + 1;
		for (size_t k = 0; k < n; k++) {
			size_t best = corner + (a[i] != b[k]);

			corner = row[k + 1];
			if (best > row[k] + 1)
				best = row[k] + 1;
			if (best > corner + 1)
				best = corner + 1;
			row[k + 1] = best;
		}
	}
	return row[n];
}

const char *hint_nearest(const char *word, size_t n,
			 const char *(*name)(size_t i, const void *arg), const void *arg)
{
	size_t len = strlen(word);
	size_t least = (len + 1) / 3 + 1;	/* of five letters two may be wrong */
	const char *found = NULL;

	if (len < 3 || len > MAX_NAME)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		const char *s = name(i, arg);
		size_t d = s && strlen(s) <= MAX_NAME ? distance(word, s) : least;

		if (d < least) {
			least = d;
			found = s;
		}
	}
	return found;
}
