// SPDX-License-Identifier: MIT
/* Registers, resets, life and death of the modelled processor. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "device.h"

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

uint64_t sim_time_ns(struct sim_device *dev)
{
	return now_ns() - dev->epoch_ns + 1;
}

/* ---- resets ---- */

static bool consume(atomic_uint *count)
{
	unsigned int n = atomic_load(count);

	while (n)
		if (atomic_compare_exchange_weak(count, &n, n - 1))
			return true;
	return false;
}

/* Every register at its initial value.  Lock held, no ring active. */
static void initial_values(struct sim_device *dev)
{
	dev->epoch_ns = now_ns();
	dev->asid_base = 0;
	atomic_store(&dev->asid_table, UINT64_MAX);
	atomic_store(&dev->inv_count, 0);
	dev->evt_base = 0;
	dev->evt_log2 = 0;
	dev->evt_ctrl = 0;
	dev->evt_tail = 0;
	dev->evt_head = 0;
	dev->evt_dropped = 0;
	dev->evt_vector = 0;
	for (unsigned int i = 0; i < dev->rings; i++) {
		struct sim_ring *ring = &dev->ring[i];

		sim_ring_reset_done(ring);
		ring->reset_failed = false;
		ring->base = 0;
		ring->wb = 0;
		ring->log2 = 0;
		ring->vector = 0;
		ring->inv_seen = 0;
		atomic_store(&ring->progress, 0);
		atomic_store(&ring->cycles, 0);
	}
	/* inv_seen alone would hide it from the rings that the count went back. */
	atomic_fetch_add(&dev->quiesce_count, 1);
}

static bool any_active(const struct sim_device *dev)
{
	for (unsigned int i = 0; i < dev->rings; i++)
		if (dev->ring[i].active)
			return true;
	return false;
}

void sim_device_settle(struct sim_device *dev)
{
	for (unsigned int i = 0; i < dev->rings; i++) {
		struct sim_ring *ring = &dev->ring[i];

		if (ring->resetting && !ring->active && !ring->reset_failed) {
			if (consume(&ring->inject.fail_reset))
				ring->reset_failed = true;
			else
				sim_ring_reset_done(ring);
		}
	}
	if (dev->resetting && !any_active(dev)) {
		initial_values(dev);
		dev->resetting = false;
		dev->failed = dev->reset_fails;
	}
	pthread_cond_broadcast(&dev->moved);
}

static void start_device_reset(struct sim_device *dev)
{
	if (dev->resetting)
		return;
	dev->resetting = true;
	dev->reset_fails = consume(&dev->fail_reset);
	atomic_fetch_add(&dev->device_resets, 1);
	for (unsigned int i = 0; i < dev->rings; i++)
		sim_ring_abort(&dev->ring[i]);
	sim_device_settle(dev);
}

static void start_ring_reset(struct sim_ring *ring)
{
	if (ring->resetting)
		return;
	ring->resetting = true;
	ring->enabled = false;
	atomic_fetch_add(&ring->dev->ring_resets, 1);
	sim_ring_abort(ring);
	sim_device_settle(ring->dev);
}

void sim_flr(struct sim_device *dev)
{
	pthread_mutex_lock(&dev->lock);
	if (!atomic_load(&dev->removed)) {
		start_device_reset(dev);
		while (dev->resetting)
			pthread_cond_wait(&dev->moved, &dev->lock);
	}
	pthread_mutex_unlock(&dev->lock);
}

void sim_quiesce(struct sim_device *dev)
{
	uint64_t target;

	pthread_mutex_lock(&dev->lock);
	target = atomic_fetch_add(&dev->quiesce_count, 1) + 1;
	for (unsigned int i = 0; i < dev->rings; i++)
		while (dev->ring[i].active && dev->ring[i].quiesce_seen < target)
			pthread_cond_wait(&dev->moved, &dev->lock);
	pthread_mutex_unlock(&dev->lock);
}

void sim_set_bus_master(struct sim_device *dev, bool on)
{
	if (atomic_exchange(&dev->bus_master, on) && !on)
		sim_quiesce(dev);
}

