/* SPDX-License-Identifier: MIT */
/* Waiting for a register, without time. */
#ifndef TESTS_KMOD_IOPOLL_H
#define TESTS_KMOD_IOPOLL_H

#include <linux/io.h>

#define readl_poll_timeout(reg, val, cond, sleep_us, timeout_us)		\
	({									\
		int tries_ = (timeout_us) / (sleep_us);				\
										\
		do {								\
			(val) = readl(reg);					\
		} while (!(cond) && tries_--);					\
		(cond) ? 0 : -ETIMEDOUT;					\
	})

#endif
