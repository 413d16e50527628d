// SPDX-License-Identifier: MIT
/*
 * One mishap after the other, beside clients that have no part in it and look at every result.
 * After each the device is usable, after each hundred nothing is left, and nobody else has lost
 * a job.  Some of each by default; as many as one likes with
 *
 *	octans_campaign hangs|faults|unplugs|sleeps COUNT
 *
 * Sleep needs a machine whose root survives it, as one in memory does.
 */
#include <stdatomic.h>

#include <octans/regs.h>

#include "octans_admin.h"

#define LOADS	6		/* who have no part in it */
#define DEPTH	4		/* jobs that each has in flight */
#define SLICE	100
#define CARD	(VA + (1ull << 32))
#define FAR	(VA + (1ull << 33))
#define NOWHERE	(VA + (1ull << 34))
#define HANGS	0x68616e6773ull	/* the tag of jobs that hang */

static volatile bool stop;
static volatile bool may_go;	/* the device may: jobs then end with -ENODEV, or the like */
static volatile bool surprise;	/* nobody has told the driver yet */

/* ---- clients that have no part in it ---- */

struct load {
	struct client c;
	pthread_t thread;
	unsigned int seed;
	uint32_t card, sync[DEPTH];
	bool open;
	volatile long right;
	long lost;		/* with a device that had gone */
	int error;
};

static int load_open(struct load *l)
{
	int ret;

	l->c = (struct client) { .fd = -1, .map = MAP_FAILED };
	ret = client_open(&l->c, 10000);
	if (!ret)
		ret = bo_create(l->c.fd, DEPTH * PAGE, DRM_OCTANS_BO_DEVICE, &l->card);
	if (!ret)
		ret = vm_map(l->c.fd, l->c.vm, l->card, 0, CARD, DEPTH * PAGE, 0);
	for (int i = 0; i < DEPTH && !ret; i++)
		ret = syncobj_create(l->c.fd, &l->sync[i]);
	l->open = !ret;
	if (ret && l->c.map != MAP_FAILED)
		client_close(&l->c);
	else if (ret && l->c.fd >= 0)
		close(l->c.fd);
	return ret;
}

static void load_close(struct load *l)
{
	if (l->open)
		client_close(&l->c);
	l->open = false;
}

/* From the host to the card and back again, by way of two more places: each job whole, or not. */
static int load_submit(struct load *l, int i, uint32_t first)
{
	uint64_t in = VA + (8 + i) * PAGE, out = VA + (12 + i) * PAGE;
	struct drm_octans_sync s = { .handle = l->sync[i], .flags = DRM_OCTANS_SYNC_SIGNAL };
	uint32_t *cell = (uint32_t *)(l->c.map + (8 + i) * PAGE), size = 0;
	uint8_t *stream = l->c.map + i * PAGE;

	for (int n = 0; n < 256; n++)
		cell[n] = first + n;
	size += put_copy(stream + size, CARD + i * PAGE, in, 1024);
	size += put_copy(stream + size, in + 2048, CARD + i * PAGE, 1024);
	size += put_copy(stream + size, out, in + 2048, 1024);
	return submit(l->c.fd, l->c.queue, VA + i * PAGE, size, first, &s, 1);
}

static int load_check(struct load *l, int i, uint32_t first)
{
	volatile uint32_t *cell = (uint32_t *)(l->c.map + (12 + i) * PAGE);
	int ret = sync_result(l->c.fd, l->sync[i], 50);

	for (int n = 0; n < 256 && !ret; n++)
		if (cell[n] != first + n) {
			printf("# word %d of a result is 0x%x, not 0x%x\n", n, cell[n], first + n);
			ret = -EBADMSG;
		}
	return ret;
}

static int load_round(struct load *l)
{
	uint32_t first[DEPTH];
	int ret = 0, n, end = 0;

	for (n = 0; n < DEPTH && !ret; n++) {
		first[n] = rand_r(&l->seed);
		ret = load_submit(l, n, first[n]);
	}
	for (int i = 0; i < n - !!ret; i++) {
		int one = load_check(l, i, first[i]);

		l->right += !one;
		end = end ? end : one;
	}
	if (!ret && !end && rand_r(&l->seed) % 8 == 0) {
		ret = vm_map(l->c.fd, l->c.vm, l->c.bo, 0, FAR, 16 * PAGE, 0);
		if (!ret)
			ret = vm_unmap(l->c.fd, l->c.vm, FAR, 16 * PAGE);
	}
	return end ? end : ret;
}

static bool gone(int ret)
{
	return may_go && (ret == -ENODEV || (surprise && (ret == -EIO || ret == -ETIME ||
							    ret == -ECANCELED || ret == -EFAULT)));
}

