// SPDX-License-Identifier: MIT
/*
 * MOE by itself: token r is 16 times the unit vector r, the norm makes a unit vector of it, so column r of
 * the router is what its experts are liked by; expert e answers with the unit vector e.  What comes out
 * is the token and, at e, the weight of expert e: it is compared with what the sentences of
 * layers.rst say, computed here in double, and must have the same bits however it is computed.
 */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#include "device/transport.h"
#include "engine_rig.h"
#include "error.h"
#include "llama_load.h"
/* It has a struct build of its own. */
#define build layer_build
#include "engine/engine.h"
#include "exec/exec_dev.h"
#include "plan/footprint.h"
#include "plan/host.h"
#include "plan/plan.h"
#undef build

#define EMBD 256
#define TOKENS 300		/* of a prompt; all of EMBD, and some again */

struct mix {
	const char *name;
	struct moe moe;
	float bias;		/* of the choice: how large; 0: none */
	bool gated, fused, biases, stays;	/* stays: the router's bias is of no weight */
	float shared;		/* what the shared expert adds to each column; 0: there is none */
	bool switched;
	float residual;
};

/* Weights of all experts and of what stands around them. */
static struct {
	float table[EMBD * EMBD], unit[EMBD * EMBD], norm[EMBD], ones[EMBD];
	float router[EMBD * EMBD], router_bias[EMBD], choice[EMBD], switch_row[EMBD];
	float gate_up[2 * EMBD * EMBD], gate[EMBD * EMBD], up[EMBD * EMBD], down[EMBD * EMBD];
	float gate_bias[EMBD], up_bias[EMBD], down_bias[EMBD * EMBD];
	float shared_up[EMBD], shared_down[EMBD];
} w;

static double noise(uint32_t i)
{
	uint64_t r = (i + 1) * 0x9e3779b97f4a7c15ull;

	r ^= r >> 29, r *= 0xbf58476d1ce4e5b9ull, r ^= r >> 32;
	return (double)(r & 0xffffff) / 0x800000 - 1;
}

static void make_weights(const struct mix *x)
{
	for (uint32_t i = 0; i < EMBD * EMBD; i++) {
		const uint32_t row = i / EMBD, col = i % EMBD;

		w.table[i] = row == col ? 16 : 0;
		w.unit[i] = row == col;
		w.router[i] = (float)(2 * noise(i));
		w.gate[i] = (float)noise(i + 0x10000);
		w.up[i] = x->gated ? (float)noise(i + 0x20000) : 1;
		w.gate_up[2 * EMBD * row + col] = w.gate[i];
		w.gate_up[2 * EMBD * row + EMBD + col] = w.up[i];
		w.down[i] = row == col;
		w.down_bias[i] = (float)(0.25 * noise(i + 0x30000));
	}
	for (uint32_t i = 0; i < EMBD; i++) {
		w.norm[i] = 1 / 16.0f;
		w.ones[i] = w.shared_up[i] = 1;
		w.router_bias[i] = (float)noise(i + 0x40000);
		w.choice[i] = (float)(x->bias * noise(i + 0x50000));
		w.switch_row[i] = (float)(3 * noise(i + 0x60000));
		w.gate_bias[i] = (float)noise(i + 0x70000);
		w.up_bias[i] = (float)noise(i + 0x80000);
		w.shared_down[i] = x->shared;
	}
}

/* ---- what the sentences say ---- */

static double sigmoid(double v)
{
	return 1 / (1 + exp(-v));
}

static void softmax(double *v, uint32_t n)
{
	double most = v[0], sum = 0;

	for (uint32_t i = 1; i < n; i++)
		most = fmax(most, v[i]);
	for (uint32_t i = 0; i < n; i++)
		sum += v[i] = exp(v[i] - most);
	for (uint32_t i = 0; i < n; i++)
		v[i] /= sum;
}

/* The first of the largest that is not taken. */
static uint32_t best(const double *v, const bool *taken, uint32_t n)
{
	uint32_t found = n;

	for (uint32_t i = 0; i < n; i++)
		if (!taken[i] && (found == n || v[i] > v[found]))
			found = i;
	return found;
}

/* Takes the experts of all groups but the best. */
static void leave_groups(const struct moe *m, const double *worth, bool *taken)
{
	const uint32_t size = m->experts / m->groups;
	double group[EMBD];
	bool kept[EMBD] = { false };

	for (uint32_t g = 0; g < m->groups; g++) {
		bool seen[EMBD] = { false };
		const uint32_t first = best(worth + g * size, seen, size);

		group[g] = worth[g * size + first];
		seen[first] = true;
		if (m->group_top2 && size > 1)
			group[g] += worth[g * size + best(worth + g * size, seen, size)];
	}
	for (uint32_t i = 0; i < m->groups_used; i++)
		kept[best(group, kept, m->groups)] = true;
	for (uint32_t e = 0; e < m->experts; e++)
		taken[e] = !kept[e / size];
}

