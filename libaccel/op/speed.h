/* SPDX-License-Identifier: MIT */
/* How fast this machine's CPU is at what layers are made of: measured, not assumed. */
#ifndef ACCEL_SPEED_H
#define ACCEL_SPEED_H

struct cpu_speed {		/* per second, with all threads */
	double bytes;		/* of weights */
	double macs_int8, macs_f16, macs_f32;
};

/* Measured at the first call of the process, which takes about 50 ms.  -ENOMEM; errors of cpu_new().  MT */
int cpu_speed(struct cpu_speed *speed);

#endif
