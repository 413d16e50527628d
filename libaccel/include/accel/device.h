/* SPDX-License-Identifier: MIT */
/*
 * libaccel: buffers, address spaces, queues and fences of a processor.  What a command
 * stream holds is in octans/isa.h.  Conventions are at the head of accel/accel.h.
 */
#ifndef ACCEL_DEVICE_H
#define ACCEL_DEVICE_H

#include <stdbool.h>

#include <accel/accel.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct accel_bo;
struct accel_vm;
struct accel_queue;
struct accel_fence;

#define ACCEL_BO_HOST	0u	/* host memory, reached over PCIe */
#define ACCEL_BO_DEVICE	1u	/* on-card memory */

/* A zeroed buffer of at least size bytes.  label: for people, or NULL.  On the model memory costs
 * what is touched of it, so there may be more than the host has.
 * -ENOSPC: not enough on-card memory.  MT */
int accel_bo_new(struct accel_dev *dev, uint64_t size, uint32_t flags, const char *label,
		 struct accel_bo **out);
/* Address spaces that map it keep the memory until they unmap it.  MT */
void accel_bo_free(struct accel_bo *bo);
/* The buffer in this process, mapped at the first call, until it is freed.  *map is NULL after an error: -ENOMEM,
 * -ENODEV and others of mmap().  MT */
int accel_bo_map(struct accel_bo *bo, void **map);
/* Bytes, a multiple of the page size.  MT */
uint64_t accel_bo_size(const struct accel_bo *bo);
/* *fd: a dma-buf, or of the model memory that other models import, which the caller closes.  Before any job uses the
 * buffer: on the model, what is written meanwhile may be lost.  -ENOTSUP: on-card memory of the model.  MT */
int accel_bo_export(struct accel_bo *bo, int *fd);
/* A buffer from that, of this device or another; fd stays the caller's.  The memory is shared,
 * the buffer is one of its own: each is freed.  -EINVAL: fd is something else.  MT */
int accel_bo_import(struct accel_dev *dev, int fd, struct accel_bo **out);

/* An empty address space.  -EBUSY: the processor has none left.  MT */
int accel_vm_new(struct accel_dev *dev, struct accel_vm **out);
void accel_vm_free(struct accel_vm *vm);	/* its queues are freed before */

#define ACCEL_MAP_READONLY 1u
/*
 * Maps size bytes of bo from offset at device address va, replacing what was there.
 * offset, va and size are multiples of the page size.
 *
 * The processor's pages are as large as these allow: 2 MiB where va and offset are multiples of
 * ACCEL_VA_ALIGN and that much is left, 1 GiB and 64 KiB in the same way.  A large buffer begins
 * at a multiple of the largest page that fits in it, if there is such a place: map it as a
 * whole, at accel_va_align(va, size).  Replacing or unmapping part of a mapping waits, on the
 * model, for the jobs of the address space that run, if it breaks a large page.  MT
 */
int accel_vm_map(struct accel_vm *vm, struct accel_bo *bo, uint64_t offset, uint64_t va,
		 uint64_t size, uint32_t flags);
#define ACCEL_VA_ALIGN	(1ull << 21)
/* The first device address from va on at which a buffer of size bytes gets the largest pages. */
static inline uint64_t accel_va_align(uint64_t va, uint64_t size)
{
	uint64_t page = size >= 1ull << 30 ? 1ull << 30 : size >= ACCEL_VA_ALIGN ? ACCEL_VA_ALIGN :
			1ull << 16;

	return (va + page - 1) & ~(page - 1);
}
/* On return the processor no longer reaches va .. va + size - 1.  MT */
int accel_vm_unmap(struct accel_vm *vm, uint64_t va, uint64_t size);

/* An access that the processor's MMU refused. */
struct accel_fault {
	size_t sz;		/* set by the caller */
	uint64_t va;		/* address */
	uint64_t tag;		/* of the job */
	uint64_t cmd_offset;	/* of the command in its stream */
	uint32_t code;		/* 1 no address space, 2 not mapped, 3 read only, 4 bad entry */
	uint32_t write;
};
/* Takes the oldest fault from the log: 1 = filled, 0 = none, or -errno.  MT */
int accel_vm_fault(struct accel_vm *vm, struct accel_fault *fault);

