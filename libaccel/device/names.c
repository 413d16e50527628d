// SPDX-License-Identifier: MIT
/* Words for what a device's description says in bits. */
#include <accel/accel.h>

#include "op/op.h"

const char *accel_op_name(uint32_t op)
{
	return op_name(op);
}
