/* SPDX-License-Identifier: MIT */
/* A file that appears as a whole or not at all, in place of one that may be there. */
#ifndef ACCELCTL_NEWFILE_H
#define ACCELCTL_NEWFILE_H

#include <stddef.h>
#include <sys/types.h>

struct newfile {
	const char *name;	/* as the user gave it, the caller's */
	char *path;		/* malloc'd: what is replaced */
	char *made;		/* malloc'd: what is written until then, NULL: path itself, no plain file */
	int fd;			/* -1: there is none */
};

/* Makes it beside the old one, which gives its mode; else it is mode.  newfile_drop() takes what there
 * is; *f zero is good.  All: an exit code, after a complaint that quotes the name. */
int newfile_open(struct newfile *f, const char *name, mode_t mode);
int newfile_write(struct newfile *f, const void *data, size_t n);
/* Puts it in place. */
int newfile_keep(struct newfile *f);
void newfile_drop(struct newfile *f);

#endif
