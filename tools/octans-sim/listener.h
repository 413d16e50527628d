/* SPDX-License-Identifier: MIT */
/* Sockets in the file system that clients connect to. */
#ifndef OCTANS_SIM_LISTENER_H
#define OCTANS_SIM_LISTENER_H

/* A socket that listens at @path, or -errno.  What a server that died left there is replaced; what
 * belongs to one that lives, or is no socket, is not: -EADDRINUSE. */
int listener_open(const char *path);
void listener_close(int fd, const char *path);

#endif
