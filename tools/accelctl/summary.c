// SPDX-License-Identifier: MIT
#include "summary.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "placement.h"

#define MAX_REASONS 16

const char *stop_name(enum stop stop)
{
	static const char *const names[] = {
		[STOP_END] = "end-of-text", [STOP_TEXT] = "stop-text", [STOP_PREDICT] = "predict",
		[STOP_CONTEXT] = "context-full", [STOP_INTERRUPT] = "interrupted",
		[STOP_OUTPUT] = "output-closed", [STOP_FAILED] = "failed",
	};

	return names[stop];
}

struct sentence {
	char text[768];
	size_t n;
};

static void add(struct sentence *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct sentence *s, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(s->text + s->n, sizeof(s->text) - s->n, fmt, ap);
	va_end(ap);
	s->n += n < 0 ? 0 : n;
	if (s->n >= sizeof(s->text))
		s->n = sizeof(s->text) - 1;
}

static double rate(size_t tokens, double s)
{
	return tokens / (s + 1e-9);
}

/* Layers on the CPU by reason: "2 on the CPU (1: user, 1: no-memory)". */
static void add_reasons(struct sentence *out, const struct running *r)
{
	unsigned int reasons[MAX_REASONS] = { 0 };
	const char *sep = " (";

	for (uint32_t i = 0; i < r->plan_info.layers; i++) {
		struct accel_layer l = layer_now(r, i);

		if (l.device < 0 && (unsigned int)l.reason < MAX_REASONS)
			reasons[l.reason]++;
	}
	for (unsigned int i = 0; i < MAX_REASONS; i++)
		if (reasons[i]) {
			add(out, "%s%u: %s", sep, reasons[i], accel_reason_name(i));
			sep = ", ";
		}
	if (*sep == ',')
		add(out, ")");
}

static bool is_on(struct accel_layer l, size_t device)
{
	return l.device == (int32_t)device || l.shared >> device & 1;
}

static bool is_used(const struct running *r, size_t device)
{
	for (uint32_t k = 0; k < r->plan_info.layers; k++)
		if (is_on(layer_now(r, k), device))
			return true;
	return false;
}

/* "accel0 and accel1": those that layers are on. */
static void add_devices(struct sentence *out, const struct running *r, uint32_t layers)
{
	const char *sep = "";

	for (size_t i = 0; i < r->n_devs; i++) {
		if (!is_used(r, i))
			continue;
		add(out, "%s%s", sep, r->infos[i].name);
		sep = " and ";
	}
	if (!layers)
		add(out, "the processor");
}

static void add_part(struct sentence *out, const char *what, const struct accel_engine_stats *d, size_t tokens)
{
	if (tokens && d->modelled.cycles)
		add(out, "; %s %.0f tokens/s, %.1f %% of the ceiling", what,
		    tokens * 1e9 / d->modelled_ns,
		    100.0 * d->ceiling_cycles / d->modelled.cycles);
}

/* What one computed that failed does not add up to a speed. */
static bool is_modelled(const struct accel_engine_stats *st)
{
	return !st->fallbacks && st->layers_device;
}

/* What the processors would have taken, were they real.  Of several the shares are those of the time that they worked. */
static void print_modelled(const struct running *r, const struct accel_engine_stats *st,
			   const struct summary *s)
{
	const struct accel_engine_stats *prompt = &s->prompt_work;
	struct accel_engine_stats generation = stats_between(prompt, st);
	const struct octans_counters *c = &st->modelled;
	double percent = c->cycles ? 100.0 / c->cycles : 0;
	struct sentence out = { .n = 0 };
	size_t used = 0, one = 0;

	if (!c->cycles)
		return;
	for (size_t i = 0; i < r->n_devs; i++)
		if (is_used(r, i)) {
			used++;
			one = i;
		}
	if (used > 1)
		add(&out, "[modelled, %u layers on %zu processors", st->layers_device, used);
	else
		add(&out, "[modelled, %u layers on a processor of profile %s", st->layers_device, r->infos[one].profile);
	add_part(&out, "prompt", prompt, s->prompt_tokens);
	add_part(&out, "generation", &generation, s->steps);
	add(&out, "; busy: matrix %.1f %%, vector %.1f %%, DMA %.1f %%, MMU %.1f %%, on-card memory %.1f %%, PCIe %.1f %%]",
	    c->busy_matrix * percent, c->busy_vector * percent, c->busy_dma * percent,
	    c->busy_mmu * percent, c->busy_local * percent, c->busy_pcie * percent);
	line(out.text);
}

