// SPDX-License-Identifier: MIT
#include "pci.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool pci_read(const char *function, const char *name, char *text, size_t len)
{
	char path[512];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", function, name);
	f = fopen(path, "re");
	if (f) {
		n = fread(text, 1, len - 1, f);
		fclose(f);
	}
	text[n] = 0;
	return n;
}

/* Does the file of a PCI function begin with this text? */
static bool holds(const char *function, const char *name, const char *text)
{
	char line[16];

	return pci_read(function, name, line, sizeof(line)) && !strncmp(line, text, strlen(text));
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
