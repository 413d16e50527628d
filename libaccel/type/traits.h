/* SPDX-License-Identifier: MIT */
/* The types as constants, name_type, for code that is made for each of them: what does not apply to
 * a type is then gone before it runs. */
#ifndef ACCEL_TYPE_TRAITS_H
#define ACCEL_TYPE_TRAITS_H

#include "type.h"

#define WEIGHT_TYPE(NAME, lower, form_, number, ...) \
static const struct weight_type lower##_type __attribute__((unused)) = { \
	.name = #NAME, .id = number, .form = TYPE_##form_, __VA_ARGS__ \
};
#include "list.h"

#endif
