// SPDX-License-Identifier: MIT
/* Registers: what may be accessed how, what holds still, what a reset leaves. */
#include "sim_rig.h"

static void test_identity(struct rig *rig)
{
	uint64_t caps = rd64(rig, OCTANS_REG_CAPS);
	char name[33] = "";

	ok(rd32(rig, OCTANS_REG_ID) == OCTANS_ID_MAGIC, "the id says OCTN");
	ok(rd32(rig, OCTANS_REG_VERSION) == OCTANS_VERSION_2_1, "version 2.1");
	ok(rd32(rig, OCTANS_REG_STATUS) == OCTANS_STATUS_READY, "ready after power-on");
	ok(OCTANS_CAPS_RINGS(caps) == 4 && OCTANS_CAPS_VA_BITS(caps) == 48 &&
	   OCTANS_CAPS_ASID_BITS(caps) == 16 && OCTANS_CAPS_PA_BITS(caps) == 52 &&
	   OCTANS_CAPS_RING_LOG2(caps) == 12, "capabilities of octans-1");
	ok(rd64(rig, OCTANS_REG_LOCAL_SIZE) == 16 << 20, "on-card memory as asked for");
	for (int i = 0; i < 4; i++) {
		uint64_t v = rd64(rig, OCTANS_REG_PROFILE_NAME + 8 * i);

		memcpy(name + 8 * i, &v, 8);
	}
	ok(!strcmp(name, "octans-1"), "profile name \"%s\"", name);
	ok(rd32(rig, OCTANS_REG_MACS_INT8) == 65536 && rd32(rig, OCTANS_REG_MACS_F16) == 32768 &&
	   rd32(rig, OCTANS_REG_MACS_F32) == 4096 && rd32(rig, OCTANS_REG_LOCAL_BPC) == 1024 &&
	   rd32(rig, OCTANS_REG_PCIE_BPC) == 32 && rd64(rig, OCTANS_REG_SRAM_SIZE) == 64 << 20 &&
	   rd32(rig, OCTANS_REG_LOCAL_LATENCY) == 150 &&
	   rd32(rig, OCTANS_REG_PCIE_LATENCY) == 1000 &&
	   rd32(rig, OCTANS_REG_TLB_ENTRIES) == 1024 && rd32(rig, OCTANS_REG_WALKERS) == 16 &&
	   rd32(rig, OCTANS_REG_MAX_CTX) == 131072 &&
	   rd64(rig, OCTANS_REG_CLOCK_HZ) == 1000000000, "the parameters of octans-1");
	ok(rd64(rig, OCTANS_REG_OPS) & 1 << OCTANS_OP_COPY, "COPY is implemented");
	ok(rd64(rig, OCTANS_REG_TIME_NS) != 0, "the time is never 0");
	ok(rd64(rig, OCTANS_REG_TIME_NS) < rd64(rig, OCTANS_REG_TIME_NS), "the time runs");
}

static void test_access_rules(struct rig *rig)
{
	struct sim_device *dev = rig->dev;

	ok(sim_reg_read(dev, OCTANS_REG_ID, 8) == UINT64_MAX, "64-bit read of a 32-bit register");
	ok(sim_reg_read(dev, OCTANS_REG_CAPS, 4) == UINT32_MAX, "32-bit read of a 64-bit register");
	ok(sim_reg_read(dev, OCTANS_REG_CAPS + 4, 4) == UINT32_MAX, "upper half of a 64-bit register");
	ok(sim_reg_read(dev, OCTANS_REG_ID, 2) == UINT64_MAX, "16-bit read");
	ok(sim_reg_read(dev, OCTANS_REG_ID, 1) == UINT64_MAX, "8-bit read");
	ok(sim_reg_read(dev, OCTANS_REG_ID + 2, 4) == UINT32_MAX, "unaligned read");
	ok(sim_reg_read(dev, OCTANS_REG_ID, 3) == UINT64_MAX &&
	   sim_reg_read(dev, OCTANS_REG_ID, 0) == UINT64_MAX &&
	   sim_reg_read(dev, OCTANS_REG_ID, 4096) == UINT64_MAX, "odd sizes");
	ok(sim_reg_read(dev, OCTANS_BAR_REGS_SIZE, 4) == UINT32_MAX &&
	   sim_reg_read(dev, UINT64_MAX, 1) == UINT64_MAX &&
	   sim_reg_read(dev, UINT64_MAX - 7, 8) == UINT64_MAX, "outside the BAR");
	ok(sim_reg_read(dev, 0x0800, 4) == 0 && sim_reg_read(dev, 0x0800, 8) == 0,
	   "where there is no register: zero");
	ok(rd64(rig, OCTANS_REG_COUNTER(0)) == 0 && rd64(rig, OCTANS_REG_COUNTER(15)) == 0 &&
	   sim_reg_read(dev, OCTANS_REG_COUNTER(1), 4) == UINT32_MAX &&
	   sim_reg_read(dev, OCTANS_REG_COUNTER(16), 4) == 0, "16 counters of 64 bits");
	ok(sim_reg_read(dev, OCTANS_REG_INVALIDATED, 8) == UINT64_MAX, "INVALIDATED is 32 bits wide");
	ok(sim_reg_read(dev, OCTANS_RING(4), 8) == 0, "a ring that is not there: zero");
	ok(rd32(rig, OCTANS_REG_RESET) == 0 && rd64(rig, OCTANS_REG_INVALIDATE) == 0 &&
	   rd32(rig, OCTANS_DOORBELL(0)) == 0, "write-only registers read zero");

	sim_reg_write(dev, OCTANS_REG_ASID_BASE, 4, 0x1000);
	ok(rd64(rig, OCTANS_REG_ASID_BASE) == 0, "a 32-bit write to a 64-bit register does nothing");
	sim_reg_write(dev, OCTANS_REG_EVT_VECTOR, 8, 3);
	ok(rd32(rig, OCTANS_REG_EVT_VECTOR) == 0, "a 64-bit write to a 32-bit register does nothing");
	for (unsigned int off = 0; off < OCTANS_BAR_REGS_SIZE; off++)
		sim_reg_read(dev, off, 1 + off % 9);
	ok(rd32(rig, OCTANS_REG_STATUS) == OCTANS_STATUS_READY, "ready after 131072 odd reads");
}