/* Of layers with more experts than there is room for. */
static void print_experts(const struct accel_engine_stats *st)
{
	struct sentence out = { .n = 0 };

	if (!st->expert_uses)
		return;
	add(&out, "[experts: %.1f %% of those that were chosen were on the card, %llu came to it]",
	    100.0 * st->expert_hits / st->expert_uses, (unsigned long long)st->expert_moves);
	line(out.text);
}

void summary_warn(const struct running *r)
{
	const struct accel_engine_stats all = compute_stats(r), *st = &all;

	if (!st->fallbacks)
		return;
	if (st->fallback_error == -ENOSPC || st->fallback_error == -ENOMEM || st->fallback_error == -EDQUOT)
		warn("there was less room than was planned with, layers went to the CPU, or experts to the host's memory: %s",
		     st->fallback_reason);
	else if (st->returns)
		warn("the processor failed, the answer went on on the CPU and came back: %s",
		     st->fallback_reason);
	else
		warn("the processor failed, the answer was finished on the CPU: %s", st->fallback_reason);
}

static void add_where(struct sentence *out, const struct running *r, const struct accel_engine_stats *st)
{
	add(out, "%u layer%s on ", st->layers_device, st->layers_device == 1 ? "" : "s");
	add_devices(out, r, st->layers_device);
	add(out, ", %u on the CPU", st->layers_cpu);
	add_reasons(out, r);
}

void summary_where(const struct running *r, char *text, size_t len)
{
	struct accel_engine_stats st = compute_stats(r);
	struct sentence out = { .n = 0 };

	add_where(&out, r, &st);
	snprintf(text, len, "%s", out.text);
}

/*
 * What the CPU was to do, by its measured speed, if it has all layers: what a processor was to do is its ceiling.
 * Measured were all of its threads and its best instructions: nothing was foretold of others.
 */
static bool foretold(const struct running *r, const struct accel_engine_stats *st, const struct summary *s,
		     struct accel_prediction *p)
{
	p->sz = sizeof(*p);
	return !r->o->threads && !strcmp(r->o->isa, "auto") && !st->layers_device && !st->fallbacks && s->prompt_tokens &&
	       !accel_plan_predict(r->plan, s->prompt_tokens, p);
}

void summary_print(const struct running *r, const struct summary *s)
{
	struct accel_engine_stats st = compute_stats(r);
	struct sentence out = { .n = 0 };
	struct accel_prediction p;
	const bool told = foretold(r, &st, s, &p);

	add(&out, "[");
	add_where(&out, r, &st);
	if (s->format)
		add(&out, "; chat format %s", s->format);
	add(&out, "; prompt %zu token%s", s->prompt_tokens, s->prompt_tokens == 1 ? "" : "s");
	if (s->prompt_done)
		add(&out, ", %.1f tokens/s", rate(s->prompt_tokens, s->prompt_s));
	if (s->prompt_done && told)
		add(&out, " of %.1f foretold", rate(s->prompt_tokens, p.prompt_cpu_s));
	add(&out, "; stop: %s; generated %zu", stop_name(s->stop), s->generated);
	if (s->steps)	/* the first token came with the prompt */
		add(&out, ", %.1f tokens/s", rate(s->steps, s->generation_s));
	if (s->steps && told)
		add(&out, " of %.1f foretold", rate(1, p.token_cpu_s));
	add(&out, "]");
	line(out.text);
	if (is_modelled(&st))
		print_modelled(r, &st, s);
	print_experts(&st);
	summary_warn(r);
}

