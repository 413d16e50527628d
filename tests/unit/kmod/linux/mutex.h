/* SPDX-License-Identifier: MIT */
#ifndef TESTS_KMOD_MUTEX_H
#define TESTS_KMOD_MUTEX_H

struct mutex {
	int held;
};

#endif
