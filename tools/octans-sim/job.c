// SPDX-License-Identifier: MIT
/* A job: its commands, one by one, and what the driver is told of its end. */
#include <string.h>
#include <time.h>

#include "job.h"

/* How a job left the ring; the OCTANS_JOB_* codes are zero and up. */
#define JOB_ABORTED	(-1)

/* ---- one command ---- */

/* The injected slowness: @us for each command, abortable. */
static void dawdle(struct sim_ring *ring)
{
	unsigned int us = atomic_load_explicit(&ring->slow_us, memory_order_relaxed);

	while (us && sim_yield(&ring->mem)) {
		unsigned int n = us < 1000 ? us : 1000;

		nanosleep(&(struct timespec) { .tv_nsec = n * 1000L }, NULL);
		us -= n;
	}
}

/* What the machine has to say about a job whose command ended with @status. */
static int job_status(struct sim_ring *ring, int status)
{
	struct sim_mem *m = &ring->mem;

	if (atomic_load(&m->abort))
		return JOB_ABORTED;
	if (m->tlbs.refused.status)
		return m->tlbs.refused.status;
	if (sim_mem_died(m))
		return OCTANS_JOB_BUS;
	/* The machine refused nothing: then the command itself must be wrong. */
	return status == OCTANS_JOB_FAULT ? OCTANS_JOB_BAD_CMD : status;
}

static int execute(struct sim_ring *ring, const struct octans_cmd *cmd, const uint32_t *params,
		   uint32_t n_params)
{
	struct sim_core *core = ring->core;
	struct sim_command *cost = &ring->mem.cost;
	struct sim_exec ex = {
		.profile = core->profile,
		.pool = core->pool,
		.params = params,
		.n_params = n_params,
		.timing_only = core->timing_only,
		.time_ns = sim_time_ns(core),
	};
	int status = job_status(ring, sim_exec(&ring->mem, cmd, cmd->size, &ex));

	ring->left = ex.left;
	if (status == JOB_ABORTED || ring->mem.committed)
		return status;
	if (status == OCTANS_JOB_BAD_CMD && (cmd->op >= 64 || !(sim_exec_ops() >> cmd->op & 1)))
		sim_undefined_note(&core->undefined, SIM_UNDEFINED_OPCODE, cmd->op, cmd->size);
	sim_cost_end(&ring->mem);
	cost->fence = cmd->op == OCTANS_OP_SIGNAL || cmd->op == OCTANS_OP_WAIT;
	cost->prefetch = cmd->op == OCTANS_OP_PREFETCH;
	/* Without operands: refused while control operands were read. */
	cost->idle = ex.skipped || status == OCTANS_JOB_BAD_CMD || (status && !cost->operands);
	if (!status) {
		cost->waited = ex.waited;
		cost->macs_int8 = ex.macs_int8;
		cost->macs_f16 = ex.macs_f16;
		cost->macs_f32 = ex.macs_f32;
		cost->dma = ex.dma;
	}
	sim_clock_commit(&core->clock, ring->index, cost);
	return status;
}

/* ---- one job ---- */

static int run_stream(struct sim_ring *ring, const struct octans_desc *d, const uint32_t *params,
		      struct sim_outcome *o)
{
	uint64_t *offset = &o->offset;
	struct sim_mem *m = &ring->mem;
	_Alignas(16) uint8_t cmd[OCTANS_MAX_COMMAND];
	struct octans_cmd *head = (struct octans_cmd *)cmd;
	int status;

	for (*offset = 0; *offset < d->cmd_size; *offset += head->size) {
		dawdle(ring);
		if (!sim_yield(m))
			return JOB_ABORTED;
		sim_cost_begin(m);
		if (sim_fetch(m, d->cmd_va + *offset, head, sizeof(*head), m->cost.fetched))
			return job_status(ring, OCTANS_JOB_FAULT);
		if (head->size < sizeof(*head) || head->size % 16 || head->size > sizeof(cmd) ||
		    head->size > d->cmd_size - *offset)
			return OCTANS_JOB_BAD_CMD;
		/* The header stays as read the first time: the stream may change under us. */
		if (sim_fetch(m, d->cmd_va + *offset + sizeof(*head), cmd + sizeof(*head),
			      head->size - sizeof(*head), m->cost.fetched))
			return job_status(ring, OCTANS_JOB_FAULT);
		sim_clock_decode(&ring->core->clock, ring->index);
		o->commands++;		/* a stream is too short to wrap it */
		status = execute(ring, head, params, d->param_count);
		if (status)
			return status;
	}
	return OCTANS_JOB_OK;
}

