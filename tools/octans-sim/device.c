// SPDX-License-Identifier: MIT
/* Life, resets and death of the modelled processor. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "device.h"

/* ---- resets; core.lock held ---- */

/* Every register at its initial value but INVALIDATED.  No ring is active. */
static void initial_values(struct sim_device *dev)
{
	struct sim_core *core = &dev->core;

	atomic_store(&core->epoch_ns, sim_monotonic_ns());
	sim_mmu_enable(&core->mmu, false);
	sim_mmu_set_base(&core->mmu, 0);
	sim_events_reset(&core->events);
	sim_clock_reset(&core->clock);
	for (unsigned int i = 0; i < dev->rings; i++)
		sim_ring_initial_values(&dev->ring[i]);
}

static bool any_active(const struct sim_device *dev)
{
	for (unsigned int i = 0; i < dev->rings; i++)
		if (dev->ring[i].active)
			return true;
	return false;
}

static void set_state(struct sim_device *dev, bool resetting, bool failed)
{
	dev->resetting = resetting;
	dev->failed = failed;
	dev->core.stopped = resetting || failed || atomic_load(&dev->removed);
}

/* A reset is injected to take until @due.  Who looks at a register brings it to its end then. */
static bool is_late(struct sim_device *dev, uint64_t due)
{
	bool late = due && sim_monotonic_ns() < due;

	dev->late |= late;
	return late;
}

static uint64_t due_after(atomic_uint *ms)
{
	unsigned int n = atomic_load(ms);

	return n ? sim_monotonic_ns() + n * 1000000ULL : 0;
}

/* A ring left its window, or something else happened that somebody waits for. */
static void settle(void *owner)
{
	struct sim_device *dev = owner;

	dev->late = false;
	for (unsigned int i = 0; i < dev->rings; i++) {
		struct sim_ring *ring = &dev->ring[i];

		if (ring->resetting && !ring->active && !ring->reset_failed &&
		    !is_late(dev, ring->reset_due_ns)) {
			if (sim_consume(&ring->fail_reset))
				ring->reset_failed = true;
			else
				sim_ring_reset_done(ring);
		}
	}
	if (dev->resetting && !any_active(dev) && !is_late(dev, dev->reset_due_ns)) {
		initial_values(dev);
		set_state(dev, false, dev->reset_fails);
	}
	pthread_cond_broadcast(&dev->settled);
}

void sim_device_settle(struct sim_device *dev)
{
	settle(dev);
}

void sim_device_reset(struct sim_device *dev)
{
	if (dev->resetting)
		return;
	set_state(dev, true, false);
	dev->reset_due_ns = due_after(&dev->slow_reset);
	dev->reset_fails = sim_consume(&dev->fail_reset);
	atomic_fetch_add(&dev->device_resets, 1);
	for (unsigned int i = 0; i < dev->rings; i++)
		sim_ring_abort(&dev->ring[i]);
	settle(dev);
}

void sim_device_reset_ring(struct sim_device *dev, struct sim_ring *ring)
{
	if (!sim_ring_start_reset(ring))
		return;
	ring->reset_due_ns = due_after(&ring->slow_reset);
	atomic_fetch_add(&dev->ring_resets, 1);
	settle(dev);
}

/* ---- invalidations, and what is injected into them; core.lock held ---- */

void sim_device_invalidate(struct sim_device *dev, uint64_t value)
{
	if (sim_consume(&dev->drop_invalidate))
		return;
	sim_clock_forget(&dev->core.clock, value);
	sim_bus_change(&dev->core.dma, value);
}

uint32_t sim_device_ticket(struct sim_device *dev)
{
	for (unsigned int i = 0; i < dev->rings; i++)
		if (atomic_load(&dev->ring[i].hold) && dev->ring[i].seqno)
			return dev->ticket;
	dev->ticket = sim_bus_ticket(&dev->core.dma);
	return dev->ticket;
}

