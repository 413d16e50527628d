// SPDX-License-Identifier: MIT
/* The register file: what may be accessed how, and whose it is. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

struct reg {
	uint16_t offset;	/* in its block */
	uint8_t width;		/* bytes */
	const char *name;
	uint64_t reserved;	/* bits that the manual does not define for writes */
	const char *wait;	/* what one who polls it waits for; NULL: its change */
};

#define R32(reg, name)	{ reg, 4, name, 0, NULL }
#define R64(reg, name)	{ reg, 8, name, 0, NULL }

static const struct reg globals[] = {
	R32(OCTANS_REG_ID, "ID"),
	R32(OCTANS_REG_VERSION, "VERSION"),
	{ OCTANS_REG_STATUS, 4, "STATUS", 0, "a device reset to be over" },
	R32(OCTANS_REG_RESET, "RESET"),
	R64(OCTANS_REG_CAPS, "CAPS"),
	R64(OCTANS_REG_LOCAL_SIZE, "LOCAL_SIZE"),
	R64(OCTANS_REG_OPS, "OPS"),
	R64(OCTANS_REG_TYPES, "TYPES"),
	R64(OCTANS_REG_CLOCK_HZ, "CLOCK_HZ"),
	R64(OCTANS_REG_TIME_NS, "TIME_NS"),
	R64(OCTANS_REG_PROFILE_NAME, "PROFILE_NAME"),
	R64(OCTANS_REG_PROFILE_NAME + 8, "PROFILE_NAME"),
	R64(OCTANS_REG_PROFILE_NAME + 16, "PROFILE_NAME"),
	R64(OCTANS_REG_PROFILE_NAME + 24, "PROFILE_NAME"),
	R32(OCTANS_REG_MACS_INT8, "MACS_INT8"),
	R32(OCTANS_REG_MACS_F32, "MACS_F32"),
	R32(OCTANS_REG_LOCAL_BPC, "LOCAL_BPC"),
	R32(OCTANS_REG_PCIE_BPC, "PCIE_BPC"),
	R32(OCTANS_REG_MAX_CTX, "MAX_CTX"),
	R32(OCTANS_REG_MACS_F16, "MACS_F16"),
	R64(OCTANS_REG_SERIAL, "SERIAL"),
	R64(OCTANS_REG_SRAM_SIZE, "SRAM_SIZE"),
	R32(OCTANS_REG_LOCAL_LATENCY, "LOCAL_LATENCY"),
	R32(OCTANS_REG_PCIE_LATENCY, "PCIE_LATENCY"),
	R32(OCTANS_REG_TLB_ENTRIES, "TLB_ENTRIES"),
	R32(OCTANS_REG_WALKERS, "WALKERS"),
	R64(OCTANS_REG_ASID_BASE, "ASID_BASE"),
	{ OCTANS_REG_MMU_CTRL, 4, "MMU_CTRL", ~(uint64_t)OCTANS_MMU_ENABLE, "the MMU to change" },
	{ OCTANS_REG_INVALIDATE, 8, "INVALIDATE", 0xfffe0000, NULL },
	{ OCTANS_REG_INVALIDATED, 4, "INVALIDATED", 0, "a ticket that was never written" },
	R64(OCTANS_REG_EVT_BASE, "EVT_BASE"),
	R32(OCTANS_REG_EVT_LOG2, "EVT_LOG2"),
	{ OCTANS_REG_EVT_CTRL, 4, "EVT_CTRL", ~(uint64_t)OCTANS_EVT_ENABLE,
	  "the event queue to change" },
	{ OCTANS_REG_EVT_TAIL, 4, "EVT_TAIL", 0, "an event" },
	R32(OCTANS_REG_EVT_HEAD, "EVT_HEAD"),
	R32(OCTANS_REG_EVT_DROPPED, "EVT_DROPPED"),
	R32(OCTANS_REG_EVT_VECTOR, "EVT_VECTOR"),
};

