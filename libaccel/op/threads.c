// SPDX-License-Identifier: MIT
/*
 * The default number of threads.  Threads of a step wait for each other: one that has no CPU, or that
 * is halted because a quota is used up, halts all.  So parts of a CPU are left alone.
 */
#include "threads.h"

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* CPUs of a machine that a mask must have room for: the kernel's own limit. */
#define MAX_CPUS 8192

/* 0: it cannot be known. */
static unsigned int affinity_cpus(void)
{
	cpu_set_t *set = CPU_ALLOC(MAX_CPUS);
	unsigned int n = 0;

	if (!set)
		return 0;
	if (!sched_getaffinity(0, CPU_ALLOC_SIZE(MAX_CPUS), set))
		n = CPU_COUNT_S(CPU_ALLOC_SIZE(MAX_CPUS), set);
	CPU_FREE(set);
	return n;
}

/* The first line of a file; false: there is none. */
static bool read_line(const char *path, char *line, size_t len)
{
	FILE *f = fopen(path, "re");
	bool good = f && fgets(line, len, f);

	if (f)
		fclose(f);
	return good;
}

/* The quota of one group, in thousandths of a CPU; LONG_MAX: none. */
static long group_quota(const char *dir, bool v2)
{
	char path[PATH_MAX + 32], line[64];
	long quota = -1, period = 0;

	if (v2) {	/* "max 100000" has no quota */
		snprintf(path, sizeof(path), "%s/cpu.max", dir);
		if (!read_line(path, line, sizeof(line)) || sscanf(line, "%ld %ld", &quota, &period) != 2)
			return LONG_MAX;
	} else {
		snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", dir);
		if (!read_line(path, line, sizeof(line)) || sscanf(line, "%ld", &quota) != 1)
			return LONG_MAX;
		snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", dir);
		if (!read_line(path, line, sizeof(line)) || sscanf(line, "%ld", &period) != 1)
			return LONG_MAX;
	}
	return quota <= 0 || period <= 0 || quota > LONG_MAX / 1000 ? LONG_MAX : quota * 1000 / period;
}

/* The least quota from the group at path up to the root: each holds for all below it.  In a container
 * the path may be the host's and not be there; the root is then the container's own group. */
static long path_quota(const char *mount, char *path, bool v2)
{
	char dir[PATH_MAX];
	long least = LONG_MAX, q;

	for (;;) {
		char *slash;

		snprintf(dir, sizeof(dir), "%s%s", mount, path);
		q = group_quota(dir, v2);
		if (q < least)
			least = q;
		slash = strrchr(path, '/');
		if (!slash)
			return least;
		*slash = 0;
	}
}

/* Is "cpu" one of the controllers "cpu,cpuacct"? */
static bool has_cpu(const char *controllers)
{
	for (const char *p = controllers; p; p = strchr(p, ',')) {
		p += *p == ',';
		if (!strncmp(p, "cpu", 3) && (!p[3] || p[3] == ','))
			return true;
	}
	return false;
}

/* A line of /proc/self/cgroup: "0::/path" is v2, "4:cpu,cpuacct:/path" v1. */
static long line_quota(const char *root, char *line)
{
	char mount[PATH_MAX], *controllers = strchr(line, ':'), *path;

	path = controllers ? strchr(controllers + 1, ':') : NULL;
	if (!path)
		return LONG_MAX;
	*controllers++ = 0;
	*path++ = 0;
	path[strcspn(path, "\n")] = 0;
	if (!*controllers) {
		snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup", root);
		return path_quota(mount, path, true);
	}
	if (!has_cpu(controllers))
		return LONG_MAX;
	snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup/cpu", root);
	if (access(mount, F_OK))
		snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup/%s", root, controllers);
	return path_quota(mount, path, false);
}

unsigned int cgroup_cpus(const char *root)
{
	char path[PATH_MAX], *line = NULL;
	long least = LONG_MAX, q;
	size_t room = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (getline(&line, &room, f) > 0) {
		q = line_quota(root, line);
		if (q < least)
			least = q;
	}
	free(line);
	fclose(f);
	if (least == LONG_MAX)
		return 0;
	return least < 2000 ? 1 : least / 1000 > INT_MAX ? INT_MAX : least / 1000;
}

unsigned int default_threads(void)
{
	unsigned int n = affinity_cpus(), quota = cgroup_cpus("");
	long online;

	if (!n) {
		online = sysconf(_SC_NPROCESSORS_ONLN);
		n = online < 1 ? 1 : online;
	}
	if (quota && quota < n)
		n = quota;
	return n > MAX_DEFAULT_THREADS ? MAX_DEFAULT_THREADS : n;
}
