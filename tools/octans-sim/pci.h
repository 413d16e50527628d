/* SPDX-License-Identifier: MIT */
/* The PCI function: configuration space and the MSI-X table. */
#ifndef OCTANS_SIM_PCI_H
#define OCTANS_SIM_PCI_H

#include "device.h"

#define SIM_PCI_CONFIG_SIZE	4096

struct sim_pci {
	struct sim_device *dev;
	uint64_t power_cycles;		/* of the device when config was last initialised */
	uint8_t config[SIM_PCI_CONFIG_SIZE];
	uint8_t writable[SIM_PCI_CONFIG_SIZE];
	uint8_t msix[OCTANS_BAR_MSIX_SIZE];
};

/* One thread at a time calls these. */
void sim_pci_init(struct sim_pci *pci, struct sim_device *dev);
/* Function-level reset: the device and the configuration space. */
void sim_pci_reset(struct sim_pci *pci);
/* The caller has checked that offset + len <= SIM_PCI_CONFIG_SIZE. */
void sim_pci_read(struct sim_pci *pci, uint32_t offset, void *data, size_t len);
void sim_pci_write(struct sim_pci *pci, uint32_t offset, const void *data, size_t len);
/* BAR 4; offset + len <= OCTANS_BAR_MSIX_SIZE. */
void sim_pci_msix_read(struct sim_pci *pci, uint32_t offset, void *data, size_t len);
void sim_pci_msix_write(struct sim_pci *pci, uint32_t offset, const void *data, size_t len);

#endif
