// SPDX-License-Identifier: MIT
/*
 * Reading a mapped page that a file has no more, or a disk cannot read, raises SIGBUS.  A handler,
 * if the program wants one, puts zeros in the place of the whole file and notes that; whoever
 * computed with it asks afterwards.  The handler finds the file in a list that is only ever added
 * to, and whose entries are used again, so that it reads it without a lock and at any time.
 */
#include "mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <accel/model.h>

#include "error.h"
#include "forks.h"

enum damage { INTACT, UNREADABLE, CUT, WRITTEN };

struct mapping {
	_Atomic(uintptr_t) base;	/* 0: not in use */
	_Atomic size_t size;
	_Atomic int damage;
	_Atomic bool told;		/* of the damage */
	int fd;
	struct timespec written;	/* last, when it was opened */
	struct mapping *next;		/* fixed once it is in the list */
};

static _Atomic(struct mapping *) list;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* of writers of the list */
static struct sigaction before;		/* whoever handled SIGBUS before us */

/* ---- the handler ---- */

static struct mapping *find(uintptr_t address)
{
	for (struct mapping *m = atomic_load(&list); m; m = m->next) {
		uintptr_t base = atomic_load(&m->base);

		if (base && address >= base && address - base < atomic_load(&m->size) &&
		    atomic_load(&m->base) == base)
			return m;
	}
	return NULL;
}

/* Zeros in the place of the file: what is computed with it is thrown away, but goes on to its end. */
static bool put_zeros(struct mapping *m)
{
	int was = errno;
	void *p = mmap((void *)atomic_load(&m->base), atomic_load(&m->size), PROT_READ,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
	int none = INTACT;

	errno = was;
	if (p == MAP_FAILED)
		return false;
	atomic_compare_exchange_strong(&m->damage, &none, UNREADABLE);
	return true;
}

static void pass_on(int sig, siginfo_t *info, void *context)
{
	if (before.sa_flags & SA_SIGINFO) {
		before.sa_sigaction(sig, info, context);
	} else if (before.sa_handler == SIG_DFL || (before.sa_handler == SIG_IGN && info->si_code > 0)) {
		/* Ends the program, at the latest when the instruction runs again. */
		signal(sig, SIG_DFL);
		if (info->si_code <= 0)
			raise(sig);
	} else if (before.sa_handler != SIG_IGN) {
		before.sa_handler(sig);
	}
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	/* A positive code: the kernel's, about an address. */
	struct mapping *m = info->si_code > 0 ? find((uintptr_t)info->si_addr) : NULL;

	if (!m || !put_zeros(m))
		pass_on(sig, info, context);
}

int accel_guard_files(void)
{
	static bool installed;
	struct sigaction mine = { .sa_sigaction = on_sigbus,
				  .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };
	int err = 0;

	sigemptyset(&mine.sa_mask);
	pthread_mutex_lock(&lock);
	/* Once: a handler that came later may pass on to ours, and must not be passed on to. */
	if (!installed && (sigaction(SIGBUS, NULL, &before) || sigaction(SIGBUS, &mine, NULL)))
		err = -errno;
	installed |= !err;
	pthread_mutex_unlock(&lock);
	return err ? fail(err, "SIGBUS cannot be handled: %s", strerror(-err)) : 0;
}

/* ---- files ---- */

static struct fork_lock forks = FORK_LOCK(&lock, PTHREAD_MUTEX_INITIALIZER);

/* An entry that nobody uses, or a new one. */
static struct mapping *take_entry(void)
{
	struct mapping *m;

	for (m = atomic_load(&list); m && atomic_load(&m->size); m = m->next)
		;
	if (m)
		return m;
	m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	m->next = atomic_load(&list);
	atomic_store(&list, m);
	return m;
}

static struct mapping *enter(void *base, const struct stat *st, int fd)
{
	struct mapping *m;

	fork_watch(&forks.watch);
	pthread_mutex_lock(&lock);
	m = take_entry();
	if (m) {
		m->fd = fd;
		m->written = st->st_mtim;
		atomic_store(&m->damage, INTACT);
		atomic_store(&m->told, false);
		atomic_store(&m->size, st->st_size);
		atomic_store(&m->base, (uintptr_t)base);
	}
	pthread_mutex_unlock(&lock);
	return m;
}

static const char *kind_of(mode_t mode)
{
	if (S_ISDIR(mode))
		return "a directory";
	if (S_ISFIFO(mode))
		return "a pipe";
	return S_ISSOCK(mode) ? "a socket" : "a device";
}

static int refuse(const char *path, char *err, size_t errlen, int rc, const char *what, const char *more)
{
	snprintf(err, errlen, "%s %s%s", path, what, more);
	return rc;
}

static int map(const char *path, int fd, struct mapping **out, char *err, size_t errlen)
{
	struct stat st;
	void *base;

	if (fstat(fd, &st))
		return refuse(path, err, errlen, -errno, "cannot be opened: ", strerror(errno));
	if (!S_ISREG(st.st_mode)) {
		snprintf(err, errlen, "%s is %s, not a regular file", path, kind_of(st.st_mode));
		return -EINVAL;
	}
	if (!st.st_size)
		return refuse(path, err, errlen, -EINVAL, "is empty", "");
	base = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		return refuse(path, err, errlen, -errno, "cannot be mapped: ", errno == ENOMEM ?
			      "there is no memory, or no room in this process's address space (ulimit -v)" :
			      strerror(errno));
	*out = enter(base, &st, fd);
	if (*out)
		return 0;
	munmap(base, st.st_size);
	return refuse(path, err, errlen, -ENOMEM, "cannot be opened: there is no memory", "");
}

/* fd: a new one, which is the mapping's if there is one; -1 with errno. */
static int take_fd(const char *name, int fd, struct mapping **out, char *err, size_t errlen)
{
	int rc;

	*out = NULL;
	if (fd < 0)
		return refuse(name, err, errlen, -errno, "cannot be opened: ", strerror(errno));
	rc = map(name, fd, out, err, errlen);
	if (rc)
		close(fd);
	return rc;
}

int mapping_open(const char *path, struct mapping **out, char *err, size_t errlen)
{
	/* O_NONBLOCK: a pipe must not hang us before it is refused. */
	return take_fd(path, open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), out, err, errlen);
}

