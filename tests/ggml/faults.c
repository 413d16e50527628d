// SPDX-License-Identifier: MIT
/*
 * What a processor that fails takes with it, graph by graph: each case of this program is run with
 * ACCEL_SIM_CONTROL=N:remove, which fails the Nth graph.  A result is right, or whoever wants it is told.
 *
 *   faults CASE		prints "well", or what was not
 */
#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define N 100		/* elements: not all of the last lines of a buffer */
#define EXPECT(cond) do { if (!(cond)) { printf("line %d: %s\n", __LINE__, #cond); exit(0); } } while (0)

static ggml_backend_t card, cpu;
static struct ggml_context *ctx;
static ggml_backend_buffer_t buffer;

/* All tensors so far have memory of their own, as intermediate results have it. */
static void place(void)
{
	buffer = ggml_backend_alloc_ctx_tensors(ctx, card);
	EXPECT(buffer);
	ggml_backend_buffer_set_usage(buffer, GGML_BACKEND_BUFFER_USAGE_COMPUTE);
}

static struct ggml_tensor *vector(void)
{
	return ggml_new_tensor_1d(ctx, GGML_TYPE_F32, N);
}

static struct ggml_cgraph *graph_of(struct ggml_tensor *t)
{
	struct ggml_cgraph *g = ggml_new_graph(ctx);

	ggml_build_forward_expand(g, t);
	return g;
}

static void set_all(struct ggml_tensor *t, float value)
{
	float data[N];

	for (int i = 0; i < N; i++)
		data[i] = value;
	ggml_backend_tensor_set(t, data, 0, sizeof(data));
}

static int is_all(const struct ggml_tensor *t, float value)
{
	float data[N];

	ggml_backend_tensor_get(t, data, 0, sizeof(data));
	for (int i = 0; i < N; i++)
		if (isnan(value) ? !isnan(data[i]) : data[i] != value)
			return 0;
	return 1;
}

/* Graphs of the nodes from one tensor to another, the way a scheduler cuts them. */
static struct ggml_cgraph *cut(struct ggml_cgraph *all, const struct ggml_tensor *first, const struct ggml_tensor *last)
{
	struct ggml_cgraph *g = ggml_new_graph(ctx);
	int in = 0;

	for (int i = 0; i < ggml_graph_n_nodes(all); i++) {
		struct ggml_tensor *t = ggml_graph_node(all, i);

		in |= t == first;
		if (in)
			ggml_graph_add_node(g, t);
		if (t == last)
			break;
	}
	return g;
}

static enum ggml_status compute(struct ggml_cgraph *g)
{
	return ggml_backend_graph_compute(card, g);
}

static struct ggml_tensor *x, *y, *a, *b, *c, *d;
static struct ggml_cgraph *one, *two, *other;

/* a and b are computed by the first graph, which itself reads a; c = a + y and d by the second. */
static void two_graphs(int shaped)
{
	struct ggml_cgraph *all;

	x = vector();
	y = vector();
	a = ggml_scale(ctx, x, 2);
	b = ggml_scale(ctx, a, 3);
	c = shaped ? ggml_add(ctx, ggml_reshape_2d(ctx, a, N / 2, 2), ggml_reshape_2d(ctx, y, N / 2, 2)) :
		     ggml_add(ctx, a, y);
	d = ggml_scale(ctx, c, 0.5f);
	all = ggml_new_graph(ctx);
	ggml_build_forward_expand(all, b);
	ggml_build_forward_expand(all, d);
	one = cut(all, a, b);
	two = ggml_new_graph(ctx);
	for (int i = 0, in = 0; i < ggml_graph_n_nodes(all); i++) {
		if (in)
			ggml_graph_add_node(two, ggml_graph_node(all, i));
		in |= ggml_graph_node(all, i) == b;
	}
	other = graph_of(ggml_scale(ctx, y, 7));
	place();
	set_all(x, 1);
	set_all(y, 10);
	EXPECT(compute(one) == GGML_STATUS_SUCCESS);
	EXPECT(is_all(b, 6));
}