static void *load_thread(void *arg)
{
	struct load *l = arg;

	while (!stop && !l->error) {
		int ret = load_round(l);

		if (!ret)
			continue;
		if (!gone(ret)) {
			l->error = ret;
			break;
		}
		l->lost++;
		load_close(l);
		while (!stop && load_open(l))
			usleep(20000);
	}
	load_close(l);
	return NULL;
}

/* Who looks, all the time, at what the kernel tells about the device. */
static void read_all(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[4096];

	while (fd >= 0 && read(fd, text, sizeof(text)) > 0)
		;
	if (fd >= 0)
		close(fd);
}

static void *observer(void *arg)
{
	char path[64];
	glob_t g;

	(void)arg;
	while (!stop) {
		if (!glob("/sys/kernel/debug/accel/*/*", 0, NULL, &g)) {
			for (size_t i = 0; i < g.gl_pathc; i++)
				read_all(g.gl_pathv[i]);
			globfree(&g);
		}
		for (int fd = 3; fd < 20; fd++) {
			snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
			read_all(path);
		}
		usleep(20000);
	}
	return NULL;
}

struct loads {
	struct load of[LOADS];
	pthread_t observer;
	long long rest[7];
	long right, lost;
};

static const char *const counts[] = {
	"buffers", "spaces", "tables", "queues", "jobs", "fences", "card_bytes",
};

/* False: more than before is there, and stays. */
static bool at_rest(struct loads *l)
{
	bool good = false;

	for (int t = 0; t < 100 && !good; t++) {
		good = true;
		for (int i = 0; i < 7; i++)
			good &= objects(counts[i]) <= l->rest[i];
		if (!good)
			usleep(100000);
	}
	for (int i = 0; i < 7 && !good; i++)
		printf("# %s: %lld, before %lld\n", counts[i], objects(counts[i]), l->rest[i]);
	return good;
}

static void loads_begin(struct test_metadata *_metadata, struct loads *l)
{
	for (int i = 0; i < 7; i++)
		l->rest[i] = objects(counts[i]);
	stop = false;
	for (int i = 0; i < LOADS; i++) {
		l->of[i] = (struct load) { .seed = i + 1 + l->right };
		ASSERT_EQ(load_open(&l->of[i]), 0);
	}
	for (int i = 0; i < LOADS; i++)
		ASSERT_EQ(pthread_create(&l->of[i].thread, NULL, load_thread, &l->of[i]), 0);
	ASSERT_EQ(pthread_create(&l->observer, NULL, observer, NULL), 0);
}

static bool loads_are_well(const struct loads *l)
{
	for (int i = 0; i < LOADS; i++)
		if (l->of[i].error)
			return false;
	return true;
}

/* Each gets a right result from now on. */
static bool loads_go_on(struct loads *l)
{
	long before[LOADS];
	bool all = false;

	for (int i = 0; i < LOADS; i++)
		before[i] = l->of[i].right;
	for (int t = 0; t < 1500 && !all && loads_are_well(l); t++) {
		usleep(20000);
		all = true;
		for (int i = 0; i < LOADS; i++)
			all &= l->of[i].right > before[i];
	}
	return all;
}

static void loads_end(struct test_metadata *_metadata, struct loads *l)
{
	stop = true;
	pthread_join(l->observer, NULL);
	for (int i = 0; i < LOADS; i++) {
		pthread_join(l->of[i].thread, NULL);
		l->right += l->of[i].right;
		l->lost += l->of[i].lost;
		if (l->of[i].error)
			printf("# somebody who had no part in it: %d (%s)\n", l->of[i].error,
			       strerror(-l->of[i].error));
		EXPECT_EQ(l->of[i].error, 0);
	}
	EXPECT_TRUE(at_rest(l));
}

/* ---- one after the other ---- */

FIXTURE(campaign) {
	struct loads loads;
	int64_t begin;
	long long resets;
};

FIXTURE_SETUP(campaign)
{
	ASSERT_TRUE(device_fresh());
	self->begin = now_ns();
	self->resets = objects("resets");
	may_go = false;
	surprise = false;
}

FIXTURE_TEARDOWN(campaign)
{
	faults_end();
	EXPECT_EQ(device_works(), 0);
	(void)self;
}

static void progress(struct campaign_data *self, const char *what, int done, int of)
{
	long right = self->loads.right;

	for (int i = 0; i < LOADS && !stop; i++)
		right += self->loads.of[i].right;
	printf("# %s: %d of %d; jobs of others, all right: %ld; resets: %lld; %.0f s\n", what, done, of,
	       right, objects("resets") - self->resets, seconds_since(self->begin));
}

/* What was injected too often is taken out by a time limit, not by luck. */
static void limit(int count, double seconds_each)
{
	alarm((60 + count * seconds_each) * slowness());
}