static const struct reg ring_regs[] = {
	R64(OCTANS_RING_BASE, "BASE"),
	R64(OCTANS_RING_WB, "WB"),
	R32(OCTANS_RING_LOG2, "LOG2"),
	{ OCTANS_RING_CTRL, 4, "CTRL", ~(uint64_t)(OCTANS_RING_ENABLE | OCTANS_RING_RESET),
	  "RESET to clear, or ENABLE to stick" },
	{ OCTANS_RING_STATUS, 4, "STATUS", 0, "a job to start or a halt to end by itself" },
	{ OCTANS_RING_HEAD, 4, "HEAD", 0, "a job to end" },
	R32(OCTANS_RING_VECTOR, "VECTOR"),
	{ OCTANS_RING_SINCE, 8, "SINCE", 0, "a job to start" },
	{ OCTANS_RING_SEQNO, 8, "SEQNO", 0, "a job to start" },
	{ OCTANS_RING_PROGRESS, 8, "PROGRESS", 0, "a job to advance" },
	{ OCTANS_RING_CYCLES, 8, "CYCLES", 0, "a job to end" },
	R64(OCTANS_RING_FAULT_SEQNO, "FAULT_SEQNO"),
	R64(OCTANS_RING_FAULT_VA, "FAULT_VA"),
	R64(OCTANS_RING_FAULT_CODE, "FAULT_CODE"),
	R64(OCTANS_RING_CQ_BASE, "CQ_BASE"),
	R32(OCTANS_RING_CQ_LOG2, "CQ_LOG2"),
	{ OCTANS_RING_SHADOW, 8, "SHADOW", 0x6, NULL },
};

static const struct reg counter_reg = { 0, 8, "COUNTERS", 0, "a job to advance" };
static const struct reg doorbell_reg = { 0, 4, "DOORBELL", 0, NULL };

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

static const struct reg *look_up(const struct reg *table, size_t n, uint64_t offset)
{
	for (size_t i = 0; i < n; i++)
		if (table[i].offset == offset)
			return &table[i];
	return NULL;
}

/* The register at @off, or NULL.  *ring: whose it is, or -1. */
static const struct reg *find(const struct sim_device *dev, uint64_t off, int *ring)
{
	*ring = -1;
	if (off >= OCTANS_DOORBELL(0)) {
		off -= OCTANS_DOORBELL(0);
		*ring = off / OCTANS_DOORBELL_BLOCK;
		return off % OCTANS_DOORBELL_BLOCK || (unsigned int)*ring >= dev->rings ? NULL : &doorbell_reg;
	}
	if (off >= OCTANS_RING(0)) {
		off -= OCTANS_RING(0);
		*ring = off / OCTANS_RING_BLOCK;
		return (unsigned int)*ring >= dev->rings ? NULL
			: look_up(ring_regs, COUNT(ring_regs), off % OCTANS_RING_BLOCK);
	}
	if (off >= OCTANS_REG_COUNTERS && off < OCTANS_REG_COUNTER(OCTANS_COUNTERS))
		return off % 8 ? NULL : &counter_reg;
	return look_up(globals, COUNT(globals), off);
}

static unsigned int width_at(const struct sim_device *dev, uint64_t off)
{
	int ring;
	const struct reg *reg = find(dev, off, &ring);

	return reg ? reg->width : 0;
}

/* Whether an access is one that the manual allows.  Addresses without a register may be accessed
 * too (they read zero), if no register is cut. */
static bool access_ok(const struct sim_device *dev, uint64_t off, unsigned int size)
{
	unsigned int width;

	if ((size != 4 && size != 8) || off % size || off >= OCTANS_BAR_REGS_SIZE)
		return false;
	width = width_at(dev, off);
	if (width)
		return width == size;
	if (size == 8)
		return !width_at(dev, off + 4);
	return off % 8 == 0 || width_at(dev, off - 4) != 8;
}

/* ---- reads ---- */

