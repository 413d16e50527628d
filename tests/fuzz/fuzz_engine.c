// SPDX-License-Identifier: MIT
/*
 * Random programs on accel/engine.h: sequences that come, fork, are cut, saved and loaded; steps that are
 * run, submitted, cancelled and freed; pools that are too small, processors that fail.  Whatever happened
 * before, a step that succeeds has the bits of a fresh sequence on the scalar CPU, one that fails says
 * why and leaves its sequences as they were, and nothing is left over.
 *
 *   fuzz_engine [SECONDS [SEED [THREADS]]]
 *
 * With THREADS the clients of an engine are so many threads.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include <accel/engine.h>

#include "device/transport.h"
/* What writes files and what records layers have one name. */
#define build file_build
#include "../unit/llama_build.h"
#undef build
#include "../unit/memory_layer.h"
#include "random.h"

#define CTX		48
#define MODELS		4
#define KV_TYPES	3
#define SEQS		8		/* of a client */
#define STEPS		4
#define INPUTS		4
#define MAX_THREADS	8
#define PROGRAM		800		/* steps of a program on one pair of engines */
#define VOCAB		12

static struct accel_model *models[MODELS];
static bool few;			/* no faults that take long: TSan is slow */
static uint32_t crowd;			/* threads on an engine, 0 = it is one client's */

/* What is expected: computed by an engine of its own, one for each way to keep keys and values. */
static struct reference {
	struct accel_plan *plan;
	struct accel_engine *engine;
} references[MODELS][KV_TYPES];
static pthread_mutex_t reference_lock = PTHREAD_MUTEX_INITIALIZER;

/* An engine and what is known of it. */
struct place {
	struct accel_dev *dev;		/* NULL: on the CPU */
	struct accel_plan *plan;
	struct accel_engine *engine;
	uint32_t model, kv;
	bool strict;
	bool hasty;			/* its jobs may take little time */
	uint64_t used;			/* bytes on the card, before */
	_Atomic bool hurt;		/* its processor was made to fail */
};

struct text {
	int32_t tokens[CTX];
	uint32_t n;
};

struct held {
	struct accel_seq *seq;		/* NULL: the entry is free */
	struct place *place;
	struct text text;
	bool skipped;			/* nothing is known of its bits any more */
	bool freed;			/* by the program, but a step has it */
	struct flight *flight;		/* the step that it is in */
};

/* A step that was submitted. */
struct flight {
	struct accel_step *step;	/* NULL: the entry is free */
	struct accel_input in[INPUTS];
	struct held *held[INPUTS];
	int32_t tokens[INPUTS][CTX];
	size_t n;
	bool cancelled, deadline;
};

struct client {
	struct place *places;
	uint32_t n_places;
	bool alone;			/* nobody else uses the engines */
	struct held held[SEQS];
	struct flight flights[STEPS];
	uint64_t random;
};

static _Atomic unsigned long done_steps, done_failed, done_rows, done_programs, done_loads;

/* ---- models ---- */

static struct accel_model *load(const struct llama_build *l)
{
	int fd = memfd_create("model", MFD_CLOEXEC);
	struct accel_model *m;
	struct file_build b;
	char path[32];

	llama_build(&b, l);
	if (fd < 0 || write(fd, b.p, b.n) != (ssize_t)b.n)
		abort();
	build_end(&b);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (accel_model_load(path, &m))
		finding("a small model is refused: %s", accel_error());
	close(fd);
	return m;
}

static void make_models(void)
{
	struct llama_build l = llama_small;

	l.blocks = 2;
	models[0] = load(&l);
	models[1] = with_memory(models[0]);
	l.type = ACCEL_Q8_0;
	l.heads = l.kv_heads = 1;	/* of 32 elements */
	models[2] = load(&l);
	models[3] = with_memory(models[2]);
}

