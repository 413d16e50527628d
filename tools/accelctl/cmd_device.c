// SPDX-License-Identifier: MIT
/* accelctl list, show */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accelctl.h"

json_t *device_json(const struct accel_devinfo *d)
{
	char version[16], serial[24];
	json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", d->name, "path", d->path,
			      "driver", d->driver, "pci", d->pci, "access", access_name(d->access));

	if (d->access)
		return j;
	snprintf(version, sizeof(version), "%u.%u", d->hw_version >> 16, d->hw_version & 0xffff);
	snprintf(serial, sizeof(serial), "%016llx", (unsigned long long)d->serial);
	json_object_update_new(j, json_pack(
		"{s:o, s:s, s:i, s:i, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:I, s:b}",
		"profile", json_text(d->profile), "hardware_version", version,
		"uapi_major", (int)d->uapi_major, "uapi_minor", (int)d->uapi_minor,
		"serial", serial, "rings", (json_int_t)d->rings,
		"memory_total_bytes", (json_int_t)d->memory_size,
		"memory_used_bytes", (json_int_t)d->memory_used,
		"memory_mappable_bytes", (json_int_t)d->memory_mappable,
		"clock_hz", (json_int_t)d->clock_hz,
		"modelled_macs_int8_per_cycle", (json_int_t)d->macs_int8,
		"modelled_macs_f16_per_cycle", (json_int_t)d->macs_f16,
		"modelled_macs_f32_per_cycle", (json_int_t)d->macs_f32,
		"modelled_memory_bytes_per_cycle", (json_int_t)d->local_bpc,
		"modelled_pcie_bytes_per_cycle", (json_int_t)d->pcie_bpc,
		"max_context", (json_int_t)d->max_ctx, "operations", operations_json(d->ops),
		"weight_types", types_json(d->types),
		"modelled_sram_bytes", (json_int_t)d->sram_size, "timing_only", d->timing_only));
	return j;
}

int enumerate_devices(struct accel_devinfo **list, size_t *n)
{
	size_t room = 0;
	int err;

	*list = NULL;
	do {
		free(*list);
		room += 16;
		*list = calloc(room, sizeof(**list));
		if (!*list)
			return complain(EXIT_FAILED, "no memory to list processors");
		(*list)->sz = sizeof(**list);
		*n = room;
		err = accel_enumerate(*list, n);
	} while (!err && *n > room);
	return err ? complain_accel(err) : EXIT_OK;
}

bool has_device(void)
{
	size_t n = 0;

	return accel_enumerate(NULL, &n) || n;
}

bool device_is_meant(const char *selector, const struct accel_devinfo *info)
{
	return !selector || !strcmp(selector, "auto") || !strcmp(selector, info->name) ||
	       !strcmp(selector, info->path) || !strcmp(selector, info->name + strlen("accel")) ||
	       !strcasecmp(selector, info->pci);
}

int complain_open(int err)
{
	char why[512];

	if (err == -EINVAL)
		return complain(EXIT_USAGE, "%s", accel_error());
	if (err != -ENODEV)
		return complain_accel(err);
	snprintf(why, sizeof(why), "%s", accel_error());
	return complain(EXIT_NO_DEVICE, "%s (%s)", why, has_device() ? "`accelctl list` shows what there is" :
			"`accelctl doctor` finds out why");
}

int device_look(const char *selector, struct accel_devinfo *info)
{
	struct accel_dev *dev;
	int err = accel_open(selector, &dev);

	*info = (struct accel_devinfo) { .sz = sizeof(*info) };
	if (!err) {
		err = accel_dev_info(dev, info);
		accel_close(dev);
	}
	return err;
}

/* The same; an exit code after a complaint. */
static int describe(const char *selector, struct accel_devinfo *info)
{
	int err = device_look(selector, info);

	if (err == -ENODEV && (!selector || !strcmp(selector, "auto")) && !has_device())
		return complain(EXIT_NO_DEVICE, "there is no Octans processor: `accelctl doctor` says why; `accelctl show sim` describes the model of one");
	return err ? complain_open(err) : EXIT_OK;
}

