/* SPDX-License-Identifier: MIT */
/*
 * Tests in the form of the kernel's kselftest harness, which header packages do not ship:
 * FIXTURE, FIXTURE_SETUP, TEST_F, ASSERT_* and EXPECT_*, KTAP on stdout, exit status 0, 1 or
 * 4 (all skipped).  Each test runs in a process of its own, with a time limit.  After each the
 * kernel's log is searched: what a kernel must not say fails the test that made it say so.
 *
 *	PROGRAM [PART OF A NAME [COUNT]]	COUNT: how often, for tests that are repetitions
 */
#ifndef OCTANS_KSELFTEST_HARNESS_H
#define OCTANS_KSELFTEST_HARNESS_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define KSFT_FAIL 1
#define KSFT_SKIP 4
#define LATE 5			/* nothing was wrong but the time it took */

struct test_metadata {
	const char *name;
	void (*run)(struct test_metadata *);
	unsigned int timeout;
	bool failed, late;
	struct test_metadata *next;
};

static struct test_metadata *test_list;
__attribute__((unused)) static struct test_metadata **test_tail = &test_list;

#define FIXTURE(f) struct f##_data
#define FIXTURE_SETUP(f) \
	static void f##_setup(struct test_metadata *_metadata, struct f##_data *self)
#define FIXTURE_TEARDOWN(f) \
	static void f##_teardown(struct test_metadata *_metadata, struct f##_data *self)

#define TEST_F_TIMEOUT(f, name_, seconds) \
	static void f##_##name_(struct test_metadata *_metadata, struct f##_data *self); \
	static void f##_##name_##_run(struct test_metadata *m) \
	{ \
		struct f##_data data; \
		memset(&data, 0, sizeof(data)); \
		f##_setup(m, &data); \
		f##_##name_(m, &data); \
		f##_teardown(m, &data); \
	} \
	static struct test_metadata f##_##name_##_meta = { #f "." #name_, f##_##name_##_run, \
							   seconds, false, false, NULL }; \
	__attribute__((constructor)) static void f##_##name_##_register(void) \
	{ \
		*test_tail = &f##_##name_##_meta; \
		test_tail = &f##_##name_##_meta.next; \
	} \
	static void f##_##name_(__attribute__((unused)) struct test_metadata *_metadata, \
				__attribute__((unused)) struct f##_data *self)
#define TEST_F(f, name_) TEST_F_TIMEOUT(f, name_, 60)

/* A debug kernel takes this many times as long, so time limits are as much longer there. */
static inline long long slowness(void)
{
	static int slow;

	if (!slow)
		slow = access("/sys/kernel/debug/kmemleak", F_OK) ? 1 : 4;
	return slow;
}

#define TH_CHECK(stop, wrong, a, op, b) do { \
	long long a_ = (long long)(a), b_ = (long long)(b); \
	if (!(a_ op b_)) { \
		printf("# %s:%d: %s (%lld) " #op " %s (%lld)\n", __FILE__, __LINE__, #a, a_, #b, b_); \
		_metadata->wrong = true; \
		if (stop) { \
			fflush(stdout); \
			_exit(KSFT_FAIL); \
		} \
	} \
} while (0)
#define EXPECT_EQ(a, b) TH_CHECK(0, failed, a, ==, b)
#define EXPECT_NE(a, b) TH_CHECK(0, failed, a, !=, b)
#define EXPECT_GE(a, b) TH_CHECK(0, failed, a, >=, b)
#define EXPECT_LE(a, b) TH_CHECK(0, failed, a, <=, b)
#define EXPECT_TRUE(a) TH_CHECK(0, failed, !!(a), !=, 0)
/*
 * A time and its upper bound.  One call can be slower there than all of a test is.  A machine that others
 * need, too, can be late by itself: a test that was only late is run again.
 */
#define EXPECT_SOON(a, b) TH_CHECK(0, late, a, <=, (b) * slowness() * slowness())
#define ASSERT_EQ(a, b) TH_CHECK(1, failed, a, ==, b)
#define ASSERT_NE(a, b) TH_CHECK(1, failed, a, !=, b)
#define ASSERT_GE(a, b) TH_CHECK(1, failed, a, >=, b)
#define ASSERT_TRUE(a) TH_CHECK(1, failed, !!(a), !=, 0)
#define SKIP(why) do { \
	printf("# SKIP %s\n", why); \
	fflush(stdout); \
	_exit(KSFT_SKIP); \
} while (0)

/* Where the threads of a process stand in the kernel, for who looks for what it waits for. */
__attribute__((unused))
static void show_stacks(pid_t pid)
{
	char path[320], line[256];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/task/%s/stack", pid, e->d_name);
		f = *e->d_name == '.' ? NULL : fopen(path, "r");
		while (f && fgets(line, sizeof(line), f))
			printf("# thread %s: %s", e->d_name, line);
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
}

