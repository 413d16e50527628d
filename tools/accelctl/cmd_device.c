// SPDX-License-Identifier: MIT
/* accelctl list, show, version */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <drm/octans_accel.h>

#include "accelctl.h"

static const char *access_text(const struct accel_devinfo *d)
{
	switch (d->access) {
	case 0:
		return "ok";
	case -EACCES:
		return "no permission";
	case -EPROTO:
		return "other uapi version";
	case -ENODEV:
		return "gone";
	case -ENOENT:
		return "node missing";
	default:
		return strerror(-d->access);
	}
}

json_t *device_json(const struct accel_devinfo *d)
{
	char version[16];
	json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", d->name, "path", d->path,
			      "driver", d->driver, "pci", d->pci, "access", access_text(d));

	if (d->access)
		return j;
	snprintf(version, sizeof(version), "%u.%u", d->hw_version >> 16, d->hw_version & 0xffff);
	json_object_update_new(j, json_pack(
		"{s:s, s:s, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}",
		"profile", d->profile, "hardware_version", version,
		"uapi_major", (int)d->uapi_major, "uapi_minor", (int)d->uapi_minor,
		"serial", (json_int_t)d->serial, "rings", (json_int_t)d->rings,
		"memory_total_bytes", (json_int_t)d->memory_size,
		"memory_used_bytes", (json_int_t)d->memory_used,
		"memory_mappable_bytes", (json_int_t)d->memory_mappable,
		"clock_hz", (json_int_t)d->clock_hz,
		"modelled_macs_int8_per_cycle", (json_int_t)d->macs_int8,
		"modelled_macs_f16_per_cycle", (json_int_t)d->macs_f16,
		"modelled_macs_f32_per_cycle", (json_int_t)d->macs_f32,
		"modelled_memory_bytes_per_cycle", (json_int_t)d->local_bpc,
		"modelled_pcie_bytes_per_cycle", (json_int_t)d->pcie_bpc,
		"max_context", (json_int_t)d->max_ctx, "operations", (json_int_t)d->ops,
		"weight_types", (json_int_t)d->types,
		"modelled_sram_bytes", (json_int_t)d->sram_size, "timing_only", d->timing_only));
	return j;
}

/* All processors; the caller frees *list. */
static int enumerate(struct accel_devinfo **list, size_t *n)
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

int cmd_list(const struct options *o)
{
	struct accel_devinfo *list;
	size_t n;
	int rc = enumerate(&list, &n);

	if (!rc && o->json) {
		json_t *devices = json_array();

		for (size_t i = 0; i < n; i++)
			json_array_append_new(devices, device_json(&list[i]));
		rc = print_json("list", json_pack("{s:o}", "devices", devices));
	} else if (!rc) {
		if (n)
			printf("%-8s %-14s %-10s %-14s %s\n", "NAME", "PCI", "PROFILE", "MEMORY", "ACCESS");
		for (size_t i = 0; i < n; i++) {
			char memory[48] = "-";

			if (!list[i].access)
				snprintf(memory, sizeof(memory), "%llu/%llu MiB",
					 (unsigned long long)list[i].memory_used >> 20,
					 (unsigned long long)list[i].memory_size >> 20);
			printf("%-8s %-14s %-10s %-14s %s\n", list[i].name, list[i].pci,
			       list[i].access ? "-" : list[i].profile, memory, access_text(&list[i]));
		}
		if (!n)
			fprintf(stderr, "accelctl: no Octans processor; `accelctl doctor` finds out why, --device sim computes on the model\n");
	}
	free(list);
	return rc;
}

static void print_bits(const char *what, uint64_t bits, const char *(*name)(uint32_t))
{
	printf("%s", what);
	for (uint32_t i = 0; i < 64; i++)
		if (bits >> i & 1)
			printf(" %s", name(i));
	putchar('\n');
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
	print_bits("operations    ", d->ops, accel_op_name);
	print_bits("weight types  ", d->types, accel_type_name);
}

int cmd_show(const struct options *o)
{
	struct accel_devinfo info = { .sz = sizeof(info) };
	struct accel_dev *dev;
	int err, rc = EXIT_OK;

	err = accel_open(o->n_args ? o->args[0] : NULL, &dev);
	if (err)
		return complain_accel(err);
	err = accel_dev_info(dev, &info);
	if (err)
		rc = complain_accel(err);
	else if (o->json)
		rc = print_json("show", json_pack("{s:[o]}", "devices", device_json(&info)));
	else
		print_device(&info);
	accel_close(dev);
	return rc;
}

int cmd_version(const struct options *o)
{
	uint32_t v = accel_version();
	char tool[32], library[32];

	snprintf(tool, sizeof(tool), "%d.%d.%d", ACCEL_VERSION_MAJOR, ACCEL_VERSION_MINOR,
		 ACCEL_VERSION_PATCH);
	snprintf(library, sizeof(library), "%u.%u.%u", v >> 16, v >> 8 & 0xff, v & 0xff);
	if (o->json)
		return print_json("version", json_pack("{s:s, s:s, s:i, s:i}", "accelctl", tool,
						       "libaccel", library,
						       "uapi_major", OCTANS_UAPI_MAJOR,
						       "uapi_minor", OCTANS_UAPI_MINOR));
	printf("accelctl %s, libaccel %s, uapi %d.%d\n", tool, library, OCTANS_UAPI_MAJOR,
	       OCTANS_UAPI_MINOR);
	return EXIT_OK;
}
