/* SPDX-License-Identifier: MIT */
/* How many threads a program may usefully have, when its user does not say. */
#ifndef ACCEL_THREADS_H
#define ACCEL_THREADS_H

#define MAX_DEFAULT_THREADS 256u

/* One per CPU that this process may run on, and no more than its control groups' quota pays for: at
 * least 1, at most MAX_DEFAULT_THREADS.  MT */
unsigned int default_threads(void);

/* The whole CPUs, at least 1, that the quotas of the process's control groups (v1 and v2) pay for;
 * 0: there is none.  root: "", or where /proc and /sys are looked for instead, for tests.  MT */
unsigned int cgroup_cpus(const char *root);

#endif