/* 2:remove */
static void left(int shaped)
{
	two_graphs(shaped);
	EXPECT(compute(two) != GGML_STATUS_SUCCESS);
	EXPECT(compute(two) != GGML_STATUS_SUCCESS);
	EXPECT(compute(one) == GGML_STATUS_SUCCESS);
	EXPECT(compute(two) == GGML_STATUS_SUCCESS);
	EXPECT(is_all(d, 6));
}

/* 2:remove */
static void is_read(int copied)
{
	ggml_backend_buffer_t host;

	two_graphs(0);
	EXPECT(compute(other) == GGML_STATUS_SUCCESS);
	EXPECT(is_all(b, 6));
	if (copied) {
		struct ggml_context *there = ggml_init((struct ggml_init_params) { 1 << 16, NULL, true });
		struct ggml_tensor *to = ggml_new_tensor_1d(there, GGML_TYPE_F32, N);

		host = ggml_backend_alloc_ctx_tensors(there, cpu);
		EXPECT(host);
		set_all(to, 1);
		ggml_backend_tensor_copy(a, to);
		EXPECT(is_all(to, NAN));
	} else {
		EXPECT(is_all(a, NAN));
	}
	EXPECT(compute(other) != GGML_STATUS_SUCCESS);
	EXPECT(compute(other) == GGML_STATUS_SUCCESS);
	EXPECT(compute(one) == GGML_STATUS_SUCCESS);
	EXPECT(is_all(a, 2));
}

/* 3:remove: what was set or fetched before it failed is there. */
static void fetched(int how)
{
	(void)how;
	two_graphs(0);
	EXPECT(is_all(a, 2));
	EXPECT(compute(one) == GGML_STATUS_SUCCESS);
	EXPECT(is_all(a, 2));
	EXPECT(compute(two) == GGML_STATUS_SUCCESS);
	EXPECT(is_all(d, 6));
	EXPECT(compute(one) == GGML_STATUS_SUCCESS);
	set_all(a, 4);
	EXPECT(compute(two) == GGML_STATUS_SUCCESS);
	EXPECT(is_all(d, 7));
}

/* 82:remove: more graphs than are remembered lie between a result and who needs it. */
static void long_ago(int how)
{
	struct ggml_cgraph *many[80];
	struct ggml_tensor *to;

	(void)how;
	x = vector();
	b = ggml_scale(ctx, x, 3);
	one = graph_of(b);
	d = ggml_scale(ctx, b, 2);
	for (int i = 0; i < 80; i++) {
		to = ggml_scale(ctx, ggml_view_1d(ctx, x, N - i, 0), 5);
		many[i] = graph_of(to);
	}
	two = ggml_new_graph(ctx);
	ggml_graph_add_node(two, d);
	d->flags |= 16;
	place();
	set_all(x, 1);
	EXPECT(compute(one) == GGML_STATUS_SUCCESS);
	for (int i = 0; i < 80; i++)
		EXPECT(compute(many[i]) == GGML_STATUS_SUCCESS);
	EXPECT(compute(two) == GGML_STATUS_SUCCESS);
	EXPECT(is_all(d, 6));
}

/* ---- attention ---- */

#define DIM 64
#define KV 32
#define TOKENS 8

static double error_of(const struct ggml_tensor *t, const struct ggml_tensor *u)
{
	const size_t n = (size_t)ggml_nelements(t);
	float *p = malloc(n * 4), *q = malloc(n * 4);
	double diff = 0, sum = 0;

	ggml_backend_tensor_get(t, p, 0, n * 4);
	ggml_backend_tensor_get(u, q, 0, n * 4);
	for (size_t i = 0; i < n; i++) {
		diff += (p[i] - q[i]) * (p[i] - q[i]);
		sum += q[i] * q[i];
	}
	free(p);
	free(q);
	return diff / sum;
}

