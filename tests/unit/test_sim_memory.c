// SPDX-License-Identifier: MIT
/* The in-process door: buffers, address spaces and their page tables. */
#include "cpu_time.h"
#include "fail_alloc.h"
#include "inproc_bench.h"

static void test_open(void)
{
	static const char *const bad[] = {
		"profile=none", "local=0", "local=12x", "rings=17", "rings=", "threads=0",
		"speed=1",
		"local", "local=5000000", "rings=-1", "timing=1", "timing,rings=179",
		"threads=1025",
	};
	struct octans_inproc_info info;
	struct octans_inproc *dev;
	char err[256];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		*err = 0;
		ok(octans_inproc_open(bad[i], &dev, err, sizeof(err)) < 0 && *err,
		   "\"%s\" is refused: %s", bad[i], err);
	}
	octans_inproc_open("profile=octans-9", &dev, err, sizeof(err));
	ok(strstr(err, "\"octans-9\"") && strstr(err, "octans-1") && strstr(err, "octans-e") &&
	   strstr(err, "octans-s"), "an unknown profile is named, and so are those there are");
	octans_inproc_open("speed=1", &dev, err, sizeof(err));
	ok(strstr(err, "\"speed\"") && strstr(err, "profile, local, rings, threads, timing"),
	   "an unknown key is named, and so are those there are");
	ok(!octans_inproc_open("profile=octans-s,local=32M,rings=3,threads=2", &dev, err,
			       sizeof(err)), "a full description");
	ok(!octans_inproc_info(dev, &info) && info.rings == 3 && info.local_size == 32 << 20 &&
	   !strcmp(info.profile, "octans-s") && info.hw_version == OCTANS_VERSION_2_1 &&
	   info.page_size == 4096 && info.local_used <= 65536 && !info.timing_only &&
	   info.sram_size == 1 << 20 && info.macs_f16 == 1024 && info.max_timeout_ms == 600000,
	   "is what one gets");
	octans_inproc_close(dev);
}

static void test_buffers(void)
{
	struct octans_inproc_bo *a, *b, *c;
	struct octans_inproc_info info;
	struct octans_inproc *dev;
	char err[256], *p;
	uint64_t before;

	octans_inproc_open("local=4M", &dev, err, sizeof(err));
	octans_inproc_info(dev, &info);
	before = info.local_used;
	ok(before <= 8192, "page tables have %llu bytes of the card", (unsigned long long)before);
	ok(octans_inproc_bo_new(dev, 0, false, &a) == -EINVAL, "an empty buffer is refused");
	ok(!octans_inproc_bo_new(dev, 1, true, &a) && a->size == 4096,
	   "sizes are whole pages");
	ok(!octans_inproc_bo_new(dev, 2 << 20, true, &b), "2 MiB on the card");
	ok(octans_inproc_bo_new(dev, 2 << 20, true, &c) == -ENOSPC, "the card is full");
	octans_inproc_info(dev, &info);
	ok(info.local_used - before == (2 << 20) + 4096, "memory in use: %llu",
	   (unsigned long long)info.local_used);
	p = octans_inproc_bo_map(b);
	memset(p, 1, 2 << 20);
	octans_inproc_bo_free(b);
	ok(!octans_inproc_bo_new(dev, 2 << 20, true, &b) &&
	   !*(char *)octans_inproc_bo_map(b) && !((char *)octans_inproc_bo_map(b))[2097151],
	   "what is freed comes back zeroed");
	ok(!octans_inproc_bo_new(dev, 100 << 20, false, &c), "100 MiB of host memory");
	memset(octans_inproc_bo_map(c), 1, 4096);
	octans_inproc_bo_free(c);
	octans_inproc_bo_new(dev, 100 << 20, false, &c);
	ok(!*(char *)octans_inproc_bo_map(c), "zeroed as well");
	octans_inproc_bo_free(a);
	octans_inproc_bo_free(b);
	octans_inproc_bo_free(c);
	octans_inproc_info(dev, &info);
	ok(info.local_used == before, "all is given back");
	octans_inproc_close(dev);
}

