// SPDX-License-Identifier: MIT
/* octans-vfio-user: the processor model as a PCI function for QEMU. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vfio_user.h"

#define MAX_CONTROL	16

struct options {
	const char *socket, *control;
	struct sim_config config;
	bool log, persist;
};

static const char usage[] =
	"Usage: octans-vfio-user --socket PATH [options]\n"
	"The Octans processor model as a PCI function, for QEMU's vfio-user-pci device.\n"
	"\n"
	"  --socket PATH    where QEMU connects\n"
	"  --control PATH   where faults are asked for (a line each; \"help\" lists them)\n"
	"  --profile NAME   octans-1 (default) or octans-s\n"
	"  --local SIZE     on-card memory, such as 512M or 8G\n"
	"  --bar SIZE       the part of it that the CPU sees, a power of two\n"
	"  --rings N        1 to 8\n"
	"  --threads N      threads that one command may use\n"
	"  --persist        wait for the next client when one leaves\n"
	"  --log            tell what happens on stderr\n"
	"  --help           this text\n";

static int stop_fd;

static void on_signal(int sig)
{
	uint64_t one = 1;

	(void)sig;
	(void)!write(stop_fd, &one, sizeof(one));
}

static int complain(const char *fmt, const char *what)
{
	fputs("octans-vfio-user: ", stderr);
	fprintf(stderr, fmt, what);
	fputc('\n', stderr);
	return 2;
}

static int parse_count(const char *text, unsigned int max, unsigned int *out)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || !v || v > max)
		return -EINVAL;
	*out = v;
	return 0;
}

/* 0, or the exit code + 1. */
static int parse_options(int argc, char **argv, struct options *o)
{
	enum { SOCKET = 1, CONTROL, PROFILE, LOCAL, BAR, RINGS, THREADS, PERSIST, LOG, HELP };
	static const struct option longs[] = {
		{ "socket", required_argument, NULL, SOCKET },
		{ "control", required_argument, NULL, CONTROL },
		{ "profile", required_argument, NULL, PROFILE },
		{ "local", required_argument, NULL, LOCAL },
		{ "bar", required_argument, NULL, BAR },
		{ "rings", required_argument, NULL, RINGS },
		{ "threads", required_argument, NULL, THREADS },
		{ "persist", no_argument, NULL, PERSIST },
		{ "log", no_argument, NULL, LOG },
		{ "help", no_argument, NULL, HELP },
		{ 0 },
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		switch (c) {
		case SOCKET:
			o->socket = optarg;
			break;
		case CONTROL:
			o->control = optarg;
			break;
		case PROFILE:
			o->config.profile = optarg;
			break;
		case LOCAL:
			if (sim_parse_size(optarg, &o->config.local_size) || !o->config.local_size)
				return 1 + complain("--local \"%s\" is not a size; say 256M or 1G",
						    optarg);
			break;
		case BAR:
			if (sim_parse_size(optarg, &o->config.bar_size) || !o->config.bar_size)
				return 1 + complain("--bar \"%s\" is not a size; say 256M or 1G",
						    optarg);
			break;
		case RINGS:
			if (parse_count(optarg, OCTANS_MAX_RINGS, &o->config.rings))
				return 1 + complain("--rings \"%s\" is not a number from 1 to 8",
						    optarg);
			break;
		case THREADS:
			if (parse_count(optarg, 1024, &o->config.threads))
				return 1 + complain("--threads \"%s\" is not a number from 1 to 1024",
						    optarg);
			break;
		case PERSIST:
			o->persist = true;
			break;
		case LOG:
			o->log = true;
			break;
		case HELP:
			fputs(usage, stdout);
			return 1;
		case ':':
			return 1 + complain("%s needs a value; --help lists the options",
					    argv[optind - 1]);
		default:
			return 1 + complain("there is no option %s; --help lists the options",
					    argv[optind - 1]);
		}
	}
	if (optind < argc)
		return 1 + complain("\"%s\" is not an option; --help lists the options",
				    argv[optind]);
	if (!o->socket)
		return 1 + complain("%s is missing: where QEMU is to connect", "--socket PATH");
	return 0;
}

/* A socket listening at @path; a stale one is replaced, a live one or a file is not. */
static int listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, probe;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(addr.sun_path, path);
	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (probe < 0)
		return -1;
	if (connect(probe, (struct sockaddr *)&addr, sizeof(addr)) && errno == ECONNREFUSED)
		unlink(path);
	close(probe);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 4)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* ---- the control socket ---- */

struct control {
	struct sim_device *dev;
	int listen;
	struct { int fd; size_t len; char line[512]; } client[MAX_CONTROL];
};

