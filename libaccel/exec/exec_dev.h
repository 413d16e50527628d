/* SPDX-License-Identifier: MIT */
/*
 * Inside the device executor: exec_dev.c makes it, exec_dev_run.c runs passes on it.
 */
#ifndef ACCEL_EXEC_DEV_H
#define ACCEL_EXEC_DEV_H

#include "exec.h"
#include "far.h"

struct card_buffer {
	struct accel_bo *bo;		/* NULL: it is part of exec_dev.together ... */
	uint64_t offset;		/* ... from here on */
	uint64_t va, size;
	uint8_t *map;			/* NULL: not mapped by the process */
};

struct upload {			/* of weights */
	const bool *mine;		/* [n_layers] */
	const void *tied;		/* the table that the last layer may have, too; NULL: it is not here */
	uint32_t layer;			/* what comes next: */
	int weight;
	uint64_t offset;
	uint64_t done;
	int (*progress)(void *arg, uint64_t done);
	void *progress_arg;
};

struct run {				/* layers that follow each other; at its first */
	uint32_t end;			/* past the last, 0 = no run begins here */
	uint32_t stream_end;		/* offset in the stream buffer */
	uint32_t nothing_end;		/* likewise, behind what is done before its layers */
	uint32_t number;		/* of the executor's */
};

/* What was submitted and not yet waited for to its end. */
struct sent {
	struct accel_fence *fence;
	uint32_t first;			/* of the run */
};

/* One of the passes that are under way at once: with memory of its own, and streams that read and write it. */
struct dev_flight {
	struct io io;
	uint64_t x_va;			/* of io.x */
	struct run *runs;		/* [n_layers] */
	uint32_t *begins;		/* [n_layers]: where a layer's commands begin in the stream buffer */
	struct sent *sent;		/* [n_sent], of n_layers, oldest first */
	uint32_t n_sent;
};

struct exec_dev {
	const struct accel_model *m;
	struct shape shape;
	struct accel_dev *dev;
	struct accel_devinfo info;
	struct accel_vm *vm;
	struct accel_queue *queue;
	struct card_buffer host, weights, kv, work, stream, slots, stage;
	struct accel_bo *together;	/* NULL: each of them is by itself */
	struct far far;
	struct card_buffer relay;	/* bo NULL: residual streams lie in the host buffer */
	uint64_t next_va;
	struct dev_flight *flights;	/* [shape.flights] */
	struct layer_places *layers;	/* [n_layers] */
	struct layer_cost *costs;	/* [n_layers], of its layers */
	bool *shared;			/* [n_layers]: it has but a part of it */
	struct upload upload;
	struct stop stop;
	bool blamed;			/* the newest error is the processor's */
	uint32_t copy_begin, copy_end;	/* in the stream buffer: commands that copy a page; or the same */
	bool recorded;			/* all streams are */
	uint64_t submits, jobs, stream_bytes, stream_writes, ceiling;
	struct octans_counters sum;
	uint64_t newest_end;		/* cycles when the newest run had ended, 0 = none */
	uint64_t launch;		/* fewest cycles ever seen between two runs, UINT64_MAX = none were */
};

/* The device address of something in the host buffer. */
static inline uint64_t host_va(const struct exec_dev *e, const void *p)
{
	return e->host.va + ((const uint8_t *)p - e->host.map);
}

/* The counters before and after a run of a flight. */
static inline struct octans_counters *run_counters(const struct dev_flight *f, uint32_t first)
{
	return &f->io.counters[2 * f->runs[first].number];
}

#endif
