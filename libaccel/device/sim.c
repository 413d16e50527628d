// SPDX-License-Identifier: MIT
/* The transport to the processor model in this process. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "sim_library.h"
#include "transport.h"

#define CONTROL_REPLY 4096

struct sim {
	const struct octans_sim_api *api;
	struct octans_inproc *model;
	atomic_long jobs_to_fault;	/* jobs until fault is sent; below 0: never */
	const char *fault;
};

/* ACCEL_SIM_CONTROL="N:line": the model gets this line of fault injection before its Nth
 * job, when the queue's jobs before that have ended, so that any program can be tried on a
 * processor that fails in the middle. */
static int plan_fault(struct sim *sim)
{
	const char *env = secure_getenv("ACCEL_SIM_CONTROL");
	char *line;
	long n;

	atomic_init(&sim->jobs_to_fault, -1);
	if (!env || !*env)
		return 0;
	n = strtol(env, &line, 10);
	if (line == env || *line != ':' || n < 1)
		return fail(-EINVAL, "ACCEL_SIM_CONTROL=\"%s\" is not N:LINE, such as 3:remove", env);
	atomic_init(&sim->jobs_to_fault, n);
	sim->fault = line + 1;
	return 0;
}

static const struct octans_sim_api *api_of(const struct accel_dev *dev)
{
	return ((struct sim *)dev->priv)->api;
}

static struct octans_inproc *model_of(const struct accel_dev *dev)
{
	return ((struct sim *)dev->priv)->model;
}

static int open_model(struct sim *sim, const char *where)
{
	char text[ACCEL_ERROR_MAX] = "";
	int err = sim_library(&sim->api);

	if (err)
		return err;
	err = sim->api->open(where, &sim->model, text, sizeof(text));
	if (!err)
		return 0;
	return where ? fail(err, "device \"sim:%s\": %s", where, text)
		     : fail(err, "device \"sim\": %s", text);
}

static int sim_open(struct accel_dev *dev, const char *where)
{
	struct accel_devinfo *info = &dev->info;
	struct octans_inproc_info i;
	struct sim *sim = calloc(1, sizeof(*sim));
	int err;

	if (!sim)
		return fail(-ENOMEM, "no memory for the model");
	err = plan_fault(sim);
	if (!err)
		err = open_model(sim, where);
	if (err) {
		free(sim);
		return err;
	}
	dev->priv = sim;
	sim->api->info(sim->model, &i);
	snprintf(info->name, sizeof(info->name), "sim");
	snprintf(info->driver, sizeof(info->driver), "octans-sim");
	memcpy(info->profile, i.profile, sizeof(info->profile));
	info->hw_version = i.hw_version;
	info->rings = i.rings;
	info->va_bits = i.va_bits;
	info->page_size = i.page_size;
	info->ops = i.ops;
	info->types = i.types;
	info->clock_hz = i.clock_hz;
	info->macs_int8 = i.macs_int8;
	info->macs_f16 = i.macs_f16;
	info->macs_f32 = i.macs_f32;
	info->local_bpc = i.local_bpc;
	info->pcie_bpc = i.pcie_bpc;
	info->max_ctx = i.max_ctx;
	info->max_timeout_ms = i.max_timeout_ms;
	info->sram_size = i.sram_size;
	info->timing_only = i.timing_only;
	info->serial = i.serial;
	info->memory_size = i.local_size;
	info->memory_used = i.local_used;
	info->memory_mappable = i.local_size;
	return 0;
}

static void sim_close(struct accel_dev *dev)
{
	api_of(dev)->close(model_of(dev));
	free(dev->priv);
}

static int sim_memory_used(struct accel_dev *dev, uint64_t *bytes)
{
	struct octans_inproc_info i;
	int err = api_of(dev)->info(model_of(dev), &i);

	if (err)
		return fail(err, "sim: the model is gone: %s", strerror(-err));
	*bytes = i.local_used;
	return 0;
}

static int sim_control(struct accel_dev *dev, const char *line, char *reply, size_t len)
{
	char text[CONTROL_REPLY] = "";
	int err = api_of(dev)->control(model_of(dev), line, text, sizeof(text));

	if (len)
		snprintf(reply, len, "%s", text);
	return err ? fail(err, "sim: \"%s\": %s", line, text) : 0;
}

static int sim_bo_new(struct accel_bo *bo, const char *label)
{
	struct octans_inproc_bo *b;
	int err = api_of(bo->dev)->bo_new(model_of(bo->dev), bo->size,
					   bo->flags & ACCEL_BO_DEVICE, &b);

	(void)label;	/* the model keeps no list of buffers for people */
	if (err == -ENOSPC)
		return fail(err, "sim has no %llu bytes of on-card memory left",
			    (unsigned long long)bo->size);
	if (err)
		return fail(err, "sim: a buffer of %llu bytes: %s", (unsigned long long)bo->size,
			    strerror(-err));
	bo->priv = b;
	return 0;
}

static void sim_bo_free(struct accel_bo *bo)
{
	api_of(bo->dev)->bo_free(bo->priv);
}

