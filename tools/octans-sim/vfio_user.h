/* SPDX-License-Identifier: MIT */
/*
 * The vfio-user front door: the processor model as a PCI function for a virtual
 * machine monitor (QEMU's vfio-user-pci).  Protocol: QEMU, docs/interop/vfio-user.
 */
#ifndef OCTANS_SIM_VFIO_USER_H
#define OCTANS_SIM_VFIO_USER_H

#include "device.h"

struct vfio_user;

/* The processor with its PCI function, not yet connected.  0 or -errno with a sentence
 * in @err.  @log: what happens goes to stderr. */
int vfio_user_new(const struct sim_config *config, bool log, struct vfio_user **out, char *err,
		  size_t errlen);
void vfio_user_free(struct vfio_user *s);
struct sim_device *vfio_user_device(struct vfio_user *s);

/*
 * Serves the client at socket @conn until it leaves or @stop_fd becomes readable, then
 * resets the function, drops what the client had mapped and closes @conn.  0, or -EPROTO
 * if the client broke the protocol.  One thread at a time.
 */
int vfio_user_serve(struct vfio_user *s, int conn, int stop_fd);

/* A SIGBUS in memory that a client shared and then cut off reads as zeros; without
 * this handler it would end the process. */
void vfio_user_guard_sigbus(void);

#endif
