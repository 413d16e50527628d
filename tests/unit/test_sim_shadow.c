// SPDX-License-Identifier: MIT
/* The shadow doorbell: few doorbells are rung, and none too few. */
#include "sim_rig.h"

#define CODE	0x10000ULL
#define VOID	0xcafe000000000ULL
#define SHADOW	(RIG_DATA + 0x10000)	/* of ring 0 */
#define RING	OCTANS_RING(0)

static uint64_t seqno;
static unsigned int bells;	/* rung */

static _Atomic uint32_t *shadow(struct rig *rig)
{
	return (_Atomic uint32_t *)(rig->mem + SHADOW);
}

static bool begin(struct rig *rig, uint64_t at)
{
	wr32(rig, RING + OCTANS_RING_CTRL, OCTANS_RING_RESET);
	rig_until(!rd32(rig, RING + OCTANS_RING_CTRL));
	atomic_store(&shadow(rig)[0], 0);
	atomic_store(&shadow(rig)[1], 0);
	wr64(rig, RING + OCTANS_RING_SHADOW, at);
	rig_ring(rig, 0, 4);
	return rd32(rig, RING + OCTANS_RING_CTRL) == OCTANS_RING_ENABLE;
}

static bool begin_well(struct rig *rig)
{
	return begin(rig, (RIG_IOVA + SHADOW) | OCTANS_SHADOW_ENABLE);
}

static bool is_wanted(void *ctx)
{
	(void)ctx;
	return true;
}

