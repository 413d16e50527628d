// SPDX-License-Identifier: MIT
/*
 * Everything at once for two seconds: rings that work and check their results, while
 * translations are invalidated, memory comes and goes and a ring is reset
 * again and again.  Run it under the thread and address sanitizers, too.
 */
#include "sim_rig.h"

#define CODE	0x10000ULL
#define DATA	0x20000ULL

static struct rig rig;
static atomic_bool stop;

struct worker {
	unsigned int ring;
	pthread_t thread;
	unsigned int jobs, wrong, stuck;
};

/* Ring r, address space r + 1: copies a pattern that changes each time. */
static void *work(void *arg)
{
	struct worker *w = arg;
	unsigned int r = w->ring;
	uint64_t base = RIG_DATA + 0x10000 * r;
	struct octans_cmd_copy c = cmd_copy(DATA + 0x2000, DATA, 0x2000);

	memcpy(rig.mem + base, &c, sizeof(c));
	while (!atomic_load(&stop)) {
		memset(rig.mem + base + 0x1000, ++w->jobs, 0x2000);
		if (rig_run(&rig, r, w->jobs, r + 1, CODE, sizeof(c))) {
			w->stuck++;
			break;
		}
		w->wrong += memcmp(rig.mem + base + 0x1000, rig.mem + base + 0x3000, 0x2000) != 0;
	}
	return NULL;
}

/* Ring 3 copies over memory that comes and goes; how that ends is not said, but it ends. */
static void *abuse(void *arg)
{
	struct worker *w = arg;
	struct octans_cmd_copy c = cmd_copy(0x900000, 0x800000, 0x10000);
	uint64_t ctrl = OCTANS_RING(3) + OCTANS_RING_CTRL;

	for (int i = 0; i < 80; i++)
		memcpy(rig.mem + RIG_DATA + 0x30000 + i * sizeof(c), &c, sizeof(c));
	while (!atomic_load(&stop)) {
		rig_desc(&rig, 3, ++w->jobs, 4, CODE, 80 * sizeof(c));
		rig_bell(&rig, 3);
		rig_nap(w->jobs % 5 * 300);
		wr32(&rig, ctrl, OCTANS_RING_RESET);
		if (!rig_until(!(rd32(&rig, ctrl) & OCTANS_RING_RESET))) {
			w->stuck++;
			break;
		}
		rig.tail[3] = 0;
		wr32(&rig, ctrl, OCTANS_RING_ENABLE);
		wr32(&rig, OCTANS_REG_EVT_HEAD, rd32(&rig, OCTANS_REG_EVT_TAIL));
	}
	return NULL;
}

static void *invalidate(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(&stop)) {
		uint32_t ticket = rig_forget(&rig, w->jobs % 7 ? OCTANS_INVALIDATE_ASID(w->jobs % 5)
							       : OCTANS_INVALIDATE_ALL);

		if (++w->jobs % 50)
			continue;
		if (!rig_until(rig_forgot(&rig, ticket))) {
			w->stuck++;
			break;
		}
	}
	return NULL;
}

static void *replug(void *arg)
{
	struct worker *w = arg;
	void *host, *mem;

	while (!atomic_load(&stop)) {
		mem = mmap(NULL, 0x10000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		w->wrong += sim_dma_map(rig.dev, 0x900000000, 0x10000, mem, true) != 0;
		rig_nap(w->jobs++ % 3 * 200);
		w->wrong += sim_dma_unmap(rig.dev, 0x900000000, 0x10000, &host) || host != mem;
		munmap(mem, 0x10000);
	}
	return NULL;
}

/* Counters never go back, whatever happens. */
static void *look(void *arg)
{
	struct worker *w = arg;
	uint64_t last[OCTANS_COUNTERS] = { 0 };

	while (!atomic_load(&stop)) {
		for (int i = 0; i < OCTANS_COUNTERS; i++) {
			uint64_t v = rd64(&rig, OCTANS_REG_COUNTER(i));

			w->wrong += v < last[i];
			last[i] = v;
		}
		w->stuck += !rig_control(&rig, w->jobs++ % 2 ? "stat" : "undefined");
		rig_nap(100);
	}
	return NULL;
}

int main(void)
{
	struct worker w[7] = { { .ring = 0 }, { .ring = 1 }, { .ring = 2 } };
	static void *(*const role[7])(void *) = {
		work, work, work, abuse, invalidate, replug, look,
	};
	static const char *const name[7] = {
		"ring 0", "ring 1", "ring 2", "a ring reset in mid-job", "invalidations",
		"memory that comes and goes", "counters and the control channel",
	};

	rig_new(&rig, NULL);
	for (unsigned int r = 0; r < 3; r++) {
		rig_map(&rig, r + 1, CODE, RIG_DATA + 0x10000 * r, 0x1000, 0);
		rig_map(&rig, r + 1, DATA, RIG_DATA + 0x10000 * r + 0x1000, 0x4000, OCTANS_PTE_WRITE);
	}
	rig_map(&rig, 4, CODE, RIG_DATA + 0x30000, 0x1000, 0);
	for (unsigned int i = 0; i < 0x10000; i += 0x1000) {
		*rig_pte(&rig, 4, 0x800000 + i, 0) = (0x900000000 + i) | OCTANS_PTE_VALID;
		*rig_pte(&rig, 4, 0x900000 + i, 0) = i | OCTANS_PTE_VALID | OCTANS_PTE_WRITE |
						     OCTANS_PTE_LOCAL;
	}
	rig_start(&rig);
	for (int i = 0; i < 7; i++)
		pthread_create(&w[i].thread, NULL, role[i], &w[i]);
	rig_nap(2000000);
	atomic_store(&stop, true);
	for (int i = 0; i < 7; i++) {
		pthread_join(w[i].thread, NULL);
		ok(w[i].jobs > 5 && !w[i].wrong && !w[i].stuck, "%s: %u rounds, %u wrong, %u stuck",
		   name[i], w[i].jobs, w[i].wrong, w[i].stuck);
	}
	rig_free(&rig);
	return done();
}