static void answer(struct control *c, int fd, const char *line)
{
	char reply[1024];
	size_t n;

	sim_control(c->dev, line, reply, sizeof(reply) - 1);
	n = strlen(reply);
	reply[n++] = '\n';
	(void)!send(fd, reply, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* False: the client is to go. */
static bool hear(struct control *c, int i)
{
	char *line = c->client[i].line, *end;
	ssize_t n = recv(c->client[i].fd, line + c->client[i].len,
			 sizeof(c->client[i].line) - 1 - c->client[i].len, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (!n)
		return false;
	c->client[i].len += n;
	while ((end = memchr(line, '\n', c->client[i].len))) {
		*end++ = 0;
		answer(c, c->client[i].fd, line);
		c->client[i].len -= end - line;
		memmove(line, end, c->client[i].len);
	}
	return c->client[i].len < sizeof(c->client[i].line) - 1;
}

static void *control_main(void *arg)
{
	struct control *c = arg;

	for (;;) {
		struct pollfd pfd[2 + MAX_CONTROL];
		int free_slot = -1;

		pfd[0] = (struct pollfd) { .fd = stop_fd, .events = POLLIN };
		for (int i = 0; i < MAX_CONTROL; i++) {
			pfd[2 + i] = (struct pollfd) { .fd = c->client[i].fd, .events = POLLIN };
			if (c->client[i].fd < 0)
				free_slot = i;
		}
		pfd[1] = (struct pollfd) { .fd = free_slot < 0 ? -1 : c->listen,
					   .events = POLLIN };
		if (poll(pfd, 2 + MAX_CONTROL, -1) < 0 && errno != EINTR)
			return NULL;
		if (pfd[0].revents)
			return NULL;
		for (int i = 0; i < MAX_CONTROL; i++)
			if (pfd[2 + i].fd >= 0 && pfd[2 + i].revents && !hear(c, i)) {
				close(c->client[i].fd);
				c->client[i].fd = -1;
			}
		if (pfd[1].fd >= 0 && pfd[1].revents & POLLIN) {
			c->client[free_slot].fd = accept4(c->listen, NULL, NULL, SOCK_CLOEXEC);
			c->client[free_slot].len = 0;
		}
	}
}

/* ---- the main socket ---- */

static void serve(struct vfio_user *s, const struct options *o, int listener)
{
	struct pollfd pfd[2] = {
		{ .fd = stop_fd, .events = POLLIN }, { .fd = listener, .events = POLLIN },
	};

	do {
		int conn;

		if (poll(pfd, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return;
		}
		if (pfd[0].revents)
			return;
		conn = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (conn < 0)
			continue;
		if (vfio_user_serve(s, conn, stop_fd) < 0)
			fputs("octans-vfio-user: the client broke the protocol and was dropped\n",
			      stderr);
		else if (!o->persist)
			return;
		if (poll(pfd, 1, 0) > 0)
			return;
	} while (true);
}

int main(int argc, char **argv)
{
	struct control control = { .listen = -1 };
	struct sigaction sa = { .sa_handler = on_signal };
	struct options o = { 0 };
	pthread_t control_thread;
	struct vfio_user *s;
	char err[256] = "";
	int listener, ret = parse_options(argc, argv, &o);

	if (ret)
		return ret - 1;
	stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	vfio_user_guard_sigbus();

	ret = vfio_user_new(&o.config, o.log, &s, err, sizeof(err));
	if (ret) {
		complain("%s", err);
		return ret == -EINVAL ? 2 : 1;
	}
	ret = 1;
	listener = listen_at(o.socket);
	if (listener < 0) {
		fprintf(stderr, "octans-vfio-user: cannot listen at --socket \"%s\": %s\n",
			o.socket, strerror(errno));
		goto free_server;
	}
	if (o.control) {
		control.dev = vfio_user_device(s);
		for (int i = 0; i < MAX_CONTROL; i++)
			control.client[i].fd = -1;
		control.listen = listen_at(o.control);
		if (control.listen < 0) {
			fprintf(stderr, "octans-vfio-user: cannot listen at --control \"%s\": %s\n",
				o.control, strerror(errno));
			goto close_listener;
		}
		if (pthread_create(&control_thread, NULL, control_main, &control)) {
			complain("cannot start the thread of %s", "--control");
			goto close_control;
		}
	}
	serve(s, &o, listener);
	ret = 0;
	on_signal(0);		/* the control thread is to stop too */
	if (o.control)
		pthread_join(control_thread, NULL);
	for (int i = 0; o.control && i < MAX_CONTROL; i++)
		if (control.client[i].fd >= 0)
			close(control.client[i].fd);
close_control:
	if (control.listen >= 0) {
		close(control.listen);
		unlink(o.control);
	}
close_listener:
	close(listener);
	unlink(o.socket);
free_server:
	vfio_user_free(s);
	return ret;
}
