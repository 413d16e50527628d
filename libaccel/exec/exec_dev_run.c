// SPDX-License-Identifier: MIT
/* The device executor: passes become jobs, and their ends results and figures. */
#include <errno.h>
#include <string.h>

#include "device/ending.h"
#include "error.h"
#include "exec_dev.h"

#define JOB_TAG(first, last) ((uint64_t)(first) << 32 | (last))

/* ---- jobs ---- */

/* Layers begin .. end - 1, which belong to the run from first on, as a job. */
static struct accel_job job_of(const struct exec_dev *e, const struct dev_flight *f, uint32_t first, uint32_t begin,
			       uint32_t end)
{
	const struct run *run = &f->runs[first];

	return (struct accel_job) {
		.sz = sizeof(struct accel_job),
		.va = e->stream.va + f->begins[begin],
		.size = (end == run->end ? run->stream_end : f->begins[end]) - f->begins[begin],
		.tag = JOB_TAG(begin, end - 1),
		.param_va = host_va(e, f->io.params),
		.param_count = model_params(e->m),
	};
}

/* Of layer i of the run from first on: what is computed, and what is read over the bus meanwhile, also for a pass of
 * no rows. */
static uint64_t work_of(const struct exec_dev *e, uint32_t first, uint32_t end, uint32_t i, const struct load *l)
{
	struct op_work c = { 0 };

	cost_add(&c, &e->costs[i], l);
	return cost_work(&c) +
	       cost_bus_work((e->costs[i].copied ? 0 : c.far) + far_copied(&e->far, first, end, i), &e->info);
}

/* The next jobs of a run, from layer *next on, none with more work than it may hold, or of one layer.
 * Returns how many there are; *next: the layer to go on with, or the end of the run. */
static size_t cut(const struct exec_dev *e, const struct dev_flight *f, uint32_t first, const struct load *l,
		  uint32_t *next, struct accel_job *jobs)
{
	uint64_t work = 0, limit = cost_job_work(&e->info);
	uint32_t begin = *next, end = f->runs[first].end, i;
	size_t n = 0;

	for (i = begin; i < end; i++) {
		const uint64_t more = work_of(e, first, end, i, l);

		if (work && work + more > limit) {
			jobs[n++] = job_of(e, f, first, begin, i);
			begin = i;
			work = 0;
			if (n == ACCEL_MAX_JOBS)
				break;
		}
		work += more;
	}
	if (i == end)
		jobs[n++] = job_of(e, f, first, begin, end);
	*next = i;
	return n;
}

/* The failure itself, if err is what it did to the last job of a step; with the address if the MMU
 * gave one. */
static int explain(struct exec_dev *e, int err)
{
	int cause = err == -ECANCELED ? accel_queue_error(e->queue) : 0;
	struct accel_fault f = { .sz = sizeof(f) };

	if (cause)
		err = cause;
	if (err == -EFAULT && accel_vm_fault(e->vm, &f) == 1)
		return fail(-EFAULT, "%s (address 0x%llx, %s, in layers %u-%u)", accel_error(),
			    (unsigned long long)f.va, f.write ? "write" : "read",
			    (uint32_t)(f.tag >> 32), (uint32_t)f.tag);
	return err;
}

/* Is it what a job, or the processor, has come to; not the host? */
static bool is_blamed(int err)
{
	return err == -ENODEV || err == -EIO || err == -EFAULT || err == -ETIME || err == -ECANCELED || err == -EACCES ||
	       err == -ENODATA;
}

static int ended(struct exec_dev *e, int err)
{
	if (err)
		err = explain(e, err);
	e->blamed = is_blamed(err);
	return err;
}

static int send(struct exec_dev *e, const struct accel_job *jobs, size_t n, struct accel_fence *after,
		struct accel_fence **fence)
{
	int err = accel_submit(e->queue, jobs, n, &after, after != NULL, fence);

