/* SPDX-License-Identifier: MIT */
/* Registers, which are the test's functions. */
#ifndef TESTS_KMOD_IO_H
#define TESTS_KMOD_IO_H

#include <linux/types.h>

#ifndef __iomem
#define __iomem
#endif
#ifndef BIT
#define BIT(n)			(1UL << (n))
#endif
#ifndef cpu_to_le32
#define cpu_to_le16(x)		((__le16)(x))
#define cpu_to_le32(x)		((__le32)(x))
#endif
#ifndef wmb
#define wmb()			__sync_synchronize()
#endif
#ifndef dma_rmb
#define dma_rmb()		__sync_synchronize()
#endif

#define writeq_relaxed		writeq

static void writel(u32 value, void *reg);
static void writeq(u64 value, void *reg);
static u32 readl(const void *reg);
static u64 readq(const void *reg);

#endif