/* Each expert's weight for a token; 0: it is not chosen. */
static void expected_weights(const struct mix *x, uint32_t token, double *weight)
{
	const struct moe *m = &x->moe;
	double like[EMBD], worth[EMBD], chosen[EMBD], sum = 0;
	bool taken[EMBD] = { false };
	uint32_t who[EMBD];

	for (uint32_t e = 0; e < m->experts; e++)
		like[e] = (double)w.router[e * EMBD + token] + (x->stays ? (double)w.router_bias[e] : 0);
	if (m->gate == MOE_SOFTMAX)
		softmax(like, m->experts);
	for (uint32_t e = 0; e < m->experts; e++) {
		if (m->gate == MOE_SIGMOID)
			like[e] = sigmoid(like[e]);
		else if (m->gate == MOE_SQRT_SOFTPLUS)
			like[e] = sqrt(log1p(exp(like[e])));
		worth[e] = like[e] + (x->bias ? (double)w.choice[e] : 0);
		weight[e] = 0;
	}
	if (m->groups > 1)
		leave_groups(m, worth, taken);
	for (uint32_t i = 0; i < m->used; i++) {
		who[i] = best(worth, taken, m->experts);
		taken[who[i]] = true;
		chosen[i] = like[who[i]];
		sum += chosen[i];
	}
	if (m->gate == MOE_SOFTMAX_OF_CHOSEN)
		softmax(chosen, m->used);
	for (uint32_t i = 0; i < m->used; i++)
		weight[who[i]] = (double)m->scale * chosen[i] / (m->renorm ? fmax(sum, 0x1p-14) : 1);
}

/* The network of an expert before its last matrix. */
static double inner(const struct mix *x, uint32_t e, uint32_t token)
{
	double gate = w.gate[e * EMBD + token], up = w.up[e * EMBD + token];

	if (x->biases)
		gate += (double)w.gate_bias[e], up += (double)w.up_bias[e];
	if (!x->gated)
		return up * up;
	if (!x->moe.expert.limit)
		return gate * sigmoid(gate) * up;
	gate = fmin(gate, (double)x->moe.expert.limit);
	up = fmax(fmin(up, (double)x->moe.expert.limit), -(double)x->moe.expert.limit);
	return gate * sigmoid(1.702 * gate) * (up + 1);
}

/* A row of logits: the stream, normed. */
static void expected(const struct mix *x, uint32_t token, double *y)
{
	double weight[EMBD], square = 0;
	double shared = (double)x->shared * (x->switched ? sigmoid((double)w.switch_row[token]) : 1);

	expected_weights(x, token, weight);
	for (uint32_t i = 0; i < EMBD; i++)
		y[i] = shared;
	for (uint32_t e = 0; e < x->moe.experts; e++) {
		if (!weight[e])
			continue;
		y[e] += weight[e] * inner(x, e, token);
		for (uint32_t i = 0; x->biases && i < EMBD; i++)
			y[i] += weight[e] * (double)w.down_bias[e * EMBD + i];
	}
	for (uint32_t i = 0; i < EMBD; i++) {
		y[i] = (x->residual ? (double)x->residual : 1) * y[i] + (i == token ? 16 : 0);
		square += y[i] * y[i] / EMBD;
	}
	for (uint32_t i = 0; i < EMBD; i++)
		y[i] /= sqrt(square);
}

/* ---- what is computed ---- */

static struct weight matrix(const float *data, uint32_t rows, uint32_t cols, uint32_t planes)
{
	return (struct weight) {
		.data = data, .size = 4ull * rows * cols * (planes ? planes : 1), .stride = 4ull * cols, .rows = rows,
		.cols = cols, .type = ACCEL_F32, .planes = planes,
	};
}

static struct layer layer_of(const struct layer_kind *kind)
{
	return (struct layer) { .kind = kind, .embd = EMBD, .norm = OCTANS_ROW_RMS };
}

static struct layer mixture(const struct mix *x)
{
	const uint32_t n = x->moe.experts;
	struct layer l = layer_of(&layer_moe);

