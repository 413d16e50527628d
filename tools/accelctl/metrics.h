/* SPDX-License-Identifier: MIT */
/* What is known of processors, as monitoring reads it. */
#ifndef ACCELCTL_METRICS_H
#define ACCELCTL_METRICS_H

#include <stdbool.h>
#include <stddef.h>

#include "cards.h"

/*
 * The text, malloc'd, of *n bytes: OpenMetrics 1.0, or the older text format of Prometheus, which node_exporter and
 * promtool read.  They differ in how counters are declared, in units, and in the last line.  took: seconds that looking at
 * the cards took.  NULL: no memory.
 */
char *metrics_text(const struct cards *c, double took, bool openmetrics, size_t *n);

#endif