/* What was in on-card memory is gone with its power: all-ones, where there was anything. */
static void lose_local(struct sim_device *dev)
{
	off_t at = 0, end;

	while ((at = lseek(dev->local_fd, at, SEEK_DATA)) >= 0) {
		end = lseek(dev->local_fd, at, SEEK_HOLE);
		if (end < 0)
			return;
		memset(dev->local + at, 0xff, end - at);
		at = end;
	}
}

void sim_remove(struct sim_device *dev)
{
	pthread_mutex_lock(&dev->lock);
	if (!atomic_exchange(&dev->removed, true)) {
		for (unsigned int i = 0; i < dev->rings; i++)
			sim_ring_abort(&dev->ring[i]);
		while (any_active(dev))
			pthread_cond_wait(&dev->moved, &dev->lock);
		lose_local(dev);
	}
	pthread_mutex_unlock(&dev->lock);
}

void sim_restore(struct sim_device *dev)
{
	pthread_mutex_lock(&dev->lock);
	if (atomic_load(&dev->removed)) {
		atomic_store(&dev->bus_master, false);
		initial_values(dev);
		dev->resetting = false;
		dev->failed = false;
		atomic_fetch_add(&dev->power_cycles, 1);
		atomic_store(&dev->removed, false);
	}
	pthread_mutex_unlock(&dev->lock);
}

/* ---- registers ---- */

/* Bytes of the register at @off, 0 if there is none.  @off is a multiple of 4. */
static unsigned int reg_width(const struct sim_device *dev, uint64_t off)
{
	if (off >= OCTANS_DOORBELL(0)) {
		off -= OCTANS_DOORBELL(0);
		return off % 0x1000 == 0 && off / 0x1000 < dev->rings ? 4 : 0;
	}
	if (off >= OCTANS_RING(0)) {
		off -= OCTANS_RING(0);
		if (off / 0x100 >= dev->rings)
			return 0;
		switch (off % 0x100) {
		case OCTANS_RING_LOG2: case OCTANS_RING_CTRL: case OCTANS_RING_STATUS:
		case OCTANS_RING_HEAD: case OCTANS_RING_VECTOR:
			return 4;
		case OCTANS_RING_BASE: case OCTANS_RING_WB: case OCTANS_RING_SINCE:
		case OCTANS_RING_SEQNO: case OCTANS_RING_PROGRESS: case OCTANS_RING_CYCLES:
			return 8;
		}
		return 0;
	}
	switch (off) {
	case OCTANS_REG_ID: case OCTANS_REG_VERSION: case OCTANS_REG_STATUS: case OCTANS_REG_RESET:
	case OCTANS_REG_MACS_INT8: case OCTANS_REG_MACS_F32: case OCTANS_REG_LOCAL_BPC:
	case OCTANS_REG_PCIE_BPC: case OCTANS_REG_MAX_CTX: case OCTANS_REG_MMU_CTRL:
	case OCTANS_REG_EVT_LOG2: case OCTANS_REG_EVT_CTRL: case OCTANS_REG_EVT_TAIL:
	case OCTANS_REG_EVT_HEAD: case OCTANS_REG_EVT_DROPPED: case OCTANS_REG_EVT_VECTOR:
		return 4;
	case OCTANS_REG_CAPS: case OCTANS_REG_LOCAL_SIZE: case OCTANS_REG_OPS:
	case OCTANS_REG_TYPES: case OCTANS_REG_CLOCK_HZ: case OCTANS_REG_TIME_NS:
	case OCTANS_REG_PROFILE_NAME: case OCTANS_REG_PROFILE_NAME + 8:
	case OCTANS_REG_PROFILE_NAME + 16: case OCTANS_REG_PROFILE_NAME + 24:
	case OCTANS_REG_SERIAL: case OCTANS_REG_ASID_BASE: case OCTANS_REG_INVALIDATE:
	case OCTANS_REG_INVALIDATED: case OCTANS_REG_EVT_BASE:
		return 8;
	}
	return 0;
}

/* Whether an access is one that the manual allows.  Addresses without a register may be
 * accessed too (they read zero), if no register is cut. */