static void set_random(struct ggml_tensor *t)
{
	static unsigned int state = 1;
	const size_t n = (size_t)ggml_nelements(t);

	for (size_t i = 0; i < n; i++) {
		float f = (float)(state = state * 1103515245u + 12345u) / 4294967296.0f - 0.5f;
		ggml_fp16_t h = ggml_fp32_to_fp16(f);

		ggml_backend_tensor_set(t, t->type == GGML_TYPE_F16 ? (void *)&h : (void *)&f,
					i * ggml_type_size(t->type), ggml_type_size(t->type));
	}
}

/* Each token sees what lies @back behind it. */
static void set_mask(struct ggml_tensor *t, int back)
{
	for (int i = 0; i < (int)t->ne[1]; i++)
		for (int j = 0; j < KV; j++) {
			float f = j <= KV - TOKENS + i - back ? 0 : -INFINITY;
			ggml_fp16_t h = ggml_fp32_to_fp16(f);

			ggml_backend_tensor_set(t, t->type == GGML_TYPE_F16 ? (void *)&h : (void *)&f,
						i * t->nb[1] + j * ggml_type_size(t->type), ggml_type_size(t->type));
		}
}

struct attention {
	struct ggml_tensor *q, *k, *v, *mask, *out;
};

static struct attention attention(struct ggml_context *in, int q3, int k3, struct ggml_tensor *mask)
{
	struct attention t = {
		.q = ggml_new_tensor_4d(in, GGML_TYPE_F32, DIM, TOKENS, 4, q3),
		.k = ggml_new_tensor_4d(in, GGML_TYPE_F16, DIM, KV, 2, k3),
		.v = ggml_new_tensor_4d(in, GGML_TYPE_F16, DIM, KV, 2, k3),
		.mask = mask ? mask : ggml_new_tensor_2d(in, GGML_TYPE_F16, KV, 64),
	};

	/* of llama.cpp: tokens of a head do not follow each other, its keys neither */
	t.k = ggml_permute(in, ggml_new_tensor_4d(in, GGML_TYPE_F16, DIM, 2, KV, k3), 0, 2, 1, 3);
	t.v = ggml_permute(in, ggml_new_tensor_4d(in, GGML_TYPE_F16, DIM, 2, KV, k3), 0, 2, 1, 3);
	t.q = ggml_permute(in, ggml_new_tensor_4d(in, GGML_TYPE_F32, DIM, 4, TOKENS, q3), 0, 2, 1, 3);
	t.out = ggml_flash_attn_ext(in, t.q, t.k, t.v, t.mask, 0.125f, 0, 0);
	return t;
}

static struct attention on_cpu(const struct attention *like, int q3, int k3, int back)
{
	struct ggml_context *there = ggml_init((struct ggml_init_params) { 1 << 20, NULL, true });
	struct attention t = attention(there, q3, k3, NULL);
	struct ggml_cgraph *g;

	ctx = there;
	g = graph_of(t.out);
	EXPECT(ggml_backend_alloc_ctx_tensors(there, cpu));
	ggml_backend_tensor_copy(like->q->view_src, t.q->view_src);
	ggml_backend_tensor_copy(like->k->view_src, t.k->view_src);
	ggml_backend_tensor_copy(like->v->view_src, t.v->view_src);
	set_mask(t.mask, back);
	EXPECT(ggml_backend_graph_compute(cpu, g) == GGML_STATUS_SUCCESS);
	return t;
}

/* Two sequences, each with keys and values of its own. */
static void sequences(int how)
{
	struct attention t = attention(ctx, 2, 2, NULL), u;
	struct ggml_cgraph *g = graph_of(t.out);

	(void)how;
	place();
	set_random(t.q->view_src);
	set_random(t.k->view_src);
	set_random(t.v->view_src);
	set_mask(t.mask, 0);
	EXPECT(ggml_backend_supports_op(card, t.out));
	EXPECT(compute(g) == GGML_STATUS_SUCCESS);
	u = on_cpu(&t, 2, 2, 0);
	EXPECT(error_of(t.out, u.out) < 1e-5);
}