/* core.lock held, but not meanwhile. */
static void wait_settled(struct sim_device *dev)
{
	if (!dev->late) {
		pthread_cond_wait(&dev->settled, &dev->core.lock);
		return;
	}
	pthread_mutex_unlock(&dev->core.lock);
	nanosleep(&(struct timespec) { .tv_nsec = 1000000 }, NULL);
	pthread_mutex_lock(&dev->core.lock);
	settle(dev);
}

void sim_flr(struct sim_device *dev)
{
	pthread_mutex_lock(&dev->core.lock);
	if (!atomic_load(&dev->removed)) {
		sim_device_reset(dev);
		while (dev->resetting)
			wait_settled(dev);
		dev->away_until_ns = due_after(&dev->away);
	}
	pthread_mutex_unlock(&dev->core.lock);
}

/* ---- the bus ---- */

void sim_quiesce(struct sim_device *dev)
{
	sim_bus_quiesce(&dev->core.dma);
}

/* Follows bus mastering and presence.  Off: returns when nothing is under way any more. */
static void switch_bus(struct sim_device *dev)
{
	bool on;

	pthread_mutex_lock(&dev->switch_lock);
	pthread_mutex_lock(&dev->core.lock);
	on = dev->bus_master && !atomic_load(&dev->removed);
	atomic_store(&dev->core.dma.on, on);
	pthread_mutex_unlock(&dev->core.lock);
	if (!on)
		sim_bus_quiesce(&dev->core.dma);
	sim_irq_enable(&dev->core.irq, on);
	pthread_mutex_unlock(&dev->switch_lock);
}

void sim_set_bus_master(struct sim_device *dev, bool on)
{
	bool changed;

	pthread_mutex_lock(&dev->core.lock);
	changed = dev->bus_master != on;
	dev->bus_master = on;
	pthread_mutex_unlock(&dev->core.lock);
	if (changed)
		switch_bus(dev);
}

int sim_dma_map(struct sim_device *dev, uint64_t iova, uint64_t size, void *host, bool write)
{
	return sim_bus_map(&dev->core.dma, iova, size, host, write);
}

int sim_dma_unmap(struct sim_device *dev, uint64_t iova, uint64_t size, void **host)
{
	return sim_bus_unmap(&dev->core.dma, iova, size, host);
}

bool sim_dma_dead(struct sim_device *dev, const void *addr, void **host, uint64_t *size)
{
	return sim_bus_dead(&dev->core.dma, addr, host, size);
}

/* ---- power ---- */

/* True: it was there.  Nothing runs when this returns, and nothing is sent. */
static bool take_away(struct sim_device *dev)
{
	bool was_there;

	pthread_mutex_lock(&dev->core.lock);
	was_there = !atomic_exchange(&dev->removed, true);
	set_state(dev, dev->resetting, dev->failed);
	for (unsigned int i = 0; i < dev->rings; i++)
		sim_ring_abort(&dev->ring[i]);
	while (any_active(dev))
		pthread_cond_wait(&dev->settled, &dev->core.lock);
	pthread_mutex_unlock(&dev->core.lock);
	switch_bus(dev);
	return was_there;
}

static void power_on(struct sim_device *dev)
{
	pthread_mutex_lock(&dev->core.lock);
	dev->bus_master = false;
	initial_values(dev);
	sim_bus_reset_ticket(&dev->core.dma);
	atomic_fetch_add(&dev->power_cycles, 1);
	atomic_store(&dev->removed, false);
	set_state(dev, false, false);
	dev->late = false;
	dev->away_until_ns = 0;
	pthread_mutex_unlock(&dev->core.lock);
}

void sim_remove(struct sim_device *dev)
{
	pthread_mutex_lock(&dev->power_lock);
	if (take_away(dev))
		sim_local_lose(&dev->memory);
	pthread_mutex_unlock(&dev->power_lock);
}

void sim_restore(struct sim_device *dev)
{
	pthread_mutex_lock(&dev->power_lock);
	if (atomic_load(&dev->removed)) {
		sim_local_clear(&dev->memory);
		power_on(dev);
	}
	pthread_mutex_unlock(&dev->power_lock);
}

