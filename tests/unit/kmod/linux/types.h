/* SPDX-License-Identifier: MIT */
/* What files of kmod/ that only compute need of a kernel, so that a unit test can include them. */
#ifndef TESTS_KMOD_TYPES_H
#define TESTS_KMOD_TYPES_H

#include_next <linux/types.h>

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef __u64 u64;
typedef u64 dma_addr_t;
typedef u64 resource_size_t;
typedef unsigned int gfp_t;
typedef struct { int counter; } atomic_t;

#define GFP_KERNEL_ACCOUNT	0
#define WARN_ON_ONCE(c)		({ bool warn_ = (c); if (warn_) test_warned++; warn_; })
#define READ_ONCE(x)		(*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v)	(*(volatile __typeof__(x) *)&(x) = (v))
#define ALIGN_DOWN(x, a)	((x) & ~((__typeof__(x))(a) - 1))
#define IS_ALIGNED(x, a)	(!((x) & ((__typeof__(x))(a) - 1)))
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define min(a, b)		((a) < (b) ? (a) : (b))
#define cpu_to_le64(x)		((__le64)(x))
#define le32_to_cpu(x)		(x)
#define le64_to_cpu(x)		((u64)(x))
#define dma_wmb()		__sync_synchronize()
#define wmb()			__sync_synchronize()
#define mb()			__sync_synchronize()
#define cond_resched()		((void)0)

static inline void *ERR_PTR(long error)
{
	return (void *)error;
}

static inline long PTR_ERR(const void *p)
{
	return (long)p;
}

static inline bool IS_ERR(const void *p)
{
	return (unsigned long)p > -4096UL;
}

/* How often the code said WARN_ON. */
static int test_warned __attribute__((unused));

static inline void atomic_inc(atomic_t *a)
{
	a->counter++;
}

static inline void atomic_dec(atomic_t *a)
{
	a->counter--;
}

#endif
