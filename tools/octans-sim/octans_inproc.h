/* SPDX-License-Identifier: MIT */
/* The in-process front door of the processor model; octans/sim.h says what each function does. */
#ifndef OCTANS_INPROC_H
#define OCTANS_INPROC_H

#include <octans/sim.h>

int octans_inproc_open(const char *spec, struct octans_inproc **out, char *err, size_t errlen);
void octans_inproc_close(struct octans_inproc *dev);
int octans_inproc_info(struct octans_inproc *dev, struct octans_inproc_info *info);
int octans_inproc_control(struct octans_inproc *dev, const char *line, char *reply, size_t len);

int octans_inproc_bo_new(struct octans_inproc *dev, uint64_t size, bool local,
			 struct octans_inproc_bo **out);
void octans_inproc_bo_free(struct octans_inproc_bo *bo);
void *octans_inproc_bo_map(struct octans_inproc_bo *bo);
int octans_inproc_bo_export(struct octans_inproc_bo *bo, int *fd);
int octans_inproc_bo_import(struct octans_inproc *dev, int fd, struct octans_inproc_bo **out, uint64_t *size);

int octans_inproc_vm_new(struct octans_inproc *dev, struct octans_inproc_vm **out);
void octans_inproc_vm_free(struct octans_inproc_vm *vm);
int octans_inproc_vm_map(struct octans_inproc_vm *vm, struct octans_inproc_bo *bo, uint64_t offset,
			 uint64_t va, uint64_t size, bool readonly);
int octans_inproc_vm_unmap(struct octans_inproc_vm *vm, uint64_t va, uint64_t size);
int octans_inproc_vm_fault(struct octans_inproc_vm *vm, struct octans_inproc_fault *fault);

int octans_inproc_queue_new(struct octans_inproc_vm *vm, uint32_t priority, uint32_t timeout_ms,
			    struct octans_inproc_queue **out);
void octans_inproc_queue_free(struct octans_inproc_queue *q);
int octans_inproc_submit(struct octans_inproc_queue *q, const struct octans_inproc_job *jobs,
			 size_t n, uint64_t *seq);
int octans_inproc_submit_after(struct octans_inproc_queue *q, const struct octans_inproc_point *after,
			       size_t n_after, const struct octans_inproc_job *jobs, size_t n, uint64_t *seq);
int octans_inproc_wait(struct octans_inproc_queue *q, uint64_t seq, int64_t abs_ns);

#endif
