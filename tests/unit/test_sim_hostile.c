// SPDX-License-Identifier: MIT
/*
 * Commands that change under the processor: what it read and checked is not what it reads when it
 * works.  A client does so by overlapping operands, or by a thread beside the job.
 */
#include "sim_rig.h"

#define CODE	0x10000ULL
#define DATA	0x1000000ULL		/* 4 MiB */

#define HEADS	1024
#define LIST	4096			/* positions of a row */

static struct rig rig;

static struct octans_tensor tensor(uint64_t va, uint32_t rows, uint32_t cols, uint64_t stride,
				   uint32_t type)
{
	return (struct octans_tensor) { va, stride, rows, cols, type, 0 };
}

/* The first row of dst is the second row of the list: of no positions it makes 4096 times 0. */
static void test_list_that_grows(void)
{
	const uint64_t list = DATA, row = LIST * 4, kv = DATA + 0x100000;
	struct octans_cmd_attend c = {
		.cmd = { OCTANS_OP_ATTEND, OCTANS_ATTEND_LIST, sizeof(c), 0 },
		.range = tensor(list, 2, LIST, row, OCTANS_TYPE_I32),
		.dst = tensor(list + row, 2, LIST, row, OCTANS_TYPE_F32),
		.q = tensor(kv, 2, HEADS, HEADS * 4, OCTANS_TYPE_F32),
		.k = tensor(kv, 1, HEADS, HEADS * 4, OCTANS_TYPE_F32),
		.v = tensor(kv, 1, LIST, row, OCTANS_TYPE_F32),
		.heads = HEADS, .kv_heads = HEADS, .dk = 1, .dv = LIST / HEADS, .scale = 1,
	};
	int status;

	memset(rig.mem + RIG_LARGE, 0xff, 2 * row);	/* positions below 0: none */
	memcpy(rig.mem + RIG_DATA, &c, sizeof(c));
	status = rig_run(&rig, 0, 1, 1, CODE, sizeof(c));
	ok(status == OCTANS_JOB_OK || status == OCTANS_JOB_BAD_CMD,
	   "a list of positions that grows while ATTEND reads it: %d", status);
	ok(rig_reset_ring(&rig, 0), "and the ring goes on");
}

int main(void)
{
	rig_new(&rig, NULL);
	rig_map(&rig, 1, CODE, RIG_DATA, 0x1000, 0);
	rig_map(&rig, 1, DATA, RIG_LARGE, 4 << 20, OCTANS_PTE_WRITE);
	rig_start(&rig);
	test_list_that_grows();
	rig_free(&rig);
	return done();
}
