// SPDX-License-Identifier: MIT
/*
 * What the way from a doorbell to its interrupt costs outside of any guest: a client of the
 * vfio-user server, in the place of QEMU, with one ring and a NOP.  Prints medians in us:
 *   switch    from one process to another over a socket and back, the measure of the rest
 *   read      a register
 *   write     a register, with the reply
 *   posted    a doorbell without a reply, to the eventfd of the ring's interrupt
 *   doorbell  the same with a reply that is waited for first, as QEMU 11 does
 *   batch     posted, 32 jobs, one interrupt; for each job
 *   each      the same with a doorbell for each of them
 *   shadow    the same with a shadow doorbell, which asks for few
 * and the processor time that the server takes of a second in which nobody asks for anything.
 *   doorbell [ROUNDS]
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <octans/isa.h>
#include <octans/regs.h>

#include "vfio_proto.h"
#include "vfio_user.h"

#define MEMORY		0x100000
#define IOVA		0x100000000ULL
#define ASIDS		0x00000		/* room for any number of them */
#define TABLES		0x80000		/* root and three below */
#define RING		0x90000
#define WB		0x91000
#define SHADOW		0x91100
#define CODE		0x92000
#define LOG2		6
#define BATCH		32

static int sock, event, rounds = 5000;
static uint8_t *memory;
static uint32_t tail;
static unsigned long bells;

