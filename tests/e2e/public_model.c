// SPDX-License-Identifier: MIT
/* What a model's file says, and every way to open one, through the shared object. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <accel/engine.h>

#include "../unit/tap.h"
#include "public.h"

static void test_keys(const struct accel_model *m)
{
	struct accel_key k = { .sz = sizeof(k), .name = "" };
	const char *s;
	char text[32];
	int64_t v;
	double f;
	size_t n;

	ok(accel_model_keys(m) > 10 && !accel_model_key(m, 0, &k) && k.name[0], "%llu keys",
	   (unsigned long long)accel_model_keys(m));
	ok(!accel_model_find_key(m, "tokenizer.ggml.tokens", &k) && k.array && k.type == ACCEL_KEY_TEXT &&
	   !accel_key_text(m, k.name, k.n - 1, &s, &n) && accel_key_text(m, k.name, k.n, &s, &n) == -ERANGE, "%s",
	   accel_error());
	ok(!accel_key_int(m, "llama.block_count", 0, &v) && !accel_key_float(m, "llama.block_count", 0, &f) &&
	   v == f && !accel_key_show(m, "llama.block_count", text, sizeof(text)), "blocks: %s", text);
	ok(accel_model_find_key(m, "no.such", &k) == -ENOENT, "%s", accel_error());
}

static void test_tensors(const struct accel_model *m)
{
	struct accel_tensor t = { .sz = sizeof(t), .name = "" }, u = { .sz = sizeof(u) };
	uint64_t n = accel_model_tensors(m);

	ok(n && !accel_model_tensor(m, n - 1, &t) && t.bytes && t.data && t.dims[0] &&
	   !accel_model_find_tensor(m, t.name, &u) && u.data == t.data, "%llu tensors",
	   (unsigned long long)n);
	ok(accel_model_find_tensor(m, "no.such", &t) == -ENOENT, "%s", accel_error());
}

/* The largest logits after three tokens, on the CPU. */
static int answer(const struct accel_model *m, int32_t top[4])
{
	struct accel_plan *plan = NULL;
	struct accel_engine *e = NULL;
	struct accel_seq *seq = NULL;
	struct accel_step *step = NULL;
	struct accel_input in = {
		.sz = sizeof(in), .tokens = (int32_t []) { 3, 7, 12 }, .n = 3, .want = ACCEL_WANT_TOP, .top = 4,
	};
	const int32_t *ids = NULL;
	int err = accel_plan_new(m, NULL, 0, NULL, &plan);

	if (!err)
		err = accel_engine_new(plan, NULL, 0, NULL, &e);
	if (!err)
		err = accel_seq_new(e, &seq);
	in.seq = seq;
	if (!err)
		err = accel_step_run(e, &in, 1, NULL, &step);
	if (!err && accel_step_top(step, 0, &ids, NULL) == 4)
		memcpy(top, ids, 4 * sizeof(*top));
	accel_step_free(step);
	accel_seq_free(seq);
	accel_engine_free(e);
	accel_plan_free(plan);
	return err;
}

/* A file by its name, by a descriptor, and in memory. */
static void test_ways(const struct accel_model *by_name)
{
	struct accel_model_info info = { .sz = sizeof(info) };
	int fd = open(PUBLIC_MODEL, O_RDONLY | O_CLOEXEC);
	int32_t want[4] = { 0 }, by_fd[4], by_memory[4];
	struct accel_model *m;
	const void *data;
	size_t size;

	accel_model_info(by_name, &info);
	size = info.file_bytes;
	data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	ok(!answer(by_name, want) && want[0] != want[1], "an answer: %s", accel_error());
	ok(!accel_model_load_fd(&fd, 1, &m) && !close(fd) && !answer(m, by_fd) && !memcmp(by_fd, want, sizeof(want)),
	   "the same by a descriptor");
	accel_model_free(m);
	ok(!accel_model_load_memory(&data, &size, 1, &m) && !answer(m, by_memory) &&
	   !memcmp(by_memory, want, sizeof(want)), "the same in memory");
	accel_model_free(m);
	ok(accel_model_load_fd(&fd, 1, &m) == -EBADF && !m, "%s", accel_error());
	size = 1000;
	ok(accel_model_load_memory(&data, &size, 1, &m) == -EINVAL && !m, "%s", accel_error());
	munmap((void *)data, info.file_bytes);
}

void test_files(void)
{
	struct accel_model *m;

	if (!ok(!accel_model_load(PUBLIC_MODEL, &m), "a model"))
		return;
	test_keys(m);
	test_tensors(m);
	test_ways(m);
	accel_model_free(m);
}