static bool access_ok(const struct sim_device *dev, uint64_t off, unsigned int size)
{
	unsigned int width;

	if ((size != 4 && size != 8) || off % size || off >= OCTANS_BAR_REGS_SIZE)
		return false;
	width = reg_width(dev, off);
	if (width)
		return width == size;
	if (size == 8)
		return !reg_width(dev, off + 4);
	return off % 8 == 0 || reg_width(dev, off - 4) != 8;
}

static uint64_t invalidated(const struct sim_device *dev)
{
	uint64_t done = atomic_load(&dev->inv_count);

	for (unsigned int i = 0; i < dev->rings; i++)
		if (dev->ring[i].active && dev->ring[i].inv_seen < done)
			done = dev->ring[i].inv_seen;
	return done;
}

static uint64_t read_ring(struct sim_ring *ring, unsigned int off)
{
	switch (off) {
	case OCTANS_RING_BASE:
		return ring->base;
	case OCTANS_RING_WB:
		return ring->wb;
	case OCTANS_RING_LOG2:
		return ring->log2;
	case OCTANS_RING_CTRL:
		return (ring->enabled ? OCTANS_RING_ENABLE : 0) |
		       (ring->resetting ? OCTANS_RING_RESET : 0);
	case OCTANS_RING_STATUS:
		return (ring->seqno ? OCTANS_RING_BUSY : 0) |
		       (ring->halted ? OCTANS_RING_HALTED : 0) |
		       (ring->resetting ? OCTANS_RING_RESETTING : 0);
	case OCTANS_RING_HEAD:
		return ring->head;
	case OCTANS_RING_VECTOR:
		return ring->vector;
	case OCTANS_RING_SINCE:
		return ring->since;
	case OCTANS_RING_SEQNO:
		return ring->seqno;
	case OCTANS_RING_PROGRESS:
		return atomic_load(&ring->progress);
	case OCTANS_RING_CYCLES:
		return atomic_load(&ring->cycles);
	}
	return 0;
}

static uint64_t read_reg(struct sim_device *dev, uint64_t off)
{
	const struct sim_profile *p = &dev->profile;
	char name[32] = "";
	uint64_t v;

	if (off >= OCTANS_DOORBELL(0))
		return 0;
	if (off >= OCTANS_RING(0)) {
		off -= OCTANS_RING(0);
		return off / 0x100 < dev->rings ? read_ring(&dev->ring[off / 0x100], off % 0x100)
						: 0;
	}
	switch (off) {
	case OCTANS_REG_ID:
		return OCTANS_ID_MAGIC;
	case OCTANS_REG_VERSION:
		return OCTANS_VERSION_1_0;
	case OCTANS_REG_STATUS:
		return dev->resetting ? OCTANS_STATUS_RESETTING :
		       dev->failed ? OCTANS_STATUS_FAILED : OCTANS_STATUS_READY;
	case OCTANS_REG_CAPS:
		return dev->rings | OCTANS_VA_BITS << 8 | 10 << 16 | 52 << 24 |
		       (uint64_t)SIM_RING_LOG2_MAX << 32;
	case OCTANS_REG_LOCAL_SIZE:
		return p->local_size;
	case OCTANS_REG_OPS:
		return sim_exec_ops();
	case OCTANS_REG_TYPES:
		return sim_exec_types();
	case OCTANS_REG_CLOCK_HZ:
		return p->clock_hz;
	case OCTANS_REG_TIME_NS:
		return sim_time_ns(dev);
	case OCTANS_REG_PROFILE_NAME: case OCTANS_REG_PROFILE_NAME + 8:
	case OCTANS_REG_PROFILE_NAME + 16: case OCTANS_REG_PROFILE_NAME + 24:
		snprintf(name, sizeof(name), "%s", p->name);
		memcpy(&v, name + (off - OCTANS_REG_PROFILE_NAME), sizeof(v));
		return v;
	case OCTANS_REG_MACS_INT8:
		return p->macs_int8;
	case OCTANS_REG_MACS_F32:
		return p->macs_f32;
	case OCTANS_REG_LOCAL_BPC:
		return p->local_bpc;
	case OCTANS_REG_PCIE_BPC:
		return p->pcie_bpc;
	case OCTANS_REG_MAX_CTX:
		return p->max_ctx;
	case OCTANS_REG_SERIAL:
		return dev->serial;
	case OCTANS_REG_ASID_BASE:
		return dev->asid_base;
	case OCTANS_REG_MMU_CTRL:
		return atomic_load(&dev->asid_table) == UINT64_MAX ? 0 : OCTANS_MMU_ENABLE;
	case OCTANS_REG_INVALIDATED:
		return invalidated(dev);
	case OCTANS_REG_EVT_BASE:
		return dev->evt_base;
	case OCTANS_REG_EVT_LOG2:
		return dev->evt_log2;
	case OCTANS_REG_EVT_CTRL:
		return dev->evt_ctrl;
	case OCTANS_REG_EVT_TAIL:
		return dev->evt_tail;
	case OCTANS_REG_EVT_HEAD:
		return dev->evt_head;
	case OCTANS_REG_EVT_DROPPED:
		return dev->evt_dropped;
	case OCTANS_REG_EVT_VECTOR:
		return dev->evt_vector;
	}
	return 0;
}

