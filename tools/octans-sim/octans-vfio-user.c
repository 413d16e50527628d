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
#include <unistd.h>

#include "control_socket.h"
#include "listener.h"
#include "vfio_user.h"

/* What a guest gets to see of on-card memory unless told otherwise: firmware finds room for it. */
#define DEFAULT_BAR	(256ULL << 20)

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
	"  --profile NAME   one of %s; default the first\n"
	"  --local SIZE     on-card memory, such as 512M or 8G; default the profile's\n"
	"  --bar SIZE       the part of it that the CPU sees, a power of two; default all\n"
	"                   of it, 256M at most\n"
	"  --rings N        1 to 16; default the profile's\n"
	"  --vectors N      at most so many interrupt vectors: rings then share them\n"
	"  --regs SIZE      the window of the registers, a power of two from 4K on; the manual's is\n"
	"                   128K, and a driver refuses less\n"
	"  --threads N      threads that one command may use; default one per CPU\n"
	"  --poll-limit S   a register that is read over and over for S seconds although\n"
	"                   nothing runs is reported, and reads all-ones; default never\n"
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

static int parse_seconds(const char *text, double *out)
{
	char *end;
	double v = strtod(text, &end);

	if (*text < '0' || *text > '9' || *end || !(v > 0 && v <= 1e6))
		return -EINVAL;
	*out = v;
	return 0;
}

static int parse_window(const char *text, uint64_t *out)
{
	if (sim_parse_size(text, out) || *out < 4096 || *out > OCTANS_BAR_REGS_SIZE ||
	    (*out & (*out - 1)))
		return -EINVAL;
	return 0;
}

/* The window if none is asked for: a power of two that holds on-card memory, or DEFAULT_BAR. */
static uint64_t default_bar(const struct sim_config *config)
{
	const struct sim_profile *p = sim_profile_find(config->profile);
	uint64_t size = config->local_size, bar = 1 << 20;

	if (!size && p)
		size = p->local_size;
	while (bar < size && bar < DEFAULT_BAR)
		bar *= 2;
	return bar;
}

/* 0, or the exit code + 1. */
static int parse_options(int argc, char **argv, struct options *o)
{
	enum { SOCKET = 1, CONTROL, PROFILE, LOCAL, BAR, RINGS, VECTORS, REGS, THREADS, POLL, PERSIST, LOG, HELP };
	static const struct option longs[] = {
		{ "socket", required_argument, NULL, SOCKET },
		{ "control", required_argument, NULL, CONTROL },
		{ "profile", required_argument, NULL, PROFILE },
		{ "local", required_argument, NULL, LOCAL },
		{ "bar", required_argument, NULL, BAR },
		{ "rings", required_argument, NULL, RINGS },
		{ "vectors", required_argument, NULL, VECTORS },
		{ "regs", required_argument, NULL, REGS },
		{ "threads", required_argument, NULL, THREADS },
		{ "poll-limit", required_argument, NULL, POLL },
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
				return 1 + complain("--rings \"%s\" is not a number from 1 to 16",
						    optarg);
			break;
		case VECTORS:
			if (parse_count(optarg, SIM_VECTORS, &o->config.vectors))
				return 1 + complain("--vectors \"%s\" is not a number from 1 to 17",
						    optarg);
			break;
		case REGS:
			if (parse_window(optarg, &o->config.regs_size))
				return 1 + complain("--regs \"%s\" is not a power of two from 4K to 128K",
						    optarg);
			break;
		case THREADS:
			if (parse_count(optarg, 1024, &o->config.threads))
				return 1 + complain("--threads \"%s\" is not a number from 1 to 1024",
						    optarg);
			break;
		case POLL:
			if (parse_seconds(optarg, &o->config.poll_limit_s))
				return 1 + complain("--poll-limit \"%s\" is not a number of seconds "
						    "up to 1000000", optarg);
			break;
		case PERSIST:
			o->persist = true;
			break;
		case LOG:
			o->log = true;
			break;
		case HELP:
			printf(usage, sim_profile_names());
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
	if (!o->config.bar_size)
		o->config.bar_size = default_bar(&o->config);
	return 0;
}

/* True: there will be another client. */
static bool serve_one(struct vfio_user *s, const struct options *o, int conn)
{
	switch (vfio_user_serve(s, conn, stop_fd)) {
	case -EPROTO:
		complain("the client %s and was dropped", "broke the protocol");
		return true;
	case -ETIMEDOUT:
		complain("the client %s and was dropped", "fell silent");
		return true;
	case 0:
		return o->persist;
	}
	return true;
}

static void serve(struct vfio_user *s, const struct options *o, int listener)
{
	struct pollfd pfd[2] = {
		{ .fd = stop_fd, .events = POLLIN }, { .fd = listener, .events = POLLIN },
	};
	bool more = true;
	int conn;

	while (more) {
		if (poll(pfd, 2, -1) < 0)
			continue;
		if (pfd[0].revents)
			return;
		conn = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (conn >= 0)
			more = serve_one(s, o, conn);
		else
			poll(pfd, 1, 10);	/* no descriptor left: do not spin */
	}
}

/* A listening socket, or -1 when that was said. */
static int listen_at(const char *option, const char *path)
{
	int fd = listener_open(path);

	if (fd >= 0)
		return fd;
	fprintf(stderr, "octans-vfio-user: cannot listen at %s \"%s\": %s\n", option, path,
		strerror(-fd));
	return -1;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct control_socket *control = NULL;
	int listener = -1, control_listener = -1;
	struct options o = { 0 };
	struct vfio_user *s;
	char err[256] = "";
	int ret = parse_options(argc, argv, &o);

	if (ret)
		return ret - 1;
	stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);

	ret = vfio_user_new(&o.config, o.log, &s, err, sizeof(err));
	if (ret) {
		complain("%s", err);
		return ret == -EINVAL ? 2 : 1;
	}
	vfio_user_guard_sigbus(s);
	ret = 1;
	listener = listen_at("--socket", o.socket);
	if (listener < 0)
		goto free_server;
	if (o.control) {
		control_listener = listen_at("--control", o.control);
		if (control_listener < 0)
			goto close_listener;
		if (control_socket_new(vfio_user_device(s), control_listener, &control)) {
			complain("cannot start the thread of %s; try again", "--control");
			goto close_control;
		}
	}
	serve(s, &o, listener);
	ret = 0;
	control_socket_free(control);
close_control:
	if (o.control)
		listener_close(control_listener, o.control);
close_listener:
	listener_close(listener, o.socket);
free_server:
	vfio_user_free(s);
	return ret;
}
