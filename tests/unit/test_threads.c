// SPDX-License-Identifier: MIT
/* The default number of threads, in front of made-up control groups. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "op/threads.h"
#include "tap.h"

static char root[64];

static void put(const char *path, const char *text)
{
	char full[512];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); p++) {
		*p = 0;
		mkdir(full, 0755);
		*p = '/';
	}
	f = fopen(full, "w");
	if (!f || fputs(text, f) < 0 || fclose(f)) {
		printf("Bail out! %s: %s\n", full, strerror(errno));
		exit(1);
	}
}

static void begin(void)
{
	snprintf(root, sizeof(root), "/tmp/threads-XXXXXX");
	if (!mkdtemp(root)) {
		puts("Bail out! no directory");
		exit(1);
	}
}

static void end(void)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf %s", root);
	if (system(command))
		puts("# a directory is left");
}

static void test_v2(void)
{
	begin();
	ok(cgroup_cpus(root) == 0, "without /proc there is no quota");
	put("/proc/self/cgroup", "0::/a/b/c\n");
	ok(cgroup_cpus(root) == 0, "nor without groups");
	put("/sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
	ok(cgroup_cpus(root) == 0, "\"max\" is none");
	put("/sys/fs/cgroup/a/b/cpu.max", "350000 100000\n");
	ok(cgroup_cpus(root) == 3, "a group above counts, parts of a CPU do not");
	put("/sys/fs/cgroup/a/cpu.max", "100000 50000\n");
	ok(cgroup_cpus(root) == 2, "the least of them");
	put("/sys/fs/cgroup/a/b/c/cpu.max", "100000 100000\n");
	ok(cgroup_cpus(root) == 1, "one CPU");
	put("/sys/fs/cgroup/a/b/c/cpu.max", "5000 100000\n");
	ok(cgroup_cpus(root) == 1, "a twentieth of a CPU");
	put("/sys/fs/cgroup/a/b/c/cpu.max", "nonsense\n");
	ok(cgroup_cpus(root) == 2, "what cannot be read does not count");
	end();
	begin();
	put("/proc/self/cgroup", "0::/\n");
	put("/sys/fs/cgroup/cpu.max", "400000 100000\n");
	ok(cgroup_cpus(root) == 4, "the root of a container");
	put("/proc/self/cgroup", "0::/system.slice/of-the-host.scope\n");
	ok(cgroup_cpus(root) == 4, "also if the path is the host's");
	put("/proc/self/cgroup", "0::/../../other\n");
	ok(cgroup_cpus(root) == 4, "or leads out of it");
	end();
}

static void test_v1(void)
{
	begin();
	put("/proc/self/cgroup", "12:cpuset:/x\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/y\n");
	put("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "-1\n");
	put("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
	ok(cgroup_cpus(root) == 0, "v1: -1 is no quota");
	put("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "200000\n");
	ok(cgroup_cpus(root) == 2, "v1: two CPUs");
	put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "100000\n");
	put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
	ok(cgroup_cpus(root) == 1, "v1: and one at the root");
	put("/proc/self/cgroup", "12:cpuset,cpuacct:/docker/abc\n");
	ok(cgroup_cpus(root) == 0, "v1: other controllers do not count");
	end();
	begin();
	put("/proc/self/cgroup", "3:cpuacct,cpu:/host/path\n0::/\n");
	put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000\n");
	put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
	ok(cgroup_cpus(root) == 3, "v1: the container's own mount");
	put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "0\n");
	ok(cgroup_cpus(root) == 0, "v1: a period of 0 is none");
	end();
}

static void test_affinity(void)
{
	cpu_set_t set, one;
	int first = 0;

	ok(default_threads() >= 1 && default_threads() <= MAX_DEFAULT_THREADS, "there is a default");
	if (sched_getaffinity(0, sizeof(set), &set))
		return;
	while (!CPU_ISSET(first, &set))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		return;
	ok(default_threads() == 1, "one CPU allowed: one thread");
	sched_setaffinity(0, sizeof(set), &set);
}

int main(void)
{
	test_v2();
	test_v1();
	test_affinity();
	return done();
}