/* A mask that an earlier graph converted is what it was then. */
static void converted(int how)
{
	struct ggml_tensor *wide = ggml_new_tensor_2d(ctx, GGML_TYPE_F32, KV, 64);
	struct ggml_tensor *mask = ggml_cast(ctx, wide, GGML_TYPE_F16);
	struct attention t = attention(ctx, 1, 1, mask), u;
	struct ggml_cgraph *all = graph_of(t.out);

	(void)how;
	one = cut(all, mask, mask);
	two = cut(all, t.out, t.out);
	place();
	set_random(t.q->view_src);
	set_random(t.k->view_src);
	set_random(t.v->view_src);
	set_mask(wide, 4);
	EXPECT(compute(one) == GGML_STATUS_SUCCESS);
	set_mask(wide, 0);
	EXPECT(compute(two) == GGML_STATUS_SUCCESS);
	u = on_cpu(&t, 1, 1, 4);
	EXPECT(error_of(t.out, u.out) < 1e-5);
}

/* ---- whose memory ---- */

/* Numbers of rows that an earlier graph, or this one, put there, are read where they are. */
static void numbers(int here)
{
	struct ggml_context *lasting = ggml_init((struct ggml_init_params) { 1 << 20, NULL, true });
	struct ggml_tensor *from = ggml_new_tensor_1d(ctx, GGML_TYPE_I32, 1), *ids = ggml_new_tensor_1d(ctx, GGML_TYPE_I32, 1);
	struct ggml_tensor *rows = ggml_new_tensor_2d(lasting, GGML_TYPE_F32, N, 2);
	struct ggml_tensor *row = ggml_new_tensor_2d(ctx, GGML_TYPE_F32, N, 1);
	const int32_t first = 0, second = 1;

	EXPECT(ggml_backend_alloc_ctx_tensors(lasting, card));
	one = graph_of(ggml_cpy(ctx, from, ids));
	ggml_build_forward_expand(one, ggml_get_rows(ctx, rows, ids));
	d = ggml_set_rows(ctx, rows, row, ids);
	two = graph_of(d);
	if (here)
		ggml_build_forward_expand(one, d);
	x = ggml_view_1d(ctx, rows, N, 0);
	y = ggml_view_1d(ctx, rows, N, N * 4);
	place();
	ggml_backend_tensor_set(from, &second, 0, 4);
	ggml_backend_tensor_set(ids, &first, 0, 4);
	set_all(x, 1);
	set_all(y, 1);
	set_all(row, 5);
	EXPECT(compute(one) == GGML_STATUS_SUCCESS);
	EXPECT(here || compute(two) == GGML_STATUS_SUCCESS);
	EXPECT(is_all(x, 1));
	EXPECT(is_all(y, 5));
}

/* ggml's allocator puts a softmax where its mask was. */
static void in_place(int how)
{
	ggml_gallocr_t allocator = ggml_gallocr_new(ggml_backend_get_default_buffer_type(card));
	float half[N], sum[N];

	(void)how;
	x = vector();
	y = vector();
	ggml_set_input(x);
	ggml_set_input(y);
	a = ggml_scale(ctx, x, 2);
	b = ggml_scale(ctx, y, 1);
	c = ggml_soft_max_ext(ctx, a, b, 1, 0);
	d = ggml_add(ctx, a, c);
	ggml_set_output(d);
	one = graph_of(d);
	EXPECT(ggml_gallocr_alloc_graph(allocator, one));
	EXPECT(c->data == b->data);
	for (int i = 0; i < N; i++)
		half[i] = i < N / 2 ? 0 : -INFINITY;
	set_all(x, 1);
	ggml_backend_tensor_set(y, half, 0, sizeof(half));
	EXPECT(compute(one) == GGML_STATUS_SUCCESS);
	ggml_backend_tensor_get(d, sum, 0, sizeof(sum));
	for (int i = 0; i < N; i++)
		EXPECT(fabsf(sum[i] - (i < N / 2 ? 2 + 2.0f / N : 2)) < 1e-6f);
}

