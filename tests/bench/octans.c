// SPDX-License-Identifier: MIT
/*
 * SUBMIT to fence through octans.ko.  A job stores a word, which is what a completion is, and no more.
 * Each SUBMIT signals a syncobj, whoever looks at it.
 */
#define HARNESS_NO_MAIN
#include "../kselftest/octans.h"
#include "phase.h"
#include "roundtrip.h"

#define JOB_SIZE	sizeof(struct octans_cmd_signal)
#define WORDS		(8 * PAGE)	/* in the client's page: words after streams */

/* Jobs and SUBMITs are counted; their places are counted modulo MOST_DEPTH. */
struct octans {
	struct client c;
	uint32_t syncobjs[MOST_DEPTH];
	unsigned long sent, ended;			/* jobs */
	unsigned long first, next;			/* SUBMITs that have not been seen to end */
	unsigned long last_job[MOST_DEPTH];		/* of each of them */
};

static volatile uint64_t *word(const struct octans *o, unsigned long job)
{
	return (volatile uint64_t *)(o->c.map + WORDS) + 8 * (job % MOST_DEPTH);
}

static int open_octans(struct octans *o, const char *node)
{
	int ret;

	setenv("OCTANS_NODE", node, 1);
	ret = client_open(&o->c, 0);
	for (int i = 0; !ret && i < MOST_DEPTH; i++) {
		struct octans_cmd_signal s = {
			.cmd = { OCTANS_OP_SIGNAL, OCTANS_SIGNAL_VALUE, sizeof(s), 0 },
			.va = VA + ((uint8_t *)word(o, i) - o->c.map), .value = 1,
		};

		memcpy(o->c.map + i * JOB_SIZE, &s, sizeof(s));
		ret = syncobj_create(o->c.fd, &o->syncobjs[i]);
	}
	return ret;
}

static int send_jobs(struct octans *o, unsigned int n)
{
	struct drm_octans_sync out = {
		.flags = DRM_OCTANS_SYNC_SIGNAL, .handle = o->syncobjs[o->next % MOST_DEPTH],
	};
	struct drm_octans_job jobs[MOST_DEPTH];
	struct drm_octans_submit s = {
		.queue_id = o->c.queue,
		.jobs = { sizeof(jobs[0]), n, (uintptr_t)jobs },
		.syncs = { sizeof(out), 1, (uintptr_t)&out },
	};

	for (unsigned int i = 0; i < n; i++, o->sent++) {
		*word(o, o->sent) = 0;
		jobs[i] = (struct drm_octans_job) {
			.va = VA + o->sent % MOST_DEPTH * JOB_SIZE, .size = JOB_SIZE,
		};
	}
	o->last_job[o->next++ % MOST_DEPTH] = o->sent;
	return call(o->c.fd, DRM_IOCTL_OCTANS_SUBMIT, &s);
}

/* Until the fence of the oldest SUBMIT has come. */
static int wait_fence(struct octans *o)
{
	struct drm_syncobj_wait w = {
		.handles = (uintptr_t)&o->syncobjs[o->first % MOST_DEPTH], .count_handles = 1,
		.timeout_nsec = INT64_MAX,
	};

	return call(o->c.fd, DRM_IOCTL_SYNCOBJ_WAIT, &w);
}

/* Until a job has stored its word, or for SPIN_NS. */
static bool spin(const struct octans *o, unsigned long job)
{
	int64_t end = 0;

	for (unsigned long n = 0; !*word(o, job); n++) {
		__builtin_ia32_pause();
		if (n % 1024 == 1023 && !end)
			end = now_ns() + SPIN_NS;
		else if (n % 1024 == 1023 && now_ns() > end)
			return false;
	}
	return true;
}

/* Until the oldest SUBMIT has ended, or if its jobs are replaced as they come its oldest job. */
static int wait_oldest(struct octans *o, const struct way *way)
{
	unsigned long last = o->last_job[o->first % MOST_DEPTH];
	int ret = 0;

	if (way->waiting == SLEEP || !spin(o, way->shape == AS_THEY_COME ? o->ended : last - 1) ||
	    way->waiting == SPIN_SLEEP)
		ret = wait_fence(o);
	if (way->shape != AS_THEY_COME)
		o->ended = last;
	else
		while (o->ended < o->sent && *word(o, o->ended))
			o->ended++;
	while (o->first < o->next && o->last_job[o->first % MOST_DEPTH] <= o->ended)
		o->first++;
	return ret;
}

double octans_rate(const char *node, const struct way *way, double seconds)
{
	struct octans o = { 0 };
	int64_t begin, end, now;
	int ret = open_octans(&o, node);

	begin = now_ns();
	end = begin + seconds * 1e9;
	while (!ret && (now = now_ns()) < end) {
		unsigned int room = way->depth - (o.sent - o.ended);

		phase(PHASE_SEND);
		if (way->shape != ONE)
			ret = send_jobs(&o, room);
		else
			while (!ret && room--)
				ret = send_jobs(&o, 1);
		phase(PHASE_WAIT);
		if (!ret)
			ret = wait_oldest(&o, way);
		phase(PHASE_NONE);
	}
	if (ret) {
		fprintf(stderr, "octans: %s: %s\n", node, strerror(-ret));
		return -1;
	}
	phase(PHASE_REPORT);
	while (o.first < o.next && !wait_fence(&o))
		o.first++;
	client_close(&o.c);
	return o.ended * 1e9 / (now - begin);
}
