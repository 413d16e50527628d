/* SPDX-License-Identifier: MIT */
/*
 * A processor on a bench: the model with 16 MiB of host memory and hand-made page
 * tables, driven by its registers alone.
 */
#ifndef TESTS_SIM_RIG_H
#define TESTS_SIM_RIG_H

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <octans/isa.h>

#include "device.h"
#include "tap.h"

#define RIG_IOVA	0x100000000ULL
#define RIG_SIZE	(16u << 20)

/* Where things lie in the host memory. */
#define RIG_ASIDS	0x00000	/* the ASID table, 8 KiB */
#define RIG_EVENTS	0x02000
#define RIG_WB		0x03000	/* 64 bytes a ring */
#define RIG_RING	0x04000	/* 4 KiB a ring */
#define RIG_TABLES	0x20000	/* page tables from here on */
#define RIG_DATA	0x80000	/* for the tests */
#define RIG_LARGE	0x800000	/* 2 MiB aligned, 4 MiB long */

struct rig {
	struct sim_device *dev;
	uint8_t *mem;
	uint64_t tables;	/* next free */
	uint32_t tail[OCTANS_MAX_RINGS];
	uint32_t ticket;	/* of the newest invalidation */
	atomic_uint irqs[OCTANS_VECTORS(OCTANS_MAX_RINGS)];
};

#define RIG_FN __attribute__((unused)) static

RIG_FN void rig_irq(void *ctx, unsigned int vector)
{
	struct rig *rig = ctx;

	atomic_fetch_add(&rig->irqs[vector], 1);
}

RIG_FN void rig_nap(unsigned int us)
{
	struct timespec t = { us / 1000000, us % 1000000 * 1000L };

	nanosleep(&t, NULL);
}

/* Waits up to 5 s for a condition; an expression, true if it came. */
#define rig_until(cond)								\
	({									\
		int rig_tries_ = 25000;						\
		while (!(cond) && --rig_tries_)					\
			rig_nap(200);						\
		rig_tries_ > 0;							\
	})

RIG_FN uint32_t rd32(struct rig *rig, uint64_t off)
{
	return sim_reg_read(rig->dev, off, 4);
}

RIG_FN uint64_t rd64(struct rig *rig, uint64_t off)
{
	return sim_reg_read(rig->dev, off, 8);
}

RIG_FN void wr32(struct rig *rig, uint64_t off, uint32_t v)
{
	sim_reg_write(rig->dev, off, 4, v);
}

RIG_FN void wr64(struct rig *rig, uint64_t off, uint64_t v)
{
	sim_reg_write(rig->dev, off, 8, v);
}

RIG_FN uint64_t *rig_u64(struct rig *rig, uint64_t off)
{
	return (uint64_t *)(rig->mem + off);
}