uint64_t sim_reg_read(struct sim_device *dev, uint64_t off, unsigned int size)
{
	uint64_t v = UINT64_MAX;

	pthread_mutex_lock(&dev->lock);
	if (!atomic_load(&dev->removed) && access_ok(dev, off, size))
		v = read_reg(dev, off);
	pthread_mutex_unlock(&dev->lock);
	return size == 4 ? (uint32_t)v : v;
}

static void doorbell(struct sim_ring *ring, uint32_t value)
{
	if (!ring->enabled || ring->halted || ring->resetting)
		return;
	if (value - ring->head > 1U << ring->log2)
		ring->bad_doorbell = true;
	else
		ring->tail = value;
	pthread_cond_signal(&ring->wake);
}

static void ring_ctrl(struct sim_ring *ring, uint32_t value)
{
	bool valid = ring->log2 >= 1 && ring->log2 <= SIM_RING_LOG2_MAX &&
		     !(ring->base % sizeof(struct octans_desc)) && !(ring->wb % 8);

	if (value & OCTANS_RING_RESET)
		start_ring_reset(ring);
	else if (!ring->resetting)
		ring->enabled = (value & OCTANS_RING_ENABLE) && valid;
	pthread_cond_signal(&ring->wake);
}

static void write_ring(struct sim_ring *ring, unsigned int off, uint64_t value)
{
	switch (off) {
	case OCTANS_RING_CTRL:
		ring_ctrl(ring, value);
		return;
	case OCTANS_RING_VECTOR:
		ring->vector = value;
		return;
	}
	/* The rest must hold still while the ring uses it. */
	if (ring->enabled || ring->active || ring->resetting)
		return;
	switch (off) {
	case OCTANS_RING_BASE:
		ring->base = value;
		return;
	case OCTANS_RING_WB:
		ring->wb = value;
		return;
	case OCTANS_RING_LOG2:
		ring->log2 = value;
		return;
	}
}

static void write_evt_ctrl(struct sim_device *dev, uint32_t value)
{
	bool valid = dev->evt_log2 >= 1 && dev->evt_log2 <= 12 &&
		     !(dev->evt_base % sizeof(struct octans_event));
	bool on = (value & OCTANS_EVT_ENABLE) && valid;

	if (on && !dev->evt_ctrl) {
		dev->evt_tail = 0;
		dev->evt_head = 0;
		dev->evt_dropped = 0;
	}
	dev->evt_ctrl = on ? OCTANS_EVT_ENABLE : 0;
}

