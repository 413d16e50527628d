// SPDX-License-Identifier: MIT
/* NOP; and SIGNAL and WAIT, which have names here and are refused (cpu.h). */
#include "op.h"

const struct op op_nop = { .name = "NOP", .size = sizeof(struct octans_cmd) };
const struct op op_signal = { .name = "SIGNAL" };
const struct op op_wait = { .name = "WAIT" };
