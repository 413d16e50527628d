// SPDX-License-Identifier: MIT
/*
 * Lines of the control channel, good, nearly good and cut anywhere, from several clients at once,
 * while jobs run.  Every line gets one line of answer, in order.
 */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../unit/sim_rig.h"
#include "control_socket.h"
#include "listener.h"
#include "random.h"

#define CLIENTS	8

static struct rig rig;
static char path[64];
static struct { int fd; unsigned int asked; } client[CLIENTS];
static unsigned long lines, answers, connections;

static void line(char *out, size_t size)
{
	static const char *const words[] = {
		"hang", "hold", "slow", "drop-irq", "drop-invalidate", "fault", "corrupt-wb", "fail-reset",
		"flip", "device-error", "corrupt-cq", "late", "drop-doorbell", "slow-reset", "away",
		"corrupt-event", "lie", "storm", "tag", "index", "CAPS", "RING1_HEAD", "RING9_HEAD",
		"remove", "restore", "stat", "undefined", "help", "ring", "device",
		"local", "xor", "off",
		"0", "1", "3", "4", "7", "8", "4096", "16777215", "16777216", "0x10", "-1", "1e3",
		"4294967295", "4294967296", "18446744073709551615", "99999999999999999999", "%s%n", "",
		"\t", "\r", "nothing", "\xff\xfe",
	};
	static const char *const good[] = {
		"hang ring 0", "hang ring 0 off", "hold ring 0", "hold ring 0 off", "slow 1 100",
		"slow 1 0", "drop-irq 1 3", "drop-invalidate 2", "fault 0",
		"corrupt-wb 0 xor 0x10", "fail-reset ring 1 1", "fail-reset device 1",
		"flip local 4096 3", "device-error 7", "corrupt-cq 0 seqno xor 1", "late 0 10",
		"corrupt-event asid xor 3", "corrupt-event index xor 2", "lie CAPS 7", "lie RING1_HEAD 3",
		"lie off", "storm 1 3", "hang tag 1", "hang tag 0",
		"late 0 0", "drop-doorbell 0 2", "slow-reset ring 1 20", "slow-reset device 20",
		"slow-reset device 0", "away 20", "away 0",
		 "remove", "restore", "stat", "undefined",
	};
	size_t n = 0;

	*out = 0;
	if (one_in(3)) {
		snprintf(out, size, "%s", good[below(sizeof(good) / sizeof(*good))]);
	} else if (one_in(20)) {
		n = below(size - 1);
		memset(out, 'a' + below(26), n);
		out[n] = 0;
	} else {
		for (unsigned int i = below(10); i && n + 32 < size; i--)
			n += snprintf(out + n, size - n, "%s%s", n ? " " : "",
				      words[below(sizeof(words) / sizeof(*words))]);
	}
	n = strlen(out);
	if (n && one_in(10))
		out[below(n)] = below(256);
}

static void enter(int i)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	strcpy(addr.sun_path, path);
	client[i].fd = socket(AF_UNIX, SOCK_STREAM, 0);
	client[i].asked = 0;
	if (client[i].fd < 0 || connect(client[i].fd, (struct sockaddr *)&addr, sizeof(addr)))
		finding("the control socket does not accept");
	connections++;
}

/* Takes what is there; waits for an answer to everything if @all. */
static void hear(int i, bool all)
{
	char reply[8192];

	while (client[i].asked) {
		struct pollfd p = { .fd = client[i].fd, .events = POLLIN };
		ssize_t n;

		if (poll(&p, 1, all ? 10000 : 0) != 1) {
			if (all)
				finding("%u lines were not answered", client[i].asked);
			return;
		}
		n = recv(client[i].fd, reply, sizeof(reply), 0);
		if (n <= 0)
			finding("dropped with %u lines to answer", client[i].asked);
		for (ssize_t k = 0; k < n; k++)
			if (reply[k] == '\n') {
				if (!client[i].asked--)
					finding("an answer to nothing");
				answers++;
			}
	}
}

static void say(int i)
{
	char text[700];
	size_t n, at = 0, cut;

	line(text, sizeof(text) - 2);
	n = strlen(text);
	/* A byte may have become a line feed. */
	text[n++] = '\n';
	for (size_t k = 0; k < n; k++)
		client[i].asked += text[k] == '\n';
	while (at < n) {
		cut = one_in(3) ? 1 + below(n - at) : n - at;
		if (send(client[i].fd, text + at, cut, MSG_NOSIGNAL) != (ssize_t)cut)
			finding("the control socket does not listen");
		at += cut;
	}
	lines++;
}

static void job(void)
{
	unsigned int r = below(rig.dev->rings);

	if (one_in(8)) {
		sim_flr(rig.dev);
		sim_set_bus_master(rig.dev, true);
		rig_start(&rig);
	}
	/* Not by rig_desc(), which asks the processor: it may be away. */
	*((struct octans_desc *)(rig.mem + RIG_RING + r * 0x1000) + rig.tail[r]++ % 16) =
		(struct octans_desc) {
			.seqno = 1 + below(1000), .cmd_va = 0x10000, .cmd_size = 16 + sizeof(struct octans_cmd_copy),
			.asid = 1, .flags = OCTANS_DESC_IRQ,
		};
	rig_bell(&rig, r);
}

int main(int argc, char **argv)
{
	struct control_socket *control;
	struct octans_cmd nop = cmd_nop();
	struct octans_cmd_copy copy = cmd_copy(0x11000, 0x12000, 4096);
	int listener;

	random_begin(argc, argv);
	rig_new(&rig, NULL);
	rig_map(&rig, 1, 0x10000, RIG_DATA, 0x10000, OCTANS_PTE_WRITE);
	memcpy(rig.mem + RIG_DATA, &nop, sizeof(nop));
	memcpy(rig.mem + RIG_DATA + sizeof(nop), &copy, sizeof(copy));
	rig_start(&rig);
	snprintf(path, sizeof(path), "/tmp/octans-fuzz-control.%d", getpid());
	listener = listener_open(path);
	if (listener < 0 || control_socket_new(rig.dev, listener, &control))
		finding("no control socket at %s", path);
	for (int i = 0; i < CLIENTS; i++)
		enter(i);
	while (random_more()) {
		int i = below(CLIENTS);

		say(i);
		if (!one_in(4))
			hear(i, client[i].asked > 100 || one_in(8));
		if (one_in(50)) {
			if (one_in(2))
				(void)!send(client[i].fd, "sta", 3, MSG_NOSIGNAL);
			close(client[i].fd);
			enter(i);
		}
		if (one_in(4))
			job();
	}
	for (int i = 0; i < CLIENTS; i++) {
		hear(i, true);
		close(client[i].fd);
	}
	control_socket_free(control);
	listener_close(listener, path);
	printf("seed %llu: %lu lines, %lu answers, %lu connections\n",
	       (unsigned long long)random_seed, lines, answers, connections);
	rig_free(&rig);
	return 0;
}
