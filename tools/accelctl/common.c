// SPDX-License-Identifier: MIT
/* What several commands do: messages, JSON, opening things. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "accelctl.h"

double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

struct accel_engine_stats stats_of(const struct accel_session *s)
{
	struct accel_engine_stats st = { .sz = sizeof(st) };

	accel_engine_stats(session_engine(s), &st);
	return st;
}

struct accel_plan_info plan_info(const struct accel_plan *plan)
{
	struct accel_plan_info i = { .sz = sizeof(i) };

	accel_plan_info(plan, &i);
	return i;
}

struct accel_engine_stats stats_between(const struct accel_engine_stats *before,
					const struct accel_engine_stats *after)
{
	const uint64_t *from = (const uint64_t *)&before->modelled;
	struct accel_engine_stats d = *after;
	uint64_t *to = (uint64_t *)&d.modelled;

	d.submits -= before->submits;
	d.device_jobs -= before->device_jobs;
	d.ceiling_cycles -= before->ceiling_cycles;
	for (int i = 0; i < OCTANS_COUNTERS; i++)
		to[i] -= from[i];
	return d;
}

int complain(int exit_code, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("accelctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return exit_code;
}

int complain_accel(int err)
{
	int rc = EXIT_FAILED;

	if (err == -ENODEV)
		rc = EXIT_NO_DEVICE;
	else if (err == -EACCES)
		rc = EXIT_PERMISSION;
	else if (err == -EBUSY)
		rc = EXIT_BUSY;
	else if (err == -EPROTO)
		rc = EXIT_DRIVER;
	else if (err == -ETIME || err == -ETIMEDOUT)
		rc = EXIT_TIMEOUT;
	return complain(rc, "%s", accel_error());
}

int complain_eval(int err)
{
	int rc = complain_accel(err);

	return rc == EXIT_NO_DEVICE ? EXIT_LOST : rc;	/* it was there when we began */
}

bool flush_output(int *rc)
{
	struct pollfd reader = { .fd = STDOUT_FILENO };
	int err = 0;

	if (fflush(stdout))
		err = errno;
	else if (!ferror(stdout))
		return true;
	else if (poll(&reader, 1, 0) == 1 && reader.revents & POLLERR)
		err = EPIPE;	/* it failed earlier; nobody kept the reason */
	clearerr(stdout);
	if (err != EPIPE)
		*rc = complain(EXIT_FAILED, "the output could not be written%s%s", err ? ": " : "",
			       err ? strerror(err) : "");
	return false;
}

int print_json(const char *command, json_t *body)
{
	char schema[64], now[32];
	time_t t = time(NULL);
	struct tm tm;
	json_t *doc;
	int bad;

	gmtime_r(&t, &tm);
	strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(schema, sizeof(schema), "accelctl.%s/1", command);
	doc = json_pack("{s:s, s:s}", "schema", schema, "generated", now);
	bad = !doc || !body || json_object_update(doc, body) ||
	      json_dumpf(doc, stdout, JSON_INDENT(2)) < 0;
	json_decref(doc);
	json_decref(body);
	if (bad && !ferror(stdout))
		return complain(EXIT_FAILED, "no memory for the output");
	putchar('\n');
	return EXIT_OK;
}

/* The user wants nothing on a processor. */
static bool on_cpu(const struct options *o)
{
	return o->no_layers || (o->device && !strcmp(o->device, "cpu"));
}

int open_device(const struct options *o, struct accel_dev **dev)
{
	bool automatic = !o->device || !strcmp(o->device, "auto");
	int err;

	*dev = NULL;
	if (on_cpu(o))
		return EXIT_OK;
	err = accel_open(o->device, dev);
	if (!err)
		return EXIT_OK;
	if (!automatic)
		return complain_accel(err);
	fprintf(stderr, "accelctl: computing on the CPU: %s\n", accel_error());
	return EXIT_OK;
}

int make_plan(const struct options *o, const struct accel_model *model, struct accel_dev *dev,
	      struct accel_plan **plan)
{
	struct accel_plan_opts po = {
		.sz = sizeof(po), .ctx = o->ctx, .batch = o->batch, .kv_type = o->kv_type,
	};
	struct accel_model_info mi;
	struct accel_devinfo info = { .sz = sizeof(info) };
	const struct accel_devinfo *list = &info;
	uint32_t *places;
	int err;

	accel_model_info(model, &mi);
	if (!on_cpu(o) && !o->all_layers && o->last >= mi.n_layers)
		return complain(EXIT_FAILED, "layers %u-%u are not among the model's layers 0-%u", o->first,
				o->last, mi.n_layers - 1);
	places = calloc(mi.n_layers, sizeof(*places));
	for (uint32_t i = 0; i < mi.n_layers; i++)
		places[i] = on_cpu(o) || (!o->all_layers && (i < o->first || i > o->last)) ?
			    ACCEL_PLACE_CPU : ACCEL_PLACE_ANY;
	po.places = places;
	po.n_places = mi.n_layers;
	err = dev ? accel_dev_info(dev, &info) : 0;
	if (!err)
		err = accel_plan_new(model, &list, dev != NULL, &po, plan);
	free(places);
	return err ? complain_accel(err) : EXIT_OK;
}

static bool show_progress(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	fprintf(stderr, "\rcopying weights to the processor: %3u %%",
		total ? (unsigned int)(done * 100 / total) : 100);
	if (done >= total)
		fputs("\r\033[K", stderr);
	return true;
}

int open_session(const struct options *o, const char *path, bool timing, struct running *r)
{
	struct accel_engine_opts so = {
		.sz = sizeof(so),
		.threads = o->threads,
		.isa = o->isa,
		.strict = o->strict,
		.progress = isatty(STDERR_FILENO) ? show_progress : NULL,
	};
	struct accel_devinfo info = { .sz = sizeof(info) };
	int rc, err;

	memset(r, 0, sizeof(*r));
	err = accel_model_load(path, &r->model);
	if (err)
		return complain(EXIT_FAILED, "%s", accel_error());
	rc = open_device(o, &r->dev);
	if (rc)
		return rc;
	if (r->dev && !timing && !accel_dev_info(r->dev, &info) && info.timing_only)
		return complain(EXIT_USAGE, "--device \"%s\" models time alone and computes nothing: it is for `accelctl bench`",
				o->device);
	rc = make_plan(o, r->model, r->dev, &r->plan);
	if (rc)
		return rc;
	err = session_new(r->plan, r->dev, &so, &r->session);
	return err ? complain_eval(err) : EXIT_OK;
}

void close_session(struct running *r)
{
	session_free(r->session);
	accel_plan_free(r->plan);
	accel_close(r->dev);
	accel_model_free(r->model);
}

json_t *layers_json(const struct accel_plan *plan, const struct accel_session *session)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < plan_info(plan).layers; i++) {
		struct accel_layer l = { .sz = sizeof(l) };

		if (session ? accel_engine_layer(session_engine(session), i, &l) : accel_plan_layer(plan, i, &l))
			continue;
		json_array_append_new(list, json_pack("{s:i, s:s, s:i, s:s, s:s, s:s, s:s, s:I, s:I}",
			"layer", (int)l.index, "kind", accel_layer_kind_name(l.kind),
			"block", (int)l.block, "where", l.device >= 0 ? "device" : "cpu",
			"reason", accel_reason_name(l.reason), "detail", l.detail,
			"types", l.types, "weight_bytes", (json_int_t)l.weight_bytes,
			"kv_bytes", (json_int_t)l.kv_bytes));
	}
	return list;
}
