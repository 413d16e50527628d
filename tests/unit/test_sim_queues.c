// SPDX-License-Identifier: MIT
/* The in-process door: queues and their jobs, and whose turn it is. */
#include "cpu_time.h"
#include "inproc_bench.h"

static void test_submit(struct bench *b)
{
	uint64_t seq, last = 0;
	int bad = 0;

	ok(submit(b->q, CODE + 8, 16, 0, &seq) == -EINVAL &&
	   submit(b->q, CODE, 15, 0, &seq) == -EINVAL &&
	   submit(b->q, CODE, 0, 0, &seq) == -EINVAL &&
	   submit(b->q, CODE, OCTANS_CMD_MAX + 16, 0, &seq) == -EINVAL,
	   "crooked jobs are refused");
	ok(octans_inproc_wait(b->q, 0, 0) == -EINVAL && octans_inproc_wait(b->q, 1000000, 0) == -EINVAL,
	   "so is waiting for a job that is not there");
	/* Each job copies what the one before it wrote: only in order does it arrive. */
	*(uint64_t *)octans_inproc_bo_map(b->data) = 0x1234567890;
	for (int i = 0; i < 500; i++) {
		uint64_t va = put_copy(b, i, DATA + (i + 1) * 64, DATA + i * 64, 8);

		if (submit(b->q, va, 48, i, &seq) || (last && seq != last + 1))
			bad++;
		last = seq;
	}
	ok(!bad, "500 jobs at once, numbered in order");
	ok(!octans_inproc_wait(b->q, last, INT64_MAX) &&
	   ((uint64_t *)octans_inproc_bo_map(b->data))[500 * 8] == 0x1234567890,
	   "a queue keeps its order");
	ok(!octans_inproc_wait(b->q, last, 0) && !octans_inproc_wait(b->q, last, -1),
	   "asking after the end");
}

struct client {
	struct octans_inproc *dev;
	int failed;
	unsigned char mark;
};

static void *client_main(void *arg)
{
	struct client *c = arg;
	struct bench b = { .dev = c->dev };

	if (octans_inproc_bo_new(b.dev, 0x10000, false, &b.code) ||
	    octans_inproc_bo_new(b.dev, 0x10000, c->mark & 1, &b.data) ||
	    octans_inproc_vm_new(b.dev, &b.vm) ||
	    octans_inproc_vm_map(b.vm, b.code, 0, CODE, 0x10000, true) ||
	    octans_inproc_vm_map(b.vm, b.data, 0, DATA, 0x10000, false) ||
	    octans_inproc_queue_new(b.vm, c->mark % 3, 0, &b.q)) {
		c->failed = -1;
		return NULL;
	}
	memset(octans_inproc_bo_map(b.data), c->mark, 0x1000);
	for (int i = 0; i < 300; i++) {
		unsigned char *p = octans_inproc_bo_map(b.data);

		memset(p + 0x1000, 0, 0x1000);
		if (run(b.q, put_copy(&b, 0, DATA + 0x1000, DATA, 0x1000), 48) ||
		    memcmp(p, p + 0x1000, 0x1000))
			c->failed++;
		if (i % 50 == 0 && (octans_inproc_vm_unmap(b.vm, DATA + 0x2000, 0x1000) ||
				    octans_inproc_vm_map(b.vm, b.data, 0x2000, DATA + 0x2000, 0x1000,
							 false)))
			c->failed++;
	}
	octans_inproc_queue_free(b.q);
	octans_inproc_vm_free(b.vm);
	octans_inproc_bo_free(b.code);
	octans_inproc_bo_free(b.data);
	return NULL;
}

static void test_clients(struct bench *b)
{
	struct client c[6];
	pthread_t t[6];

	for (int i = 0; i < 6; i++) {
		c[i] = (struct client) { b->dev, 0, 0x80 + i };
		pthread_create(&t[i], NULL, client_main, &c[i]);
	}
	for (int i = 0; i < 6; i++) {
		pthread_join(t[i], NULL);
		ok(!c[i].failed, "client %d of 6 at once, 300 jobs: %d wrong", i, c[i].failed);
	}
}

