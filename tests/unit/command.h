/* SPDX-License-Identifier: MIT */
/* Any command of the processor. */
#ifndef TESTS_COMMAND_H
#define TESTS_COMMAND_H

#include <stdint.h>

#include <octans/isa.h>

union command {
	_Alignas(16) struct octans_cmd cmd;
	struct octans_cmd_move move;
	struct octans_cmd_matmul matmul;
	struct octans_cmd_row row;
	struct octans_cmd_map map;
	struct octans_cmd_rope rope;
	struct octans_cmd_attend attend;
	struct octans_cmd_topk topk;
	struct octans_cmd_conv conv;
	struct octans_cmd_scan scan;
	struct octans_cmd_copy copy;
	struct octans_cmd_prefetch prefetch;
	struct octans_cmd_signal signal;
	struct octans_cmd_wait wait;
	uint8_t raw[OCTANS_MAX_COMMAND];
	uint32_t words[OCTANS_MAX_COMMAND / 4];
};

#endif
