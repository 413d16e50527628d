/* SPDX-License-Identifier: MIT */
/* The control channel's front door: lines in, a line of answer to each. */
#ifndef OCTANS_SIM_CONTROL_SOCKET_H
#define OCTANS_SIM_CONTROL_SOCKET_H

#include "device.h"

struct control_socket;

/* Serves whoever connects to @listener, in a thread of its own.  @listener stays the caller's.
 * 0 or -errno. */
int control_socket_new(struct sim_device *dev, int listener, struct control_socket **out);
void control_socket_free(struct control_socket *control);

#endif