int mapping_open_fd(int fd, const char *name, struct mapping **out, char *err, size_t errlen)
{
	const int flags = fcntl(fd, F_GETFL);

	*out = NULL;
	if (flags >= 0 && (flags & (O_ACCMODE | O_PATH)) == O_WRONLY)
		return refuse(name, err, errlen, -EACCES, "is open for writing only: open it for reading", "");
	return take_fd(name, fcntl(fd, F_DUPFD_CLOEXEC, 0), out, err, errlen);
}

void mapping_close(struct mapping *m)
{
	void *base = (void *)atomic_load(&m->base);
	size_t size = atomic_load(&m->size);
	int fd = m->fd;

	atomic_store(&m->base, 0);
	munmap(base, size);
	close(fd);
	atomic_store(&m->size, 0);	/* from here on it may be used again */
}

const uint8_t *mapping_base(const struct mapping *m)
{
	return (const uint8_t *)atomic_load(&m->base);
}

uint64_t mapping_size(const struct mapping *m)
{
	return atomic_load(&m->size);
}

static enum damage look(const struct mapping *m)
{
	struct stat st;

	if (fstat(m->fd, &st))
		return UNREADABLE;
	if ((uint64_t)st.st_size < mapping_size(m))
		return CUT;
	if (st.st_mtim.tv_sec != m->written.tv_sec || st.st_mtim.tv_nsec != m->written.tv_nsec)
		return WRITTEN;
	return INTACT;
}

int mapping_intact(struct mapping *m, const char **why)
{
	static const char *const words[] = {
		[UNREADABLE] = "was cut or became unreadable while it was in use",
		[CUT] = "was cut while it was in use",
		[WRITTEN] = "was written to while it was in use",
	};
	enum damage seen = look(m);
	int was = INTACT;

	if (seen != INTACT)
		atomic_compare_exchange_strong(&m->damage, &was, (int)seen);
	seen = atomic_load(&m->damage);
	*why = words[seen];
	return seen == INTACT ? 0 : -EIO;
}

bool mapping_news(struct mapping *m)
{
	return !atomic_exchange(&m->told, true);
}