static void write_reg(struct sim_device *dev, uint64_t off, uint64_t value)
{
	uint64_t n;

	if (off == OCTANS_REG_RESET) {
		if (value == OCTANS_RESET_MAGIC)
			start_device_reset(dev);
		return;
	}
	if (dev->resetting || dev->failed)
		return;
	if (off >= OCTANS_DOORBELL(0)) {
		off -= OCTANS_DOORBELL(0);
		if (off % 0x1000 == 0 && off / 0x1000 < dev->rings)
			doorbell(&dev->ring[off / 0x1000], value);
		return;
	}
	if (off >= OCTANS_RING(0)) {
		off -= OCTANS_RING(0);
		if (off / 0x100 < dev->rings)
			write_ring(&dev->ring[off / 0x100], off % 0x100, value);
		return;
	}
	switch (off) {
	case OCTANS_REG_ASID_BASE:
		if (atomic_load(&dev->asid_table) == UINT64_MAX)
			dev->asid_base = value & OCTANS_ADDR_MASK;
		return;
	case OCTANS_REG_MMU_CTRL:
		atomic_store(&dev->asid_table,
			     value & OCTANS_MMU_ENABLE ? dev->asid_base : UINT64_MAX);
		return;
	case OCTANS_REG_INVALIDATE:
		n = atomic_load(&dev->inv_count);
		dev->inv_log[n % SIM_INV_LOG] = value;
		atomic_store_explicit(&dev->inv_count, n + 1, memory_order_release);
		return;
	case OCTANS_REG_EVT_BASE:
		if (!dev->evt_ctrl)
			dev->evt_base = value;
		return;
	case OCTANS_REG_EVT_LOG2:
		if (!dev->evt_ctrl)
			dev->evt_log2 = value;
		return;
	case OCTANS_REG_EVT_CTRL:
		write_evt_ctrl(dev, value);
		return;
	case OCTANS_REG_EVT_HEAD:
		/* Not past what was produced, nor back past what was consumed. */
		if ((uint32_t)value - dev->evt_head <= dev->evt_tail - dev->evt_head)
			dev->evt_head = value;
		return;
	case OCTANS_REG_EVT_VECTOR:
		dev->evt_vector = value;
		return;
	}
}

void sim_reg_write(struct sim_device *dev, uint64_t off, unsigned int size, uint64_t value)
{
	if (size == 4)
		value = (uint32_t)value;
	pthread_mutex_lock(&dev->lock);
	if (!atomic_load(&dev->removed) && access_ok(dev, off, size))
		write_reg(dev, off, value);
	pthread_mutex_unlock(&dev->lock);
}

/* ---- making and ending ---- */

static int say(char *err, size_t len, int code, const char *text)
{
	snprintf(err, len, "%s", text);
	return code;
}

static int make_local(struct sim_device *dev, char *err, size_t errlen)
{
	dev->local_map = dev->bar_size > dev->profile.local_size ? dev->bar_size
								 : dev->profile.local_size;
	dev->local_fd = memfd_create("octans-local", MFD_CLOEXEC);
	if (dev->local_fd < 0 || ftruncate(dev->local_fd, dev->local_map))
		return say(err, errlen, -ENOMEM, "no memory for the on-card memory; ask for less");
	dev->local = mmap(NULL, dev->local_map, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			  dev->local_fd, 0);
	if (dev->local == MAP_FAILED) {
		dev->local = NULL;
		return say(err, errlen, -ENOMEM,
			   "no address space for the on-card memory; ask for less");
	}
	return 0;
}