	l.moe = x->moe;
	l.moe.expert.width = 1;
	l.moe.expert.activation = x->gated ? OCTANS_MAP_SILU : OCTANS_MAP_RELU2;
	l.moe.shared = (struct ffn) { .width = x->shared ? 1 : 0, .activation = OCTANS_MAP_RELU2 };
	l.residual = x->residual;
	l.w[MOE_NORM] = matrix(w.norm, 1, EMBD, 0);
	l.w[MOE_ROUTER] = matrix(w.router, n, EMBD, 0);
	if (x->stays)
		l.w[MOE_ROUTER_B] = matrix(w.router_bias, 1, n, 0);
	if (x->bias)
		l.w[MOE_CHOICE_B] = matrix(w.choice, 1, n, 0);
	if (x->fused)
		l.w[MOE_GATE_UP] = matrix(w.gate_up, 2, EMBD, n);
	else
		l.w[MOE_UP] = matrix(w.up, 1, EMBD, n);
	if (x->gated && !x->fused)
		l.w[MOE_GATE] = matrix(w.gate, 1, EMBD, n);
	l.w[MOE_DOWN] = matrix(w.down, EMBD, 1, n);
	if (x->biases) {
		l.w[MOE_BGATE] = matrix(w.gate_bias, n, 1, 0);
		l.w[MOE_BUP] = matrix(w.up_bias, n, 1, 0);
		l.w[MOE_BDOWN] = matrix(w.down_bias, n, EMBD, 0);
	}
	if (x->shared) {
		l.w[MOE_SHARED_UP] = matrix(w.shared_up, 1, EMBD, 0);
		l.w[MOE_SHARED_DOWN] = matrix(w.shared_down, EMBD, 1, 0);
	}
	if (x->switched)
		l.w[MOE_SHARED_SWITCH] = matrix(w.switch_row, 1, EMBD, 0);
	return l;
}

/* Of a model that is loaded everything but its layers. */
static int make_model(const struct mix *x, const struct accel_model *m, struct layer layers[3],
		      struct accel_model *new)
{
	*new = *m;
	new->layers = layers;
	new->n_layers = 3;
	new->n_tables = new->n_times = new->n_windows = 0;
	make_weights(x);
	layers[0] = layer_of(&layer_embed);
	layers[0].w[EMBED_TABLE] = matrix(w.table, EMBD, EMBD, 0);
	layers[1] = mixture(x);
	layers[2] = layer_of(&layer_head);
	layers[2].w[HEAD_NORM] = matrix(w.ones, 1, EMBD, 0);
	layers[2].w[HEAD_OUT] = matrix(w.unit, EMBD, EMBD, 0);
	return layer_moe.prepare(&layers[1], new);
}

static int32_t token_at(uint32_t i)
{
	return (i * 7) % EMBD;
}

/* Room on a card for so many experts, and for all else that has to be there; 0: it cannot be had. */
static uint64_t room_for(const struct accel_model *m, struct accel_dev *dev, uint32_t batch, uint32_t experts)
{
	struct rig r = { .dev = dev };
	struct accel_layer l = { .sz = sizeof(l) };
	uint64_t all = 0;

	if (!rig_plan(&r, m, (struct accel_plan_opts) { .ctx = 512, .batch = batch, .stream = ACCEL_STREAM_ALWAYS }) &&
	    !accel_plan_layer(r.plan, 1, &l) && l.experts_on_card == l.experts)
		all = accel_plan_device_bytes(r.plan, 0) -
		      (l.experts - experts) * footprint_expert_bytes(&m->layers[1]);
	accel_plan_free(r.plan);
	return all;
}

/* Logits of all tokens of the prompt; NULL: there is a sentence.  experts: that there is room for on the card,
 * of which each of the prompt's ten parts may change who they are; 0: all weights are there. */
static float *compute_far(const struct accel_model *m, const char *device, const char *isa, uint32_t batch,
			  uint32_t experts, struct accel_engine_stats *st)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 2, .strict = true, .isa = isa };
	float *all = malloc(sizeof(float) * TOKENS * EMBD);
	const uint32_t part = experts ? TOKENS / 10 : TOKENS;
	struct accel_plan_opts po = { .ctx = 512, .batch = batch };
	int32_t tokens[TOKENS];
	const float *logits = NULL;
	struct rig r = { 0 };

	for (uint32_t i = 0; i < TOKENS; i++)
		tokens[i] = token_at(i);
	if (device)
		accel_open(device, &r.dev);
	if (experts) {
		po.stream = ACCEL_STREAM_ALWAYS;
		po.max_device_bytes = room_for(m, r.dev, batch, experts);
	}
	if (!device || r.dev)
		rig_start(&r, m, po, &o);
	for (uint32_t i = 0; i < TOKENS && r.engine; i += part) {
		if (rig_eval(&r, tokens + i, part, ACCEL_WANT_ALL, &logits))
			break;
		memcpy(all + i * EMBD, logits, sizeof(float) * part * EMBD);
	}
	if (!logits) {
		printf("# %s\n", accel_error());
		free(all);
		all = NULL;
	}
	if (st && r.engine)
		*st = rig_stats(&r);
	rig_free(&r);
	return all;
}

