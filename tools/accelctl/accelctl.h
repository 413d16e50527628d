/* SPDX-License-Identifier: MIT */
/* What the commands of accelctl share. */
#ifndef ACCELCTL_H
#define ACCELCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <accel/accel.h>

#include "json.h"
#include "options.h"
#include "output.h"

/* ---- names.c ---- */

/* The names of the bits that are set. */
json_t *operations_json(uint64_t bits);
json_t *types_json(uint64_t bits);
void print_operations(const char *what, uint64_t bits);
void print_types(const char *what, uint64_t bits);
/* What accel_devinfo.access means, in one word: "ok", "no-permission", ... */
const char *access_name(int access);
const char *access_text(int access);

json_t *device_json(const struct accel_devinfo *info);
/* All processors that the kernel shows; the caller frees *list. */
int enumerate_devices(struct accel_devinfo **list, size_t *n);
/* Does the kernel show any, whether it opens or not? */
bool has_device(void);
/* Is it what a user calls DEVICE?  NULL and "auto" are any. */
bool device_is_meant(const char *selector, const struct accel_devinfo *info);
/* Opens one processor to describe it; -errno. */
int device_look(const char *selector, struct accel_devinfo *info);
/* accel_error() of accel_open(), and what to do; the exit code that goes with err. */
int complain_open(int err);

int cmd_list(const struct options *o);
int cmd_show(const struct options *o);
/* cmd_show.c: of a model's file, if its argument is one. */
bool is_model(const char *arg);
int show_model(const struct options *o);
int cmd_plan(const struct options *o);
int cmd_run(const struct options *o);
int cmd_verify(const struct options *o);
int cmd_logits(const struct options *o);
int cmd_bench(const struct options *o);
int cmd_doctor(const struct options *o);
int cmd_reset(const struct options *o);
int cmd_metrics(const struct options *o);
int cmd_cdi(const struct options *o);
int cmd_version(const struct options *o);
int cmd_completion(const struct options *o);
int cmd_help(const struct options *o);

#endif
