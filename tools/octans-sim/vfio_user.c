// SPDX-License-Identifier: MIT
/*
 * The vfio-user server: what a client asks for.  Whatever it is, he gets a reply or is dropped.
 *
 * Two threads take turns at the connection.  The one whose turn it is runs the jobs that a doorbell
 * starts by itself, because to wake another one costs more than most jobs do; if they take longer
 * than SIM_LEND_NS the other one goes on with the connection.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pci.h"
#include "vfio_conn.h"
#include "vfio_irq.h"
#include "vfio_memory.h"
#include "vfio_user.h"

#define MAX_WARNINGS	8	/* to one client */

struct vfio_user {
	struct sim_device *dev;
	struct sim_pci pci;
	struct vfio_irqs irqs;
	struct vfio_memory memory;
	bool log;
	bool used;		/* by a client, and no power cycle since */

	pthread_mutex_t lock;	/* of the four: */
	pthread_cond_t free_turn;
	bool taken;		/* a thread has its turn at the connection */
	int idle;		/* threads that wait for it */
	int over;		/* what vfio_user_serve() will return; 1 = the connection lives */

	/* whoever has the turn: */
	struct vfio_conn conn;
	unsigned int warnings;
	bool may_work;		/* there is somebody to take the turn over */
	uint32_t todo;		/* for sim_work() */
};

