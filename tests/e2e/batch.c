// SPDX-License-Identifier: MIT
/*
 * accelctl on many damaged copies of a model in one process: each case is a fork that calls the
 * tool's main(), so that neither exec, nor the loader, nor a sanitizer's start is paid for each.
 * Linked with --wrap=main (Makefile).
 *
 *   accelctl-batch MODEL DIR <CASES     as many at once as there are CPUs; scratch is in DIR
 *
 * A case is a line:
 *   cut SIZE            the model ends there:    `accelctl plan` refuses it
 *   poke OFFSET BYTE    one byte is another one: `accelctl run` refuses it or answers
 * Refused: exit code 1 and a sentence on stderr; from plan just that one line, and nothing on
 * stdout.  Answered: exit code 0.  Whatever else happens is printed and ends the batch.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_SLOTS 16
#define SECONDS 60		/* for one case */

int __real_main(int argc, char **argv);
int __wrap_main(int argc, char **argv);

/* A sanitizer's exit code is none of the tool's.  Their libraries must find these. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__ubsan_default_options(void);

const char *__asan_default_options(void)
{
	return "exitcode=86";
}

const char *__ubsan_default_options(void)
{
	return "exitcode=86";
}

struct slot {
	pid_t pid;		/* 0: free */
	bool cut;
	unsigned long at;	/* what was changed */
	char line[128], path[512];
	int model, out, err;
};

static struct slot slots[MAX_SLOTS];
static unsigned int n_slots;
static const char *model;
static size_t model_size;

static void die(const char *what)
{
	fprintf(stderr, "accelctl-batch: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void put(int fd, const void *p, size_t n, size_t at)
{
	if (pwrite(fd, p, n, at) != (ssize_t)n)
		die("write");
}

static int scratch(const char *dir, const char *name, unsigned int i, char *path, size_t size)
{
	int fd;

	snprintf(path, size, "%s/%s%u", dir, name, i);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		die(path);
	return fd;
}

static void begin(const char *dir, const char *path)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char unused[512];

	if (fd < 0 || fstat(fd, &st))
		die(path);
	model_size = st.st_size;
	/* Not malloc'd: each case's search for leaks would go through it. */
	model = mmap(NULL, model_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (model == MAP_FAILED)
		die(path);
	close(fd);
	n_slots = cpus < 1 ? 1 : cpus > MAX_SLOTS ? MAX_SLOTS : cpus;
	for (unsigned int i = 0; i < n_slots; i++) {
		struct slot *s = &slots[i];

		s->model = scratch(dir, "model", i, s->path, sizeof(s->path));
		s->out = scratch(dir, "out", i, unused, sizeof(unused));
		s->err = scratch(dir, "err", i, unused, sizeof(unused));
		put(s->model, model, model_size, 0);
	}
}

/* The child: never returns. */
static void run(const struct slot *s)
{
	char *plan[] = { "accelctl", "plan", (char *)s->path, "--device", "cpu", NULL };
	char *answer[] = { "accelctl", "run", (char *)s->path, "--device", "cpu", "--threads", "1",
			   "-n", "2", "Who?", NULL };
	int null = open("/dev/null", O_RDONLY);

	if (null < 0 || dup2(null, 0) < 0 || dup2(s->out, 1) < 0 || dup2(s->err, 2) < 0)
		_exit(2);
	close(null);
	alarm(SECONDS);
	exit(s->cut ? __real_main(5, plan) : __real_main(10, answer));
}

static bool start(struct slot *s, const char *line)
{
	unsigned long at;
	unsigned int byte;

	snprintf(s->line, sizeof(s->line), "%s", line);
	if (sscanf(line, "cut %lu", &at) == 1 && at < model_size) {
		s->cut = true;
		if (ftruncate(s->model, at))
			die(s->path);
	} else if (sscanf(line, "poke %lu %u", &at, &byte) == 2 && at < model_size && byte < 256) {
		s->cut = false;
		put(s->model, &(uint8_t) { byte }, 1, at);
	} else {
		fprintf(stderr, "accelctl-batch: \"%s\" is no case\n", line);
		return false;
	}
	s->at = at;
	if (ftruncate(s->out, 0) || ftruncate(s->err, 0) || lseek(s->out, 0, SEEK_SET) ||
	    lseek(s->err, 0, SEEK_SET))
		die("scratch");
	s->pid = fork();
	if (s->pid < 0)
		die("fork");
	if (!s->pid)
		run(s);
	return true;
}

/* Is what the tool said and returned what it promises? */
static bool good(const struct slot *s, int status)
{
	char err[4096];
	ssize_t n = pread(s->err, err, sizeof(err) - 1, 0);
	unsigned int lines = 0;
	struct stat out;

	if (n < 0 || fstat(s->out, &out))
		die("scratch");
	err[n] = 0;
	for (const char *p = err; (p = strchr(p, '\n')); p++)
		lines++;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && !s->cut)
		return true;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 1 &&
	    (!strncmp(err, "accelctl: ", 10) || strstr(err, "\naccelctl: ")) &&
	    (!s->cut || (lines == 1 && out.st_size == 0)))
		return true;
	if (WIFSIGNALED(status))
		fprintf(stderr, "%s: signal %d", s->line, WTERMSIG(status));
	else
		fprintf(stderr, "%s: exit code %d", s->line, WEXITSTATUS(status));
	fprintf(stderr, ", %lld bytes on stdout; stderr:\n%s", (long long)out.st_size, err);
	return false;
}

static void undo(const struct slot *s)
{
	put(s->model, model + s->at, s->cut ? model_size - s->at : 1, s->at);
}

/* Waits for one case to end. */
static bool reap(struct slot **freed)
{
	int status;
	pid_t pid = wait(&status);

	if (pid < 0)
		die("wait");
	for (unsigned int i = 0; i < n_slots; i++)
		if (slots[i].pid == pid) {
			*freed = &slots[i];
			slots[i].pid = 0;
			undo(&slots[i]);
			return good(&slots[i], status);
		}
	return true;
}

int __wrap_main(int argc, char **argv)
{
	unsigned int running = 0, n = 0;
	struct slot *s;
	char line[128];
	bool fine = true;

	if (argc != 3) {
		fprintf(stderr, "usage: accelctl-batch MODEL DIR <CASES\n");
		return 2;
	}
	begin(argv[2], argv[1]);
	while (fine && fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (running < n_slots) {
			s = &slots[running];
		} else {
			fine = reap(&s);
			running--;
		}
		if (fine && (fine = start(s, line)))
			running++, n++;
	}
	while (running--)
		fine &= reap(&s);
	return !fine || !n;
}
