/* SPDX-License-Identifier: MIT */
/* Graphs of one ggml backend: recorded when they are seen first, replayed from then on. */
#ifndef GGML_GRAPH_H
#define GGML_GRAPH_H

#include "rec.h"

struct graphs;

struct graphs *graphs_new(struct card *c);	/* NULL: accel_error() */
void graphs_free(struct graphs *g);
/* enum gg_status. */
int graphs_compute(struct graphs *g, struct ggml_cgraph *graph);

#endif
