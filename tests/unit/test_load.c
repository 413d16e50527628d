// SPDX-License-Identifier: MIT
/* Who watches an engine being made sees every byte come, on processors and on the CPU, and may give it up. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine_rig.h"
#include "llama_build.h"

struct watch {
	uint32_t calls, wrong;
	uint64_t done, total;
	uint64_t until;			/* gives up from so many bytes on; 0: never */
};

static int look(void *arg, uint64_t done, uint64_t total)
{
	struct watch *w = arg;

	w->wrong += (w->calls ? done < w->done || total != w->total : done != 0) || done > total;
	w->calls++;
	w->done = done;
	w->total = total;
	return w->until && done >= w->until;
}

/* first .. end - 1 on card 0, the rest on the CPU. */
static int make(const struct accel_model *m, struct accel_dev *dev, uint32_t first, uint32_t end, struct watch *w)
{
	const struct accel_engine_opts eo = {
		.sz = sizeof(eo), .threads = 1, .progress = look, .progress_arg = w,
	};
	struct accel_plan_opts po = { .n_places = 10 };
	uint32_t places[10];
	struct rig r = { .dev = dev };
	int err;

	for (uint32_t i = 0; i < 10; i++)
		places[i] = i >= first && i < end ? ACCEL_PLACE_DEVICE(0) : ACCEL_PLACE_CPU;
	po.places = places;
	err = rig_plan(&r, m, po);
	if (!err)
		err = rig_engine(&r, &eo);
	r.dev = NULL;
	rig_free(&r);
	return err;
}

static void test_everywhere(const struct accel_model *m, struct accel_dev *dev, uint64_t bytes)
{
	static const struct {
		uint32_t first, end;
		const char *where;
	} cases[] = { { 0, 0, "the CPU" }, { 0, 10, "a processor" }, { 3, 6, "both" }, { 0, 9, "all but the last" } };

	for (int i = 0; i < 4; i++) {
		struct watch w = { 0 };
		int err = make(m, dev, cases[i].first, cases[i].end, &w);

		ok(!err && !w.wrong && w.calls > 10 && w.done == bytes && w.total == bytes,
		   "%s: %llu of %llu bytes in %u calls", cases[i].where, (unsigned long long)w.done,
		   (unsigned long long)w.total, w.calls);
	}
}

static void test_given_up(const struct accel_model *m, struct accel_dev *dev, uint64_t bytes)
{
	for (int i = 0; i < 6; i++) {
		const uint64_t until[] = { 1, bytes / 2, bytes };
		struct watch w = { .until = until[i % 3] };
		int err = make(m, dev, 0, i < 3 ? 0 : 5, &w);

		ok(err == -ECANCELED && !w.wrong && w.done >= w.until && strstr(accel_error(), "loading was given up after"),
		   "%s", accel_error());
	}
}

/* A file that is cut meanwhile is an error, without a handler of SIGBUS, for nothing is touched. */
static int cut(void *arg, uint64_t done, uint64_t total)
{
	return done && done < total && ftruncate(*(int *)arg, 4096);
}

static void test_cut(const struct build *b)
{
	int fd = memfd_create("model", MFD_CLOEXEC);
	const struct accel_engine_opts eo = {
		.sz = sizeof(eo), .threads = 1, .progress = cut, .progress_arg = &fd,
	};
	struct accel_model *m;
	struct rig r = { 0 };

	if (!ok(write(fd, b->p, b->n) == (ssize_t)b->n && !accel_model_load_fd(&fd, 1, &m), "a model's file"))
		return;
	ok(!rig_plan(&r, m, (struct accel_plan_opts) { 0 }) && rig_engine(&r, &eo) == -EIO &&
	   strstr(accel_error(), "while it was in use"), "it is cut while it is read: %s", accel_error());
	rig_free(&r);
	accel_model_free(m);
	close(fd);
}

int main(void)
{
	struct llama_build l = llama_small;
	struct accel_model_info info = { .sz = sizeof(info) };
	struct accel_model *m;
	struct accel_dev *dev;
	struct build b;

	l.blocks = 4;
	llama_build(&b, &l);
	if (!ok(!accel_model_load_memory(&(const void *) { b.p }, &b.n, 1, &m) && !accel_open("sim:rings=1", &dev),
		"a model and a processor"))
		return done();
	accel_model_info(m, &info);
	test_everywhere(m, dev, info.weight_bytes);
	test_given_up(m, dev, info.weight_bytes);
	test_cut(&b);
	accel_close(dev);
	accel_model_free(m);
	build_end(&b);
	return done();
}
