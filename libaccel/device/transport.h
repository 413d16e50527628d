/* SPDX-License-Identifier: MIT */
/*
 * What a processor can be reached through: the kernel module, or the model in this
 * process.  device.c checks arguments once; transports only carry them out.
 */
#ifndef ACCEL_TRANSPORT_H
#define ACCEL_TRANSPORT_H

#include <pthread.h>

#include <accel/device.h>

#include "ending.h"
#include "forks.h"
#include "handles.h"
#include "reserve.h"
#include "room.h"

struct accel_dev {
	const struct transport *t;
	struct fork_watch forks;
	struct accel_devinfo info;	/* memory_used: as it was at open */
	int fd;				/* kernel */
	bool looks;			/* kernel: this process has a CPU to wait on without sleeping */
	struct handles handles;		/* kernel */
	_Atomic uint32_t spare;		/* kernel: a syncobj for the next fence, 0 = none */
	struct reserve reserve;		/* kernel: a descriptor for a fence to pass through */
	_Atomic bool waits_itself;	/* kernel: that it waits for others' fences was said */
	void *priv;			/* sim */
};

struct accel_bo {
	struct accel_dev *dev;
	uint64_t size;
	uint32_t flags;
	uint32_t handle;		/* kernel */
	void *priv;			/* sim */
	pthread_mutex_t lock;		/* of map */
	void *map;
};

struct accel_vm {
	struct accel_dev *dev;
	uint32_t id;			/* kernel */
	void *priv;			/* sim */
};

struct accel_queue {
	struct accel_vm *vm;
	uint32_t id;			/* kernel */
	_Atomic uint64_t failed;	/* kernel: jobs that had failed when it was last asked */
	struct room room;		/* kernel */
	struct patience patience;	/* kernel */
	void *priv;			/* sim */
	_Atomic uint64_t newest;	/* sim: number of the newest job */
};

struct accel_fence {
	struct accel_dev *dev;
	struct accel_queue *queue;
	uint32_t handle;		/* kernel: binary syncobj */
	bool several;			/* kernel: of the last of several jobs */
	struct ending ending;
	uint64_t failed;		/* kernel: jobs of the queue that failed before these */
	uint64_t seq;			/* sim: of the last job */
};

/* Each returns 0 or -errno with the sentence set; create functions get the object
 * allocated and its common fields filled. */
struct transport {
	int (*open)(struct accel_dev *dev, const char *where);
	void (*close)(struct accel_dev *dev);
	int (*memory_used)(struct accel_dev *dev, uint64_t *bytes);
	int (*control)(struct accel_dev *dev, const char *line, char *reply, size_t len);

	int (*bo_new)(struct accel_bo *bo, const char *label);
	void (*bo_free)(struct accel_bo *bo);
	int (*bo_map)(struct accel_bo *bo);	/* sets bo->map; called once, locked */
	int (*bo_export)(struct accel_bo *bo, int *fd);
	int (*bo_import)(struct accel_bo *bo, int fd);

	int (*vm_new)(struct accel_vm *vm);
	void (*vm_free)(struct accel_vm *vm);
	int (*vm_map)(struct accel_vm *vm, struct accel_bo *bo, uint64_t offset, uint64_t va,
		      uint64_t size, uint32_t flags);
	int (*vm_unmap)(struct accel_vm *vm, uint64_t va, uint64_t size);
	int (*vm_fault)(struct accel_vm *vm, struct accel_fault *fault);

	int (*queue_new)(struct accel_queue *q, enum accel_priority priority, uint32_t timeout_ms);
	void (*queue_free)(struct accel_queue *q);
	int (*queue_error)(struct accel_queue *q);
	int (*submit)(struct accel_queue *q, const struct accel_job *jobs, size_t n_jobs,
		      struct accel_fence *const *deps, size_t n, struct accel_fence *out);
	int (*fence_wait)(struct accel_fence *f, int64_t abs_ns);
	int (*fence_export)(struct accel_fence *f, int *fd);
	void (*fence_free)(struct accel_fence *f);
};

extern const struct transport transport_kernel;
extern const struct transport transport_sim;
extern const struct transport transport_child;	/* of a processor that the parent opened */

/* kernel.c: sets uapi_major and uapi_minor of the processor at info->path, if it can be asked. */
void kernel_interface(struct accel_devinfo *info);

/* What became of a job that ended with err: "the job ..." */
const char *job_error(int err);

/*
 * discovery.c: the processors that "accel0", a number, a path or a PCI address means, or NULL, all
 * of them, in order of their numbers; at least one, or -ENODEV.  Name, path, driver and pci of each
 * are filled.  The caller frees *list.
 */
int discover(const char *selector, struct accel_devinfo **list, size_t *n);

#endif
