// SPDX-License-Identifier: MIT
/*
 * Four questions answered at once: one engine, a sequence for each question, one step for all of
 * them.  The heart of an inference server, which would wait for its clients in the same poll().
 *
 *   gcc -o batch batch.c $(pkg-config --cflags --libs libaccel)
 *   ./batch MODEL.gguf [PROCESSOR]	"sim", "accel0", ...; without it: the CPU alone
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <accel/engine.h>
#include <accel/text.h>

#define N 4
#define ROOM 512		/* tokens of a question */
#define MOST 64			/* tokens of an answer */

struct client {
	struct accel_seq *seq;
	struct accel_decoder *decoder;
	int32_t tokens[ROOM];	/* what seq goes on with: the question, then the token chosen last */
	size_t n;		/* of them; 0: the answer is complete */
	unsigned int chosen;
	FILE *out;		/* a server has a socket here */
};

/* Errors are negative, and the library has a sentence for each. */
static int must(int result)
{
	if (result < 0) {
		fprintf(stderr, "batch: %s\n", accel_error());
		exit(1);
	}
	return result;
}

static void ask(struct client *c, const char *question, struct accel_engine *engine,
		const struct accel_tokenizer *tok, const struct accel_chat *chat)
{
	struct accel_chat_message message = { "user", question, strlen(question) };

	c->n = ROOM;
	must(accel_chat_encode(chat, tok, &message, 1, 0, ACCEL_CHAT_ANSWER, c->tokens, &c->n));
	must(accel_decoder_new(tok, ACCEL_DECODE_BEGIN, &c->decoder));
	must(accel_seq_new(engine, &c->seq));
	c->out = tmpfile();
	if (!c->out) {
		perror("batch");
		exit(1);
	}
	fprintf(c->out, "%s\n", question);
}

/* The answer goes on with a token, or ends. */
static void answer(struct client *c, const struct accel_tokenizer *tok, int32_t token)
{
	const char *text;
	size_t n;

	c->n = !accel_token_ends(tok, token) && ++c->chosen < MOST;
	c->tokens[0] = token;
	n = c->n ? accel_decoder_push(c->decoder, token, &text) : accel_decoder_end(c->decoder, &text);
	fwrite(text, 1, n, c->out);
}

/* Computes the next token of every answer that is not complete.  False: there is none. */
static bool step(struct client *clients, struct accel_engine *engine,
		 const struct accel_tokenizer *tok)
{
	struct pollfd ended = { .fd = must(accel_engine_fd(engine)), .events = POLLIN };
	struct accel_input inputs[N];
	struct client *of[N];
	struct accel_step *step;
	const int32_t *best;
	size_t n = 0;

	for (struct client *c = clients; c < clients + N; c++) {
		if (!c->n)
			continue;
		of[n] = c;
		inputs[n++] = (struct accel_input) {
			.sz = sizeof(inputs[0]), .seq = c->seq, .tokens = c->tokens, .n = c->n,
			.want = ACCEL_WANT_TOP, .top = 1,
		};
	}
	if (!n)
		return false;
	must(accel_step_submit(engine, inputs, n, NULL, &step));
	poll(&ended, 1, -1);		/* and a server's sockets */
	must(accel_step_wait(step, INT64_MAX));
	for (size_t i = 0; i < n; i++)
		if (accel_step_top(step, i, &best, NULL))
			answer(of[i], tok, best[0]);	/* or what a sampler chooses of more */
	accel_step_free(step);
	return true;
}

int main(int argc, char **argv)
{
	static const char *const questions[N] = {
		"What is the capital of France?", "Was ist die Hauptstadt von Polen?",
		"Which planet does Titan orbit?", "What does the mission BepiColombo explore?",
	};
	static struct client clients[N];
	struct accel_devinfo info = { .sz = sizeof(info) };
	const struct accel_devinfo *infos[] = { &info };
	struct accel_plan_opts opts = { .sz = sizeof(opts), .seqs = N };
	struct accel_dev *dev = NULL;
	struct accel_model *model;
	struct accel_plan *plan;
	struct accel_engine *engine;
	struct accel_tokenizer *tok;
	struct accel_chat *chat;
	int n = argc > 2;		/* processors */

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: batch MODEL.gguf [PROCESSOR]\n");
		return 2;
	}
	if (n) {
		must(accel_open(argv[2], &dev));
		must(accel_dev_info(dev, &info));
	}
	must(accel_model_load(argv[1], &model));
	must(accel_plan_new(model, infos, n, &opts, &plan));
	must(accel_engine_new(plan, &dev, n, NULL, &engine));
	must(accel_tokenizer_new(model, &tok));
	must(accel_chat_new(model, NULL, &chat));

	for (int i = 0; i < N; i++)
		ask(&clients[i], questions[i], engine, tok, chat);
	while (step(clients, engine, tok))
		;
	for (int i = 0; i < N; i++) {
		rewind(clients[i].out);
		for (int ch; (ch = getc(clients[i].out)) != EOF; )
			putchar(ch);
		fclose(clients[i].out);
		accel_decoder_free(clients[i].decoder);
		accel_seq_free(clients[i].seq);
	}
	accel_chat_free(chat);
	accel_tokenizer_free(tok);
	accel_engine_free(engine);
	accel_plan_free(plan);
	accel_model_free(model);
	accel_close(dev);
	return 0;
}