/* As the manual tells drivers to.  @lent: this thread does what the doorbell makes it do. */
static void publish(struct rig *rig, uint32_t old, bool lent)
{
	struct sim_loan loan = { .until_ns = UINT64_MAX, .wanted = is_wanted };
	uint32_t tail = rig->tail[0], event;

	atomic_store_explicit(&shadow(rig)[0], tail, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	event = atomic_load_explicit(&shadow(rig)[1], memory_order_relaxed);
	if (event - old >= tail - old)
		return;
	bells++;
	if (lent)
		sim_work(rig->dev, sim_reg_write_lent(rig->dev, OCTANS_DOORBELL(0), 4, tail),
			 &loan);
	else
		rig_bell(rig, 0);
}

static void add(struct rig *rig, unsigned int n, bool lent)
{
	struct octans_desc *d = (struct octans_desc *)(rig->mem + RIG_RING);
	uint32_t old = rig->tail[0];

	while (n--)
		d[rig->tail[0]++ % 16] = (struct octans_desc) {
			.seqno = ++seqno, .cmd_va = CODE, .cmd_size = 16, .asid = 1,
		};
	publish(rig, old, lent);
}

static void test_enable(struct rig *rig)
{
	ok(!begin(rig, (RIG_IOVA + SHADOW + 4) | OCTANS_SHADOW_ENABLE),
	   "a crooked address does not do");
	ok(begin(rig, RIG_IOVA + SHADOW + 4), "but if it is off");
	ok(rig_run(rig, 0, ++seqno, 1, CODE, 16) == OCTANS_JOB_OK, "a doorbell then counts");
	ok(begin_well(rig), "a good one");
	wr64(rig, RING + OCTANS_RING_SHADOW, VOID);
	ok(rd64(rig, RING + OCTANS_RING_SHADOW) == ((RIG_IOVA + SHADOW) | OCTANS_SHADOW_ENABLE),
	   "is fixed while the ring is enabled");
}

static void test_normal(struct rig *rig)
{
	begin_well(rig);
	bells = 0;
	add(rig, 1, false);
	ok(rig_ended(rig, 0, seqno) == OCTANS_JOB_OK && bells == 1,
	   "the first job takes a doorbell");
	ok(rig_until(atomic_load(&shadow(rig)[1]) == 1),
	   "a ring that runs dry asks for the next one");
	wr32(rig, OCTANS_DOORBELL(0), 0xdeadbeef);
	rig_nap(5000);
	ok(!rd32(rig, RING + OCTANS_RING_STATUS) && rd32(rig, RING + OCTANS_RING_HEAD) == 1,
	   "the value of a doorbell does not matter");
	rig_control(rig, "hang 0");
	add(rig, 1, false);
	rig_until(rd64(rig, RING + OCTANS_RING_SEQNO) == seqno);
	for (int i = 0; i < 10; i++)
		add(rig, 1, false);
	ok(bells == 2, "while a job runs no doorbell is asked for");
	rig_control(rig, "hang 0 off");
	ok(rig_ended(rig, 0, seqno) == OCTANS_JOB_OK, "the jobs that came meanwhile run");
	ok(rig_until(atomic_load(&shadow(rig)[1]) == 12) &&
	   rig_until(!rd32(rig, RING + OCTANS_RING_STATUS)), "and then it asks again");

	wr32(rig, RING + OCTANS_RING_CTRL, 0);
	add(rig, 2, false);
	rig_nap(5000);
	ok(OCTANS_WB_SEQNO(rig_wb(rig, 0)) == seqno - 2, "a ring that is disabled does not look");
	wr32(rig, RING + OCTANS_RING_CTRL, OCTANS_RING_ENABLE);
	ok(rig_ended(rig, 0, seqno) == OCTANS_JOB_OK, "but when it is enabled, without a doorbell");
}

/* True: no more than @n jobs are left to be done. */
static bool left(struct rig *rig, unsigned int n)
{
	return rig_until(seqno - OCTANS_WB_SEQNO(rig_wb(rig, 0)) <= n);
}

/* Jobs that come when the ring may just be going to sleep, @most at a time. */
static void test_races(struct rig *rig, unsigned int most, bool lent)
{
	unsigned int n = 0;
	int lost = 0;

	begin_well(rig);
	add(rig, 1, false);
	lost += !left(rig, 0);
	bells = 0;
	for (int i = 0; i < 20000 && !lost; i++) {
		for (volatile int spin = i * 7919 % 1500; spin; spin--)
			;
		for (int k = 0; k < 3000; k++)
			if (seqno - OCTANS_WB_SEQNO(rig_wb(rig, 0)) <= 16 - most)
				break;
		lost += !left(rig, 16 - most);
		n += 1 + i % most;
		add(rig, 1 + i % most, lent);
	}
	lost += !left(rig, 0);
	ok(!lost && rd32(rig, RING + OCTANS_RING_HEAD) == rig->tail[0],
	   "%u jobs, up to %u at a time%s: %u doorbells, none missing", n, most,
	   lent ? ", by the thread that rings" : "", bells);
}

/* The same, with all the time in the world between the ring's look and its question. */
static void test_slow(struct rig *rig)
{
	int lost = 0;

	begin_well(rig);
	rig_control(rig, "slow 0 100");
	for (int i = 0; i < 1000 && !lost; i++) {
		add(rig, 1, false);
		lost += !left(rig, 0);
		rig_nap(i % 300);
	}
	rig_control(rig, "slow 0 0");
	ok(!lost, "1000 jobs, when the ring is slow to ask: no doorbell missing");
}

static bool halts(struct rig *rig, uint32_t code, uint64_t va)
{
	uint32_t tail = rd32(rig, OCTANS_REG_EVT_TAIL);
	const struct octans_event *e;

	if (!rig_until(rd32(rig, RING + OCTANS_RING_STATUS) == OCTANS_RING_HALTED))
		return false;
	rig_until(rd32(rig, OCTANS_REG_EVT_TAIL) != rd32(rig, OCTANS_REG_EVT_HEAD));
	tail = rd32(rig, OCTANS_REG_EVT_HEAD);
	e = rig_event(rig, tail);
	wr32(rig, OCTANS_REG_EVT_HEAD, rd32(rig, OCTANS_REG_EVT_TAIL));
	return e->type == OCTANS_EVT_JOB_ERROR && e->code == code && e->va == va && !e->seqno;
}

static void test_wrong(struct rig *rig)
{
	unsigned int irqs;

	wr32(rig, OCTANS_REG_EVT_HEAD, rd32(rig, OCTANS_REG_EVT_TAIL));
	begin_well(rig);
	add(rig, 1, false);
	rig_ended(rig, 0, seqno);
	rig_until(atomic_load(&shadow(rig)[1]) == 1);
	atomic_store(&shadow(rig)[0], 18);
	wr32(rig, OCTANS_DOORBELL(0), 0);
	ok(halts(rig, OCTANS_JOB_BAD_DESC, 0), "a tail beyond the ring halts it");
	begin_well(rig);
	add(rig, 3, false);
	rig_ended(rig, 0, seqno);
	rig_until(atomic_load(&shadow(rig)[1]) == 3);
	atomic_store(&shadow(rig)[0], 2);
	wr32(rig, OCTANS_DOORBELL(0), 0);
	ok(halts(rig, OCTANS_JOB_BAD_DESC, 0), "and one that goes back");
	irqs = atomic_load(&rig->irqs[1]);
	ok(begin(rig, VOID | OCTANS_SHADOW_ENABLE) && halts(rig, OCTANS_JOB_BUS, VOID) &&
	   rd64(rig, RING + OCTANS_RING_FAULT_VA) == VOID &&
	   rig_until(atomic_load(&rig->irqs[1]) > irqs), "and a shadow in the void");
	atomic_store(&shadow(rig)[0], 5);
	wr32(rig, RING + OCTANS_RING_CTRL, OCTANS_RING_RESET);
	rig_until(!rd32(rig, RING + OCTANS_RING_CTRL));
	wr64(rig, RING + OCTANS_RING_SHADOW, (RIG_IOVA + SHADOW) | OCTANS_SHADOW_ENABLE);
	rig_nap(5000);
	ok(!rd32(rig, RING + OCTANS_RING_HEAD) && rd64(rig, RING + OCTANS_RING_SHADOW),
	   "after a reset the place is kept, and not looked at");
	begin_well(rig);
	add(rig, 1, false);
	ok(rig_ended(rig, 0, seqno) == OCTANS_JOB_OK, "and back to work");
}

/* Between the look and the question the bus goes away. */
static void test_taken_away(struct rig *rig)
{
	rig_control(rig, "slow 0 100000");
	begin_well(rig);
	rig_nap(20000);
	sim_set_bus_master(rig->dev, false);
	atomic_store(&shadow(rig)[1], 0xca11ab1e);
	ok(rig_until(!(rd32(rig, RING + OCTANS_RING_STATUS) & OCTANS_RING_BUSY)) &&
	   atomic_load(&shadow(rig)[1]) == 0xca11ab1e,
	   "a ring that is slow to ask does not ask where it may not write any more");
	rig_control(rig, "slow 0 0");
	sim_set_bus_master(rig->dev, true);
}

/* Nonsense at speed, while the ring is switched on and off. */
static void test_wild(struct rig *rig)
{
	for (uint32_t v = 0; v < 5000; v++) {
		atomic_store(&shadow(rig)[0], v * 2654435761u >> (v % 32));
		wr32(rig, OCTANS_DOORBELL(0), v);
		if (v % 5 == 0)
			wr32(rig, RING + OCTANS_RING_CTRL, v % 4);
	}
	begin_well(rig);
	add(rig, 1, false);
	ok(rig_ended(rig, 0, seqno) == OCTANS_JOB_OK, "5000 wild tails later");
}

int main(void)
{
	struct octans_cmd nop = cmd_nop();
	struct rig rig;

	rig_new(&rig, NULL);
	rig_map(&rig, 1, CODE, RIG_DATA, 0x1000, 0);
	memcpy(rig.mem + RIG_DATA, &nop, sizeof(nop));
	rig_start(&rig);
	test_enable(&rig);
	test_normal(&rig);
	test_races(&rig, 1, false);
	test_races(&rig, 8, false);
	test_races(&rig, 8, true);
	test_slow(&rig);
	test_wrong(&rig);
	test_taken_away(&rig);
	test_wild(&rig);
	rig_free(&rig);
	return done();
}
