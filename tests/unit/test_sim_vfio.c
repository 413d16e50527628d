// SPDX-License-Identifier: MIT
/* The vfio-user front door: a client that behaves, and clients that do not. */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "sim_rig.h"
#include "vfio_proto.h"
#include "vfio_user.h"

#define BODY	4096

struct client {
	struct vfio_user *server;
	pthread_t thread;
	int sock, stop;
	int served;		/* what vfio_user_serve() returned */
	int server_sock;
	uint16_t id;
	/* the newest reply */
	struct vu_header head;
	uint8_t body[BODY];
	int fd;
};

static void *serve(void *arg)
{
	struct client *c = arg;

	c->served = vfio_user_serve(c->server, c->server_sock, c->stop);
	return NULL;
}

static void connect_to(struct client *c, struct vfio_user *server)
{
	int pair[2];

	memset(c, 0, sizeof(*c));
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) {
		printf("Bail out! no socket\n");
		exit(1);
	}
	c->server = server;
	c->sock = pair[0];
	c->server_sock = pair[1];
	c->stop = eventfd(0, 0);
	c->fd = -1;
	pthread_create(&c->thread, NULL, serve, c);
}

/* Leaves; the server's verdict. */
static int hang_up(struct client *c)
{
	if (c->sock >= 0)
		close(c->sock);
	pthread_join(c->thread, NULL);
	close(c->stop);
	return c->served;
}

static void send_raw(struct client *c, const void *data, size_t len, const int *fds, int nfds)
{
	char control[CMSG_SPACE(64 * sizeof(int))] = { 0 };
	struct iovec iov = { (void *)data, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds) {
		struct cmsghdr *cm = (struct cmsghdr *)control;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(cm), fds, nfds * sizeof(int));
	}
	(void)!sendmsg(c->sock, &msg, MSG_NOSIGNAL);
}

static bool read_all(struct client *c, void *data, size_t len, bool first)
{
	while (len) {
		char control[CMSG_SPACE(sizeof(int))];
		struct iovec iov = { data, len };
		struct msghdr msg = {
			.msg_iov = &iov, .msg_iovlen = 1,
			.msg_control = control, .msg_controllen = sizeof(control),
		};
		struct pollfd p = { .fd = c->sock, .events = POLLIN };
		struct cmsghdr *cm;
		ssize_t n;

		if (poll(&p, 1, 5000) != 1)
			return false;
		n = recvmsg(c->sock, &msg, 0);
		if (n <= 0)
			return false;
		cm = first ? CMSG_FIRSTHDR(&msg) : NULL;
		if (cm)
			memcpy(&c->fd, CMSG_DATA(cm), sizeof(int));
		data = (char *)data + n;
		len -= n;
	}
	return true;
}

/* The error of the reply, 0, or -1 for no reply. */
static int reply(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	if (!read_all(c, &c->head, sizeof(c->head), true) || c->head.size < sizeof(c->head) ||
	    c->head.size - sizeof(c->head) > BODY)
		return -1;
	if (!read_all(c, c->body, c->head.size - sizeof(c->head), false))
		return -1;
	if (c->head.id != c->id || !(c->head.flags & VU_REPLY))
		return -1;
	return c->head.flags & VU_ERROR ? (int)c->head.error : 0;
}

static void ask(struct client *c, uint16_t cmd, const void *body, size_t len, const int *fds, int nfds)
{
	uint8_t msg[sizeof(struct vu_header) + BODY];
	struct vu_header h = { .id = ++c->id, .cmd = cmd, .size = sizeof(h) + len };

	memcpy(msg, &h, sizeof(h));
	if (body)
		memcpy(msg + sizeof(h), body, len);
	send_raw(c, msg, h.size, fds, nfds);
}

static int request(struct client *c, uint16_t cmd, const void *body, size_t len)
{
	ask(c, cmd, body, len, NULL, 0);
	return reply(c);
}

static int request_fds(struct client *c, uint16_t cmd, const void *body, size_t len, const int *fds,
		       int nfds)
{
	ask(c, cmd, body, len, fds, nfds);
	return reply(c);
}

static int greet(struct client *c)
{
	static const char hello[] = "\0\0\0\0{\"capabilities\":{\"max_msg_fds\":8}}";

	return request(c, VU_VERSION, hello, sizeof(hello));
}

static uint64_t region_read(struct client *c, uint32_t region, uint64_t off, uint32_t count)
{
	struct vu_region_io io = { off, region, count };
	uint64_t v = 0;

	if (request(c, VU_REGION_READ, &io, sizeof(io)))
		return 0xbad;
	memcpy(&v, c->body + sizeof(io), count < 8 ? count : 8);
	return v;
}

static int region_write(struct client *c, uint32_t region, uint64_t off, uint32_t count, uint64_t v)
{
	struct vu_region_io io = { off, region, count };
	uint8_t m[sizeof(io) + sizeof(v)];

	memcpy(m, &io, sizeof(io));
	memcpy(m + sizeof(io), &v, sizeof(v));
	return request(c, VU_REGION_WRITE, m, sizeof(io) + count);
}

