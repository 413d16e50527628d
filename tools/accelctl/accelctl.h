/* SPDX-License-Identifier: MIT */
/* What the commands of accelctl share. */
#ifndef ACCELCTL_H
#define ACCELCTL_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include <accel/accel.h>
#include <accel/engine.h>

#include "session.h"

/* Exit codes; accelctl(1) lists them. */
enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NO_DEVICE = 3,
	EXIT_PERMISSION = 4,
	EXIT_BUSY = 5,
	EXIT_DRIVER = 6,
	EXIT_LOST = 7,
	EXIT_SELF_TEST = 8,
	EXIT_TIMEOUT = 9,
};

struct options {
	bool json;
	const char *device;	/* NULL: auto */
	bool all_layers, no_layers;
	uint32_t first, last;
	bool has_threads;
	uint32_t threads;
	const char *isa;
	uint32_t ctx, batch;
	enum accel_kv_type kv_type;
	bool strict;
	/* run */
	uint32_t predict;
	double temperature, top_p;
	uint32_t top_k;
	uint64_t seed;
	bool raw;
	/* logits */
	int32_t *tokens;	/* malloc'd */
	size_t n_tokens;
	bool step;
	/* bench */
	uint32_t prompt, generate, at;
	bool has_at;
	char **args;		/* what is left of argv */
	int n_args;
};

/* Prints "accelctl: sentence" to stderr and returns exit_code. */
int complain(int exit_code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same with accel_error(), and the exit code that goes with err. */
int complain_accel(int err);
/* The same for a processor that was open. */
int complain_eval(int err);

/* Writes what is buffered of standard output.  False: it cannot be written, and *rc says whether that
 * is a failure: a reader that has gone is none. */
bool flush_output(int *rc);

/* Prints a JSON document {"schema": "accelctl.<command>/1", "generated": ..., ...} and
 * frees it; returns the exit code. */
int print_json(const char *command, json_t *body);

/* A device for computing, as --device says: *dev is NULL for the CPU.  Says on stderr when
 * "auto" finds none.  Returns an exit code. */
int open_device(const struct options *o, struct accel_dev **dev);
/* Plans for *dev or, if NULL, for the CPU.  Returns an exit code. */
int make_plan(const struct options *o, const struct accel_model *model, struct accel_dev *dev,
	      struct accel_plan **plan);
/* Model, device, plan and session in one.  Refuses a device that models time alone unless timing
 * is true.  Returns an exit code; close_session() takes
 * what there is. */
struct running {
	struct accel_model *model;
	struct accel_dev *dev;
	struct accel_plan *plan;
	struct accel_session *session;
};
int open_session(const struct options *o, const char *path, bool timing, struct running *r);
void close_session(struct running *r);

/* CLOCK_MONOTONIC. */
double seconds(void);
/* What the processor did between two moments, as it is modelled. */
struct accel_engine_stats stats_of(const struct accel_session *s);
struct accel_engine_stats stats_between(const struct accel_engine_stats *before,
					const struct accel_engine_stats *after);
struct accel_plan_info plan_info(const struct accel_plan *plan);

json_t *layers_json(const struct accel_plan *plan, const struct accel_session *session);
json_t *device_json(const struct accel_devinfo *info);

int cmd_list(const struct options *o);
int cmd_show(const struct options *o);
int cmd_plan(const struct options *o);
int cmd_run(const struct options *o);
int cmd_logits(const struct options *o);
int cmd_bench(const struct options *o);
int cmd_doctor(const struct options *o);
int cmd_version(const struct options *o);

#endif
