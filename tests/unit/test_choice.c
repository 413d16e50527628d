// SPDX-License-Identifier: MIT
/*
 * Processors of several kinds: one more never makes an answer slower, as it is foretold, whatever memory it has.
 * The kinds are the model's profiles, a million times slower, as the layers are smaller than those that people use.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <accel/device.h>
#include <accel/model.h>

#include "llama_build.h"
#include "llama_load.h"
#include "op/speed.h"
#include "tap.h"

#define SLOWER 1000000u
#define MOST 3

static const struct llama_build shape = {
	.type = ACCEL_Q8_0, .blocks = 12, .embd = 256, .heads = 4, .kv_heads = 2, .ff = 768, .vocab = 600, .ctx = 256,
};

static struct accel_model *m;
static struct accel_devinfo kinds[MOST];
static uint64_t whole;		/* bytes of a card that has all layers */

/* plan/balance.c: seconds of a prompt and an answer. */
double plan_takes(const struct accel_plan *p);

/* In place of libaccel's: a slow CPU, the same on each machine. */
int cpu_speed(struct cpu_speed *speed)
{
	*speed = (struct cpu_speed) { 20e9 / SLOWER, 100e9 / SLOWER, 40e9 / SLOWER, 40e9 / SLOWER };
	return 0;
}

static void profile(struct accel_devinfo *info, const char *name)
{
	struct accel_dev *dev;
	char spec[64];

	snprintf(spec, sizeof(spec), "sim:timing,profile=%s", name);
	*info = (struct accel_devinfo) { .sz = sizeof(*info) };
	if (accel_open(spec, &dev) || accel_dev_info(dev, info))
		printf("Bail out! %s\n", accel_error());
	accel_close(dev);
	snprintf(info->name, sizeof(info->name), "%s", name);
	info->clock_hz /= SLOWER;
	info->memory_used = 0;
}

/* Of a card that has room for so many percent of the model. */
static struct accel_devinfo card(int kind, uint32_t percent)
{
	struct accel_devinfo info = kinds[kind];

	info.memory_size = info.memory_mappable = whole / 100 * percent / 4096 * 4096;
	return info;
}

static struct accel_plan *plan_split(const struct accel_devinfo *cards, uint32_t n, const uint32_t *places,
				     enum accel_split split)
{
	const struct accel_plan_opts o = {
		.sz = sizeof(o), .ctx = 256, .batch = 32, .places = places, .n_places = places ? 2 + 2 * shape.blocks : 0,
		.split = split,
	};
	const struct accel_devinfo *list[MOST];
	struct accel_plan *p;

	for (uint32_t i = 0; i < n; i++)
		list[i] = &cards[i];
	if (accel_plan_new(m, list, n, &o, &p))
		printf("# %s\n", accel_error());
	return p;
}

static struct accel_plan *plan_on(const struct accel_devinfo *cards, uint32_t n, const uint32_t *places)
{
	return plan_split(cards, n, places, ACCEL_SPLIT_AUTO);
}

static uint32_t layers_on(const struct accel_plan *p, int32_t device)
{
	struct accel_layer a = { .sz = sizeof(a) };
	uint32_t n = 0;

	for (uint32_t i = 0; !accel_plan_layer(p, i, &a); i++)
		n += a.device == device;
	return n;
}

static struct accel_layer layer(const struct accel_plan *p, uint32_t i)
{
	struct accel_layer a = { .sz = sizeof(a) };

	accel_plan_layer(p, i, &a);
	return a;
}

/* A larger, slower one beside one that has no room for all. */
static void test_slow(bool first)
{
	const struct accel_devinfo fast = card(0, 80), slow = card(2, 300);
	const struct accel_devinfo both[2] = { first ? slow : fast, first ? fast : slow };
	struct accel_plan *alone = plan_on(&fast, 1, NULL), *p = plan_on(both, 2, NULL);
	uint32_t places[2 + 2 * 12] = { [5] = ACCEL_PLACE_DEVICE(first ? 0 : 1) };
	struct accel_layer a = layer(p, 3);

	ok(plan_takes(p) <= plan_takes(alone) * 1.001 && !layers_on(p, first ? 0 : 1) &&
	   layers_on(p, first) == layers_on(alone, 0), "%g s, alone %g s", plan_takes(p), plan_takes(alone));
	ok(strstr(a.detail, "with octans-s an answer would take"), "%s", a.detail);
	ok(!accel_plan_device_bytes(p, !first) && accel_plan_device_bytes(p, first) == accel_plan_device_bytes(alone, 0),
	   "nothing is planned there");
	accel_plan_free(p);
	p = plan_on(both, 2, places);
	a = layer(p, 5);
	ok(a.device == !first && layers_on(p, first), "but a layer that is to be there is: %s", a.detail);
	accel_plan_free(p);
	accel_plan_free(alone);
}

/* One that is slower, but not than the bus, has what has no room on the fastest. */
static void test_useful(bool first)
{
	const struct accel_devinfo fast = card(0, 70), mid = card(1, 60);
	const struct accel_devinfo both[2] = { first ? mid : fast, first ? fast : mid };
	struct accel_plan *alone = plan_on(&fast, 1, NULL), *p = plan_on(both, 2, NULL);

	ok(plan_takes(p) < plan_takes(alone) * 0.9 && layers_on(p, !first) && layers_on(p, first) > layers_on(p, !first),
	   "%g s, alone %g s: %u layers on the fast, %u on the other", plan_takes(p), plan_takes(alone),
	   layers_on(p, first), layers_on(p, !first));
	accel_plan_free(p);
	accel_plan_free(alone);
}