void sim_lose_power(struct sim_device *dev)
{
	pthread_mutex_lock(&dev->power_lock);
	if (take_away(dev)) {
		sim_local_lose(&dev->memory);
		power_on(dev);
	}
	pthread_mutex_unlock(&dev->power_lock);
}

int sim_device_power_cycle(struct sim_device *dev)
{
	int ret;

	pthread_mutex_lock(&dev->power_lock);
	take_away(dev);
	ret = sim_local_renew(&dev->memory);
	dev->local_fd = dev->memory.fd;
	if (!ret)
		power_on(dev);
	pthread_mutex_unlock(&dev->power_lock);
	return ret;
}

/* ---- making and ending ---- */

static int say(char *err, size_t len, int code, const char *text)
{
	snprintf(err, len, "%s", text);
	return code;
}

static int configure_memory(struct sim_device *dev, const struct sim_config *c, char *err,
			    size_t errlen)
{
	uint64_t bar = 1 << 20;

	if (c->local_size)
		dev->profile.local_size = c->local_size;
	if (dev->profile.local_size % (1 << 20) || dev->profile.local_size > 1ULL << 40) {
		snprintf(err, errlen, "on-card memory of %llu bytes is not a multiple of 1M up to "
			 "1024G; choose one that is",
			 (unsigned long long)dev->profile.local_size);
		return -EINVAL;
	}
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
	return 0;
}

static int configure(struct sim_device *dev, const struct sim_config *c, char *err, size_t errlen)
{
	const struct sim_profile *p = sim_profile_find(c->profile);

	if (!p) {
		snprintf(err, errlen, "there is no profile \"%s\"; choose one of %s", c->profile,
			 sim_profile_names());
		return -EINVAL;
	}
	dev->profile = *p;
	if (c->rings)
		dev->profile.rings = c->rings;
	if (dev->profile.rings > OCTANS_MAX_RINGS) {
		snprintf(err, errlen, "%u rings are too many; a processor has 1 to %d",
			 dev->profile.rings, OCTANS_MAX_RINGS);
		return -EINVAL;
	}
	if (!(c->poll_limit_s >= 0 && c->poll_limit_s <= 1e6)) {
		snprintf(err, errlen, "a poll limit of %g seconds is not from 0 to 1000000",
			 c->poll_limit_s);
		return -EINVAL;
	}
	dev->poll_limit_ns = c->poll_limit_s * 1e9;
	dev->regs_size = c->regs_size ? c->regs_size : OCTANS_BAR_REGS_SIZE;
	dev->core.timing_only = c->timing_only;
	return configure_memory(dev, c, err, errlen);
}

static int start_pool(struct sim_device *dev, const struct sim_config *c, char *err, size_t errlen)
{
	unsigned int threads = c->threads;

	if (!threads)
		threads = sysconf(_SC_NPROCESSORS_ONLN);
	if (threads > 1024) {
		snprintf(err, errlen, "%u threads are too many; a command uses 1 to 1024", threads);
		return -EINVAL;
	}
	if (sim_pool_new(threads, &dev->core.pool)) {
		snprintf(err, errlen, "cannot start %u threads; ask for less", threads);
		return -EAGAIN;
	}
	return 0;
}

static int make_memory(struct sim_device *dev, char *err, size_t errlen)
{
	uint64_t size = dev->profile.local_size;
	int ret;

	ret = sim_local_init(&dev->memory, dev->bar_size > size ? dev->bar_size : size);
	if (ret == -EMFILE || ret == -ENFILE)
		return say(err, errlen, ret, "no file descriptor is left for the on-card memory: close some, or raise the limit of open files");
	if (ret)
		return say(err, errlen, ret, "no room for the on-card memory; ask for less");
	dev->local = dev->memory.base;
	dev->local_fd = dev->memory.fd;
	dev->core.mmu.dma = &dev->core.dma;
	dev->core.mmu.local = dev->local;
	dev->core.mmu.local_size = size;
	dev->core.mmu.asids = 1U << dev->profile.asid_bits;
	atomic_init(&dev->core.mmu.table, SIM_MMU_OFF);
	return 0;
}

