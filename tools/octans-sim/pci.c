// SPDX-License-Identifier: MIT
/* Configuration space; Documentation/hardware/pci.rst lists it. */
#include <linux/pci_regs.h>
#include <string.h>

#include "pci.h"

#define CAP_PM		0x40
#define CAP_EXP		0x50
#define CAP_MSIX	0xa0
#define ECAP_REBAR	0x100
#define ECAP_DSN	0x120

#define MSIX_ENTRY	16

/* A little-endian field of @n bytes and which of its bits software may change. */
static void field(struct sim_pci *pci, uint32_t off, unsigned int n, uint64_t value, uint64_t mask)
{
	memcpy(pci->config + off, &value, n);
	memcpy(pci->writable + off, &mask, n);
}

static void header(struct sim_pci *pci)
{
	uint64_t bar2_mask = ~(pci->dev->bar_size - 1);

	field(pci, PCI_VENDOR_ID, 2, OCTANS_PCI_VENDOR, 0);
	field(pci, PCI_DEVICE_ID, 2, OCTANS_PCI_DEVICE, 0);
	field(pci, PCI_COMMAND, 2, 0, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
	      PCI_COMMAND_PARITY | PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
	field(pci, PCI_STATUS, 2, PCI_STATUS_CAP_LIST, 0);
	field(pci, PCI_CLASS_REVISION, 4, 0x12000001, 0);
	field(pci, PCI_CACHE_LINE_SIZE, 1, 0, 0xff);
	field(pci, PCI_BASE_ADDRESS_0, 8, PCI_BASE_ADDRESS_MEM_TYPE_64,
	      ~(uint64_t)(pci->dev->regs_size - 1));
	field(pci, PCI_BASE_ADDRESS_2, 8,
	      PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH, bar2_mask);
	field(pci, PCI_BASE_ADDRESS_4, 4, 0, ~(OCTANS_BAR_MSIX_SIZE - 1U));
	field(pci, PCI_SUBSYSTEM_VENDOR_ID, 2, OCTANS_PCI_VENDOR, 0);
	field(pci, PCI_SUBSYSTEM_ID, 2, 1, 0);
	field(pci, PCI_CAPABILITY_LIST, 1, CAP_PM, 0);
	field(pci, PCI_INTERRUPT_LINE, 1, 0, 0xff);
}

static void capabilities(struct sim_pci *pci)
{
	/* Power management: D0 and D3hot; registers survive D3hot. */
	field(pci, CAP_PM, 2, PCI_CAP_ID_PM | CAP_EXP << 8, 0);
	field(pci, CAP_PM + PCI_PM_PMC, 2, 3, 0);
	field(pci, CAP_PM + PCI_PM_CTRL, 2, PCI_PM_CTRL_NO_SOFT_RESET, PCI_PM_CTRL_STATE_MASK);

	/* PCI Express endpoint, 16 lanes at 16 GT/s, function-level reset. */
	field(pci, CAP_EXP, 2, PCI_CAP_ID_EXP | CAP_MSIX << 8, 0);
	field(pci, CAP_EXP + PCI_EXP_FLAGS, 2, 2, 0);
	field(pci, CAP_EXP + PCI_EXP_DEVCAP, 4,
	      1 | PCI_EXP_DEVCAP_EXT_TAG | PCI_EXP_DEVCAP_RBER | PCI_EXP_DEVCAP_FLR, 0);
	field(pci, CAP_EXP + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_READRQ_512B,
	      0x7fff);
	field(pci, CAP_EXP + PCI_EXP_LNKCAP, 4, PCI_EXP_LNKCAP_SLS_16_0GB | 16 << 4, 0);
	field(pci, CAP_EXP + PCI_EXP_LNKCTL, 2, 0, PCI_EXP_LNKCTL_ASPMC | PCI_EXP_LNKCTL_CCC);
	field(pci, CAP_EXP + PCI_EXP_LNKSTA, 2, PCI_EXP_LNKSTA_CLS_16_0GB | 16 << 4, 0);
	field(pci, CAP_EXP + PCI_EXP_DEVCTL2, 2, 0, 0x1f);
	field(pci, CAP_EXP + PCI_EXP_LNKCAP2, 4,
	      PCI_EXP_LNKCAP2_SLS_2_5GB | PCI_EXP_LNKCAP2_SLS_5_0GB | PCI_EXP_LNKCAP2_SLS_8_0GB |
	      PCI_EXP_LNKCAP2_SLS_16_0GB, 0);
	field(pci, CAP_EXP + PCI_EXP_LNKCTL2, 2, PCI_EXP_LNKCTL2_TLS_16_0GT, PCI_EXP_LNKCTL2_TLS);

	field(pci, CAP_MSIX, 2, PCI_CAP_ID_MSIX, 0);
	field(pci, CAP_MSIX + PCI_MSIX_FLAGS, 2, pci->dev->core.irq.vectors - 1,
	      PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	field(pci, CAP_MSIX + PCI_MSIX_TABLE, 4, OCTANS_BAR_MSIX, 0);
	field(pci, CAP_MSIX + PCI_MSIX_PBA, 4, OCTANS_MSIX_PBA | OCTANS_BAR_MSIX, 0);
}

static void extended_capabilities(struct sim_pci *pci)
{
	unsigned int log2 = 0;

	while (1ULL << (20 + log2) < pci->dev->bar_size)
		log2++;
	/* The window has the size that the model was started with; it is the only choice. */
	field(pci, ECAP_REBAR, 4, PCI_EXT_CAP_ID_REBAR | 1 << 16 | (uint32_t)ECAP_DSN << 20, 0);
	if (log2 + 4 < 32)
		field(pci, ECAP_REBAR + PCI_REBAR_CAP, 4, 1U << (log2 + 4), 0);
	field(pci, ECAP_REBAR + PCI_REBAR_CTRL, 4,
	      OCTANS_BAR_LOCAL | 1 << PCI_REBAR_CTRL_NBAR_SHIFT | log2 << 8, 0);

	field(pci, ECAP_DSN, 4, PCI_EXT_CAP_ID_DSN | 1 << 16, 0);
	field(pci, ECAP_DSN + 4, 8, pci->dev->serial, 0);
}

static void initial_values(struct sim_pci *pci)
{
	memset(pci->config, 0, sizeof(pci->config));
	memset(pci->writable, 0, sizeof(pci->writable));
	header(pci);
	capabilities(pci);
	extended_capabilities(pci);
	memset(pci->msix, 0, sizeof(pci->msix));
	for (unsigned int i = 0; i < pci->dev->core.irq.vectors; i++)
		pci->msix[i * MSIX_ENTRY + PCI_MSIX_ENTRY_VECTOR_CTRL] =
			PCI_MSIX_ENTRY_CTRL_MASKBIT;
	sim_set_bus_master(pci->dev, false);
}

void sim_pci_init(struct sim_pci *pci, struct sim_device *dev)
{
	pci->dev = dev;
	pci->power_cycles = atomic_load(&dev->power_cycles);
	initial_values(pci);
}

void sim_pci_reset(struct sim_pci *pci)
{
	sim_set_bus_master(pci->dev, false);
	if (sim_consume(&pci->dev->lose_power))
		sim_lose_power(pci->dev);
	else
		sim_flr(pci->dev);
	initial_values(pci);
}

/* False: the function does not answer.  Also notices that it was away meanwhile. */
static bool present(struct sim_pci *pci)
{
	if (atomic_load(&pci->dev->removed))
		return false;
	if (pci->power_cycles != atomic_load(&pci->dev->power_cycles)) {
		pci->power_cycles = atomic_load(&pci->dev->power_cycles);
		initial_values(pci);
	}
	return true;
}

void sim_pci_read(struct sim_pci *pci, uint32_t offset, void *data, size_t len)
{
	if (present(pci))
		memcpy(data, pci->config + offset, len);
	else
		memset(data, 0xff, len);
}

void sim_pci_write(struct sim_pci *pci, uint32_t offset, const void *data, size_t len)
{
	const uint8_t *src = data;
	uint32_t flr = CAP_EXP + PCI_EXP_DEVCTL + 1;	/* the byte that holds the FLR bit */

	if (!present(pci))
		return;
	for (size_t i = 0; i < len; i++) {
		uint8_t mask = pci->writable[offset + i];

		pci->config[offset + i] = (pci->config[offset + i] & ~mask) | (src[i] & mask);
	}
	if (offset <= flr && flr < offset + len && (src[flr - offset] & PCI_EXP_DEVCTL_BCR_FLR >> 8))
		sim_pci_reset(pci);
	else
		sim_set_bus_master(pci->dev, pci->config[PCI_COMMAND] & PCI_COMMAND_MASTER);
}

void sim_pci_msix_read(struct sim_pci *pci, uint32_t offset, void *data, size_t len)
{
	if (present(pci))
		memcpy(data, pci->msix + offset, len);
	else
		memset(data, 0xff, len);
}

void sim_pci_msix_write(struct sim_pci *pci, uint32_t offset, const void *data, size_t len)
{
	uint32_t table = pci->dev->core.irq.vectors * MSIX_ENTRY;

	if (!present(pci) || offset >= table)
		return;		/* the pending bits are read only */
	memcpy(pci->msix + offset, data, len < table - offset ? len : table - offset);
}
