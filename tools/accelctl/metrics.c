// SPDX-License-Identifier: MIT
#include "metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <drm/octans_accel.h>

#include "accelctl.h"
#include "utf8.h"

enum kind { GAUGE, COUNTER };

/* One number of each card.  Those that are not known of any are left out. */
struct metric {
	const char *name, *unit, *text;
	enum kind kind;
	bool open;		/* known only of a processor that could be opened */
	bool (*value)(const struct card *c, const char *arg, double *value);
	const char *arg;
	double scale;		/* to base units; 0: they are */
	const char *label;	/* beside the processor's, or NULL; the series of one name follow each other */
};

/* ---- where numbers come from ---- */

static bool is_up(const struct card *c, const char *arg, double *value)
{
	(void)arg;
	*value = !c->info.access;
	return true;
}

static bool is_awake(const struct card *c, const char *arg, double *value)
{
	(void)arg;
	*value = !c->asleep;
	return true;
}

#define OF_INFO(function, field)								\
	static bool function(const struct card *c, const char *arg, double *value)		\
	{											\
		(void)arg;									\
		*value = c->info.field;								\
		return true;									\
	}
OF_INFO(memory_size, memory_size)
OF_INFO(memory_used, memory_used)
OF_INFO(memory_mappable, memory_mappable)
OF_INFO(sram_size, sram_size)
OF_INFO(clock, clock_hz)
OF_INFO(rings, rings)
OF_INFO(max_timeout, max_timeout_ms)

static bool of_file(const struct card *c, const char *name, double *value)
{
	return card_file(c, name, value);
}

/* A link that is not known has a width of 0 or 63 ("255" in some kernels). */
static bool of_link(const struct card *c, const char *name, double *value)
{
	return card_file(c, name, value) && *value > 0 && *value <= 32;
}

static bool of_object(const struct card *c, const char *name, double *value)
{
	return card_object(c, name, value);
}

static bool of_errors(const struct card *c, const char *kind, double *value)
{
	return card_errors(c, kind, value);
}

static bool of_interrupts(const struct card *c, const char *arg, double *value)
{
	(void)arg;
	return card_interrupts(c, value);
}

static bool has_objects(const struct card *c, const char *arg, double *value)
{
	(void)arg;
	*value = c->objects[0] != 0;
	return true;
}

/* ---- the table ---- */

#define P "octans_processor_"

