/* SPDX-License-Identifier: MIT */
#ifndef ACCEL_SIM_LIBRARY_H
#define ACCEL_SIM_LIBRARY_H

#include <octans/sim.h>

/* The processor model, loaded at the first call and kept for the life of the process: its threads
 * and devices may outlast whoever asked.  -ENODEV: it is not installed, -EPROTO: it is of another
 * version.  MT */
int sim_library(const struct octans_sim_api **api);

#endif
