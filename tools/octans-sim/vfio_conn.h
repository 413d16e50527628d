/* SPDX-License-Identifier: MIT */
/* A connection of the vfio-user protocol: messages in, replies out.  One thread at a time. */
#ifndef OCTANS_SIM_VFIO_CONN_H
#define OCTANS_SIM_VFIO_CONN_H

#include <stdbool.h>
#include <stddef.h>

#include "vfio_proto.h"

#define VFIO_CONN_XFER	(1 << 20)	/* bytes of a region that one message can read or write */
#define VFIO_CONN_FDS	16		/* QEMU takes no more; of more vectors it tells in pieces */

struct vfio_conn {
	int sock, stop_fd;
	bool greeted;		/* set by the owner: messages may take longer than a greeting */
	int64_t deadline_ms;	/* of what is being received or sent */
	/* the newest message; its reply takes its place */
	struct vu_header head;
	uint8_t *body;
	size_t len;		/* of the message's body */
	int fds[VFIO_CONN_FDS];
	size_t nfds;
	int reply_fd;		/* to send with the reply, or -1 */
};

int vfio_conn_init(struct vfio_conn *c);	/* 0 or -ENOMEM */
void vfio_conn_destroy(struct vfio_conn *c);
void vfio_conn_begin(struct vfio_conn *c, int sock, int stop_fd);
void vfio_conn_end(struct vfio_conn *c);	/* closes @sock */
/* 1 = a message is there; 0 = the client left or @stop_fd became readable, -EPROTO, -ETIMEDOUT. */
int vfio_conn_receive(struct vfio_conn *c);
bool vfio_conn_pending(const struct vfio_conn *c);	/* would not wait for one */
/* Its reply, if one is wanted: @error, or @len bytes of the body.  1; 0 as above, -ETIMEDOUT. */
int vfio_conn_reply(struct vfio_conn *c, int error, size_t len);
/* Descriptors that came with the message: those not taken are closed. */
int vfio_conn_take_fd(struct vfio_conn *c);
void vfio_conn_close_fds(struct vfio_conn *c);

#endif
