/* SPDX-License-Identifier: MIT */
/* Numbers and structures of the vfio-user protocol, as its specification gives them. */
#ifndef OCTANS_SIM_VFIO_PROTO_H
#define OCTANS_SIM_VFIO_PROTO_H

#include <stdint.h>

enum vfio_user_cmd {
	VU_VERSION = 1,
	VU_DMA_MAP,
	VU_DMA_UNMAP,
	VU_GET_INFO,
	VU_GET_REGION_INFO,
	VU_GET_REGION_IO_FDS,
	VU_GET_IRQ_INFO,
	VU_SET_IRQS,
	VU_REGION_READ,
	VU_REGION_WRITE,
	VU_DMA_READ,
	VU_DMA_WRITE,
	VU_RESET,
};

#define VU_TYPE			0x0f
#define VU_REPLY		0x01
#define VU_NO_REPLY		0x10
#define VU_ERROR		0x20

struct vu_header {
	uint16_t id;
	uint16_t cmd;
	uint32_t size;		/* with this header */
	uint32_t flags;
	uint32_t error;
};

struct vu_version {
	uint16_t major, minor;
	char caps[];		/* JSON, NUL-terminated */
};

#define VU_MAP_READ		0x1
#define VU_MAP_WRITE		0x2
struct vu_dma_map {
	uint32_t argsz, flags;
	uint64_t offset, addr, size;
};

#define VU_UNMAP_ALL		0x2
struct vu_dma_unmap {
	uint32_t argsz, flags;
	uint64_t addr, size;
};

#define VU_DEVICE_RESET		0x1
#define VU_DEVICE_PCI		0x2
struct vu_device_info {
	uint32_t argsz, flags, regions, irqs;
};

#define VU_REGION_CONFIG	7	/* 0 to 5 are the BARs */
#define VU_REGIONS		9
#define VU_REGION_F_READ	0x1
#define VU_REGION_F_WRITE	0x2
#define VU_REGION_F_MMAP	0x4
struct vu_region_info {
	uint32_t argsz, flags, index, cap_offset;
	uint64_t size, offset;
};

#define VU_IRQ_MSIX		2
#define VU_IRQ_ERR		3
#define VU_IRQS			5
#define VU_IRQ_F_EVENTFD	0x1
#define VU_IRQ_F_NORESIZE	0x8
struct vu_irq_info {
	uint32_t argsz, flags, index, count;
};

#define VU_IRQ_DATA		0x07
#define VU_IRQ_DATA_NONE	0x01
#define VU_IRQ_DATA_BOOL	0x02
#define VU_IRQ_DATA_EVENTFD	0x04
#define VU_IRQ_ACTION		0x38
#define VU_IRQ_ACTION_TRIGGER	0x20
struct vu_irq_set {
	uint32_t argsz, flags, index, start, count;
};

struct vu_region_io {
	uint64_t offset;
	uint32_t region, count;
	uint8_t data[];
};

#endif
