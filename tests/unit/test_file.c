// SPDX-License-Identifier: MIT
/* Model files as they lie on a disk: in parts, and cut or written to while they are in use. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <accel/accel.h>
#include <accel/model.h>

#include "fail_alloc.h"
#include "llama_build.h"
#include "tap.h"

#define PARTS 3
#define N(a) (sizeof(a) / sizeof((a)[0]))

static char dir[] = "/tmp/test_file.XXXXXX";
static char err[512];

static const char *in_dir(const char *name)
{
	static char paths[4][128];
	static unsigned int next;
	char *path = paths[next++ % N(paths)];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static const char *part_name(uint32_t no, uint32_t count)
{
	char name[64];

	snprintf(name, sizeof(name), "m-%05u-of-%05u.gguf", no + 1, count);
	return in_dir(name);
}

static void write_file(const char *path, const struct build *b)
{
	FILE *f = fopen(path, "w");

	if (!f || fwrite(b->p, 1, b->n, f) != b->n || fclose(f))
		abort();
}

static const struct llama_build in_parts = {
	.type = ACCEL_Q8_0, .blocks = 4, .embd = 32, .heads = 4, .kv_heads = 2, .ff = 64, .vocab = 40,
	.ctx = 64, .parts = PARTS,
};

static void write_parts(struct build *b)
{
	llama_build(b, &in_parts);
	for (uint32_t i = 0; i < PARTS; i++)
		write_file(part_name(i, PARTS), &b[i]);
}

static void end_parts(struct build *b)
{
	for (uint32_t i = 0; i < PARTS; i++)
		build_end(&b[i]);
}

/* ---- split files ---- */

/* Each tensor of each part has the bytes that the part alone says it has. */
static bool same_bytes(const struct gguf *g, const struct build *b)
{
	uint64_t n = 0;
	bool same = true;

	for (uint32_t i = 0; i < PARTS; i++) {
		struct gguf *one;

		if (gguf_open_mem(b[i].p, b[i].n, &one, err, sizeof(err)))
			return false;
		for (uint64_t k = 0; k < gguf_n_tensors(one); k++, n++) {
			const struct gguf_tensor *t = gguf_tensor_at(one, k);
			const struct gguf_tensor *u = gguf_find_tensor(g, t->name);

			same &= u && u->part == i && u->size == t->size &&
				!memcmp(gguf_tensor_data(g, u), gguf_tensor_data(one, t), t->size);
		}
		gguf_close(one);
	}
	return same && n == gguf_n_tensors(g);
}

static bool open_refused(const char *path, int want, const char *word)
{
	struct gguf *g = NULL;
	int rc;

	memset(err, 0, sizeof(err));
	rc = gguf_open(path, &g, err, sizeof(err));
	if (rc == want && !g && strstr(err, word))
		return true;
	printf("# rc %d, \"%s\" should hold \"%s\"\n", rc, err, word);
	gguf_close(g);
	return false;
}

static void test_parts(void)
{
	struct build b[PARTS];
	struct gguf *g;
	uint64_t size = 0;
	uint32_t v;

	write_parts(b);
	for (uint32_t i = 0; i < PARTS; i++)
		size += b[i].n;
	for (uint32_t i = 0; i < PARTS; i++) {
		if (!ok(!gguf_open(part_name(i, PARTS), &g, err, sizeof(err)),
			"part %u of %u is named: opens (%s)", i + 1, PARTS, err))
			continue;
		ok(same_bytes(g, b) && gguf_file_size(g) == size, "with the tensors of all");
		ok(!gguf_get_u32(g, "llama.block_count", &v) && v == 4 && !gguf_intact(g),
		   "and the keys of the first");
		gguf_close(g);
	}
	unlink(part_name(1, PARTS));
	ok(open_refused(part_name(0, PARTS), -ENOENT, "/m-00002-of-00003.gguf is missing: it is part 2 of the 3"),
	   "the second is missing");
	ok(open_refused(part_name(2, PARTS), -ENOENT, "/m-00002-of-00003.gguf is missing"),
	   "it is missing for the third, too");
	unlink(part_name(0, PARTS));
	ok(open_refused(part_name(2, PARTS), -ENOENT, "/m-00001-of-00003.gguf is missing: it is part 1 of the 3"),
	   "a part that is alone names the first");
	ok(!mkdir(part_name(0, PARTS), 0700) &&
	   open_refused(part_name(2, PARTS), -EINVAL, "00001-of-00003.gguf is a directory"),
	   "a part that is a directory");
	rmdir(part_name(0, PARTS));
	write_file(in_dir("other.gguf"), &b[1]);
	ok(open_refused(in_dir("other.gguf"), -EINVAL,
			"it is part 2 of 3 of a model; its name must end in \"-00002-of-00003.gguf\""),
	   "a part that was renamed");
	write_file(in_dir("-00002-of-00003.gguf"), &b[1]);
	end_parts(b);
}

