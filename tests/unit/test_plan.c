// SPDX-License-Identifier: MIT
/* What may be taken of memory: a plan keeps to it or says what takes how much, and an engine takes no more. */
#include <errno.h>
#include <malloc.h>

#include <accel/engine.h>

#include "llama_build.h"
#include "tap.h"

#define CARD "sim:rings=1,local=64M"

static const struct llama_build shape = {
	.type = ACCEL_Q8_0, .blocks = 4, .embd = 256, .heads = 4, .kv_heads = 2, .ff = 512, .vocab = 2000,
	.ctx = 1024,
};

static struct accel_model *m;
static struct accel_devinfo card = { .sz = sizeof(card) };

/* NULL: it was refused. */
static struct accel_plan *plan(struct accel_plan_opts o, bool with_card, int want)
{
	const struct accel_devinfo *list = &card;
	struct accel_plan *p;
	int err;

	o.sz = sizeof(o);
	err = accel_plan_new(m, &list, with_card, &o, &p);
	if (err != want)
		printf("# %d instead of %d: %s\n", err, want, err ? accel_error() : "");
	return p;
}

static struct accel_plan_info info_of(const struct accel_plan *p)
{
	struct accel_plan_info i = { .sz = sizeof(i) };

	if (p)
		accel_plan_info(p, &i);
	return i;
}

static struct accel_plan_info planned(struct accel_plan_opts o, bool with_card)
{
	struct accel_plan *p = plan(o, with_card, 0);
	struct accel_plan_info i = info_of(p);

	accel_plan_free(p);
	return i;
}

static void test_host(void)
{
	const struct accel_plan_info all = planned((struct accel_plan_opts) { 0 }, false);
	struct accel_plan_info less;

	less = planned((struct accel_plan_opts) { .max_host_bytes = all.host_bytes }, false);
	ok(less.batch == all.batch && less.host_bytes == all.host_bytes, "what it takes is enough");
	less = planned((struct accel_plan_opts) { .max_host_bytes = all.host_bytes - 1 }, false);
	ok(less.batch && less.batch < all.batch && less.host_bytes < all.host_bytes,
	   "a byte less: %u tokens at once, not %u; %llu bytes, not %llu", less.batch, all.batch,
	   (unsigned long long)less.host_bytes, (unsigned long long)all.host_bytes);
	ok(!plan((struct accel_plan_opts) { .max_host_bytes = all.host_bytes - 1, .batch = all.batch }, false, -ENOSPC),
	   "but not if the batch is chosen: %s", accel_error());
	ok(!plan((struct accel_plan_opts) { .max_host_bytes = 100000 }, false, -ENOSPC) &&
	   strstr(accel_error(), "2048 for keys and values") && strstr(accel_error(), "steps of 1 tokens") &&
	   strstr(accel_error(), "where 97 may be"), "%s", accel_error());
	less = planned((struct accel_plan_opts) { .max_host_bytes = 1 << 20, .ctx = 256 }, false);
	ok(less.ctx == 256 && less.host_bytes <= 1 << 20, "a shorter context fits");
}

static uint32_t why(const struct accel_plan *p, const char *words, struct accel_layer *l)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < info_of(p).layers; i++) {
		struct accel_layer one = { .sz = sizeof(one) };

		accel_plan_layer(p, i, &one);
		if (one.reason == ACCEL_REASON_NO_MEMORY && strstr(one.detail, words)) {
			*l = one;
			n++;
		}
	}
	return n;
}

