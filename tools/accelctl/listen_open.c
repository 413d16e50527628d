// SPDX-License-Identifier: MIT
/* The sockets of a listener: a service manager's, or our own. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "accelctl.h"
#include "listen.h"

#define FIRST_PASSED 3	/* as sd_listen_fds(3) has it */
#define BACKLOG 128

/* ---- those of a service manager ---- */

static bool is_listening(int fd)
{
	int on = 0, type = 0;
	socklen_t n = sizeof(on), m = sizeof(type);

	return !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &n) && on &&
	       !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &m) && type == SOCK_STREAM;
}

static int take_passed(int *fd, size_t *n)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	unsigned long passed = count ? strtoul(count, NULL, 10) : 0;

	if (!pid || strtoul(pid, NULL, 10) != (unsigned long)getpid() || !passed)
		return complain(EXIT_USAGE, "--listen \"systemd\": no socket was passed (LISTEN_FDS, LISTEN_PID): octans-metrics.socket does that; by hand give an address, such as 127.0.0.1:19371");
	if (passed > LISTEN_MAX)
		return complain(EXIT_USAGE, "LISTEN_FDS is \"%s\": at most %d sockets are served", count, LISTEN_MAX);
	for (*n = 0; *n < passed; ++*n) {
		int at = FIRST_PASSED + *n;

		if (!is_listening(at))
			return complain(EXIT_USAGE, "file descriptor %d, which was passed, is no stream socket that listens: octans-metrics.socket has ListenStream= and Accept=no",
					at);
		fcntl(at, F_SETFD, FD_CLOEXEC);
		fcntl(at, F_SETFL, fcntl(at, F_GETFL) | O_NONBLOCK);
		fd[*n] = at;
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return EXIT_OK;
}

/* ---- our own ---- */

/* "[::1]:80" to "::1" and "80"; false: it is nothing of the kind. */
static bool split(const char *address, char *host, size_t len, const char **port)
{
	const char *colon = strrchr(address, ':'), *begin = address;
	size_t n = colon ? (size_t)(colon - address) : 0;

	*port = colon ? colon + 1 : address;
	if (n > 1 && begin[0] == '[' && begin[n - 1] == ']') {
		begin++;
		n -= 2;
	} else if (memchr(begin, ':', n)) {
		return false;
	}
	if (n >= len || strspn(*port, "0123456789") != strlen(*port) || !**port || strtoul(*port, NULL, 10) > 65535)
		return false;
	memcpy(host, begin, n);
	host[n] = 0;
	return true;
}

static void tell(int fd)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	char host[64], port[8];

	if (getsockname(fd, (struct sockaddr *)&a, &len) ||
	    getnameinfo((struct sockaddr *)&a, len, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV))
		return;
	note(strchr(host, ':') ? "listening on http://[%s]:%s/metrics" : "listening on http://%s:%s/metrics", host, port);
}

static int open_one(const struct addrinfo *a, bool alone)
{
	int on = 1, off = 0, fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (a->ai_family == AF_INET6)	/* the one socket of all addresses is IPv4's, too */
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, alone ? &off : &on, sizeof(on));
	if (!bind(fd, a->ai_addr, a->ai_addrlen) && !listen(fd, BACKLOG))
		return fd;
	on = errno;
	close(fd);
	errno = on;
	return -1;
}

static int open_own(const char *address, int *fd, size_t *n)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *list;
	bool all = address[0] == ':', bare = !strchr(address, ':');
	char host[256];
	const char *port;
	int err = 0;

	if (!split(address, host, sizeof(host), &port))
		return complain(EXIT_USAGE, "--listen \"%s\" is not systemd, PORT, :PORT, HOST:PORT or [HOST]:PORT", address);
	err = getaddrinfo(bare ? "127.0.0.1" : all ? NULL : host, port, &hints, &list);
	if (err)
		return complain(EXIT_FAILED, "--listen \"%s\": %s", address, gai_strerror(err));
	*n = 0;
	for (int family = AF_INET6; family; family = family == AF_INET6 ? AF_INET : 0)
		for (struct addrinfo *a = list; a && *n < LISTEN_MAX && !(all && *n); a = a->ai_next) {
			if (a->ai_family != family)
				continue;
			fd[*n] = open_one(a, all);
			if (fd[*n] >= 0)
				tell(fd[(*n)++]);
			else
				err = errno;
		}
	freeaddrinfo(list);
	return *n ? EXIT_OK : complain(EXIT_FAILED, "--listen \"%s\": %s", address, strerror(err ? err : EADDRNOTAVAIL));
}

int listen_open(const char *address, int *fd, size_t *n)
{
	return !strcmp(address, "systemd") ? take_passed(fd, n) : open_own(address, fd, n);
}
