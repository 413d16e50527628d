// SPDX-License-Identifier: MIT
/* The rings: doorbells, whose turn it is, resets, registers. */
#include <fenv.h>
#include <sched.h>

#include "job.h"

#define MOMENT_NS	500000	/* longest look for a next job without a doorbell */
#define CROWDED_NS	300000	/* who is away for so long has yielded to others */

uint64_t sim_time_ns(struct sim_core *core)
{
	return sim_monotonic_ns() - atomic_load(&core->epoch_ns) + 1;
}

/* ---- doorbells ---- */

/* What a doorbell or its shadow says. */
static void set_tail(struct sim_ring *ring, uint32_t value)
{
	uint32_t ahead = value - ring->head;

	/* Further than the ring is long, or behind the value before it. */
	if (ahead > 1U << ring->log2 || ahead < ring->tail - ring->head)
		ring->bad_doorbell = true;
	else
		ring->tail = value;
}

/*
 * Who is told the end of a job often has the next one a moment later, and a doorbell costs him
 * more than a moment.  How long that is, is learnt: all that is granted if the last one was
 * worth it, less and less if not, and nothing if somebody else needs this machine's processor.
 */
static uint32_t wait_a_moment(struct sim_ring *ring, _Atomic uint32_t *p, uint32_t known)
{
	uint64_t moment = atomic_load(&ring->moment_ns), now = sim_monotonic_ns(), before;
	uint64_t until = now + moment;
	struct sim_loan *loan = ring->mem.loan;
	uint32_t tail;

	do {
		sched_yield();
		tail = atomic_load_explicit(p, memory_order_acquire);
		before = now;
		now = sim_monotonic_ns();
		if (now - before > CROWDED_NS) {
			atomic_store(&ring->moment_ns, 0);
			return tail;
		}
	} while (tail == known && now < until && !atomic_load(&ring->mem.abort) &&
		 !(loan && loan->wanted(loan->ctx)));
	atomic_store(&ring->moment_ns, tail != known ? MOMENT_NS : moment / 2);
	return tail;
}

/* The two words, which are there up to the next nap; NULL: the bus refuses. */
static _Atomic uint32_t *shadow_at(struct sim_core *core, uint64_t addr)
{
	return (_Atomic uint32_t *)sim_bus_ptr(&core->dma, addr, sizeof(struct octans_shadow),
					       true);
}

/*
 * Looks for what came without a doorbell.  If there is nothing, a doorbell is asked for, and
 * then it looks again: who wrote the tail before it could see the question will not ring.
 */
static void look(struct sim_ring *ring, uint64_t addr, uint32_t known, struct sim_outcome *o)
{
	struct sim_core *core = ring->core;
	_Atomic uint32_t *p = shadow_at(core, addr);
	uint32_t tail;

	if (!p)
		goto refused;
	tail = atomic_load_explicit(&p[0], memory_order_acquire);
	if (tail == known)
		tail = wait_a_moment(ring, &p[0], known);
	if (tail == known) {
		sim_nap(&ring->mem, atomic_load(&ring->slow_us));
		p = shadow_at(core, addr);
		if (!p)
			goto refused;
		atomic_store_explicit(&p[1], known, memory_order_relaxed);
		atomic_thread_fence(memory_order_seq_cst);
		tail = atomic_load_explicit(&p[0], memory_order_acquire);
	}
	pthread_mutex_lock(&core->lock);
	if (tail != known)
		set_tail(ring, tail);
	else
		ring->rest_ns = sim_monotonic_ns();
	ring->busy = false;
	pthread_mutex_unlock(&core->lock);
	return;

refused:
	sim_job_none(ring, o, addr);
}

/* ---- the threads ---- */

static bool has_job(const struct sim_ring *ring)
{
	return ring->bad_doorbell || ring->head != ring->tail;
}

static bool has_work(const struct sim_ring *ring)
{
	return ring->enabled && !ring->halted && !ring->resetting && !ring->core->stopped &&
	       (has_job(ring) || ring->look);
}

