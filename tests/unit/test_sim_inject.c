// SPDX-License-Identifier: MIT
/* What the control channel injects to widen the windows that a driver's races need. */
#include "sim_rig.h"

#define CODE	0x10000ULL
#define CQ	(RIG_DATA + 0x10000)

static uint64_t seqno;

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec * 1e-6;
}

/* The registers say that the job has ended, the writeback not yet. */
static void test_late(struct rig *rig)
{
	uint32_t head = rd32(rig, OCTANS_RING(0) + OCTANS_RING_HEAD);
	double start;

	rig_control(rig, "late 0 100000");
	rig_desc(rig, 0, ++seqno, 1, CODE, 16);
	rig_bell(rig, 0);
	ok(rig_until(rd32(rig, OCTANS_RING(0) + OCTANS_RING_HEAD) == head + 1) &&
	   !rd32(rig, OCTANS_RING(0) + OCTANS_RING_STATUS) &&
	   OCTANS_WB_SEQNO(rig_wb(rig, 0)) != seqno, "HEAD has moved, the writeback is late");
	rig_invalidate(rig, OCTANS_INVALIDATE_ASID(1));
	ok(rig_ended(rig, 0, seqno) == OCTANS_JOB_OK, "it comes");
	rig_control(rig, "late 0 60000000");
	rig_desc(rig, 0, ++seqno, 1, CODE, 16);
	rig_bell(rig, 0);
	rig_until(rd32(rig, OCTANS_RING(0) + OCTANS_RING_HEAD) == head + 2);
	start = now_ms();
	ok(rig_reset_ring(rig, 0) && now_ms() - start < 1000 &&
	   OCTANS_WB_SEQNO(rig_wb(rig, 0)) == seqno,
	   "a reset does not wait for it, and finds it");
	rig_control(rig, "late 0 0");
}

static void test_hang_tag(struct rig *rig)
{
	struct octans_desc *d;

	rig_control(rig, "hang tag 0x77");
	ok(rig_run(rig, 0, ++seqno, 1, CODE, 16) == OCTANS_JOB_OK, "a job with another tag ends");
	d = rig_desc(rig, 0, ++seqno, 1, CODE, 16);
	d->tag = 0x77;
	rig_bell(rig, 0);
	rig_until(rd64(rig, OCTANS_RING(0) + OCTANS_RING_SEQNO) == seqno);
	rig_nap(20000);
	ok(rd64(rig, OCTANS_RING(0) + OCTANS_RING_SEQNO) == seqno, "one with that tag does not");
	ok(rig_reset_ring(rig, 0) && rig_run(rig, 0, ++seqno, 1, CODE, 16) == OCTANS_JOB_OK,
	   "until the ring is reset");
	rig_control(rig, "hang tag 0");
	d = rig_desc(rig, 0, ++seqno, 1, CODE, 16);
	d->tag = 0x77;
	rig_bell(rig, 0);
	ok(rig_ended(rig, 0, seqno) == OCTANS_JOB_OK, "nor any more");
	ok(!rig_control(rig, "hang tag") && !rig_control(rig, "hang tag x"), "which tag has to be said");
}

static void test_doorbells(struct rig *rig)
{
	rig_control(rig, "drop-doorbell 0 2");
	rig_desc(rig, 0, ++seqno, 1, CODE, 16);
	rig_bell(rig, 0);
	rig_bell(rig, 0);
	rig_nap(20000);
	ok(OCTANS_WB_SEQNO(rig_wb(rig, 0)) != seqno, "two doorbells are lost");
	rig_bell(rig, 0);
	ok(rig_ended(rig, 0, seqno) == OCTANS_JOB_OK, "the third is heard");
}

