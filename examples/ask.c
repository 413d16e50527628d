// SPDX-License-Identifier: MIT
/*
 * One question, one answer, printed as it is computed; each step is waited for.
 *
 *   gcc -o ask ask.c $(pkg-config --cflags --libs libaccel)
 *   ./ask MODEL.gguf QUESTION [PROCESSOR]	"sim", "accel0", ...; without it: the CPU alone
 */
#include <err.h>
#include <stdio.h>
#include <string.h>

#include <accel/engine.h>
#include <accel/text.h>

#define ROOM 512		/* tokens of a question */
#define MOST 256		/* tokens of an answer */

/* Errors are negative, and the library has a sentence for each. */
static void must(int result)
{
	if (result < 0)
		errx(1, "%s", accel_error());
}

/* Appends tokens[n] to the sequence: the most likely token after them. */
static int32_t next(struct accel_engine *engine, struct accel_seq *seq, const int32_t *tokens, size_t n)
{
	struct accel_input input = { .sz = sizeof(input), .seq = seq, .tokens = tokens, .n = n,
				     .want = ACCEL_WANT_TOP, .top = 1 };	/* a sampler wants more of them */
	struct accel_step *step;
	const int32_t *best;
	int32_t token;

	must(accel_step_run(engine, &input, 1, NULL, &step));
	accel_step_top(step, 0, &best, NULL);
	token = best[0];
	accel_step_free(step);
	return token;
}

int main(int argc, char **argv)
{
	struct accel_devinfo info = { .sz = sizeof(info) };
	const struct accel_devinfo *infos[] = { &info };
	struct accel_plan_opts opts = { .sz = sizeof(opts), .ctx = ROOM + MOST };
	struct accel_chat_message question = { .role = "user" };
	struct accel_dev *dev = NULL;
	struct accel_model *model;
	struct accel_plan *plan;
	struct accel_engine *engine;
	struct accel_tokenizer *tok;
	struct accel_chat *chat;
	struct accel_decoder *decoder;
	struct accel_seq *seq;
	int32_t tokens[ROOM], token;
	size_t n = ROOM, bytes;
	const char *text;
	int devs = argc > 3;

	if (argc < 3 || argc > 4)
		errx(2, "usage: ask MODEL.gguf QUESTION [PROCESSOR]");
	if (devs) {
		must(accel_open(argv[3], &dev));
		must(accel_dev_info(dev, &info));
	}
	must(accel_model_load(argv[1], &model));
	must(accel_plan_new(model, infos, devs, &opts, &plan));
	must(accel_engine_new(plan, &dev, devs, NULL, &engine));
	must(accel_seq_new(engine, &seq));
	must(accel_tokenizer_new(model, &tok));
	must(accel_decoder_new(tok, ACCEL_DECODE_BEGIN, &decoder));
	must(accel_chat_new(model, NULL, &chat));

	question.text = argv[2];
	question.n = strlen(argv[2]);
	must(accel_chat_encode(chat, tok, &question, 1, 0, ACCEL_CHAT_ANSWER, tokens, &n));
	token = next(engine, seq, tokens, n);
	for (int i = 1; i < MOST && !accel_token_ends(tok, token); i++) {
		bytes = accel_decoder_push(decoder, token, &text);
		fwrite(text, 1, bytes, stdout);
		fflush(stdout);
		token = next(engine, seq, &token, 1);
	}
	putchar('\n');

	accel_chat_free(chat);
	accel_decoder_free(decoder);
	accel_tokenizer_free(tok);
	accel_seq_free(seq);
	accel_engine_free(engine);
	accel_plan_free(plan);
	accel_model_free(model);
	accel_close(dev);
	return 0;
}
