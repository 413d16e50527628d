// SPDX-License-Identifier: MIT
/*
 * The control channel's front door.  Answers wait until the client takes them: none is lost, and
 * one that reads nothing holds up nobody else.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control_socket.h"

#define CLIENTS		16
#define LINE_MAX_LEN	256	/* sim_control() takes a line of 255 characters */
#define REPLY_MAX_LEN	4096
#define WAITING_MAX	(1 << 20)	/* bytes of answers; then the client is dropped */

struct client {
	int fd;			/* -1: free */
	bool ended;		/* sends no more */
	bool too_long;		/* the line that arrives is, and is thrown away */
	size_t got;
	char line[LINE_MAX_LEN];
	char *waiting;		/* answers */
	size_t len, room;	/* of it */
};

struct control_socket {
	struct sim_device *dev;
	pthread_t thread;
	int listener, stop;
	struct client client[CLIENTS];
};

/* False: that is too much. */
static bool enqueue(struct client *c, const char *reply, size_t len)
{
	size_t room = c->room ? c->room : REPLY_MAX_LEN;
	char *p = c->waiting;

	while (room < c->len + len)
		room *= 2;
	if (room > WAITING_MAX) {
		fputs("octans-vfio-user: a client of the control socket does not read its answers and "
		      "was dropped\n", stderr);
		return false;
	}
	if (room > c->room)
		p = realloc(p, room);
	if (!p)
		return false;
	memcpy(p + c->len, reply, len);
	c->waiting = p;
	c->room = room;
	c->len += len;
	return true;
}

/* False: the client is to go. */
static bool answer(struct control_socket *control, struct client *c, const char *line, size_t len)
{
	char reply[REPLY_MAX_LEN + 1];
	size_t n;

	if (c->too_long)
		snprintf(reply, REPLY_MAX_LEN, "error: the line is longer than %d characters",
			 LINE_MAX_LEN - 1);
	else if (memchr(line, 0, len))
		snprintf(reply, REPLY_MAX_LEN, "error: the line holds a zero byte; send text");
	else
		sim_control(control->dev, line, reply, REPLY_MAX_LEN);
	c->too_long = false;
	n = strlen(reply);
	reply[n++] = '\n';
	return enqueue(c, reply, n);
}

/* Answers the lines that are there.  False: the client is to go. */
static bool answer_lines(struct control_socket *control, struct client *c)
{
	char *end;

	while ((end = memchr(c->line, '\n', c->got))) {
		*end++ = 0;
		if (!answer(control, c, c->line, end - 1 - c->line))
			return false;
		c->got -= end - c->line;
		memmove(c->line, end, c->got);
	}
	if (c->got == sizeof(c->line)) {
		c->too_long = true;
		c->got = 0;
	}
	return true;
}

/* False: the client is to go. */
static bool hear(struct control_socket *control, struct client *c)
{
	ssize_t n = recv(c->fd, c->line + c->got, sizeof(c->line) - c->got, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	c->ended = !n;
	c->got += n;
	return answer_lines(control, c);
}

/* Sends as far as it goes without waiting.  False: the client is to go. */
static bool speak(struct client *c)
{
	ssize_t n;

	if (c->len) {
		n = send(c->fd, c->waiting, c->len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		c->len -= n;
		memmove(c->waiting, c->waiting + n, c->len);
	}
	return c->len || !c->ended;
}

static void drop(struct client *c)
{
	close(c->fd);
	free(c->waiting);
	*c = (struct client) { .fd = -1 };
}

static void welcome(struct control_socket *control, struct client *c)
{
	c->fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC);
	if (c->fd < 0)
		poll(NULL, 0, 10);	/* no descriptor left: do not spin */
}

static void serve(struct control_socket *control, const struct pollfd *pfd)
{
	for (int i = 0; i < CLIENTS; i++) {
		struct client *c = &control->client[i];

		if (c->fd < 0 || !pfd[i].revents)
			continue;
		if ((!c->ended && !hear(control, c)) || !speak(c))
			drop(c);
	}
}

static void *control_main(void *arg)
{
	struct control_socket *control = arg;

	for (;;) {
		struct pollfd pfd[CLIENTS + 2];
		struct client *room = NULL;

		for (int i = 0; i < CLIENTS; i++) {
			struct client *c = &control->client[i];

			pfd[i].fd = c->fd;
			pfd[i].events = (c->ended ? 0 : POLLIN) | (c->len ? POLLOUT : 0);
			if (c->fd < 0)
				room = c;
		}
		pfd[CLIENTS] = (struct pollfd) { .fd = control->stop, .events = POLLIN };
		pfd[CLIENTS + 1] = (struct pollfd) {
			.fd = room ? control->listener : -1, .events = POLLIN,
		};
		if (poll(pfd, CLIENTS + 2, -1) < 0)
			continue;
		if (pfd[CLIENTS].revents)
			return NULL;
		serve(control, pfd);
		if (pfd[CLIENTS + 1].revents)
			welcome(control, room);
	}
}

int control_socket_new(struct sim_device *dev, int listener, struct control_socket **out)
{
	struct control_socket *control = calloc(1, sizeof(*control));
	int ret = ENOMEM;

	if (!control)
		return -ENOMEM;
	control->dev = dev;
	control->listener = listener;
	for (int i = 0; i < CLIENTS; i++)
		control->client[i].fd = -1;
	control->stop = eventfd(0, EFD_CLOEXEC);
	if (control->stop >= 0)
		ret = pthread_create(&control->thread, NULL, control_main, control);
	if (ret) {
		if (control->stop >= 0)
			close(control->stop);
		free(control);
		return -ret;
	}
	*out = control;
	return 0;
}

void control_socket_free(struct control_socket *control)
{
	if (!control)
		return;
	eventfd_write(control->stop, 1);
	pthread_join(control->thread, NULL);
	for (int i = 0; i < CLIENTS; i++)
		if (control->client[i].fd >= 0)
			drop(&control->client[i]);
	close(control->stop);
	free(control);
}
