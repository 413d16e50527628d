/* SPDX-License-Identifier: MIT */
/*
 * The in-process front door of the processor model: a processor without kernel,
 * root or PCI.  It does what octans.ko does (page tables, ASIDs, rings, reset, ban)
 * against the same model, so programs and tests meet the same behaviour.
 *
 * Functions return 0 or -errno.  All are thread safe; a queue keeps its jobs in
 * order of submission.
 */
#ifndef OCTANS_INPROC_H
#define OCTANS_INPROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct octans_inproc;
struct octans_inproc_bo;
struct octans_inproc_vm;
struct octans_inproc_queue;

struct octans_inproc_info {
	uint32_t hw_version, rings, va_bits, page_size;
	uint64_t ops, types, clock_hz;
	uint32_t macs_int8, macs_f32, local_bpc, pcie_bpc, max_ctx, max_timeout_ms;
	uint64_t serial, local_size, local_used;
	char profile[40];
};

struct octans_inproc_fault {
	uint64_t va, tag, seqno, cmd_offset;
	uint32_t code, write;	/* as struct drm_octans_fault */
};

/* @spec: NULL or "key=value,..." with profile=NAME, local=BYTES[K|M|G], rings=N,
 * threads=N.  @err gets one sentence on failure. */
int octans_inproc_open(const char *spec, struct octans_inproc **out, char *err, size_t errlen);
void octans_inproc_close(struct octans_inproc *dev);	/* after everything made from it */
int octans_inproc_info(struct octans_inproc *dev, struct octans_inproc_info *info);
/* Fault injection, the same lines as the control socket of octans-vfio-user. */
int octans_inproc_control(struct octans_inproc *dev, const char *line, char *reply, size_t len);

int octans_inproc_bo_new(struct octans_inproc *dev, uint64_t size, bool local,
			 struct octans_inproc_bo **out);	/* zeroed; -ENOSPC on-card memory full */
void octans_inproc_bo_free(struct octans_inproc_bo *bo);
void *octans_inproc_bo_map(struct octans_inproc_bo *bo);
uint64_t octans_inproc_bo_size(const struct octans_inproc_bo *bo);

int octans_inproc_vm_new(struct octans_inproc *dev, struct octans_inproc_vm **out);
void octans_inproc_vm_free(struct octans_inproc_vm *vm);
int octans_inproc_vm_map(struct octans_inproc_vm *vm, struct octans_inproc_bo *bo, uint64_t offset,
			 uint64_t va, uint64_t size, bool readonly);
int octans_inproc_vm_unmap(struct octans_inproc_vm *vm, uint64_t va, uint64_t size);
/* 1 = *fault filled and removed from the log, 0 = none */
int octans_inproc_vm_fault(struct octans_inproc_vm *vm, struct octans_inproc_fault *fault);

int octans_inproc_queue_new(struct octans_inproc_vm *vm, uint32_t priority, uint32_t timeout_ms,
			    struct octans_inproc_queue **out);
void octans_inproc_queue_free(struct octans_inproc_queue *q);	/* stops what runs */
/* *seq: 1, 2, 3 ... of this queue.  -ECANCELED once the queue is banned, -ENODEV gone. */
int octans_inproc_submit(struct octans_inproc_queue *q, uint64_t va, uint32_t size, uint64_t tag,
			 uint64_t *seq);
/* Result of the job (0, -ETIME, -EFAULT, -EIO, -ECANCELED, -ENODEV), or -ETIMEDOUT if it
 * has not ended at CLOCK_MONOTONIC @abs_ns (INT64_MAX = wait for ever). */
int octans_inproc_wait(struct octans_inproc_queue *q, uint64_t seq, int64_t abs_ns);

#endif