static void start_irq(struct sim_device *dev, const struct sim_config *config,
		      const struct sim_bus *bus)
{
	struct sim_irq *irq = &dev->core.irq;

	irq->send = bus->irq;
	irq->ctx = bus->ctx;
	irq->vectors = OCTANS_VECTORS(dev->profile.rings);
	if (config->vectors && config->vectors < irq->vectors)
		irq->vectors = config->vectors;
	pthread_rwlock_init(&irq->lock, NULL);
}

int sim_device_new(const struct sim_config *config, const struct sim_bus *bus,
		   struct sim_device **out, char *err, size_t errlen)
{
	static atomic_uint made;
	struct sim_device *dev = calloc(1, sizeof(*dev));
	struct sim_core *core;
	int ret;

	if (!dev)
		return say(err, errlen, -ENOMEM, "no memory for the processor model");
	core = &dev->core;
	core->profile = &dev->profile;
	core->settled = settle;
	core->owner = dev;
	/* Unlike any other that runs on this machine now. */
	dev->serial = 0x4f43543100000000ULL | (uint32_t)getpid() << 8 |
		      (atomic_fetch_add(&made, 1) & 0xff);
	ret = configure(dev, config, err, errlen);
	if (ret)
		goto free_dev;
	ret = make_memory(dev, err, errlen);
	if (ret)
		goto free_dev;
	ret = sim_bus_init(&core->dma);
	if (ret) {
		say(err, errlen, ret, "no memory for the processor model");
		goto free_local;
	}
	ret = sim_clock_init(&core->clock, &dev->profile);
	if (ret) {
		say(err, errlen, ret, "no memory for the processor model");
		goto free_bus;
	}
	ret = start_pool(dev, config, err, errlen);
	if (ret)
		goto free_clock;
	sim_events_init(&core->events, &core->dma);
	start_irq(dev, config, bus);
	pthread_mutex_init(&core->undefined.lock, NULL);
	pthread_mutex_init(&core->lock, NULL);
	pthread_mutex_init(&dev->power_lock, NULL);
	pthread_mutex_init(&dev->switch_lock, NULL);
	pthread_cond_init(&dev->settled, NULL);
	initial_values(dev);
	while (dev->rings < dev->profile.rings) {
		ret = sim_ring_init(&dev->ring[dev->rings], core, dev->rings);
		if (ret) {
			say(err, errlen, ret, "cannot start a thread for each ring");
			sim_device_free(dev);
			return ret;
		}
		dev->rings++;
	}
	*out = dev;
	return 0;

free_clock:
	sim_clock_destroy(&core->clock);
free_bus:
	sim_bus_destroy(&core->dma);
free_local:
	sim_local_destroy(&dev->memory);
free_dev:
	free(dev);
	return ret;
}

void sim_device_free(struct sim_device *dev)
{
	struct sim_core *core;

	if (!dev)
		return;
	core = &dev->core;
	take_away(dev);		/* silent from here on */
	for (unsigned int i = 0; i < dev->rings; i++)
		sim_ring_destroy(&dev->ring[i]);
	sim_pool_free(core->pool);
	pthread_cond_destroy(&dev->settled);
	pthread_mutex_destroy(&dev->switch_lock);
	pthread_mutex_destroy(&dev->power_lock);
	pthread_mutex_destroy(&core->lock);
	pthread_mutex_destroy(&core->undefined.lock);
	pthread_rwlock_destroy(&core->irq.lock);
	sim_events_destroy(&core->events);
	sim_clock_destroy(&core->clock);
	sim_bus_destroy(&core->dma);
	sim_local_destroy(&dev->memory);
	free(dev);
}