static void test_corrupt(struct rig *rig)
{
	struct octans_completion *c = (struct octans_completion *)(rig->mem + CQ);

	wr32(rig, OCTANS_RING(0) + OCTANS_RING_CTRL, 0);
	wr64(rig, OCTANS_RING(0) + OCTANS_RING_CQ_BASE, RIG_IOVA + CQ);
	wr32(rig, OCTANS_RING(0) + OCTANS_RING_CQ_LOG2, 4);
	rig_reset_ring(rig, 0);
	rig_control(rig, "corrupt-cq 0 seqno xor 0x10000");
	rig_run(rig, 0, ++seqno, 1, CODE, 16);
	ok(c->index == 1 && c->seqno == (seqno ^ 0x10000) &&
	   rig_ended(rig, 0, seqno) == OCTANS_JOB_OK,
	   "a corrupt record, a right writeback");
	rig_run(rig, 0, ++seqno, 1, CODE, 16);
	ok(c[1].seqno == seqno, "once");
	rig_control(rig, "corrupt-cq 0 xor 0x10000");
	rig_control(rig, "corrupt-cq 0 xor 0");
	rig_control(rig, "corrupt-cq 0 status xor 0x80");
	rig_control(rig, "corrupt-cq 0 commands xor 0x40");
	rig_control(rig, "corrupt-cq 0 index xor 0x20");
	rig_run(rig, 0, ++seqno, 1, CODE, 16);
	ok(c[2].seqno == seqno && c[2].status == 0x80 && c[2].commands == (1 ^ 0x40) &&
	   c[2].index == (3 ^ 0x20), "any field, and several at once");
	rig_control(rig, "corrupt-cq 0 status xor 0x80");
	rig_control(rig, "corrupt-cq 0 index xor 0x20");
	rig_control(rig, "corrupt-cq 0 off");
	rig_run(rig, 0, ++seqno, 1, CODE, 16);
	ok(c[3].seqno == seqno && c[3].status == OCTANS_JOB_OK && c[3].index == 4,
	   "or none, after all");
}

/* The record is late, not what it says. */
static void test_late_record(struct rig *rig)
{
	const struct octans_completion *c = (struct octans_completion *)(rig->mem + CQ);
	uint64_t moved;

	rig_reset_ring(rig, 0);
	rig_control(rig, "late 0 200000");
	rig_desc(rig, 0, ++seqno, 1, CODE, 16);
	rig_bell(rig, 0);
	rig_until(rd32(rig, OCTANS_RING(0) + OCTANS_RING_HEAD));
	moved = rd64(rig, OCTANS_REG_TIME_NS);
	ok(rig_ended(rig, 0, seqno) == OCTANS_JOB_OK && c->seqno == seqno && c->end_ns < moved,
	   "a late record tells when the job had ended, not when it was written");
	rig_control(rig, "late 0 0");
}

static void test_corrupt_event(struct rig *rig)
{
	uint32_t n = rd32(rig, OCTANS_REG_EVT_TAIL);
	const struct octans_event *e = rig_event(rig, n);

	rig_control(rig, "corrupt-event ring xor 0x8000");
	rig_control(rig, "corrupt-event asid xor 0x4000");
	rig_control(rig, "corrupt-event code xor 0x100");
	rig_control(rig, "device-error 7");
	ok(e->type == OCTANS_EVT_DEVICE_ERROR && e->ring == 0x8000 && e->asid == 0x4000 &&
	   e->code == 0x107 && e->index == n + 1, "an event with three wrong fields");
	rig_control(rig, "corrupt-event code xor 0x100");
	rig_control(rig, "corrupt-event off");
	rig_control(rig, "corrupt-event index xor 0x8");
	rig_control(rig, "device-error 8");
	ok(e[1].code == 8 && e[1].index == ((n + 2) ^ 8), "one with a wrong index");
}

static void test_lies(struct rig *rig)
{
	static const char *const names[] = { "SEQNO", "PROGRESS", "STATUS", "CTRL" };
	uint64_t caps = rd64(rig, OCTANS_REG_CAPS);
	char line[64];
	bool good = true;

	good &= rig_control(rig, "lie CAPS 0x1234567890");
	good &= rig_control(rig, "lie RING1_HEAD 77");
	ok(good && rd64(rig, OCTANS_REG_CAPS) == 0x1234567890 &&
	   rd32(rig, OCTANS_RING(1) + OCTANS_RING_HEAD) == 77 &&
	   !rd32(rig, OCTANS_RING(0) + OCTANS_RING_STATUS), "two registers lie");
	good = rig_control(rig, "lie CAPS 5");
	ok(good && rd64(rig, OCTANS_REG_CAPS) == 5, "the newest lie counts");
	rig_control(rig, "lie CAPS off");
	ok(rd64(rig, OCTANS_REG_CAPS) == caps &&
	   rd32(rig, OCTANS_RING(1) + OCTANS_RING_HEAD) == 77, "one tells the truth again");
	ok(!rig_control(rig, "lie RING4_STATUS 2") && !rig_control(rig, "lie RING-1_ID 2") &&
	   !rig_control(rig, "lie RING4294967296_HEAD 2") &&
	   rd32(rig, OCTANS_REG_STATUS) == OCTANS_STATUS_READY,
	   "none of a ring that is not there, and no other for it");
	for (int i = 0; i < 15 && good; i++) {
		snprintf(line, sizeof(line), "lie RING%d_%s 1", i % 4, names[i / 4]);
		good &= rig_control(rig, line);
	}
	ok(good && !rig_control(rig, "lie ID 1"), "16 can lie at a time, no more");
	rig_control(rig, "lie off");
	ok(!rd32(rig, OCTANS_RING(1) + OCTANS_RING_HEAD) && rig_control(rig, "lie ID 1") &&
	   rd32(rig, OCTANS_REG_ID) == 1 && rig_control(rig, "lie off"), "then all tell the truth");
}

