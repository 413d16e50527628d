// SPDX-License-Identifier: MIT
#include "pci.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Does the file of a PCI function begin with this text? */
static bool holds(const char *function, const char *name, const char *text)
{
	char path[512], line[16] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", function, name);
	f = fopen(path, "re");
	if (f && !fgets(line, sizeof(line), f))
		line[0] = 0;
	if (f)
		fclose(f);
	return !strncmp(line, text, strlen(text));
}

bool pci_is_processor(const char *function)
{
	return holds(function, "vendor", "0x" PCI_VENDOR) && holds(function, "device", "0x" PCI_DEVICE);
}

void pci_driver(const char *function, char *name, size_t len)
{
	char path[512], target[512];
	const char *slash;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", function);
	n = readlink(path, target, sizeof(target) - 1);
	target[n < 0 ? 0 : n] = 0;
	slash = strrchr(target, '/');
	snprintf(name, len, "%.31s", slash ? slash + 1 : target);
}