/* 2:remove: of two that share a card the one fails that missed something. */
static void apart(int how)
{
	ggml_backend_t second = ggml_backend_init_by_name("OCTANS0", NULL);
	struct ggml_tensor *was;

	(void)how;
	two_graphs(0);
	was = a;
	ctx = ggml_init((struct ggml_init_params) { 1 << 20, NULL, true });
	x = vector();
	d = ggml_scale(ctx, x, 2);
	two = graph_of(d);
	place();
	set_all(x, 1);
	EXPECT(ggml_backend_graph_compute(second, two) == GGML_STATUS_SUCCESS);
	EXPECT(is_all(was, NAN));
	EXPECT(ggml_backend_graph_compute(second, two) == GGML_STATUS_SUCCESS);
	EXPECT(is_all(d, 2));
	EXPECT(compute(other) != GGML_STATUS_SUCCESS);
	EXPECT(compute(other) == GGML_STATUS_SUCCESS);
}

/* Addresses of a card mean something else on another. */
static void elsewhere(int how)
{
	ggml_backend_t second = ggml_backend_init_by_name("OCTANS1", NULL);

	(void)how;
	two_graphs(0);
	EXPECT(second);
	EXPECT(ggml_backend_graph_compute(second, one) != GGML_STATUS_SUCCESS);
	EXPECT(compute(two) == GGML_STATUS_SUCCESS);
	EXPECT(is_all(d, 6));
}

/* A byte that is set or fetched says nothing of the one beside it. */
static void bytes(int how)
{
	uint8_t byte = 0;

	(void)how;
	two_graphs(0);
	ggml_backend_tensor_set(a, &byte, 2, 1);
	ggml_backend_tensor_get(a, &byte, 6, 1);
	EXPECT(is_all(a, 2));
}

/* A result may lie where the biases are, whose rows are then taken in any order. */
static void over_biases(int how)
{
	static const int32_t rows[2] = { 1, 0 };
	const float x2[4] = { 1, 2, 3, 4 }, b2[4] = { 10, 20, 30, 40 };
	struct ggml_tensor *rows_of = ggml_new_tensor_2d(ctx, GGML_TYPE_I32, 2, 1), *sum;
	float data[4];

	(void)how;
	x = ggml_new_tensor_2d(ctx, GGML_TYPE_F32, 2, 2);
	b = ggml_new_tensor_2d(ctx, GGML_TYPE_F32, 2, 2);
	sum = ggml_add_id(ctx, x, b, rows_of);
	one = graph_of(sum);
	buffer = ggml_backend_alloc_buffer(card, 4096);
	EXPECT(buffer);
	ggml_backend_tensor_alloc(buffer, x, (char *)ggml_backend_buffer_get_base(buffer));
	ggml_backend_tensor_alloc(buffer, b, (char *)ggml_backend_buffer_get_base(buffer) + 1024);
	ggml_backend_tensor_alloc(buffer, rows_of, (char *)ggml_backend_buffer_get_base(buffer) + 2048);
	ggml_backend_tensor_alloc(buffer, sum, b->data);
	ggml_backend_tensor_set(x, x2, 0, sizeof(x2));
	ggml_backend_tensor_set(b, b2, 0, sizeof(b2));
	ggml_backend_tensor_set(rows_of, rows, 0, sizeof(rows));
	EXPECT(compute(one) == GGML_STATUS_SUCCESS);
	ggml_backend_tensor_get(sum, data, 0, sizeof(data));
	EXPECT(data[0] == 31 && data[1] == 42 && data[2] == 13 && data[3] == 24);
}

/* Fewer zeros than none take something away: that is the CPU's. */
static void cut_off(int how)
{
	(void)how;
	x = ggml_new_tensor_4d(ctx, GGML_TYPE_F32, 5, 4, 3, 2);
	EXPECT(ggml_backend_supports_op(card, ggml_pad_ext(ctx, x, 1, 2, 0, 3, 1, 0, 0, 1)));
	for (int i = 0; i < 8; i++) {
		int p[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };

		p[i] = -1;
		EXPECT(!ggml_backend_supports_op(card, ggml_pad_ext(ctx, x, p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7])));
	}
}