static struct accel_engine *reference_of(uint32_t model, uint32_t kv)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .isa = "scalar" };
	const struct accel_plan_opts po = { .sz = sizeof(po), .ctx = CTX, .kv_type = kv, .page = 64 };
	struct reference *r = &references[model][kv];

	if (!r->engine && (accel_plan_new(models[model], NULL, 0, &po, &r->plan) ||
			   accel_engine_new(r->plan, NULL, 0, &o, &r->engine)))
		finding("no reference: %s", accel_error());
	return r->engine;
}

/* Logits of the last rows of a text. */
static void expect(const struct place *p, const struct text *t, uint32_t rows, float *logits)
{
	struct accel_input in = { .sz = sizeof(in), .tokens = t->tokens, .n = t->n, .want = ACCEL_WANT_ALL };
	struct accel_step *step;
	struct accel_engine *e;

	pthread_mutex_lock(&reference_lock);
	e = reference_of(p->model, p->kv);
	if (accel_seq_new(e, &in.seq) || accel_step_run(e, &in, 1, NULL, &step))
		finding("the reference fails: %s", accel_error());
	memcpy(logits, accel_step_logits(step, 0, NULL) + (t->n - rows) * VOCAB, rows * VOCAB * sizeof(*logits));
	accel_step_free(step);
	accel_seq_free(in.seq);
	pthread_mutex_unlock(&reference_lock);
}

/* ---- engines ---- */

static void place_new(struct place *p, const struct place *like)
{
	static const char *const isas[] = { "scalar", "auto", NULL };
	static const char *const specs[] = { "sim:rings=1", "sim:rings=2,local=1M", "sim:profile=octans-e,rings=1" };
	struct accel_engine_opts o = {
		.sz = sizeof(o), .threads = 1 + below(2), .strict = one_in(5), .isa = isas[below(3)],
		.retry_ms = one_in(2) ? 1 : UINT32_MAX,
	};
	struct accel_plan_opts po = {
		.sz = sizeof(po), .ctx = CTX, .seqs = 1 + below(3), .page = 1u << below(7), .batch = below(20),
		.checkpoints = 1 + below(3),
	};
	struct accel_devinfo info = { .sz = sizeof(info) };
	const struct accel_devinfo *list = &info;
	uint32_t places[64];
	int err;

	*p = (struct place) { .model = like ? like->model : below(MODELS), .strict = o.strict };
	p->kv = like ? like->kv : below(p->model < 2 ? 2 : KV_TYPES);
	po.kv_type = p->kv;
	if (!one_in(3))
		po.positions = CTX + below((crowd ? 20 : 5) * CTX);
	if (!one_in(3) && !accel_open(specs[below(3)], &p->dev)) {
		/* Hangs are short, but a good job may take as long on a busy machine. */
		p->hasty = !few && one_in(2);
		p->hurt = p->hasty;
		p->dev->info.max_timeout_ms = p->hasty ? 100 : 10000;
		accel_dev_info(p->dev, &info);
		p->used = info.memory_used;
		for (uint32_t i = 0, stride = 1 + below(9); i < 64; i++)
			places[i] = i / stride % 2 ? ACCEL_PLACE_CPU : ACCEL_PLACE_DEVICE(0);
		po.places = places;
		po.n_places = models[p->model]->n_layers;
	}
	if (accel_plan_new(models[p->model], &list, p->dev != NULL, &po, &p->plan))
		finding("no plan: %s", accel_error());
	/* A busy machine may be too slow for so short a timeout. */
	for (int tries = 0; tries < 5; tries++) {
		err = accel_engine_new(p->plan, &p->dev, p->dev != NULL, &o, &p->engine);
		if (!err || err != -ETIME)
			break;
	}
	if (err)
		finding("no engine: %s", accel_error());
}

static void place_free(struct place *p)
{
	struct accel_engine_stats st = { .sz = sizeof(st) };
	struct accel_devinfo info = { .sz = sizeof(info) };

	accel_engine_stats(p->engine, &st);
	if (st.pages_used || st.seqs)
		finding("%u pages and %u sequences are left", st.pages_used, st.seqs);
	accel_engine_free(p->engine);
	accel_plan_free(p->plan);
	if (p->dev && !p->hurt && !accel_dev_info(p->dev, &info) && info.memory_used != p->used)
		finding("%llu bytes of on-card memory are left", (unsigned long long)info.memory_used);
	accel_close(p->dev);
}

