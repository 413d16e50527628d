// SPDX-License-Identifier: MIT
/*
 * Layers that several processors share: whatever they have of them, and whatever the steps, the bits are those of the
 * CPU; and what it takes is what was foretold.  test_members.c: whatever fails in the middle.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "device/transport.h"
#include "group.h"

/* ---- bits ---- */

/* The largest logits, too, are found by who has them all. */
static bool same_top(const struct group *g)
{
	struct accel_input in = input(g, 0, 0, LENGTH, ACCEL_WANT_TOP);
	const float *row = g->s->alone[0] + (size_t)(LENGTH - 1) * g->s->info.n_vocab, *values = NULL;
	const int32_t *ids = NULL;
	struct accel_step *step = NULL;
	bool same = true;

	in.top = 5;
	accel_seq_trim(g->seq[0], 0);
	if (accel_step_run(g->engine, &in, 1, NULL, &step) || accel_step_top(step, 0, &ids, &values) != 5)
		return false;
	for (uint32_t i = 0; i < g->s->info.n_vocab; i++)
		same = same && row[i] <= values[0];
	for (int i = 0; i < 5; i++)
		same = same && values[i] == row[ids[i]] && (!i || values[i] <= values[i - 1]);
	accel_step_free(step);
	return same;
}

static void test_bits(const struct subject *s, uint32_t n, const char *spec)
{
	for (int round = 0; round < 3; round++) {
		struct group g = group_open(s, n, spec, 0, NULL);
		bool same = false;

		g.batch = round ? 1 + roll(16) : LENGTH;
		ok(!group_start(&g, (struct accel_engine_opts) { .strict = true }) && count_shared(&g, true) &&
		   !eval(&g, 0, 0, LENGTH, &same) && same, "%s on %u, %s: %u layers shared, %u at once: a prompt", s->name, n,
		   spec, g.engine ? count_shared(&g, true) : 0, g.batch);
		for (uint32_t i = 0; i < SEQS && g.engine; i++)
			accel_seq_trim(g.seq[i], 0);
		ok(g.engine && eval_all(&g), "several sequences");
		ok(g.engine && same_top(&g), "the largest logits");
		ok(!stats(&g).fallbacks && stats(&g).layers_device == s->info.n_layers, "all on processors");
		group_stop(&g);
	}
}

/* Those that share need not be the first. */
static void test_apart(const struct subject *s)
{
	struct group g = group_open(s, 3, SIM, 0, NULL);
	struct accel_bo *bo = fill(g.dev[0], 64 << 10);
	uint32_t there = 0;
	bool same = false;

	ok(!group_start(&g, (struct accel_engine_opts) { .strict = true }) && count_shared(&g, true) == s->shares, "%s", s->name);
	for (uint32_t i = 1; i < s->info.n_layers; i++)
		there += layer_now(&g, i).device == 1 && !(layer_now(&g, i).shared & ~6ull);
	ok(there + 1 == s->info.n_layers && !accel_plan_device_bytes(g.plan, 0), "%u layers on the second and the third", there);
	ok(!eval(&g, 0, 0, LENGTH, &same) && same, "a prompt");
	accel_seq_trim(g.seq[0], 0);
	ok(eval_all(&g) && same_top(&g), "and several sequences");
	accel_bo_free(bo);
	group_stop(&g);
}

/* Kinds for which it is made are shared, the others say why they are not. */
static void test_plan(const struct subject *s)
{
	struct group g = group_open(s, 2, SIM, 0, NULL);
	uint64_t whole, part[2];
	bool told = true;

	ok(!group_plan(&g) && count_shared(&g, false) == s->shares, "%s: %u of %u layers are shared", s->name,
	   count_shared(&g, false), s->info.n_layers);
	for (uint32_t i = 1; i < s->info.n_layers; i++) {
		struct accel_layer a = planned(&g, i);

		told = told && a.device == 0 && (a.shared ? a.shared == 3 && strstr(a.detail, "2 processors share it") :
						 strstr(a.detail, "not shared: its kind is not made for it") != NULL);
	}
	ok(told, "each says so, or why not");
	part[0] = accel_plan_device_bytes(g.plan, 0);
	part[1] = accel_plan_device_bytes(g.plan, 1);
	for (uint32_t i = 1; i < s->info.n_layers; i++) {
		const struct accel_layer a = planned(&g, i);
		const uint64_t own = accel_plan_layer_bytes(g.plan, i, 0), other = accel_plan_layer_bytes(g.plan, i, 1);

		whole = a.weight_bytes + a.kv_bytes;
		told = told && own <= part[0] && (a.shared ? own < whole && other < whole && own + other >= whole :
								 own == whole && !other);
	}
	ok(told, "and what it takes of whom");
	accel_plan_free(g.plan);
	g.split = ACCEL_SPLIT_LAYER;
	ok(!group_plan(&g) && !count_shared(&g, false), "none if layers are not to be");
	whole = plan_info(g.plan).device_bytes;
	ok(part[0] < whole && part[1] < whole, "%llu and %llu bytes are less than %llu", (unsigned long long)part[0],
	   (unsigned long long)part[1], (unsigned long long)whole);
	accel_plan_free(g.plan);
	g.split = ACCEL_SPLIT_AUTO;
	ok(!group_plan(&g) && !count_shared(&g, false), "nor where that is slower");
	accel_plan_free(g.plan);
	g.plan = NULL;
	g.split = ACCEL_SPLIT_TENSOR + 1;
	ok(group_plan(&g) == -EINVAL && strstr(accel_error(), "3 is no way"), "%s", accel_error());
	group_stop(&g);
}

