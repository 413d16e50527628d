/* SPDX-License-Identifier: MIT */
/* Does a processor work? */
#ifndef ACCELCTL_ROUNDTRIP_H
#define ACCELCTL_ROUNDTRIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct accel_dev;

/* Runs a job that stores the time: rings, MMU, memory, interrupt and fence all work, or why says what does not. */
bool round_trip(struct accel_dev *dev, uint64_t *ns, char *why, size_t len);

#endif
