// SPDX-License-Identifier: MIT
/* Every function of accel/model.h and accel/engine.h through the shared object, and what misuse gives. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <accel/engine.h>

#include "../unit/tap.h"
#include "public.h"

static const int32_t tokens[] = { 3, 7, 12, 5, 9, 2 };

static void test_plan(const struct accel_model *m, const struct accel_plan *plan)
{
	struct accel_plan_info info = { .sz = sizeof(info) };
	struct accel_prediction told = { .sz = sizeof(told) };
	struct accel_layer l = { .sz = sizeof(l) };
	struct accel_model_info mi = { .sz = sizeof(mi) };

	accel_model_info(m, &mi);
	ok(mi.n_layers == 2 * mi.n_blocks + 2 && !strcmp(mi.arch, "llama") && mi.n_vocab > 12, "a model: %s", mi.name);
	ok(!accel_plan_info(plan, &info) && info.layers == mi.n_layers && info.ctx == 64 && info.device_bytes &&
	   info.device_bytes == accel_plan_device_bytes(plan, 0) && !accel_plan_device_bytes(plan, 1),
	   "its plan: %u layers on the processor", info.layers_on_device);
	ok(!accel_plan_predict(plan, 20, &told) && told.prompt == 20 && told.prompt_device_s > told.token_device_s &&
	   told.token_device_s > 0 && told.prompt_cpu_s == 0 && told.kv_bytes && !told.state_bytes,
	   "what it takes is foretold");
	ok(accel_plan_predict(plan, 64, &told) == -EINVAL && strstr(accel_error(), "a prompt of 64 tokens"),
	   "not of a prompt that fills the context: %s", accel_error());
	ok(!accel_plan_layer(plan, 0, &l) && !strcmp(accel_layer_kind_name(l.kind), "EMBED") &&
	   !strcmp(accel_reason_name(l.reason), "fits") && !strcmp(accel_layer_kind_name(99), "?") &&
	   !strcmp(accel_reason_name(99), "?") && !strcmp(accel_weights_name(l.weights), "card") &&
	   !strcmp(accel_weights_name(99), "?"), "in words: %s", l.detail);
	ok(accel_plan_layer_bytes(plan, 0, 0) == l.weight_bytes && !accel_plan_layer_bytes(plan, 0, 1) &&
	   !accel_plan_layer_bytes(plan, mi.n_layers, 0), "of %u bytes on the processor",
	   (unsigned int)accel_plan_layer_bytes(plan, 0, 0));
	ok(accel_plan_layer(plan, mi.n_layers, &l) == -EINVAL, "%s", accel_error());
}

static void test_steps(struct accel_engine *e, struct accel_seq *seq, uint32_t vocab)
{
	struct accel_input in = {
		.sz = sizeof(in), .seq = seq, .tokens = tokens, .n = 5, .want = ACCEL_WANT_ALL,
	};
	struct pollfd p = { .fd = accel_engine_fd(e), .events = POLLIN };
	const float *logits, *values;
	struct accel_step *step;
	const int32_t *ids;
	uint32_t rows;

	ok(!accel_step_run(e, &in, 1, NULL, &step) && (logits = accel_step_logits(step, 0, &rows)) && rows == 5 &&
	   !accel_step_logits(step, 1, NULL) && !accel_step_top(step, 0, &ids, &values) && !*accel_step_error(step),
	   "a step with the logits of each token");
	accel_step_free(step);
	in = (struct accel_input) {
		.sz = sizeof(in), .seq = seq, .tokens = tokens + 5, .n = 1, .want = ACCEL_WANT_TOP, .top = 3,
	};
	ok(!accel_step_submit(e, &in, 1, NULL, &step) && poll(&p, 1, 20000) == 1 && !accel_step_wait(step, 0) &&
	   accel_step_top(step, 0, &ids, &values) == 3 && values[0] >= values[2] && (uint32_t)ids[0] < vocab,
	   "one with the three largest");
	accel_step_cancel(step);	/* too late */
	ok(!accel_step_wait(step, INT64_MAX) && accel_seq_length(seq) == 6, "which has ended");
	accel_step_free(step);
	accel_step_free(NULL);
	in.tokens = (int32_t []) { (int32_t)vocab };
	ok(accel_step_run(e, &in, 1, NULL, &step) == -EINVAL && !step, "%s", accel_error());
}

static void test_sequences(struct accel_engine *e, struct accel_seq *seq)
{
	struct accel_seq *fork, *prefix, *loaded = NULL;
	int fd = memfd_create("sequence", MFD_CLOEXEC);
	int32_t copy[8];
	uint32_t n;

	ok(!accel_seq_fork(seq, 4, &fork) && accel_seq_length(fork) == 4 &&
	   accel_seq_tokens(fork, 1, copy, 8) == 3 && !memcmp(copy, tokens + 1, 3 * sizeof(*copy)), "a fork");
	ok(!accel_seq_prefix(e, tokens, 6, &prefix, &n) && n == 5, "what begins alike");
	ok(!accel_seq_trim(fork, 2) && accel_seq_trim(fork, 3) == -EINVAL, "%s", accel_error());
	ok(!accel_seq_skip(fork, 2) && accel_seq_tokens(fork, 2, copy, 8) == 2 && copy[0] == -1, "skipped");
	ok(!accel_seq_save(seq, fd) && lseek(fd, 0, SEEK_SET) == 0 && !accel_seq_load(e, fd, &loaded) &&
	   accel_seq_length(loaded) == 6, "saved and loaded");
	close(fd);
	accel_seq_free(fork);
	accel_seq_free(prefix);
	accel_seq_free(loaded);
	accel_seq_free(NULL);
}

