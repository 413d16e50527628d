// SPDX-License-Identifier: MIT
#include "listen.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "accelctl.h"

#define MAX_CLIENTS	256
#define MAX_REQUEST	8192	/* bytes of its head; it has no body */
#define MAX_DRAINED	65536	/* bytes that a client may send in vain */
#define ACCEPTED	32	/* clients, between two looks at the others */
#define CLIENT_SECONDS	10	/* from the connection to the end of the answer */
#define DRAIN_SECONDS	2

enum state { READING, WRITING, DRAINING };

struct client {
	int fd;
	enum state state;
	double until;		/* it is closed then */
	char request[MAX_REQUEST];
	size_t got, drained;
	char *answer;		/* malloc'd */
	size_t size, sent;
};

struct server {
	const struct listen_page *page;
	struct client *client[MAX_CLIENTS];	/* the oldest first */
	size_t n;
};

/* ---- requests ---- */

/* Its end, one behind the empty line, which is not before from; 0: it is still to come. */
static size_t head_end(const char *s, size_t from, size_t n)
{
	for (size_t i = from; i + 1 < n; i++)
		if (s[i] == '\n' && (s[i + 1] == '\n' || (i + 2 < n && s[i + 1] == '\r' && s[i + 2] == '\n')))
			return s[i + 1] == '\n' ? i + 2 : i + 3;
	return 0;
}

/* The value of a header, NULL: it is not there.  head ends with zero. */
static const char *header(const char *head, const char *name)
{
	size_t n = strlen(name);

	for (const char *line = strchr(head, '\n'); line; line = strchr(line + 1, '\n'))
		if (!strncasecmp(line + 1, name, n) && line[1 + n] == ':')
			return line + 2 + n;
	return NULL;
}

/* Does the client take OpenMetrics?  Prometheus names it first, if at all. */
static bool takes_openmetrics(const char *head)
{
	static const char type[] = "application/openmetrics-text";
	const char *accept = header(head, "Accept");
	size_t n = accept ? strcspn(accept, "\r\n") : 0;

	for (size_t i = 0; i + sizeof(type) - 1 <= n; i++)
		if (!strncasecmp(accept + i, type, sizeof(type) - 1))
			return true;
	return false;
}

static bool is_path(const char *target, const char *path)
{
	size_t n = strlen(path);

	if (!strncasecmp(target, "http://", 7)) {	/* as to a proxy */
		target = strchr(target + 7, '/');
		if (!target)
			return false;
	}
	return !strncmp(target, path, n) && (!target[n] || target[n] == '?');
}

/* ---- answers ---- */

