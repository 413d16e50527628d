/* SPDX-License-Identifier: MIT */
/* Which part of a round trip the program is in, for tests/bench/insns.c: an instruction that does nothing. */
#ifndef BENCH_PHASE_H
#define BENCH_PHASE_H

#define PHASE_MARK	0x0c7a5000

enum phase {
	PHASE_NONE,
	PHASE_SEND,
	PHASE_WAIT,
	PHASE_REPORT,	/* the counts are written, and begin anew */
	PHASES,
};

#define phase(p)	__asm__ volatile("nopl %c0(%%rax)" : : "i"(PHASE_MARK | (p)) : "memory")

#endif
