// SPDX-License-Identifier: MIT
/*
 * A hostile virtual machine monitor: messages that are nearly right, page tables that loop,
 * memory that comes, goes and is cut off while jobs run, interrupts that nobody takes, clients
 * that leave in the middle.  Every message gets its reply in a few seconds or ends the
 * connection; the next client finds nothing of the last one, and who was a client before sees
 * and changes nothing of his.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "../unit/sim_rig.h"
#include "grammar.h"
#include "vfio_proto.h"
#include "vfio_user.h"

#define MEM		(8u << 20)
#define FILES		4
#define TABLES		8	/* of pages, at RIG_TABLES */
#define REPLY_SECONDS	15
#define LOCAL		(16u << 20)
#define SECRET		0x5ec2e75ec2e7a55aULL
#define PCI_EXPRESS	0x50	/* the capability, in configuration space */

static struct vfio_user *server;
static int conn = -1, stop_fd;
static pthread_t thread;
static int server_conn;
static atomic_bool stop_meddling;
static struct { int fd; uint8_t *at; } file[FILES];
static uint8_t reply_body[(1 << 20) + 4096];
static uint64_t *kept;		/* on-card memory of a client that left, or NULL */
static unsigned long messages, refused, unanswered, clients, doorbells, keepers;
static double slowest;

/* ---- the connection ---- */

static void *serve(void *arg)
{
	(void)arg;
	vfio_user_serve(server, server_conn, stop_fd);
	return NULL;
}

static void enter(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		finding("no sockets left: %s", strerror(errno));
	conn = pair[0];
	server_conn = pair[1];
	if (pthread_create(&thread, NULL, serve, NULL))
		finding("no threads left");
	clients++;
}

static void leave(void)
{
	close(conn);
	conn = -1;
	pthread_join(thread, NULL);
}

static bool send_message(const void *data, size_t len, const int *fds, unsigned int nfds)
{
	char control[CMSG_SPACE(8 * sizeof(int))] = { 0 };
	struct iovec iov = { (void *)data, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	}
	return sendmsg(conn, &msg, MSG_NOSIGNAL) == (ssize_t)len;
}

/* Of the descriptor that a reply brings, if it brings one. */
static int reply_fd = -1;