/* What begins between two elements, or has rows that do, is the CPU's, as are sections of more pairs than there are. */
static void between(int how)
{
	int sections[4] = { 1 << 30, 1 << 30, 1 << 30, 1 << 30 };
	struct ggml_tensor *positions = ggml_new_tensor_1d(ctx, GGML_TYPE_I32, 12);

	(void)how;
	x = vector();
	y = ggml_new_tensor_2d(ctx, GGML_TYPE_F32, 5, 5);
	EXPECT(ggml_backend_supports_op(card, ggml_div(ctx, y, ggml_view_2d(ctx, x, 5, 5, 24, 4))));
	EXPECT(!ggml_backend_supports_op(card, ggml_div(ctx, y, ggml_view_2d(ctx, x, 5, 5, 24, 2))));
	EXPECT(!ggml_backend_supports_op(card, ggml_cont(ctx, ggml_view_2d(ctx, x, 5, 5, 22, 0))));
	x = ggml_new_tensor_3d(ctx, GGML_TYPE_F32, 64, 1, 3);
	EXPECT(!ggml_backend_supports_op(card, ggml_rope_multi(ctx, x, positions, NULL, 64, sections, GGML_ROPE_TYPE_MROPE,
							       0, 1e4f, 1, 0, 1, 32, 1)));
}

/* More rows than a command has. */
static void many_rows(int how)
{
	float last = 0;

	(void)how;
	x = ggml_new_tensor_3d(ctx, GGML_TYPE_F32, 1, 4097, 4096);
	d = ggml_fill(ctx, x, 3);
	one = graph_of(d);
	place();
	EXPECT(compute(one) == GGML_STATUS_SUCCESS);
	ggml_backend_tensor_get(d, &last, ggml_nbytes(d) - sizeof(last), sizeof(last));
	EXPECT(last == 3);
}

enum { HEAD = 8, LENGTH = 3, STREAMS = 4 };

static struct ggml_tensor *of_tokens(int ne0, int ne3)
{
	return ggml_new_tensor_4d(ctx, GGML_TYPE_F32, ne0, 1, LENGTH, ne3);
}

/* From a place of a sequence of numbers on, as many as it has. */
static void set_some(struct ggml_tensor *t, int which, int from)
{
	float data[HEAD * HEAD * STREAMS];

	for (int i = 0; i < (int)ggml_nelements(t); i++)
		data[i] = sinf((float)(i + from) * (float)(which + 3));
	ggml_backend_tensor_set(t, data, 0, ggml_nbytes(t));
}

/* Keys and queries of two sequences for four: those of the first two are the first's. */
static void shared_keys(int how)
{
	enum { SIZE = HEAD * LENGTH, ALL = STREAMS * (SIZE + HEAD * HEAD) };
	struct ggml_tensor *q = of_tokens(HEAD, 2), *k = of_tokens(HEAD, 2), *v = of_tokens(HEAD, STREAMS),
			   *g = of_tokens(1, STREAMS), *beta = of_tokens(1, STREAMS),
			   *state = ggml_new_tensor_4d(ctx, GGML_TYPE_F32, HEAD, HEAD, 1, STREAMS),
			   *all[2] = { of_tokens(HEAD, STREAMS), of_tokens(HEAD, STREAMS) }, *few, *many;
	float given[2][ALL], some[2 * SIZE], twice[4 * SIZE];

	(void)how;
	few = ggml_gated_delta_net(ctx, q, k, v, g, beta, state, 1);
	many = ggml_gated_delta_net(ctx, all[0], all[1], v, g, beta, state, 1);
	EXPECT(ggml_nelements(few) == ALL && ggml_backend_supports_op(card, few));
	one = graph_of(few);
	two = graph_of(many);
	place();
	set_some(v, 1, 0);
	set_some(beta, 2, 0);
	set_some(state, 3, 0);
	set_some(g, 4, 0);
	for (int i = 0; i < 2; i++) {
		set_some(i ? k : q, 5 + i, 0);
		ggml_backend_tensor_get(i ? k : q, some, 0, sizeof(some));
		for (int j = 0; j < 4; j++)
			memcpy(twice + j * SIZE, some + j / 2 * SIZE, SIZE * sizeof(float));
		ggml_backend_tensor_set(all[i], twice, 0, sizeof(twice));
	}
	EXPECT(compute(one) == GGML_STATUS_SUCCESS && compute(two) == GGML_STATUS_SUCCESS);
	ggml_backend_tensor_get(few, given[0], 0, sizeof(given[0]));
	ggml_backend_tensor_get(many, given[1], 0, sizeof(given[1]));
	EXPECT(!memcmp(given[0], given[1], sizeof(given[0])));
}