static void run(struct sim_ring *ring, const struct octans_desc *d, struct sim_outcome *o)
{
	struct sim_core *core = ring->core;
	uint32_t params[OCTANS_PARAM_MAX];
	uint64_t bytes[SIM_SIDES] = { 0 };

	sim_clock_begin(&core->clock, ring->index);
	if (sim_fetch(&ring->mem, d->param_va, params, d->param_count * sizeof(params[0]), bytes))
		o->status = job_status(ring, OCTANS_JOB_FAULT);
	else
		o->status = run_stream(ring, d, params, o);
	o->cycles = sim_clock_end(&core->clock, ring->index);
	atomic_fetch_add(&ring->cycles, o->cycles);
}

static bool desc_ok(const struct octans_desc *d)
{
	uint64_t limit = 1ULL << OCTANS_VA_BITS;

	return !(d->cmd_va % 16) && d->cmd_size >= 16 &&
	       !(d->cmd_size % 16) && d->cmd_size <= OCTANS_CMD_MAX &&
	       !(d->flags & ~OCTANS_DESC_IRQ) && !(d->param_va % 4) &&
	       d->param_count <= OCTANS_PARAM_MAX && (d->param_count || !d->param_va) &&
	       d->param_va <= limit - d->param_count * 4ULL && !d->pad && !d->reserved[0] &&
	       !d->reserved[1];
}

static void refused_by_bus(struct sim_ring *ring, uint64_t addr, bool write)
{
	ring->mem.tlbs.refused = (struct sim_refusal) {
		.status = OCTANS_JOB_BUS, .code = OCTANS_JOB_BUS, .va = addr, .write = write,
	};
}

/* Fetches and runs one descriptor, or finds out why it cannot. */
static void run_job(struct sim_ring *ring, struct octans_desc *d, struct sim_outcome *o)
{
	struct sim_core *core = ring->core;
	uint64_t addr = o->desc;
	const uint8_t *p;

	memset(d, 0, sizeof(*d));
	o->start_ns = sim_time_ns(core);
	sim_mem_job(&ring->mem, 0);
	if (o->bad_doorbell) {
		o->status = OCTANS_JOB_BAD_DESC;
		return;
	}
	p = sim_bus_ptr(&core->dma, addr, sizeof(*d), false);
	if (!p) {
		refused_by_bus(ring, addr, false);
		o->status = OCTANS_JOB_BUS;
		return;
	}
	memcpy(d, p, sizeof(*d));
	if (!d->seqno || d->seqno >> 56) {
		memset(d, 0, sizeof(*d));	/* it is no job's, and the event says nothing of one */
		o->status = OCTANS_JOB_BAD_DESC;
		return;
	}
	o->seqno = d->seqno;
	if (d->flags & OCTANS_DESC_SKIP) {
		o->status = OCTANS_JOB_SKIPPED;
		return;
	}
	if (!desc_ok(d)) {
		o->status = OCTANS_JOB_BAD_DESC;
		return;
	}
	pthread_mutex_lock(&core->lock);
	ring->seqno = d->seqno;
	ring->since = o->start_ns;
	pthread_mutex_unlock(&core->lock);
	sim_mem_job(&ring->mem, d->asid);
	if (d->tag && d->tag == atomic_load(&core->hang_tag))
		atomic_store(&ring->mem.hang, true);
	run(ring, d, o);
}

/* ---- what the driver sees of it ---- */

/* *fault: what the registers will say. */
static void report_failure(struct sim_ring *ring, const struct octans_desc *d,
			   struct sim_outcome *o, struct sim_fault *fault)
{
	const struct sim_refusal *r = &ring->mem.tlbs.refused;
	struct octans_event e = {
		.type = OCTANS_EVT_JOB_ERROR,
		.ring = ring->index,
		.asid = d->asid,
		.seqno = o->seqno,
		.code = o->status,
		.cmd_offset = o->offset,
		.tag = d->tag,
		.time_ns = sim_time_ns(ring->core),
	};

	if (o->status == OCTANS_JOB_FAULT)
		e.type = OCTANS_EVT_JOB_FAULT;
	/* BUS without a refusal: the processor itself had no memory for the command. */
	if (r->status) {
		e.code = r->code;
		e.va = r->va;
		e.write = r->write;
		atomic_fetch_add(&ring->core->stats.faults, 1);
	}
	*fault = (struct sim_fault) {
		.seqno = e.seqno,
		.va = e.va,
		.code = o->status | e.code << 8 | e.write << 16 | e.cmd_offset << 32,
	};
	if (sim_event(&ring->core->events, &e, &o->event_vector))
		o->event_irq = true;
}