static void test_locked_while_on(struct rig *rig)
{
	uint64_t r = OCTANS_RING(1);

	wr32(rig, r + OCTANS_RING_CTRL, OCTANS_RING_ENABLE);
	ok(!(rd32(rig, r + OCTANS_RING_CTRL) & OCTANS_RING_ENABLE), "no ENABLE with a log2 of 0");
	wr32(rig, r + OCTANS_RING_LOG2, 13);
	wr32(rig, r + OCTANS_RING_CTRL, OCTANS_RING_ENABLE);
	ok(!(rd32(rig, r + OCTANS_RING_CTRL) & OCTANS_RING_ENABLE), "no ENABLE with a ring too large");
	wr32(rig, r + OCTANS_RING_LOG2, 4);
	wr64(rig, r + OCTANS_RING_BASE, 0x1020);
	wr32(rig, r + OCTANS_RING_CTRL, OCTANS_RING_ENABLE);
	ok(!(rd32(rig, r + OCTANS_RING_CTRL) & OCTANS_RING_ENABLE), "no ENABLE with a crooked base");
	wr64(rig, r + OCTANS_RING_BASE, 0x1000);
	wr64(rig, r + OCTANS_RING_WB, 4);
	wr32(rig, r + OCTANS_RING_CTRL, OCTANS_RING_ENABLE);
	ok(!(rd32(rig, r + OCTANS_RING_CTRL) & OCTANS_RING_ENABLE), "no ENABLE with a crooked writeback");

	rig_start(rig);
	wr64(rig, r + OCTANS_RING_BASE, 0);
	wr64(rig, r + OCTANS_RING_WB, 0);
	wr32(rig, r + OCTANS_RING_LOG2, 1);
	ok(rd64(rig, r + OCTANS_RING_BASE) && rd64(rig, r + OCTANS_RING_WB) &&
	   rd32(rig, r + OCTANS_RING_LOG2) == 4, "an enabled ring keeps its place");
	wr64(rig, OCTANS_REG_ASID_BASE, 0);
	ok(rd64(rig, OCTANS_REG_ASID_BASE) == RIG_IOVA, "the MMU keeps its table while it is on");
	wr64(rig, OCTANS_REG_EVT_BASE, 0);
	wr32(rig, OCTANS_REG_EVT_LOG2, 1);
	ok(rd64(rig, OCTANS_REG_EVT_BASE) && rd32(rig, OCTANS_REG_EVT_LOG2) == 4,
	   "the event queue keeps its place while it is on");
	wr32(rig, OCTANS_REG_EVT_HEAD, 5);
	ok(rd32(rig, OCTANS_REG_EVT_HEAD) == 0, "EVT_HEAD cannot pass EVT_TAIL");
	wr32(rig, OCTANS_REG_ID, 0);
	wr32(rig, r + OCTANS_RING_HEAD, 7);
	ok(rd32(rig, OCTANS_REG_ID) == OCTANS_ID_MAGIC && !rd32(rig, r + OCTANS_RING_HEAD),
	   "read-only registers");
}