static const struct metric metrics[] = {
	{ P "up", NULL, "Whether the processor could be opened (1), or why not is a label of octans_processor_info (0).", GAUGE,
	  .value = is_up },
	{ P "awake", NULL, "Whether the processor is awake (1), or sleeps because nobody uses it (0).", GAUGE, .value = is_awake },
	{ P "memory_size_bytes", "bytes", "On-card memory.", GAUGE, .open = true, .value = memory_size },
	{ P "memory_used_bytes", "bytes", "On-card memory that buffers and page tables take.", GAUGE, .open = true,
	  .value = memory_used },
	{ P "memory_mappable_bytes", "bytes", "On-card memory that the host can reach.", GAUGE, .open = true,
	  .value = memory_mappable },
	{ P "sram_size_bytes", "bytes", "On-chip memory.", GAUGE, .open = true, .value = sram_size },
	{ P "clock_hertz", "hertz", "Clock of the processor.", GAUGE, .open = true, .value = clock },
	{ P "rings", NULL, "Rings that jobs run on at the same time.", GAUGE, .open = true, .value = rings },
	{ P "job_timeout_limit_seconds", "seconds", "The longest that a job may be allowed to run.", GAUGE, .open = true,
	  .value = max_timeout, .scale = 1e-3 },
	{ P "active_seconds_total", "seconds", "Time that the processor was awake, since the driver took it.", COUNTER,
	  .value = of_file, .arg = "power/runtime_active_time", .scale = 1e-3 },
	{ P "suspended_seconds_total", "seconds", "Time that the processor slept, since the driver took it.", COUNTER,
	  .value = of_file, .arg = "power/runtime_suspended_time", .scale = 1e-3 },
	{ P "interrupts_total", NULL, "Interrupts of the processor, which tell of jobs that ended and of faults.", COUNTER,
	  .value = of_interrupts },
	{ P "pcie_link_transfers_per_second", NULL, "Rate of each lane of the PCIe link.", GAUGE, .value = of_file,
	  .arg = "current_link_speed", .scale = 1e9 },
	{ P "pcie_link_limit_transfers_per_second", NULL, "Rate of each lane that the processor is capable of.", GAUGE,
	  .value = of_file, .arg = "max_link_speed", .scale = 1e9 },
	{ P "pcie_link_lanes", NULL, "Lanes of the PCIe link.", GAUGE, .value = of_link, .arg = "current_link_width" },
	{ P "pcie_link_limit_lanes", NULL, "Lanes that the processor has.", GAUGE, .value = of_link, .arg = "max_link_width" },
	{ P "pcie_errors_total", NULL, "Errors of PCIe, by severity.", COUNTER, .value = of_errors, .arg = "correctable",
	  .label = "correctable" },
	{ P "pcie_errors_total", NULL, "", COUNTER, .value = of_errors, .arg = "nonfatal", .label = "nonfatal" },
	{ P "pcie_errors_total", NULL, "", COUNTER, .value = of_errors, .arg = "fatal", .label = "fatal" },
	{ P "counters_readable", NULL,
	  "Whether the driver's own counters could be read (1), which is root's privilege, or are left out (0).", GAUGE,
	  .value = has_objects },
	{ P "resets_total", NULL, "Resets of a ring, or of all the processor.", COUNTER, .value = of_object, .arg = "resets" },
	{ P "submits_total", NULL, "SUBMIT calls that the driver took.", COUNTER, .value = of_object, .arg = "submits" },
	{ P "jobs_total", NULL, "Jobs that the driver took.", COUNTER, .value = of_object, .arg = "submitted_jobs" },
	{ P "withdrawn_jobs_total", NULL, "Jobs taken back from a ring since others waited behind them.", COUNTER,
	  .value = of_object, .arg = "withdrawn" },
	{ P "memory_losses_total", NULL, "Losses of all on-card memory, by power that was cut.", COUNTER, .value = of_object,
	  .arg = "card_losses" },
	{ P "page_table_bytes", "bytes", "On-card memory that page tables take.", GAUGE, .value = of_object,
	  .arg = "card_table_bytes" },
	{ P "buffers", NULL, "Buffers that exist.", GAUGE, .value = of_object, .arg = "buffers" },
	{ P "address_spaces", NULL, "Address spaces that exist.", GAUGE, .value = of_object, .arg = "spaces" },
	{ P "queues", NULL, "Queues that exist.", GAUGE, .value = of_object, .arg = "queues" },
	{ P "unfinished_jobs", NULL, "Jobs that have not ended.", GAUGE, .value = of_object, .arg = "jobs" },
};

/* ---- writing ---- */

struct out {
	FILE *f;
	bool openmetrics;
};

static void put_number(struct out *o, double v)
{
	if (v == (double)(int64_t)v)
		fprintf(o->f, " %lld\n", (long long)v);
	else
		fprintf(o->f, " %.15g\n", v);
}

/* In quotes, as both formats have it.  What is not UTF-8 would cost the reader all the rest. */
static void put_label(struct out *o, const char *name, const char *s)
{
	fprintf(o->f, "%s=\"", name);
	for (size_t n = strlen(s), at = 0; at < n;) {
		size_t len = utf8_length(s + at, n - at);

		if (!len)
			fputs("\xef\xbf\xbd", o->f);
		else if (s[at] == '\n')
			fputs("\\n", o->f);
		else if (s[at] == '"' || s[at] == '\\')
			fprintf(o->f, "\\%c", s[at]);
		else
			fwrite(s + at, 1, len, o->f);
		at += len ? len : 1;
	}
	fputc('"', o->f);
}

/* OpenMetrics declares counters by the name before "_total", Prometheus by the name of the series. */
static void put_head(struct out *o, const char *name, enum kind kind, const char *unit, const char *text)
{
	size_t n = strlen(name);

	if (o->openmetrics && kind == COUNTER)
		n -= strlen("_total");
	fprintf(o->f, "# TYPE %.*s %s\n", (int)n, name, kind == COUNTER ? "counter" : "gauge");
	if (o->openmetrics && unit)
		fprintf(o->f, "# UNIT %.*s %s\n", (int)n, name, unit);
	fprintf(o->f, "# HELP %.*s %s\n", (int)n, name, text);
}

/* A number that is not of a card. */
static void put_one(struct out *o, const char *name, const char *unit, const char *text, double v)
{
	put_head(o, name, GAUGE, unit, text);
	fputs(name, o->f);
	put_number(o, v);
}