static void test_params(struct bench *b)
{
	struct octans_cmd_move *c = octans_inproc_bo_map(b->code);
	uint32_t *data = octans_inproc_bo_map(b->data);
	struct octans_inproc_job jobs[OCTANS_INPROC_MAX_JOBS + 1];
	struct octans_inproc_queue *q;
	struct octans_inproc_fault f;
	uint64_t seq, last;
	bool good = true;

	/* One stream: copy p[0] rows of 64 bytes from row p[1] on, to row p[2] on. */
	*c = (struct octans_cmd_move) {
		.cmd = { .op = OCTANS_OP_MOVE, .size = sizeof(*c) },
		.src = tensor(DATA, OCTANS_TYPE_I32, 256, 16, 64, OCTANS_DYN(0, 1)),
		.dst = tensor(DATA + 0x10000, OCTANS_TYPE_I32, 256, 16, 64, OCTANS_DYN(0, 2)),
	};
	memset(data, 0, 0x40000);
	for (int i = 0; i < 256; i++)
		data[i * 16] = 1000 + i;
	for (uint32_t i = 0; i < OCTANS_INPROC_MAX_JOBS; i++) {
		uint32_t *p = data + 0x20000 / 4 + i * 3;

		p[0] = 1 + i % 3;
		p[1] = i * 3;
		p[2] = i * 4;
		jobs[i] = (struct octans_inproc_job) {
			.va = CODE, .size = sizeof(*c), .tag = i,
			.param_va = DATA + 0x20000 + i * 12, .param_count = 3,
		};
	}
	jobs[OCTANS_INPROC_MAX_JOBS] = jobs[0];
	octans_inproc_queue_new(b->vm, 0, 0, &q);
	ok(!octans_inproc_submit(q, jobs, OCTANS_INPROC_MAX_JOBS, &seq) && seq == 64 &&
	   !octans_inproc_wait(q, seq, INT64_MAX), "64 jobs in one call, one stream, own parameters");
	for (uint32_t i = 0; i < OCTANS_INPROC_MAX_JOBS; i++)
		for (uint32_t row = 0; row < 4; row++)
			good &= data[0x10000 / 4 + (i * 4 + row) * 16] ==
				(row < 1 + i % 3 ? 1000 + i * 3 + row : 0);
	ok(good, "each did what its parameters say");

	last = seq;
	memset(data + 0x10000 / 4, 0, 0x10000);
	ok(octans_inproc_submit(q, jobs, 0, &seq) == -EINVAL &&
	   octans_inproc_submit(q, jobs, OCTANS_INPROC_MAX_JOBS + 1, &seq) == -EINVAL,
	   "none and 65 are refused");
	for (int bad = 0; bad < 6; bad++) {
		struct octans_inproc_job j = jobs[63];

		switch (bad) {
		case 0: j.param_count = 65; break;
		case 1: j.param_va += 2; break;
		case 2: j.param_count = 0; break;
		case 3: j.param_va = (1ULL << 48) - 8; break;
		case 4: j.size = 8; break;
		case 5: j.va += 4; break;
		}
		jobs[63] = j;
		ok(octans_inproc_submit(q, jobs, 64, &seq) == -EINVAL, "crooked job %d is refused", bad);
		jobs[63] = jobs[64];
	}
	usleep(20000);
	ok(!data[0x10000 / 4] && !octans_inproc_submit(q, jobs, 1, &seq) && seq == last + 1 &&
	   !octans_inproc_wait(q, seq, INT64_MAX) && data[0x10000 / 4] == 1000,
	   "and with it those before it");

	jobs[1].param_va = DATA + (900 << 20);
	octans_inproc_submit(q, jobs, 3, &seq);
	ok(!octans_inproc_wait(q, seq - 2, INT64_MAX) &&
	   octans_inproc_wait(q, seq - 1, INT64_MAX) == -EFAULT &&
	   octans_inproc_wait(q, seq, INT64_MAX) == -ECANCELED, "a fault ends the jobs behind it");
	ok(octans_inproc_vm_fault(b->vm, &f) == 1 && f.va == DATA + (900 << 20) && f.tag == 1 &&
	   !f.cmd_offset && !f.write, "parameters that are not mapped are in the log");
	octans_inproc_queue_free(q);
}

/* A long timeout is for jobs that are long, not for those that hang. */
static void test_standstill(struct bench *b)
{
	uint64_t va = put_copy(b, 0, DATA + 0x1000, DATA, 64);
	unsigned int patience = b->dev->patience;
	struct octans_inproc_queue *q;
	int64_t start = now_ns();
	int ret;

	for (int i = 1; i < 40; i++)
		put_copy(b, i, DATA + 0x1000, DATA, 64);
	b->dev->patience = 4;
	octans_inproc_queue_new(b->vm, 0, 600000, &q);
	control(b->dev, "slow 0 10000");
	ok(!run(q, va, 40 * 48) && now_ns() - start >= 400000000, "a job that takes long comes to its end");
	control(b->dev, "slow 0 0");
	control(b->dev, "hang 0");
	start = now_ns();
	ret = run(q, va, 48);
	start = now_ns() - start;
	ok(ret == -ETIME && start >= 200000000, "one that stands still is stopped after %lld ms",
	   (long long)start / 1000000);
	b->dev->patience = patience;
	octans_inproc_queue_free(q);
	ok(octans_inproc_queue_new(b->vm, 0, 600001, &q) == -EINVAL, "and 600 s are the limit");
}