/* False: the bus refuses. */
static bool write_record(struct sim_ring *ring, const struct octans_desc *d,
			 const struct sim_outcome *o, uint64_t addr, uint64_t index)
{
	struct octans_completion c = {
		.seqno = o->seqno,
		.status = o->status,
		.commands = o->commands,
		.tag = d->tag,
		.start_ns = o->start_ns,
		.end_ns = o->end_ns,
		.cycles = o->cycles,
		.index = index,
	};
	uint8_t *p = sim_bus_ptr(&ring->core->dma, addr, sizeof(c), true);

	if (!p)
		return false;
	sim_corrupt(&ring->corrupt_cq, &c);
	memcpy(p, &c, offsetof(struct octans_completion, index));
	/* The index makes the record valid: after everything else of it. */
	atomic_store_explicit((_Atomic uint64_t *)(p + offsetof(struct octans_completion, index)),
			      c.index, memory_order_release);
	return true;
}

static bool write_back(struct sim_ring *ring, const struct sim_outcome *o, uint64_t addr)
{
	uint64_t value = OCTANS_WB(o->seqno, (uint64_t)o->status);
	uint8_t *p = sim_bus_ptr(&ring->core->dma, addr, sizeof(value), true);

	value ^= atomic_exchange(&ring->corrupt, 0);
	if (p)
		atomic_store_explicit((_Atomic uint64_t *)p, value, memory_order_release);
	return p;
}

/* Nobody will see at @addr how the job ended: say so, and stop. */
static void halt_unseen(struct sim_ring *ring, const struct octans_desc *d, struct sim_outcome *o,
			uint64_t addr)
{
	int status = o->status;
	struct sim_fault fault;

	refused_by_bus(ring, addr, true);
	o->status = OCTANS_JOB_BUS;
	report_failure(ring, d, o, &fault);
	o->status = status;
	pthread_mutex_lock(&ring->core->lock);
	ring->fault = fault;
	ring->halted = true;
	pthread_mutex_unlock(&ring->core->lock);
	o->irq = true;
}

/* The job is over: event, registers, record, writeback, in the order that the manual promises. */
static void finish_job(struct sim_ring *ring, const struct octans_desc *d, struct sim_outcome *o)
{
	bool failed = o->status != OCTANS_JOB_OK && o->status != OCTANS_JOB_SKIPPED;
	struct sim_core *core = ring->core;
	struct sim_fault fault;
	uint64_t wb, record, index;
	bool cq, quiet;

	if (failed)
		report_failure(ring, d, o, &fault);
	pthread_mutex_lock(&core->lock);
	if (failed)
		ring->fault = fault;
	if (!o->bad_doorbell) {
		ring->head++;
		ring->records++;
	}
	ring->halted = failed;
	ring->busy = false;
	ring->seqno = 0;
	ring->since = 0;
	wb = ring->wb;
	index = ring->records;
	cq = ring->cq_log2;
	quiet = cq && !wb;
	record = ring->cq + ((index - 1) & ((1ULL << ring->cq_log2) - 1)) *
			    sizeof(struct octans_completion);
	pthread_mutex_unlock(&core->lock);

	atomic_fetch_add(failed ? &core->stats.failed : o->status ? &core->stats.skipped :
			 &core->stats.jobs, 1);
	o->irq = failed || (d->flags & OCTANS_DESC_IRQ);
	if (!o->seqno)
		return;
	sim_nap(&ring->mem, atomic_load(&ring->late_us));
	if (cq && !write_record(ring, d, o, record, index))
		halt_unseen(ring, d, o, record);
	if (!quiet && !write_back(ring, o, wb))
		halt_unseen(ring, d, o, wb);
}

void sim_job(struct sim_ring *ring, struct sim_outcome *o)
{
	struct octans_desc d;

	run_job(ring, &d, o);
	o->end_ns = sim_time_ns(ring->core);
	if (o->status == JOB_ABORTED)
		atomic_fetch_add(&ring->core->stats.aborted, 1);
	else
		finish_job(ring, &d, o);
}

void sim_job_none(struct sim_ring *ring, struct sim_outcome *o, uint64_t addr)
{
	struct octans_desc none = { 0 };
	struct sim_core *core = ring->core;
	struct sim_fault fault;

	sim_mem_job(&ring->mem, 0);
	refused_by_bus(ring, addr, true);
	o->status = OCTANS_JOB_BUS;
	report_failure(ring, &none, o, &fault);
	pthread_mutex_lock(&core->lock);
	ring->fault = fault;
	ring->halted = true;
	ring->busy = false;
	pthread_mutex_unlock(&core->lock);
	o->irq = true;
}
