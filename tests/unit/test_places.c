// SPDX-License-Identifier: MIT
/* Where a plan puts layers, and that an engine holds what the plan promised. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "demo_rig.h"
#include "engine/engine.h"
#include "model/layer.h"
#include "tap.h"

static void test_memory(uint32_t first, uint32_t last, enum accel_kv_type kv)
{
	struct accel_plan_opts po = {
		.ctx = 300, .places = only(first, last), .n_places = mi.n_layers, .kv_type = kv,
	};
	struct rig m = make("sim:rings=1", po);
	uint64_t with, planned = accel_plan_device_bytes(m.plan, 0);

	if (m.engine) {
		with = memory_used(m.dev);
		rig_stop(&m);
		ok(with - memory_used(m.dev) == planned,
		   "layers %u-%u, KV type %d: the plan says %llu bytes, %llu were taken", first, last, kv,
		   (unsigned long long)planned, (unsigned long long)(with - memory_used(m.dev)));
	}
	rig_free(&m);
}

/* What is planned for a card that becomes full to the last page has room there. */
static void test_full(const char *spec)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .strict = true };
	struct accel_plan_opts po = { .sz = sizeof(po) };
	unsigned int n = 0, made = 0;
	struct accel_devinfo info = { .sz = sizeof(info) };
	const struct accel_devinfo *list = &info;
	struct accel_dev *dev;

	if (!ok(!accel_open(spec, &dev) && !accel_dev_info(dev, &info), "%s", spec))
		return;
	for (po.ctx = 300; po.ctx < 900; po.ctx++) {
		struct accel_engine *e = NULL;
		struct accel_plan *plan;

		if (accel_plan_new(model, &list, 1, &po, &plan))
			break;
		if (accel_plan_device_bytes(plan, 0)) {
			n++;
			made += !accel_engine_new(plan, &dev, 1, &o, &e);
			if (!e)
				printf("# ctx %u: %s\n", po.ctx, accel_error());
		}
		accel_engine_free(e);
		accel_plan_free(plan);
	}
	ok(n && made == n && !accel_dev_info(dev, &info), "%s: %u of %u plans fit as they said", spec, made, n);
	accel_close(dev);
}

/* A larger card never has fewer layers. */
static void test_monotonic(void)
{
	struct accel_plan_opts po = to_card((struct accel_plan_opts) { .sz = sizeof(po) });
	struct accel_devinfo info = { .sz = sizeof(info) };
	const struct accel_devinfo *list = &info;
	uint32_t before = 0, fewer = 0;
	struct accel_dev *dev;

	accel_open("sim:rings=1", &dev);
	accel_dev_info(dev, &info);
	info.memory_used = 0;
	for (uint64_t size = 1 << 20; size < 24 << 20; size += 256 << 10) {
		struct accel_plan *plan;

		info.memory_size = info.memory_mappable = size;
		if (accel_plan_new(model, &list, 1, &po, &plan))
			break;
		fewer += plan_info(plan).layers_on_device < before;
		before = plan_info(plan).layers_on_device;
		accel_plan_free(plan);
	}
	ok(!fewer && before == mi.n_layers, "more memory, and fewer layers %u times", fewer);
	accel_close(dev);
}

/* Positions that no processor attends to: the layers are the CPU's, to the last of them. */
static void test_long(enum accel_kv_type kv)
{
	enum { CTX = 131072 + 4 };
	struct accel_plan_opts po = { .ctx = CTX, .kv_type = kv };
	struct rig a = make("sim:rings=1", to_card(po)), b = make(NULL, po);
	const int32_t tokens[8] = { 1, 5, 9, 3, 11, 2, 7, 4 };
	const float *x, *y;
	bool same = a.engine && b.engine && !accel_seq_skip(a.seq, CTX - 8) && !accel_seq_skip(b.seq, CTX - 8);

	for (int i = 0; i < 8 && same; i += 2) {
		same = !rig_eval(&a, tokens + i, 2, ACCEL_WANT_LAST, &x) &&
		       !rig_eval(&b, tokens + i, 2, ACCEL_WANT_LAST, &y) &&
		       !memcmp(x, y, sizeof(float) * mi.n_vocab);
		if (!same)
			printf("# %s\n", accel_error());
	}
	ok(same && rig_stats(&a).layers_cpu == mi.n_blocks && rig_stats(&a).layers_device == mi.n_layers - mi.n_blocks,
	   "KV type %d: %d positions", kv, CTX);
	rig_free(&a);
	rig_free(&b);
}

