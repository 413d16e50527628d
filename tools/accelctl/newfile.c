// SPDX-License-Identifier: MIT
#include "newfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "accelctl.h"

static int failed(struct newfile *f, int err)
{
	newfile_drop(f);
	return complain(EXIT_FAILED, "%s could not be written: %s", f->name, strerror(err));
}

static mode_t allowed(mode_t mode)
{
	mode_t mask = umask(0);

	umask(mask);
	return mode & ~mask;
}

int newfile_open(struct newfile *f, const char *name, mode_t mode)
{
	struct stat st;
	bool there;

	*f = (struct newfile) { .name = name, .fd = -1 };
	f->path = realpath(name, NULL);		/* a link stays one */
	there = f->path && !stat(f->path, &st);
	if (!f->path)
		f->path = strdup(name);
	if (!f->path)
		return failed(f, ENOMEM);
	if (there && !S_ISREG(st.st_mode)) {
		f->fd = open(f->path, O_WRONLY | O_CLOEXEC);
		return f->fd < 0 ? failed(f, errno) : EXIT_OK;
	}
	if (asprintf(&f->made, "%s.XXXXXX", f->path) < 0) {
		f->made = NULL;
		return failed(f, ENOMEM);
	}
	f->fd = mkostemp(f->made, O_CLOEXEC);
	if (f->fd < 0) {
		int err = errno;

		free(f->made);
		f->made = NULL;
		return failed(f, err);
	}
	return fchmod(f->fd, there ? st.st_mode & 07777 : allowed(mode)) ? failed(f, errno) : EXIT_OK;
}

int newfile_write(struct newfile *f, const void *data, size_t n)
{
	const char *p = data;

	while (n) {
		ssize_t part = write(f->fd, p, n);

		if (part < 0 && errno == EINTR)
			continue;
		if (part <= 0)
			return failed(f, part ? errno : ENOSPC);
		p += part;
		n -= part;
	}
	return EXIT_OK;
}

int newfile_keep(struct newfile *f)
{
	int bad = f->made && fsync(f->fd);

	bad = bad ? errno : close(f->fd) ? errno : 0;
	f->fd = -1;
	if (!bad && f->made && rename(f->made, f->path))
		bad = errno;
	if (bad)
		return failed(f, bad);
	free(f->made);
	f->made = NULL;
	newfile_drop(f);
	return EXIT_OK;
}

void newfile_drop(struct newfile *f)
{
	if (f->path && f->fd >= 0)
		close(f->fd);
	if (f->made)
		unlink(f->made);
	free(f->made);
	free(f->path);
	f->made = f->path = NULL;
	f->fd = -1;
}
