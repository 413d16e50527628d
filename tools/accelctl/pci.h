/* SPDX-License-Identifier: MIT */
/* What sysfs tells of PCI functions, by their addresses. */
#ifndef ACCELCTL_PCI_H
#define ACCELCTL_PCI_H

#include <stdbool.h>
#include <stddef.h>

#define PCI_VENDOR "1af4"	/* as in octans/regs.h, which is the driver's */
#define PCI_DEVICE "10f5"

/* The beginning of a file of its; false: there is none, or it is empty. */
bool pci_read(const char *function, const char *name, char *text, size_t len);
bool pci_is_processor(const char *function);
/* "": no driver has it. */
void pci_driver(const char *function, char *name, size_t len);

#endif