/* ---- sequences ---- */

static struct held *free_entry(struct client *c)
{
	for (int i = 0; i < SEQS; i++)
		if (!c->held[i].seq)
			return &c->held[i];
	return NULL;
}

/* One that no step has. */
static struct held *pick(struct client *c)
{
	struct held *h = &c->held[below(SEQS)];

	return h->seq && !h->flight ? h : NULL;
}

static void check_text(const struct held *h)
{
	int32_t tokens[CTX + 1];
	size_t n = accel_seq_tokens(h->seq, 0, tokens, CTX + 1);

	if (n != h->text.n || accel_seq_length(h->seq) != n)
		finding("a sequence has %zu tokens, not %u", n, h->text.n);
	for (size_t i = 0; i < n; i++)
		if (tokens[i] != h->text.tokens[i])
			finding("token %zu is %d, not %d", i, tokens[i], h->text.tokens[i]);
}

static void made(struct held *h, struct place *p, struct accel_seq *seq, const struct held *like, uint32_t n)
{
	*h = (struct held) { .seq = seq, .place = p };
	if (like) {
		h->text = like->text;
		h->skipped = like->skipped;
	}
	h->text.n = n;
	check_text(h);
}

static void op_new(struct client *c)
{
	struct place *p = &c->places[below(c->n_places)];
	struct held *h = free_entry(c);
	struct accel_seq *seq;

	if (!h)
		return;
	if (accel_seq_new(p->engine, &seq))
		finding("no sequence: %s", accel_error());
	made(h, p, seq, NULL, 0);
}

/* Also of those that are in a step, which then ends it. */
static void op_free(struct client *c)
{
	struct held *h = &c->held[below(SEQS)];

	if (!h->seq || h->freed)
		return;
	if (h->flight && !one_in(4))
		return;
	accel_seq_free(h->seq);
	if (h->flight)
		h->freed = true;
	else
		h->seq = NULL;
}

/* What is asked of a sequence that a step has: it is refused. */
static void op_busy(struct client *c)
{
	struct held *h = &c->held[below(SEQS)];
	struct accel_seq *seq;

	if (!h->seq || !h->flight || h->freed || accel_step_wait(h->flight->step, 0) != -EAGAIN)
		return;
	if (accel_seq_fork(h->seq, 0, &seq) && seq)
		finding("a fork that failed");
	else
		accel_seq_free(seq);
}

static void op_fork(struct client *c)
{
	struct held *h = pick(c), *to = free_entry(c);
	struct accel_seq *seq;
	uint32_t n;
	int err;

	if (!h || !to)
		return;
	n = below(h->text.n + 2);
	err = accel_seq_fork(h->seq, n, &seq);
	if (err != (n > h->text.n ? -EINVAL : 0) || !err != !!seq)
		finding("a fork at %u of %u: %d", n, h->text.n, err);
	if (!err)
		made(to, h->place, seq, h, n);
}

static void op_trim(struct client *c)
{
	struct held *h = pick(c);
	uint32_t n;
	int err;

	if (!h)
		return;
	n = below(h->text.n + 2);
	err = accel_seq_trim(h->seq, n);
	if (err != (n > h->text.n ? -EINVAL : 0))
		finding("cut at %u of %u: %d", n, h->text.n, err);
	if (!err)
		h->text.n = n;
	check_text(h);
}

static uint32_t same(const struct text *a, const struct text *b)
{
	uint32_t n = 0;

	while (n < a->n && n + 1 < b->n && a->tokens[n] == b->tokens[n])
		n++;
	return n;
}

