// SPDX-License-Identifier: MIT
/* Names of what a processor reports in numbers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accelctl.h"

static json_t *names_json(uint64_t bits, const char *(*name)(uint32_t))
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < 64; i++)
		if (bits >> i & 1)
			json_array_append_new(list, json_string(name(i)));
	return list;
}

static void print_names(const char *what, uint64_t bits, const char *(*name)(uint32_t))
{
	printf("%s", what);
	for (uint32_t i = 0; i < 64; i++)
		if (bits >> i & 1)
			printf(" %s", name(i));
	putchar('\n');
}

json_t *operations_json(uint64_t bits)
{
	return names_json(bits, accel_op_name);
}

json_t *types_json(uint64_t bits)
{
	return names_json(bits, accel_type_name);
}

void print_operations(const char *what, uint64_t bits)
{
	print_names(what, bits, accel_op_name);
}

void print_types(const char *what, uint64_t bits)
{
	print_names(what, bits, accel_type_name);
}

static const struct {
	int access;
	const char *name, *text;
} accesses[] = {
	{ 0, "ok", "ok" },
	{ -EACCES, "no-permission", "no permission" },
	{ -EPERM, "no-permission", "no permission" },
	{ -EPROTO, "other-uapi", "other uapi version" },
	{ -ENODEV, "gone", "gone" },
	{ -ENXIO, "gone", "gone" },
	{ -ENOENT, "no-node", "no device node" },
	{ -EBUSY, "busy", "busy" },
};

const char *access_name(int access)
{
	for (size_t i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++)
		if (accesses[i].access == access)
			return accesses[i].name;
	return "failed";
}

const char *access_text(int access)
{
	for (size_t i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++)
		if (accesses[i].access == access)
			return accesses[i].text;
	return strerror(-access);
}