/* Several who do one after the other until there have been enough. */
struct doers {
	int (*one)(int n);
	atomic_int *n;
	int until, error;
};

static void *doer(void *arg)
{
	struct doers *d = arg;

	while (!d->error) {
		int n = atomic_fetch_add(d->n, 1), ret;

		if (n >= d->until)
			break;
		ret = d->one(n);
		if (!ret)
			ret = device_works();
		if (ret)
			d->error = ret;
	}
	return NULL;
}

static void do_all(struct test_metadata *_metadata, struct campaign_data *self, const char *what,
		   int (*one)(int n), int count)
{
	atomic_int n = 0;

	for (int done = 0; done < count; done += SLICE) {
		struct doers d[3];
		pthread_t t[3];

		loads_begin(_metadata, &self->loads);
		for (int i = 0; i < 3; i++) {
			d[i] = (struct doers) {
				one, &n, count - done < SLICE ? count : done + SLICE, 0,
			};
			ASSERT_EQ(pthread_create(&t[i], NULL, doer, &d[i]), 0);
		}
		for (int i = 0; i < 3; i++) {
			pthread_join(t[i], NULL);
			EXPECT_EQ(d[i].error, 0);
		}
		EXPECT_TRUE(loads_go_on(&self->loads));
		loads_end(_metadata, &self->loads);
		EXPECT_TRUE(log_is_clean(log_fd));
		n = d[0].until;
		progress(self, what, n, count);
		if (_metadata->failed)
			return;
	}
}

/* ---- hangs ---- */

static uint32_t put_wait(void *at, uint64_t va)
{
	struct octans_cmd_wait c = {
		.cmd = { .op = OCTANS_OP_WAIT, .size = sizeof(c) }, .va = va, .value = 1,
	};

	memcpy(at, &c, sizeof(c));
	return sizeof(c);
}

/* It has done much when it begins to. */
static uint32_t put_copies_and_wait(uint8_t *at)
{
	uint32_t size = 0;

	while (size < PAGE)
		size += put_copy(at + size, VA + 12 * PAGE, VA + 8 * PAGE, 4 * PAGE);
	return size + put_wait(at + size, VA + 8 * PAGE);
}

/*
 * One that stands still in its stream, waits for what never comes, at once or at last; now
 * and then its client does not wait for the end, but goes.
 */
static int hang(int n)
{
	struct client c;
	uint32_t size;
	int ret = client_open(&c, 1 + n % 40);

	if (ret)
		return ret;
	size = n % 3 == 0 ? put_wait(c.map, VA + 8 * PAGE) : n % 3 == 1 ? put_nop(c.map) :
	       put_copies_and_wait(c.map);
	if (n % 8 == 7) {
		ret = submit(c.fd, c.queue, VA, size, n % 3 == 1 ? HANGS : 0, NULL, 0);
		usleep(n * 7919 % 100000);
	} else {
		ret = run(c.fd, c.queue, VA, size, n % 3 == 1 ? HANGS : 0);
		/* who stands in the way of an invalidation is ended for that */
		ret = ret == -ETIME || ret == -ECANCELED ? 0 : ret ? ret : -EPROTO;
	}
	client_close(&c);
	return ret;
}

TEST_F(campaign, hangs)
{
	int count = test_count(16);
	char line[64];

	snprintf(line, sizeof(line), "hang tag 0x%llx", HANGS);
	if (!control(line))
		SKIP("no control port");
	limit(count, 2);
	do_all(_metadata, self, "hangs", hang, count);
	/* nobody else was the reason of one */
	EXPECT_LE(objects("resets") - self->resets, count);
	EXPECT_GE(objects("resets") - self->resets, count * 3 / 4);
}

/* ---- faults ---- */

/* The record of it, and of nothing else. */
static int fault_told(struct client *c, uint64_t tag, uint64_t va, uint32_t code)
{
	struct drm_octans_fault f[4] = { 0 };
	struct drm_octans_vm_get_faults get = {
		.vm_id = c->vm, .faults = { sizeof(f[0]), 4, (uintptr_t)f },
	};
	int ret = call(c->fd, DRM_IOCTL_OCTANS_VM_GET_FAULTS, &get);

	if (ret)
		return ret;
	if (get.faults.count == 1 && f[0].tag == tag && f[0].va == va && f[0].code == code)
		return 0;
	printf("# %u records of a fault, the first: tag 0x%llx, va 0x%llx, code %u\n",
	       get.faults.count, (unsigned long long)f[0].tag, (unsigned long long)f[0].va, f[0].code);
	return -EBADMSG;
}

