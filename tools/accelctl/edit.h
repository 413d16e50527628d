/* SPDX-License-Identifier: MIT */
/* Lines that can be edited while they are typed, with a history: libedit's. */
#ifndef ACCELCTL_EDIT_H
#define ACCELCTL_EDIT_H

#include <stdbool.h>
#include <stddef.h>

struct edit;

/* What does it, or NULL: this was built without. */
const char *edit_library(void);
/* Of the terminal that is standard input; the marker and what is typed are shown on standard error.
 * NULL: it was built without, or the terminal cannot do it. */
struct edit *edit_new(void);
void edit_free(struct edit *e);

/*
 * A line without its end, of n bytes of UTF-8, until the next call.  NULL: there are no more, or a
 * signal came (interrupted is set).
 */
const char *edit_line(struct edit *e, const char *marker, size_t *n);
/* Was something typed when the signal came? */
bool edit_thrown_away(const struct edit *e);

#endif
