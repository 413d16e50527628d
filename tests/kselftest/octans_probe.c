// SPDX-License-Identifier: MIT
/*
 * What a device says of itself when the driver is bound to it.  What makes no sense is refused, with
 * a sentence in the log and nothing left behind; what is merely unusual works.
 */
#include "octans_admin.h"

#include <octans/regs.h>

FIXTURE(probe) {
	char caps[32];
};

/* Unbound.  Each test lies and binds. */
FIXTURE_SETUP(probe)
{
	(void)self;
	ASSERT_TRUE(device_fresh());
	if (!control("lie off"))
		SKIP("no control port");
	ASSERT_TRUE(unbind());
}

FIXTURE_TEARDOWN(probe)
{
	(void)self;
	control("lie off");
	ASSERT_TRUE(bind_again());
	EXPECT_EQ(device_works(), 0);
}

static int kmsg_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

/* What the driver has said since, of an error. */
static bool sentence(int fd, char *out, size_t size)
{
	char record[2048], *text;
	bool found = false;
	ssize_t n;

	while ((n = read(fd, record, sizeof(record) - 1)) > 0) {
		record[n] = 0;
		text = strchr(record, ';');
		if (!text || !strstr(text, bdf()) || !strstr(text, ": error -"))
			continue;
		text[strcspn(text, "\n")] = 0;
		snprintf(out, size, "%s", text + 1);
		found = true;
	}
	return found;
}

/* The errno of binding, 0: the driver is bound. */
static int try_bind(void)
{
	int fd = open("/sys/bus/pci/drivers/octans/bind", O_WRONLY | O_CLOEXEC), ret = 0;

	if (write(fd, bdf(), strlen(bdf())) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

static bool bound(void)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/octans/%s", bdf());
	return !access(path, F_OK);
}

struct lie {
	const char *line;
	bool works;		/* as well, that is */
};

/* A device that is refused is not bound, and the log says why; one that is taken works. */
static void lies(struct test_metadata *_metadata, const struct lie *list, int n, double seconds)
{
	for (int i = 0; i < n; i++) {
		char why[256] = "nothing";
		int kmsg = kmsg_open(), ret;
		int64_t begin = now_ns();

		ASSERT_TRUE(control(list[i].line));
		ret = try_bind();
		EXPECT_SOON(seconds_since(begin), seconds);
		EXPECT_EQ(bound(), !ret);
		EXPECT_EQ(!ret, list[i].works);
		if (ret) {
			bool said = sentence(kmsg, why, sizeof(why));

			printf("# %s: %s\n", list[i].line, why);
			EXPECT_TRUE(said);
		} else {
			ASSERT_TRUE(wait_for_node());
			EXPECT_EQ(device_works(), 0);
			ASSERT_TRUE(unbind());
		}
		close(kmsg);
		control("lie off");
	}
}

#define LIES(list, seconds) lies(_metadata, list, sizeof(list) / sizeof((list)[0]), seconds)

TEST_F(probe, identity)
{
	static const struct lie list[] = {
		{ "lie ID 0", false }, { "lie ID 0xffffffff", false }, { "lie ID 0x4e54434e", false },
		{ "lie VERSION 0", false }, { "lie VERSION 0x1ffff", false },
		{ "lie VERSION 0x30000", false }, { "lie VERSION 0xffffffff", false },
		{ "lie VERSION 0x20000", false }, { "lie VERSION 0x20063", true },
	};

	LIES(list, 10);
}

/* An unknown state, and one that does not end, are waited for as long as the manual says. */
TEST_F_TIMEOUT(probe, state, 120)
{
	static const struct lie list[] = {
		{ "lie STATUS 0", false }, { "lie STATUS 2", false }, { "lie STATUS 4", false },
		{ "lie STATUS 0xffffffff", false }, { "lie INVALIDATED 0xffffffff", false },
		{ "lie INVALIDATED 0", false }, { "lie INVALIDATED 0x80000000", false },
	};

	LIES(list, 15);
}

TEST_F(probe, sizes)
{
	static const struct lie list[] = {
		{ "lie LOCAL_SIZE 0", false }, { "lie LOCAL_SIZE 1", false },
		{ "lie LOCAL_SIZE 4097", false }, { "lie LOCAL_SIZE 0x10000000000", false },
		{ "lie LOCAL_SIZE 0x8000000000000000", false },
		{ "lie LOCAL_SIZE 0xffffffffffffffff", false },
		/* less than the BAR shows, and more than fits into it */
		{ "lie LOCAL_SIZE 0x100000", true }, { "lie LOCAL_SIZE 0xffffff0000", true },
	};

	LIES(list, 10);
}

/* One field of CAPS, the others as they are. */
static void caps(struct test_metadata *_metadata, unsigned int shift, const unsigned int *values,
		 int n, bool works)
{
	/* 4 rings, 48 bits, 16 of an ASID, 52 of an address, rings of 4096 */
	const uint64_t right = 0x0c34103004;

	for (int i = 0; i < n; i++) {
		uint64_t value = (right & ~(0xffull << shift)) | (uint64_t)values[i] << shift;
		char line[64];
		struct lie lie = { line, works };

		snprintf(line, sizeof(line), "lie CAPS 0x%llx", (unsigned long long)value);
		lies(_metadata, &lie, 1, 10);
	}
}

#define CAPS(shift, works, ...) do { \
	static const unsigned int values_[] = { __VA_ARGS__ }; \
	caps(_metadata, shift, values_, sizeof(values_) / sizeof(values_[0]), works); \
} while (0)