static const char *date(char *text, size_t len)
{
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(text, len, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	return text;
}

/* body may be NULL: no memory, and there is no answer then. */
static void answer(struct client *c, const char *status, const char *type, const char *body, size_t n, bool only_head)
{
	char now[64];
	int head;

	free(c->answer);
	c->answer = NULL;
	c->size = c->sent = 0;
	c->state = WRITING;
	head = asprintf(&c->answer,
			"HTTP/1.1 %s\r\nDate: %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%sConnection: close\r\n\r\n", status,
			date(now, sizeof(now)), type, n, !strncmp(status, "405", 3) ? "Allow: GET, HEAD\r\n" : "");
	if (head < 0) {
		c->answer = NULL;
		return;
	}
	c->size = head;
	if (!only_head) {
		char *grown = realloc(c->answer, head + n);

		if (!grown) {
			c->size = 0;
			return;
		}
		c->answer = grown;
		memcpy(grown + head, body, n);
		c->size += n;
	}
}

static void refuse(struct client *c, const char *status, const char *sentence)
{
	answer(c, status, "text/plain; charset=utf-8", sentence, strlen(sentence), false);
}

static void answer_page(struct client *c, const struct listen_page *page, bool openmetrics, bool only_head)
{
	size_t n;
	char *body = page->make(page->arg, openmetrics, &n);

	if (!body) {
		refuse(c, "500 Internal Server Error", "The processors could not be looked at.\n");
		return;
	}
	answer(c, "200 OK", openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8" :
	       "text/plain; version=0.0.4; charset=utf-8", body, n, only_head);
	free(body);
}

/* The head of a request is there: n bytes. */
static void respond(struct client *c, const struct listen_page *page, size_t n)
{
	char *method = c->request, *target, *version;
	bool only_head;

	c->request[n - 1] = 0;
	target = strpbrk(method, " \n");
	version = target && *target == ' ' ? strpbrk(target + 1, " \n") : NULL;
	if (strlen(c->request) != n - 1 || !version || *version != ' ' || strncmp(version + 1, "HTTP/", 5)) {
		refuse(c, "400 Bad Request", "This is not a request of HTTP/1.1.\n");
		return;
	}
	if (strncmp(version + 6, "1.", 2)) {
		refuse(c, "505 HTTP Version Not Supported", "This server speaks HTTP/1.1.\n");
		return;
	}
	if (version[8] != '0' && !header(version, "Host")) {
		refuse(c, "400 Bad Request", "A request of HTTP/1.1 names the host.\n");
		return;
	}
	*target++ = *version = 0;
	only_head = !strcmp(method, "HEAD");
	if (!only_head && strcmp(method, "GET"))
		refuse(c, "405 Method Not Allowed", "Only GET and HEAD are known here.\n");
	else if (!is_path(target, page->path))
		refuse(c, "404 Not Found", "There is /metrics, and nothing else.\n");
	else
		answer_page(c, page, takes_openmetrics(version + 1), only_head);
}

/* ---- clients ---- */

/* False: the connection is at its end.  Each step does what is possible without waiting. */
static bool read_some(struct client *c, const struct listen_page *page)
{
	ssize_t n = recv(c->fd, c->request + c->got, sizeof(c->request) - c->got, 0);
	size_t end;

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	c->got += n;
	end = head_end(c->request, c->got - n < 3 ? 0 : c->got - n - 3, c->got);
	if (end)
		respond(c, page, end);
	else if (c->got == sizeof(c->request))
		refuse(c, "431 Request Header Fields Too Large", "The head of the request is too long.\n");
	return true;
}

static bool write_some(struct client *c)
{
	ssize_t n;

	if (!c->size)
		return false;
	n = send(c->fd, c->answer + c->sent, c->size - c->sent, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	c->sent += n;
	if (c->sent < c->size)
		return true;
	/* What has not been read when it is closed would cost the client the answer. */
	shutdown(c->fd, SHUT_WR);
	c->state = DRAINING;
	c->until = seconds() + DRAIN_SECONDS;
	return true;
}

static bool drain_some(struct client *c)
{
	ssize_t n = recv(c->fd, c->request, sizeof(c->request), 0);

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	c->drained += n;
	return c->drained < MAX_DRAINED;
}

static bool go_on(struct client *c, const struct listen_page *page)
{
	if (c->state == READING && !read_some(c, page))
		return false;
	if (c->state == WRITING && !write_some(c))
		return false;
	return c->state != DRAINING || drain_some(c);
}

static void drop(struct server *s, size_t i)
{
	struct client *c = s->client[i];

	close(c->fd);
	free(c->answer);
	free(c);
	memmove(&s->client[i], &s->client[i + 1], (--s->n - i) * sizeof(c));
}

/* Most requests come with the connection, and are answered before anybody else is looked at. */
static void take_in(struct server *s, int fd)
{
	struct client *c;

	if (s->n == MAX_CLIENTS)
		drop(s, 0);
	c = malloc(sizeof(*c));
	if (!c) {
		close(fd);
		return;
	}
	memset(c, 0, offsetof(struct client, request));
	c->got = c->drained = c->size = c->sent = 0;
	c->answer = NULL;
	c->fd = fd;
	c->until = seconds() + CLIENT_SECONDS;
	s->client[s->n++] = c;
	if (!go_on(c, s->page))
		drop(s, s->n - 1);
}

static void accept_some(struct server *s, int listener)
{
	for (int i = 0; i < ACCEPTED; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			take_in(s, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			if (s->n)
				drop(s, 0);
			else
				poll(NULL, 0, 100);
		}
		if (errno == EAGAIN)
			return;
	}
}

/* Milliseconds until the first client is to be closed, -1: there is none. */
static int next_end(const struct server *s)
{
	double first = 0;

	for (size_t i = 0; i < s->n; i++)
		if (!i || s->client[i]->until < first)
			first = s->client[i]->until;
	first -= seconds();
	return !s->n ? -1 : first < 0 ? 0 : (int)(first * 1000) + 1;
}

int listen_serve(const int *fd, size_t n, const struct listen_page *page)
{
	struct pollfd p[LISTEN_MAX + MAX_CLIENTS];
	struct server s = { .page = page };

	for (;;) {
		size_t clients = s.n;

		for (size_t i = 0; i < n; i++)
			p[i] = (struct pollfd) { .fd = fd[i], .events = POLLIN };
		for (size_t i = 0; i < clients; i++)
			p[n + i] = (struct pollfd) { .fd = s.client[i]->fd,
						     .events = s.client[i]->state == WRITING ? POLLOUT : POLLIN };
		if (poll(p, n + clients, next_end(&s)) < 0 && errno != EINTR)
			return complain(EXIT_FAILED, "clients cannot be waited for: %s", strerror(errno));
		/* from the last on: those before keep their places */
		for (size_t i = clients; i-- > 0;)
			if ((p[n + i].revents && !go_on(s.client[i], page)) || s.client[i]->until < seconds())
				drop(&s, i);
		for (size_t i = 0; i < n; i++)
			if (p[i].revents)
				accept_some(&s, fd[i]);
	}
}