static bool known(const struct metric *m, const struct card *c, double *v)
{
	if ((m->open && c->info.access) || !m->value(c, m->arg, v))
		return false;
	if (m->scale)
		*v *= m->scale;
	return true;
}

/* The series of one name, from table[i] on; returns how many entries they have. */
static size_t put_metric(struct out *o, size_t i, const struct cards *c)
{
	const size_t all = sizeof(metrics) / sizeof(metrics[0]);
	const struct metric *m = &metrics[i];
	bool begun = false;
	size_t n = 0;
	double v;

	for (; i + n < all && !strcmp(metrics[i + n].name, m->name); n++)
		for (size_t k = 0; k < c->n; k++) {
			if (!known(&metrics[i + n], &c->list[k], &v))
				continue;
			if (!begun)
				put_head(o, m->name, m->kind, m->unit, m->text);
			begun = true;
			fprintf(o->f, "%s{", m->name);
			put_label(o, "processor", c->list[k].info.name);
			if (metrics[i + n].label)
				put_label(o, ",severity", metrics[i + n].label);
			fputc('}', o->f);
			put_number(o, v);
		}
	return n;
}

/* The parts of a name that do not change, once, for whoever joins them with the numbers. */
static void put_info(struct out *o, const struct cards *c)
{
	char text[32];

	if (c->n)
		put_head(o, P "info", GAUGE, NULL, "What the processor is; the value is always 1.");
	for (size_t i = 0; i < c->n; i++) {
		const struct accel_devinfo *d = &c->list[i].info;
		double node;

		fputs(P "info{", o->f);
		put_label(o, "processor", d->name);
		put_label(o, ",pci", d->pci);
		put_label(o, ",access", access_name(d->access));
		put_label(o, ",driver", d->driver);
		if (!d->access) {
			put_label(o, ",profile", d->profile);
			snprintf(text, sizeof(text), "%u.%u", d->hw_version >> 16, d->hw_version & 0xffff);
			put_label(o, ",hardware", text);
			snprintf(text, sizeof(text), "%016llx", (unsigned long long)d->serial);
			put_label(o, ",serial", text);
			snprintf(text, sizeof(text), "%u.%u", d->uapi_major, d->uapi_minor);
			put_label(o, ",uapi", text);
		}
		if (card_file(&c->list[i], "numa_node", &node)) {
			snprintf(text, sizeof(text), "%.0f", node);
			put_label(o, ",numa_node", text);
		}
		fputs("} 1\n", o->f);
	}
}

static void put_build(struct out *o)
{
	uint32_t v = accel_version();
	char text[32];

	put_head(o, "octans_build_info", GAUGE, NULL, "Versions of accelctl and its library; the value is always 1.");
	fputs("octans_build_info{", o->f);
	snprintf(text, sizeof(text), "%d.%d.%d", ACCEL_VERSION_MAJOR, ACCEL_VERSION_MINOR, ACCEL_VERSION_PATCH);
	put_label(o, "version", text);
	snprintf(text, sizeof(text), "%u.%u.%u", v >> 16, v >> 8 & 0xff, v & 0xff);
	put_label(o, ",libaccel", text);
	snprintf(text, sizeof(text), "%d.%d", OCTANS_UAPI_MAJOR, OCTANS_UAPI_MINOR);
	put_label(o, ",uapi", text);
	snprintf(text, sizeof(text), "%u", accel_numerics());
	put_label(o, ",numerics", text);
	fputs("} 1\n", o->f);
}

char *metrics_text(const struct cards *c, double took, bool openmetrics, size_t *n)
{
	struct out o = { .openmetrics = openmetrics };
	char *text = NULL;
	bool bad;

	o.f = open_memstream(&text, n);
	if (!o.f)
		return NULL;
	put_build(&o);
	put_one(&o, "octans_driver_loaded", NULL, "Whether octans.ko is loaded.", !access("/sys/module/octans", F_OK));
	put_one(&o, "octans_processors", NULL, "Processors that the kernel shows, whether or not they open.", c->n);
	put_info(&o, c);
	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]);)
		i += put_metric(&o, i, c);
	put_one(&o, "octans_look_duration_seconds", "seconds", "How long it took to look at the processors.", took);
	if (openmetrics)
		fputs("# EOF\n", o.f);
	bad = ferror(o.f);
	if (!fclose(o.f) && !bad)
		return text;
	free(text);
	return NULL;
}
