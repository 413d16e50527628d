// SPDX-License-Identifier: MIT
/* Registers: what may be accessed how, what holds still, what a reset leaves. */
#include "sim_rig.h"

static void test_identity(struct rig *rig)
{
	uint64_t caps = rd64(rig, OCTANS_REG_CAPS);
	char name[33] = "";

	ok(rd32(rig, OCTANS_REG_ID) == OCTANS_ID_MAGIC, "the id says OCTN");
	ok(rd32(rig, OCTANS_REG_VERSION) == OCTANS_VERSION_1_0, "version 1.0");
	ok(rd32(rig, OCTANS_REG_STATUS) == OCTANS_STATUS_READY, "ready after power-on");
	ok(OCTANS_CAPS_RINGS(caps) == 4 && OCTANS_CAPS_VA_BITS(caps) == 48 &&
	   OCTANS_CAPS_ASID_BITS(caps) == 10 && OCTANS_CAPS_PA_BITS(caps) == 52 &&
	   OCTANS_CAPS_RING_LOG2(caps) == 12, "capabilities of octans-1");
	ok(rd64(rig, OCTANS_REG_LOCAL_SIZE) == 16 << 20, "on-card memory as asked for");
	for (int i = 0; i < 4; i++) {
		uint64_t v = rd64(rig, OCTANS_REG_PROFILE_NAME + 8 * i);

		memcpy(name + 8 * i, &v, 8);
	}
	ok(!strcmp(name, "octans-1"), "profile name \"%s\"", name);
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
	ok(sim_reg_read(dev, OCTANS_RING(4), 8) == 0, "a ring that is not there: zero");
	ok(rd32(rig, OCTANS_REG_RESET) == 0 && rd64(rig, OCTANS_REG_INVALIDATE) == 0 &&
	   rd32(rig, OCTANS_DOORBELL(0)) == 0, "write-only registers read zero");

	sim_reg_write(dev, OCTANS_REG_ASID_BASE, 4, 0x1000);
	ok(rd64(rig, OCTANS_REG_ASID_BASE) == 0, "a 32-bit write to a 64-bit register does nothing");
	sim_reg_write(dev, OCTANS_REG_EVT_VECTOR, 8, 3);
	ok(rd32(rig, OCTANS_REG_EVT_VECTOR) == 0, "a 64-bit write to a 32-bit register does nothing");
	for (unsigned int off = 0; off < OCTANS_BAR_REGS_SIZE; off++)
		sim_reg_read(dev, off, 1 + off % 9);
	ok(rd32(rig, OCTANS_REG_STATUS) == OCTANS_STATUS_READY, "still ready after 65536 odd reads");
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
	   !rd32(rig, OCTANS_REG_EVT_CTRL) && !rd64(rig, OCTANS_REG_INVALIDATED) &&
	   !rd32(rig, OCTANS_RING(1) + OCTANS_RING_CTRL) &&
	   !rd64(rig, OCTANS_RING(1) + OCTANS_RING_BASE), "every register is as at power-on");
	rig->dev->local[5] = 42;
	wr32(rig, OCTANS_REG_RESET, OCTANS_RESET_MAGIC);
	ok(rig->dev->local[5] == 42, "on-card memory survives a reset");

	atomic_store(&rig->dev->fail_reset, 1);
	wr32(rig, OCTANS_REG_RESET, OCTANS_RESET_MAGIC);
	ok(rd32(rig, OCTANS_REG_STATUS) == OCTANS_STATUS_FAILED, "a reset may fail");
	rig_start(rig);
	ok(!rd32(rig, OCTANS_REG_MMU_CTRL), "a failed device takes no orders");
	sim_flr(rig->dev);
	ok(rd32(rig, OCTANS_REG_STATUS) == OCTANS_STATUS_READY, "a function-level reset brings it back");
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
}

int main(void)
{
	struct rig rig;

	rig_new(&rig, NULL);
	test_identity(&rig);
	test_access_rules(&rig);
	test_locked_while_on(&rig);
	test_device_reset(&rig);
	test_removal(&rig);
	rig_free(&rig);
	return done();
}