/* 3:remove; a state that each graph goes on with, and leaves where it was. */
static void recurrence(int how)
{
	struct ggml_tensor *in[5], *state, *next, *last;
	float found[2][HEAD * HEAD];

	(void)how;
	for (int on_cpu = 0; on_cpu < 2; on_cpu++) {
		ggml_backend_t where = on_cpu ? cpu : card;
		struct ggml_cgraph *g;

		ctx = ggml_init((struct ggml_init_params) { 1 << 20, NULL, true });
		for (int i = 0; i < 5; i++)
			in[i] = of_tokens(i < 3 ? HEAD : 1, 1);
		state = ggml_new_tensor_4d(ctx, GGML_TYPE_F32, HEAD, HEAD, 1, 1);
		next = ggml_gated_delta_net(ctx, in[0], in[1], in[2], in[3], in[4], state, 1);
		last = ggml_view_1d(ctx, next, HEAD * HEAD, HEAD * LENGTH * sizeof(float));
		g = graph_of(ggml_cpy(ctx, last, ggml_reshape_1d(ctx, state, HEAD * HEAD)));
		EXPECT(ggml_backend_alloc_ctx_tensors(ctx, where));
		set_some(state, 1, 0);
		for (int step = 0; step < 5; step++) {
			for (int i = 0; i < 5; i++)
				set_some(in[i], 2 + i, step);
			EXPECT(ggml_backend_graph_compute(where, g) == GGML_STATUS_SUCCESS);
		}
		ggml_backend_tensor_get(state, found[on_cpu], 0, sizeof(found[0]));
	}
	for (int i = 0; i < HEAD * HEAD; i++)
		EXPECT(fabsf(found[0][i] - found[1][i]) <= 1e-4f * (1 + fabsf(found[1][i])));
}

/* Of 0 the sign stays, which shows where something is divided by it. */
static void signs(int how)
{
	(void)how;
	x = vector();
	y = vector();
	d = ggml_div(ctx, y, ggml_scale(ctx, x, 2));
	one = graph_of(d);
	place();
	set_all(x, -0.0f);
	set_all(y, 1);
	EXPECT(compute(one) == GGML_STATUS_SUCCESS);
	EXPECT(is_all(d, -INFINITY));
}

/* ---- a processor that is well again ---- */

static void wait_for_retry(void)
{
	sleep(2);	/* it is tried again after one */
}

/* 2:hang ring 0: its memory still has what was left there; it takes work again, with all that ggml wrote. */
static void back(int how)
{
	(void)how;
	two_graphs(0);
	EXPECT(compute(two) == GGML_STATUS_SUCCESS);
	EXPECT(is_all(d, 6));
	set_all(y, 20);
	EXPECT(compute(one) == GGML_STATUS_SUCCESS);
	wait_for_retry();
	EXPECT(compute(two) == GGML_STATUS_SUCCESS);
	EXPECT(is_all(d, 11));
	set_all(x, 3);
	EXPECT(compute(one) == GGML_STATUS_SUCCESS);
	EXPECT(compute(two) == GGML_STATUS_SUCCESS);
	EXPECT(is_all(a, 6));
	EXPECT(is_all(d, 13));
}

