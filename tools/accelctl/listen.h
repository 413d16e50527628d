/* SPDX-License-Identifier: MIT */
/*
 * A small HTTP/1.1 server of one page, for machines that ask for it now and then.  One thread; whoever is slow, silent
 * or talks nonsense is kept waiting alone.
 */
#ifndef ACCELCTL_LISTEN_H
#define ACCELCTL_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#define LISTEN_MAX 8	/* sockets */

struct listen_page {
	const char *path;	/* "/metrics" */
	/* The page, malloc'd, and its length, in OpenMetrics if the client takes that; NULL: there is none now. */
	char *(*make)(void *arg, bool openmetrics, size_t *n);
	void *arg;
};

/*
 * Opens fd[LISTEN_MAX]: "systemd", the sockets that a service manager has passed (LISTEN_FDS); or HOST:PORT, [HOST]:PORT,
 * :PORT (all addresses of the machine) or PORT (this machine's own programs alone).  An exit code, after a complaint.
 */
int listen_open(const char *address, int *fd, size_t *n);
/* Serves until the process is ended by a signal.  Returns an exit code after a complaint if that is not possible. */
int listen_serve(const int *fd, size_t n, const struct listen_page *page);

#endif
