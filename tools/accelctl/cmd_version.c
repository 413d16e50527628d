// SPDX-License-Identifier: MIT
/* accelctl version */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <drm/octans_accel.h>

#include "accelctl.h"
#include "edit.h"

struct driver {
	bool loaded;
	char name[32];		/* of the processor that told the interface, or "" */
	uint32_t major, minor;	/* of the interface */
};

static int find_driver(struct driver *d)
{
	struct accel_devinfo *list;
	size_t n;
	int rc = enumerate_devices(&list, &n);

	*d = (struct driver) { .loaded = !access("/sys/module/octans", F_OK) };
	for (size_t i = 0; i < n && !rc && !d->major; i++)
		if (list[i].uapi_major) {
			d->loaded = true;
			snprintf(d->name, sizeof(d->name), "%s", list[i].name);
			d->major = list[i].uapi_major;
			d->minor = list[i].uapi_minor;
		}
	free(list);
	return rc;
}

static int version_json(const char *tool, const char *library, const struct driver *d)
{
	json_t *isas = json_array(), *driver = json_pack("{s:b}", "loaded", d->loaded);
	const char *name;
	bool supported;

	for (uint32_t i = 0; (name = accel_isa_name(i, &supported)); i++)
		json_array_append_new(isas, json_pack("{s:s, s:b}", "name", name, "supported", supported));
	if (d->major)
		json_object_update_new(driver, json_pack("{s:i, s:i}", "uapi_major", (int)d->major,
							 "uapi_minor", (int)d->minor));
	return print_json("version/2", json_pack("{s:s, s:s, s:i, s:i, s:o, s:o, s:s?}", "accelctl", tool, "libaccel",
		library, "uapi_major", OCTANS_UAPI_MAJOR, "uapi_minor", OCTANS_UAPI_MINOR, "driver", driver,
		"instruction_sets", isas, "line_editing", edit_library()));
}

/* Those built in; what this machine lacks is not hidden. */
static void print_isas(void)
{
	const char *name;
	bool supported;

	printf("instruction sets");
	for (uint32_t i = 0; (name = accel_isa_name(i, &supported)); i++)
		printf("%s %s%s", i ? "," : "", name, supported ? "" : " (not on this machine)");
	putchar('\n');
}

int cmd_version(const struct options *o)
{
	uint32_t v = accel_version();
	char tool[32], library[32];
	struct driver d;
	int rc = find_driver(&d);

	if (rc)
		return rc;
	snprintf(tool, sizeof(tool), "%d.%d.%d", ACCEL_VERSION_MAJOR, ACCEL_VERSION_MINOR,
		 ACCEL_VERSION_PATCH);
	snprintf(library, sizeof(library), "%u.%u.%u", v >> 16, v >> 8 & 0xff, v & 0xff);
	if (o->json)
		return version_json(tool, library, &d);
	printf("accelctl %s, libaccel %s, uapi %d.%d\n", tool, library, OCTANS_UAPI_MAJOR,
	       OCTANS_UAPI_MINOR);
	if (d.major)
		printf("driver octans, uapi %u.%u (%s)\n", d.major, d.minor, d.name);
	else
		printf("driver octans %s\n", d.loaded ? "loaded, no processor to ask" : "not loaded");
	print_isas();
	printf("line editing %s\n", edit_library() ? edit_library() : "none: built without libedit");
	return EXIT_OK;
}