/* There is work, and no thread is at it: this one is.  Lock held, but not meanwhile. */
static void take_turn(struct sim_ring *ring, struct sim_loan *loan)
{
	struct sim_core *core = ring->core;
	struct sim_outcome o = { 0 };
	struct exec_memory *left;
	bool job = has_job(ring);
	uint64_t shadow = ring->shadow & ~OCTANS_SHADOW_ENABLE;
	uint32_t vector, known = ring->tail;

	ring->active = true;
	ring->busy = true;
	/* After a job there may be another; what rings from here on makes it look anew. */
	ring->look = job && (ring->shadow & OCTANS_SHADOW_ENABLE);
	o.desc = ring->base + (ring->head & ((1U << ring->log2) - 1)) * sizeof(struct octans_desc);
	if (job) {
		o.bad_doorbell = ring->bad_doorbell;
		ring->bad_doorbell = false;
	}
	ring->mem.loan = loan;
	atomic_store(&ring->mem.abort, false);
	pthread_mutex_unlock(&core->lock);

	sim_mem_enter(&ring->mem);
	if (job)
		sim_job(ring, &o);
	else
		look(ring, shadow, known, &o);
	sim_mem_leave(&ring->mem);

	pthread_mutex_lock(&core->lock);
	vector = ring->vector;
	left = ring->left;
	ring->left = NULL;
	ring->active = false;
	core->settled(core->owner);
	pthread_mutex_unlock(&core->lock);

	sim_exec_free(left);
	if (o.event_irq)
		sim_irq_raise(&core->irq, o.event_vector);
	if (o.irq)
		sim_irq_raise(&core->irq, vector);
	pthread_mutex_lock(&core->lock);
}

static void *ring_main(void *arg)
{
	struct sim_ring *ring = arg;
	struct sim_core *core = ring->core;

	fesetenv(FE_DFL_ENV);	/* a processor does not round as the program that made it */
	pthread_mutex_lock(&core->lock);
	while (!ring->stop) {
		if (has_work(ring) && !ring->active)
			take_turn(ring, NULL);
		else
			pthread_cond_wait(&ring->wake, &core->lock);
	}
	pthread_mutex_unlock(&core->lock);
	return NULL;
}

/* Nobody misses the thread: it stays for another job. */
static bool may_stay(struct sim_loan *loan)
{
	uint64_t now = sim_monotonic_ns();

	if (now < loan->until_ns)
		return true;
	if (loan->called || loan->wanted(loan->ctx))
		return false;
	loan->until_ns = now + SIM_LEND_NS;
	return true;
}

void sim_ring_work(struct sim_ring *ring, struct sim_loan *loan)
{
	struct sim_core *core = ring->core;
	fenv_t env;

	fegetenv(&env);
	fesetenv(FE_DFL_ENV);
	pthread_mutex_lock(&core->lock);
	while (has_work(ring) && !ring->active && may_stay(loan))
		take_turn(ring, loan);
	/* What is left, and what came meanwhile. */
	if (has_work(ring) && !ring->active)
		pthread_cond_signal(&ring->wake);
	pthread_mutex_unlock(&core->lock);
	fesetenv(&env);
}

/* There may be work. */
static void wake(struct sim_ring *ring)
{
	if (ring->core->lent)
		ring->core->todo |= 1U << ring->index;
	else
		pthread_cond_signal(&ring->wake);
}

int sim_ring_init(struct sim_ring *ring, struct sim_core *core, unsigned int index)
{
	int ret;

	ring->core = core;
	ring->index = index;
	sim_mem_init(&ring->mem, &core->mmu, &core->clock, index);
	pthread_cond_init(&ring->wake, NULL);
	ret = -pthread_create(&ring->thread, NULL, ring_main, ring);
	if (ret)
		pthread_cond_destroy(&ring->wake);
	return ret;
}

void sim_ring_destroy(struct sim_ring *ring)
{
	pthread_mutex_lock(&ring->core->lock);
	ring->stop = true;
	sim_ring_abort(ring);
	pthread_cond_signal(&ring->wake);
	pthread_mutex_unlock(&ring->core->lock);
	pthread_join(ring->thread, NULL);
	pthread_cond_destroy(&ring->wake);
}

/* ---- resets ---- */

void sim_ring_abort(struct sim_ring *ring)
{
	if (ring->active)
		atomic_store(&ring->mem.abort, true);
}

bool sim_ring_start_reset(struct sim_ring *ring)
{
	if (ring->resetting)
		return false;
	ring->resetting = true;
	ring->enabled = false;
	sim_ring_abort(ring);
	return true;
}

