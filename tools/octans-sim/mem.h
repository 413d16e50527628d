/* SPDX-License-Identifier: MIT */
/* One ring's view of memory while it runs a job: what sim.h promises to the operations. */
#ifndef OCTANS_SIM_MEM_H
#define OCTANS_SIM_MEM_H

#include "clock.h"
#include "mmu.h"

/* Nanoseconds of work between two yields, by the estimates below; an operation comes to its next
 * safe point within a millisecond after that. */
#define SIM_BUDGET_NS	500000

#define SIM_PAGE_BATCH	64

#define SIM_LEND_NS	50000	/* a thread is lent for so long at a time */

uint64_t sim_monotonic_ns(void);

/* A thread that was lent to run jobs, and may be wanted back. */
struct sim_loan {
	uint64_t until_ns;		/* sim_monotonic_ns(); between jobs, longer if not wanted */
	bool (*wanted)(void *ctx);
	void (*overdue)(void *ctx);	/* called once, by this thread, in a job that is not over */
	void *ctx;
	bool called;
};

struct sim_mem {
	struct sim_tlbs tlbs;
	struct sim_dma *dma;
	struct sim_window window;
	uint64_t spent;			/* nanoseconds since the last yield */
	unsigned int deaths;		/* of the bus's regions, when the job began */

	/* set by others at any time */
	atomic_bool abort;		/* what runs is to be dropped */
	atomic_bool hang;		/* injected: it does not come to its end */
	atomic_uint fault;		/* injected: the next access is refused */
	_Atomic uint64_t progress;

	/* of the job that runs: whose thread it has, or NULL */
	struct sim_loan *loan;

	/* of the command that runs */
	struct sim_clock *clock;
	unsigned int ring;		/* its number, for the clock */
	struct sim_command cost;
	bool committed;			/* the clock has it */
	uint64_t last_page;		/* key of the page that the operand used last */
	unsigned int pages;
	struct sim_page page[SIM_PAGE_BATCH];	/* not yet asked of the clock */
};

void sim_mem_init(struct sim_mem *m, struct sim_mmu *mmu, struct sim_clock *clock,
		  unsigned int ring);

void sim_mem_enter(struct sim_mem *m);	/* opens its window */
void sim_mem_leave(struct sim_mem *m);
void sim_mem_job(struct sim_mem *m, uint16_t asid);	/* a new job begins */
/* Lets so much time pass, or less if the job is dropped; no progress. */
void sim_nap(struct sim_mem *m, unsigned int us);
/* Memory that the host had mapped is gone: what the job has read is worth nothing. */
bool sim_mem_died(const struct sim_mem *m);

/* Reads commands or parameters; bytes by where they lie are added up in @bytes.  0 or -1. */
int sim_fetch(struct sim_mem *m, uint64_t va, void *dst, size_t len, uint64_t bytes[SIM_SIDES]);

/* A command begins; its cost is complete. */
void sim_cost_begin(struct sim_mem *m);
void sim_cost_end(struct sim_mem *m);

#endif