static int fault(int n)
{
	static const int ends[] = { -EFAULT, -EFAULT, -EIO, -EFAULT };
	uint64_t va = NOWHERE + n * PAGE, stream = VA;
	uint32_t size, code = OCTANS_FAULT_UNMAPPED;
	struct client c;
	int ret = client_open(&c, 10000);

	if (ret)
		return ret;
	size = put_copy(c.map, VA + 8 * PAGE, va, 64);	/* it reads what is not there */
	if (n % 4 == 1) {		/* writes what is only to be read */
		ret = vm_map(c.fd, c.vm, c.bo, 0, va, PAGE, DRM_OCTANS_BIND_READONLY);
		size = put_copy(c.map, va, VA + 8 * PAGE, 64);
		code = OCTANS_FAULT_READONLY;
	} else if (n % 4 == 2) {	/* is no command */
		((struct octans_cmd *)c.map)->op = 999;
	} else if (n % 4 == 3) {	/* is not there itself */
		stream = va;
	}
	if (!ret)
		ret = run(c.fd, c.queue, stream, size, n);
	ret = ret == ends[n % 4] ? 0 : ret ? ret : -EPROTO;
	if (!ret && ends[n % 4] == -EFAULT)
		ret = fault_told(&c, n, va, code);
	client_close(&c);
	return ret;
}

TEST_F(campaign, faults)
{
	int count = test_count(40);

	limit(count, 2);
	do_all(_metadata, self, "faults", fault, count);
	EXPECT_EQ(objects("resets") - self->resets, count);
}

/* ---- the device goes and comes ---- */

static bool take_away(int how)
{
	if (how == 0)
		return unbind();
	if (how == 1)
		return pci_do("remove");
	surprise = true;
	if (!control("remove"))
		return false;
	usleep(100000);		/* some notice it before the bus does */
	return pci_do("remove");
}

static bool bring_back(int how)
{
	if (how == 0)
		return bind_again();
	return (how == 1 || control("restore")) && rescan();
}

/* The driver is unbound, the function removed, the card pulled out, in turn. */
TEST_F(campaign, unplugs)
{
	int count = test_count(8), done = 0;
	int ways = control("stat") ? 3 : 2;

	limit(count, 20);
	while (done < count) {
		int slice = count - done < SLICE / 4 ? count - done : SLICE / 4;

		loads_begin(_metadata, &self->loads);
		may_go = true;
		for (int i = 0; i < slice; i++) {
			int how = (done + i) % ways;

			usleep((done + i) * 7919 % 300000);
			ASSERT_TRUE(take_away(how));
			usleep((done + i) * 6007 % 50000);
			ASSERT_TRUE(bring_back(how));
			EXPECT_EQ(device_works(), 0);
			EXPECT_TRUE(loads_go_on(&self->loads));
			surprise = false;
			EXPECT_TRUE(log_is_clean(log_fd));
			if (_metadata->failed)
				break;
		}
		may_go = false;
		EXPECT_TRUE(loads_go_on(&self->loads));
		loads_end(_metadata, &self->loads);
		done += slice;
		self->resets = objects("resets");
		progress(self, "unplugs", done, count);
		if (_metadata->failed)
			return;
	}
	printf("# %ld jobs of others ended with the device\n", self->loads.lost);
	EXPECT_TRUE(module_users_become(0));
}

/* ---- sleep ---- */

/* Every tenth really: without power, as nothing wakes QEMU from s2idle by the clock. */
TEST_F(campaign, sleeps)
{
	int count = test_count(0), done = 0, slept = 0;

	if (!count || access("/sys/power/mem_sleep", W_OK))
		SKIP("it is asked for by its count, on a machine whose root survives a sleep");
	write_file("/sys/module/suspend/parameters/pm_test_delay", "0");
	limit(count, 15);
	while (done < count) {
		int slice = count - done < SLICE / 4 ? count - done : SLICE / 4;

		loads_begin(_metadata, &self->loads);
		for (int i = done; i < done + slice; i++) {
			bool really = i % 10 == 9;

			usleep(i * 7919 % 200000);
			EXPECT_EQ(fall_asleep(i % 2 && !really ? "s2idle" : "deep", really ? "none" : "devices"), 0);
			slept += really;
			EXPECT_EQ(device_works(), 0);
			EXPECT_TRUE(loads_go_on(&self->loads));
			EXPECT_TRUE(log_is_clean(log_fd));
			if (_metadata->failed)
				break;
		}
		loads_end(_metadata, &self->loads);
		done += slice;
		progress(self, "sleeps", done, count);
		if (_metadata->failed)
			break;
	}
	write_file("/sys/power/pm_test", "none");
	printf("# %d of them really\n", slept);
	EXPECT_EQ(objects("resets") - self->resets, 0);
}