enum accel_priority { ACCEL_PRIORITY_NORMAL = 0, ACCEL_PRIORITY_LOW, ACCEL_PRIORITY_HIGH };

/* A queue runs its jobs one after the other, in order of submission.
 * timeout_ms: longest time one job may run; 0 = the default.  The model, where that may be minutes,
 * also stops a job that stands still (hangs, or waits) for 10 s.  MT */
int accel_queue_new(struct accel_vm *vm, enum accel_priority priority, uint32_t timeout_ms,
		    struct accel_queue **out);
/* Stops what runs.  The fences of its jobs are freed before.  MT */
void accel_queue_free(struct accel_queue *queue);
/*
 * Why the queue is stopped: the error of the job that failed first, as accel_fence_wait() of that
 * job gives it (-ETIME, -EFAULT, -EIO, -ECANCELED, -ENODEV, -ENODATA); -EACCES: jobs of this program
 * have failed too often; 0: it is not stopped.  Tells the cause when a later job, or accel_submit(), says -ECANCELED.  MT
 */
int accel_queue_error(struct accel_queue *queue);

/* A recorded command stream and what it is run with. */
struct accel_job {
	size_t sz;		/* of this structure, the same in all jobs of an array */
	uint64_t va;		/* of the stream, a multiple of 16 */
	uint64_t tag;		/* comes back in faults */
	uint64_t param_va;	/* u32s, a multiple of 4, read when the job starts; 0 without */
	uint32_t size;		/* bytes of the stream, a multiple of 16 */
	uint32_t param_count;	/* 0 .. 64 */
};
#define ACCEL_MAX_JOBS		64
#define ACCEL_MAX_STREAM	(16u << 20)	/* bytes of one job's stream */

/*
 * Queues n_jobs (1 .. ACCEL_MAX_JOBS) jobs, all or none, in one call.  They run one after the
 * other, the first when the jobs of the n fences in deps, of this or other devices, have ended, well or not:
 * who needs to know which looks at those fences.  *out, unless out is NULL: a fence of the last job, which
 * the caller frees.  -EINVAL: nothing was queued, accel_error() names the job or the fence;
 * -ECANCELED: a job of this queue failed before (accel_queue_error()), make a new queue; -EACCES: so
 * many jobs of this program have failed that the driver takes no more for some seconds; -ENODATA: the
 * processor has lost what its memory held, make new buffers and a new address space, too.
 * The kernel holds a bounded number of jobs that have not ended (Documentation/uapi/octans.rst): this call
 * blocks until there is room; and until deps have ended where one of the two devices is the model and the other is
 * not, or where there is no descriptor or memory for a fence to pass from one to the other.  MT
 */
int accel_submit(struct accel_queue *queue, const struct accel_job *jobs, size_t n_jobs,
		 struct accel_fence *const *deps, size_t n, struct accel_fence **out);

/*
 * Waits until the job has ended and returns its result: 0, -ETIME (it ran longer than the
 * queue's timeout), -EFAULT (accel_vm_fault() tells where), -EIO (bad command), -ENODEV,
 * -ENODATA (accel_submit() says when), -ECANCELED: it was dropped because an earlier job of the queue failed (accel_queue_error() says
 * how), or the processor was reset because of another client; also if that befell another of the
 * jobs that were submitted with it.  -ETIMEDOUT: it has not ended at CLOCK_MONOTONIC abs_ns
 * (INT64_MAX: no limit, 0: just look).  The queue must still be there.
 *
 * -EMFILE, -ENFILE and -ENOMEM say nothing about the job or the processor: this process or machine
 * lacks what is needed to read the result, which stays where it is.  Ask again.  MT
 */
int accel_fence_wait(struct accel_fence *fence, int64_t abs_ns);
/* *fd: a sync_file, for poll() and other drivers; the caller closes it.
 * -ENOTSUP for the model.  MT */
int accel_fence_export(struct accel_fence *fence, int *fd);
void accel_fence_free(struct accel_fence *fence);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