static void test_mappings(struct bench *b)
{
	struct octans_inproc_fault f;
	struct octans_inproc_queue *q;
	uint64_t va = put_copy(b, 0, DATA + 0x100000, DATA, 0x1000);
	char *data = octans_inproc_bo_map(b->data);

	ok(octans_inproc_vm_map(b->vm, b->data, 1, DATA, 4096, false) == -EINVAL &&
	   octans_inproc_vm_map(b->vm, b->data, 0, DATA + 1, 4096, false) == -EINVAL &&
	   octans_inproc_vm_map(b->vm, b->data, 0, DATA, 0, false) == -EINVAL &&
	   octans_inproc_vm_map(b->vm, b->data, 0, DATA, 16 << 20, false) == -EINVAL &&
	   octans_inproc_vm_map(b->vm, b->data, 0, 1ULL << 48, 4096, false) == -EINVAL &&
	   octans_inproc_vm_map(b->vm, b->data, UINT64_MAX - 4095, DATA, 8192, false) == -EINVAL &&
	   octans_inproc_vm_unmap(b->vm, 4096, UINT64_MAX - 4095) == -EINVAL,
	   "crooked and overlong mappings are refused");

	memset(data, 0x42, 0x1000);
	ok(!run(b->q, va, 48) && data[0x100000] == 0x42, "a job runs");

	/* A hole in the middle of a large page: the rest still works. */
	ok(!octans_inproc_vm_unmap(b->vm, DATA + 0x101000, 0x1000), "a hole is made");
	memset(data, 0x43, 0x1000);
	ok(!run(b->q, va, 48) && data[0x100fff] == 0x43, "beside the hole all is well");
	ok(!octans_inproc_queue_new(b->vm, 0, 0, &q), "a queue to lose");
	va = put_copy(b, 1, DATA, DATA + 0x100800, 0x1000);
	ok(run(q, va, 48) == -EFAULT, "the hole faults");
	ok(octans_inproc_vm_fault(b->vm, &f) == 1 && f.va == DATA + 0x101000 &&
	   f.code == OCTANS_FAULT_UNMAPPED && !f.write && f.tag == 0x77, "and is in the log");
	ok(!octans_inproc_vm_fault(b->vm, &f), "once");
	ok(run(q, va, 48) == -ECANCELED, "its queue is banned");
	octans_inproc_queue_free(q);
	ok(!run(b->q, put_copy(b, 0, DATA + 0x100000, DATA, 0x1000), 48), "others are not");

	/* MAP replaces: the same address, now read-only and shifted by a page. */
	ok(!octans_inproc_vm_map(b->vm, b->data, 0x1000, DATA, 8 << 20 >> 1, true), "a map replaces");
	memset(data + 0x1000, 0x44, 0x1000);
	va = put_copy(b, 0, DATA + (5 << 20), DATA, 0x1000);
	ok(!run(b->q, va, 48) && data[5 << 20] == 0x44, "the new mapping counts");
	octans_inproc_queue_new(b->vm, 0, 0, &q);
	va = put_copy(b, 0, DATA, DATA + (5 << 20), 0x1000);
	ok(run(q, va, 48) == -EFAULT && octans_inproc_vm_fault(b->vm, &f) == 1 &&
	   f.code == OCTANS_FAULT_READONLY && f.write, "it is read-only");
	octans_inproc_queue_free(q);
	ok(!octans_inproc_vm_map(b->vm, b->data, 0, DATA, 8 << 20, false), "and is put back");
}

/* ---- page tables, read as the processor reads them ---- */

struct page {
	uint64_t size;		/* 0 = not mapped */
	uint64_t addr;		/* of the address asked for: bus address or on-card offset */
	bool local, write;
	bool bad;		/* against the rules of mmu.rst */
	int host_tables;	/* on the way */
};

static struct page walk(struct octans_inproc_vm *vm, uint64_t va)
{
	struct octans_inproc *dev = vm->dev;
	uint64_t entry = ((uint64_t *)inproc_host(dev, dev->asids))[vm->asid];
	struct page p = { 0 };