static uint64_t read_counter(struct sim_device *dev, unsigned int n)
{
	struct octans_counters c;
	uint64_t v = 0;

	sim_clock_counters(&dev->core.clock, &c);
	if (n < sizeof(c) / sizeof(v))
		memcpy(&v, (const uint8_t *)&c + n * sizeof(v), sizeof(v));
	return v;
}

static uint64_t read_global(struct sim_device *dev, uint64_t off)
{
	const struct sim_profile *p = &dev->profile;
	struct sim_core *core = &dev->core;
	char name[32] = "";
	uint64_t v;

	switch (off) {
	case OCTANS_REG_ID:
		return OCTANS_ID_MAGIC;
	case OCTANS_REG_VERSION:
		return OCTANS_VERSION_2_1;
	case OCTANS_REG_STATUS:
		return dev->resetting ? OCTANS_STATUS_RESETTING :
		       dev->failed ? OCTANS_STATUS_FAILED : OCTANS_STATUS_READY;
	case OCTANS_REG_CAPS:
		return dev->rings | OCTANS_VA_BITS << 8 | p->asid_bits << 16 | 52 << 24 |
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
		return sim_time_ns(core);
	case OCTANS_REG_PROFILE_NAME: case OCTANS_REG_PROFILE_NAME + 8:
	case OCTANS_REG_PROFILE_NAME + 16: case OCTANS_REG_PROFILE_NAME + 24:
		snprintf(name, sizeof(name), "%s", p->name);
		memcpy(&v, name + (off - OCTANS_REG_PROFILE_NAME), sizeof(v));
		return v;
	case OCTANS_REG_MACS_INT8:
		return p->macs_int8;
	case OCTANS_REG_MACS_F16:
		return p->macs_f16;
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
	case OCTANS_REG_SRAM_SIZE:
		return p->sram_size;
	case OCTANS_REG_LOCAL_LATENCY:
		return p->local_latency;
	case OCTANS_REG_PCIE_LATENCY:
		return p->pcie_latency;
	case OCTANS_REG_TLB_ENTRIES:
		return p->tlb_entries;
	case OCTANS_REG_WALKERS:
		return p->walkers;
	case OCTANS_REG_ASID_BASE:
		return core->mmu.asid_base;
	case OCTANS_REG_MMU_CTRL:
		return sim_mmu_enabled(&core->mmu) ? OCTANS_MMU_ENABLE : 0;
	case OCTANS_REG_INVALIDATED:
		return sim_device_ticket(dev);
	}
	return sim_events_read(&core->events, off);
}

static uint64_t read_reg(struct sim_device *dev, const struct reg *reg, int ring, uint64_t off)
{
	if (reg == &doorbell_reg)
		return 0;
	if (reg == &counter_reg)
		return read_counter(dev, (off - OCTANS_REG_COUNTERS) / 8);
	if (ring >= 0)
		return sim_ring_read(&dev->ring[ring], reg->offset);
	return read_global(dev, off);
}

/* ---- polls that wait in vain ---- */

#define POLL_GAP_NS	50000000	/* who looks less often does not wait for it */

/* Something happened: who polls may see it. */
static void restart_polls(struct sim_device *dev)
{
	memset(dev->poll, 0, sizeof(dev->poll));
}

static bool runs(const struct sim_device *dev)
{
	for (unsigned int i = 0; i < dev->rings; i++)
		if (dev->ring[i].active)
			return true;
	return false;
}

static void complain(const struct sim_poll *poll, const struct reg *reg, int ring)
{
	char prefix[16] = "";

	if (ring >= 0)
		snprintf(prefix, sizeof(prefix), "RING%d_", ring);
	fprintf(stderr, "octans-sim: register %s%s (0x%04" PRIx64 ") was read %" PRIu64
		" times in %.1f s; it is 0x%" PRIx64 " and nothing runs, so whoever waits for %s "
		"waits in vain.  It reads all-ones from now on, as of a device that is gone.\n",
		prefix, reg->name, poll->offset, poll->count,
		(sim_monotonic_ns() - poll->since_ns) * 1e-9,
		poll->value, reg->wait ? reg->wait : "it to change");
}