	if (err)
		return ended(e, err);
	e->submits++;
	e->jobs += n;
	return 0;
}

/* One job, which is waited for. */
static int run_job(struct exec_dev *e, const struct accel_job *job)
{
	struct accel_fence *fence;
	int err = send(e, job, 1, NULL, &fence);

	if (err)
		return err;
	err = accel_fence_wait(fence, INT64_MAX);
	accel_fence_free(fence);
	return ended(e, err);
}

/* ---- passes ---- */

/* Waits for the oldest n of what was submitted for a flight. */
static int wait_sent(struct exec_dev *e, struct dev_flight *f, uint32_t n)
{
	uint32_t done = 0;
	int err = 0;

	while (done < n && !err) {
		err = accel_fence_wait(f->sent[done].fence, INT64_MAX);
		accel_fence_free(f->sent[done++].fence);
	}
	f->n_sent -= done;
	memmove(f->sent, f->sent + done, f->n_sent * sizeof(*f->sent));
	return ended(e, err);
}

/* The next part of a run; if it is the last it ends with storing the counters. */
static int send_part(struct exec_dev *e, struct dev_flight *f, uint32_t first, const struct accel_job *jobs, size_t n,
		     bool last, struct accel_fence *after)
{
	const uint64_t *end = (const uint64_t *)&run_counters(f, first)[1];
	struct sent *sent = &f->sent[f->n_sent];
	int err;

	if (e->stop.fn(e->stop.arg)) {
		e->blamed = false;
		return fail(-ECANCELED, "the step was cancelled");
	}
	err = send(e, jobs, n, after, &sent->fence);
	if (err)
		return err;
	if (last)
		fence_ends_with(sent->fence, end, OCTANS_COUNTERS);
	sent->first = first;
	f->n_sent++;
	return 0;
}

/* A flight that is alone waits between parts, so that it need not go on when it is stopped; with others, and where
 * layers are shared, it would keep their processors waiting. */
int exec_dev_submit(struct exec_dev *e, uint32_t flight, uint32_t first, const struct pass *pass,
		    struct accel_fence *after)
{
	struct dev_flight *f = &e->flights[flight];
	const uint32_t end = f->runs[first].end;
	struct accel_job jobs[ACCEL_MAX_JOBS];
	int err = 0;

	ending_clear((uint64_t *)&run_counters(f, first)[1], OCTANS_COUNTERS);
	for (uint32_t next = first; next < end && !err;) {
		size_t n;

		if (next > first && e->shape.flights == 1 && !e->shared[first])
			err = wait_sent(e, f, f->n_sent);
		n = cut(e, f, first, &pass->load, &next, jobs);
		if (!err)
			err = send_part(e, f, first, jobs, n, next == end, after);
		after = NULL;
	}
	return err;
}

struct accel_fence *exec_dev_fence(const struct exec_dev *e, uint32_t flight)
{
	const struct dev_flight *f = &e->flights[flight];

	return f->n_sent ? f->sent[f->n_sent - 1].fence : NULL;
}

int exec_dev_look(const struct exec_dev *e, uint32_t flight, uint32_t first, int64_t abs_ns)
{
	const struct dev_flight *f = &e->flights[flight];
	uint32_t n = 0;

	while (n < f->n_sent && f->sent[n].first == first)
		n++;
	return n ? accel_fence_wait(f->sent[n - 1].fence, abs_ns) : 0;
}

static double seconds_of(const struct exec_dev *e, uint64_t cycles)
{
	return cycles / (e->info.clock_hz ? (double)e->info.clock_hz : 1e9);
}

double exec_dev_since(const struct exec_dev *e, uint32_t flight, uint32_t first, uint64_t cycles)
{
	return seconds_of(e, cycles - run_counters(&e->flights[flight], first)[0].cycles);
}