	for (int shift = 39; ; shift -= 9) {
		uint64_t at = entry & OCTANS_ADDR_MASK, *table;

		p.host_tables += !(entry & OCTANS_PTE_LOCAL);
		table = entry & OCTANS_PTE_LOCAL ? (void *)(dev->sim->local + at)
						 : inproc_host(dev, at - INPROC_IOVA);
		entry = table[va >> shift & 511];
		if (!(entry & OCTANS_PTE_VALID))
			return p;
		if (shift > 12 && !(entry & OCTANS_PTE_LARGE))
			continue;
		p.size = 1ULL << shift;
		at = entry & OCTANS_ADDR_MASK;
		p.bad = shift > 30 || (at & (p.size - 1)) || (shift == 12 && (entry & OCTANS_PTE_LARGE)) ||
			(shift > 12 && (entry & OCTANS_PTE_CONT));
		p.addr = at | (va & (p.size - 1));
		p.local = entry & OCTANS_PTE_LOCAL;
		p.write = entry & OCTANS_PTE_WRITE;
		if (entry & OCTANS_PTE_CONT) {
			uint64_t first = va >> 12 & 0x1f0;

			for (int i = 0; i < 16; i++)
				p.bad |= table[first + i] != (table[first] + i * K4);
			p.bad |= (table[first] & OCTANS_ADDR_MASK) % K64;
			p.size = K64;
		}
		return p;
	}
}

/* Counts pages by size; false if one is bad, missing or leads to the wrong place. */
static bool count_pages(struct octans_inproc_vm *vm, struct octans_inproc_bo *bo, uint64_t va,
			uint64_t size, unsigned int n[4])
{
	uint64_t addr = bo->local ? bo->offset : inproc_iova(bo->offset);
	bool good = true;

	memset(n, 0, 4 * sizeof(*n));
	for (uint64_t at = va; at < va + size; ) {
		struct page p = walk(vm, at);

		good &= !p.bad && p.size && p.addr == addr + (at - va) && p.local == bo->local;
		if (!p.size)
			return false;
		n[p.size == K4 ? 0 : p.size == K64 ? 1 : p.size == M2 ? 2 : 3]++;
		at += p.size - (at & (p.size - 1));
	}
	return good;
}

static void test_pages(void)
{
	uint64_t va = 5 * G1, size = 3 * G1 + M2 + K64 + K4, tables;
	struct octans_inproc_bo *bo, *small, *host;
	struct octans_inproc_vm *vm;
	struct octans_inproc *dev;
	unsigned int n[4] = { 0 };
	char err[256];
	bool good;

	octans_inproc_open(NULL, &dev, err, sizeof(err));
	octans_inproc_bo_new(dev, K4, true, &small);	/* so that nothing is aligned by chance */
	octans_inproc_bo_new(dev, size, true, &bo);
	octans_inproc_bo_new(dev, G1 + M2, false, &host);
	octans_inproc_vm_new(dev, &vm);
	tables = dev->tables.used;
	ok(walk(vm, va).host_tables == 0 && tables == K4, "the root table lies on the card");
	good = !octans_inproc_vm_map(vm, bo, 0, va, size, false) && count_pages(vm, bo, va, size, n);
	ok(good && n[3] == 3 && n[2] == 1 && n[1] == 1 && n[0] == 1,
	   "3 GiB + 2 MiB + 64 KiB + 4 KiB are %u + %u + %u + %u pages", n[3], n[2], n[1], n[0]);
	ok(dev->tables.used == tables + 3 * K4, "in %llu more tables, all on the card",
	   (unsigned long long)(dev->tables.used - tables) / K4);
	ok(!octans_inproc_vm_map(vm, host, 0, 16 * G1, G1 + M2, true) &&
	   count_pages(vm, host, 16 * G1, G1 + M2, n) && n[3] == 1 && n[2] == 1 && !n[1] && !n[0] &&
	   !walk(vm, 16 * G1).write, "host memory has large pages too");
	ok(!octans_inproc_vm_unmap(vm, va + G1 + 7 * M2 + 3 * K64 + K4, K4) &&
	   !walk(vm, va + G1 + 7 * M2 + 3 * K64 + K4).size, "a hole in a page of 1 GiB");
	good = count_pages(vm, bo, va, G1 + 7 * M2 + 3 * K64 + K4, n);
	ok(good && n[3] == 1 && n[2] == 7 && n[1] == 3 && n[0] == 1, "what is before it is as it was");
	{
		struct octans_inproc_bo rest = *bo;
		uint64_t from = G1 + 7 * M2 + 3 * K64 + 2 * K4;

		rest.offset += from;
		good = count_pages(vm, &rest, va + from, size - from, n);
	}
	ok(good && n[3] == 1 && n[2] == 504 + 1 && n[1] == 28 + 1 && n[0] == 14 + 1,
	   "what is behind it, too: %u + %u + %u + %u", n[3], n[2], n[1], n[0]);
	octans_inproc_vm_unmap(vm, 0, 1ULL << 48);
	ok(dev->tables.used == tables && !walk(vm, va).size, "without mappings there are no tables");
	octans_inproc_vm_map(vm, bo, K4, va, G1, false);
	ok(walk(vm, va).size == K4 && !walk(vm, va).bad && walk(vm, va).addr == bo->offset + K4,
	   "crooked offsets have small pages");
	octans_inproc_vm_free(vm);
	ok(!dev->tables.used, "an address space leaves no tables");
	octans_inproc_bo_free(bo);
	octans_inproc_bo_free(small);
	octans_inproc_bo_free(host);
	octans_inproc_close(dev);
}