static void test_engine(const struct accel_plan *plan, struct accel_dev *dev, uint32_t vocab)
{
	struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .isa = "quantum" };
	struct accel_engine_stats st = { .sz = sizeof(st) };
	struct accel_layer l = { .sz = sizeof(l) };
	struct accel_engine *e;
	struct accel_seq *seq;

	ok(accel_engine_new(plan, &dev, 1, &o, &e) == -ENOTSUP && !e, "%s", accel_error());
	o.isa = NULL;
	ok(accel_engine_new(plan, NULL, 0, &o, &e) == -EINVAL && !e, "%s", accel_error());
	if (!ok(!accel_engine_new(plan, &dev, 1, &o, &e) && !accel_seq_new(e, &seq), "an engine"))
		return;
	test_steps(e, seq, vocab);
	test_sequences(e, seq);
	ok(!accel_engine_stats(e, &st) && st.steps == 2 && st.seqs == 1 && st.layers_device && !st.fallbacks,
	   "%llu tokens in %llu submits", (unsigned long long)st.tokens, (unsigned long long)st.submits);
	ok(!accel_engine_layer(e, 1, &l) && l.device == 0 && accel_engine_layer(e, 1000, &l) == -EINVAL, "%s",
	   accel_error());
	accel_seq_free(seq);
	accel_engine_free(e);
	accel_engine_free(NULL);
}

static void hear(void *arg, enum accel_log_level level, const char *sentence)
{
	*(int *)arg += level == ACCEL_LOG_WARNING && *sentence;
}

/* A processor that fails: the CPU goes on, and whoever listens hears of it; or, strict, the step has the cause. */
static void test_failure(const struct accel_plan *plan, struct accel_dev *dev, bool strict)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .strict = strict, .retry_ms = UINT32_MAX };
	struct accel_input in = { .sz = sizeof(in), .tokens = tokens, .n = 5 };
	struct accel_engine_stats st = { .sz = sizeof(st) };
	struct accel_engine *e;
	int warnings = 0, err;

	if (!ok(!accel_engine_new(plan, &dev, 1, &o, &e) && !accel_seq_new(e, &in.seq), "an engine"))
		return;
	accel_log_set(hear, &warnings);
	accel_dev_control(dev, "fault 0", NULL, 0);
	err = accel_step_run(e, &in, 1, NULL, NULL);
	accel_log_set(NULL, NULL);
	accel_engine_stats(e, &st);
	if (strict)
		ok(err == -EFAULT && !st.fallbacks && !warnings && !accel_seq_length(in.seq), "strict: %s", accel_error());
	else
		ok(!err && st.fallbacks == 1 && warnings == 1 && st.fallback_error == -EFAULT, "%s", st.fallback_reason);
	accel_seq_free(in.seq);
	accel_engine_free(e);
}

void test_models(void)
{
	struct accel_devinfo info = { .sz = sizeof(info) };
	struct accel_plan_opts po = { .sz = sizeof(po), .ctx = 64, .positions = 256 };
	const struct accel_devinfo *list = &info;
	uint32_t places[64];
	struct accel_model_info mi = { .sz = sizeof(mi) };
	struct accel_model *m;
	struct accel_plan *plan;
	struct accel_dev *dev;

	ok(!accel_guard_files(), "files are guarded");
	ok(accel_model_load("/no/such.gguf", &m) == -ENOENT && !m, "%s", accel_error());
	if (!ok(!accel_model_load(PUBLIC_MODEL, &m) && !accel_open("sim:rings=1", &dev) && !accel_dev_info(dev, &info),
		"a model and a processor"))
		return;
	accel_model_info(m, &mi);
	for (int i = 0; i < 64; i++)
		places[i] = ACCEL_PLACE_DEVICE(0);
	po.places = places;
	po.n_places = 1;
	ok(accel_plan_new(m, &list, 1, &po, &plan) == -EINVAL && !plan, "%s", accel_error());
	po.n_places = mi.n_layers;
	po.max_host_bytes = 1000;
	ok(accel_plan_new(m, &list, 1, &po, &plan) == -ENOSPC && !plan, "%s", accel_error());
	po.max_host_bytes = 0;
	if (ok(!accel_plan_new(m, &list, 1, &po, &plan), "a plan")) {
		test_plan(m, plan);
		test_engine(plan, dev, mi.n_vocab);
		test_failure(plan, dev, true);
		test_failure(plan, dev, false);
	}
	accel_plan_free(plan);
	accel_close(dev);
	accel_model_free(m);
}