static int configure(struct sim_device *dev, const struct sim_config *c, char *err, size_t errlen)
{
	const char *name = c->profile ? c->profile : "octans-1";
	const struct sim_profile *p = sim_profile_find(name);
	uint64_t bar = 1 << 20;

	if (!p) {
		snprintf(err, errlen, "there is no profile \"%s\"; choose one of %s", name,
			 sim_profile_names());
		return -EINVAL;
	}
	dev->profile = *p;
	if (c->local_size)
		dev->profile.local_size = c->local_size;
	if (dev->profile.local_size % (1 << 20) || dev->profile.local_size > 1ULL << 40) {
		snprintf(err, errlen, "on-card memory of %llu bytes is not a multiple of 1M up to "
			 "1024G; choose one that is",
			 (unsigned long long)dev->profile.local_size);
		return -EINVAL;
	}
	if (c->rings)
		dev->profile.rings = c->rings;
	if (dev->profile.rings > OCTANS_MAX_RINGS) {
		snprintf(err, errlen, "%u rings are too many; a processor has 1 to %d",
			 dev->profile.rings, OCTANS_MAX_RINGS);
		return -EINVAL;
	}
	dev->rings = dev->profile.rings;
	dev->bar_size = c->bar_size;
	if (!c->bar_size) {
		while (bar < dev->profile.local_size)
			bar *= 2;
		dev->bar_size = bar;
	}
	if (dev->bar_size & (dev->bar_size - 1) || dev->bar_size < 1 << 20 ||
	    dev->bar_size > 1ULL << 40) {
		snprintf(err, errlen, "a visible window of %llu bytes is not a power of two from 1M "
			 "to 1024G; choose one that is", (unsigned long long)dev->bar_size);
		return -EINVAL;
	}
	dev->threads = c->threads ? c->threads : (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);
	if (!dev->threads || dev->threads > 1024) {
		snprintf(err, errlen, "%u threads are too many; a command uses 1 to 1024",
			 dev->threads);
		return -EINVAL;
	}
	return 0;
}

int sim_device_new(const struct sim_config *config, const struct sim_bus *bus,
		   struct sim_device **out, char *err, size_t errlen)
{
	static atomic_uint made;
	struct sim_device *dev = calloc(1, sizeof(*dev));
	unsigned int i;
	int ret;

	if (!dev)
		return say(err, errlen, -ENOMEM, "no memory for the processor model");
	dev->local_fd = -1;
	dev->bus = *bus;
	/* Unlike any other that runs on this machine now. */
	dev->serial = 0x4f43543100000000ULL | (uint32_t)getpid() << 8 |
		      (atomic_fetch_add(&made, 1) & 0xff);
	ret = configure(dev, config, err, errlen);
	if (ret)
		goto free_dev;
	ret = make_local(dev, err, errlen);
	if (ret)
		goto free_local;
	ret = -ENOMEM;
	dev->map = calloc(1, sizeof(struct sim_map));
	if (!dev->map) {
		say(err, errlen, ret, "no memory for the processor model");
		goto free_local;
	}
	pthread_mutex_init(&dev->lock, NULL);
	pthread_cond_init(&dev->moved, NULL);
	for (i = 0; i < dev->rings; i++) {
		struct sim_ring *ring = &dev->ring[i];

		ring->dev = dev;
		ring->index = i;
		ring->mem.dev = dev;
		ring->mem.ring = ring;
		pthread_cond_init(&ring->wake, NULL);
	}
	initial_values(dev);
	for (i = 0; i < dev->rings; i++) {
		ret = -pthread_create(&dev->ring[i].thread, NULL, sim_ring_main, &dev->ring[i]);
		if (ret) {
			say(err, errlen, ret, "cannot start a thread for each ring");
			dev->rings = i;
			sim_device_free(dev);
			return ret;
		}
	}
	*out = dev;
	return 0;

free_local:
	if (dev->local)
		munmap(dev->local, dev->local_map);
	if (dev->local_fd >= 0)
		close(dev->local_fd);
free_dev:
	free(dev);
	return ret;
}

void sim_device_free(struct sim_device *dev)
{
	unsigned int i;

	if (!dev)
		return;
	pthread_mutex_lock(&dev->lock);
	atomic_store(&dev->removed, true);	/* silent from here on */
	for (i = 0; i < dev->rings; i++) {
		dev->ring[i].stop = true;
		sim_ring_abort(&dev->ring[i]);
		pthread_cond_signal(&dev->ring[i].wake);
	}
	pthread_mutex_unlock(&dev->lock);
	for (i = 0; i < dev->rings; i++) {
		pthread_join(dev->ring[i].thread, NULL);
		pthread_cond_destroy(&dev->ring[i].wake);
	}
	pthread_cond_destroy(&dev->moved);
	pthread_mutex_destroy(&dev->lock);
	free(dev->map);
	munmap(dev->local, dev->local_map);
	close(dev->local_fd);
	free(dev);
}
