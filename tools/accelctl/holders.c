// SPDX-License-Identifier: MIT
/*
 * Two places tell: what each process has open, in /proc, and the driver's list of open files, in debugfs.  That has
 * no names, but also those files that are held by a mapping alone, are on their way through a socket, or are another
 * container's.  Both are whole for root alone.
 */
#include "holders.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMED 8		/* of many */
/* /proc/self/ns/pid of the machine itself, in all kernels (PROC_PID_INIT_INO). */
#define FIRST_NAMESPACE "pid:[4026531836]"

static void add(struct holders *h, int pid, const char *command)
{
	struct holder *grown;

	for (size_t i = 0; i < h->n; i++)
		if (h->list[i].pid == pid)
			return;
	if (pid == getpid())
		return;
	grown = realloc(h->list, (h->n + 1) * sizeof(*grown));
	if (!grown) {
		h->failed = true;
		return;
	}
	h->list = grown;
	grown += h->n++;
	grown->pid = pid;
	snprintf(grown->command, sizeof(grown->command), "%s", command);
}

/* ---- /proc ---- */

static void add_process(struct holders *h, int pid)
{
	char path[64], command[32] = "?";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	f = fopen(path, "re");
	if (f && fgets(command, sizeof(command), f))
		command[strcspn(command, "\n")] = 0;
	if (f)
		fclose(f);
	add(h, pid, command);
}

/* 1: the process has the node open, 0: it has not, or has ended; -EACCES: it does not let us see. */
static int has_open(int pid, dev_t node)
{
	char path[64];
	struct dirent *e;
	struct stat st;
	int found = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return errno == EACCES || errno == EPERM ? -EACCES : 0;
	while (!found && (e = readdir(dir)))
		found = !fstatat(dirfd(dir), e->d_name, &st, 0) && S_ISCHR(st.st_mode) && st.st_rdev == node;
	closedir(dir);
	return found;
}

/* False: there are processes that cannot be seen. */
static bool look_at_processes(struct holders *h, dev_t node)
{
	char namespace[64] = "";
	bool all = readlink("/proc/self/ns/pid", namespace, sizeof(namespace) - 1) > 0 &&
		   !strcmp(namespace, FIRST_NAMESPACE);
	DIR *dir = opendir("/proc");
	struct dirent *e;

	if (!dir)
		return false;
	while ((e = readdir(dir))) {
		int found, pid = atoi(e->d_name);

		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		found = has_open(pid, node);
		if (found > 0)
			add_process(h, pid);
		if (found < 0)
			all = false;
	}
	closedir(dir);
	return all;
}

/* ---- debugfs ---- */

/* The open files that the driver lists, -1: not to be seen. */
static int count_files(const char *pci)
{
	char path[96], line[256];
	int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/debug/accel/%s/buffers", pci);
	f = fopen(path, "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		n += !strncmp(line, "client ", strlen("client "));
	fclose(f);
	return n;
}

void holders_find(struct holders *h, const char *node, const char *pci)
{
	struct stat st;
	int files;

	*h = (struct holders) { 0 };
	if (stat(node, &st) || !S_ISCHR(st.st_mode))
		return;
	h->all = look_at_processes(h, st.st_rdev) && !h->failed;
	files = count_files(pci);
	h->hidden = files > 0 && !h->n;
	h->all |= !files;
}

void holders_free(struct holders *h)
{
	free(h->list);
}

void holders_name(const struct holders *h, char *text, size_t len)
{
	size_t named = h->n > NAMED ? NAMED : h->n, at = 0;

	*text = 0;
	for (size_t i = 0; i < named && at < len; i++)
		at += snprintf(text + at, len - at, "%s%s (pid %d)",
			       !i ? "" : i + 1 == h->n ? " and " : ", ", h->list[i].command, h->list[i].pid);
	if (named < h->n && at < len)
		snprintf(text + at, len - at, " and %zu more", h->n - named);
}