TEST_F(probe, rings)
{
	CAPS(0, false, 0, 17, 32, 128, 255);
	CAPS(0, true, 1, 2, 3);
	CAPS(32, false, 0);
	CAPS(32, true, 1, 2, 12);
}

/* What would make tables of the wrong size, or masks of none. */
TEST_F(probe, widths)
{
	CAPS(8, false, 0, 39, 47, 49, 57, 64, 255);
	CAPS(16, false, 0, 1, 9, 17, 31, 32, 33, 64, 255);
	CAPS(16, true, 10, 11, 16);
	CAPS(24, false, 0, 1, 11, 12, 20, 31);
	CAPS(24, true, 40, 48, 52, 64, 255);
}

/* Numbers that are merely told to programs do no harm to the driver. */
TEST_F(probe, told)
{
	static const struct lie list[] = {
		{ "lie OPS 0", true }, { "lie TYPES 0xffffffffffffffff", true }, { "lie CLOCK_HZ 0", true },
		{ "lie MACS_INT8 0", true }, { "lie LOCAL_BPC 0", true }, { "lie MAX_CTX 0xffffffff", true },
		{ "lie PROFILE_NAME 0xffffffffffffffff", true }, { "lie SRAM_SIZE 0", true },
	};

	LIES(list, 10);
}

/* Registers that are read of no consequence, or of little: stopped rings that say they run. */
TEST_F(probe, rings_that_run)
{
	static const struct lie list[] = {
		{ "lie RING0_STATUS 0xffffffff", true }, { "lie RING1_HEAD 77", true },
		{ "lie RING0_CTRL 3", true }, { "lie RING2_SEQNO 5", true }, { "lie EVT_TAIL 99", true },
		{ "lie EVT_DROPPED 0xffffffff", true },
	};

	LIES(list, 10);
}

static volatile bool stop;

static void *storm_loop(void *arg)
{
	(void)arg;
	while (!stop)
		control("storm 0 200");
	return NULL;
}

/* Messages that come while a probe fails start nothing that outlives it. */
TEST_F_TIMEOUT(probe, storm_while_it_fails, 60)
{
	pthread_t t;

	ASSERT_TRUE(control("lie INVALIDATED 0xffffffff"));
	stop = false;
	ASSERT_EQ(pthread_create(&t, NULL, storm_loop, NULL), 0);
	for (int i = 0; i < 6; i++)
		EXPECT_NE(try_bind(), 0);
	stop = true;
	pthread_join(t, NULL);
	EXPECT_TRUE(!bound());
}