/* Adds the counters of the run that has just ended; returns the cycles that it took. */
static uint64_t account(struct exec_dev *e, const struct octans_counters c[2], const struct op_work *work)
{
	const uint64_t *before = (const uint64_t *)&c[0], *after = (const uint64_t *)&c[1];
	uint64_t *sum = (uint64_t *)&e->sum, cycles = c[1].cycles - c[0].cycles;

	for (int i = 0; i < OCTANS_COUNTERS; i++)
		sum[i] += after[i] - before[i];
	/* What it takes to start and to end a run lies outside of its own counters: it is no more
	 * than the least that was ever seen between two. */
	if (e->newest_end && c[0].cycles - e->newest_end < e->launch)
		e->launch = c[0].cycles - e->newest_end;
	if (e->launch != UINT64_MAX) {
		e->sum.cycles += e->launch;
		cycles += e->launch;
	}
	e->newest_end = c[1].cycles;
	e->ceiling += cost_ceiling(work, &e->info);
	return cycles;
}

int exec_dev_finish(struct exec_dev *e, uint32_t flight, uint32_t first, const struct pass *pass, double *seconds)
{
	struct dev_flight *f = &e->flights[flight];
	struct op_work c = { 0 };
	uint32_t n = 0;
	int err;

	while (n < f->n_sent && f->sent[n].first == first)
		n++;
	err = wait_sent(e, f, n);
	if (err)
		return err;
	for (uint32_t i = first; i < f->runs[first].end; i++) {
		struct layer_cost cost = e->costs[i];

		far_count(&e->far, flight, i, pass->n, &cost);
		cost_add(&c, &cost, &pass->load);
	}
	*seconds = seconds_of(e, account(e, run_counters(f, first), &c));
	return 0;
}

void exec_dev_drain(struct exec_dev *e)
{
	for (uint32_t k = 0; k < e->shape.flights; k++) {
		struct dev_flight *f = &e->flights[k];

		for (uint32_t i = 0; i < f->n_sent; i++) {
			accel_fence_wait(f->sent[i].fence, INT64_MAX);
			accel_fence_free(f->sent[i].fence);
		}
		f->n_sent = 0;
	}
	e->newest_end = 0;	/* who knows what there was since */
}

/* ---- pages, and whether all is well ---- */

/* Pages that are too large for the processor's hands. */
static int copy_by_hand(struct exec_dev *e, uint32_t to, uint32_t from)
{
	for (uint32_t i = 0; i < e->m->n_layers; i++)
		for (enum keep k = 0; k < KEEP_COUNT && e->layers[i].keep[k]; k++) {
			size_t bytes = keep_is_paged(k) ? keep_row(&e->m->layers[i], k, &e->shape)
				       << e->shape.page_log2 : 0;
			uint8_t *pool;
			int err = bytes ? exec_dev_pool(e, i, k, &pool) : 0;

			if (err)
				return err;
			if (bytes)
				memcpy(pool + to * bytes, pool + from * bytes, bytes);
		}
	return 0;
}

int exec_dev_copy_page(struct exec_dev *e, uint32_t to, uint32_t from)
{
	const struct accel_job job = {
		.sz = sizeof(job),
		.va = e->stream.va + e->copy_begin, .size = e->copy_end - e->copy_begin,
	};

	if (!job.size)
		return copy_by_hand(e, to, from);
	e->flights[0].io.copy[0] = from;
	e->flights[0].io.copy[1] = to;
	e->newest_end = 0;	/* what comes next does not follow a run */
	return run_job(e, &job);
}

int exec_dev_check(struct exec_dev *e)
{
	const struct pass nothing = { 0 };
	const struct dev_flight *f = &e->flights[0];
	struct accel_job job;
	uint32_t first = 0;

	while (!f->runs[first].end)
		first++;
	io_write(&f->io, e->m, &e->shape, &nothing);
	job = job_of(e, f, first, first, first + 1);
	job.size = f->runs[first].nothing_end - f->begins[first];
	return run_job(e, &job);
}