static float *compute(const struct accel_model *m, const char *device, const char *isa, uint32_t batch)
{
	return compute_far(m, device, isa, batch, 0, NULL);
}

static double largest_error(const struct mix *x, const float *logits)
{
	double worst = 0, y[EMBD];

	for (uint32_t i = 0; i < TOKENS; i++) {
		expected(x, token_at(i), y);
		for (uint32_t k = 0; k < EMBD; k++)
			worst = fmax(worst, fabs((double)logits[i * EMBD + k] - y[k]) / (1 + fabs(y[k])));
	}
	return worst;
}

/* Wherever the experts are, and while they come and go. */
static void far_bits(const struct accel_model *m, const float *logits)
{
	const uint32_t n = m->layers[1].moe.experts;

	for (uint32_t some = n / 4 + 1; some < n; some += n / 2) {
		struct accel_engine_stats st = { .sz = sizeof(st) };
		float *other = compute_far(m, "sim", NULL, 16, some, &st);

		ok(other && !memcmp(other, logits, sizeof(float) * TOKENS * EMBD) &&
		   st.expert_uses == (uint64_t)TOKENS * m->layers[1].moe.used && st.expert_hits < st.expert_uses,
		   "%u of %u experts on the card: the same bits, %llu of %llu were there, %llu moved", some, n,
		   (unsigned long long)st.expert_hits, (unsigned long long)st.expert_uses,
		   (unsigned long long)st.expert_moves);
		free(other);
	}
}

static void same_bits(const struct accel_model *m, const float *logits)
{
	static const struct {
		const char *device, *isa;
		uint32_t batch;
	} ways[] = {
		{ NULL, "scalar", 1 }, { NULL, NULL, 512 }, { NULL, NULL, 37 }, { "sim", NULL, 512 }, { "sim", NULL, 1 },
		{ "sim", NULL, 131 },
	};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		float *other = compute(m, ways[i].device, ways[i].isa, ways[i].batch);

		ok(other && !memcmp(other, logits, sizeof(float) * TOKENS * EMBD), "%s, %s, %u at once: the same bits",
		   ways[i].device ? ways[i].device : "CPU", ways[i].isa ? ways[i].isa : "auto", ways[i].batch);
		free(other);
	}
	far_bits(m, logits);
}

static void test_mix(const struct accel_model *loaded, const struct mix *x)
{
	struct layer layers[3];
	struct accel_model m;
	float *logits;
	double error;

	if (!ok(!make_model(x, loaded, layers, &m), "%s", x->name))
		return;
	logits = compute(&m, NULL, "scalar", 512);
	if (!ok(logits != NULL, "it is computed"))
		return;
	error = largest_error(x, logits);
	ok(error < 1e-6, "what comes out is wrong by %.1e of it at most", error);
	same_bits(&m, logits);
	free(logits);
}

/* A rule that changes nothing would test nothing. */
static void differ(const char *what, const struct mix *a, const struct mix *b, bool who)
{
	uint32_t n = 0;
	double v[EMBD], u[EMBD];

	make_weights(a);
	for (uint32_t i = 0; i < EMBD; i++) {
		expected_weights(a, i, v);
		expected_weights(b, i, u);
		for (uint32_t e = 0; e < a->moe.experts; e++)
			if (who ? !v[e] != !u[e] : v[e] != u[e]) {
				n++;
				break;
			}
	}
	ok(n > EMBD / 8, "%s: of %u of %d tokens", what, n, EMBD);
}

/*
 * A table by hand: eight groups of two, four are kept.  Expert 0 is the best of all, and its group is not
 * among the four; expert 15 is liked least, and the bias has it chosen, with the little that it is liked.
 */