/* Files that were cut anywhere and not put together, and parts that were as if they were such. */
static void test_pieces(void)
{
	static const char *const names[] = { "m.gguf.part1of2", "m.gguf.part2of2", "m.gguf-split-a" };
	struct build b[PARTS], piece, heap = { 0 };
	struct gguf *g;

	write_parts(b);
	for (size_t i = 0; i < N(names); i++) {
		piece = b[0];
		piece.p += i & 1 ? 100 : 0;
		piece.n -= 100;
		write_file(in_dir(names[i]), &piece);
		ok(open_refused(in_dir(names[i]), -EINVAL, "is one of the pieces that a file was cut into"),
		   "%s", err);
	}
	write_file(in_dir("whole.part1of1"), &b[0]);
	ok(open_refused(in_dir("whole.part1of1"), -EINVAL, "its name must end in"), "what a name says is no more");
	for (int i = 0; i < PARTS; i++)
		build_bytes(&heap, b[i].p, b[i].n);
	write_file(in_dir("heap.gguf"), &heap);
	ok(open_refused(in_dir("heap.gguf"), -EINVAL, "part 1 of 3 of a model with other parts behind it"), "%s", err);
	write_file(part_name(0, PARTS), &heap);
	ok(gguf_open(part_name(0, PARTS), &g, err, sizeof(err)) == -EINVAL && strstr(err, "other parts behind it"),
	   "by the name of the first, too");
	build_end(&heap);
	end_parts(b);
}

/* Parts that do not belong together. */
static void test_wrong_parts(void)
{
	struct llama_build other = in_parts;
	struct build b[PARTS], o[PARTS];

	write_parts(b);
	write_file(part_name(1, PARTS), &b[2]);
	ok(open_refused(part_name(0, PARTS), -EINVAL, "it says that it is part 3 of 3, not 2 of 3"),
	   "the third under the name of the second");
	write_file(part_name(0, PARTS), &b[1]);
	ok(open_refused(part_name(2, PARTS), -EINVAL, "it says that it is part 2 of 3, not 1 of 3"),
	   "the second under the name of the first");
	write_file(part_name(0, PARTS), &b[0]);
	other.blocks = 5;
	llama_build(o, &other);
	write_file(part_name(1, PARTS), &o[1]);
	ok(open_refused(part_name(0, PARTS), -EINVAL, "is in part "), "a tensor in two parts");
	end_parts(o);

	build_begin(&o[0]);
	build_key_text(&o[0], "general.architecture", "gpt2");
	build_key_u32(&o[0], "split.no", 1);
	build_key_u32(&o[0], "split.count", PARTS);
	build_key_u32(&o[0], "split.tensors.count", 1);
	write_file(part_name(1, PARTS), &o[0]);
	ok(open_refused(part_name(0, PARTS), -EINVAL, "its architecture is another"), "another architecture");
	build_end(&o[0]);
	build_begin(&o[0]);
	build_key_u32(&o[0], "split.no", 1);
	build_key_u32(&o[0], "split.count", PARTS);
	write_file(part_name(1, PARTS), &o[0]);
	ok(open_refused(part_name(0, PARTS), -EINVAL, "\"split.tensors.count\" says 38"), "too few tensors");
	build_end(&o[0]);
	end_parts(b);
}

static bool split_refused(uint32_t type, uint32_t no, uint32_t count, const char *word)
{
	struct build b;
	bool r;

	build_begin(&b);
	build_key(&b, "split.no", GGUF_U32);
	build_bytes(&b, &no, 4);
	build_key(&b, "split.count", type);
	build_bytes(&b, &count, 4);
	write_file(in_dir("s.gguf"), &b);
	build_end(&b);
	r = open_refused(in_dir("s.gguf"), -EINVAL, word);
	return r;
}

