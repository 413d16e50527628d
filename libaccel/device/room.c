// SPDX-License-Identifier: MIT
#include "room.h"

#include <stdatomic.h>
#include <stddef.h>
#include <time.h>

#include <xf86drm.h>

#define JOBS_A_POINT	64	/* a sixteenth of what a queue takes */
#define MOMENT_NS	1000000

void room_init(struct room *r)
{
	pthread_mutex_init(&r->lock, NULL);
}

void room_destroy(struct room *r, int fd)
{
	if (r->timeline)
		drmSyncobjDestroy(fd, r->timeline);
	pthread_mutex_destroy(&r->lock);
}

bool room_mark(struct room *r, int fd, uint32_t n_jobs, struct drm_octans_sync *sync)
{
	if (atomic_fetch_add(&r->jobs, n_jobs) + n_jobs < JOBS_A_POINT)
		return false;
	pthread_mutex_lock(&r->lock);
	if (!r->timeline && drmSyncobjCreate(fd, 0, &r->timeline)) {
		r->timeline = 0;	/* there are moments instead */
		pthread_mutex_unlock(&r->lock);
		return false;
	}
	*sync = (struct drm_octans_sync) {
		.flags = DRM_OCTANS_SYNC_SIGNAL | DRM_OCTANS_SYNC_TIMELINE,
		.handle = r->timeline,
		.point = r->points + 1,
	};
	return true;
}

void room_marked(struct room *r, bool submitted)
{
	if (submitted) {
		r->points++;
		r->jobs = 0;
	}
	pthread_mutex_unlock(&r->lock);
}

int room_wait(struct room *r, int fd)
{
	const struct timespec moment = { .tv_nsec = MOMENT_NS };
	uint64_t reached = 0, points;
	uint32_t timeline;

	pthread_mutex_lock(&r->lock);
	timeline = r->timeline;
	points = r->points;
	pthread_mutex_unlock(&r->lock);
	if (points) {
		int err = drmSyncobjQuery(fd, &timeline, &reached, 1);

		if (err)
			return err;
	}
	if (reached < points) {
		reached++;
		return drmSyncobjTimelineWait(fd, &timeline, &reached, 1, INT64_MAX, 0, NULL);
	}
	nanosleep(&moment, NULL);
	return 0;
}