static void test_device_reset(struct rig *rig)
{
	wr32(rig, OCTANS_REG_RESET, 1);
	ok(rd32(rig, OCTANS_REG_MMU_CTRL) == OCTANS_MMU_ENABLE, "RESET needs its magic");
	wr32(rig, OCTANS_REG_RESET, OCTANS_RESET_MAGIC);
	ok(rig_until(rd32(rig, OCTANS_REG_STATUS) == OCTANS_STATUS_READY), "a reset completes");
	ok(!rd32(rig, OCTANS_REG_MMU_CTRL) && !rd64(rig, OCTANS_REG_ASID_BASE) &&
	   !rd32(rig, OCTANS_REG_EVT_CTRL) &&
	   !rd32(rig, OCTANS_RING(1) + OCTANS_RING_CTRL) &&
	   !rd64(rig, OCTANS_RING(1) + OCTANS_RING_BASE), "every register is as at power-on");
	rig->dev->local[5] = 42;
	wr32(rig, OCTANS_REG_RESET, OCTANS_RESET_MAGIC);
	ok(rig->dev->local[5] == 42, "on-card memory survives a reset");

	rig_control(rig, "fail-reset device");
	wr32(rig, OCTANS_REG_RESET, OCTANS_RESET_MAGIC);
	ok(rd32(rig, OCTANS_REG_STATUS) == OCTANS_STATUS_FAILED, "a reset may fail");
	rig_start(rig);
	ok(!rd32(rig, OCTANS_REG_MMU_CTRL), "a failed device takes no orders");
	rig_invalidate(rig, OCTANS_INVALIDATE_ALL);
	sim_flr(rig->dev);
	ok(rd32(rig, OCTANS_REG_STATUS) == OCTANS_STATUS_READY, "a function-level reset brings it back");
}

/* INVALIDATED is the driver's own number, and only a power cycle takes it back. */
static void test_tickets(struct rig *rig)
{
	rig->ticket = 0xfffffffd;
	rig_invalidate(rig, OCTANS_INVALIDATE_ASID(1));
	ok(rd32(rig, OCTANS_REG_INVALIDATED) == 0xfffffffe, "the ticket as it was written");
	wr32(rig, OCTANS_REG_RESET, OCTANS_RESET_MAGIC);
	ok(rig_until(rd32(rig, OCTANS_REG_STATUS) == OCTANS_STATUS_READY) &&
	   rd32(rig, OCTANS_REG_INVALIDATED) == 0xfffffffe, "kept by a device reset");
	sim_flr(rig->dev);
	sim_quiesce(rig->dev);
	ok(rd32(rig, OCTANS_REG_INVALIDATED) == 0xfffffffe, "and by a function-level reset");
	for (int i = 0; i < 200; i++)
		rig_forget(rig, i % 1200);	/* ASIDs that are never valid, too */
	ok(rig_forgot(rig, rig->ticket) && rd32(rig, OCTANS_REG_INVALIDATED) == rig->ticket,
	   "200 more, past the end of 32 bits, all complete: %u", rig->ticket);
}

/* The driver does what the manual does not define. */
static void test_undefined(struct rig *rig)
{
	char reply[4096];

	sim_control(rig->dev, "undefined", reply, sizeof(reply));
	ok(strstr(reply, "more="), "a list: %.60s", reply);
	wr32(rig, 0x7770, 1);
	wr32(rig, 0x7770, 1);
	wr32(rig, OCTANS_REG_MMU_CTRL, 6);
	sim_control(rig->dev, "undefined", reply, sizeof(reply));
	/* The sweep over all offsets filled the list; a device of its own shows the rest. */
	ok(strlen(reply) < sizeof(reply) - 1, "%zu characters hold it", strlen(reply));
	rig_free(rig);
	rig_new(rig, "octans-s");
	wr32(rig, 0x7770, 1);
	wr32(rig, 0x7770, 1);
	wr32(rig, OCTANS_REG_MMU_CTRL, 6);
	rd64(rig, OCTANS_REG_ID);
	sim_control(rig->dev, "undefined", reply, sizeof(reply));
	ok(!strcmp(reply, "ok uses=3 more=0 write=0x7770/4*2 reserved-bits=0x108/4*1 read=0x0/8*1"),
	   "no such register, reserved bits, wrong width: %s", reply);
}