static void op_prefix(struct client *c)
{
	struct held *h = pick(c), *to = free_entry(c), from = { 0 };
	uint32_t most = 0, n;
	struct accel_seq *seq;
	struct text t;

	if (!h || !to || h->skipped)
		return;
	t = h->text;
	if (t.n && one_in(2))
		t.tokens[below(t.n)] = below(VOCAB);
	for (int i = 0; i < SEQS; i++)
		if (c->held[i].seq && !c->held[i].flight && c->held[i].place == h->place &&
		    same(&c->held[i].text, &t) > most)
			most = same(&c->held[i].text, &t);
	if (accel_seq_prefix(h->place->engine, t.tokens, t.n, &seq, &n))
		finding("no prefix: %s", accel_error());
	/* Of a sequence that was in a step a moment ago it may have more. */
	if (n < most || (n && n >= t.n))
		finding("%u tokens are the same, and %u were there", n, most);
	from.text = t;
	from.skipped = true;		/* whose it is, is not known */
	for (int i = 0; i < SEQS; i++)
		if (c->alone && c->held[i].seq && c->held[i].skipped)
			goto unknown;
	from.skipped = !c->alone;
unknown:
	made(to, h->place, seq, &from, n);
}

static void op_skip(struct client *c)
{
	struct held *h = pick(c);
	uint32_t n = 1 + below(6);
	int err;

	if (!h || !one_in(4))
		return;
	err = accel_seq_skip(h->seq, n);
	if (err && err != -ENOSPC)
		finding("%u are not skipped: %d, %s", n, err, accel_error());
	if (!err && h->text.n + n > CTX)
		finding("%u more than there is room for", n);
	for (uint32_t i = 0; !err && i < n; i++)
		h->text.tokens[h->text.n++] = -1;
	h->skipped |= !err;
	check_text(h);
}

/* ---- files ---- */

/* Changes a file of so many bytes; true: it is another one now. */
static bool damage(int fd, size_t size)
{
	size_t at = one_in(2) ? below(size < 64 ? size : 64) : below(size);
	uint8_t byte, was;

	if (one_in(4))
		return !ftruncate(fd, at);
	if (pread(fd, &was, 1, at) != 1)
		return false;
	byte = one_in(2) ? was ^ 1u << below(8) : below(256);
	return pwrite(fd, &byte, 1, at) == 1 && byte != was;
}

static bool may_fail(const struct place *p, int err)
{
	return p->strict && p->hurt &&
	       (err == -EFAULT || err == -EIO || err == -ETIME || err == -ENODEV || err == -ECANCELED);
}

static void op_file(struct client *c)
{
	struct held *h = pick(c), *to = free_entry(c);
	int fd = memfd_create("sequence", MFD_CLOEXEC), err;
	struct accel_seq *seq;
	struct place *p;
	bool bad;
	off_t size;

	if (fd < 0)
		abort();
	if (!h || !to)
		goto out;
	p = &c->places[below(c->n_places)];
	err = accel_seq_save(h->seq, fd);
	if (err) {
		if (!may_fail(h->place, err) && err != -ENOSPC)
			finding("not saved: %d, %s", err, accel_error());
		goto out;
	}
	size = lseek(fd, 0, SEEK_CUR);
	bad = one_in(2) && damage(fd, size);
	lseek(fd, 0, SEEK_SET);
	err = accel_seq_load(p->engine, fd, &seq);
	done_loads++;
	if (bad ? !err : err && err != -ENOSPC)
		finding("a %s file: %d, %s", bad ? "damaged" : "good", err, accel_error());
	if (!err != !!seq || (err && !*accel_error()))
		finding("an error without an error");
	if (!err && lseek(fd, 0, SEEK_CUR) != size)
		finding("%lld bytes of %lld were read", (long long)lseek(fd, 0, SEEK_CUR), (long long)size);
	if (!err)
		made(to, p, seq, h, h->text.n);
out:
	close(fd);
}

/* ---- steps ---- */

static bool larger(const float *logits, int32_t a, int32_t b)
{
	return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
}