RIG_FN void rig_new_with(struct rig *rig, const struct sim_config *config)
{
	struct sim_bus bus = { .irq = rig_irq, .ctx = rig };
	char err[256];

	memset(rig, 0, sizeof(*rig));
	rig->mem = mmap(NULL, RIG_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (rig->mem == MAP_FAILED || sim_device_new(config, &bus, &rig->dev, err, sizeof(err)) ||
	    sim_dma_map(rig->dev, RIG_IOVA, RIG_SIZE, rig->mem, true)) {
		printf("Bail out! no processor to test\n");
		exit(1);
	}
	rig->tables = RIG_TABLES;
	sim_set_bus_master(rig->dev, true);
}

RIG_FN void rig_new(struct rig *rig, const char *profile)
{
	rig_new_with(rig, &(struct sim_config) {
		.profile = profile, .local_size = 16 << 20, .threads = 1,
	});
}

RIG_FN void rig_free(struct rig *rig)
{
	sim_device_free(rig->dev);
	munmap(rig->mem, RIG_SIZE);
}

RIG_FN void rig_ring(struct rig *rig, unsigned int r, unsigned int log2)
{
	rig->tail[r] = 0;
	wr64(rig, OCTANS_RING(r) + OCTANS_RING_BASE, RIG_IOVA + RIG_RING + r * 0x1000);
	wr64(rig, OCTANS_RING(r) + OCTANS_RING_WB, RIG_IOVA + RIG_WB + r * 64);
	wr32(rig, OCTANS_RING(r) + OCTANS_RING_LOG2, log2);
	wr32(rig, OCTANS_RING(r) + OCTANS_RING_VECTOR, 1 + r);
	wr32(rig, OCTANS_RING(r) + OCTANS_RING_CTRL, OCTANS_RING_ENABLE);
}

/* MMU, events and all rings on, as a driver would after a reset. */
RIG_FN void rig_start(struct rig *rig)
{
	wr64(rig, OCTANS_REG_ASID_BASE, RIG_IOVA + RIG_ASIDS);
	wr32(rig, OCTANS_REG_MMU_CTRL, OCTANS_MMU_ENABLE);
	wr64(rig, OCTANS_REG_EVT_BASE, RIG_IOVA + RIG_EVENTS);
	wr32(rig, OCTANS_REG_EVT_LOG2, 4);
	wr32(rig, OCTANS_REG_EVT_CTRL, OCTANS_EVT_ENABLE);
	for (unsigned int r = 0; r < rig->dev->rings; r++)
		rig_ring(rig, r, 4);
}

/* The entry for @va at @level of address space @asid, made if need be. */
RIG_FN uint64_t *rig_pte(struct rig *rig, unsigned int asid, uint64_t va, int level)
{
	uint64_t *e = rig_u64(rig, RIG_ASIDS + 8 * asid);

	for (int l = 4; l > level; l--) {
		if (!(*e & OCTANS_PTE_VALID)) {
			*e = (RIG_IOVA + rig->tables) | OCTANS_PTE_VALID;
			rig->tables += 0x1000;
		}
		e = rig_u64(rig, (*e & OCTANS_ADDR_MASK) - RIG_IOVA);
		e += va >> (12 + 9 * (l - 1)) & 511;
	}
	return e;
}

/* Host memory at @off mapped for @asid at @va. */
RIG_FN void rig_map(struct rig *rig, unsigned int asid, uint64_t va, uint64_t off, uint64_t size,
		    uint64_t bits)
{
	for (uint64_t i = 0; i < size; i += 0x1000)
		*rig_pte(rig, asid, va + i, 0) = (RIG_IOVA + off + i) | OCTANS_PTE_VALID | bits;
}

/* Asks for an invalidation; returns its ticket. */
RIG_FN uint32_t rig_forget(struct rig *rig, uint64_t what)
{
	wr64(rig, OCTANS_REG_INVALIDATE, what | OCTANS_INVALIDATE_TICKET(++rig->ticket));
	return rig->ticket;
}

RIG_FN bool rig_forgot(struct rig *rig, uint32_t ticket)
{
	return (int32_t)(rd32(rig, OCTANS_REG_INVALIDATED) - ticket) >= 0;
}

RIG_FN void rig_invalidate(struct rig *rig, uint64_t what)
{
	uint32_t ticket = rig_forget(rig, what);

	ok(rig_until(rig_forgot(rig, ticket)), "the invalidation completes");
}

/* A line of the control channel. */
RIG_FN bool rig_control(struct rig *rig, const char *line)
{
	char reply[4096];

	return !sim_control(rig->dev, line, reply, sizeof(reply));
}

/* Writes descriptor number tail[r] without ringing. */
RIG_FN struct octans_desc *rig_desc(struct rig *rig, unsigned int r, uint64_t seqno, unsigned int asid,
				    uint64_t va, uint32_t size)
{
	struct octans_desc *d = (struct octans_desc *)(rig->mem + RIG_RING + r * 0x1000);
	uint32_t mask = (1u << rd32(rig, OCTANS_RING(r) + OCTANS_RING_LOG2)) - 1;

	d += rig->tail[r]++ & mask;
	*d = (struct octans_desc) {
		.seqno = seqno, .cmd_va = va, .cmd_size = size, .asid = asid,
		.flags = OCTANS_DESC_IRQ, .tag = seqno << 32,
	};
	return d;
}

RIG_FN void rig_bell(struct rig *rig, unsigned int r)
{
	wr32(rig, OCTANS_DOORBELL(r), rig->tail[r]);
}

RIG_FN uint64_t rig_wb(struct rig *rig, unsigned int r)
{
	return atomic_load((_Atomic uint64_t *)rig_u64(rig, RIG_WB + r * 64));
}

/* How job @seqno on ring @r ended; -1 if it did not. */
RIG_FN int rig_ended(struct rig *rig, unsigned int r, uint64_t seqno)
{
	if (!rig_until(OCTANS_WB_SEQNO(rig_wb(rig, r)) == seqno))
		return -1;
	return OCTANS_WB_STATUS(rig_wb(rig, r));
}

/* Runs one job to its end. */
RIG_FN int rig_run(struct rig *rig, unsigned int r, uint64_t seqno, unsigned int asid, uint64_t va,
		   uint32_t size)
{
	rig_desc(rig, r, seqno, asid, va, size);
	rig_bell(rig, r);
	return rig_ended(rig, r, seqno);
}

RIG_FN bool rig_reset_ring(struct rig *rig, unsigned int r)
{
	uint64_t ctrl = OCTANS_RING(r) + OCTANS_RING_CTRL;

	wr32(rig, ctrl, OCTANS_RING_RESET);
	if (!rig_until(!(rd32(rig, ctrl) & OCTANS_RING_RESET)))
		return false;
	rig->tail[r] = 0;
	wr32(rig, ctrl, OCTANS_RING_ENABLE);
	return true;
}

RIG_FN const struct octans_event *rig_event(struct rig *rig, uint32_t index)
{
	return (struct octans_event *)(rig->mem + RIG_EVENTS) + index % 16;
}

RIG_FN struct octans_cmd cmd_nop(void)
{
	return (struct octans_cmd) { .op = OCTANS_OP_NOP, .size = sizeof(struct octans_cmd) };
}

RIG_FN struct octans_cmd_copy cmd_copy(uint64_t dst, uint64_t src, uint64_t size)
{
	return (struct octans_cmd_copy) {
		.cmd = { .op = OCTANS_OP_COPY, .size = sizeof(struct octans_cmd_copy) },
		.dst = dst, .src = src, .size = size,
	};
}

#endif
