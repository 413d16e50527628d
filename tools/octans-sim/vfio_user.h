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
 * drops what the client had mapped, cycles the power of the processor and closes @conn.  0;
 * -EPROTO: the client broke the protocol; -ETIMEDOUT: it fell silent in the middle of a message,
 * did not read a reply, or did not greet in time; -ENOTCONN: it left without a greeting, so it was no
 * client, and nothing of the processor changed.  One thread at a time.
 */
int vfio_user_serve(struct vfio_user *s, int conn, int stop_fd);

/*
 * From now on a SIGBUS in memory that the client of @s shared, and then cut off, takes that memory
 * off the bus (see vfio_memory.h); without this it would end the process.  One server in a
 * process can be guarded.
 */
void vfio_user_guard_sigbus(struct vfio_user *s);

#endif