/* 2:hang ring 0: what the graph that failed writes over is gone, also once the processor is well. */
static void back_without(int how)
{
	(void)how;
	x = vector();
	y = vector();
	a = ggml_scale(ctx, x, 2);
	b = ggml_scale(ctx, a, 3);
	one = graph_of(b);
	c = ggml_scale_inplace(ctx, a, 5);
	d = ggml_add(ctx, c, y);
	two = ggml_new_graph(ctx);
	c->flags |= 16;
	d->flags |= 16;
	ggml_graph_add_node(two, c);
	ggml_graph_add_node(two, d);
	place();
	set_all(x, 1);
	set_all(y, 10);
	EXPECT(compute(one) == GGML_STATUS_SUCCESS);
	EXPECT(compute(two) != GGML_STATUS_SUCCESS);
	EXPECT(is_all(b, 6));
	wait_for_retry();
	EXPECT(compute(two) != GGML_STATUS_SUCCESS);
	EXPECT(compute(one) == GGML_STATUS_SUCCESS);
	EXPECT(compute(two) == GGML_STATUS_SUCCESS);
	EXPECT(is_all(d, 20));
}

struct lane {
	ggml_backend_t backend;
	struct ggml_tensor *x, *a, *d;
	struct ggml_cgraph *one, *two;
	int wrong;
};

static void is_wrong(struct lane *l, const struct ggml_tensor *t, float value)
{
	float data[N];

	ggml_backend_tensor_get(t, data, 0, sizeof(data));
	for (int i = 0; i < N; i++)
		l->wrong += data[i] != value;
}

static void *compute_for_a_while(void *arg)
{
	const time_t end = time(NULL) + 14;	/* the model stops what hangs after ten */
	struct lane *l = arg;
	float data[N];

	for (int n = 1; time(NULL) < end; n = n % 1000 + 1) {
		for (int i = 0; i < N; i++)
			data[i] = (float)n;
		ggml_backend_tensor_set(l->x, data, 0, sizeof(data));
		l->wrong += ggml_backend_graph_compute(l->backend, l->one) != GGML_STATUS_SUCCESS;
		l->wrong += ggml_backend_graph_compute(l->backend, l->two) != GGML_STATUS_SUCCESS;
		is_wrong(l, l->d, (float)(2 * n + 10) / 2);
		is_wrong(l, l->a, (float)(2 * n));
	}
	return NULL;
}

/* 6:hang ring 0: two have work on it all the time, and leave something there. */
static void back_together(int how)
{
	struct lane lanes[2] = { 0 };
	pthread_t threads[2];

	(void)how;
	for (int i = 0; i < 2; i++) {
		ctx = ggml_init((struct ggml_init_params) { 1 << 20, NULL, true });
		two_graphs(0);
		lanes[i] = (struct lane) { i ? ggml_backend_init_by_name("OCTANS0", NULL) : card, x, a, d, one, two, 0 };
	}
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, compute_for_a_while, &lanes[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	EXPECT(!lanes[0].wrong && !lanes[1].wrong);
}

static const struct {
	const char *name;
	void (*run)(int how);
	int how;
} cases[] = {
	{ "left", left, 0 }, { "left-reshaped", left, 1 }, { "read", is_read, 0 }, { "copied", is_read, 1 },
	{ "fetched", fetched, 0 }, { "long-ago", long_ago, 0 }, { "sequences", sequences, 0 },
	{ "converted", converted, 0 }, { "numbers", numbers, 0 }, { "numbers-here", numbers, 1 },
	{ "in-place", in_place, 0 }, { "apart", apart, 0 }, { "elsewhere", elsewhere, 0 }, { "bytes", bytes, 0 },
	{ "over-biases", over_biases, 0 }, { "cut-off", cut_off, 0 }, { "shared-keys", shared_keys, 0 },
	{ "recurrence", recurrence, 0 }, { "signs", signs, 0 },
	{ "between", between, 0 }, { "many-rows", many_rows, 0 },
	{ "back", back, 0 }, { "back-without", back_without, 0 },
	{ "back-together", back_together, 0 },
};

int main(int argc, char **argv)
{
	ggml_backend_load_all();
	card = ggml_backend_init_by_name("OCTANS0", NULL);
	cpu = ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, NULL);
	ctx = ggml_init((struct ggml_init_params) { 64 << 20, NULL, true });
	EXPECT(card && cpu && ctx);
	for (size_t i = 0; argc == 2 && i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!strcmp(argv[1], cases[i].name)) {
			cases[i].run(cases[i].how);
			puts("well");
			return 0;
		}
	return 2;
}