static int sim_bo_map(struct accel_bo *bo)
{
	bo->map = api_of(bo->dev)->bo_map(bo->priv);
	return bo->map ? 0 : fail(-ENOMEM, "sim: a buffer cannot be mapped");
}

static int sim_bo_export(struct accel_bo *bo, int *fd)
{
	int err = api_of(bo->dev)->bo_export(bo->priv, fd);

	if (err == -ENOTSUP)
		return fail(err, "sim: a buffer in on-card memory cannot be exported, one in host memory can");
	return err ? fail(err, "sim: a buffer cannot be exported: %s", strerror(-err)) : 0;
}

static int sim_bo_import(struct accel_bo *bo, int fd)
{
	struct octans_inproc_bo *b;
	int err = api_of(bo->dev)->bo_import(model_of(bo->dev), fd, &b, &bo->size);

	if (err == -EINVAL)
		return fail(err, "sim: descriptor %d is not that of a buffer of a processor model", fd);
	if (err)
		return fail(err, "sim: a buffer cannot be imported: %s", strerror(-err));
	bo->priv = b;
	return 0;
}

static int sim_vm_new(struct accel_vm *vm)
{
	struct octans_inproc_vm *v;
	int err = api_of(vm->dev)->vm_new(model_of(vm->dev), &v);

	if (err)
		return fail(err, "sim: no address space: %s", strerror(-err));
	vm->priv = v;
	return 0;
}

static void sim_vm_free(struct accel_vm *vm)
{
	api_of(vm->dev)->vm_free(vm->priv);
}

static int sim_vm_map(struct accel_vm *vm, struct accel_bo *bo, uint64_t offset, uint64_t va,
		      uint64_t size, uint32_t flags)
{
	int err = api_of(vm->dev)->vm_map(vm->priv, bo->priv, offset, va, size,
					   flags & ACCEL_MAP_READONLY);

	return err ? fail(err, "sim: mapping 0x%llx bytes at 0x%llx: %s", (unsigned long long)size,
			  (unsigned long long)va, strerror(-err)) : 0;
}

static int sim_vm_unmap(struct accel_vm *vm, uint64_t va, uint64_t size)
{
	int err = api_of(vm->dev)->vm_unmap(vm->priv, va, size);

	return err ? fail(err, "sim: unmapping 0x%llx bytes at 0x%llx: %s",
			  (unsigned long long)size, (unsigned long long)va, strerror(-err)) : 0;
}

static int sim_vm_fault(struct accel_vm *vm, struct accel_fault *fault)
{
	struct octans_inproc_fault f;
	int got = api_of(vm->dev)->vm_fault(vm->priv, &f);

	if (got < 0)
		return fail(got, "sim: the log of faults cannot be read: %s", strerror(-got));
	if (got == 1)
		*fault = (struct accel_fault) {
			.va = f.va,
			.tag = f.tag,
			.cmd_offset = f.cmd_offset,
			.code = f.code,
			.write = f.write,
		};
	return got;
}

static int sim_queue_new(struct accel_queue *q, enum accel_priority priority, uint32_t timeout_ms)
{
	struct octans_inproc_queue *sq;
	int err = api_of(q->vm->dev)->queue_new(q->vm->priv, priority, timeout_ms, &sq);

	if (err)
		return fail(err, "sim: no queue: %s", strerror(-err));
	q->priv = sq;
	return 0;
}

static void sim_queue_free(struct accel_queue *q)
{
	api_of(q->vm->dev)->queue_free(q->priv);
}

/* Of a job that did not end well. */
static int ended(int err, const char *which)
{
	if (err != -ENOMEM)
		return fail(err, "sim: %s %s", which, job_error(err));
	/* To whoever waits, -ENOMEM would say nothing about the job. */
	return fail(-EIO, "sim: %s failed: this machine has no memory for what the model needs to run it", which);
}

static int result(int err)
{
	switch (err) {
	case 0:
		return 0;
	case -ETIMEDOUT:
		return fail(err, "sim: the job has not ended yet");
	case -ECANCELED:
		return fail(err, "sim: the queue is stopped because an earlier job failed");
	case -ENODEV:
		return fail(err, "sim: the processor is gone");
	default:
		return ended(err, "the job");
	}
}

/* Of jobs that were to be sent. */
static int sent(int err)
{
	return err == -ENOMEM ? fail(err, "sim: no memory for a job") : err ? result(err) : 0;
}

static int sim_fence_wait(struct accel_fence *f, int64_t abs_ns)
{
	return result(api_of(f->dev)->wait(f->queue->priv, f->seq, abs_ns));
}

/* The first job that did not end well is why; all after it were dropped. */
static int sim_queue_error(struct accel_queue *q)
{
	uint64_t good = 0, bad = q->newest;
	int err = bad ? api_of(q->vm->dev)->wait(q->priv, bad, 0) : 0;

	while (err && bad - good > 1) {
		uint64_t mid = good + (bad - good) / 2;
		int e = api_of(q->vm->dev)->wait(q->priv, mid, 0);

		if (e) {
			bad = mid;
			err = e;
		} else {
			good = mid;
		}
	}
	if (!err || err == -ETIMEDOUT)	/* nothing failed so far */
		return 0;
	return err == -ENODEV ? result(err) : ended(err, "a job of the queue");
}