/* Random changes of 4 GiB of addresses against an array that says what is where. */
static void test_random_maps(void)
{
	enum { PAGES = 1 << 20 };
	uint64_t *is = calloc(PAGES, sizeof(*is)), rnd = 88172645463325252ULL;
	struct octans_inproc_bo *bo[2];
	struct octans_inproc_vm *vm;
	struct octans_inproc *dev;
	int bad = 0, refused = 0;
	char err[256];

	octans_inproc_open(NULL, &dev, err, sizeof(err));
	octans_inproc_bo_new(dev, 3 * G1, true, &bo[0]);
	octans_inproc_bo_new(dev, 3 * G1, false, &bo[1]);
	octans_inproc_vm_new(dev, &vm);
	for (int i = 0; i < 400; i++) {
		unsigned int shift[] = { 0, 0, 4, 9, 9, 18 }, unit;
		uint64_t va, size, offset;
		struct octans_inproc_bo *b;

		rnd ^= rnd << 13, rnd ^= rnd >> 7, rnd ^= rnd << 17;
		unit = shift[rnd % 6];
		b = bo[rnd >> 8 & 1];
		va = (rnd >> 10) % PAGES >> unit << unit;
		size = 1 + (rnd >> 31) % (600 << unit > PAGES ? PAGES : 600 << unit);
		if (rnd >> 62)
			size = (size >> unit << unit) + !(size >> unit);
		size = size > PAGES - va ? PAGES - va : size > 3 * (G1 / K4) ? 3 * (G1 / K4) : size;
		offset = ((rnd >> 20) % (3 * (G1 / K4) - size + 1)) >> unit << unit;
		if (rnd >> 9 & 1) {
			refused += !!octans_inproc_vm_map(vm, b, offset * K4, va * K4, size * K4, false);
			for (uint64_t p = 0; p < size; p++)
				is[va + p] = (b->local ? b->offset | 1 : inproc_iova(b->offset)) +
					     (offset + p) * K4;
		} else {
			refused += !!octans_inproc_vm_unmap(vm, va * K4, size * K4);
			memset(is + va, 0, size * sizeof(*is));
		}
		for (int probe = 0; probe < 300; probe++) {
			uint64_t at = probe < 20 ? va + probe - 10 :
				      probe < 40 ? va + size + probe - 30 : probe * 3491ULL % PAGES;
			struct page p;

			if (at >= PAGES)
				continue;
			p = walk(vm, at * K4);
			bad += p.bad || (p.size ? p.addr | p.local : 0) != is[at];
		}
	}
	ok(!bad && !refused, "400 random changes: %d pages wrong, %d changes refused", bad, refused);
	octans_inproc_vm_unmap(vm, 0, 1ULL << 48);
	ok(dev->tables.used == K4, "and no table too many");
	octans_inproc_vm_free(vm);
	octans_inproc_bo_free(bo[0]);
	octans_inproc_bo_free(bo[1]);
	octans_inproc_close(dev);
	free(is);
}