/* True: the register is read for ever, and will never say anything else. */
static bool polled_in_vain(struct sim_device *dev, const struct reg *reg, int ring, uint64_t off,
			   uint64_t value)
{
	struct sim_poll *poll = &dev->poll[(off / 4 ^ off >> 8) % SIM_POLLS];
	uint64_t now;

	if (!dev->poll_limit_ns)
		return false;
	now = sim_monotonic_ns();
	if (runs(dev)) {
		restart_polls(dev);
		return false;
	}
	/* An occasional look is no poll, however many there are. */
	if (!poll->count || poll->offset != off || poll->value != value ||
	    (!poll->stuck && now - poll->last_ns > POLL_GAP_NS))
		*poll = (struct sim_poll) { .offset = off, .value = value, .since_ns = now };
	poll->last_ns = now;
	if (!poll->stuck && ++poll->count > 1000 && now - poll->since_ns > dev->poll_limit_ns) {
		poll->stuck = true;
		complain(poll, reg, ring);
	}
	return poll->stuck;
}

static bool is_there(struct sim_device *dev)
{
	if (dev->away_until_ns && sim_monotonic_ns() >= dev->away_until_ns)
		dev->away_until_ns = 0;
	return !atomic_load(&dev->removed) && !dev->away_until_ns;
}

/* ---- injected: registers that lie ---- */

/* Where the register of a name is; of several of one name the first. */
static bool find_name(const struct sim_device *dev, const char *name, uint64_t *off)
{
	const struct reg *table = globals;
	size_t count = COUNT(globals);
	unsigned long ring;
	char *end;

	*off = 0;
	if (!strncmp(name, "RING", 4) && name[4] >= '0' && name[4] <= '9') {
		ring = strtoul(name + 4, &end, 10);
		if (ring >= dev->rings || *end != '_')
			return false;
		name = end + 1;
		table = ring_regs;
		count = COUNT(ring_regs);
		*off = OCTANS_RING(ring);
	}
	for (size_t i = 0; i < count; i++) {
		if (strcmp(table[i].name, name))
			continue;
		*off += table[i].offset;
		return true;
	}
	return false;
}

/* The lie about a register, or else a place for one, or NULL. */
static struct sim_lie *find_lie(struct sim_device *dev, uint64_t off)
{
	struct sim_lie *place = NULL;

	for (int i = 0; i < SIM_LIES; i++) {
		if (dev->lie[i].on && dev->lie[i].offset == off)
			return &dev->lie[i];
		if (!dev->lie[i].on)
			place = &dev->lie[i];
	}
	return place;
}

int sim_reg_lie(struct sim_device *dev, const char *name, uint64_t value)
{
	struct sim_lie *lie;
	uint64_t off;

	if (!find_name(dev, name, &off))
		return -ENOENT;
	pthread_mutex_lock(&dev->core.lock);
	lie = find_lie(dev, off);
	if (lie)
		*lie = (struct sim_lie) { true, off, value };
	pthread_mutex_unlock(&dev->core.lock);
	return lie ? 0 : -ENOSPC;
}

int sim_reg_tell_truth(struct sim_device *dev, const char *name)
{
	uint64_t off = 0;

	if (name && !find_name(dev, name, &off))
		return -ENOENT;
	pthread_mutex_lock(&dev->core.lock);
	for (int i = 0; i < SIM_LIES; i++)
		if (!name || dev->lie[i].offset == off)
			dev->lie[i].on = false;
	pthread_mutex_unlock(&dev->core.lock);
	return 0;
}

static uint64_t as_told(const struct sim_device *dev, uint64_t off, uint64_t value)
{
	for (int i = 0; i < SIM_LIES; i++)
		if (dev->lie[i].on && dev->lie[i].offset == off)
			return dev->lie[i].value;
	return value;
}