/* Until shortly before it has had its time. */
__attribute__((unused))
static void watch(pid_t pid, unsigned int seconds)
{
	struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };

	if (p.fd < 0)
		return;
	if (!poll(&p, 1, (int)seconds * 1000 - 500))
		show_stacks(pid);
	close(p.fd);
}

__attribute__((unused))
static int test_one(struct test_metadata *m, int *status)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		alarm(m->timeout * slowness());
		setvbuf(stdout, NULL, _IOLBF, 0);
		m->run(m);
		fflush(stdout);
		_exit(m->failed ? KSFT_FAIL : m->late ? LATE : 0);
	}
	if (pid > 0 && !getenv("COUNT"))	/* repetitions have limits of their own */
		watch(pid, m->timeout * slowness());
	return pid < 0 || waitpid(pid, status, 0) != pid ? -1 : 0;
}

/* How often a test that is a repetition does what it does. */
__attribute__((unused))
static int test_count(int usual)
{
	const char *count = getenv("COUNT");

	return count ? atoi(count) : usual;
}

#ifndef HARNESS_NO_MAIN
/* What kernel-log.re lists (tests/vm/run has it, too). */
#ifndef KERNEL_LOG_RE
#define KERNEL_LOG_RE "BUG|WARNING|Call Trace"
#endif
static regex_t log_bad;
static int log_fd = -1;		/* shared with the process of each test */

/* At the log's end; -1: there is no log to be read here. */
static int log_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

/*
 * Whether the kernel has said nothing bad since the last call.  One read is one record.  A test that
 * makes the kernel say more than its log holds looks itself, now and then.
 */
static bool log_is_clean(int fd)
{
	char record[2048], *text;
	bool clean = true;
	ssize_t n;

	while (fd >= 0 && ((n = read(fd, record, sizeof(record) - 1)) > 0 || (n < 0 && errno == EPIPE))) {
		if (n < 0)
			continue;	/* records were lost: older than these */
		record[n] = 0;
		text = strchr(record, ';');
		if (!text || regexec(&log_bad, text, 0, NULL, 0))
			continue;
		text[strcspn(text, "\n")] = 0;
		printf("# the kernel says: %s\n", text + 1);
		clean = false;
	}
	return clean;
}

/* Runs a test: NULL if it passed, "SKIP", or what is wrong. */
static const char *verdict(struct test_metadata *m)
{
	int status = 0, ret = test_one(m, &status);

	if (!log_is_clean(log_fd))
		return "the kernel's log";
	if (ret)
		return "cannot fork";
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGALRM ? "timed out" : strsignal(WTERMSIG(status));
	if (WEXITSTATUS(status) == KSFT_SKIP)
		return "SKIP";
	if (WEXITSTATUS(status) == LATE)
		return "late";
	return WEXITSTATUS(status) ? "failed" : NULL;
}

/*
 * Tests of defects that are known and not yet mended are listed in known-failures: theirs counts as
 * "xfail", and that one is mended as "xpass".
 */
static bool known_failure(const char *name)
{
	const char *path = getenv("KNOWN_FAILURES");
	FILE *f = fopen(path ? path : "tests/kselftest/known-failures", "r");
	char line[256];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		line[strcspn(line, " \t\n")] = 0;
		found = !strcmp(line, name);
	}
	if (f)
		fclose(f);
	return found;
}

int main(int argc, char **argv)
{
	int n = 0, pass = 0, skip = 0, fail = 0, xfail = 0, xpass = 0;
	const char *why;
	bool known;

	if (regcomp(&log_bad, KERNEL_LOG_RE, REG_EXTENDED | REG_NOSUB)) {
		printf("Bail out! kernel-log.re is no regular expression\n");
		return KSFT_FAIL;
	}
	log_fd = log_open();
	if (argc > 2)
		setenv("COUNT", argv[2], 1);
	for (struct test_metadata *m = test_list; m; m = m->next)
		n++;
	printf("TAP version 13\n1..%d\n", n);
	n = 0;
	for (struct test_metadata *m = test_list; m; m = m->next) {
		n++;
		if (argc > 1 && !strstr(m->name, argv[1]))
			continue;
		why = verdict(m);
		for (int again = 2; why && !strcmp(why, "late") && again; again--) {
			printf("# %s was late: once more\n", m->name);
			why = verdict(m);
		}
		known = known_failure(m->name);
		if (why && !strcmp(why, "SKIP")) {
			printf("ok %d %s # SKIP\n", n, m->name);
			skip++;
		} else if (why && known) {
			printf("ok %d %s # XFAIL %s\n", n, m->name, why);
			xfail++;
		} else if (why) {
			printf("not ok %d %s # %s\n", n, m->name, why);
			fail++;
		} else {
			printf("ok %d %s%s\n", n, m->name, known ? " # XPASS" : "");
			xpass += known;
			pass += !known;
		}
	}
	printf("# Totals: pass:%d fail:%d xfail:%d xpass:%d skip:%d error:0\n", pass, fail, xfail, xpass,
	       skip);
	return fail ? KSFT_FAIL : pass + xpass + xfail ? 0 : KSFT_SKIP;
}
#endif

#endif