void sim_ring_reset_done(struct sim_ring *ring)
{
	ring->enabled = false;
	ring->halted = false;
	ring->head = 0;
	ring->tail = 0;
	ring->records = 0;
	ring->bad_doorbell = false;
	ring->look = false;
	ring->busy = false;
	ring->since = 0;
	ring->seqno = 0;
	ring->resetting = false;
	/* A hang ends with the reset that it called for. */
	atomic_store(&ring->mem.hang, false);
	atomic_store(&ring->hold, false);
}

void sim_ring_initial_values(struct sim_ring *ring)
{
	sim_ring_reset_done(ring);
	ring->reset_failed = false;
	ring->base = 0;
	ring->wb = 0;
	ring->cq = 0;
	ring->shadow = 0;
	ring->log2 = 0;
	ring->cq_log2 = 0;
	ring->vector = 0;
	ring->fault = (struct sim_fault) { 0 };
	atomic_store(&ring->mem.progress, 0);
	atomic_store(&ring->cycles, 0);
}

/* ---- registers ---- */

void sim_ring_doorbell(struct sim_ring *ring, uint32_t value)
{
	if (!ring->enabled || ring->halted || ring->resetting || sim_consume(&ring->drop_bell))
		return;
	if (ring->shadow & OCTANS_SHADOW_ENABLE) {
		ring->look = true;
		if (sim_monotonic_ns() - ring->rest_ns < MOMENT_NS)
			atomic_store(&ring->moment_ns, MOMENT_NS);
	} else {
		set_tail(ring, value);
	}
	wake(ring);
}

uint64_t sim_ring_read(struct sim_ring *ring, unsigned int reg)
{
	switch (reg) {
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
		return (ring->busy ? OCTANS_RING_BUSY : 0) |
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
		return atomic_load(&ring->mem.progress);
	case OCTANS_RING_CYCLES:
		return atomic_load(&ring->cycles);
	case OCTANS_RING_FAULT_SEQNO:
		return ring->fault.seqno;
	case OCTANS_RING_FAULT_VA:
		return ring->fault.va;
	case OCTANS_RING_FAULT_CODE:
		return ring->fault.code;
	case OCTANS_RING_CQ_BASE:
		return ring->cq;
	case OCTANS_RING_CQ_LOG2:
		return ring->cq_log2;
	case OCTANS_RING_SHADOW:
		return ring->shadow;
	}
	return 0;
}

/* Whether the ring has a place that it can work with. */
static bool place_ok(const struct sim_ring *ring)
{
	if (ring->log2 < 1 || ring->log2 > SIM_RING_LOG2_MAX ||
	    ring->base % sizeof(struct octans_desc) || ring->wb % 8)
		return false;
	if ((ring->shadow & OCTANS_SHADOW_ENABLE) && ring->shadow % 8 != OCTANS_SHADOW_ENABLE)
		return false;
	return !ring->cq_log2 ||
	       (ring->cq_log2 >= ring->log2 && ring->cq_log2 <= SIM_RING_LOG2_MAX &&
		!(ring->cq % sizeof(struct octans_completion)));
}

static void write_ctrl(struct sim_ring *ring, uint32_t value)
{
	bool on = (value & OCTANS_RING_ENABLE) && place_ok(ring);

	if (ring->resetting)
		return;
	if (on && !ring->enabled)
		ring->fault = (struct sim_fault) { 0 };
	ring->enabled = on;
	ring->look = on && (ring->shadow & OCTANS_SHADOW_ENABLE);
	wake(ring);
}

void sim_ring_write(struct sim_ring *ring, unsigned int reg, uint64_t value)
{
	/* The place must hold still while the ring may use it. */
	bool fixed = ring->enabled || ring->busy || ring->resetting;

	switch (reg) {
	case OCTANS_RING_CTRL:
		write_ctrl(ring, value);
		break;
	case OCTANS_RING_VECTOR:
		ring->vector = value;
		break;
	case OCTANS_RING_BASE:
		ring->base = fixed ? ring->base : value;
		break;
	case OCTANS_RING_WB:
		ring->wb = fixed ? ring->wb : value;
		break;
	case OCTANS_RING_LOG2:
		ring->log2 = fixed ? ring->log2 : value;
		break;
	case OCTANS_RING_CQ_BASE:
		ring->cq = fixed ? ring->cq : value;
		break;
	case OCTANS_RING_CQ_LOG2:
		ring->cq_log2 = fixed ? ring->cq_log2 : value;
		break;
	case OCTANS_RING_SHADOW:
		ring->shadow = fixed ? ring->shadow : value;
		break;
	}
}