/* What is foretold of a token is what is modelled of it. */
static void test_foretold(const struct subject *s, const char *spec)
{
	struct group g = group_open(s, 2, spec, 0, NULL);
	struct accel_prediction p = { .sz = sizeof(p) };
	uint64_t before;
	double share;
	bool same;

	ok(!group_start(&g, (struct accel_engine_opts) { .strict = true }) && !accel_plan_predict(g.plan, 8, &p) &&
	   !eval(&g, 0, 0, 8, &same), "%s, %s", s->name, spec);
	before = stats(&g).modelled_ns;
	ok(!eval(&g, 0, 8, 1, &same) && same, "a token");
	share = p.token_s * 1e9 / (stats(&g).modelled_ns - before);
	/* of one so small most goes into the commands themselves, which is not foretold of any */
	ok(share > 0.15 && share <= 1, "%g of the time of a token was foretold", share);
	group_stop(&g);
}

/* The time of those that share is no less than that of each, which does not count what it waits. */
static void test_time(const struct subject *s)
{
	struct group g = group_open(s, 2, "sim:profile=octans-e,rings=1,threads=1", 0, NULL);
	struct accel_engine_stats st;
	bool same;

	ok(!group_start(&g, (struct accel_engine_opts) { .strict = true }) && !eval(&g, 0, 0, LENGTH, &same) && same,
	   "one is slower");
	st = stats(&g);
	ok(st.modelled_ns > st.modelled.cycles / 2 && st.modelled_ns < st.modelled.cycles,
	   "%llu ns, of %llu cycles of both", (unsigned long long)st.modelled_ns,
	   (unsigned long long)st.modelled.cycles);
	group_stop(&g);
}

/* ---- what is kept ---- */

static FILE *save(struct accel_seq *seq)
{
	FILE *f = tmpfile();

	if (!f || accel_seq_save(seq, fileno(f)))
		return NULL;
	rewind(f);
	return f;
}

static bool same_files(FILE *a, FILE *b)
{
	int x, y;

	if (!a || !b)
		return false;
	do {
		x = getc(a);
		y = getc(b);
	} while (x == y && x != EOF);
	rewind(a);
	lseek(fileno(a), 0, SEEK_SET);
	return x == y;
}

/* What is saved is what the CPU would, and is read back to where its parts are; forks share it. */
static void test_kept(const struct subject *s, enum accel_kv_type kv_type)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .isa = "scalar" };
	struct rig r = rig_new(s->m, NULL, (struct accel_plan_opts) { .ctx = 96, .kv_type = kv_type }, &o);
	struct group g = group_open(s, 3, SIM, 0, NULL);
	struct accel_seq *fork = NULL, *read = NULL;
	const float *logits;
	FILE *ours, *cpu;
	bool same;

	g.kv_type = kv_type;
	ok(!rig_eval(&r, s->text[0], 21, ACCEL_WANT_ALL, &logits) &&
	   !group_start(&g, (struct accel_engine_opts) { .strict = true }), "%s", s->name);
	eval(&g, 0, 0, 21, &same);
	ours = save(g.seq[0]);
	cpu = save(r.seq);
	ok(same_files(ours, cpu), "what is saved is what the CPU saves");
	ok(!accel_seq_load(g.engine, fileno(ours), &read), "it is read: %s", accel_error());
	ok(!accel_seq_fork(g.seq[0], 19, &fork), "and a fork");
	rig_eval(&r, s->text[0] + 21, 1, ACCEL_WANT_ALL, &logits);
	for (int i = 0; i < 2; i++) {
		struct accel_seq *seq = i ? read : g.seq[0];
		struct accel_input in = input(&g, 0, 21, 1, ACCEL_WANT_ALL);
		struct accel_step *step = NULL;

		in.seq = seq;
		ok(!accel_step_run(g.engine, &in, 1, NULL, &step) &&
		   !memcmp(accel_step_logits(step, 0, NULL), logits, row_of(s)), "%s goes on", i ? "what was read" : "it");
		accel_step_free(step);
	}
	for (int i = 0; i < 2; i++) {
		struct accel_input in = input(&g, 0, 19, 2, ACCEL_WANT_LAST);
		struct accel_step *step = NULL;

		in.seq = fork;
		if (i)
			in.tokens = s->text[0] + 21, in.n = 1;
		ok(!accel_step_run(g.engine, &in, 1, NULL, &step), "the fork goes on");
		ok(!i || !memcmp(accel_step_logits(step, 0, NULL), logits, row_of(s)), "to the same");
		accel_step_free(step);
	}
	if (ours)
		fclose(ours);
	if (cpu)
		fclose(cpu);
	accel_seq_free(fork);
	accel_seq_free(read);
	group_stop(&g);
	rig_free(&r);
}

/* ---- all ---- */

int main(void)
{
	struct subject subjects[SUBJECTS];

	if (!subjects_load(subjects))
		return done();
	for (uint32_t i = 0; i < SUBJECTS; i++) {
		test_plan(&subjects[i]);
		test_bits(&subjects[i], 2, SIM);
		test_bits(&subjects[i], 3, SIM);
		test_bits(&subjects[i], 2, "sim:profile=octans-e,rings=1,threads=1");
	}
	test_apart(&subjects[0]);
	test_apart(&subjects[3]);
	test_kept(&subjects[0], ACCEL_KV_F16);
	test_kept(&subjects[2], ACCEL_KV_Q8_0);
	test_kept(&subjects[3], ACCEL_KV_F32);
	test_foretold(&subjects[2], SIM);
	test_foretold(&subjects[2], "sim:profile=octans-e,rings=1,threads=1");
	test_time(&subjects[2]);
	subjects_free(subjects);
	return done();
}
