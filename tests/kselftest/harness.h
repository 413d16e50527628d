/* SPDX-License-Identifier: MIT */
/*
 * Tests in the form of the kernel's kselftest harness, which header packages do not ship:
 * FIXTURE, FIXTURE_SETUP, TEST_F, ASSERT_* and EXPECT_*, KTAP on stdout, exit status 0, 1 or
 * 4 (all skipped).  Each test runs in a process of its own, with a time limit.
 */
#ifndef OCTANS_KSELFTEST_HARNESS_H
#define OCTANS_KSELFTEST_HARNESS_H

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define KSFT_FAIL 1
#define KSFT_SKIP 4

struct test_metadata {
	const char *name;
	void (*run)(struct test_metadata *);
	unsigned int timeout;
	bool failed;
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
							   seconds, false, NULL }; \
	__attribute__((constructor)) static void f##_##name_##_register(void) \
	{ \
		*test_tail = &f##_##name_##_meta; \
		test_tail = &f##_##name_##_meta.next; \
	} \
	static void f##_##name_(__attribute__((unused)) struct test_metadata *_metadata, \
				__attribute__((unused)) struct f##_data *self)
#define TEST_F(f, name_) TEST_F_TIMEOUT(f, name_, 60)

#define TH_CHECK(stop, a, op, b) do { \
	long long a_ = (long long)(a), b_ = (long long)(b); \
	if (!(a_ op b_)) { \
		printf("# %s:%d: %s (%lld) " #op " %s (%lld)\n", __FILE__, __LINE__, #a, a_, #b, b_); \
		_metadata->failed = true; \
		if (stop) \
			_exit(KSFT_FAIL); \
	} \
} while (0)
#define EXPECT_EQ(a, b) TH_CHECK(0, a, ==, b)
#define EXPECT_NE(a, b) TH_CHECK(0, a, !=, b)
#define EXPECT_GE(a, b) TH_CHECK(0, a, >=, b)
#define EXPECT_LE(a, b) TH_CHECK(0, a, <=, b)
#define EXPECT_TRUE(a) TH_CHECK(0, !!(a), !=, 0)
#define ASSERT_EQ(a, b) TH_CHECK(1, a, ==, b)
#define ASSERT_NE(a, b) TH_CHECK(1, a, !=, b)
#define ASSERT_GE(a, b) TH_CHECK(1, a, >=, b)
#define ASSERT_TRUE(a) TH_CHECK(1, !!(a), !=, 0)
#define SKIP(why) do { printf("# SKIP %s\n", why); _exit(KSFT_SKIP); } while (0)

__attribute__((unused))
static int test_one(struct test_metadata *m, int *status)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		alarm(m->timeout);
		setvbuf(stdout, NULL, _IOLBF, 0);
		m->run(m);
		fflush(stdout);
		_exit(m->failed ? KSFT_FAIL : 0);
	}
	return pid < 0 || waitpid(pid, status, 0) != pid ? -1 : 0;
}

#ifndef HARNESS_NO_MAIN
int main(int argc, char **argv)
{
	int n = 0, pass = 0, skip = 0, fail = 0, status;

	for (struct test_metadata *m = test_list; m; m = m->next)
		n++;
	printf("TAP version 13\n1..%d\n", n);
	n = 0;
	for (struct test_metadata *m = test_list; m; m = m->next) {
		n++;
		if (argc > 1 && !strstr(m->name, argv[1]))
			continue;
		if (test_one(m, &status)) {
			printf("not ok %d %s # cannot fork\n", n, m->name);
			fail++;
		} else if (WIFSIGNALED(status)) {
			printf("not ok %d %s # %s\n", n, m->name, WTERMSIG(status) == SIGALRM ?
			       "timed out" : strsignal(WTERMSIG(status)));
			fail++;
		} else if (WEXITSTATUS(status) == KSFT_SKIP) {
			printf("ok %d %s # SKIP\n", n, m->name);
			skip++;
		} else if (WEXITSTATUS(status)) {
			printf("not ok %d %s\n", n, m->name);
			fail++;
		} else {
			printf("ok %d %s\n", n, m->name);
			pass++;
		}
	}
	printf("# Totals: pass:%d fail:%d xfail:0 xpass:0 skip:%d error:0\n", pass, fail, skip);
	return fail ? KSFT_FAIL : pass ? 0 : KSFT_SKIP;
}
#endif

#endif