static void print_row(const struct accel_devinfo *d)
{
	char memory[48] = "-";

	if (!d->access)
		snprintf(memory, sizeof(memory), "%llu/%llu MiB", (unsigned long long)d->memory_used >> 20,
			 (unsigned long long)d->memory_size >> 20);
	printf("%-8s %-14s %-10s %-14s %s\n", d->name, d->pci[0] ? d->pci : "-",
	       d->access ? "-" : d->profile, memory,
	       strcmp(d->driver, "octans-sim") ? access_text(d->access) : "ok, the model in this process");
}

static int print_list(const struct options *o, const struct accel_devinfo *list, size_t n)
{
	json_t *devices;

	if (!o->json) {
		printf("%-8s %-14s %-10s %-14s %s\n", "NAME", "PCI", "PROFILE", "MEMORY", "ACCESS");
		for (size_t i = 0; i < n; i++)
			print_row(&list[i]);
		return EXIT_OK;
	}
	devices = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(devices, device_json(&list[i]));
	return print_json("list/2", json_pack("{s:o}", "devices", devices));
}

/* All that the kernel shows, and the model, which may not be installed. */
static int list_all(const struct options *o)
{
	struct accel_devinfo *list, *grown;
	size_t n;
	int rc = enumerate_devices(&list, &n);

	if (rc)
		return rc;
	if (!n)
		note("no Octans processor: `accelctl doctor` says why; sim is the model of one");
	grown = realloc(list, (n + 1) * sizeof(*list));
	if (grown)
		list = grown;
	if (grown && !device_look("sim", &list[n]))
		n++;
	else
		detail("the model is not listed: %s", accel_error());
	rc = print_list(o, list, n);
	free(list);
	return rc;
}

int cmd_list(const struct options *o)
{
	struct accel_devinfo one;
	int rc;

	if (!o->device || !strcmp(o->device, "auto"))
		return list_all(o);
	rc = describe(o->device, &one);
	return rc ? rc : print_list(o, &one, 1);
}

static void print_device(const struct accel_devinfo *d)
{
	printf("name           %s\n", d->name);
	if (d->path[0])
		printf("node           %s\n", d->path);
	if (d->pci[0])
		printf("pci            %s\n", d->pci);
	printf("driver         %s", d->driver);
	if (d->uapi_major)
		printf(", uapi %u.%u", d->uapi_major, d->uapi_minor);
	printf("\nprofile        %s (modelled)\n", d->profile);
	printf("hardware       %u.%u, serial %016llx\n", d->hw_version >> 16, d->hw_version & 0xffff,
	       (unsigned long long)d->serial);
	printf("memory         %llu MiB on the card, %llu MiB used, %llu MiB mappable\n",
	       (unsigned long long)d->memory_size >> 20, (unsigned long long)d->memory_used >> 20,
	       (unsigned long long)d->memory_mappable >> 20);
	printf("rings          %u\n", d->rings);
	printf("clock          %llu MHz\n", (unsigned long long)d->clock_hz / 1000000);
	printf("per cycle      %u int8 MACs, %u 16-bit MACs, %u F32 MACs; %u bytes on-card, %u bytes PCIe\n",
	       d->macs_int8, d->macs_f16, d->macs_f32, d->local_bpc, d->pcie_bpc);
	printf("on-chip memory %llu KiB\n", (unsigned long long)d->sram_size >> 10);
	printf("ceilings       %.3g int8 MAC/s, %.3g 16-bit MAC/s, %.4g GB/s on-card, %.4g GB/s PCIe (modelled)\n",
	       (double)d->clock_hz * d->macs_int8, (double)d->clock_hz * d->macs_f16,
	       d->clock_hz * 1e-9 * d->local_bpc, d->clock_hz * 1e-9 * d->pcie_bpc);
	if (d->timing_only)
		printf("results        none: only time is modelled\n");
	printf("context        up to %u positions\n", d->max_ctx);
	print_operations("operations    ", d->ops);
	print_types("weight types  ", d->types);
}

int cmd_show(const struct options *o)
{
	struct accel_devinfo info;
	int rc;

	if (is_model(o->device))
		return show_model(o);
	rc = describe(o->device, &info);
	if (rc)
		return rc;
	if (o->json)
		return print_json("show/2", json_pack("{s:[o]}", "devices", device_json(&info)));
	print_device(&info);
	return EXIT_OK;
}