static void test_by_hand(const struct accel_model *loaded)
{
	static const float like[16] = { 3, -9, 2, 1, 2, 0.5f, 1, 1.5f, -1, -1, 0, -2, 0.25f, -3, -4, -5 };
	static const struct mix x = {
		.moe = { .experts = 16, .used = 3, .groups = 8, .groups_used = 4, .group_top2 = true,
			 .gate = MOE_SIGMOID, .renorm = true, .scale = 2.5f },
		.bias = 1,
	};
	const double s[3] = { sigmoid(2), sigmoid(2), sigmoid(-5) }, sum = s[0] + s[1] + s[2];
	static const int who[3] = { 2, 4, 15 };
	struct layer layers[3];
	struct accel_model m;
	double square = 256;
	float *logits;
	bool good;

	if (!ok(!make_model(&x, loaded, layers, &m), "by hand"))
		return;
	for (uint32_t i = 0; i < 16 * EMBD; i++)
		w.router[i] = like[i / EMBD];
	memset(w.choice, 0, sizeof(w.choice));
	w.choice[15] = 2;
	logits = compute(&m, NULL, NULL, 512);
	if (!ok(logits != NULL, "it is computed"))
		return;
	/* token_at(10), which no expert's answer falls upon */
	for (int i = 0; i < 3; i++)
		square += pow(2.5 * s[i] / sum, 2);
	good = true;
	for (int i = 0; i < 16; i++) {
		double y = 0;

		for (int k = 0; k < 3; k++)
			if (i == who[k])
				y = 2.5 * s[k] / sum / sqrt(square / EMBD);
		good &= fabs((double)logits[10 * EMBD + i] - y) < 1e-6;
	}
	ok(good, "experts 2, 4 and 15, of the best four groups by their two best; 15 counts as it is liked");
	same_bits(&m, logits);
	free(logits);
}

static bool has_moved(struct rig *r, const struct accel_engine_stats *before)
{
	const struct accel_engine_stats st = rig_stats(r);

	return st.expert_hits - before->expert_hits != st.expert_uses - before->expert_uses;
}

/* Who is used again and again comes to the card, and stays as long as that is so. */
static void test_hot(const struct accel_model *loaded, const struct mix *x)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .strict = true };
	struct accel_plan_opts po = { .ctx = 512, .batch = 16, .stream = ACCEL_STREAM_ALWAYS };
	struct accel_engine_stats before = { 0 };
	struct layer layers[3];
	struct accel_model m;
	uint32_t steps = 0;
	struct rig r = { 0 };

	if (!ok(!make_model(x, loaded, layers, &m) && !accel_open("sim", &r.dev), "%s: one token", x->name))
		return;
	po.max_device_bytes = room_for(&m, r.dev, 16, 2 * x->moe.used);
	rig_start(&r, &m, po, &o);
	for (int32_t token = 3; token < 200 && r.engine; token += 50) {
		bool missed = true;

		for (steps = 0; missed && steps < 60; steps++) {
			before = rig_stats(&r);
			missed = rig_eval(&r, &token, 1, ACCEL_WANT_LAST, NULL) || has_moved(&r, &before);
		}
		ok(!missed && before.expert_moves, "token %d: after %u steps its experts are there, %llu have moved so far",
		   token, steps, (unsigned long long)before.expert_moves);
		for (steps = 0; !missed && steps < 20; steps++) {
			before = rig_stats(&r);
			missed = rig_eval(&r, &token, 1, ACCEL_WANT_LAST, NULL) || has_moved(&r, &before);
		}
		ok(!missed && rig_stats(&r).expert_moves == before.expert_moves, "and nobody goes");
	}
	rig_free(&r);
}

static int (*new_bo)(struct accel_bo *bo, const char *label);
static uint64_t taken;		/* of the host's memory, for weights */

static int count_bo(struct accel_bo *bo, const char *label)
{
	if (bo->flags == ACCEL_BO_HOST && strcmp(label, "steps"))
		taken += bo->size;
	return new_bo(bo, label);
}

/* Experts lie there in whole pages, and which were chosen is told there: a plan counts both. */
static void test_taken(const struct accel_model *loaded, const struct mix *x)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .strict = true };
	struct accel_plan_opts po = { .ctx = 512, .batch = 16, .stream = ACCEL_STREAM_ALWAYS };
	struct transport counts;
	struct host_memory h;
	struct layer layers[3];
	struct accel_model m;
	struct rig r = { 0 };

	if (!ok(!make_model(x, loaded, layers, &m) && !accel_open("sim", &r.dev), "%s: what is taken", x->name))
		return;
	counts = *r.dev->t;
	new_bo = counts.bo_new;
	counts.bo_new = count_bo;
	r.dev->t = &counts;
	taken = 0;
	rig_start(&r, &m, po, &o);
	host_memory_of(&h, &m, plan_shape(r.plan), plan_layers(r.plan));
	ok(r.engine && taken && h.far == taken, "of the host's memory for weights: planned %llu, taken %llu",
	   (unsigned long long)h.far, (unsigned long long)taken);
	rig_free(&r);
}

