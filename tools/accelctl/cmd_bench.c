// SPDX-License-Identifier: MIT
/* accelctl bench: what a prompt and generation cost, of fixed tokens and without sampling.
 * Modelled figures of the processor; measured ones where something is really computed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "accelctl.h"

struct part {
	const char *name;
	uint32_t tokens, at;		/* how many, position of the first */
	double seconds;
	struct accel_engine_stats d;
};

/* The first one is not counted: it meets cold caches, on both kinds of processor. */
static int generate(struct accel_session *s, const int32_t *token, struct part *p)
{
	struct accel_engine_stats before = { 0 }, after;
	double t0 = 0;
	float value;
	int32_t id;
	int err = 0;

	for (uint32_t i = 0; i <= p->tokens && !err; i++) {
		if (i == 1) {
			err = accel_seq_trim(session_seq(s), p->at);
			before = stats_of(s);
			t0 = seconds();
		}
		if (!err)
			err = session_eval_top(s, token, 1, 1, &id, &value);
	}
	p->seconds = seconds() - t0;
	after = stats_of(s);
	p->d = stats_between(&before, &after);
	return err;
}

static int prompt(struct accel_session *s, const int32_t *tokens, struct part *p)
{
	struct accel_engine_stats before, after;
	double t0 = seconds();
	float value;
	int32_t id;
	int err;

	before = stats_of(s);
	err = session_eval_top(s, tokens, p->tokens, 1, &id, &value);
	p->seconds = seconds() - t0;
	after = stats_of(s);
	p->d = stats_between(&before, &after);
	return err;
}

static int measure(struct accel_session *s, const int32_t *tokens, struct part parts[2])
{
	int err = 0;

	if (parts[0].tokens)
		err = prompt(s, tokens, &parts[0]);
	if (err || !parts[1].tokens)
		return err;
	err = accel_seq_trim(session_seq(s), parts[0].tokens < parts[1].at ? parts[0].tokens : parts[1].at);
	if (!err && parts[0].tokens < parts[1].at)
		err = accel_seq_skip(session_seq(s), parts[1].at - parts[0].tokens);
	return err ? err : generate(s, tokens, &parts[1]);
}