static double now_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1e6 + t.tv_nsec * 1e-3;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void send_message(uint16_t cmd, uint32_t flags, const void *body, size_t len, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct vu_header h = { .cmd = cmd, .size = sizeof(h) + len, .flags = flags };
	struct iovec iov[2] = { { &h, sizeof(h) }, { (void *)body, len } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	struct cmsghdr *c = (struct cmsghdr *)control;

	if (fd >= 0) {
		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	if (sendmsg(sock, &msg, 0) != (ssize_t)h.size)
		fail("send");
}

/* The reply's body. */
static const uint8_t *ask(uint16_t cmd, const void *body, size_t len, int fd)
{
	static uint8_t reply[512];
	struct vu_header h;

	send_message(cmd, 0, body, len, fd);
	if (recv(sock, &h, sizeof(h), MSG_WAITALL) != sizeof(h) || h.size > sizeof(reply) ||
	    (h.size > sizeof(h) &&
	     recv(sock, reply, h.size - sizeof(h), MSG_WAITALL) != (ssize_t)(h.size - sizeof(h))))
		fail("receive");
	if (h.flags & VU_ERROR) {
		fprintf(stderr, "doorbell: command %u: %s\n", cmd, strerror(h.error));
		exit(1);
	}
	return reply;
}

struct write {
	uint64_t offset;
	uint32_t region, count;
	uint64_t value;
};

#define WRITE_SIZE(size)	(offsetof(struct write, value) + (size))

static void wr(uint64_t off, uint32_t size, uint64_t value)
{
	struct write w = { off, OCTANS_BAR_REGS, size, value };

	ask(VU_REGION_WRITE, &w, WRITE_SIZE(size), -1);
}

static uint32_t rd(uint64_t off)
{
	struct vu_region_io io = { off, OCTANS_BAR_REGS, 4 };
	uint32_t v;

	memcpy(&v, ask(VU_REGION_READ, &io, sizeof(io), -1) + sizeof(io), sizeof(v));
	return v;
}

static void ring(unsigned int n, bool posted)
{
	struct octans_desc *d = (struct octans_desc *)(memory + RING);
	struct write w;

	for (unsigned int i = 0; i < n; i++, tail++)
		d[tail & ((1 << LOG2) - 1)] = (struct octans_desc) {
			.seqno = tail + 1, .cmd_va = CODE, .cmd_size = 16, .asid = 1,
			.flags = i + 1 == n ? OCTANS_DESC_IRQ : 0,
		};
	w = (struct write) { OCTANS_DOORBELL(0), OCTANS_BAR_REGS, 4, tail };
	if (posted)
		send_message(VU_REGION_WRITE, VU_NO_REPLY, &w, WRITE_SIZE(4), -1);
	else
		ask(VU_REGION_WRITE, &w, WRITE_SIZE(4), -1);
}

/* A job as rings.rst wants it told: the tail, and a doorbell if one is asked for. */
static void ring_shadow(bool irq)
{
	_Atomic uint32_t *shadow = (_Atomic uint32_t *)(memory + SHADOW);
	struct octans_desc *d = (struct octans_desc *)(memory + RING);
	struct write w;

	d += tail & ((1 << LOG2) - 1);
	*d = (struct octans_desc) {
		.seqno = tail + 1, .cmd_va = CODE, .cmd_size = 16, .asid = 1,
		.flags = irq ? OCTANS_DESC_IRQ : 0,
	};
	atomic_store_explicit(&shadow[0], ++tail, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&shadow[1], memory_order_relaxed) != tail - 1)
		return;
	bells++;
	w = (struct write) { OCTANS_DOORBELL(0), OCTANS_BAR_REGS, 4, tail };
	send_message(VU_REGION_WRITE, VU_NO_REPLY, &w, WRITE_SIZE(4), -1);
}

/* From here on the shadow doorbell counts. */
static void turn_shadow_on(void)
{
	wr(OCTANS_RING(0) + OCTANS_RING_CTRL, 4, OCTANS_RING_RESET);
	while (rd(OCTANS_RING(0) + OCTANS_RING_CTRL))
		;
	tail = 0;
	wr(OCTANS_RING(0) + OCTANS_RING_SHADOW, 8, (IOVA + SHADOW) | OCTANS_SHADOW_ENABLE);
	wr(OCTANS_RING(0) + OCTANS_RING_CTRL, 4, OCTANS_RING_ENABLE);
}

static void ring_each(bool shadow)
{
	for (int i = 1; i <= BATCH; i++) {
		if (shadow)
			ring_shadow(i == BATCH);
		else
			ring(1, true);
	}
}

static void wait_for_irq(void)
{
	uint64_t n;

	if (read(event, &n, sizeof(n)) != sizeof(n))
		fail("eventfd");
}

/* The interrupts of jobs before the last one come, too. */
static void wait_for_end(void)
{
	while (OCTANS_WB_SEQNO(atomic_load((_Atomic uint64_t *)(memory + WB))) != tail)
		wait_for_irq();
}

static void set_up(void)
{
	static const char hello[] = "\0\0\0\0{\"capabilities\":{\"max_msg_fds\":8}}";
	struct vu_dma_map map = { sizeof(map), VU_MAP_READ | VU_MAP_WRITE, 0, IOVA, MEMORY };
	struct vu_irq_set irq = { sizeof(irq), VU_IRQ_DATA_EVENTFD | VU_IRQ_ACTION_TRIGGER,
				  VU_IRQ_MSIX, 1, 1 };
	struct octans_cmd nop = { .op = OCTANS_OP_NOP, .size = sizeof(nop) };
	struct write master = { 4, VU_REGION_CONFIG, 2, 6 };
	int fd = memfd_create("guest", 0);
	uint64_t *table = NULL;

	event = eventfd(0, 0);
	if (fd < 0 || event < 0 || ftruncate(fd, MEMORY))
		fail("memory");
	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		fail("memory");
	memcpy(memory + CODE, &nop, sizeof(nop));
	*(uint64_t *)(memory + ASIDS + 8) = (IOVA + TABLES) | OCTANS_ASID_VALID;
	for (int i = 0; i < 4; i++) {
		table = (uint64_t *)(memory + TABLES + i * 0x1000);
		table[0] = (IOVA + TABLES + (i + 1) * 0x1000) | OCTANS_PTE_VALID;
	}
	table[CODE >> 12] = (IOVA + CODE) | OCTANS_PTE_VALID;
	ask(VU_VERSION, hello, sizeof(hello), -1);
	ask(VU_DMA_MAP, &map, sizeof(map), fd);
	ask(VU_SET_IRQS, &irq, sizeof(irq), event);
	ask(VU_REGION_WRITE, &master, WRITE_SIZE(2), -1);
	wr(OCTANS_REG_ASID_BASE, 8, IOVA + ASIDS);
	wr(OCTANS_REG_MMU_CTRL, 4, OCTANS_MMU_ENABLE);
	wr(OCTANS_RING(0) + OCTANS_RING_BASE, 8, IOVA + RING);
	wr(OCTANS_RING(0) + OCTANS_RING_WB, 8, IOVA + WB);
	wr(OCTANS_RING(0) + OCTANS_RING_LOG2, 4, LOG2);
	wr(OCTANS_RING(0) + OCTANS_RING_VECTOR, 4, 1);
	wr(OCTANS_RING(0) + OCTANS_RING_CTRL, 4, OCTANS_RING_ENABLE);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void report(const char *name, double *t, double parts)
{
	qsort(t, rounds, sizeof(*t), ascending);
	printf("%-9s %8.1f   p90 %8.1f\n", name, t[rounds / 2] / parts, t[rounds * 9 / 10] / parts);
}

#define MEASURE(name, parts, what)					\
	do {								\
		for (int i = 0; i < rounds; i++) {			\
			t[i] = now_us(CLOCK_MONOTONIC);			\
			what;						\
			t[i] = now_us(CLOCK_MONOTONIC) - t[i];		\
		}							\
		report(name, t, parts);					\
	} while (0)

/* A process that sends back what it gets. */
static void measure_switch(double *t)
{
	int pair[2];
	char c = 0;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		fail("socket");
	pid = fork();
	if (!pid) {
		close(pair[0]);
		while (recv(pair[1], &c, 1, 0) == 1)
			send(pair[1], &c, 1, 0);
		_exit(0);
	}
	close(pair[1]);
	MEASURE("switch", 1, { send(pair[0], &c, 1, 0); recv(pair[0], &c, 1, 0); });
	close(pair[0]);
	waitpid(pid, NULL, 0);
}

static void be_server(int conn)
{
	struct sim_config config = { .local_size = 16 << 20, .threads = 1 };
	struct vfio_user *s;
	char err[256];

	if (vfio_user_new(&config, false, &s, err, sizeof(err))) {
		fprintf(stderr, "doorbell: %s\n", err);
		_exit(1);
	}
	vfio_user_serve(s, conn, eventfd(0, 0));
	vfio_user_free(s);
	_exit(0);
}

static void measure_idle(pid_t pid)
{
	clockid_t clock;
	double before;

	if (clock_getcpuclockid(pid, &clock))
		fail("clock");
	sleep(1);
	before = now_us(clock);
	sleep(1);
	printf("idle      %8.1f us of processor time a second\n", now_us(clock) - before);
}

int main(int argc, char **argv)
{
	int pair[2];
	double *t;
	pid_t pid;

	if (argc > 1)
		rounds = atoi(argv[1]);
	if (rounds < 1 || rounds > 1000000)
		return 2;
	t = calloc(rounds, sizeof(*t));
	if (!t || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		fail("socket");
	setvbuf(stdout, NULL, _IOLBF, 0);
	measure_switch(t);
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (!pid) {
		close(pair[0]);
		be_server(pair[1]);
	}
	close(pair[1]);
	sock = pair[0];
	set_up();
	MEASURE("read", 1, rd(OCTANS_REG_ID));
	MEASURE("write", 1, wr(OCTANS_REG_EVT_VECTOR, 4, 0));
	MEASURE("posted", 1, { ring(1, true); wait_for_irq(); });
	MEASURE("doorbell", 1, { ring(1, false); wait_for_irq(); });
	MEASURE("batch", BATCH, { ring(BATCH, true); wait_for_irq(); });
	MEASURE("each", BATCH, { ring_each(false); wait_for_end(); });
	turn_shadow_on();
	MEASURE("shadow", BATCH, { ring_each(true); wait_for_irq(); });
	printf("          of %lu jobs %lu asked for a doorbell\n", BATCH * (unsigned long)rounds,
	       bells);
	measure_idle(pid);
	if (rd(OCTANS_RING(0) + OCTANS_RING_HEAD) != tail) {
		fprintf(stderr, "doorbell: not every job ran\n");
		return 1;
	}
	close(sock);
	waitpid(pid, NULL, 0);
	free(t);
	return 0;
}
