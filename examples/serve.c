// SPDX-License-Identifier: MIT
/*
 * A server in one thread.  Who connects to its socket writes a line, a question, and is sent the answer
 * as it is computed.  One epoll waits for all clients and for the engine, and each step goes on with all
 * answers at once, so that who comes later waits for no more than the step that runs.
 *
 *   gcc -o serve serve.c $(pkg-config --cflags --libs libaccel)
 *   ./serve MODEL.gguf SOCKET [PROCESSOR]	"sim", "accel0", ...; without it: the CPU alone
 */
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <accel/engine.h>
#include <accel/text.h>

#define CLIENTS 8		/* at once; more wait until one of them is gone */
#define ROOM 512		/* tokens of a question, and bytes of its line */
#define MOST 256		/* tokens of an answer */

struct client {
	int fd;			/* -1: nobody */
	char line[ROOM];
	size_t bytes;		/* of line */
	struct accel_seq *seq;	/* NULL: the line is not complete */
	struct accel_decoder *decoder;
	int32_t tokens[ROOM];	/* what seq goes on with: the question, then the token chosen last */
	size_t n;
	unsigned int chosen;
};

static struct client clients[CLIENTS], *of[CLIENTS];	/* of[i]: whose the step's input i is */
static size_t in_step, there;
static int ep, listener;
static struct accel_engine *engine;
static struct accel_tokenizer *tok;
static struct accel_chat *chat;

/* Errors are negative, and the library has a sentence for each. */
static void must(int result)
{
	if (result < 0)
		errx(1, "%s", accel_error());
}

static void watch(int fd, void *what)
{
	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &(struct epoll_event) { EPOLLIN, { .ptr = what } }))
		err(1, "epoll");
}

static void leave(struct client *c)
{
	close(c->fd);		/* and epoll forgets it */
	accel_seq_free(c->seq);
	accel_decoder_free(c->decoder);
	*c = (struct client) { .fd = -1 };
	if (there-- == CLIENTS)
		watch(listener, &listener);
}

static void come(void)
{
	struct client *c = clients;

	while (c->fd >= 0)
		c++;
	c->fd = accept(listener, NULL, NULL);
	if (c->fd < 0)
		return;		/* it left */
	watch(c->fd, c);
	if (++there == CLIENTS)
		epoll_ctl(ep, EPOLL_CTL_DEL, listener, NULL);
}

/* More of a client's line; when it is complete, its answer begins with the next step. */
static void hear(struct client *c)
{
	struct accel_chat_message message = { "user", c->line, 0 };
	ssize_t got = read(c->fd, c->line + c->bytes, ROOM - c->bytes);
	char *end;

	if (got <= 0)		/* gone, or the line is too long */
		return leave(c);
	c->bytes += got;
	end = memchr(c->line, '\n', c->bytes);
	if (!end)
		return;
	message.n = end - c->line;
	c->n = ROOM;
	if (accel_chat_encode(chat, tok, &message, 1, 0, ACCEL_CHAT_ANSWER, c->tokens, &c->n) ||
	    accel_decoder_new(tok, ACCEL_DECODE_BEGIN, &c->decoder) || accel_seq_new(engine, &c->seq))
		return leave(c);
	epoll_ctl(ep, EPOLL_CTL_DEL, c->fd, NULL);
}

/* The next token of all answers; NULL: there are none. */
static struct accel_step *begin(void)
{
	struct accel_input inputs[CLIENTS];
	struct accel_step *step;

	in_step = 0;
	for (struct client *c = clients; c < clients + CLIENTS; c++)
		if (c->seq) {
			of[in_step] = c;
			inputs[in_step++] = (struct accel_input) { .sz = sizeof(inputs[0]), .seq = c->seq,
				.tokens = c->tokens, .n = c->n, .want = ACCEL_WANT_TOP, .top = 1 };
		}
	if (!in_step)
		return NULL;
	must(accel_step_submit(engine, inputs, in_step, NULL, &step));
	return step;
}

static void answer(struct client *c, int32_t token)
{
	bool more = !accel_token_ends(tok, token) && ++c->chosen < MOST;
	const char *text;
	size_t n = more ? accel_decoder_push(c->decoder, token, &text) : accel_decoder_end(c->decoder, &text);

	c->tokens[0] = token;
	c->n = 1;
	/* Who is gone, or does not read, keeps nobody waiting. */
	if (send(c->fd, text, n, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)n || !more)
		leave(c);
}

static void end(struct accel_step *step)
{
	const int32_t *best;

	must(accel_step_wait(step, INT64_MAX));
	for (size_t i = 0; i < in_step; i++)
		if (accel_step_top(step, i, &best, NULL))
			answer(of[i], best[0]);		/* or what a sampler chooses of more */
	accel_step_free(step);
}

static void listen_at(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	unlink(path);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 64))
		err(1, "%s", path);
	watch(listener, &listener);
}

int main(int argc, char **argv)
{
	struct accel_devinfo info = { .sz = sizeof(info) };
	const struct accel_devinfo *infos[] = { &info };
	struct accel_plan_opts opts = { .sz = sizeof(opts), .seqs = CLIENTS, .ctx = ROOM + MOST };
	struct accel_step *step = NULL;
	struct epoll_event events[CLIENTS + 2];
	struct accel_dev *dev = NULL;
	struct accel_model *model;
	struct accel_plan *plan;
	int devs = argc > 3, n;

	if (argc < 3 || argc > 4)
		errx(2, "usage: serve MODEL.gguf SOCKET [PROCESSOR]");
	if (devs) {
		must(accel_open(argv[3], &dev));
		must(accel_dev_info(dev, &info));
	}
	must(accel_model_load(argv[1], &model));
	must(accel_plan_new(model, infos, devs, &opts, &plan));
	must(accel_engine_new(plan, &dev, devs, NULL, &engine));
	must(accel_tokenizer_new(model, &tok));
	must(accel_chat_new(model, NULL, &chat));
	for (int i = 0; i < CLIENTS; i++)
		clients[i].fd = -1;
	ep = epoll_create1(0);
	must(accel_engine_fd(engine));
	watch(accel_engine_fd(engine), engine);
	listen_at(argv[2]);
	for (;;) {
		n = epoll_wait(ep, events, CLIENTS + 2, -1);
		for (int i = 0; i < n; i++)
			if (events[i].data.ptr == &listener)
				come();
			else if (events[i].data.ptr != engine)
				hear(events[i].data.ptr);
			else if (step)
				end(step), step = NULL;
		if (!step)
			step = begin();
	}
}