static void test_card(void)
{
	uint32_t places[16];
	struct accel_plan_opts o = {
		.places = places, .n_places = 10, .batch = 16, .stream = ACCEL_STREAM_NEVER,
	};
	struct accel_plan_info all, less;
	struct accel_layer l = { .detail = "" };
	struct accel_plan *p;

	for (int i = 0; i < 16; i++)
		places[i] = ACCEL_PLACE_DEVICE(0);
	all = planned(o, true);
	ok(all.layers == 10 && all.layers_on_device == 10, "a card has room for all");
	o.max_device_bytes = all.device_bytes;
	less = planned(o, true);
	ok(less.layers_on_device == 10 && less.device_bytes == all.device_bytes, "what they take is enough");
	o.max_device_bytes = all.device_bytes - 1;
	p = plan(o, true, 0);
	less = info_of(p);
	ok(less.layers_on_device < 10 && less.layers_on_device > 5 && less.device_bytes <= o.max_device_bytes &&
	   why(p, " that may be taken are left on sim", &l) == 10 - less.layers_on_device, "a byte less: %s", l.detail);
	accel_plan_free(p);
	o.max_device_bytes = 1;
	less = planned(o, true);
	ok(!less.layers_on_device && !less.device_bytes, "next to nothing: all on the CPU");
	o.max_device_bytes = UINT64_MAX;
	ok(planned(o, true).layers_on_device == 10, "more than there is: what there is");
	/* Keys and values on the card are not on the host. */
	o.max_device_bytes = 0;
	o.max_host_bytes = all.host_bytes;
	ok(planned(o, true).layers_on_device == 10, "with a card less of the host is enough");
	o.n_places = 0;
	less = planned(o, true);
	ok(less.layers_on_device && less.host_bytes <= all.host_bytes, "layers stay there to keep to it: %u of 10",
	   less.layers_on_device);
	ok(!plan(o, false, -ENOSPC), "which is too little without: %s", accel_error());
}

/* A sanitizer takes malloc()'s place, and counts nothing. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTED false
#else
#define COUNTED true
#endif

static size_t allocated(void)
{
	struct mallinfo2 i = mallinfo2();

	return i.uordblks + i.hblkhd;
}

/* Compares what is planned with what malloc() gives. */
static void test_taken(struct accel_plan_opts o, uint32_t n)
{
	struct accel_engine_opts eo = { .sz = sizeof(eo), .threads = 1 };
	struct accel_plan *p = plan(o, false, 0);
	uint64_t want = info_of(p).host_bytes, took;
	struct accel_input in = { .sz = sizeof(in), .n = n, .want = ACCEL_WANT_ALL };
	int32_t *tokens = calloc(n, sizeof(*tokens));
	struct accel_step *step = NULL;
	struct accel_engine *e = NULL;
	size_t before = allocated();

	in.tokens = tokens;
	if (!ok(!accel_engine_new(p, NULL, 0, &eo, &e) && !accel_seq_new(e, &in.seq) &&
		!accel_step_run(e, &in, 1, NULL, &step), "a step of %u tokens", n))
		return;
	took = allocated() - before;
	ok(!COUNTED || (took <= want + 65536 && took > want - want / 8), "%llu KiB are planned, %llu are taken",
	   (unsigned long long)want / 1024, (unsigned long long)took / 1024);
	accel_step_free(step);
	accel_seq_free(in.seq);
	accel_engine_free(e);
	accel_plan_free(p);
	free(tokens);
}

int main(void)
{
	struct accel_dev *dev;
	struct build b;

	llama_build(&b, &shape);
	if (!ok(!accel_model_load_memory(&(const void *) { b.p }, &b.n, 1, &m), "a model: %s", accel_error()))
		return done();
	if (!ok(!accel_open(CARD, &dev) && !accel_dev_info(dev, &card), "a card"))
		return done();
	accel_close(dev);
	test_host();
	test_card();
	test_taken((struct accel_plan_opts) { 0 }, 512);
	test_taken((struct accel_plan_opts) { .batch = 16 }, 16);
	test_taken((struct accel_plan_opts) { .seqs = 512, .positions = 4096, .batch = 16 }, 16);
	test_taken((struct accel_plan_opts) { .ctx = 64, .page = 1, .positions = 100000 }, 16);
	accel_model_free(m);
	build_end(&b);
	return done();
}
