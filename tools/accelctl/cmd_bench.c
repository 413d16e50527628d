// SPDX-License-Identifier: MIT
/* accelctl bench: what a prompt and generation cost, of fixed tokens and without sampling.
 * Modelled figures of the processor; measured ones where something is really computed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "placement.h"

struct part {
	const char *name;
	uint32_t tokens, at;		/* how many, position of the first */
	uint32_t seqs;			/* that are computed together, each so many tokens */
	double seconds;
	struct accel_engine_stats d;
};

#define PARTS 3

/* Which are fixed, but differ: equal ones would have the same experts. */
static int32_t token_at(const struct running *r, uint64_t i)
{
	return (i * 7919 + 1) % r->model_info.n_vocab;
}

/* A token of each sequence, in one step: those from number first on. */
static int step(struct running *r, struct accel_seq *const *seqs, uint32_t n, uint64_t first)
{
	struct accel_input *in = calloc(n, sizeof(*in));
	int32_t *tokens = calloc(n, sizeof(*tokens));
	struct accel_step *done = NULL;
	int err = in && tokens ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < n && !err; i++) {
		tokens[i] = token_at(r, first + i);
		in[i] = (struct accel_input) {
			.sz = sizeof(in[i]),
			.seq = seqs[i], .tokens = &tokens[i], .n = 1, .want = ACCEL_WANT_TOP, .top = 1,
		};
	}
	if (!err)
		err = accel_step_run(r->engine, in, n, NULL, &done);
	accel_step_free(done);
	free(tokens);
	free(in);
	return err;
}

/* The first one is not counted: it meets cold caches, on both kinds of processor. */
static int generate(struct running *r, struct accel_seq *const *seqs, struct part *p)
{
	struct accel_engine_stats before = { 0 }, after;
	double t0 = 0;
	int err = 0;

	for (uint32_t i = 0; i <= p->tokens && !err; i++) {
		for (uint32_t k = 0; i == 1 && k < p->seqs && !err; k++)
			err = accel_seq_trim(seqs[k], p->at);
		if (i == 1) {
			before = compute_stats(r);
			t0 = seconds();
		}
		if (!err)
			err = step(r, seqs, p->seqs, (uint64_t)i * p->seqs);
	}
	p->seconds = seconds() - t0;
	after = compute_stats(r);
	p->d = stats_between(&before, &after);
	return err;
}

/* Copies of the sequence, which share what is before position p->at. */
static int generate_together(struct running *r, struct part *p)
{
	struct accel_seq **seqs = calloc(p->seqs, sizeof(*seqs));
	int err = seqs ? accel_seq_trim(r->seq, p->at) : -ENOMEM;

	for (uint32_t i = 1; i < p->seqs && !err; i++)
		err = accel_seq_fork(r->seq, p->at, &seqs[i]);
	if (!err) {
		seqs[0] = r->seq;
		err = generate(r, seqs, p);
	}
	for (uint32_t i = 1; seqs && i < p->seqs; i++)
		accel_seq_free(seqs[i]);
	free(seqs);
	return err;
}

static int prompt(struct running *r, const int32_t *tokens, struct part *p)
{
	struct accel_engine_stats before, after;
	double t0 = seconds();
	int err;

	before = compute_stats(r);
	err = compute_tokens(r, tokens, p->tokens, ACCEL_WANT_TOP, 1, NULL);
	p->seconds = seconds() - t0;
	after = compute_stats(r);
	p->d = stats_between(&before, &after);
	return err;
}

static int measure(struct running *r, const int32_t *tokens, struct part parts[PARTS])
{
	int err = 0;

	if (parts[0].tokens)
		err = prompt(r, tokens, &parts[0]);
	if (err || !parts[1].tokens)
		return err;
	err = accel_seq_trim(r->seq, parts[0].tokens < parts[1].at ? parts[0].tokens : parts[1].at);
	if (!err && parts[0].tokens < parts[1].at)
		err = accel_seq_skip(r->seq, parts[1].at - parts[0].tokens);
	if (!err)
		err = generate_together(r, &parts[1]);
	return err || !parts[2].seqs ? err : generate_together(r, &parts[2]);
}

static json_t *part_json(const struct part *p, bool computed)
{
	const struct octans_counters *c = &p->d.modelled;
	const double all = (double)p->tokens * p->seqs;
	json_t *j = json_pack("{s:s, s:i, s:i, s:i}", "part", p->name, "tokens", (int)p->tokens, "at", (int)p->at,
			      "seqs", (int)p->seqs);

	if (computed)
		json_object_set_new(j, "measured_tokens_per_second", json_real(all / (p->seconds + 1e-9)));
	if (!c->cycles)
		return j;
	json_object_update_new(j, json_pack(
		"{s:I, s:f, s:f, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
		"modelled_cycles", (json_int_t)c->cycles,
		"modelled_seconds", p->d.modelled_ns / 1e9,
		"modelled_tokens_per_second", all * 1e9 / p->d.modelled_ns,
		"ceiling_cycles", (json_int_t)p->d.ceiling_cycles,
		"utilisation", (double)p->d.ceiling_cycles / c->cycles,
		"busy_matrix", (json_int_t)c->busy_matrix, "busy_vector", (json_int_t)c->busy_vector,
		"busy_dma", (json_int_t)c->busy_dma, "busy_mmu", (json_int_t)c->busy_mmu,
		"busy_local", (json_int_t)c->busy_local, "busy_pcie", (json_int_t)c->busy_pcie,
		"local_read_bytes", (json_int_t)c->local_read,
		"local_written_bytes", (json_int_t)c->local_written,
		"pcie_read_bytes", (json_int_t)c->pcie_read,
		"pcie_written_bytes", (json_int_t)c->pcie_written,
		"macs_int8", (json_int_t)c->macs_int8, "macs_f16", (json_int_t)c->macs_f16,
		"macs_f32", (json_int_t)c->macs_f32, "commands", (json_int_t)c->commands,
		"tlb_misses", (json_int_t)c->tlb_misses, "submits", (json_int_t)p->d.submits,
		"jobs", (json_int_t)p->d.device_jobs, "block_bytes", (json_int_t)p->d.block_bytes));
	return j;
}