/* Others have taken memory since the plan was made: as many experts go as have to, and it is said. */
static void test_fuller(const struct accel_model *loaded, const struct mix *x)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1 };
	struct accel_plan_opts po = { .ctx = 512, .batch = 16, .stream = ACCEL_STREAM_ALWAYS };
	struct accel_layer planned = { .sz = sizeof(planned) }, is = planned;
	struct accel_devinfo info = { .sz = sizeof(info) };
	struct accel_bo *other = NULL;
	struct layer layers[3];
	struct accel_model m;
	struct rig r = { 0 };
	uint64_t take;
	char text[64];

	if (!ok(!make_model(x, loaded, layers, &m) && !accel_open("sim:local=32M", &r.dev) &&
		!accel_dev_info(r.dev, &info) && !rig_plan(&r, &m, po), "%s: a card that is fuller than it was", x->name))
		return;
	/* room for all but three of them */
	take = info.memory_size - info.memory_used - accel_plan_device_bytes(r.plan, 0) +
	       2 * footprint_expert_bytes(&m.layers[1]) + 4096;
	accel_plan_layer(r.plan, 1, &planned);
	ok(!accel_bo_new(r.dev, take / 4096 * 4096, ACCEL_BO_DEVICE, "another's", &other) && !rig_engine(&r, &o) &&
	   !accel_engine_layer(r.engine, 1, &is) && planned.experts_on_card == planned.experts &&
	   is.experts_on_card >= planned.experts - 4 && is.experts_on_card < planned.experts,
	   "%u of %u experts still have room", is.experts_on_card, planned.experts_on_card);
	snprintf(text, sizeof(text), "%u of its %u experts have room", is.experts_on_card, is.experts);
	ok(strstr(is.detail, text) && r.engine && rig_stats(&r).fallbacks == 1, "%s; %s", is.detail,
	   r.engine ? rig_stats(&r).fallback_reason : "");
	rig_stop(&r);
	accel_bo_free(other);
	rig_free(&r);
}

static int (*map_vm)(struct accel_vm *vm, struct accel_bo *bo, uint64_t offset, uint64_t va, uint64_t size,
		     uint32_t flags);
static int maps_left = -1;	/* until one fails; -1: none does */

static int map_or_fail(struct accel_vm *vm, struct accel_bo *bo, uint64_t offset, uint64_t va, uint64_t size,
		       uint32_t flags)
{
	if (maps_left >= 0 && !maps_left--)
		return fail(-ENOMEM, "no memory for a page table");
	return map_vm(vm, bo, offset, va, size, flags);
}

/* Logits of each token by itself; the page of an expert that moves cannot be changed, once. */
static bool run_failing(struct rig *r, int fails, float *to)
{
	maps_left = fails;
	for (uint32_t i = 0; i < TOKENS; i++) {
		const int32_t token = token_at(i / 6 * 5);
		const float *logits;

		if (rig_eval(r, &token, 1, ACCEL_WANT_LAST, &logits))
			return false;
		memcpy(to + i * EMBD, logits, sizeof(float) * EMBD);
	}
	return true;
}

/* An expert that could not leave its room is not where another comes to be. */
static void test_stuck(const struct accel_model *loaded, const struct mix *x)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .strict = true };
	float *want = malloc(sizeof(float) * TOKENS * EMBD), *is = malloc(sizeof(float) * TOKENS * EMBD);
	struct layer layers[3];
	struct accel_model m;
	uint32_t failed = 0, wrong = 0;
	uint64_t moves = 0;

	if (!ok(!make_model(x, loaded, layers, &m), "%s: an expert that cannot leave", x->name))
		return;
	for (int fails = -1; fails < 24; fails++) {
		struct accel_plan_opts po = { .ctx = 512, .batch = 16, .stream = ACCEL_STREAM_ALWAYS };
		struct transport broken;
		struct rig r = { 0 };

		accel_open("sim", &r.dev);
		broken = *r.dev->t;
		map_vm = broken.vm_map;
		broken.vm_map = map_or_fail;
		r.dev->t = &broken;
		po.max_device_bytes = room_for(&m, r.dev, 16, 2 * x->moe.used);
		rig_start(&r, &m, po, &o);
		if (fails < 0)
			failed += !run_failing(&r, -1, want);
		else if (!run_failing(&r, fails, is))
			failed++;
		else
			wrong += memcmp(is, want, sizeof(float) * TOKENS * EMBD) != 0;
		moves += rig_stats(&r).expert_moves;
		maps_left = -1;
		rig_free(&r);
	}
	ok(!failed && moves, "24 times a page cannot be changed: %u steps fail", failed);
	ok(!wrong, "and %u times there are other bits", wrong);
	free(want);
	free(is);
}