static void test_split_keys(void)
{
	struct gguf *g = NULL;
	struct build b;

	ok(split_refused(GGUF_U32, 3, 3, "part 4 of 3"), "a part beyond the last");
	ok(split_refused(GGUF_U32, UINT32_MAX, UINT32_MAX, "part 4294967296 of 4294967295"), "parts beyond counting");
	ok(split_refused(GGUF_U32, 0, 1000, "1 to 999 parts"), "too many parts");
	ok(split_refused(GGUF_F32, 0, 0x40000000, "whole numbers"), "two parts, as a fraction");
	for (uint32_t count = 0; count < 2; count++) {
		build_begin(&b);
		build_key_u32(&b, "split.no", 0);
		build_key_u32(&b, "split.count", count);
		write_file(in_dir("s.gguf"), &b);
		build_end(&b);
		ok(!gguf_open(in_dir("s.gguf"), &g, err, sizeof(err)), "split.count = %u: a whole file", count);
		gguf_close(g);
	}
}

static int open_copies(const struct build *b, const size_t *size)
{
	const void *data[PARTS];
	struct gguf *g = NULL;
	int rc;

	for (uint32_t i = 0; i < PARTS; i++)
		data[i] = build_copy(&b[i], size[i]);
	err[0] = 0;
	rc = gguf_open_mem_parts(data, size, PARTS, &g, err, sizeof(err));
	if (!rc && !same_bytes(g, b))
		rc = 1;
	gguf_close(g);
	for (uint32_t i = 0; i < PARTS; i++)
		free((void *)data[i]);
	return rc;
}

static void test_damaged_parts(void)
{
	struct build b[PARTS];
	size_t wrong = 0, tried = 0, size[PARTS];

	llama_build(b, &in_parts);
	for (uint32_t i = 0; i < PARTS; i++)
		size[i] = b[i].n;
	ok(!open_copies(b, size), "parts in memory");
	for (uint32_t i = 0; i < PARTS; i++) {
		for (size_t n = 0; n < b[i].n; n += n < b[i].header ? 1 : 97, tried++) {
			size[i] = n;
			wrong += open_copies(b, size) != -EINVAL || !*err;
		}
		size[i] = b[i].n;
		for (size_t k = 0; k < b[i].header; k++, tried++) {
			int rc;

			b[i].p[k] ^= 1 << k % 8;
			rc = open_copies(b, size);
			wrong += (rc && rc != -EINVAL) || (rc && !*err);
			b[i].p[k] ^= 1 << k % 8;
		}
	}
	ok(!wrong, "each part cut and changed in %zu ways", tried);
	end_parts(b);
}

static void test_parts_without_memory(void)
{
	struct build b[PARTS];
	const void *data[PARTS];
	size_t size[PARTS];
	long n = 0, wrong = 0, live;
	int rc = -ENOMEM;

	if (!FAIL_ALLOC)
		return;
	llama_build(b, &in_parts);
	for (uint32_t i = 0; i < PARTS; i++) {
		data[i] = b[i].p;
		size[i] = b[i].n;
	}
	live = fail_live;
	while (rc && n < 10000) {
		struct gguf *g = NULL;

		fail_countdown = ++n;
		rc = gguf_open_mem_parts(data, size, PARTS, &g, err, sizeof(err));
		fail_countdown = 0;
		gguf_close(g);
		wrong += rc && (rc != -ENOMEM || !strstr(err, "no memory") || g);
		wrong += fail_live != live;
	}
	ok(!wrong && n > 60 && !rc, "without memory at each of %ld allocations", n - 1);
	end_parts(b);
}

/* ---- files that change ---- */

static const struct llama_build large = {
	.type = ACCEL_F16, .blocks = 4, .embd = 256, .heads = 4, .kv_heads = 2, .ff = 512, .vocab = 64,
	.ctx = 512,
};

static const char *write_large(void)
{
	struct build b;

	llama_build(&b, &large);
	write_file(in_dir("large.gguf"), &b);
	build_end(&b);
	usleep(20000);		/* time stamps of files are as coarse as a tick */
	return in_dir("large.gguf");
}

static void test_changes(void)
{
	const char *path = write_large();
	struct gguf *g;
	int fd;

	ok(!gguf_open(path, &g, err, sizeof(err)) && !gguf_intact(g), "an untouched file is intact");
	rename(path, in_dir("old.gguf"));
	ok(!gguf_intact(g), "under another name, too");
	fd = open(in_dir("old.gguf"), O_RDWR);
	ok(pwrite(fd, "X", 1, 5000) == 1 && gguf_intact(g) == -EIO &&
	   strstr(accel_error(), "large.gguf was written to while it was in use"), "it is written to: %s",
	   accel_error());
	gguf_close(g);
	ok(!gguf_open(in_dir("old.gguf"), &g, err, sizeof(err)) && !gguf_intact(g), "opened again: intact");
	ok(!ftruncate(fd, 8192) && gguf_intact(g) == -EIO && strstr(accel_error(), "was cut"), "it is cut: %s",
	   accel_error());
	close(fd);
	write_large();
	ok(gguf_intact(g) == -EIO, "it stays damaged");
	gguf_close(g);
}