static void print_part(const struct part *p, bool computed)
{
	const struct octans_counters *c = &p->d.modelled;
	const double all = (double)p->tokens * p->seqs;
	double percent = c->cycles ? 100.0 / c->cycles : 0;

	printf("%s of %u tokens at position %u", p->name, p->tokens, p->at);
	if (p->seqs > 1)
		printf(", of each of %u sequences", p->seqs);
	printf(":\n");
	if (c->cycles) {
		printf("  modelled   %12.0f cycles a token, %.1f tokens/s; %llu submits, %llu jobs\n",
		       c->cycles / all, all * 1e9 / p->d.modelled_ns,
		       (unsigned long long)p->d.submits, (unsigned long long)p->d.device_jobs);
		printf("  ceiling    %12.0f cycles a token: utilisation %.1f %%\n",
		       p->d.ceiling_cycles / all, percent * p->d.ceiling_cycles);
		printf("  busy       matrix %.1f %%, vector %.1f %%, DMA %.1f %%, MMU %.1f %%, on-card memory %.1f %%, PCIe %.1f %%\n",
		       c->busy_matrix * percent, c->busy_vector * percent, c->busy_dma * percent,
		       c->busy_mmu * percent, c->busy_local * percent, c->busy_pcie * percent);
	}
	if (computed)
		printf("  measured   %12.1f tokens/s, on this machine\n", all / (p->seconds + 1e-9));
}

static int report_json(const struct running *r, const struct accel_engine_stats *st,
		       const struct part parts[PARTS])
{
	const struct accel_devinfo *info = &r->infos[0];
	json_t *list = json_array();

	for (int i = 0; i < PARTS; i++)
		if (parts[i].tokens && parts[i].seqs)
			json_array_append_new(list, part_json(&parts[i], !info->timing_only));
	return print_json("bench/1", json_pack(
		"{s:s, s:o, s:b, s:i, s:i, s:i, s:i, s:I, s:I, s:I, s:s, s:i, s:o}",
		"device", device_name(r, r->n_devs ? 0 : -1), "profile", json_text(info->profile),
		"timing_only", info->timing_only, "context", (int)r->plan_info.ctx,
		"batch", (int)r->plan_info.batch, "layers_device", (int)st->layers_device,
		"layers_cpu", (int)st->layers_cpu,
		"device_bytes", (json_int_t)r->plan_info.device_bytes,
		"stream_bytes", (json_int_t)st->stream_bytes,
		"stream_writes", (json_int_t)st->stream_writes, "isa", st->isa,
		"threads", (int)st->threads, "parts", list));
}

static int report(const struct options *o, const struct running *r, const struct part parts[PARTS])
{
	const struct accel_devinfo *info = &r->infos[0];
	struct accel_engine_stats st = compute_stats(r);
	bool computed = !info->timing_only;

	if (o->json)
		return report_json(r, &st, parts);
	printf("%u layers on %s, %u on the CPU; at most %u tokens at once, context %u\n", st.layers_device,
	       r->n_devs ? info->name : "no processor", st.layers_cpu, r->plan_info.batch,
	       r->plan_info.ctx);
	if (r->n_devs)
		printf("profile %s, modelled: %u int8, %u 16-bit, %u F32 multiply-adds and %u bytes a cycle, %llu MHz%s\n",
		       info->profile, info->macs_int8, info->macs_f16, info->macs_f32, info->local_bpc,
		       (unsigned long long)info->clock_hz / 1000000,
		       computed ? "" : "; nothing is computed");
	for (int i = 0; i < PARTS; i++)
		if (parts[i].tokens && parts[i].seqs)
			print_part(&parts[i], computed);
	return EXIT_OK;
}

int cmd_bench(const struct options *o)
{
	const uint32_t at = o->at != UINT32_MAX ? o->at : o->prompt;
	struct part parts[PARTS] = {
		{ .name = "prompt", .tokens = o->prompt, .seqs = 1 },
		{ .name = "generation", .tokens = o->generate, .at = at, .seqs = 1 },
		{ .name = "batched", .tokens = o->generate, .at = at, .seqs = o->seqs },
	};
	struct options with_ctx = *o;
	struct running r;
	int32_t *tokens;
	int rc, err;

	if (!o->prompt && !o->generate)
		return complain(EXIT_USAGE, "there is nothing to do: --prompt and --generate are 0");
	tokens = calloc(o->prompt + 1, sizeof(*tokens));
	if (!tokens)
		return complain(EXIT_FAILED, "no memory for %u tokens", o->prompt);
	with_ctx.strict = true;
	if (!option_given(o, "ctx")) {	/* no more than is needed */
		with_ctx.ctx = parts[1].at + parts[1].tokens;
		if (with_ctx.ctx < o->prompt)
			with_ctx.ctx = o->prompt;
	}
	rc = compute_model(&with_ctx, &r);
	if (!rc)
		rc = compute_plan(&with_ctx, true, &r);
	if (!rc)
		rc = compute_begin(&with_ctx, &r);
	if (!rc) {
		for (uint32_t i = 0; i <= o->prompt; i++)
			tokens[i] = token_at(&r, i);
		err = measure(&r, tokens, parts);
		rc = err ? complain_compute(err) : report(o, &r, parts);
	}
	compute_end(&r);
	free(tokens);
	return rc;
}