static void *unmap_middle(void *arg)
{
	struct bench *b = arg;

	return (void *)(intptr_t)octans_inproc_vm_unmap(b->vm, DATA + (1 << 20), K4);
}

/* A large page in use is broken up: the job that uses the rest of it must not notice. */
static void test_break(struct bench *b)
{
	uint64_t va = put_copy(b, 0, DATA + 0x1000, DATA, 64), seq;
	pthread_t t;
	void *ret;

	for (int i = 1; i < 8; i++)
		put_copy(b, i, DATA + 0x1000 * (i + 1), DATA + 0x1000 * i, 64);
	memset(octans_inproc_bo_map(b->data), 0x5a, 64);
	ok(walk(b->vm, DATA).size == M2, "a page of 2 MiB");
	control(b->dev, "slow 0 10000");
	submit(b->q, va, 8 * 48, 0, &seq);
	usleep(15000);
	pthread_create(&t, NULL, unmap_middle, b);
	ok(!octans_inproc_wait(b->q, seq, INT64_MAX) &&
	   ((unsigned char *)octans_inproc_bo_map(b->data))[0x8000] == 0x5a,
	   "is broken up while a job uses it");
	pthread_join(t, &ret);
	control(b->dev, "slow 0 0");
	ok(!ret && walk(b->vm, DATA).size == K64 && !walk(b->vm, DATA + (1 << 20)).size,
	   "and is then small ones");
	ok(!octans_inproc_vm_map(b->vm, b->data, 0, DATA, 8 << 20, false) &&
	   walk(b->vm, DATA).size == M2, "mapped anew it is large again");
}

/* Memory may be short at any moment of a call: then nothing has happened. */
static void test_no_memory(void)
{
	uint64_t seq, va = 4 * G1, before, hole = va + G1 + 5 * K4, nop[2] = { OCTANS_OP_NOP | 16ULL << 32 };
	struct octans_inproc_job jobs[8];
	struct octans_inproc_bo *bo, *code;
	struct octans_inproc_queue *q;
	struct octans_inproc_vm *vm;
	struct octans_inproc *dev;
	unsigned int n[4] = { 0 };
	bool good = true;
	char err[256];
	long tries;
	int ret;

	if (!FAIL_ALLOC) {
		printf("# no allocations fail under a sanitizer\n");
		return;
	}
	octans_inproc_open(NULL, &dev, err, sizeof(err));
	octans_inproc_bo_new(dev, 2 * G1, true, &bo);
	octans_inproc_bo_new(dev, K4, false, &code);
	octans_inproc_vm_new(dev, &vm);
	octans_inproc_vm_map(vm, bo, 0, va, 2 * G1, false);
	octans_inproc_vm_map(vm, code, 0, CODE, K4, true);
	octans_inproc_queue_new(vm, 0, 0, &q);
	before = dev->tables.used;
	for (tries = 1; ; tries++) {
		fail_countdown = tries;
		ret = octans_inproc_vm_unmap(vm, hole, K4);
		fail_countdown = 0;
		if (!ret)
			break;
		good &= ret == -ENOMEM && count_pages(vm, bo, va, 2 * G1, n) && n[3] == 2 &&
			dev->tables.used == before;
	}
	ok(good && tries > 3 && !walk(vm, hole).size, "a hole, or nothing, %ld times", tries);
	before = dev->tables.used;
	for (tries = 1; ; tries++) {
		fail_countdown = tries;
		ret = octans_inproc_vm_map(vm, bo, K4, va, G1, false);
		fail_countdown = 0;
		if (!ret)
			break;
		good &= ret == -ENOMEM && walk(vm, va).size == G1 && dev->tables.used == before;
	}
	ok(good && tries > 500 && walk(vm, va).size == K4, "another mapping, or nothing, %ld times", tries);
	memcpy(octans_inproc_bo_map(code), nop, sizeof(nop));
	for (int i = 0; i < 8; i++)
		jobs[i] = (struct octans_inproc_job) { .va = CODE, .size = 16 };
	for (tries = 1; ; tries++) {
		fail_countdown = tries;
		ret = octans_inproc_submit(q, jobs, 8, &seq);
		fail_countdown = 0;
		if (!ret)
			break;
		good &= ret == -ENOMEM;
	}
	ok(good && tries == 9 && seq == 8 && !octans_inproc_wait(q, seq, INT64_MAX),
	   "8 jobs, or none, %ld times", tries);
	octans_inproc_queue_free(q);
	octans_inproc_vm_free(vm);
	octans_inproc_bo_free(bo);
	octans_inproc_bo_free(code);
	octans_inproc_close(dev);
	for (tries = 1; ; tries++) {
		long live = fail_live;

		fail_countdown = tries;
		ret = octans_inproc_open(NULL, &dev, err, sizeof(err));
		fail_countdown = 0;
		if (!ret)
			break;
		good &= *err && fail_live == live;
	}
	ok(good && tries > 5, "a processor, or a sentence and nothing lost, %ld times", tries);
	octans_inproc_close(dev);
}