static void test_plans(void)
{
	struct accel_plan_opts po = { .sz = sizeof(po), .ctx = 4096, .kv_type = 7 };
	struct accel_layer f16 = { .sz = sizeof(f16) }, f32 = f16;
	const uint32_t places[1] = { 0 };
	struct accel_plan *plan;

	ok(accel_plan_new(model, NULL, 0, &po, &plan) == -EINVAL, "no such KV type: %s", accel_error());
	po.kv_type = ACCEL_KV_F16;
	if (!accel_plan_new(model, NULL, 0, &po, &plan)) {
		accel_plan_layer(plan, 1, &f16);
		ok(plan_info(plan).batch == 512, "512 tokens at once");
		accel_plan_free(plan);
	}
	po.kv_type = ACCEL_KV_F32;
	if (!accel_plan_new(model, NULL, 0, &po, &plan)) {
		accel_plan_layer(plan, 1, &f32);
		ok(f32.kv_bytes == 2 * f16.kv_bytes && f16.kv_bytes, "F32 takes twice the bytes of F16");
		ok(accel_plan_layer(plan, mi.n_layers, &f32) == -EINVAL, "%s", accel_error());
		accel_plan_free(plan);
	}
	po.page = 48;
	ok(accel_plan_new(model, NULL, 0, &po, &plan) == -EINVAL && !plan, "%s", accel_error());
	po.page = 0;
	po.places = places;
	po.n_places = 1;
	ok(accel_plan_new(model, NULL, 0, &po, &plan) == -EINVAL && !plan, "%s", accel_error());
	po.n_places = 0;
	po.seqs = 5000;
	ok(accel_plan_new(model, NULL, 0, &po, &plan) == -EINVAL && !plan, "%s", accel_error());
	po.seqs = 4096;
	po.ctx = 1 << 20;
	ok(accel_plan_new(model, NULL, 0, &po, &plan) == -EINVAL && !plan, "%s", accel_error());
}

/* A processor that is slower than this CPU gets layers only if it is told to. */
static void test_worth(void)
{
	struct accel_plan_opts po = { .sz = sizeof(po), .ctx = 256 };
	struct accel_layer l = { .sz = sizeof(l) };
	struct accel_devinfo info = { .sz = sizeof(info) };
	const struct accel_devinfo *list = &info;
	uint32_t *places = calloc(mi.n_layers, sizeof(*places));
	struct accel_plan *plan;
	struct accel_dev *dev;

	accel_open("sim:rings=1", &dev);
	accel_dev_info(dev, &info);
	for (uint64_t hz = info.clock_hz; hz; hz = hz > 10000 ? 10000 : 0) {
		info.clock_hz = hz;
		if (accel_plan_new(model, &list, 1, &po, &plan))
			break;
		accel_plan_layer(plan, 2, &l);
		ok(plan_info(plan).layers_on_device == (hz > 10000 ? mi.n_layers : 0) &&
		   l.reason == (hz > 10000 ? ACCEL_REASON_FITS : ACCEL_REASON_SLOWER), "%llu Hz: %s, %s",
		   (unsigned long long)hz, accel_reason_name(l.reason), l.detail);
		accel_plan_free(plan);
	}
	info.clock_hz = 10000;
	places[2] = ACCEL_PLACE_DEVICE(0);
	po.places = places;
	po.n_places = mi.n_layers;
	if (ok(!accel_plan_new(model, &list, 1, &po, &plan), "a plan with a wish")) {
		accel_plan_layer(plan, 2, &l);
		ok(plan_info(plan).layers_on_device == 1 && l.device == 0, "which is granted: %s", l.detail);
		accel_plan_free(plan);
	}
	free(places);
	accel_close(dev);
}

int main(void)
{
	if (!demo_load())
		return done();
	test_plans();
	test_memory(0, mi.n_layers - 1, ACCEL_KV_F16);
	test_memory(2, 4, ACCEL_KV_F32);
	test_memory(1, 1, ACCEL_KV_Q8_0);
	test_full("sim:rings=1,local=2M");
	test_monotonic();
	test_worth();
	test_long(ACCEL_KV_F16);
	test_long(ACCEL_KV_Q8_0);
	accel_model_free(model);
	return done();
}
