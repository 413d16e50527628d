/* SPDX-License-Identifier: MIT */
/*
 * The processor model as a shared object, liboctans-sim.so.0: a processor without kernel, root or
 * PCI.  It does what octans.ko does (page tables, ASIDs, rings, reset, ban) against the same model,
 * so programs and tests meet the same behaviour.  What loads it and what it is made of share this
 * file and nothing else.
 *
 * Functions return 0 or -errno.  All are thread safe; a queue keeps its jobs in order of
 * submission.  Nothing survives a fork.  The model runs threads, so it is not to be unloaded.
 */
#ifndef OCTANS_SIM_API_H
#define OCTANS_SIM_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OCTANS_SIM_LIBRARY	"liboctans-sim.so.0"
/* Of all that stands here: another one is another interface.  tests/unit/test_sim_api.c has it in
 * writing. */
#define OCTANS_SIM_VERSION	2

struct octans_inproc;		/* a processor in this process */
struct octans_inproc_bo;
struct octans_inproc_vm;
struct octans_inproc_queue;

struct octans_inproc_info {
	uint32_t hw_version, rings, va_bits, page_size;
	uint64_t ops, types, clock_hz;
	uint32_t macs_int8, macs_f16, macs_f32, local_bpc, pcie_bpc, max_ctx, max_timeout_ms;
	uint64_t sram_size, serial;
	uint64_t local_size, local_used;	/* used: page tables' share of the card included */
	char profile[40];
	bool timing_only;
};

struct octans_inproc_fault {
	uint64_t va, tag, seqno, cmd_offset;
	uint32_t code, write;	/* as struct drm_octans_fault */
};

struct octans_inproc_job {
	uint64_t va;		/* of the stream, a multiple of 16 */
	uint64_t tag;		/* comes back in faults */
	uint64_t param_va;	/* a multiple of 4; 0 without parameters */
	uint32_t size;		/* bytes of the stream, a multiple of 16, 16 .. 16 MiB */
	uint32_t param_count;	/* u32s, 0 .. 64 */
};
#define OCTANS_INPROC_MAX_JOBS	64

/* The end of a job. */
struct octans_inproc_point {
	struct octans_inproc_queue *queue;
	uint64_t seq;
};

struct octans_sim_api {
	/*
	 * @spec: NULL or keys separated by commas: profile=NAME, local=BYTES[K|M|G], rings=N,
	 * threads=N, and timing: only time is modelled, data is neither read nor written.  On-card
	 * and host memory cost what is touched of them.  @err gets one sentence on failure.
	 */
	int (*open)(const char *spec, struct octans_inproc **out, char *err, size_t errlen);
	void (*close)(struct octans_inproc *dev);	/* after everything made from it */
	int (*info)(struct octans_inproc *dev, struct octans_inproc_info *info);
	/* Fault injection, the same lines as the control socket of octans-vfio-user. */
	int (*control)(struct octans_inproc *dev, const char *line, char *reply, size_t len);

	/* Zeroed.  -ENOSPC: not enough on-card memory.  From 64 KiB, 2 MiB and 1 GiB on it is
	 * aligned to as much where there is room, for large pages. */
	int (*bo_new)(struct octans_inproc *dev, uint64_t size, bool local,
		      struct octans_inproc_bo **out);
	void (*bo_free)(struct octans_inproc_bo *bo);
	void *(*bo_map)(struct octans_inproc_bo *bo);

	/* -EBUSY: the processor has no address space left. */
	int (*vm_new)(struct octans_inproc *dev, struct octans_inproc_vm **out);
	void (*vm_free)(struct octans_inproc_vm *vm);
	/*
	 * Both replace what was mapped there.  Pages are the largest that @va, @offset and @size
	 * allow.  Where a large page has to be broken, because part of a mapping is replaced, the
	 * call waits for the jobs of this address space that run.
	 */
	int (*vm_map)(struct octans_inproc_vm *vm, struct octans_inproc_bo *bo, uint64_t offset,
		      uint64_t va, uint64_t size, bool readonly);
	int (*vm_unmap)(struct octans_inproc_vm *vm, uint64_t va, uint64_t size);
	/* 1 = *fault filled and removed from the log, 0 = none */
	int (*vm_fault)(struct octans_inproc_vm *vm, struct octans_inproc_fault *fault);

	/* @timeout_ms: longest time one job may run; 0 = half of max_timeout_ms.  One that stands
	 * still (hangs, or waits) for 10 s is stopped earlier. */
	int (*queue_new)(struct octans_inproc_vm *vm, uint32_t priority, uint32_t timeout_ms,
			 struct octans_inproc_queue **out);
	void (*queue_free)(struct octans_inproc_queue *q);	/* stops what runs */
	/* Queues @n (1 .. OCTANS_INPROC_MAX_JOBS) jobs, all or none.  *seq: of the last one; a queue
	 * numbers its jobs 1, 2, 3 ...  -ECANCELED once the queue is banned, -ENODEV gone. */
	int (*submit)(struct octans_inproc_queue *q, const struct octans_inproc_job *jobs, size_t n,
		      uint64_t *seq);
	/* Result of the job (0, -ETIME, -EFAULT, -EIO, -ECANCELED, -ENODEV), or -ETIMEDOUT if it
	 * has not ended at CLOCK_MONOTONIC @abs_ns (INT64_MAX = wait for ever). */
	int (*wait)(struct octans_inproc_queue *q, uint64_t seq, int64_t abs_ns);

	/*
	 * *fd: the memory of a host buffer, which the caller closes and any processor of any process imports.
	 * What jobs write meanwhile may be lost, so it is exported before it is used.  -ENOTSUP: it is on the card.
	 */
	int (*bo_export)(struct octans_inproc_bo *bo, int *fd);
	/* @fd stays the caller's.  -EINVAL: it is not from bo_export(). */
	int (*bo_import)(struct octans_inproc *dev, int fd, struct octans_inproc_bo **out, uint64_t *size);
	/* submit(), of jobs that start when those of @after, of this or other processors, have ended, well or not.
	 * A queue that is freed has ended all of its jobs.  -EAGAIN: there is no thread to wait with, so the caller does. */
	int (*submit_after)(struct octans_inproc_queue *q, const struct octans_inproc_point *after, size_t n_after,
			    const struct octans_inproc_job *jobs, size_t n, uint64_t *seq);
};

/* The one symbol of the shared object.  NULL: it does not speak @version. */
#define OCTANS_SIM_ENTRY	"octans_sim_entry"
typedef const struct octans_sim_api *octans_sim_entry_fn(uint32_t version);
__attribute__((visibility("default"))) octans_sim_entry_fn octans_sim_entry;

#ifdef __cplusplus
}
#endif
#endif