/* What neither has room for is read over the faster bus. */
static void test_rest(void)
{
	const struct accel_devinfo fast = card(0, 30), mid = card(1, 40), both[2] = { mid, fast };
	struct accel_plan *p = plan_on(both, 2, NULL);
	uint32_t far[2] = { 0 };

	for (uint32_t i = 0; i < 2 + 2 * shape.blocks; i++) {
		const struct accel_layer a = layer(p, i);

		if (a.device >= 0)
			far[a.device] += a.weights != ACCEL_WEIGHTS_CARD;
	}
	ok(far[1] && !far[0] && layers_on(p, 0) > 4, "%u of %u layers over the faster bus, %u of %u over the other", far[1],
	   layers_on(p, 1), far[0], layers_on(p, 0));
	accel_plan_free(p);
}

static void test_any(void)
{
	static const uint32_t sizes[] = { 15, 60, 110, 300 };
	uint32_t worse = 0, n = 0;

	for (uint32_t k = 0; k < 9 * 16; k++) {
		const struct accel_devinfo cards[2] = {
			card(k % 3, sizes[k / 9 % 4]), card(k / 3 % 3, sizes[k / 36]),
		};
		struct accel_plan *both = plan_on(cards, 2, NULL);
		struct accel_plan *one[2] = { plan_on(&cards[0], 1, NULL), plan_on(&cards[1], 1, NULL) };

		for (int i = 0; i < 2; i++, n++) {
			/* of one kind both are used: a part of what is handed over is seen */
			const bool bad = plan_takes(both) > plan_takes(one[i]) * (k % 3 == k / 3 % 3 ? 1.02 : 1.002);

			if (bad)
				printf("# %s %u %%, %s %u %%: %g s, alone %g s\n", cards[i].name, sizes[(i ? k / 36 : k / 9) % 4],
				       cards[!i].name, sizes[(i ? k / 9 : k / 36) % 4], plan_takes(both), plan_takes(one[i]));
			worse += bad;
			accel_plan_free(one[i]);
		}
		accel_plan_free(both);
	}
	ok(!worse, "of %u pairs %u are slower than one of them", n, worse);
}

static void test_three(void)
{
	uint32_t worse = 0;

	for (uint32_t k = 0; k < 6; k++) {
		const int a = k / 2, b = (a + 1 + k % 2) % 3, c = 3 - a - b;
		const struct accel_devinfo cards[3] = { card(a, 40), card(b, 50), card(c, 200) };
		struct accel_plan *all = plan_on(cards, 3, NULL), *two = plan_on(cards, 2, NULL), *one = plan_on(cards + 2, 1, NULL);

		worse += plan_takes(all) > plan_takes(two) * 1.002 || plan_takes(all) > plan_takes(one) * 1.002;
		accel_plan_free(all);
		accel_plan_free(two);
		accel_plan_free(one);
	}
	ok(!worse, "of three, too");
}

/* Who shares a layer, each by where it was in the first order. */
static uint32_t sharers(const struct accel_plan *p, const uint32_t *order)
{
	uint32_t to = 0;

	for (uint32_t k = 0; k < MOST; k++)
		to |= (uint32_t)(layer(p, 2).shared >> k & 1) << order[k];
	return to;
}

/* Whatever the order in which they are given, the same share. */
static void test_shared(const struct accel_devinfo *cards, enum accel_split split, uint32_t who, const char *what)
{
	static const uint32_t orders[6][MOST] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	double first = 0;

	for (int i = 0; i < 6; i++) {
		const struct accel_devinfo list[MOST] = { cards[orders[i][0]], cards[orders[i][1]], cards[orders[i][2]] };
		struct accel_plan *p = plan_split(list, MOST, NULL, split);
		const double takes = plan_takes(p);

		first = first ? first : takes;
		ok(sharers(p, orders[i]) == who && takes < first * 1.001 && takes > first * 0.999,
		   "%s, as %u %u %u: %x share, %g s", what, orders[i][0], orders[i][1], orders[i][2], sharers(p, orders[i]), takes);
		accel_plan_free(p);
	}
}

int main(void)
{
	const char *const names[MOST] = { "octans-1", "octans-e", "octans-s" };
	struct accel_plan *p;

	if (!ok(!load(&shape, &m), "a model"))
		return done();
	for (int i = 0; i < MOST; i++)
		profile(&kinds[i], names[i]);
	p = plan_on(kinds, 1, NULL);
	whole = accel_plan_device_bytes(p, 0);
	accel_plan_free(p);
	for (int first = 0; first < 2; first++) {
		test_slow(first);
		test_useful(first);
	}
	test_rest();
	test_any();
	test_three();
	test_shared((struct accel_devinfo [MOST]) { card(2, 120), card(1, 120), card(1, 120) }, ACCEL_SPLIT_AUTO, 6,
		    "a slow one and two that are faster");
	test_shared((struct accel_devinfo [MOST]) { card(0, 15), card(1, 120), card(1, 120) }, ACCEL_SPLIT_AUTO, 6,
		    "a fast one that is too small");
	test_shared((struct accel_devinfo [MOST]) { card(0, 15), card(1, 120), card(1, 120) }, ACCEL_SPLIT_TENSOR, 6,
		    "told to share, a fast one that is too small");
	test_shared((struct accel_devinfo [MOST]) { card(2, 120), card(1, 120), card(1, 120) }, ACCEL_SPLIT_TENSOR, 6,
		    "told to share, one that is too slow to have a part");
	accel_model_free(m);
	return done();
}
