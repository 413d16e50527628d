// SPDX-License-Identifier: MIT
/* COPY and PREFETCH: what the processor's DMA engine does. */
#include "op.h"

#define MAX_BYTES (1ull << 40)
#define CHUNK 65536u

static bool range_ok(uint64_t va, uint64_t size)
{
	return size && size <= MAX_BYTES && va <= ADDRESS_END - size;
}

static void copy_chunks(void *arg, uint32_t from, uint32_t to, uint32_t thread)
{
	const struct octans_cmd_copy *cmd = arg;
	uint64_t first = (uint64_t)from * CHUNK, end = (uint64_t)to * CHUNK;

	(void)thread;
	if (end > cmd->size)
		end = cmd->size;
	memcpy((uint8_t *)(uintptr_t)cmd->dst + first, (const uint8_t *)(uintptr_t)cmd->src + first,
	       end - first);
}

static int run_copy(struct cpu *cpu, const void *command, const struct view *view)
{
	struct octans_cmd_copy cmd = *(const struct octans_cmd_copy *)command;

	(void)view;
	if (cmd.reserved || !range_ok(cmd.dst, cmd.size) || !range_ok(cmd.src, cmd.size) ||
	    (cmd.dst < cmd.src + cmd.size && cmd.src < cmd.dst + cmd.size))
		return -EINVAL;
	share(cpu, (uint32_t)((cmd.size + CHUNK - 1) / CHUNK), CHUNK / 8, copy_chunks, &cmd);
	return 0;
}

static int run_prefetch(struct cpu *cpu, const void *command, const struct view *view)
{
	const struct octans_cmd_prefetch *cmd = command;

	(void)cpu;
	(void)view;
	return range_ok(cmd->va, cmd->size) ? 0 : -EINVAL;
}

const struct op op_copy = { .name = "COPY", .size = sizeof(struct octans_cmd_copy), .run = run_copy };
const struct op op_prefetch = {
	.name = "PREFETCH", .size = sizeof(struct octans_cmd_prefetch), .run = run_prefetch,
};