static void test_removal(struct rig *rig)
{
	rig->dev->local[7] = 1;
	sim_remove(rig->dev);
	ok(rd32(rig, OCTANS_REG_ID) == UINT32_MAX && rd64(rig, OCTANS_REG_CAPS) == UINT64_MAX &&
	   rd32(rig, 0x800) == UINT32_MAX, "a device that is gone reads all-ones");
	wr32(rig, OCTANS_REG_EVT_VECTOR, 2);
	ok(rig->dev->local[7] == 0xff, "and so does its memory");
	sim_restore(rig->dev);
	ok(rd32(rig, OCTANS_REG_ID) == OCTANS_ID_MAGIC && !rd32(rig, OCTANS_REG_EVT_VECTOR),
	   "restored: as after power-on");
	ok(!rd32(rig, OCTANS_REG_INVALIDATED) && !rig->dev->local[7],
	   "INVALIDATED is 0, on-card memory empty");
}

/* Between two clients: what one keeps mapped, the other never uses. */
static void test_power_cycle(struct rig *rig)
{
	uint64_t size = rig->dev->bar_size;
	struct sim_device *dev = rig->dev;
	int fd = dup(dev->local_fd);
	uint8_t *old = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), *at = dev->local;

	old[100] = 1;
	ok(dev->local[100] == 1, "the visible window is on-card memory");
	ok(ftruncate(fd, 4096) && ftruncate(fd, size * 2), "whose size is sealed");
	wr32(rig, OCTANS_REG_EVT_VECTOR, 2);
	rig_invalidate(rig, OCTANS_INVALIDATE_ALL);
	ok(!sim_device_power_cycle(dev) && dev->local == at && dev->local_fd >= 0, "a power cycle");
	ok(!dev->local[100] && !rd32(rig, OCTANS_REG_EVT_VECTOR) &&
	   !rd32(rig, OCTANS_REG_INVALIDATED), "everything is new");
	dev->local[100] = 2;
	old[100] = 3;
	ok(dev->local[100] == 2 && old[100] == 3, "the old memory is the old client's alone");
	munmap(old, size);
	old = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, dev->local_fd, 0);
	ok(old[100] == 2, "the new one can be mapped");
	munmap(old, size);
	close(fd);
	sim_remove(dev);
	ok(!sim_device_power_cycle(dev) && rd32(rig, OCTANS_REG_ID) == OCTANS_ID_MAGIC,
	   "a device that was removed is there for the next client");
}

static void test_large_card(void)
{
	struct rig rig;

	rig_new_with(&rig, &(struct sim_config) { .local_size = 64ULL << 30, .threads = 1 });
	rig.dev->local[(64ULL << 30) - 1] = 1;
	ok(rd64(&rig, OCTANS_REG_LOCAL_SIZE) == 64ULL << 30, "64 GiB cost what is touched");
	rig_free(&rig);
}

/* A driver that waits for what never comes. */
static void test_poll_limit(void)
{
	uint64_t ctrl = OCTANS_RING(1) + OCTANS_RING_CTRL;
	struct rig rig;

	rig_new_with(&rig, &(struct sim_config) {
		.local_size = 16 << 20, .threads = 1, .poll_limit_s = 0.05,
	});
	rig_control(&rig, "fail-reset ring 1");
	wr32(&rig, ctrl, OCTANS_RING_RESET);
	fclose(stderr);		/* the sentence is for people */
	ok(rd32(&rig, ctrl) == OCTANS_RING_RESET, "a reset that never completes");
	ok(rig_until(({ rd32(&rig, OCTANS_REG_STATUS); rig_nap(1); rd32(&rig, ctrl) == UINT32_MAX; })),
	   "who polls it for long finds the device gone");
	ok(rd32(&rig, OCTANS_REG_ID) == OCTANS_ID_MAGIC, "other registers read on");
	wr32(&rig, OCTANS_REG_RESET, OCTANS_RESET_MAGIC);
	ok(rd32(&rig, ctrl) == 0, "and this one, once something was written");
	rig_free(&rig);
}

/* A driver that looks now and then waits for nothing. */
static void test_poll_now_and_then(void)
{
	bool gone = false;
	struct rig rig;

	rig_new_with(&rig, &(struct sim_config) {
		.local_size = 16 << 20, .threads = 1, .poll_limit_s = 0.05,
	});
	for (int i = 0; i < 1200 && !gone; i++) {
		gone = rd32(&rig, OCTANS_RING(1) + OCTANS_RING_HEAD) == UINT32_MAX;
		rig_nap(i % 100 ? 0 : 60000);
	}
	ok(!gone, "1200 looks, 100 at a time, are no poll");
	rig_free(&rig);
}

int main(void)
{
	struct rig rig;

	rig_new(&rig, NULL);
	test_identity(&rig);
	test_access_rules(&rig);
	test_locked_while_on(&rig);
	test_device_reset(&rig);
	test_tickets(&rig);
	test_removal(&rig);
	test_power_cycle(&rig);
	test_undefined(&rig);
	rig_free(&rig);
	test_large_card();
	test_poll_now_and_then();
	test_poll_limit();
	return done();
}
