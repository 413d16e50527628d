// SPDX-License-Identifier: MIT
/*
 * A plugin of QEMU that writes down when, by the host's clock, a guest passes a mark (phase.h), writes to
 * a device, is interrupted, returns from that, and is halted.  It costs next to nothing, as it
 * looks at few instructions.  Lines "ns processor event address"; events are numbers of enum phase,
 * H hlt, R iret, S before a module stores to a device, W after it, I an interrupt's entry.
 *   -plugin hops.so,out=FILE
 */
#include <time.h>

#include "plugin.h"

EXPORT int qemu_plugin_version = 7;

#define MOST_CPUS	8

static bool on;				/* between a first mark and a report */
static long long before[MOST_CPUS];	/* the last store */

static long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void event(unsigned int cpu, char what, uint64_t va)
{
	if (on)
		fprintf(out, "%lld %u %c %#llx\n", now_ns(), cpu, what, (unsigned long long)va);
}

static void seen(unsigned int cpu, void *data)
{
	int kind = (uintptr_t)data;

	if (kind == PHASE_SEND)
		on = true;
	event(cpu, kind == INSN_HLT ? 'H' : kind == INSN_IRET ? 'R' : '0' + kind, 0);
	if (kind == PHASE_REPORT) {
		on = false;
		fflush(out);
	}
}

static void will_store(unsigned int cpu, void *data)
{
	(void)data;
	if (on && cpu < MOST_CPUS)
		before[cpu] = now_ns();
}

static void stored(unsigned int cpu, uint32_t info, uint64_t va, void *data)
{
	const struct hwaddr *h;

	(void)data;
	if (!on || cpu >= MOST_CPUS)
		return;
	h = qemu_plugin_get_hwaddr(info, va);
	if (!h || !qemu_plugin_hwaddr_is_io(h))
		return;
	fprintf(out, "%lld %u S 0\n", before[cpu], cpu);
	event(cpu, 'W', 0);
}

static void interrupted(unsigned int cpu, int type, uint64_t from, uint64_t to, void *data)
{
	(void)type, (void)from, (void)data;
	event(cpu, 'I', to);
}

static void translated(struct tb *tb, void *data)
{
	size_t n = qemu_plugin_tb_n_insns(tb);

	(void)data;
	for (size_t i = 0; i < n; i++) {
		struct insn *insn = qemu_plugin_tb_get_insn(tb, i);
		int kind = insn_kind(insn);

		if (is_device_store(insn, kind)) {
			qemu_plugin_register_vcpu_insn_exec_cb(insn, will_store, CB_NO_REGS, NULL);
			qemu_plugin_register_vcpu_mem_cb(insn, stored, CB_NO_REGS, MEM_WRITE, NULL);
		} else if (kind < INSN_STORE) {
			qemu_plugin_register_vcpu_insn_exec_cb(insn, seen, CB_NO_REGS,
							       (void *)(uintptr_t)kind);
		}
	}
}

EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	(void)info;
	if (!open_out(argc, argv))
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated, NULL);
	qemu_plugin_register_vcpu_discon_cb(id, DISCON_INTERRUPT, interrupted, NULL);
	return 0;
}
