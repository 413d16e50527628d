/* SPDX-License-Identifier: MIT */
/* What insns.c and hops.c use of version 7 of QEMU's interface for plugins; Debian has no qemu-plugin.h. */
#ifndef BENCH_PLUGIN_H
#define BENCH_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "phase.h"

#define EXPORT __attribute__((visibility("default")))

struct tb;
struct insn;
struct hwaddr;

enum { DISCON_INTERRUPT = 1, DISCON_EXCEPTION = 2 };
enum { CB_NO_REGS };
enum { MEM_READ = 1, MEM_WRITE };

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, void (*cb)(struct tb *, void *), void *);
void qemu_plugin_register_vcpu_discon_cb(uint64_t id, int types,
					 void (*cb)(unsigned int cpu, int type, uint64_t from,
						    uint64_t to, void *), void *);
void qemu_plugin_register_vcpu_tb_exec_cb(struct tb *, void (*cb)(unsigned int, void *), int, void *);
void qemu_plugin_register_vcpu_insn_exec_cb(struct insn *, void (*cb)(unsigned int, void *), int,
					    void *);
void qemu_plugin_register_vcpu_mem_cb(struct insn *,
				      void (*cb)(unsigned int cpu, uint32_t info, uint64_t va, void *),
				      int flags, int rw, void *);
struct hwaddr *qemu_plugin_get_hwaddr(uint32_t info, uint64_t va);
bool qemu_plugin_hwaddr_is_io(const struct hwaddr *);
size_t qemu_plugin_tb_n_insns(const struct tb *);
uint64_t qemu_plugin_tb_vaddr(const struct tb *);
struct insn *qemu_plugin_tb_get_insn(const struct tb *, size_t);
size_t qemu_plugin_insn_data(const struct insn *, void *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct insn *);

/* What an instruction is to us: a phase, or one of these. */
enum { INSN_HLT = PHASES, INSN_IRET, INSN_STORE, INSN_OTHER };

static inline int insn_kind(const struct insn *insn)
{
	uint8_t code[16] = { 0 };
	size_t size = qemu_plugin_insn_data(insn, code, sizeof(code));
	uint32_t mark;

	memcpy(&mark, code + 3, sizeof(mark));
	mark -= PHASE_MARK;
	if (size == 7 && !memcmp(code, "\x0f\x1f\x80", 3) && mark < PHASES)
		return mark;
	if (size == 1 && code[0] == 0xf4)
		return INSN_HLT;
	if (size == 2 && !memcmp(code, "\x48\xcf", 2))
		return INSN_IRET;
	/* mov of 32 bits to memory, which a doorbell is */
	if (code[0] == 0x89 || (code[0] == 0x41 && code[1] == 0x89) ||
	    (code[0] == 0x44 && code[1] == 0x89) || (code[0] == 0x45 && code[1] == 0x89))
		return INSN_STORE;
	return INSN_OTHER;
}

#define MODULES	0xffffffffc0000000ULL	/* where x86-64 has the kernel's modules */

/* Whether an instruction may be a driver's doorbell. */
static inline bool is_device_store(const struct insn *insn, int kind)
{
	return kind == INSN_STORE && qemu_plugin_insn_vaddr(insn) >= MODULES;
}

static FILE *out;

static inline bool open_out(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (!strncmp(argv[i], "out=", 4))
			out = fopen(argv[i] + 4, "w");
	if (!out)
		fprintf(stderr, "plugin: give it out=FILE\n");
	return out;
}

#endif