/* Results of input k, whose sequence has its tokens already. */
static void check_results(const struct accel_step *step, const struct flight *f, size_t k)
{
	const struct held *h = f->held[k];
	const struct accel_input *in = &f->in[k];
	float right[CTX * VOCAB];
	const float *logits, *values;
	const int32_t *ids;
	uint32_t rows, top;

	logits = accel_step_logits(step, k, &rows);
	top = accel_step_top(step, k, &ids, &values);
	if (rows != (in->want == ACCEL_WANT_ALL ? in->n : in->want == ACCEL_WANT_LAST) || !rows != !logits ||
	    top != (in->want == ACCEL_WANT_TOP ? in->top : 0))
		finding("%u rows and %u of the largest, that was not asked for", rows, top);
	if (h->skipped || !(rows || top))
		return;
	expect(h->place, &h->text, rows ? rows : 1, right);
	done_rows += rows + !!top;
	if (rows && memcmp(logits, right, rows * VOCAB * sizeof(*right)))
		finding("other bits after %u tokens", h->text.n);
	for (uint32_t i = 0; i < top; i++)
		if (memcmp(&values[i], &right[ids[i]], sizeof(*right)) || (i && !larger(right, ids[i - 1], ids[i])))
			finding("largest %u of %u is another", i, top);
}

static void ended(struct client *c, struct flight *f, int err)
{
	const struct place *p = f->held[0]->place;

	(void)c;
	done_steps++;
	done_failed += err != 0;
	if (err && !(err == -ENOSPC || (err == -ECANCELED && f->cancelled) || (err == -ETIMEDOUT && f->deadline) ||
		     may_fail(p, err)))
		finding("a step fails: %d, %s", err, accel_error());
	if (err && !*accel_error())
		finding("a step fails without a word: %d", err);
	for (size_t k = 0; k < f->n; k++) {
		struct held *h = f->held[k];

		h->flight = NULL;
		if (!err) {
			memcpy(h->text.tokens + h->text.n, f->tokens[k], f->in[k].n * sizeof(int32_t));
			h->text.n += f->in[k].n;
		}
		if (!err && f->step)
			check_results(f->step, f, k);
		if (h->freed)
			*h = (struct held) { 0 };
		else
			check_text(h);
	}
}

/* Some tokens for some sequences. */
static bool make_inputs(struct client *c, struct flight *f)
{
	struct place *p = &c->places[below(c->n_places)];
	size_t most = 1 + below(INPUTS);

	*f = (struct flight) { 0 };
	for (uint32_t i = 0, from = below(SEQS); i < SEQS && f->n < most; i++) {
		struct held *h = &c->held[(from + i) % SEQS];
		uint32_t room = CTX - h->text.n;

		if (!h->seq || h->flight || h->place != p || !room)
			continue;
		f->held[f->n] = h;
		f->in[f->n] = (struct accel_input) {
			.sz = sizeof(struct accel_input),
			.seq = h->seq, .tokens = f->tokens[f->n], .want = below(4), .top = 1 + below(VOCAB),
			.n = one_in(2) ? 1 : 1 + below(room),
		};
		/* few different ones, so that some begin alike */
		for (uint32_t k = 0; k < f->in[f->n].n; k++)
			f->tokens[f->n][k] = one_in(8) ? below(VOCAB) : (h->text.n + k) % VOCAB;
		f->n++;
	}
	return f->n;
}

static struct accel_step_opts step_opts(struct flight *f)
{
	struct accel_step_opts o = { .sz = sizeof(o) };

	f->deadline = one_in(8);
	if (f->deadline)
		o.deadline_ns = (int64_t)(seconds_now() * 1e9) + below(3000000) - 10000;
	return o;
}

static void op_run(struct client *c)
{
	struct accel_step_opts o;
	struct flight f;
	int err;

	if (!make_inputs(c, &f))
		return;
	o = step_opts(&f);
	err = accel_step_run(f.held[0]->place->engine, f.in, f.n, &o, one_in(4) ? NULL : &f.step);
	if (err && f.step)
		finding("a step that failed");
	ended(c, &f, err);
	accel_step_free(f.step);
}