static void test_version(struct vfio_user *server)
{
	struct vu_region_io io = { 0, 0, 4 };
	struct client c;

	connect_to(&c, server);
	ok(request(&c, VU_REGION_READ, &io, sizeof(io)) == EINVAL, "nothing before the greeting");
	ok(request(&c, VU_VERSION, "\0", 1) == EINVAL, "a greeting of one byte");
	ok(request(&c, VU_VERSION, "\1\0\0\0", 4) == ENOTSUP, "a major version that is not ours");
	ok(request(&c, VU_VERSION, "\0\0\0\0{", 5) == EINVAL, "capabilities that do not end");
	ok(!greet(&c) && c.body[4] == '{' && !c.body[c.head.size - 16 - 1], "the greeting: %s",
	   c.body + 4);
	ok(greet(&c) == EINVAL, "one greeting is enough");
	ok(!hang_up(&c), "a client leaves");
	connect_to(&c, server);
	ok(!request(&c, VU_VERSION, "\0\0\11\0", 4) && c.body[2] == 1, "0.9 asked for, 0.1 agreed");
	hang_up(&c);
}

static void test_info(struct vfio_user *server)
{
	struct vu_device_info dev = { .argsz = sizeof(dev) };
	struct vu_region_info reg = { .argsz = sizeof(reg) };
	struct vu_irq_info irq = { .argsz = sizeof(irq) };
	static const uint64_t size[VU_REGIONS] = {
		0x20000, 0, 16 << 20, 0, 0x1000, 0, 0, 0x1000, 0,
	};
	struct client c;
	int bad = 0;

	connect_to(&c, server);
	greet(&c);
	ok(!request(&c, VU_GET_INFO, &dev, sizeof(dev)), "device info");
	memcpy(&dev, c.body, sizeof(dev));
	ok(dev.flags == (VU_DEVICE_PCI | VU_DEVICE_RESET) && dev.regions == 9 && dev.irqs == 5,
	   "a PCI device that can be reset");
	for (uint32_t i = 0; i < VU_REGIONS; i++) {
		struct vu_region_info got;

		reg.index = i;
		if (request(&c, VU_GET_REGION_INFO, &reg, sizeof(reg)))
			bad++;
		memcpy(&got, c.body, sizeof(got));
		bad += got.size != size[i] || got.index != i ||
		       (got.flags & VU_REGION_F_MMAP) != (i == 2 ? VU_REGION_F_MMAP : 0) ||
		       (c.fd >= 0) != (i == 2);
		if (i == 2 && c.fd >= 0) {
			uint8_t *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, c.fd, 0);

			p[3] = 77;
			ok(vfio_user_device(server)->local[3] == 77, "on-card memory is mapped");
			munmap(p, 4096);
		}
	}
	ok(!bad, "9 regions");
	reg.index = 9;
	ok(request(&c, VU_GET_REGION_INFO, &reg, sizeof(reg)) == EINVAL &&
	   request(&c, VU_GET_REGION_INFO, &reg, 8) == EINVAL, "no region 9, no short question");
	irq.index = VU_IRQ_MSIX;
	ok(!request(&c, VU_GET_IRQ_INFO, &irq, sizeof(irq)) &&
	   ((struct vu_irq_info *)c.body)->count == 5, "5 MSI-X vectors");
	irq.index = 5;
	ok(request(&c, VU_GET_IRQ_INFO, &irq, sizeof(irq)) == EINVAL, "no interrupt index 5");
	ok(request(&c, VU_DMA_READ, &dev, sizeof(dev)) == ENOTSUP &&
	   request(&c, 99, NULL, 0) == ENOTSUP && request(&c, 0, NULL, 0) == ENOTSUP,
	   "unknown commands");
	hang_up(&c);
}