static ssize_t take_some(void *to, size_t len)
{
	char control[CMSG_SPACE(8 * sizeof(int))];
	struct iovec iov = { to, len };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(conn, &msg, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	if (c && c->cmsg_type == SCM_RIGHTS) {
		if (c->cmsg_len != CMSG_LEN(sizeof(int)) || reply_fd >= 0)
			finding("a reply brings more than one descriptor");
		memcpy(&reply_fd, CMSG_DATA(c), sizeof(int));
	}
	return n;
}

static void forget_fd(void)
{
	if (reply_fd >= 0)
		close(reply_fd);
	reply_fd = -1;
}

/* False: the server ended it. */
static bool receive(void *data, size_t len)
{
	struct pollfd p = { .fd = conn, .events = POLLIN };
	uint8_t *to = data;

	while (len) {
		ssize_t n;

		if (poll(&p, 1, REPLY_SECONDS * 1000) != 1)
			finding("no reply in %d s", REPLY_SECONDS);
		n = take_some(to, len);
		if (n <= 0)
			return false;
		to += n;
		len -= n;
	}
	return true;
}

static bool posted;	/* messages want no reply */

/* The error, 0, or -1: the connection is over. */
static int ask(uint16_t cmd, const void *body, size_t len, const int *fds, unsigned int nfds)
{
	static uint16_t id;
	uint8_t message[8192];
	struct vu_header h = { .id = ++id, .cmd = cmd, .size = sizeof(h) + len };
	double start = seconds_now();

	if (posted)
		h.flags = VU_NO_REPLY;
	else if (one_in(200))
		h.flags = one_in(4) ? any() : VU_NO_REPLY;
	memcpy(message, &h, sizeof(h));
	memcpy(message + sizeof(h), body, len);
	messages++;
	forget_fd();
	if (!send_message(message, h.size, fds, nfds))
		return -1;
	if ((h.flags & VU_NO_REPLY) && !(h.flags & VU_TYPE)) {
		unanswered++;
		return 0;
	}
	if (!receive(&h, sizeof(h)))
		return -1;
	if (h.id != id || h.cmd != cmd || (h.flags & VU_TYPE) != VU_REPLY || h.size < sizeof(h) ||
	    h.size - sizeof(h) > sizeof(reply_body))
		finding("a reply that is none: id %u command %u flags %x size %u", h.id, h.cmd,
			h.flags, h.size);
	if (!receive(reply_body, h.size - sizeof(h)))
		return -1;
	if (seconds_now() - start > slowest)
		slowest = seconds_now() - start;
	refused += h.flags & VU_ERROR ? 1 : 0;
	return h.flags & VU_ERROR ? (int)h.error : 0;
}

/* The first message goes as it should. */
static int greet(void)
{
	static const struct { uint16_t v[2]; char caps[8]; } hello = { { 0, 1 }, "{}" };
	int ret;

	do
		ret = ask(VU_VERSION, &hello, 7, NULL, 0);
	while (ret < 0 && (leave(), enter(), true));
	return ret;
}

static int greet_again(void)
{
	uint8_t hello[64];

	for (size_t i = 0; i < sizeof(hello); i++)
		hello[i] = one_in(3) ? 0 : any();
	return ask(VU_VERSION, hello, one_in(2) ? 4 : below(64), NULL, 0);
}

static int write_region(uint32_t region, uint64_t offset, const void *data, uint32_t n)
{
	struct { struct vu_region_io io; uint8_t data[64]; } m = { .io = { offset, region, n } };

	memcpy(m.data, data, n);
	return ask(VU_REGION_WRITE, &m, sizeof(m.io) + n, NULL, 0);
}

static int write32(uint64_t offset, uint32_t v)
{
	return write_region(OCTANS_BAR_REGS, offset, &v, 4);
}

static int write64(uint64_t offset, uint64_t v)
{
	return write_region(OCTANS_BAR_REGS, offset, &v, 8);
}

/* ---- memory ---- */

static void new_file(int i)
{
	if (file[i].fd >= 0) {
		munmap(file[i].at, MEM);
		close(file[i].fd);
	}
	file[i].fd = memfd_create("guest", MFD_CLOEXEC);
	if (file[i].fd < 0 || ftruncate(file[i].fd, MEM))
		finding("no memory: %s", strerror(errno));
	file[i].at = mmap(NULL, MEM, PROT_READ | PROT_WRITE, MAP_SHARED, file[i].fd, 0);
}

/* Shortened and forgotten: our own mapping of it must not be touched any more. */
static void cut_off(int i)
{
	if (one_in(2)) {
		(void)!ftruncate(file[i].fd, below(8) * 0x1000);
		new_file(i);
	} else {
		fallocate(file[i].fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  below(100) * 4096, MEM / 2);
	}
}

static uint64_t bus_address(void)
{
	static const uint64_t base[] = {
		0, 0x1000, RIG_IOVA, RIG_IOVA + 0x100000, RIG_IOVA + MEM, 0x7fffffffff000,
		0xfffffffffffff000,
	};

	return base[below(7)] + (one_in(3) ? below(16) * 0x1000 : 0);
}

static uint64_t table_entry(void)
{
	uint64_t table = (RIG_IOVA + RIG_TABLES + below(TABLES) * 0x1000) | OCTANS_PTE_VALID;
	uint64_t write = one_in(2) ? OCTANS_PTE_WRITE : 0;

	switch (below(10)) {
	case 0: case 1:
		return table;
	case 2: case 3:
		return (RIG_IOVA + below(MEM >> 12) * 0x1000) | OCTANS_PTE_VALID | write;
	case 4:
		return below(5000) * 0x1000ULL | OCTANS_PTE_VALID | OCTANS_PTE_LOCAL | write;
	case 5:
		return (RIG_IOVA + below(8) * 0x200000) | OCTANS_PTE_VALID | OCTANS_PTE_LARGE | write;
	case 6:
		return below(10) * 0x200000ULL | OCTANS_PTE_VALID | OCTANS_PTE_LOCAL |
		       OCTANS_PTE_LARGE | write;
	case 7:
		return any();
	case 8:
		return bus_address() | OCTANS_PTE_VALID | write | (one_in(4) ? OCTANS_PTE_CONT : 0);
	}
	return 0;
}

/* Every table can be at every level; some part of the tree makes sense, so that jobs get on. */
static void make_tables(void)
{
	uint64_t *asid = (uint64_t *)(file[0].at + RIG_ASIDS), *table;

	for (int t = 0; t < TABLES; t++) {
		table = (uint64_t *)(file[0].at + RIG_TABLES + t * 0x1000);
		for (int i = 0; i < OCTANS_PT_ENTRIES; i++)
			table[i] = table_entry();
		if (t < OCTANS_PT_LEVELS - 1)
			table[0] = (RIG_IOVA + RIG_TABLES + (t + 1) * 0x1000) | OCTANS_PTE_VALID;
	}
	table = (uint64_t *)(file[0].at + RIG_TABLES + (OCTANS_PT_LEVELS - 1) * 0x1000);
	for (int i = 0; i < 256; i++)
		table[i] = (RIG_IOVA + 0x100000 + i * 0x1000) | OCTANS_PTE_VALID |
			   (one_in(8) ? 0 : OCTANS_PTE_WRITE);
	for (int i = 1; i < 16; i++)
		asid[i] = one_in(10) ? any() : one_in(10) ? table_entry() & ~OCTANS_PTE_WRITE :
			  (RIG_IOVA + RIG_TABLES) | OCTANS_ASID_VALID;
}

#define SENSE_PAGES	256	/* from address 0 on, at 0x100000 of the memory: */
#define STREAMS		8	/* 64 KiB each, of which the stream has the first 4 */
#define IDS_PAGE	(SENSE_PAGES - 1)

static uint64_t page_va(void)
{
	return one_in(16) ? (any() & 0x1ff) << (12 + 9 * below(4)) : below(SENSE_PAGES) * 0x1000ULL;
}

static uint64_t large_va(uint32_t pages)
{
	return pages < SENSE_PAGES ? below(SENSE_PAGES - pages) * 0x1000ULL : page_va();
}

static uint64_t id_va(void)
{
	return IDS_PAGE * 0x1000ULL + below(512) * 8;
}

/* Returns its size. */
static uint32_t make_stream(uint8_t *at)
{
	uint32_t bytes = 0;

	clean = !one_in(3);
	for (int i = below(one_in(4) ? 8 : 2); i >= 0; i--)
		bytes += make_command(at + bytes);
	return bytes;
}

/* ---- steps: -1 = the connection is over ---- */

static int start(void)
{
	struct vu_dma_map m = { .argsz = sizeof(m), .flags = 3, .addr = RIG_IOVA, .size = MEM };
	uint16_t command = 6;
	int ret = ask(VU_DMA_MAP, &m, sizeof(m), &file[0].fd, 1);

	if (ret < 0)
		return ret;
	write_region(VU_REGION_CONFIG, 4, &command, 2);
	write64(OCTANS_REG_ASID_BASE, RIG_IOVA + RIG_ASIDS);
	write32(OCTANS_REG_MMU_CTRL, OCTANS_MMU_ENABLE);
	write64(OCTANS_REG_EVT_BASE, RIG_IOVA + RIG_EVENTS);
	write32(OCTANS_REG_EVT_LOG2, 4);
	write32(OCTANS_REG_EVT_CTRL, OCTANS_EVT_ENABLE);
	for (int r = 0; r < 4; r++) {
		write64(OCTANS_RING(r) + OCTANS_RING_BASE, RIG_IOVA + RIG_RING + r * 0x1000);
		write64(OCTANS_RING(r) + OCTANS_RING_WB, RIG_IOVA + RIG_WB + r * 64);
		write32(OCTANS_RING(r) + OCTANS_RING_LOG2, 4);
		write32(OCTANS_RING(r) + OCTANS_RING_VECTOR, 1 + r);
		ret = write32(OCTANS_RING(r) + OCTANS_RING_CTRL, OCTANS_RING_ENABLE);
	}
	return ret;
}

static int map_something(void)
{
	struct vu_dma_map m = {
		.argsz = one_in(20) ? below(50) : sizeof(m), .flags = one_in(4) ? below(8) : 3,
		.offset = one_in(3) ? below(4) * 0x1000 : 0, .addr = bus_address(),
		.size = one_in(3) ? below(20) * 0x1000 : MEM,
	};
	int fds[3] = { file[below(FILES)].fd, file[below(FILES)].fd, file[0].fd };

	if (one_in(20))
		m.size = any_size();
	if (one_in(20))
		m.offset = any_size();
	if (one_in(20))
		m.addr = any_size();
	return ask(VU_DMA_MAP, &m, one_in(20) ? below(33) : sizeof(m), fds,
		   one_in(4) ? below(4) : 1);
}

static int unmap_something(void)
{
	struct vu_dma_unmap u = {
		.argsz = sizeof(u), .flags = one_in(6) ? below(8) : 0, .addr = bus_address(),
		.size = one_in(3) ? below(20) * 0x1000 : MEM,
	};

	if (one_in(20))
		u.size = any_size();
	if (one_in(20))
		u.addr = any_size();
	return ask(VU_DMA_UNMAP, &u, one_in(20) ? below(25) : sizeof(u), NULL, 0);
}

static int access_region(bool write)
{
	static const uint32_t regions[] = { OCTANS_BAR_REGS, OCTANS_BAR_LOCAL, OCTANS_BAR_MSIX,
					    VU_REGION_CONFIG };
	uint8_t m[4096];
	struct vu_region_io io = {
		.offset = one_in(4) ? any_size() : below(4096),
		.region = one_in(6) ? below(12) : regions[below(4)],
		.count = one_in(6) ? below(write ? 4000 : 1 << 21) : 1u << below(5),
	};

	for (size_t i = 0; i < sizeof(m); i++)
		m[i] = any();
	memcpy(m, &io, sizeof(io));
	if (!write)
		return ask(VU_REGION_READ, m, one_in(20) ? below(17) : sizeof(io), NULL, 0);
	return ask(VU_REGION_WRITE, m, one_in(10) ? below(3000) : sizeof(io) + io.count, NULL, 0);
}

static int set_irqs(void)
{
	struct vu_irq_set set = {
		.argsz = sizeof(set), .flags = one_in(4) ? below(64) : 0x24,
		.index = one_in(4) ? below(6) : VU_IRQ_MSIX, .start = below(6), .count = below(6),
	};
	int fds[8], nfds, ret, pair[2];
	uint8_t m[64] = { 0 };

	if (one_in(20))
		set.count = any_size();
	if (one_in(20))
		set.start = any_size();
	nfds = one_in(3) ? below(8) : set.count < 8 ? set.count : 8;
	for (int i = 0; i < nfds; i++) {
		if (one_in(6) && !pipe(pair)) {
			fds[i] = pair[1];
			close(pair[0]);
			continue;
		}
		fds[i] = eventfd(0, 0);
		if (one_in(3))
			eventfd_write(fds[i], UINT64_MAX - 1);	/* full, and it blocks */
	}
	memcpy(m, &set, sizeof(set));
	ret = ask(VU_SET_IRQS, m, sizeof(set) + below(8), fds, nfds);
	for (int i = 0; i < nfds; i++)
		close(fds[i]);
	return ret;
}

static void wait_for_reset(int r)
{
	struct vu_region_io io = {
		.offset = OCTANS_RING(r) + OCTANS_RING_CTRL, .region = OCTANS_BAR_REGS, .count = 4,
	};
	uint32_t v = 0;

	for (int tries = 0; tries < 20; tries++) {
		if (ask(VU_REGION_READ, &io, sizeof(io), NULL, 0))
			return;
		memcpy(&v, reply_body + sizeof(io), sizeof(v));
		if (!(v & OCTANS_RING_RESET))
			return;
		rig_nap(100);
	}
}

/* A completion ring and a shadow doorbell for ring @r, or what looks like them; it is disabled. */
static void place_extras(int r)
{
	uint64_t cq = one_in(16) ? any_size() : RIG_IOVA + RIG_DATA + r * 0x2000;
	uint64_t shadow = one_in(16) ? any_size() : RIG_IOVA + RIG_WB + r * 64 + 32;

	write64(OCTANS_RING(r) + OCTANS_RING_CQ_BASE, cq);
	write32(OCTANS_RING(r) + OCTANS_RING_CQ_LOG2,
		one_in(16) ? below(40) : one_in(2) ? 0 : 4 + below(3));
	write64(OCTANS_RING(r) + OCTANS_RING_SHADOW, shadow | one_in(2));
}

/* As QEMU rings it: nobody waits for a reply. */
static int ring_bell(int r, uint32_t value)
{
	int ret;

	*(_Atomic uint32_t *)(file[0].at + RIG_WB + r * 64 + 32) = value;
	posted = !one_in(4);
	ret = write32(OCTANS_DOORBELL(r), value);
	posted = false;
	return ret;
}

/* What runs there already may find its stream changed. */
static int run_jobs(void)
{
	uint32_t size[STREAMS], jobs = 1 + below(6);
	int r = below(4);

	if (one_in(4))
		make_tables();
	fill_ids((uint64_t *)(file[0].at + 0x100000 + IDS_PAGE * 0x1000), 512);
	for (int i = 0; i < STREAMS; i++)
		size[i] = make_stream(file[0].at + 0x100000 + i * 0x10000);
	for (int i = 0; i < 16; i++) {
		int n = below(STREAMS);
		struct octans_desc d = {
			.seqno = 1 + below(1000), .cmd_va = n * 0x10000, .cmd_size = size[n],
			.asid = one_in(10) ? below(18) : 1 + below(15),
			.flags = one_in(8) ? below(4) : below(2),
		};

		if (one_in(10)) {
			d.param_va = any_size();
			d.param_count = below(70);
		}
		if (one_in(16))
			d.seqno = any();
		if (one_in(16))
			d.cmd_va = any();
		memcpy(file[0].at + RIG_RING + r * 0x1000 + i * sizeof(d), &d, sizeof(d));
	}
	doorbells++;
	if (one_in(5))
		start();
	/* A ring that has stopped goes on after a reset only. */
	if (!one_in(3)) {
		write32(OCTANS_RING(r) + OCTANS_RING_CTRL, OCTANS_RING_RESET);
		if (!one_in(8))
			wait_for_reset(r);
		if (one_in(2))
			place_extras(r);
		*(_Atomic uint32_t *)(file[0].at + RIG_WB + r * 64 + 32) = 0;
		write32(OCTANS_RING(r) + OCTANS_RING_CTRL, OCTANS_RING_ENABLE);
	}
	return ring_bell(r, one_in(16) ? any_size() : one_in(8) ? below(20) : jobs);
}

/* Registers as a driver reads them, all of them. */
static int read_register(void)
{
	struct vu_region_io io = { .region = OCTANS_BAR_REGS, .count = one_in(2) ? 4 : 8 };

	io.offset = one_in(3) ? OCTANS_RING(below(9)) + 4 * below(32) : 4 * below(0x300 / 4);
	return ask(VU_REGION_READ, &io, sizeof(io), NULL, 0);
}

static int get_info(void)
{
	struct vu_region_info info = { .argsz = sizeof(info), .index = below(10) };
	uint16_t what = VU_GET_INFO + below(4);

	/* All of them begin with their size; the number of an interrupt is the third word. */
	if (what == VU_GET_IRQ_INFO)
		info.argsz = sizeof(struct vu_irq_info);
	return ask(what, &info, one_in(10) ? below(32) : sizeof(info), NULL, 0);
}

static int noise(void)
{
	uint8_t m[256];

	for (size_t i = 0; i < sizeof(m); i++)
		m[i] = any();
	return ask(below(20), m, below(200), NULL, 0);
}

/* By each of the ways that there are. */
static int reset(void)
{
	uint16_t flr = PCI_EXP_DEVCTL_BCR_FLR;

	switch (below(3)) {
	case 0:
		return ask(VU_RESET, "", 0, NULL, 0);
	case 1:
		return write_region(VU_REGION_CONFIG, PCI_EXPRESS + PCI_EXP_DEVCTL, &flr, 2);
	}
	return write32(OCTANS_REG_RESET, OCTANS_RESET_MAGIC);
}

static int step(void)
{
	uint16_t command = one_in(5) ? any() : 6;

	switch (below(17)) {
	case 0:
		return map_something();
	case 1:
		return unmap_something();
	case 2:
		return access_region(false);
	case 3:
		return access_region(true);
	case 4:
		return set_irqs();
	case 5:
		return noise();
	case 6:
		return one_in(4) ? reset() : start();
	case 7:
		return write_region(VU_REGION_CONFIG, 4, &command, 2);
	case 8:
		if (one_in(6))
			cut_off(below(FILES));
		return 0;
	case 9:
		return one_in(4) ? get_info() : write64(OCTANS_REG_INVALIDATE, any_size());
	case 10:
		return write32(one_in(4) ? 4 * below(0x300 / 4) : OCTANS_RING(below(9)) + 4 * below(20),
			       one_in(3) ? any() : below(4));
	case 11:
		return one_in(20) ? greet_again() : read_register();
	}
	return run_jobs();
}

static void inject(void)
{
	static const char *const lines[] = {
		"remove", "restore", "restore", "hang ring 0", "hang ring 0 off", "fault 1",
		"device-error 3",
		"slow 1 300", "slow 1 0", "late 0 200", "late 0 0", "corrupt-cq 0 status xor 7",
		"corrupt-event index xor 1", "lie RING0_HEAD 9", "lie off", "storm 2 5",
		"drop-doorbell 1 2", "slow-reset ring 0 3", "slow-reset device 3",
		"slow-reset device 0", "away 3", "away 0", "corrupt-wb 0 xor 77", "stat",
		"fail-reset ring 2",
		"fail-reset device", "flip local 0 0", "undefined",
	};
	char reply[4096];

	sim_control(vfio_user_device(server), lines[below(sizeof(lines) / sizeof(*lines))], reply,
		    sizeof(reply));
}

/* The control channel at any moment of what the client does. */
static void *meddle(void *arg)
{
	random_state = *(uint64_t *)arg;
	while (!atomic_load(&stop_meddling)) {
		inject();
		rig_nap(below(2000));
	}
	return NULL;
}

/* What the last client left must not be there. */
static void check_new(void)
{
	static const uint8_t zeros[4096];
	struct vu_region_io io = { .offset = below(LOCAL >> 12) * 4096, .region = OCTANS_BAR_LOCAL,
				   .count = 4096 };
	unsigned long before = unanswered;
	int ret = ask(VU_REGION_READ, &io, sizeof(io), NULL, 0);

	if (ret < 0 || unanswered != before)
		return;
	if (ret)
		finding("on-card memory cannot be read");
	if (memcmp(reply_body + sizeof(io), zeros, sizeof(zeros)))
		finding("on-card memory at 0x%llx is not new", (unsigned long long)io.offset);
}

/* Keeps this client's on-card memory beyond its time, full of a secret. */
static void keep(void)
{
	struct vu_region_info info = { .argsz = sizeof(info), .index = OCTANS_BAR_LOCAL };

	if (kept)
		munmap(kept, LOCAL);
	kept = NULL;
	if (ask(VU_GET_REGION_INFO, &info, sizeof(info), NULL, 0) || reply_fd < 0)
		return;
	if (!ftruncate(reply_fd, 0) || !ftruncate(reply_fd, 2 * LOCAL))
		finding("a client can change the size of on-card memory");
	kept = mmap(NULL, LOCAL, PROT_READ | PROT_WRITE, MAP_SHARED, reply_fd, 0);
	if (kept == MAP_FAILED)
		finding("on-card memory cannot be mapped: %s", strerror(errno));
	keepers++;
}

/* Nobody else has it: what the next clients do leaves no trace. */
static void check_kept(void)
{
	for (size_t i = 0; kept && i < LOCAL / 8; i += 1 + below(64))
		if (kept[i] != SECRET)
			finding("a client sees on-card memory of a later one, at 0x%zx", i * 8);
}

static void one_client(void)
{
	struct vu_header h = { .id = 1, .cmd = below(14), .size = sizeof(h) + below(3000) };
	uint64_t seed = any() | 1;
	bool meddled;
	pthread_t meddler;

	enter();
	if (!one_in(10)) {
		if (greet())
			finding("a greeting is refused");
		check_new();
		check_kept();
	}
	meddled = one_in(4);
	atomic_store(&stop_meddling, false);
	if (meddled && pthread_create(&meddler, NULL, meddle, &seed))
		finding("no threads left");
	make_tables();
	start();
	for (int i = below(400); i && step() >= 0 && random_more(); i--)
		if (one_in(300))
			inject();
	atomic_store(&stop_meddling, true);
	if (meddled)
		pthread_join(meddler, NULL);
	if (one_in(8))
		keep();
	if (one_in(3))
		send_message(&h, 1 + below(sizeof(h)), NULL, 0);
	leave();
	for (size_t i = 0; kept && i < LOCAL / 8; i++)
		kept[i] = SECRET;
}

int main(int argc, char **argv)
{
	struct sim_config config = { .local_size = LOCAL, .threads = 1 };
	char err[256], text[4096];

	random_begin(argc, argv);
	for (int i = 0; i < FILES; i++) {
		file[i].fd = -1;
		new_file(i);
	}
	stop_fd = eventfd(0, 0);
	if (vfio_user_new(&config, false, &server, err, sizeof(err)))
		finding("no server: %s", err);
	vfio_user_guard_sigbus(server);
	while (random_more())
		one_client();
	printf("seed %llu: %lu messages (%lu refused, %lu without a reply), %lu clients (%lu kept on-card "
	       "memory), %lu doorbells, slowest reply %.3f s\n", (unsigned long long)random_seed,
	       messages, refused, unanswered, clients, keepers, doorbells, slowest);
	sim_control(vfio_user_device(server), "restore", text, sizeof(text));
	sim_control(vfio_user_device(server), "stat", text, sizeof(text));
	printf("%s\n", text);
	vfio_user_free(server);
	forget_fd();
	if (kept)
		munmap(kept, LOCAL);
	for (int i = 0; i < FILES; i++) {
		munmap(file[i].at, MEM);
		close(file[i].fd);
	}
	close(stop_fd);
	return 0;
}