/* How many of the next n jobs come before the planned fault; n: it is not due among them. */
static size_t jobs_before_fault(struct sim *sim, size_t n)
{
	long left;

	if (!sim->fault)
		return n;
	left = atomic_fetch_sub(&sim->jobs_to_fault, n);
	return left >= 1 && (size_t)left <= n ? (size_t)left - 1 : n;
}

/* What jobs of a queue wait for. */
struct after {
	struct octans_inproc_point *points;
	size_t n;
};

/* -EAGAIN: the model has no thread to wait with, so it is done here. */
static int send_after(struct accel_queue *q, const struct octans_inproc_job *jobs, size_t n,
		      const struct after *after, struct accel_fence *out)
{
	const struct octans_sim_api *api = api_of(q->vm->dev);
	int err = api->submit_after(q->priv, after->points, after->n, jobs, n, &out->seq);

	if (err != -EAGAIN)
		return err;
	for (size_t i = 0; i < after->n; i++)
		api->wait(after->points[i].queue, after->points[i].seq, INT64_MAX);
	return api->submit(q->priv, jobs, n, &out->seq);
}

/* After the first call *after is empty: a queue is in order by itself. */
static int send(struct accel_queue *q, const struct octans_inproc_job *jobs, size_t n, struct after *after,
		struct accel_fence *out)
{
	int err;

	if (!n)
		return 0;
	err = after->n ? send_after(q, jobs, n, after, out) :
	      api_of(q->vm->dev)->submit(q->priv, jobs, n, &out->seq);
	after->n = 0;
	if (!err)
		q->newest = out->seq;
	return err;
}

/* Those of a processor behind the kernel are waited for here. */
static int list_deps(const struct accel_queue *q, struct accel_fence *const *deps, size_t n, struct after *after)
{
	*after = (struct after) { 0 };
	for (size_t i = 0; i < n; i++) {
		if (deps[i]->queue == q)
			continue;
		if (deps[i]->dev->t != &transport_sim) {
			accel_fence_wait(deps[i], INT64_MAX);
			continue;
		}
		if (!after->points)
			after->points = malloc(n * sizeof(*after->points));
		if (!after->points)
			return fail(-ENOMEM, "no memory for %zu fences", n);
		after->points[after->n++] = (struct octans_inproc_point) {
			.queue = deps[i]->queue->priv, .seq = deps[i]->seq,
		};
	}
	return 0;
}

static int send_all(struct accel_queue *q, const struct octans_inproc_job *list, size_t n_jobs,
		    struct after *after, struct accel_fence *out)
{
	struct sim *sim = q->vm->dev->priv;
	size_t before = jobs_before_fault(sim, n_jobs);
	char reply[CONTROL_REPLY] = "";
	int err = send(q, list, before, after, out);

	if (err || before == n_jobs)
		return sent(err);
	if (q->newest)
		api_of(q->vm->dev)->wait(q->priv, q->newest, INT64_MAX);
	if (sim->api->control(sim->model, sim->fault, reply, sizeof(reply)))
		return fail(-EINVAL, "ACCEL_SIM_CONTROL: \"%s\": %s", sim->fault, reply);
	return sent(send(q, list + before, n_jobs - before, after, out));
}

static int sim_submit(struct accel_queue *q, const struct accel_job *jobs, size_t n_jobs,
		      struct accel_fence *const *deps, size_t n, struct accel_fence *out)
{
	struct octans_inproc_job list[ACCEL_MAX_JOBS];
	struct after after;
	int err = list_deps(q, deps, n, &after);

	for (size_t i = 0; i < n_jobs; i++)
		list[i] = (struct octans_inproc_job) {
			.va = jobs[i].va,
			.tag = jobs[i].tag,
			.param_va = jobs[i].param_va,
			.size = jobs[i].size,
			.param_count = jobs[i].param_count,
		};
	if (!err)
		err = send_all(q, list, n_jobs, &after, out);
	free(after.points);
	return err;
}

static void sim_fence_free(struct accel_fence *f)
{
	(void)f;
}

const struct transport transport_sim = {
	.open = sim_open,
	.close = sim_close,
	.memory_used = sim_memory_used,
	.control = sim_control,
	.bo_new = sim_bo_new,
	.bo_free = sim_bo_free,
	.bo_map = sim_bo_map,
	.bo_export = sim_bo_export,
	.bo_import = sim_bo_import,
	.vm_new = sim_vm_new,
	.vm_free = sim_vm_free,
	.vm_map = sim_vm_map,
	.vm_unmap = sim_vm_unmap,
	.vm_fault = sim_vm_fault,
	.queue_new = sim_queue_new,
	.queue_free = sim_queue_free,
	.queue_error = sim_queue_error,
	.submit = sim_submit,
	.fence_wait = sim_fence_wait,
	.fence_free = sim_fence_free,
};
