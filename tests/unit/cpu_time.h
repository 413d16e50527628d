/* SPDX-License-Identifier: MIT */
/*
 * What a test took, for those that bound it: processor time of all threads.  Time of the wall would
 * be that of the machine's other work, too, and a busy machine is no defect.
 */
#ifndef TESTS_CPU_TIME_H
#define TESTS_CPU_TIME_H

#include <time.h>

__attribute__((unused))
static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

#endif