uint64_t sim_reg_read(struct sim_device *dev, uint64_t off, unsigned int size)
{
	uint64_t v = UINT64_MAX;
	const struct reg *reg;
	int ring;

	pthread_mutex_lock(&dev->core.lock);
	if (dev->late)
		sim_device_settle(dev);
	if (is_there(dev)) {
		bool good = access_ok(dev, off, size);

		reg = good ? find(dev, off, &ring) : NULL;
		if (!reg)
			sim_undefined_note(&dev->core.undefined, SIM_UNDEFINED_READ, off, size);
		if (reg)
			v = as_told(dev, off, read_reg(dev, reg, ring, off));
		else if (good)
			v = 0;
		if (reg && polled_in_vain(dev, reg, ring, off, v))
			v = UINT64_MAX;
	}
	pthread_mutex_unlock(&dev->core.lock);
	return size == 4 ? (uint32_t)v : v;
}

/* ---- writes ---- */

static void write_mmu_ctrl(struct sim_device *dev, bool on)
{
	sim_mmu_enable(&dev->core.mmu, on);
	if (!on)
		sim_clock_forget(&dev->core.clock, OCTANS_INVALIDATE_ALL);
}

static void write_reg(struct sim_device *dev, const struct reg *reg, int ring, uint64_t off,
		      uint64_t value)
{
	/* What may be written at any time, and what while the device works. */
	if (ring < 0 && off == OCTANS_REG_RESET) {
		if (value == OCTANS_RESET_MAGIC)
			sim_device_reset(dev);
		return;
	}
	if (ring < 0 && off == OCTANS_REG_INVALIDATE) {
		sim_device_invalidate(dev, value);
		return;
	}
	if (dev->resetting || dev->failed)
		return;
	if (reg == &doorbell_reg)
		sim_ring_doorbell(&dev->ring[ring], value);
	else if (ring >= 0 && reg->offset == OCTANS_RING_CTRL && (value & OCTANS_RING_RESET))
		sim_device_reset_ring(dev, &dev->ring[ring]);
	else if (ring >= 0)
		sim_ring_write(&dev->ring[ring], reg->offset, value);
	else if (off == OCTANS_REG_ASID_BASE)
		sim_mmu_set_base(&dev->core.mmu, value);
	else if (off == OCTANS_REG_MMU_CTRL)
		write_mmu_ctrl(dev, value & OCTANS_MMU_ENABLE);
	else
		sim_events_write(&dev->core.events, off, value);
}

/* core.lock held. */
static void write_any(struct sim_device *dev, uint64_t off, unsigned int size, uint64_t value)
{
	const struct reg *reg;
	int ring;

	if (!is_there(dev))
		return;
	if (size == 4)
		value = (uint32_t)value;
	reg = access_ok(dev, off, size) ? find(dev, off, &ring) : NULL;
	if (!reg)
		sim_undefined_note(&dev->core.undefined, SIM_UNDEFINED_WRITE, off, size);
	else if (value & reg->reserved)
		sim_undefined_note(&dev->core.undefined, SIM_UNDEFINED_BITS, off, size);
	restart_polls(dev);
	if (reg)
		write_reg(dev, reg, ring, off, value);
}

void sim_reg_write(struct sim_device *dev, uint64_t off, unsigned int size, uint64_t value)
{
	pthread_mutex_lock(&dev->core.lock);
	write_any(dev, off, size, value);
	pthread_mutex_unlock(&dev->core.lock);
}

uint32_t sim_reg_write_lent(struct sim_device *dev, uint64_t off, unsigned int size,
			    uint64_t value)
{
	uint32_t todo;

	pthread_mutex_lock(&dev->core.lock);
	dev->core.lent = true;
	write_any(dev, off, size, value);
	dev->core.lent = false;
	todo = dev->core.todo;
	dev->core.todo = 0;
	pthread_mutex_unlock(&dev->core.lock);
	return todo;
}

void sim_work(struct sim_device *dev, uint32_t todo, struct sim_loan *loan)
{
	for (unsigned int i = 0; todo >> i; i++)
		if (todo >> i & 1)
			sim_ring_work(&dev->ring[i], loan);
}
