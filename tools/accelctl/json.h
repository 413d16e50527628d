/* SPDX-License-Identifier: MIT */
/* Results as documents for programs. */
#ifndef ACCELCTL_JSON_H
#define ACCELCTL_JSON_H

#include <stddef.h>

#include <jansson.h>

/* Text of unknown origin as JSON: what is not UTF-8 becomes U+FFFD. */
json_t *json_bytes(const char *s, size_t n);
json_t *json_text(const char *s);

/* Prints {"schema": "accelctl.<schema>", "generated": ..., ...} and frees body; schema: "list/2",
 * whose number changes when a key means something else.  Returns the exit code. */
int print_json(const char *schema, json_t *body);

#endif
