/* SPDX-License-Identifier: MIT */
/* Ways to send work that does nothing to a device and to learn that it has ended. */
#ifndef BENCH_ROUNDTRIP_H
#define BENCH_ROUNDTRIP_H

#include <stdbool.h>

#define MOST_DEPTH	32
#define SPIN_NS		1000000		/* so long, then one sleeps */

enum shape {
	ONE,		/* a call for each; for each that has ended another one is sent */
	AS_THEY_COME,	/* all that have ended are replaced with one call */
	TOGETHER,	/* depth of them are sent with one call, and all waited for */
};

enum waiting {
	SLEEP,		/* in the kernel, until the interrupt */
	SPIN,		/* on what the device, or io_uring, writes into the program's memory */
	SPIN_SLEEP,	/* the same, and then the fence is asked, too */
	POLL,		/* in the kernel, on the completion queue, without interrupts (NVMe) */
};

struct way {
	const char *name;
	unsigned int depth;		/* in flight, always */
	enum shape shape;
	enum waiting waiting;
};

/* How many there were a second; negative: it did not work, which was said. */
double octans_rate(const char *node, const struct way *way, double seconds);
double nvme_rate(const char *node, const struct way *way, double seconds);

#endif