static void test_hog(struct bench *b)
{
	struct octans_inproc_queue *hog[8];
	struct bench v = { .dev = b->dev };
	int64_t start, worst = 0;
	uint64_t va = put_copy(b, 0, DATA + 0x1000, DATA, 64), seq;
	char line[32];
	int bad = 0;

	octans_inproc_bo_new(v.dev, 0x10000, false, &v.code);
	octans_inproc_vm_new(v.dev, &v.vm);
	octans_inproc_vm_map(v.vm, v.code, 0, CODE, 0x10000, false);
	octans_inproc_queue_new(v.vm, 0, 0, &v.q);
	put_copy(&v, 0, CODE + 0x1000, CODE, 64);
	for (int r = 0; r < 3; r++) {
		snprintf(line, sizeof(line), "hang %d", r);
		control(b->dev, line);
	}
	for (int i = 0; i < 8; i++) {
		octans_inproc_queue_new(b->vm, 0, 60000, &hog[i]);
		for (int k = 0; k < 20; k++)
			submit(hog[i], va, 48, 0, &seq);
	}
	for (int i = 0; i < 20; i++) {
		start = now_ns();
		bad += !!run(v.q, CODE, 48);
		worst = now_ns() - start > worst ? now_ns() - start : worst;
	}
	ok(!bad && worst < BY_ITSELF, "8 queues of jobs that never end leave another client a ring: %lld us",
	   (long long)worst / 1000);
	for (int i = 0; i < 8; i++)
		octans_inproc_queue_free(hog[i]);
	for (int r = 0; r < 4; r++) {
		snprintf(line, sizeof(line), "hang %d off", r);
		control(b->dev, line);
	}
	ok(!run(b->q, va, 48) && !run(v.q, CODE, 48), "and all goes on without them");
	octans_inproc_queue_free(v.q);
	octans_inproc_vm_free(v.vm);
	octans_inproc_bo_free(v.code);
}

/* 64 jobs that say when they ran, in words first .. first + 63 of the data. */
static void timed_jobs(struct bench *b, unsigned int first, struct octans_inproc_job jobs[64])
{
	struct octans_cmd_signal *code = octans_inproc_bo_map(b->code);

	for (unsigned int i = first; i < first + 64; i++) {
		code[i] = (struct octans_cmd_signal) {
			.cmd = { .op = OCTANS_OP_SIGNAL, .flags = OCTANS_SIGNAL_TIME,
				 .size = sizeof(*code) },
			.va = DATA + 8 * i,
		};
		jobs[i - first] = (struct octans_inproc_job) {
			.va = CODE + i * sizeof(*code), .size = sizeof(*code),
		};
	}
}

/* Clients take turns, however many queues and jobs one has. */
static void test_turns(void)
{
	struct octans_inproc_queue *many[4], *one;
	struct octans_inproc_job jobs[64];
	unsigned int between[4] = { 0 };
	struct octans_inproc_vm *vm;
	uint64_t seq[4], last, *time;
	struct bench b;

	bench_new(&b, "rings=1");
	octans_inproc_vm_new(b.dev, &vm);
	octans_inproc_vm_map(vm, b.code, 0, CODE, 0x10000, true);
	octans_inproc_vm_map(vm, b.data, 0, DATA, 8 << 20, false);
	octans_inproc_queue_new(vm, 0, 0, &one);
	control(b.dev, "slow 0 100");
	for (int i = 0; i < 4; i++) {
		octans_inproc_queue_new(b.vm, 0, 0, &many[i]);
		timed_jobs(&b, 64 * i, jobs);
		octans_inproc_submit(many[i], jobs, 64, &seq[i]);
	}
	timed_jobs(&b, 256, jobs);
	octans_inproc_submit(one, jobs, 64, &last);
	ok(!octans_inproc_wait(one, last, INT64_MAX), "64 jobs beside 256 of another client");
	for (int i = 0; i < 4; i++)
		octans_inproc_wait(many[i], seq[i], INT64_MAX);
	time = octans_inproc_bo_map(b.data);
	for (int i = 0; i < 256; i++)
		between[i / 64] += time[i] > time[256] && time[i] < time[319];
	/* Unless they were over before. */
	ok(between[0] + between[1] + between[2] + between[3] <= 64 && between[0] <= 17 &&
	   between[1] <= 17 && between[2] <= 17 && between[3] <= 17,
	   "in the meantime his queues had %u + %u + %u + %u turns", between[0], between[1], between[2],
	   between[3]);
	for (int i = 0; i < 4; i++)
		octans_inproc_queue_free(many[i]);
	octans_inproc_queue_free(one);
	octans_inproc_vm_free(vm);
	bench_free(&b);
}