/* ---- JSON ---- */

static json_t *part_json(const struct accel_engine_stats *d, size_t tokens)
{
	const struct octans_counters *c = &d->modelled;

	if (!c->cycles)
		return json_null();
	return json_pack("{s:i, s:I, s:f, s:I, s:f}", "tokens", (int)tokens,
		"cycles", (json_int_t)c->cycles,
		"tokens_per_second", tokens * 1e9 / d->modelled_ns,
		"ceiling_cycles", (json_int_t)d->ceiling_cycles,
		"utilisation", (double)d->ceiling_cycles / c->cycles);
}

static json_t *modelled_json(const struct accel_engine_stats *st, const struct summary *s)
{
	const struct accel_engine_stats *prompt = &s->prompt_work;
	struct accel_engine_stats generation = stats_between(prompt, st);
	const struct octans_counters *c = &st->modelled;

	if (!c->cycles)
		return json_null();
	return json_pack("{s:I, s:o, s:o, s:{s:f, s:f, s:f, s:f, s:f, s:f}}",
		"cycles", (json_int_t)c->cycles,
		"prompt", part_json(prompt, s->prompt_tokens),
		"generation", part_json(&generation, s->steps),
		"busy", "matrix", (double)c->busy_matrix / c->cycles,
		"vector", (double)c->busy_vector / c->cycles, "dma", (double)c->busy_dma / c->cycles,
		"mmu", (double)c->busy_mmu / c->cycles, "local", (double)c->busy_local / c->cycles,
		"pcie", (double)c->busy_pcie / c->cycles);
}

static json_t *measured_json(size_t tokens, double s)
{
	return json_pack("{s:i, s:f, s:o}", "tokens", (int)tokens, "seconds", s, "tokens_per_second",
			 tokens ? json_real(rate(tokens, s)) : json_null());
}

int summary_json(const struct running *r, const struct summary *s, const char *model, const char *text,
		 size_t n, const char *failure)
{
	struct accel_engine_stats st = compute_stats(r);
	json_t *body, *fallback = json_null();

	if (st.fallbacks)
		fallback = json_pack("{s:i, s:i, s:s, s:o}", "count", (int)st.fallbacks,
				     "returns", (int)st.returns, "error",
				     st.fallback_error == -ENOSPC || st.fallback_error == -ENOMEM ?
				     "no-memory" : "processor-failed", "detail", json_text(st.fallback_reason));
	body = json_pack("{s:o, s:o, s:s, s:i, s:i, s:o, s:o, s:f, s:o, s:o, s:s, s:i}",
		"model", json_text(model), "text", json_bytes(text, n), "stop", stop_name(s->stop),
		"prompt_tokens", (int)s->prompt_tokens, "generated_tokens", (int)s->generated,
		"prompt", measured_json(s->prompt_done ? s->prompt_tokens : 0, s->prompt_s),
		"generation", measured_json(s->steps, s->generation_s), "load_seconds", s->load_s,
		"modelled", is_modelled(&st) ? modelled_json(&st, s) : json_null(),
		"fallback", fallback, "isa", st.isa, "threads", (int)st.threads);
	json_object_update_new(body, placement_json(r));
	json_object_set_new(body, "layers_device", json_integer(st.layers_device));
	json_object_set_new(body, "layers_cpu", json_integer(st.layers_cpu));
	json_object_set_new(body, "layers", layers_json(r));
	json_object_set_new(body, "experts", json_pack("{s:I, s:I, s:I}", "uses", (json_int_t)st.expert_uses,
		"hits", (json_int_t)st.expert_hits, "moves", (json_int_t)st.expert_moves));
	json_object_set_new(body, "chat_format", s->format ? json_text(s->format) : json_null());
	if (failure)
		json_object_set_new(body, "failure", json_text(failure));
	return print_json("run/1", body);
}
