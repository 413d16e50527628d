/* SPDX-License-Identifier: MIT */
/*
 * The CPU's own implementation of the command set (Documentation/hardware/commands.rst,
 * numerics.rst): it executes the streams that the processor executes, with addresses of this
 * process in place of device addresses, and gives the same bits.
 */
#ifndef ACCEL_CPU_H
#define ACCEL_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <octans/isa.h>

struct cpu;

/* An instruction set that this build has kernels for. */
struct cpu_isa {
	const char *name;
	bool supported;		/* by this machine */
};

/* The first max of them into out; returns how many there are. */
size_t cpu_isas(struct cpu_isa *out, size_t max);
/*
 * isa: its name; NULL or "auto" = the fastest that this machine has.  threads: 0 = default_threads().
 * -ENOTSUP: there is no such instruction set in this build or on this machine.
 */
int cpu_new(const char *isa, unsigned int threads, struct cpu **out);
void cpu_free(struct cpu *cpu);
/* stop(arg) is asked before each command: true ends cpu_run() with -ECANCELED.  NULL: never. */
void cpu_stop_if(struct cpu *cpu, bool (*stop)(void *arg), void *arg);
const char *cpu_isa_name(const struct cpu *cpu);
unsigned int cpu_threads(const struct cpu *cpu);
/* May weights have this type? */
bool cpu_type_supported(uint32_t type);
/* Bit n: operation n (op/list.h) is implemented. */
uint64_t cpu_ops(void);

/*
 * Executes a stream of size bytes: the va of every tensor is an address of this process, rows in effect
 * come from params.  Memory is trusted to be there; shapes, types, flags and control operands are checked as
 * the manual says.  0; -EINVAL: a command is refused (*at, unless at is NULL: its offset in the stream; what ran
 * before it has run); -ENOMEM; -ECANCELED.  One caller at a time.  SIGNAL and WAIT are refused: there is nobody to wait for;
 * PREFETCH does nothing.
 */
int cpu_run(struct cpu *cpu, const void *stream, size_t size, const uint32_t *params,
	    uint32_t n_params, size_t *at);

#endif