/* One legal command that walks 16 million pages, far apart: nobody else may notice. */
static void test_attack(void)
{
	const uint32_t positions = 7990;
	const uint64_t k = 0x10000000000ULL, stride = M2 + 0x7000, v = k + 8192 * stride;
	struct octans_cmd_attend *c;
	struct octans_inproc_queue *q;
	struct octans_inproc_bo *bo;
	double t, worst_job = 0, worst_unmap = 0;
	int64_t start;
	struct bench a, b = { 0 };
	uint64_t seq, nop[2] = { OCTANS_OP_NOP | 16ULL << 32 };
	int bad = 0, n = 0, result;

	bench_new(&a, "local=512M");
	octans_inproc_bo_new(a.dev, positions * 2 * K4, true, &bo);
	for (uint32_t i = 0; i < positions; i++) {
		octans_inproc_vm_map(a.vm, bo, i * 2 * K4, k + i * stride, K4, false);
		octans_inproc_vm_map(a.vm, bo, i * 2 * K4 + K4, v + i * stride, K4, false);
	}
	c = octans_inproc_bo_map(a.code);
	*c = (struct octans_cmd_attend) {
		.cmd = { .op = OCTANS_OP_ATTEND, .size = sizeof(*c) },
		.dst = tensor(DATA, OCTANS_TYPE_F32, 1, 1024, 4096, 0),
		.q = tensor(DATA + 0x1000, OCTANS_TYPE_F32, 1, 1024, 4096, 0),
		.k = tensor(k, OCTANS_TYPE_F32, positions, 1024, stride, 0),
		.v = tensor(v, OCTANS_TYPE_F32, positions, 1024, stride, 0),
		.range = tensor(DATA + 0x2000, OCTANS_TYPE_I32, 1, 2, 8, 0),
		.heads = 1024, .kv_heads = 1024, .dk = 1, .dv = 1, .scale = 1,
	};
	((int32_t *)octans_inproc_bo_map(a.data))[0x2000 / 4 + 1] = positions;

	b.dev = a.dev;
	octans_inproc_bo_new(b.dev, 0x10000, false, &b.code);
	octans_inproc_vm_new(b.dev, &b.vm);
	octans_inproc_vm_map(b.vm, b.code, 0, CODE, 0x10000, true);
	octans_inproc_queue_new(b.vm, 0, 0, &b.q);
	memcpy(octans_inproc_bo_map(b.code), nop, sizeof(nop));
	octans_inproc_queue_new(a.vm, 0, 300, &q);
	ok(!submit(q, CODE, sizeof(*c), 0, &seq), "an attacker's command begins");
	start = now_ns();
	do {
		t = cpu_seconds();
		bad += !!run(b.q, CODE, 16);
		worst_job = cpu_seconds() - t > worst_job ? cpu_seconds() - t : worst_job;
		t = cpu_seconds();
		bad += !!octans_inproc_vm_unmap(b.vm, CODE + 0x8000, K4);
		worst_unmap = cpu_seconds() - t > worst_unmap ? cpu_seconds() - t : worst_unmap;
		bad += !!octans_inproc_vm_map(b.vm, b.code, 0x8000, CODE + 0x8000, K4, true);
		result = octans_inproc_wait(q, seq, 0);
		n++;
	} while (result == -ETIMEDOUT && now_ns() - start < 20000000000);
	ok(result == 0 || result == -ETIME, "it ends after %lld ms: %s",
	   (long long)(now_ns() - start) / 1000000, result ? strerror(-result) : "done");
	ok(!bad, "meanwhile another client has done %d jobs and invalidations, %d failed", n, bad);
	/* An attacker who does not look up is made to after a second, of which it uses all. */
	ok(worst_job < 0.5 && worst_unmap < 0.5, "within %.4f and %.4f s", worst_job, worst_unmap);
	ok(!run(b.q, CODE, 16), "and still has its processor");
	octans_inproc_queue_free(q);
	octans_inproc_queue_free(b.q);
	octans_inproc_vm_free(b.vm);
	octans_inproc_bo_free(b.code);
	octans_inproc_bo_free(bo);
	bench_free(&a);
}

int main(void)
{
	struct bench b;

	bench_new(&b, NULL);
	test_submit(&b);
	test_params(&b);
	test_clients(&b);
	test_hog(&b);
	test_standstill(&b);
	test_defined(&b);
	bench_free(&b);
	test_turns();
	test_attack();
	return done();
}