__attribute__((format(printf, 2, 3)))
static void note(const struct vfio_user *s, const char *fmt, ...)
{
	va_list ap;

	if (!s->log)
		return;
	va_start(ap, fmt);
	fputs("octans-vfio-user: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
}

/* What the owner of the machine should know, log or not. */
__attribute__((format(printf, 2, 3)))
static void warn(struct vfio_user *s, const char *fmt, ...)
{
	va_list ap;

	if (s->warnings++ >= MAX_WARNINGS)
		return;
	va_start(ap, fmt);
	fputs("octans-vfio-user: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
}

static void irq(void *ctx, unsigned int vector)
{
	struct vfio_user *s = ctx;

	vfio_irqs_send(&s->irqs, vector);
}

/* ---- commands: each leaves the reply's body in s->conn.body, its length in *out ---- */

/* A machine that starts finds the device plugged in and as new, whatever the last one did; QEMU
 * never comes to an end on a configuration space of all-ones. */
static int welcome(struct vfio_user *s)
{
	int ret = s->used ? sim_device_power_cycle(s->dev) : 0;

	if (ret) {
		warn(s, "no memory for the on-card memory of the next client: %s", strerror(-ret));
		return ret;
	}
	sim_restore(s->dev);
	s->used = true;
	s->conn.greeted = true;
	return 0;
}

static int do_version(struct vfio_user *s, size_t *out)
{
	struct vu_version v;
	static const char caps[] =
		"{\"capabilities\":{\"max_msg_fds\":16,\"max_data_xfer_size\":1048576,"
		"\"max_dma_maps\":4096,\"pgsizes\":4096}}";

	if (s->conn.len < sizeof(v))
		return -EINVAL;
	memcpy(&v, s->conn.body, sizeof(v));
	if (v.major != 0)
		return -ENOTSUP;
	if (s->conn.len > sizeof(v) && s->conn.body[s->conn.len - 1])
		return -EINVAL;		/* the capabilities are a string */
	note(s, "client speaks 0.%u %s", v.minor,
	     s->conn.len > sizeof(v) ? (char *)s->conn.body + 4 : "");
	if (v.minor > 1)
		v.minor = 1;
	memcpy(s->conn.body, &v, sizeof(v));
	memcpy(s->conn.body + sizeof(v), caps, sizeof(caps));
	*out = sizeof(v) + sizeof(caps);
	return welcome(s);
}

static int do_dma_map(struct vfio_user *s, size_t *out)
{
	const char *why = NULL;
	struct vu_dma_map m;
	int ret = -EINVAL;

	(void)out;
	if (s->conn.len < sizeof(m) || s->conn.nfds > 1)
		return -EINVAL;
	memcpy(&m, s->conn.body, sizeof(m));
	if (m.flags & ~(VU_MAP_READ | VU_MAP_WRITE))
		return -EINVAL;
	if (m.flags & VU_MAP_READ)
		ret = vfio_memory_map(&s->memory, m.addr, m.size,
				      s->conn.nfds ? s->conn.fds[0] : -1, m.offset,
				      m.flags & VU_MAP_WRITE, &why);
	else
		why = "it may not be read; the processor has no use for such memory";
	if (why)
		warn(s, "memory at bus address 0x%llx is refused: %s", (unsigned long long)m.addr,
		     why);
	if (ret)
		return ret;
	note(s, "dma map 0x%llx + 0x%llx%s", (unsigned long long)m.addr, (unsigned long long)m.size,
	     s->conn.nfds ? "" : ": not shared, the processor cannot reach it");
	return 0;
}

static int do_dma_unmap(struct vfio_user *s, size_t *out)
{
	struct vu_dma_unmap u;
	int ret;

	if (s->conn.len < sizeof(u))
		return -EINVAL;
	memcpy(&u, s->conn.body, sizeof(u));
	if (u.flags & ~VU_UNMAP_ALL)
		return -ENOTSUP;	/* dirty bitmaps and the like */
	if (u.flags & VU_UNMAP_ALL) {
		vfio_memory_unmap(&s->memory, 0, UINT64_MAX);
	} else {
		if (!u.size || u.addr + (u.size - 1) < u.addr)
			return -EINVAL;
		ret = vfio_memory_unmap(&s->memory, u.addr, u.addr + (u.size - 1));
		if (ret)
			return ret;
	}
	note(s, "dma unmap 0x%llx + 0x%llx", (unsigned long long)u.addr,
	     (unsigned long long)u.size);
	*out = sizeof(u);
	return 0;
}

static int do_get_info(struct vfio_user *s, size_t *out)
{
	struct vu_device_info info;

	if (s->conn.len < sizeof(info))
		return -EINVAL;
	info.argsz = sizeof(info);
	info.flags = VU_DEVICE_RESET | VU_DEVICE_PCI;
	info.regions = VU_REGIONS;
	info.irqs = VU_IRQS;
	memcpy(s->conn.body, &info, sizeof(info));
	*out = sizeof(info);
	return 0;
}

static uint64_t region_size(const struct vfio_user *s, uint32_t index)
{
	switch (index) {
	case OCTANS_BAR_REGS:
		return s->dev->regs_size;
	case OCTANS_BAR_LOCAL:
		return s->dev->bar_size;
	case OCTANS_BAR_MSIX:
		return OCTANS_BAR_MSIX_SIZE;
	case VU_REGION_CONFIG:
		return SIM_PCI_CONFIG_SIZE;
	}
	return 0;
}

static int do_get_region_info(struct vfio_user *s, size_t *out)
{
	struct vu_region_info info;

	if (s->conn.len < sizeof(info))
		return -EINVAL;
	memcpy(&info, s->conn.body, sizeof(info));
	if (info.argsz < sizeof(info) || info.index >= VU_REGIONS)
		return -EINVAL;
	info.argsz = sizeof(info);
	info.cap_offset = 0;
	info.offset = 0;
	info.size = region_size(s, info.index);
	info.flags = info.size ? VU_REGION_F_READ | VU_REGION_F_WRITE : 0;
	if (info.index == OCTANS_BAR_LOCAL) {
		info.flags |= VU_REGION_F_MMAP;
		s->conn.reply_fd = s->dev->local_fd;
	}
	memcpy(s->conn.body, &info, sizeof(info));
	*out = sizeof(info);
	return 0;
}

static int do_get_irq_info(struct vfio_user *s, size_t *out)
{
	struct vu_irq_info info;

	if (s->conn.len < sizeof(info))
		return -EINVAL;
	memcpy(&info, s->conn.body, sizeof(info));
	if (info.argsz < sizeof(info) || info.index >= VU_IRQS)
		return -EINVAL;
	info.argsz = sizeof(info);
	info.flags = 0;
	info.count = 0;
	if (info.index == VU_IRQ_MSIX) {
		info.flags = VU_IRQ_F_EVENTFD | VU_IRQ_F_NORESIZE;
		info.count = s->dev->core.irq.vectors;
	} else if (info.index == VU_IRQ_ERR) {
		/* Never signalled; without it QEMU warns that it cannot recover from errors. */
		info.flags = VU_IRQ_F_EVENTFD;
		info.count = 1;
	}
	memcpy(s->conn.body, &info, sizeof(info));
	*out = sizeof(info);
	return 0;
}

static int do_set_irqs(struct vfio_user *s, size_t *out)
{
	uint32_t vectors = s->dev->core.irq.vectors, data;
	struct vu_irq_set set;

	(void)out;
	if (s->conn.len < sizeof(set))
		return -EINVAL;
	memcpy(&set, s->conn.body, sizeof(set));
	data = set.flags & VU_IRQ_DATA;
	if (set.index >= VU_IRQS)
		return -EINVAL;
	if (set.index == VU_IRQ_ERR)
		return set.start || set.count > 1 ? -EINVAL : 0;
	if (set.index != VU_IRQ_MSIX)	/* there are none to speak of */
		return set.count || s->conn.nfds ? -EINVAL : 0;
	if ((set.flags & VU_IRQ_ACTION) != VU_IRQ_ACTION_TRIGGER ||
	    set.start > vectors || set.count > vectors - set.start)
		return -EINVAL;
	if (data == VU_IRQ_DATA_EVENTFD) {
		if (s->conn.nfds && s->conn.nfds != set.count)
			return -EINVAL;
		for (uint32_t i = 0; i < set.count; i++) {
			int fd = s->conn.nfds ? vfio_conn_take_fd(&s->conn) : -1;

			if (vfio_irqs_set(&s->irqs, set.start + i, fd)) {
				warn(s, "vector %u is refused: its file is no eventfd",
				     set.start + i);
				return -EINVAL;
			}
			note(s, "vector %u %s", set.start + i, fd >= 0 ? "on" : "off");
		}
		return 0;
	}
	if (data == VU_IRQ_DATA_NONE) {
		if (!set.count)
			vfio_irqs_off(&s->irqs);
		for (uint32_t i = 0; i < set.count; i++)
			irq(s, set.start + i);
		return 0;
	}
	if (data == VU_IRQ_DATA_BOOL) {
		if (s->conn.len < sizeof(set) + set.count)
			return -EINVAL;
		for (uint32_t i = 0; i < set.count; i++)
			if (s->conn.body[sizeof(set) + i])
				irq(s, set.start + i);
		return 0;
	}
	return -EINVAL;
}

static int region_args(const struct vfio_user *s, struct vu_region_io *io)
{
	uint64_t size;

	if (s->conn.len < sizeof(*io))
		return -EINVAL;
	memcpy(io, s->conn.body, sizeof(*io));
	size = region_size(s, io->region);
	if (!size || io->count > VFIO_CONN_XFER || io->offset > size ||
	    io->count > size - io->offset)
		return -EINVAL;
	return 0;
}

static int do_region_read(struct vfio_user *s, size_t *out)
{
	uint8_t *data = s->conn.body + sizeof(struct vu_region_io);
	struct vu_region_io io;
	uint64_t v;
	int ret = region_args(s, &io);

	if (ret)
		return ret;
	switch (io.region) {
	case OCTANS_BAR_REGS:
		v = sim_reg_read(s->dev, io.offset, io.count);
		memset(data, 0xff, io.count);
		memcpy(data, &v, io.count < sizeof(v) ? io.count : sizeof(v));
		break;
	case OCTANS_BAR_LOCAL:
		if (atomic_load(&s->dev->removed))
			memset(data, 0xff, io.count);
		else
			memcpy(data, s->dev->local + io.offset, io.count);
		break;
	case OCTANS_BAR_MSIX:
		sim_pci_msix_read(&s->pci, io.offset, data, io.count);
		break;
	default:
		sim_pci_read(&s->pci, io.offset, data, io.count);
		break;
	}
	*out = sizeof(io) + io.count;
	return 0;
}

static int do_region_write(struct vfio_user *s, size_t *out)
{
	const uint8_t *data = s->conn.body + sizeof(struct vu_region_io);
	struct vu_region_io io;
	uint64_t v = 0;
	int ret = region_args(s, &io);

	if (ret)
		return ret;
	if (s->conn.len - sizeof(io) < io.count)
		return -EINVAL;
	switch (io.region) {
	case OCTANS_BAR_REGS:
		memcpy(&v, data, io.count < sizeof(v) ? io.count : sizeof(v));
		if (s->may_work)
			s->todo = sim_reg_write_lent(s->dev, io.offset, io.count, v);
		else
			sim_reg_write(s->dev, io.offset, io.count, v);
		break;
	case OCTANS_BAR_LOCAL:
		if (!atomic_load(&s->dev->removed))
			memcpy(s->dev->local + io.offset, data, io.count);
		break;
	case OCTANS_BAR_MSIX:
		sim_pci_msix_write(&s->pci, io.offset, data, io.count);
		break;
	default:
		sim_pci_write(&s->pci, io.offset, data, io.count);
		break;
	}
	*out = sizeof(io);
	return 0;
}

static int run_command(struct vfio_user *s, size_t *out)
{
	if (s->conn.head.cmd != VU_VERSION && !s->conn.greeted)
		return -EINVAL;
	switch (s->conn.head.cmd) {
	case VU_VERSION:
		return s->conn.greeted ? -EINVAL : do_version(s, out);
	case VU_DMA_MAP:
		return do_dma_map(s, out);
	case VU_DMA_UNMAP:
		return do_dma_unmap(s, out);
	case VU_GET_INFO:
		return do_get_info(s, out);
	case VU_GET_REGION_INFO:
		return do_get_region_info(s, out);
	case VU_GET_IRQ_INFO:
		return do_get_irq_info(s, out);
	case VU_SET_IRQS:
		return do_set_irqs(s, out);
	case VU_REGION_READ:
		return do_region_read(s, out);
	case VU_REGION_WRITE:
		return do_region_write(s, out);
	case VU_RESET:
		note(s, "reset by the client");
		sim_pci_reset(&s->pci);
		return 0;
	}
	return -ENOTSUP;
}

/* One message and its reply.  1 = go on, 0 = over, -EPROTO, -ETIMEDOUT. */
static int serve_one(struct vfio_user *s)
{
	struct vfio_conn *c = &s->conn;
	size_t out = 0;
	int ret;

	ret = vfio_conn_receive(c);
	if (ret == -EPROTO)
		note(s, "message refused: command %u, %u bytes, flags %x", c->head.cmd,
		     c->head.size, c->head.flags);
	if (ret != 1)
		return ret;
	ret = run_command(s, &out);
	vfio_conn_close_fds(c);
	if (ret)
		note(s, "command %u refused: %s", c->head.cmd, strerror(-ret));
	return vfio_conn_reply(c, -ret, out);
}

/* Nothing runs on behalf of one who left, and nothing of him is left. */
static void clean_up(struct vfio_user *s)
{
	vfio_irqs_off(&s->irqs);
	sim_set_bus_master(s->dev, false);
	vfio_memory_unmap(&s->memory, 0, UINT64_MAX);
	/* If there is no memory now, there may be when somebody needs it. */
	s->used = sim_device_power_cycle(s->dev) != 0;
}

/* The connection is over with @ret.  The other thread may run a job: this ends that, too. */
static int end_connection(struct vfio_user *s, int ret)
{
	vfio_conn_end(&s->conn);
	if (s->conn.greeted)
		clean_up(s);
	else if (!ret)
		ret = -ENOTCONN;
	note(s, "client gone%s", ret == -EPROTO ? ": it broke the protocol" :
	     ret == -ETIMEDOUT ? ": it fell silent in the middle" : "");
	return ret;
}

/* ---- turns ---- */

/* A job takes long: this thread runs it to its end, the other one takes its turn. */
static void give_up_turn(void *ctx)
{
	struct vfio_user *s = ctx;

	pthread_mutex_lock(&s->lock);
	s->taken = false;
	pthread_cond_signal(&s->free_turn);
	pthread_mutex_unlock(&s->lock);
}

/* Does somebody wait for this thread to take messages? */
static bool has_message(void *ctx)
{
	struct vfio_user *s = ctx;

	return vfio_conn_pending(&s->conn);
}

/* False: the turn went to the other thread meanwhile. */
static bool work(struct vfio_user *s)
{
	struct sim_loan loan = {
		.until_ns = sim_monotonic_ns() + SIM_LEND_NS,
		.wanted = has_message, .overdue = give_up_turn, .ctx = s,
	};
	uint32_t todo = s->todo;

	s->todo = 0;
	sim_work(s->dev, todo, &loan);
	return !loan.called;
}

/* Takes messages until the turn is lost, or over. */
static void take_turn(struct vfio_user *s)
{
	int ret;

	do {
		pthread_mutex_lock(&s->lock);
		s->may_work = s->idle;
		pthread_mutex_unlock(&s->lock);
		ret = serve_one(s);
		if (ret != 1) {
			ret = end_connection(s, ret);
			pthread_mutex_lock(&s->lock);
			s->over = ret;
			s->taken = false;
			pthread_cond_broadcast(&s->free_turn);
			pthread_mutex_unlock(&s->lock);
			return;
		}
	} while (!s->todo || work(s));
}

static void *take_turns(void *arg)
{
	struct vfio_user *s = arg;

	pthread_mutex_lock(&s->lock);
	while (s->over == 1) {
		if (s->taken) {
			s->idle++;
			pthread_cond_wait(&s->free_turn, &s->lock);
			s->idle--;
			continue;
		}
		s->taken = true;
		pthread_mutex_unlock(&s->lock);
		take_turn(s);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

int vfio_user_serve(struct vfio_user *s, int conn, int stop_fd)
{
	pthread_t other;
	bool two;

	vfio_conn_begin(&s->conn, conn, stop_fd);
	s->warnings = 0;
	s->todo = 0;
	s->over = 1;
	note(s, "client connected");
	/* One alone leaves all jobs to the threads of the rings. */
	two = !pthread_create(&other, NULL, take_turns, s);
	take_turns(s);
	if (two)
		pthread_join(other, NULL);
	return s->over;
}

/* ---- making and ending ---- */

int vfio_user_new(const struct sim_config *config, bool log, struct vfio_user **out, char *err,
		  size_t errlen)
{
	struct vfio_user *s = calloc(1, sizeof(*s));
	struct sim_bus bus = { .irq = irq, .ctx = s };
	int ret = -ENOMEM;

	if (!s || vfio_conn_init(&s->conn)) {
		snprintf(err, errlen, "no memory for the server");
		goto free_server;
	}
	s->log = log;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->free_turn, NULL);
	ret = vfio_irqs_init(&s->irqs);
	if (ret) {
		snprintf(err, errlen, "the kernel offers no asynchronous I/O, by which interrupts are "
			 "sent: %s; see fs.aio-max-nr", strerror(-ret));
		goto free_server;
	}
	ret = sim_device_new(config, &bus, &s->dev, err, errlen);
	if (ret)
		goto free_irqs;
	s->memory.dev = s->dev;
	sim_pci_init(&s->pci, s->dev);
	*out = s;
	return 0;

free_irqs:
	vfio_irqs_destroy(&s->irqs);
free_server:
	if (s)
		vfio_conn_destroy(&s->conn);
	free(s);
	return ret;
}

/* Whom a SIGBUS may concern. */
static _Atomic(struct vfio_user *) guarded;

void vfio_user_free(struct vfio_user *s)
{
	struct vfio_user *self = s;

	if (!s)
		return;
	atomic_compare_exchange_strong(&guarded, &self, NULL);
	sim_device_free(s->dev);
	vfio_irqs_destroy(&s->irqs);
	pthread_cond_destroy(&s->free_turn);
	pthread_mutex_destroy(&s->lock);
	vfio_conn_destroy(&s->conn);
	free(s);
}

struct sim_device *vfio_user_device(struct vfio_user *s)
{
	return s->dev;
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	struct vfio_user *s = atomic_load(&guarded);
	int saved = errno;

	(void)context;
	/* Positive: memory failed; else a process asks for it. */
	if (!s || info->si_code <= 0 || !vfio_memory_died(&s->memory, info->si_addr)) {
		signal(sig, SIG_DFL);
		raise(sig);
	}
	errno = saved;
}

void vfio_user_guard_sigbus(struct vfio_user *s)
{
	struct sigaction sa = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };

	atomic_store(&guarded, s);
	sigaction(SIGBUS, &sa, NULL);
}