static void test_config(struct vfio_user *server)
{
	struct client c;

	connect_to(&c, server);
	greet(&c);
	ok(region_read(&c, 7, 0, 4) == 0x10f51af4, "vendor and device");
	ok(region_read(&c, 7, PCI_CLASS_REVISION, 4) == 0x12000001, "class: processing accelerator");
	region_write(&c, 7, PCI_BASE_ADDRESS_0, 8, UINT64_MAX);
	ok(region_read(&c, 7, PCI_BASE_ADDRESS_0, 8) == 0xfffffffffffe0004,
	   "BAR 0: 128 KiB, 64-bit");
	region_write(&c, 7, PCI_BASE_ADDRESS_2, 8, UINT64_MAX);
	ok(region_read(&c, 7, PCI_BASE_ADDRESS_2, 8) == 0xffffffffff00000c,
	   "BAR 2: 16 MiB, 64-bit, prefetchable");
	region_write(&c, 7, PCI_BASE_ADDRESS_4, 4, UINT32_MAX);
	ok(region_read(&c, 7, PCI_BASE_ADDRESS_4, 4) == 0xfffff000, "BAR 4: 4 KiB");
	ok(region_read(&c, 7, 0x100, 4) == 0x12010015 && region_read(&c, 7, 0x104, 4) == 0x100 &&
	   region_read(&c, 7, 0x108, 4) == 0x422, "resizable BAR 2, 16 MiB and nothing else");
	region_write(&c, 7, 0, 4, 0);
	ok(region_read(&c, 7, 0, 4) == 0x10f51af4, "identity cannot be written");
	ok(region_read(&c, 7, 4096, 4) == 0xbad && region_read(&c, 7, 4094, 4) == 0xbad &&
	   region_read(&c, 7, UINT64_MAX, 4) == 0xbad && region_read(&c, 1, 0, 4) == 0xbad &&
	   region_read(&c, 77, 0, 4) == 0xbad && region_read(&c, 0, 0, UINT32_MAX) == 0xbad,
	   "outside of everything");
	ok(region_write(&c, 0, 0x20000, 4, 0) == EINVAL, "a write outside");

	region_write(&c, 7, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	ok(__atomic_load_n(&vfio_user_device(server)->bus_master, __ATOMIC_SEQ_CST), "bus mastering on");
	region_write(&c, 0, OCTANS_REG_EVT_VECTOR, 4, 3);
	region_write(&c, 7, 0x58, 2, PCI_EXP_DEVCTL_BCR_FLR);
	ok(region_read(&c, 0, OCTANS_REG_EVT_VECTOR, 4) == 0 && region_read(&c, 7, PCI_COMMAND, 2) == 0 &&
	   !__atomic_load_n(&vfio_user_device(server)->bus_master, __ATOMIC_SEQ_CST), "function-level reset");
	ok(region_read(&c, 4, 12, 4) == 1, "MSI-X vectors start masked");
	region_write(&c, 4, 0, 8, 0x1122334455667788);
	region_write(&c, 4, OCTANS_MSIX_PBA, 8, UINT64_MAX);
	ok(region_read(&c, 4, 0, 8) == 0x1122334455667788 && !region_read(&c, 4, OCTANS_MSIX_PBA, 8),
	   "the table can be written, the pending bits cannot");
	ok(!request(&c, VU_RESET, NULL, 0) && region_read(&c, 4, 0, 8) == 0, "reset by message");

	ok(region_read(&c, 0, OCTANS_REG_ID, 4) == OCTANS_ID_MAGIC &&
	   region_read(&c, 0, OCTANS_REG_ID, 3) == 0xffffff &&
	   region_read(&c, 0, OCTANS_REG_ID, 64) == UINT64_MAX, "registers, and odd sizes of them");
	sim_remove(vfio_user_device(server));
	ok(region_read(&c, 7, 0, 4) == UINT32_MAX && region_read(&c, 0, 0, 4) == UINT32_MAX &&
	   region_read(&c, 2, 0, 8) == UINT64_MAX && region_read(&c, 4, 0, 4) == UINT32_MAX,
	   "removed: all-ones everywhere");
	region_write(&c, 7, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	sim_restore(vfio_user_device(server));
	ok(region_read(&c, 7, PCI_COMMAND, 2) == 0 && region_read(&c, 7, PCI_BASE_ADDRESS_0, 4) == 4,
	   "restored: configuration as after power-on");
	hang_up(&c);
}

static int memory(size_t size)
{
	int fd = memfd_create("guest", 0);

	if (fd < 0 || ftruncate(fd, size)) {
		printf("Bail out! no memory\n");
		exit(1);
	}
	return fd;
}

static void test_dma(struct vfio_user *server)
{
	struct vu_dma_map m = { .argsz = sizeof(m), .flags = 3, .addr = RIG_IOVA, .size = 1 << 20 };
	struct vu_dma_unmap u = { .argsz = sizeof(u), .addr = RIG_IOVA, .size = 1 << 20 };
	int mem = memory(2 << 20), small = memory(4096), pipes[2], two[2] = { mem, small };
	struct client c;

	connect_to(&c, server);
	greet(&c);
	ok(request(&c, VU_DMA_MAP, &m, 16) == EINVAL, "a short map");
	ok(!request_fds(&c, VU_DMA_MAP, &m, sizeof(m), &mem, 1), "memory is mapped");
	ok(request_fds(&c, VU_DMA_MAP, &m, sizeof(m), &mem, 1) == EEXIST, "not twice");
	m.addr += 0xff000;
	ok(request_fds(&c, VU_DMA_MAP, &m, sizeof(m), &mem, 1) == EEXIST, "nor overlapping");
	m.addr = 0x1000;
	ok(request_fds(&c, VU_DMA_MAP, &m, sizeof(m), &small, 1) == EINVAL, "a file that is too short");
	ok(request_fds(&c, VU_DMA_MAP, &m, sizeof(m), two, 2) == EINVAL, "two files");
	ok(!pipe(pipes) && request_fds(&c, VU_DMA_MAP, &m, sizeof(m), pipes, 1) == EINVAL, "a pipe");
	m.offset = UINT64_MAX - 4095;
	ok(request_fds(&c, VU_DMA_MAP, &m, sizeof(m), &mem, 1) == EINVAL, "an offset that wraps");
	m.offset = 0;
	m.size = 0;
	ok(request_fds(&c, VU_DMA_MAP, &m, sizeof(m), &mem, 1) == EINVAL, "no bytes");
	m.size = UINT64_MAX - 0xfff;
	m.addr = 0x2000;
	ok(request(&c, VU_DMA_MAP, &m, sizeof(m)) == EINVAL, "a range that wraps");
	m.addr = 0x1001;
	m.size = 4096;
	ok(request(&c, VU_DMA_MAP, &m, sizeof(m)) == EINVAL, "a crooked address");
	m.addr = 0x1000;
	m.flags = 0xff;
	ok(request(&c, VU_DMA_MAP, &m, sizeof(m)) == EINVAL, "unknown flags");
	m.flags = 1;
	ok(!request(&c, VU_DMA_MAP, &m, sizeof(m)), "memory that is not shared");
	ok(!sim_bus_ptr(&vfio_user_device(server)->core.dma, 0x1000, 8, false), "cannot be reached");

	u.size = 0x1000;
	ok(request(&c, VU_DMA_UNMAP, &u, sizeof(u)) == EINVAL, "part of a mapping");
	u.addr = 0x700000000;
	ok(request(&c, VU_DMA_UNMAP, &u, sizeof(u)) == ENOENT, "what is not there");
	u.addr = 0;
	u.size = 0x100000;
	ok(!request(&c, VU_DMA_UNMAP, &u, sizeof(u)), "unmapping by a larger range");
	u.flags = 1;
	ok(request(&c, VU_DMA_UNMAP, &u, sizeof(u)) == ENOTSUP, "dirty pages are not tracked");
	u.flags = VU_UNMAP_ALL;
	u.addr = u.size = 0;
	ok(!request(&c, VU_DMA_UNMAP, &u, sizeof(u)), "unmapping all");
	m = (struct vu_dma_map) { .argsz = sizeof(m), .flags = 3, .addr = RIG_IOVA, .size = 1 << 20 };
	ok(!request_fds(&c, VU_DMA_MAP, &m, sizeof(m), &mem, 1), "mapping again");
	hang_up(&c);
	close(mem);
	close(small);
	close(pipes[0]);
	close(pipes[1]);
}

/* A job from end to end over the socket, with memory that is then cut off. */
static void test_job(struct vfio_user *server)
{
	struct sim_device *dev = vfio_user_device(server);
	struct vu_dma_map m = { .argsz = sizeof(m), .flags = 3, .addr = RIG_IOVA, .size = RIG_SIZE };
	struct vu_irq_set set = { .argsz = sizeof(set), .flags = 0x24, .index = 2, .count = 5 };
	struct octans_cmd nop = cmd_nop();
	int mem = memory(RIG_SIZE), fds[5], pipes[2];
	struct rig rig = { .dev = dev, .tables = RIG_TABLES };
	uint64_t n = 0;
	struct client c;

	connect_to(&c, server);
	greet(&c);
	rig.mem = mmap(NULL, RIG_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, mem, 0);
	request_fds(&c, VU_DMA_MAP, &m, sizeof(m), &mem, 1);
	for (int i = 0; i < 5; i++)
		fds[i] = eventfd(0, EFD_NONBLOCK);
	ok(request_fds(&c, VU_SET_IRQS, &set, sizeof(set), fds, 4) == EINVAL, "4 files for 5 vectors");
	set.count = 6;
	ok(request(&c, VU_SET_IRQS, &set, sizeof(set)) == EINVAL, "6 vectors of 5");
	set.count = UINT32_MAX;
	set.start = 2;
	ok(request(&c, VU_SET_IRQS, &set, sizeof(set)) == EINVAL, "4 billion vectors");
	set.start = 0;
	set.count = 5;
	ok(!request_fds(&c, VU_SET_IRQS, &set, sizeof(set), fds, 5), "5 vectors on");
	set.flags = 0x21;
	ok(!request(&c, VU_SET_IRQS, &set, sizeof(set)) && read(fds[4], &n, 8) == 8 && n == 1,
	   "triggered by message");
	(void)!read(fds[1], &n, 8);
	set.flags = 0x0c;
	ok(request(&c, VU_SET_IRQS, &set, sizeof(set)) == EINVAL, "vectors cannot be masked here");

	region_write(&c, 7, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	rig_map(&rig, 1, 0x10000, RIG_DATA, 0x1000, 0);
	memcpy(rig.mem + RIG_DATA, &nop, sizeof(nop));
	rig_start(&rig);
	ok(rig_run(&rig, 0, 1, 1, 0x10000, 16) == OCTANS_JOB_OK, "a job from the client's memory");
	ok(rig_until(read(fds[1], &n, 8) == 8), "interrupts the client");

	/* A vector that cannot take more must not stop the ring, however the client wants it. */
	set = (struct vu_irq_set) { .argsz = sizeof(set), .flags = 0x24, .index = 2, .start = 1,
				    .count = 1 };
	ok(!pipe(pipes) && request_fds(&c, VU_SET_IRQS, &set, sizeof(set), &pipes[1], 1) == EINVAL,
	   "a pipe is no eventfd");
	ok(!request_fds(&c, VU_SET_IRQS, &set, sizeof(set), &fds[1], 1) &&
	   !fcntl(fds[1], F_SETFL, 0) && !eventfd_write(fds[1], UINT64_MAX - 1),
	   "a vector that is full, and made to block");
	ok(rig_run(&rig, 0, 2, 1, 0x10000, 16) == OCTANS_JOB_OK &&
	   rig_run(&rig, 0, 3, 1, 0x10000, 16) == OCTANS_JOB_OK, "stops nobody");
	ok(!request(&c, VU_SET_IRQS, &set, sizeof(set)), "vector off");

	vfio_user_guard_sigbus(server);
	munmap(rig.mem, RIG_SIZE);
	ok(!ftruncate(mem, 0), "the client cuts its memory off");
	region_write(&c, 0, OCTANS_DOORBELL(0), 4, 4);
	ok(rig_until(region_read(&c, 0, OCTANS_RING(0) + OCTANS_RING_STATUS, 4) & OCTANS_RING_HALTED),
	   "the ring halts, the server lives");
	ok(!hang_up(&c), "and sees the client off");
	for (int i = 0; i < 5; i++)
		close(fds[i]);
	close(pipes[0]);
	close(pipes[1]);
	close(mem);
}

static int memory_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	int n = 0, c;

	while (f && (c = getc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

/* The client's memory for the tests below: tables and rings, from which jobs run. */
static int begin_guest(struct client *c, struct vfio_user *server, struct rig *rig)
{
	struct vu_dma_map m = { .argsz = sizeof(m), .flags = 3, .addr = RIG_IOVA, .size = RIG_SIZE };
	int mem = memory(RIG_SIZE);

	*rig = (struct rig) { .dev = vfio_user_device(server), .tables = RIG_TABLES };
	connect_to(c, server);
	greet(c);
	rig->mem = mmap(NULL, RIG_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, mem, 0);
	request_fds(c, VU_DMA_MAP, &m, sizeof(m), &mem, 1);
	region_write(c, 7, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	rig_map(rig, 1, 0x10000, RIG_DATA, 0x10000, OCTANS_PTE_WRITE);
	rig_start(rig);
	return mem;
}

static void end_guest(struct client *c, struct rig *rig, int mem)
{
	hang_up(c);
	munmap(rig->mem, RIG_SIZE);
	close(mem);
}

/* A doorbell as QEMU rings it: posted, through the socket. */
static void post_bell(struct client *c, struct rig *rig, unsigned int r)
{
	struct vu_region_io io = { OCTANS_DOORBELL(r), 0, 4 };
	uint8_t msg[sizeof(struct vu_header) + sizeof(io) + 4];
	struct vu_header h = { .id = ++c->id, .cmd = VU_REGION_WRITE, .size = sizeof(msg),
			       .flags = VU_NO_REPLY };

	memcpy(msg, &h, sizeof(h));
	memcpy(msg + sizeof(h), &io, sizeof(io));
	memcpy(msg + sizeof(h) + sizeof(io), &rig->tail[r], 4);
	send_raw(c, msg, sizeof(msg), NULL, 0);
}

/* Short jobs are run by the thread that hears the doorbell; long ones do not keep it. */
static void test_turns(struct vfio_user *server)
{
	struct octans_cmd nop = cmd_nop();
	int mem, late = 0;
	struct client c;
	struct rig rig;

	mem = begin_guest(&c, server, &rig);
	memcpy(rig.mem + RIG_DATA, &nop, sizeof(nop));
	for (int i = 1; i <= 1000; i++) {
		rig_desc(&rig, i % 4, i, 1, 0x10000, 16);
		post_bell(&c, &rig, i % 4);
		region_read(&c, 0, OCTANS_REG_ID, 4);
		late += OCTANS_WB_SEQNO(rig_wb(&rig, i % 4)) != (unsigned int)i;
	}
	ok(late < 100, "a job ends before the message after its doorbell is answered (%d did not)",
	   late);
	for (int i = 0; i < 16; i++)
		rig_desc(&rig, 0, 1001 + i, 1, 0x10000, 16);
	post_bell(&c, &rig, 0);
	ok(rig_ended(&rig, 0, 1016) == OCTANS_JOB_OK, "a ring full of them");

	rig_control(&rig, "hang 0");
	rig_desc(&rig, 0, 2000, 1, 0x10000, 16);
	post_bell(&c, &rig, 0);
	ok(region_read(&c, 0, OCTANS_RING(0) + OCTANS_RING_SEQNO, 8) == 2000,
	   "a job that hangs does not keep the connection");
	rig_control(&rig, "hang 1");
	rig_desc(&rig, 1, 2001, 1, 0x10000, 16);
	post_bell(&c, &rig, 1);
	ok(rig_until(region_read(&c, 0, OCTANS_RING(1) + OCTANS_RING_SEQNO, 8) == 2001),
	   "nor does a second one");
	rig_desc(&rig, 2, 2002, 1, 0x10000, 16);
	post_bell(&c, &rig, 2);
	ok(rig_ended(&rig, 2, 2002) == OCTANS_JOB_OK, "a third ring is served");
	region_write(&c, 0, OCTANS_RING(0) + OCTANS_RING_CTRL, 4, OCTANS_RING_RESET);
	ok(rig_until(!region_read(&c, 0, OCTANS_RING(0) + OCTANS_RING_CTRL, 4)),
	   "and so is a ring reset");
	rig.tail[0] = 0;
	region_write(&c, 0, OCTANS_RING(0) + OCTANS_RING_CTRL, 4, OCTANS_RING_ENABLE);
	rig_desc(&rig, 0, 2003, 1, 0x10000, 16);
	post_bell(&c, &rig, 0);
	ok(rig_ended(&rig, 0, 2003) == OCTANS_JOB_OK, "after which the ring runs jobs");
	rig_control(&rig, "hang 0");
	rig_desc(&rig, 0, 2004, 1, 0x10000, 16);
	post_bell(&c, &rig, 0);
	ok(!hang_up(&c), "a client may leave while jobs hang, in either thread");
	munmap(rig.mem, RIG_SIZE);
	close(mem);
}

/* Memory that the client shares and then takes away, a page here and a page there. */
static void test_lost(struct vfio_user *server)
{
	struct vu_dma_map m = { .argsz = sizeof(m), .flags = 3, .addr = 0x1000000000, .size = 64 << 20 };
	struct octans_cmd_copy copies[256];
	int mem, lost = memory(64 << 20), before, huge;
	struct client c;
	struct rig rig;

	vfio_user_guard_sigbus(server);
	mem = begin_guest(&c, server, &rig);
	ok(!request_fds(&c, VU_DMA_MAP, &m, sizeof(m), &lost, 1), "64 MiB more are mapped");
	for (int i = 0; i < 32; i++)
		*rig_pte(&rig, 1, 0x40000000 + i * 0x200000ULL, 1) =
			(m.addr + i * 0x200000ULL) | OCTANS_PTE_VALID | OCTANS_PTE_WRITE |
			OCTANS_PTE_LARGE;
	for (int i = 0; i < 256; i++)
		copies[i] = cmd_copy(0x40000000 + i * 0x40000ULL, 0x18000, 16);
	memcpy(rig.mem + RIG_DATA, copies, sizeof(copies));
	ok(rig_run(&rig, 0, 1, 1, 0x10000, sizeof(copies)) == OCTANS_JOB_OK, "and written to");
	before = memory_maps();
	ok(!ftruncate(lost, 0) && rig_run(&rig, 0, 2, 1, 0x10000, sizeof(copies)) == OCTANS_JOB_BUS,
	   "cut off, a job that writes there ends with BUS");
	ok(memory_maps() <= before + 2, "%d mappings before, %d after", before, memory_maps());
	ok(!ftruncate(lost, 64 << 20) && rig_reset_ring(&rig, 0) &&
	   rig_run(&rig, 0, 3, 1, 0x10000, sizeof(copies)) == OCTANS_JOB_BUS, "and for good");

	huge = memfd_create("huge", MFD_HUGETLB);
	m.addr = 0x2000000000;
	m.size = 4096;
	if (huge >= 0 && !ftruncate(huge, 4 << 20)) {
		struct vu_dma_unmap u = { .argsz = sizeof(u), .addr = m.addr, .size = 4096 };
		int bad = 0;

		before = memory_maps();
		for (int i = 0; i < 20; i++) {
			m.offset = i * 0x1000;
			bad += request_fds(&c, VU_DMA_MAP, &m, sizeof(m), &huge, 1) != 0;
			bad += request(&c, VU_DMA_UNMAP, &u, sizeof(u)) != 0;
		}
		ok(!bad && memory_maps() == before, "parts of huge pages come and go");
		m.offset = 0;
		m.size = 2 << 20;
		request_fds(&c, VU_DMA_MAP, &m, sizeof(m), &huge, 1);
		*rig_pte(&rig, 1, 0x80000000, 1) = m.addr | OCTANS_PTE_VALID | OCTANS_PTE_WRITE |
						   OCTANS_PTE_LARGE;
		copies[0] = cmd_copy(0x80000000, 0x18000, 16);
		memcpy(rig.mem + RIG_DATA, copies, sizeof(copies[0]));
		rig_run(&rig, 1, 1, 1, 0x10000, sizeof(copies[0]));
		ok(region_read(&c, 0, OCTANS_REG_ID, 4) == OCTANS_ID_MAGIC,
		   "huge pages that may not be there");
	}
	close(huge);
	close(lost);
	end_guest(&c, &rig, mem);
}

/* What one client leaves, or keeps, is nothing to the next. */
static void test_next_client(struct vfio_user *server)
{
	struct vu_region_info reg = { .argsz = sizeof(reg), .index = OCTANS_BAR_LOCAL };
	struct client c;
	uint64_t *spy;
	int fd, seals;

	connect_to(&c, server);
	greet(&c);
	request(&c, VU_GET_REGION_INFO, &reg, sizeof(reg));
	fd = dup(c.fd);
	seals = fcntl(fd, F_GET_SEALS);
	ok(seals == (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) && ftruncate(fd, 0) < 0,
	   "on-card memory cannot be cut off");
	spy = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	spy[0] = 0x5ec2e7;
	ok(region_read(&c, 2, 0, 8) == 0x5ec2e7, "it is what the client mapped");
	region_write(&c, 0, OCTANS_REG_EVT_VECTOR, 4, 3);
	hang_up(&c);

	connect_to(&c, server);
	greet(&c);
	ok(!region_read(&c, 2, 0, 8) && !region_read(&c, 0, OCTANS_REG_EVT_VECTOR, 4) &&
	   !region_read(&c, 7, PCI_COMMAND, 2), "the next client finds nothing of it");
	region_write(&c, 2, 0, 8, 0x0123456789abcdef);
	ok(spy[0] == 0x5ec2e7, "nor does the last one see the next");
	spy[0] = 1;
	ok(region_read(&c, 2, 0, 8) == 0x0123456789abcdef, "or change anything");
	hang_up(&c);

	/* Who never greeted was no client: the memory stays what it is. */
	fd = vfio_user_device(server)->local_fd;
	connect_to(&c, server);
	ok(hang_up(&c) == -ENOTCONN && vfio_user_device(server)->local_fd == fd,
	   "a connection without a greeting is no client");
	munmap(spy, 1 << 20);
}

/* A machine's reset leaves on-card memory, unless it has cost the card its power. */
static void test_power(struct vfio_user *server)
{
	struct { uint64_t before, kept, lost; } seen;
	char reply[256];
	struct client c;

	connect_to(&c, server);
	greet(&c);
	region_write(&c, 0, OCTANS_REG_INVALIDATE, 8, OCTANS_INVALIDATE_ALL |
		     OCTANS_INVALIDATE_TICKET(7));
	region_write(&c, 2, 0, 8, 0x0123456789abcdef);
	seen.before = region_read(&c, 0, OCTANS_REG_INVALIDATED, 4);
	request(&c, VU_RESET, NULL, 0);
	seen.kept = region_read(&c, 0, OCTANS_REG_INVALIDATED, 4);
	ok(seen.before == 7 && seen.kept == 7 && region_read(&c, 2, 0, 8) == 0x0123456789abcdef,
	   "a reset by message keeps on-card memory and INVALIDATED");
	sim_control(vfio_user_device(server), "lose-power", reply, sizeof(reply));
	region_write(&c, 7, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	request(&c, VU_RESET, NULL, 0);
	seen.lost = region_read(&c, 0, OCTANS_REG_INVALIDATED, 4);
	ok(!seen.lost && region_read(&c, 2, 0, 8) == UINT64_MAX &&
	   !region_read(&c, 7, PCI_COMMAND, 2) &&
	   region_read(&c, 0, OCTANS_REG_STATUS, 4) == OCTANS_STATUS_READY,
	   "one that costs it its power loses both, and the function is as new");
	region_write(&c, 2, 0, 8, 3);
	request(&c, VU_RESET, NULL, 0);
	ok(region_read(&c, 2, 0, 8) == 3, "the one after that does not");
	hang_up(&c);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static void test_silent(struct vfio_user *server)
{
	double start = seconds();
	struct client c;

	connect_to(&c, server);
	send_raw(&c, "\1", 1, NULL, 0);
	ok(reply(&c) == -1, "one byte and silence");
	ok(hang_up(&c) == -ETIMEDOUT && seconds() - start < 60, "is over after %.1f s",
	   seconds() - start);
}

/* Memory that the processor would have to wait for, or may not read. */
static void test_refused(struct vfio_user *server)
{
	struct vu_dma_map m = { .argsz = sizeof(m), .flags = 3, .addr = RIG_IOVA, .size = 4096 };
	int file = open("/proc/self/status", O_RDWR), mem = memory(1 << 20);
	struct client c;

	if (file < 0)
		file = open("/proc/self/status", O_RDONLY);
	connect_to(&c, server);
	greet(&c);
	ok(request_fds(&c, VU_DMA_MAP, &m, sizeof(m), &file, 1) == EINVAL,
	   "a file that is not in memory");
	m.flags = VU_MAP_WRITE;
	ok(request_fds(&c, VU_DMA_MAP, &m, sizeof(m), &mem, 1) == EINVAL,
	   "memory that may not be read");
	m.flags = 0;
	ok(request_fds(&c, VU_DMA_MAP, &m, sizeof(m), &mem, 1) == EINVAL, "nor written");
	m.flags = VU_MAP_READ;
	ok(!request_fds(&c, VU_DMA_MAP, &m, sizeof(m), &mem, 1) &&
	   !sim_bus_ptr(&vfio_user_device(server)->core.dma, RIG_IOVA, 8, true),
	   "memory that may be read is not written");
	hang_up(&c);
	close(file);
	close(mem);
}

static int open_fds(void)
{
	int n = 0;

	for (int i = 0; i < 256; i++)
		n += fcntl(i, F_GETFD) >= 0;
	return n;
}

static void test_hostile(struct vfio_user *server)
{
	struct vu_header h = { .id = 1, .cmd = VU_VERSION, .size = 16 };
	uint8_t noise[2048];
	struct client c;
	int fds[40], before = open_fds();
	unsigned int seed = 1;

	connect_to(&c, server);
	h.size = 15;
	send_raw(&c, &h, sizeof(h), NULL, 0);
	ok(reply(&c) == -1 && hang_up(&c) == -EPROTO, "a message shorter than its header");
	connect_to(&c, server);
	h.size = UINT32_MAX;
	send_raw(&c, &h, sizeof(h), NULL, 0);
	ok(reply(&c) == -1 && hang_up(&c) == -EPROTO, "a message of 4 GiB");
	connect_to(&c, server);
	h.size = 16;
	h.flags = VU_REPLY;
	send_raw(&c, &h, sizeof(h), NULL, 0);
	ok(reply(&c) == -1 && hang_up(&c) == -EPROTO, "a reply to nothing");
	connect_to(&c, server);
	send_raw(&c, &h, 7, NULL, 0);
	ok(hang_up(&c) == -ENOTCONN, "half a header, then gone");
	connect_to(&c, server);
	h = (struct vu_header) { .id = 1, .cmd = VU_VERSION, .size = 500 };
	send_raw(&c, &h, sizeof(h), NULL, 0);
	send_raw(&c, noise, 100, NULL, 0);
	ok(hang_up(&c) == -ENOTCONN, "half a body, then gone");

	connect_to(&c, server);
	for (int i = 0; i < 40; i++)
		fds[i] = eventfd(0, 0);
	h = (struct vu_header) { .id = 1, .cmd = VU_VERSION, .size = 16 };
	send_raw(&c, &h, sizeof(h), fds, 40);
	ok(reply(&c) == -1 && hang_up(&c) == -EPROTO, "40 files at once");
	connect_to(&c, server);
	greet(&c);
	for (int i = 0; i < 20; i++)
		request_fds(&c, VU_RESET, NULL, 0, fds, 2);
	ok(!request(&c, VU_RESET, NULL, 0), "files that nobody asked for");
	hang_up(&c);
	for (int i = 0; i < 40; i++)
		close(fds[i]);
	ok(open_fds() == before, "are closed: %d open before, %d after", before, open_fds());

	/* Every command with bodies of every length and random content. */
	connect_to(&c, server);
	greet(&c);
	for (int i = 0; i < 20000; i++) {
		size_t len = rand_r(&seed) % 64;

		for (size_t j = 0; j < len; j++)
			noise[j] = rand_r(&seed) % 3 ? rand_r(&seed) % 5 : rand_r(&seed);
		/* DMA_MAP of real memory is tested above; here none is given. */
		if (request(&c, rand_r(&seed) % 18, noise, len) < 0)
			break;
	}
	ok(!request(&c, VU_RESET, NULL, 0), "20000 random messages");
	h = (struct vu_header) { .id = 9, .cmd = VU_RESET, .size = 16, .flags = VU_NO_REPLY };
	send_raw(&c, &h, sizeof(h), NULL, 0);
	ok(!request(&c, VU_RESET, NULL, 0), "a message that wants no reply gets none");
	hang_up(&c);

	/* Not a byte of it makes sense. */
	for (int i = 0; i < 200; i++) {
		connect_to(&c, server);
		for (size_t j = 0; j < sizeof(noise); j++)
			noise[j] = rand_r(&seed);
		send_raw(&c, noise, rand_r(&seed) % sizeof(noise), NULL, 0);
		hang_up(&c);
	}
	connect_to(&c, server);
	ok(!greet(&c) && region_read(&c, 0, 0, 4) == OCTANS_ID_MAGIC, "200 noisy clients later");
	eventfd_write(c.stop, 1);
	pthread_join(c.thread, NULL);
	ok(!c.served, "a server told to stop stops");
	close(c.sock);
	close(c.stop);
}

/* One vector for everything, and a window too small for the registers. */
static void test_odd(void)
{
	struct sim_config config = {
		.local_size = 16 << 20, .threads = 1, .vectors = 1, .regs_size = 0x4000,
	};
	struct vu_irq_info irq = { .argsz = sizeof(irq), .index = VU_IRQ_MSIX };
	struct vfio_user *server;
	struct client c;
	char err[256];

	if (vfio_user_new(&config, false, &server, err, sizeof(err))) {
		printf("Bail out! %s\n", err);
		exit(1);
	}
	connect_to(&c, server);
	greet(&c);
	region_write(&c, 7, PCI_BASE_ADDRESS_0, 8, UINT64_MAX);
	ok(region_read(&c, 7, PCI_BASE_ADDRESS_0, 8) == 0xffffffffffffc004, "BAR 0: 16 KiB");
	ok(region_read(&c, 0, OCTANS_REG_ID, 4) == OCTANS_ID_MAGIC &&
	   region_read(&c, 0, 0x4000, 4) == 0xbad, "and no more");
	ok(!request(&c, VU_GET_IRQ_INFO, &irq, sizeof(irq)) &&
	   ((struct vu_irq_info *)c.body)->count == 1 &&
	   !(region_read(&c, 7, 0xa0 + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE), "one MSI-X vector");
	hang_up(&c);
	vfio_user_free(server);
}

int main(void)
{
	struct sim_config config = { .local_size = 16 << 20, .threads = 1 };
	struct vfio_user *server;
	char err[256];

	if (vfio_user_new(&config, false, &server, err, sizeof(err))) {
		printf("Bail out! %s\n", err);
		return 1;
	}
	test_version(server);
	test_info(server);
	test_config(server);
	test_dma(server);
	test_job(server);
	test_turns(server);
	test_lost(server);
	test_next_client(server);
	test_power(server);
	test_silent(server);
	test_refused(server);
	test_hostile(server);
	vfio_user_free(server);
	test_odd();
	return done();
}