/* Moves between two steps, the most of a prompt; limit: of slots, 0: as it is. */
static uint64_t most_moves(const struct accel_model *m, uint32_t limit)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .strict = true };
	struct accel_plan_opts po = { .ctx = 512, .batch = 16, .stream = ACCEL_STREAM_ALWAYS };
	uint64_t most = 0, before = 0;
	struct rig r = { 0 };

	accel_open("sim", &r.dev);
	po.max_device_bytes = room_for(m, r.dev, 16, 32);
	rig_start(&r, m, po, &o);
	if (limit)
		r.engine->cards[0].exec->far.most_moved = limit * r.engine->cards[0].exec->far.slot;
	else
		ok(r.engine->cards[0].exec->far.most_moved == 64 << 20, "experts of 64 MiB move between two steps");
	for (uint32_t i = 0; i + 16 <= TOKENS; i += 16) {
		int32_t tokens[16];

		for (uint32_t k = 0; k < 16; k++)
			tokens[k] = token_at(i + k);
		if (rig_eval(&r, tokens, 16, ACCEL_WANT_LAST, NULL))
			return 0;
		if (rig_stats(&r).expert_moves - before > most)
			most = rig_stats(&r).expert_moves - before;
		before = rig_stats(&r).expert_moves;
	}
	rig_free(&r);
	return most;
}

/* The next step waits for them, so they are not too many bytes. */
static void test_most_moved(const struct accel_model *loaded, const struct mix *x)
{
	struct layer layers[3];
	struct accel_model m;

	if (!ok(!make_model(x, loaded, layers, &m), "%s: many that miss", x->name))
		return;
	ok(most_moves(&m, 0) > 3 && most_moves(&m, 1) == 1 && most_moves(&m, 3) == 3,
	   "as many move as are worth it, and as may: %llu, %llu, %llu", (unsigned long long)most_moves(&m, 0),
	   (unsigned long long)most_moves(&m, 1), (unsigned long long)most_moves(&m, 3));
}

/* An engine that comes and goes, and takes of the card whatever there is. */
struct intruder {
	struct rig r;
	const float *want;
	atomic_bool stop;
	uint32_t times, fewer, wrong;
};

static void *come_and_go(void *arg)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1 };
	struct intruder *x = arg;

	while (!atomic_load(&x->stop) || !x->times) {
		struct accel_bo *rest[16] = { NULL };
		const float *logits;
		int32_t tokens[16];

		for (uint32_t i = 0; i < 16; i++)
			tokens[i] = token_at(i);
		if (rig_engine(&x->r, &o)) {
			x->wrong++;
			break;
		}
		for (int i = 0; i < 16; i++)
			accel_bo_new(x->r.dev, (4 << 20) >> i, ACCEL_BO_DEVICE, "the rest", &rest[i]);
		x->fewer += rig_stats(&x->r).fallback_error == -ENOSPC;
		x->wrong += rig_eval(&x->r, tokens, 16, ACCEL_WANT_ALL, &logits) ||
			    memcmp(logits, x->want, sizeof(float) * 16 * EMBD);
		for (int i = 0; i < 16; i++)
			accel_bo_free(rest[i]);
		rig_stop(&x->r);
		x->times++;
	}
	return NULL;
}

/* Experts move on a card that others fill to its last page meanwhile: who is there keeps what it has. */
static void test_crowded(const struct accel_model *loaded, const struct mix *x)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .strict = true };
	struct accel_plan_opts po = { .ctx = 512, .batch = 16, .stream = ACCEL_STREAM_ALWAYS };
	float *is = malloc(sizeof(float) * TOKENS * EMBD), *want;
	struct intruder other = { 0 };
	struct rig r = { 0 };
	struct layer layers[3];
	struct accel_model m;
	uint32_t wrong = 0;
	pthread_t t;

	if (!ok(!make_model(x, loaded, layers, &m) && !accel_open("sim:local=4M", &r.dev), "%s: a crowded card", x->name))
		return;
	want = compute(&m, NULL, NULL, 512);
	other.want = want;
	other.r.dev = r.dev;
	rig_plan(&other.r, &m, po);
	po.max_device_bytes = room_for(&m, r.dev, 16, x->moe.experts / 2);
	rig_start(&r, &m, po, &o);
	pthread_create(&t, NULL, come_and_go, &other);
	for (int round = 0; round < 6; round++) {
		accel_seq_trim(r.seq, 0);
		for (uint32_t i = 0; i < TOKENS; i += 10) {
			int32_t tokens[10];
			const float *logits;

			for (uint32_t k = 0; k < 10; k++)
				tokens[k] = token_at(i + k);
			wrong += rig_eval(&r, tokens, 10, ACCEL_WANT_ALL, &logits) ||
				 memcmp(logits, want + i * EMBD, sizeof(float) * 10 * EMBD);
		}
	}
	atomic_store(&other.stop, true);
	pthread_join(t, NULL);
	ok(!wrong && !rig_stats(&r).fallbacks && rig_stats(&r).expert_moves > 10,
	   "the same bits, while %llu of its experts move", (unsigned long long)rig_stats(&r).expert_moves);
	ok(!other.wrong && other.fewer == other.times, "and of whoever comes, %u times, and has room for fewer, %u times",
	   other.times, other.fewer);
	accel_plan_free(other.r.plan);
	rig_free(&r);
	free(want);
	free(is);
}

