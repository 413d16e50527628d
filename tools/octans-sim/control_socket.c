// SPDX-License-Identifier: MIT
/*
 * The control channel's front door.  A client's next line is looked at when it has taken the
 * answer to the last one: none is lost, and one that reads nothing holds up nobody else.
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

struct client {
	int fd;			/* -1: free */
	bool ended;		/* sends no more */
	bool too_long;		/* the line that arrives is, and is thrown away */
	size_t got;
	char line[LINE_MAX_LEN];
	size_t sent, len;	/* of the answer */
	char reply[REPLY_MAX_LEN + 1];
};

struct control_socket {
	struct sim_device *dev;
	pthread_t thread;
	int listener, stop;
	struct client client[CLIENTS];
};

static void answer(struct control_socket *control, struct client *c, const char *line, size_t len)
{
	if (c->too_long)
		snprintf(c->reply, REPLY_MAX_LEN, "error: the line is longer than %d characters",
			 LINE_MAX_LEN - 1);
	else if (memchr(line, 0, len))
		snprintf(c->reply, REPLY_MAX_LEN, "error: the line holds a zero byte; send text");
	else
		sim_control(control->dev, line, c->reply, REPLY_MAX_LEN);
	c->too_long = false;
	c->len = strlen(c->reply);
	c->reply[c->len++] = '\n';
	c->sent = 0;
}

/* Answers the first line that is there.  False: there is none. */
static bool next_line(struct control_socket *control, struct client *c)
{
	char *end = memchr(c->line, '\n', c->got);

	if (!end) {
		if (c->got == sizeof(c->line)) {
			c->too_long = true;
			c->got = 0;
		}
		return false;
	}
	*end++ = 0;
	answer(control, c, c->line, end - 1 - c->line);
	c->got -= end - c->line;
	memmove(c->line, end, c->got);
	return true;
}

/* Sends and answers as far as it goes without waiting.  False: the client is to go. */
static bool talk(struct control_socket *control, struct client *c)
{
	ssize_t n;

	do {
		while (c->sent < c->len) {
			n = send(c->fd, c->reply + c->sent, c->len - c->sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);
			if (n < 0)
				return errno == EAGAIN || errno == EINTR;
			c->sent += n;
		}
	} while (next_line(control, c));
	return !c->ended;
}

/* False: the client is to go. */
static bool hear(struct control_socket *control, struct client *c)
{
	ssize_t n;

	/* It is the answer that is waited for, or there is room: a full line was taken away. */
	if (c->sent == c->len && !c->ended) {
		n = recv(c->fd, c->line + c->got, sizeof(c->line) - c->got, MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		c->ended = !n;
		c->got += n;
	}
	return talk(control, c);
}

static void welcome(struct control_socket *control, struct client *c)
{
	c->fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC);
	if (c->fd < 0)
		poll(NULL, 0, 10);	/* no descriptor left: do not spin */
	c->ended = c->too_long = false;
	c->got = c->sent = c->len = 0;
}

static void serve(struct control_socket *control, const struct pollfd *pfd)
{
	for (int i = 0; i < CLIENTS; i++) {
		struct client *c = &control->client[i];

		if (c->fd >= 0 && pfd[i].revents && !hear(control, c)) {
			close(c->fd);
			c->fd = -1;
		}
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
			pfd[i].events = c->sent < c->len ? POLLOUT : POLLIN;
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
			close(control->client[i].fd);
	close(control->stop);
	free(control);
}