static json_t *part_json(const struct part *p, const struct accel_devinfo *info, bool computed)
{
	const struct octans_counters *c = &p->d.modelled;
	json_t *j = json_pack("{s:s, s:i, s:i}", "part", p->name, "tokens", (int)p->tokens, "at", (int)p->at);

	if (computed)
		json_object_set_new(j, "measured_tokens_per_second", json_real(p->tokens / (p->seconds + 1e-9)));
	if (!c->cycles)
		return j;
	json_object_update_new(j, json_pack(
		"{s:I, s:f, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
		"modelled_cycles", (json_int_t)c->cycles,
		"modelled_tokens_per_second", (double)p->tokens * info->clock_hz / c->cycles,
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

static void print_part(const struct part *p, const struct accel_devinfo *info, bool computed)
{
	const struct octans_counters *c = &p->d.modelled;
	double percent = c->cycles ? 100.0 / c->cycles : 0;

	if (!p->tokens)
		return;
	printf("%s of %u tokens at position %u:\n", p->name, p->tokens, p->at);
	if (c->cycles) {
		printf("  modelled   %12.0f cycles a token, %.1f tokens/s; %llu submits, %llu jobs\n",
		       (double)c->cycles / p->tokens, (double)p->tokens * info->clock_hz / c->cycles,
		       (unsigned long long)p->d.submits, (unsigned long long)p->d.device_jobs);
		printf("  ceiling    %12.0f cycles a token: utilisation %.1f %%\n",
		       (double)p->d.ceiling_cycles / p->tokens, percent * p->d.ceiling_cycles);
		printf("  busy       matrix %.1f %%, vector %.1f %%, DMA %.1f %%, MMU %.1f %%, on-card memory %.1f %%, PCIe %.1f %%\n",
		       c->busy_matrix * percent, c->busy_vector * percent, c->busy_dma * percent,
		       c->busy_mmu * percent, c->busy_local * percent, c->busy_pcie * percent);
	}
	if (computed)
		printf("  measured   %12.1f tokens/s, on this machine\n", p->tokens / (p->seconds + 1e-9));
}

static int report(const struct options *o, const struct running *r, const struct part parts[2])
{
	struct accel_devinfo info = { .sz = sizeof(info) };
	struct accel_engine_stats st;
	bool computed;

	if (r->dev && accel_dev_info(r->dev, &info))
		return complain_accel(-ENODEV);
	computed = !info.timing_only;
	st = stats_of(r->session);
	if (o->json) {
		json_t *list = json_array();

		for (int i = 0; i < 2; i++)
			if (parts[i].tokens)
				json_array_append_new(list, part_json(&parts[i], &info, computed));
		return print_json("bench", json_pack(
			"{s:s, s:s, s:b, s:i, s:i, s:i, s:i, s:I, s:I, s:I, s:s, s:i, s:o}",
			"device", r->dev ? info.name : "cpu", "profile", info.profile,
			"timing_only", info.timing_only, "context", (int)plan_info(r->plan).ctx,
			"batch", (int)plan_info(r->plan).batch, "layers_device", (int)st.layers_device,
			"layers_cpu", (int)st.layers_cpu,
			"device_bytes", (json_int_t)plan_info(r->plan).device_bytes,
			"stream_bytes", (json_int_t)st.stream_bytes,
			"stream_writes", (json_int_t)st.stream_writes, "isa", st.isa,
			"threads", (int)st.threads, "parts", list));
	}
	printf("%u layers on %s, %u on the CPU; at most %u tokens at once, context %u\n", st.layers_device,
	       r->dev ? info.name : "no processor", st.layers_cpu, plan_info(r->plan).batch,
	       plan_info(r->plan).ctx);
	if (r->dev)
		printf("profile %s, modelled: %u int8, %u 16-bit, %u F32 multiply-adds and %u bytes a cycle, %llu MHz%s\n",
		       info.profile, info.macs_int8, info.macs_f16, info.macs_f32, info.local_bpc,
		       (unsigned long long)info.clock_hz / 1000000,
		       computed ? "" : "; nothing is computed");
	for (int i = 0; i < 2; i++)
		print_part(&parts[i], &info, computed);
	return EXIT_OK;
}

int cmd_bench(const struct options *o)
{
	struct part parts[2] = {
		{ .name = "prompt", .tokens = o->prompt },
		{ .name = "generation", .tokens = o->generate, .at = o->has_at ? o->at : o->prompt },
	};
	struct options with_ctx = *o;
	struct accel_model_info mi;
	struct running r = { 0 };
	int32_t *tokens;
	int rc, err;

	if (!o->prompt && !o->generate)
		return complain(EXIT_USAGE, "there is nothing to do: --prompt and --generate are 0");
	tokens = calloc(o->prompt + 1, sizeof(*tokens));
	if (!tokens)
		return complain(EXIT_FAILED, "no memory for %u tokens", o->prompt);
	with_ctx.strict = true;
	if (!with_ctx.ctx) {	/* no more than is needed */
		with_ctx.ctx = parts[1].at + parts[1].tokens;
		if (with_ctx.ctx < o->prompt)
			with_ctx.ctx = o->prompt;
	}
	rc = open_session(&with_ctx, o->args[0], true, &r);
	if (!rc) {
		accel_model_info(r.model, &mi);
		for (uint32_t i = 0; i <= o->prompt; i++)
			tokens[i] = (i * 7919ull + 1) % mi.n_vocab;
		err = measure(r.session, tokens, parts);
		rc = err ? complain_eval(err) : report(o, &r, parts);
	}
	close_session(&r);
	free(tokens);
	return rc;
}