/* ---- files that others opened ---- */

static bool fd_refused(int fd, int want, const char *words)
{
	struct accel_model *m;
	int rc = accel_model_load_fd(&fd, 1, &m);

	return rc == want && !m && strstr(accel_error(), words);
}

static void test_fd(void)
{
	const char *path = write_large();
	struct accel_model *m, *n;
	int fd = open(path, O_RDONLY | O_CLOEXEC), pipes[2];

	lseek(fd, 1234, SEEK_SET);
	ok(!accel_model_load_fd(&fd, 1, &m) && lseek(fd, 0, SEEK_CUR) == 1234, "a file by its descriptor");
	close(fd);
	ok(!accel_model_load(path, &n) && accel_model_tensors(m) == accel_model_tensors(n), "which may be closed");
	accel_model_free(n);
	unlink(path);
	ok(accel_model_keys(m) > 5, "and its name may go");
	accel_model_free(m);
	ok(fd_refused(fd, -EBADF, "descriptor ") && fd_refused(-1, -EBADF, "descriptor -1 cannot be opened: "), "%s",
	   accel_error());
	ok(!pipe(pipes) && fd_refused(pipes[0], -EINVAL, "is a pipe, not a regular file"), "%s", accel_error());
	close(pipes[0]);
	close(pipes[1]);
	fd = open(write_large(), O_WRONLY | O_CLOEXEC);
	ok(fd_refused(fd, -EACCES, "is open for writing only"), "%s", accel_error());
	close(fd);
	fd = open(in_dir("none.gguf"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ok(fd_refused(fd, -EINVAL, "is empty"), "%s", accel_error());
	ok(write(fd, "GGUF\3\0\0\0", 8) == 8 && fd_refused(fd, -EINVAL, "the file ends at byte 8"), "%s",
	   accel_error());
	close(fd);
	ok(accel_model_load_fd(NULL, 0, &m) == -EINVAL && !m, "%s", accel_error());
}

static void test_fd_twice(void)
{
	const char *path = write_large();
	int fd = open(path, O_RDONLY | O_CLOEXEC), fds[] = { fd, fd };
	struct gguf *g;

	ok(gguf_open_fds(fds, 2, &g, err, sizeof(err)) == -EINVAL && !g && strstr(err, "it is a whole model"), "%s", err);
	close(fd);
}

static void test_fd_changes(void)
{
	const char *path = write_large();
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct gguf *g;

	if (!ok(!gguf_open_fds(&fd, 1, &g, err, sizeof(err)) && !gguf_intact(g), "an open file is intact"))
		return;
	ok(!truncate(path, 4096) && gguf_intact(g) == -EIO && strstr(accel_error(), "descriptor "), "it is cut: %s",
	   accel_error());
	gguf_close(g);
	close(fd);
}

static void test_fd_parts(void)
{
	struct build b[PARTS];
	int fds[PARTS], swapped[PARTS];
	struct gguf *g;

	write_parts(b);
	for (uint32_t i = 0; i < PARTS; i++) {
		fds[i] = open(part_name(i, PARTS), O_RDONLY | O_CLOEXEC);
		swapped[(i + PARTS - 1) % PARTS] = fds[i];
	}
	ok(!gguf_open_fds(fds, PARTS, &g, err, sizeof(err)) && same_bytes(g, b), "all parts are open files");
	gguf_close(g);
	ok(gguf_open_fds(fds, 1, &g, err, sizeof(err)) == -EINVAL && !g &&
	   strstr(err, "it is part 1 of 3 of a model, the first of 1 that was given"), "%s", err);
	ok(gguf_open_fds(swapped, PARTS, &g, err, sizeof(err)) == -EINVAL && !g &&
	   strstr(err, "it is part 2 of 3 of a model, the first of 3 that were given"), "%s", err);
	ok(gguf_open_mem_parts((const void *[]) { b[0].p, b[2].p, b[1].p }, (size_t[]) { b[0].n, b[2].n, b[1].n }, PARTS,
			       &g, err, sizeof(err)) == -EINVAL && strstr(err, "memory, part 2 of 3"), "%s", err);
	swapped[0] = fds[0];
	swapped[2] = fds[1];
	swapped[1] = fds[2];
	ok(gguf_open_fds(swapped, PARTS, &g, err, sizeof(err)) == -EINVAL && !g && strstr(err, "not 2 of 3"), "%s",
	   err);
	for (uint32_t i = 0; i < PARTS; i++)
		close(fds[i]);
	end_parts(b);
}

/* ---- models in memory ---- */

static void test_memory(void)
{
	struct accel_model *m;
	struct build b;
	size_t tried = 0, wrong = 0;
	char *odd;

	llama_build(&b, &llama_small);
	odd = malloc(b.n + 4);
	memcpy(odd + 4, b.p, b.n);
	ok(accel_model_load_memory(&(const void *) { odd + 4 }, &b.n, 1, &m) == -EINVAL && !m &&
	   strstr(accel_error(), "a multiple of 8"), "%s", accel_error());
	free(odd);
	for (size_t n = 0; n < b.n; n += n < b.header ? 1 : 97, tried++) {
		void *copy = build_copy(&b, n);

		wrong += accel_model_load_memory(&(const void *) { copy }, &n, 1, &m) != -EINVAL || m ||
			 !*accel_error();
		free(copy);
	}
	ok(!wrong, "memory cut in %zu ways: %s", tried, accel_error());
	ok(accel_model_load_memory(NULL, NULL, 0, &m) == -EINVAL && !m, "%s", accel_error());
	build_end(&b);
}

static sig_atomic_t foreign;
static char *foreign_page;

static void on_foreign(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	foreign++;
	if (info->si_code > 0)
		mmap((void *)((uintptr_t)info->si_addr & ~4095ul), 4096, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static void test_guard(void)
{
	struct sigaction sa = { .sa_sigaction = on_foreign, .sa_flags = SA_SIGINFO };
	const char *path = write_large();
	const struct gguf_tensor *t;
	const uint8_t *p;
	struct gguf *g;
	size_t sum = 0;
	int fd;

	sigaction(SIGBUS, &sa, NULL);
	if (!ok(!gguf_open(path, &g, err, sizeof(err)), "a file opened before the guard is called"))
		return;
	ok(!accel_guard_files() && !accel_guard_files(), "the guard is called, twice");
	t = gguf_find_tensor(g, "blk.3.ffn_down.weight");
	p = gguf_tensor_data(g, t);
	ok(!truncate(path, 4096), "the file is cut");
	for (size_t i = 0; i < t->size; i++)
		sum += p[i];
	ok(!sum && !foreign, "what it held reads as zeros");
	ok(gguf_intact(g) == -EIO && strstr(accel_error(), "large.gguf was cut or became unreadable while it was in use"),
	   "and the file says so: %s", accel_error());
	gguf_close(g);
	/* One that is not ours */
	fd = open(path, O_RDWR);
	foreign_page = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	ok(foreign_page[4096] == 0 && foreign == 1, "others' faults reach the handler that was there");
	raise(SIGBUS);
	ok(foreign == 2, "a signal that was sent, too");
	munmap(foreign_page, 8192);
}

/* Without a handler before it the signal still ends the program. */
static void test_guard_alone(void)
{
	for (int sent = 0; sent < 2; sent++) {
		int status;
		pid_t pid = fork();

		if (!pid) {
			int fd = open(in_dir("empty"), O_RDWR | O_CREAT, 0600);
			volatile char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

			signal(SIGBUS, SIG_DFL);
			accel_guard_files();
			if (sent)
				raise(SIGBUS);
			else
				(void)*p;
			_exit(0);
		}
		waitpid(pid, &status, 0);
		/* A sanitizer's handler exits. */
		ok(WIFSIGNALED(status) ? WTERMSIG(status) == SIGBUS : WEXITSTATUS(status) != 0,
		   "a fault that is nobody's ends the program (%s)", sent ? "sent" : "raised");
	}
}

int main(void)
{
	if (!ok(mkdtemp(dir) != NULL, "a directory"))
		return done();
	test_parts();
	test_pieces();
	test_wrong_parts();
	test_split_keys();
	test_damaged_parts();
	test_parts_without_memory();
	test_guard_alone();
	test_changes();
	test_fd();
	test_fd_twice();
	test_fd_changes();
	test_fd_parts();
	test_memory();
	test_guard();
	return system((snprintf(err, sizeof(err), "rm -r %s", dir), err)) ? 1 : done();
}
