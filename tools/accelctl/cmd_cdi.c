// SPDX-License-Identifier: MIT
/*
 * accelctl cdi: processors as the Container Device Interface has them, so that `podman run --device octans/accel=accel0`
 * gives a container that one alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accelctl.h"
#include "newfile.h"

/* The first version whose names may begin with a digit, as PCI addresses do.  Runtimes refuse what is newer than they. */
#define CDI_VERSION "0.5.0"
#define CDI_KIND "octans/accel"

/* The numbers of the node are the runtime's to look up: they may be others after the next boot. */
static json_t *node_json(const struct accel_devinfo *d)
{
	return json_pack("{s:s, s:s}", "path", d->path, "permissions", "rw");
}

/* Takes nodes, an array. */
static json_t *device_entry(const char *name, json_t *nodes)
{
	return json_pack("{s:s, s:{s:o}}", "name", name, "containerEdits", "deviceNodes", nodes);
}

static json_t *spec_json(const char *selector, const struct accel_devinfo *list, size_t n)
{
	json_t *devices = json_array(), *all = json_array();

	for (size_t i = 0; i < n; i++) {
		if (!device_is_meant(selector, &list[i]))
			continue;
		json_array_append_new(devices, device_entry(list[i].name, json_pack("[o]", node_json(&list[i]))));
		if (list[i].pci[0])
			json_array_append_new(devices, device_entry(list[i].pci, json_pack("[o]", node_json(&list[i]))));
		json_array_append_new(all, node_json(&list[i]));
	}
	if (!json_array_size(all)) {
		json_decref(all);
		json_decref(devices);
		return NULL;
	}
	json_array_append_new(devices, device_entry("all", all));
	return json_pack("{s:s, s:s, s:o}", "cdiVersion", CDI_VERSION, "kind", CDI_KIND, "devices", devices);
}

static int write_spec(const struct options *o, const json_t *spec)
{
	char *text = json_dumps(spec, JSON_INDENT(2));
	struct newfile f;
	int rc = EXIT_OK;

	if (!text)
		return complain(EXIT_FAILED, "no memory for the specification");
	if (!o->cdi_file) {
		write_output(text, strlen(text), &rc);
		if (!rc)
			write_output("\n", 1, &rc);
	} else {
		rc = newfile_open(&f, o->cdi_file, 0644);
		if (!rc)
			rc = newfile_write(&f, text, strlen(text));
		if (!rc)
			rc = newfile_write(&f, "\n", 1);
		if (!rc)
			rc = newfile_keep(&f);
	}
	free(text);
	return rc;
}

int cmd_cdi(const struct options *o)
{
	struct accel_devinfo *list;
	json_t *spec;
	size_t n;
	int rc;

	if (strcmp(o->args[0], "generate"))
		return complain(EXIT_USAGE, "\"%s\" is not what can be done with CDI: it is `accelctl cdi generate`", o->args[0]);
	if (o->device && !strncmp(o->device, "sim", 3))
		return complain(EXIT_USAGE, "\"%s\" has no node that a container could be given: programs in it use it by themselves",
				o->device);
	rc = enumerate_devices(&list, &n);
	if (rc)
		return rc;
	spec = spec_json(o->device, list, n);
	free(list);
	if (!spec)
		return complain(EXIT_NO_DEVICE, n ? "there is no Octans processor \"%s\" (`accelctl list` shows what there is)" :
				"there is no Octans processor: `accelctl doctor` says why", o->device);
	rc = write_spec(o, spec);
	json_decref(spec);
	return rc;
}
