// SPDX-License-Identifier: MIT
#include "roundtrip.h"

#include <stdio.h>
#include <time.h>

#include <accel/device.h>
#include <octans/isa.h>

#define JOB_SECONDS 10

static int run_job(struct accel_vm *vm, struct accel_bo *bo, struct accel_queue *queue, uint64_t *ns)
{
	const uint64_t va = 1ull << 32;
	struct accel_job job = { .sz = sizeof(job), .va = va, .size = sizeof(struct octans_cmd_signal) };
	struct octans_cmd_signal *cmd;
	struct accel_fence *fence = NULL;
	struct timespec t0, t1;
	void *map;
	int err = accel_bo_map(bo, &map);

	if (!err)
		err = accel_vm_map(vm, bo, 0, va, accel_bo_size(bo), 0);
	if (err)
		return err;
	cmd = map;
	cmd->cmd.op = OCTANS_OP_SIGNAL;
	cmd->cmd.flags = OCTANS_SIGNAL_TIME;
	cmd->cmd.size = sizeof(*cmd);
	cmd->va = va + 1024;
	clock_gettime(CLOCK_MONOTONIC, &t0);
	err = accel_submit(queue, &job, 1, NULL, 0, &fence);
	if (!err)
		err = accel_fence_wait(fence, (t0.tv_sec + JOB_SECONDS) * 1000000000ll + t0.tv_nsec);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	accel_fence_free(fence);
	*ns = (t1.tv_sec - t0.tv_sec) * 1000000000ull + t1.tv_nsec - t0.tv_nsec;
	return err ? err : ((volatile uint64_t *)cmd)[1024 / 8] ? 0 : 1;
}

bool round_trip(struct accel_dev *dev, uint64_t *ns, char *why, size_t len)
{
	struct accel_queue *queue = NULL;
	struct accel_vm *vm = NULL;
	struct accel_bo *bo = NULL;
	int err = accel_vm_new(dev, &vm);

	*ns = 0;
	if (!err)
		err = accel_bo_new(dev, 4096, ACCEL_BO_HOST, "round trip", &bo);
	if (!err)
		err = accel_queue_new(vm, ACCEL_PRIORITY_NORMAL, 0, &queue);
	if (!err)
		err = run_job(vm, bo, queue, ns);
	if (err)
		snprintf(why, len, "%s", err < 0 ? accel_error() :
			 "the job ended, but what it should have written is not in memory");
	accel_queue_free(queue);
	accel_vm_free(vm);
	accel_bo_free(bo);
	return !err;
}