static void op_submit(struct client *c)
{
	struct flight *f = &c->flights[below(STEPS)];
	struct accel_step_opts o;
	int err;

	if (f->step || !make_inputs(c, f))
		return;
	o = step_opts(f);
	err = accel_step_submit(f->held[0]->place->engine, f->in, f->n, &o, &f->step);
	if (err || !f->step)
		finding("not submitted: %d, %s", err, accel_error());
	for (size_t k = 0; k < f->n; k++)
		f->held[k]->flight = f;
}

static void op_wait(struct client *c, bool all)
{
	struct flight *f = &c->flights[below(STEPS)];
	const int64_t until[] = { 0, INT64_MAX, (int64_t)(seconds_now() * 1e9) + 100000 };
	int err;

	if (!f->step)
		return;
	if (one_in(6)) {
		f->cancelled = true;
		accel_step_cancel(f->step);
	}
	err = accel_step_wait(f->step, all ? INT64_MAX : until[below(3)]);
	if (err == -EAGAIN) {
		accel_step_logits(f->step, 0, NULL);
		return;
	}
	if (err && strcmp(accel_step_error(f->step), accel_error()))
		finding("\"%s\" and \"%s\"", accel_step_error(f->step), accel_error());
	ended(c, f, err);
	accel_step_free(f->step);
	f->step = NULL;
}

/* Freed before it has ended: it may have been computed or not, its sequences tell. */
static void op_drop(struct client *c)
{
	struct flight *f = &c->flights[below(STEPS)];
	bool grown;

	if (!f->step || !one_in(3))
		return;
	accel_step_free(f->step);
	f->step = NULL;
	f->cancelled = true;
	for (size_t k = 0; k < f->n; k++)
		if (!f->held[k]->freed) {
			grown = accel_seq_length(f->held[k]->seq) != f->held[k]->text.n;
			if (!grown)
				for (size_t i = 0; i < f->n; i++)
					f->in[i].n = 0;
			break;
		}
	ended(c, f, 0);
}

/* What must be refused, and change nothing. */
static void op_wrong(struct client *c)
{
	struct accel_step *step;
	struct flight f;
	int err, right = -EINVAL;

	if (!make_inputs(c, &f))
		return;
	switch (below(6)) {
	case 0:
		f.tokens[f.n - 1][f.in[f.n - 1].n - 1] = one_in(2) ? -1 - (int32_t)below(9) : VOCAB + (int32_t)below(9);
		break;
	case 1:
		f.in[0].n = 0;
		break;
	case 2:
		f.in[f.n - 1].want = 4 + below(100);
		break;
	case 3:
		f.in[0].reserved = 1;
		break;
	case 4:
		if (f.n < 2)
			return;
		f.in[1].seq = f.in[0].seq;
		break;
	default:
		f.in[0].want = ACCEL_WANT_TOP;
		f.in[0].top = one_in(2) ? 0 : VOCAB + 1;
	}
	err = one_in(2) ? accel_step_run(f.held[0]->place->engine, f.in, f.n, NULL, &step) :
	      accel_step_submit(f.held[0]->place->engine, f.in, f.n, NULL, &step);
	if (err != right || step)
		finding("what is wrong gives %d, %s", err, accel_error());
	for (size_t k = 0; k < f.n; k++)
		check_text(f.held[k]);
}

static void op_look(struct client *c)
{
	struct place *p = &c->places[below(c->n_places)];
	struct accel_engine_stats st = { .sz = sizeof(st) };
	struct accel_layer l = { .sz = sizeof(l) };
	uint32_t n = 0;

	if (accel_engine_stats(p->engine, &st) || st.pages_used > st.pages || st.stream_writes)
		finding("figures that cannot be");
	for (uint32_t i = 0; i < models[p->model]->n_layers; i++)
		n += !accel_engine_layer(p->engine, i, &l) && l.device >= 0;
	if (c->alone && !p->hurt && n != st.layers_device)
		finding("%u layers, and %u, are on a processor", n, st.layers_device);
	if (!p->hurt && st.fallbacks)
		finding("a fallback from a good processor: %s", st.fallback_reason);
	if (accel_engine_fd(p->engine) < 0)
		finding("no descriptor: %s", accel_error());
}