#define V3 .experts = 256, .used = 8, .groups = 8, .groups_used = 4, .group_top2 = true, .gate = MOE_SIGMOID, \
	.renorm = true, .scale = 2.5f

static const struct mix mixes[] = {
	{ .name = "DeepSeek-V3: groups of 256, a bias, a shared expert", .moe = { V3 }, .bias = 0.25f, .shared = 0.5f },
	{ .name = "groups by their best", .bias = 0.25f,
	  .moe = { .experts = 48, .used = 6, .groups = 6, .groups_used = 2, .gate = MOE_SOFTMAX, .scale = 16 } },
	{ .name = "softmax, as it is", .moe = { .experts = 61, .used = 5, .groups = 1, .groups_used = 1, .scale = 1 } },
	{ .name = "softmax, renormed", .gated = true,
	  .moe = { .experts = 64, .used = 8, .groups = 1, .groups_used = 1, .renorm = true, .scale = 1 } },
	{ .name = "one expert", .moe = { .experts = 1, .used = 1, .groups = 1, .groups_used = 1, .renorm = true, .scale = 1 } },
	{ .name = "one of 256", .moe = { .experts = 256, .used = 1, .groups = 1, .groups_used = 1, .scale = 1 } },
	{ .name = "all of 7", .gated = true, .fused = true, .shared = -0.25f, .switched = true,
	  .moe = { .experts = 7, .used = 7, .groups = 1, .groups_used = 1, .scale = 0.5f } },
	{ .name = "gpt-oss: softmax of those that are chosen, biases everywhere, clamped",
	  .gated = true, .biases = true, .stays = true,
	  .moe = { .expert = { .limit = 1.25f }, .experts = 32, .used = 4, .groups = 1, .groups_used = 1,
		   .gate = MOE_SOFTMAX_OF_CHOSEN, .scale = 1.5f } },
	{ .name = "roots of softplus, a residual that is scaled", .bias = 0.5f, .shared = 1, .residual = 0.25f,
	  .moe = { .experts = 33, .used = 3, .groups = 1, .groups_used = 1, .gate = MOE_SQRT_SOFTPLUS, .renorm = true,
		   .scale = 1.5f } },
};

static void test_rules(void)
{
	const struct mix full = mixes[0];
	struct mix less = full;

	less.moe.group_top2 = false;
	differ("the two best of a group choose others", &full, &less, true);
	less = full;
	less.moe.groups = less.moe.groups_used = 1;
	differ("groups choose others", &full, &less, true);
	less = full;
	less.bias = 0;
	differ("the bias chooses others", &full, &less, true);
	less = full;
	less.moe.renorm = false;
	differ("renorming weighs otherwise", &full, &less, false);
}

/* Both ways to have the two matrices. */
static void test_fused(const struct accel_model *loaded)
{
	struct mix x = mixes[3];
	float *logits[2] = { NULL };

	for (int i = 0; i < 2; i++) {
		struct layer layers[3];
		struct accel_model m;

		x.fused = i;
		if (!make_model(&x, loaded, layers, &m))
			logits[i] = compute(&m, NULL, NULL, 512);
	}
	ok(logits[0] && logits[1] && !memcmp(logits[0], logits[1], sizeof(float) * TOKENS * EMBD),
	   "gate and up in one tensor: the same bits");
	free(logits[0]);
	free(logits[1]);
}

int main(void)
{
	struct llama_build l = llama_small;
	struct accel_model *loaded;

	l.embd = l.vocab = EMBD;
	l.ctx = 512;
	if (!ok(!load(&l, &loaded), "a model with %d tokens", EMBD))
		return done();
	for (size_t i = 0; i < sizeof(mixes) / sizeof(mixes[0]); i++)
		test_mix(loaded, &mixes[i]);
	test_rules();
	test_hot(loaded, &mixes[0]);
	test_taken(loaded, &mixes[3]);
	test_fuller(loaded, &mixes[3]);
	test_stuck(loaded, &mixes[3]);
	test_most_moved(loaded, &mixes[0]);
	test_crowded(loaded, &mixes[0]);
	test_by_hand(loaded);
	test_fused(loaded);
	accel_model_free(loaded);
	return done();
}