/* Seconds in which nobody touches 30 GiB. */
#define NOT_TOUCHED	2

static void test_huge(void)
{
	uint64_t size = 60ULL << 30, va = 64ULL << 30, seq, nop[2] = { OCTANS_OP_NOP | 16ULL << 32 };
	struct octans_inproc_info info;
	struct octans_inproc_queue *q;
	struct octans_inproc_bo *bo, *code, *again;
	struct octans_inproc_vm *vm = NULL;
	struct octans_cmd_copy *c;
	struct octans_inproc *dev;
	double start = cpu_seconds();
	unsigned int n[4] = { 0 };
	char err[256];
	uint8_t *p;
	int ret;

	ok(!octans_inproc_open("timing,local=64G,profile=octans-1", &dev, err, sizeof(err)) &&
	   !octans_inproc_info(dev, &info) && info.timing_only && info.local_size == 64ULL << 30,
	   "a processor of time alone with 64 GiB");
	ok(!octans_inproc_bo_new(dev, size, true, &bo) && !octans_inproc_vm_new(dev, &vm) &&
	   !octans_inproc_vm_map(vm, bo, 0, va, size, false) && octans_inproc_bo_map(bo),
	   "60 GiB of it in use");
	ok(cpu_seconds() - start < NOT_TOUCHED, "in %.3f s", cpu_seconds() - start);
	ok(count_pages(vm, bo, va, size, n) && n[3] == 60 && !n[2] && !n[1] && !n[0],
	   "60 pages of 1 GiB");
	octans_inproc_bo_new(dev, K4, false, &code);
	octans_inproc_vm_map(vm, code, 0, CODE, K4, true);
	octans_inproc_queue_new(vm, 0, 0, &q);
	c = octans_inproc_bo_map(code);
	*c = (struct octans_cmd_copy) {
		.cmd = { .op = OCTANS_OP_COPY, .size = sizeof(*c) },
		.dst = va, .src = va + (30ULL << 30), .size = 30ULL << 30,
	};
	p = octans_inproc_bo_map(bo);
	start = cpu_seconds();
	ret = run(q, CODE, sizeof(*c));
	start = cpu_seconds() - start;
	ok(!ret && start < NOT_TOUCHED, "30 GiB copied in %.3f s", start);
	memcpy(c, nop, sizeof(nop));
	ok(!submit(q, CODE, 16, 0, &seq) && !octans_inproc_wait(q, seq, INT64_MAX), "and what comes after");
	p[0] = p[31ULL << 30] = p[size - 1] = 1;
	start = cpu_seconds();
	octans_inproc_queue_free(q);
	octans_inproc_vm_free(vm);
	octans_inproc_bo_free(bo);
	ok(!octans_inproc_bo_new(dev, size, true, &again) && octans_inproc_bo_map(again) == p &&
	   !p[0] && !p[31ULL << 30] && !p[size - 1], "the next owner of the same memory finds zeros");
	ok(cpu_seconds() - start < NOT_TOUCHED, "in %.3f s", cpu_seconds() - start);
	octans_inproc_bo_free(again);
	octans_inproc_bo_free(code);
	octans_inproc_close(dev);
}

int main(void)
{
	struct bench b;

	test_open();
	test_buffers();
	test_pages();
	test_random_maps();
	test_huge();
	test_no_memory();
	bench_new(&b, NULL);
	test_mappings(&b);
	test_break(&b);
	test_defined(&b);
	bench_free(&b);
	return done();
}
