// SPDX-License-Identifier: MIT
/*
 * A plugin of QEMU that counts the instructions of a guest with one processor while a program of it
 * is in a phase (phase.h), by block, and apart what comes before and after the first store to a
 * device (or the mark that it waits), after a halt, and in interrupts.  For each report it writes a
 * line "marks N M", how often something was sent, and the median of the instructions that sending
 * took by itself; then lines "phase stage vector-address block instructions times".
 *   -plugin insns.so,out=FILE
 */
#include <stdlib.h>

#include "plugin.h"

EXPORT int qemu_plugin_version = 7;

#define MOST_CONTEXTS	48
#define MOST_NESTED	8
#define MOST_CALLS	65536

enum stage { BEFORE_STORE, AFTER_STORE, AFTER_HALT };

/* Where instructions count. */
struct context {
	unsigned int phase;
	enum stage stage;
	uint64_t vector;
};

struct block {
	struct block *next;
	uint64_t va, insns;
	uint64_t times[MOST_CONTEXTS];
};

static struct context contexts[MOST_CONTEXTS];
static unsigned int n_contexts;
static struct block *blocks;
static unsigned long sent;
static uint64_t call, calls[MOST_CALLS];	/* instructions of PHASE_SEND, but for interrupts */

static struct context now;
static uint64_t vectors[MOST_NESTED];	/* what was interrupted */
static unsigned int nested;
static unsigned int index_now;		/* of now */

static void changed(void)
{
	unsigned int i;

	if (!now.phase)
		return;
	for (i = 0; i < n_contexts; i++)
		if (contexts[i].phase == now.phase && contexts[i].stage == now.stage &&
		    contexts[i].vector == now.vector)
			break;
	if (i == MOST_CONTEXTS)
		i--;	/* too many kinds: in one pot */
	else if (i == n_contexts)
		contexts[n_contexts++] = now;
	index_now = i;
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void report(void)
{
	unsigned long n = sent < MOST_CALLS ? sent : MOST_CALLS;

	qsort(calls, n, sizeof(calls[0]), ascending);
	fprintf(out, "marks %lu %llu\n", sent, n ? (unsigned long long)calls[n / 2] : 0);
	sent = 0;
	for (struct block *b = blocks; b; b = b->next)
		for (unsigned int i = 0; i < n_contexts; i++) {
			if (b->times[i])
				fprintf(out, "%u %u %#llx %#llx %llu %llu\n", contexts[i].phase,
					contexts[i].stage, (unsigned long long)contexts[i].vector,
					(unsigned long long)b->va, (unsigned long long)b->insns,
					(unsigned long long)b->times[i]);
			b->times[i] = 0;
		}
	fflush(out);
}

static void seen(unsigned int cpu, void *data)
{
	int kind = (uintptr_t)data;

	(void)cpu;
	if (kind == INSN_HLT) {
		now.stage = AFTER_HALT;
	} else if (kind == INSN_IRET) {
		if (nested)		/* else from a system call */
			now.vector = vectors[--nested];
	} else {
		if (now.phase == PHASE_SEND && sent && sent <= MOST_CALLS)
			calls[sent - 1] = call;
		call = 0;
		now = (struct context) {
			.phase = kind, .stage = kind == PHASE_WAIT ? AFTER_STORE : BEFORE_STORE,
		};
		nested = 0;
		if (kind == PHASE_SEND)
			sent++;
		if (kind == PHASE_REPORT) {
			report();
			now.phase = PHASE_NONE;
		}
	}
	changed();
}

/* To the device, outside of an interrupt: the doorbell. */
static void stored(unsigned int cpu, uint32_t info, uint64_t va, void *data)
{
	const struct hwaddr *h;

	(void)cpu, (void)data;
	if (!now.phase || now.stage != BEFORE_STORE || now.vector)
		return;
	h = qemu_plugin_get_hwaddr(info, va);
	if (!h || !qemu_plugin_hwaddr_is_io(h))
		return;
	now.stage = AFTER_STORE;
	changed();
}

static void interrupted(unsigned int cpu, int type, uint64_t from, uint64_t to, void *data)
{
	(void)cpu, (void)type, (void)from, (void)data;
	if (nested == MOST_NESTED)
		return;
	vectors[nested++] = now.vector;
	now.vector = to;
	changed();
}

static void executed(unsigned int cpu, void *data)
{
	struct block *b = data;

	(void)cpu;
	if (now.phase)
		b->times[index_now]++;
	if (!now.vector)
		call += b->insns;
}

static void translated(struct tb *tb, void *data)
{
	struct block *b = calloc(1, sizeof(*b));
	size_t n = qemu_plugin_tb_n_insns(tb);

	(void)data;
	if (!b)
		return;
	*b = (struct block) { blocks, qemu_plugin_tb_vaddr(tb), n, { 0 } };
	blocks = b;
	qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, CB_NO_REGS, b);
	for (size_t i = 0; i < n; i++) {
		struct insn *insn = qemu_plugin_tb_get_insn(tb, i);
		int kind = insn_kind(insn);

		if (is_device_store(insn, kind))
			qemu_plugin_register_vcpu_mem_cb(insn, stored, CB_NO_REGS, MEM_WRITE, NULL);
		else if (kind < INSN_STORE)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, seen, CB_NO_REGS,
							       (void *)(uintptr_t)kind);
	}
}

EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	(void)info;
	if (!open_out(argc, argv))
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated, NULL);
	qemu_plugin_register_vcpu_discon_cb(id, DISCON_INTERRUPT | DISCON_EXCEPTION, interrupted, NULL);
	return 0;
}