/* The first of them take until the timeout. */
#define LONG 4

static void op_hurt(struct client *c)
{
	static const char *const lines[] = {
		"hang ring 0", "hold ring 0", "drop-irq 0 1", "fail-reset ring 0 1", "fault 0", "fault 1",
		"remove", "restore", "corrupt-wb 0 xor 1", "device-error 3", "hold ring 0 off", "hang ring 0 off",
	};
	struct place *p = &c->places[below(c->n_places)];
	char reply[256];
	size_t line;

	if (few || !p->dev || !one_in(8))
		return;
	p->hurt = true;
	line = below(sizeof(lines) / sizeof(lines[0]) - LONG * !p->hasty) + LONG * !p->hasty;
	accel_dev_control(p->dev, lines[line], reply, sizeof(reply));
}

static void play(struct client *c, uint32_t steps)
{
	for (uint32_t i = 0; i < steps && random_more(); i++) {
		switch (below(16)) {
		case 0 ... 1: op_new(c); break;
		case 2: op_free(c); break;
		case 3: op_fork(c); break;
		case 4: op_trim(c); break;
		case 5: op_prefix(c); break;
		case 6: op_skip(c); break;
		case 7: op_file(c); break;
		case 8 ... 9: op_run(c); break;
		case 10 ... 11: op_submit(c); break;
		case 12: op_wait(c, false); break;
		case 13: op_drop(c); op_busy(c); break;
		case 14: op_wrong(c); op_look(c); break;
		default: op_hurt(c); op_wait(c, true);
		}
	}
	for (int i = 0; i < STEPS; i++) {
		accel_step_free(c->flights[i].step);
		c->flights[i].step = NULL;
	}
	for (int i = 0; i < SEQS; i++)
		if (!c->held[i].freed)
			accel_seq_free(c->held[i].seq);
}

static void *play_in_thread(void *arg)
{
	struct client *c = arg;

	random_state = c->random;
	play(c, PROGRAM);
	return NULL;
}

static void program(uint32_t threads)
{
	static struct client clients[MAX_THREADS];
	pthread_t id[MAX_THREADS];
	struct place places[2];
	uint32_t n = 1 + below(2);

	for (uint32_t i = 0; i < n; i++)
		place_new(&places[i], i ? &places[0] : NULL);
	for (uint32_t i = 0; i < (threads ? threads : 1); i++)
		clients[i] = (struct client) {
			.places = places, .n_places = n, .alone = !threads, .random = any() | 1,
		};
	for (uint32_t i = 0; i < threads; i++)
		pthread_create(&id[i], NULL, play_in_thread, &clients[i]);
	for (uint32_t i = 0; i < threads; i++)
		pthread_join(id[i], NULL);
	if (!threads)
		play(&clients[0], PROGRAM);
	for (uint32_t i = 0; i < n; i++)
		place_free(&places[i]);
	done_programs++;
}

int main(int argc, char **argv)
{
	uint32_t threads = argc > 3 ? atoi(argv[3]) : 0;

	random_begin(argc, argv);
	threads = threads < MAX_THREADS ? threads : MAX_THREADS;
	crowd = threads;
#ifdef __SANITIZE_THREAD__
	few = true;
#endif
	make_models();
	while (random_more())
		program(threads);
	for (int i = 0; i < MODELS; i++)
		for (int k = 0; k < KV_TYPES; k++) {
			accel_engine_free(references[i][k].engine);
			accel_plan_free(references[i][k].plan);
		}
	without_memory(models[1]);
	without_memory(models[3]);
	accel_model_free(models[0]);
	accel_model_free(models[2]);
	printf("%lu programs of %u threads: %lu steps, %lu failed as they may, %lu rows compared, %lu files loaded, seed %llu\n",
	       done_programs, threads, done_steps, done_failed, done_rows, done_loads,
	       (unsigned long long)random_seed);
	return 0;
}