static void test_storm(struct rig *rig)
{
	unsigned int before = atomic_load(&rig->irqs[2]);
	char reply[4096];

	ok(rig_control(rig, "storm 2 1000") && atomic_load(&rig->irqs[2]) == before + 1000,
	   "a thousand messages for nothing");
	sim_set_bus_master(rig->dev, false);
	ok(!sim_control(rig->dev, "storm 2 5", reply, sizeof(reply)) &&
	   !strcmp(reply, "ok 0 messages of vector 2 were sent") &&
	   atomic_load(&rig->irqs[2]) == before + 1000, "without the bus none, and it says so");
	sim_set_bus_master(rig->dev, true);
}

static void test_slow_reset(struct rig *rig)
{
	double start = now_ms(), took;

	rig_control(rig, "slow-reset ring 0 300");
	ok(rig_reset_ring(rig, 0), "a slow ring reset completes");
	took = now_ms() - start;
	ok(took >= 299 && took < 2000, "in %.0f ms", took);
	ok(rig_run(rig, 0, ++seqno, 1, CODE, 16) == OCTANS_JOB_OK, "and is one");
	rig_control(rig, "slow-reset ring 0 0");
	rig_control(rig, "slow-reset device 300");
	start = now_ms();
	wr32(rig, OCTANS_REG_RESET, OCTANS_RESET_MAGIC);
	ok(rd32(rig, OCTANS_REG_STATUS) == OCTANS_STATUS_RESETTING &&
	   rig_until(rd32(rig, OCTANS_REG_STATUS) == OCTANS_STATUS_READY) &&
	   now_ms() - start >= 299,
	   "a slow device reset");
	start = now_ms();
	sim_flr(rig->dev);
	ok(now_ms() - start >= 299 && rd32(rig, OCTANS_REG_STATUS) == OCTANS_STATUS_READY,
	   "a slow reset of the function");
	rig_control(rig, "slow-reset device 0");
	rig_start(rig);
	ok(rig_run(rig, 0, ++seqno, 1, CODE, 16) == OCTANS_JOB_OK, "the device works");
}

static void test_away(struct rig *rig)
{
	double start;

	rig_control(rig, "away 200");
	start = now_ms();
	sim_flr(rig->dev);
	ok(rd32(rig, OCTANS_REG_ID) == UINT32_MAX &&
	   rd32(rig, OCTANS_REG_INVALIDATED) == UINT32_MAX,
	   "after a reset of the function registers read all-ones");
	wr32(rig, OCTANS_REG_EVT_VECTOR, 3);
	ok(rig_until(rd32(rig, OCTANS_REG_ID) == OCTANS_ID_MAGIC) && now_ms() - start >= 199 &&
	   !rd32(rig, OCTANS_REG_EVT_VECTOR), "for as long as was said, and are not written to");
	rig_control(rig, "away 0");
	rig_start(rig);
	ok(rig_run(rig, 0, ++seqno, 1, CODE, 16) == OCTANS_JOB_OK, "then the device works");
}

int main(void)
{
	struct octans_cmd nop = cmd_nop();
	struct rig rig;

	rig_new(&rig, NULL);
	rig_map(&rig, 1, CODE, RIG_DATA, 0x1000, 0);
	memcpy(rig.mem + RIG_DATA, &nop, sizeof(nop));
	rig_start(&rig);
	test_late(&rig);
	test_hang_tag(&rig);
	test_doorbells(&rig);
	test_corrupt(&rig);
	test_late_record(&rig);
	test_corrupt_event(&rig);
	test_lies(&rig);
	test_storm(&rig);
	test_slow_reset(&rig);
	test_away(&rig);
	rig_free(&rig);
	return done();
}
