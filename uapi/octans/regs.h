/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Octans: registers and in-memory structures between driver and processor.
 * The machine-readable annex of Documentation/hardware/; included by the
 * kernel module and by the processor model, by nothing else.
 *
 * Everything is little endian.  Registers are 32 or 64 bits wide and naturally
 * aligned; an access of another size or alignment reads all-ones and writes
 * nothing.  Reads have no side effects.  A device that is gone reads all-ones.
 */
#ifndef OCTANS_REGS_H
#define OCTANS_REGS_H

#include <linux/types.h>

#define OCTANS_PCI_VENDOR		0x1af4
#define OCTANS_PCI_DEVICE		0x10f5

#define OCTANS_BAR_REGS			0	/* 128 KiB, 64-bit */
#define OCTANS_BAR_LOCAL		2	/* on-card memory, 64-bit prefetchable, resizable */
#define OCTANS_BAR_MSIX			4	/* MSI-X table at 0, PBA at 0x800; 4 KiB */
#define OCTANS_BAR_REGS_SIZE		0x20000
#define OCTANS_BAR_MSIX_SIZE		0x1000
#define OCTANS_MSIX_PBA			0x800

#define OCTANS_MAX_RINGS		16	/* CAPS says how many there are */
#define OCTANS_MAX_ASID_BITS		16	/* the same; ASID 0 is never valid */
#define OCTANS_MIN_ASID_BITS		10
#define OCTANS_VECTORS(rings)		(1 + (rings))	/* events, then one per ring */

/* Identification and capabilities: read only */
#define OCTANS_REG_ID			0x0000	/* 32 */
#define  OCTANS_ID_MAGIC		0x4e54434f	/* "OCTN" */
#define OCTANS_REG_VERSION		0x0004	/* 32: major << 16 | minor */
#define  OCTANS_VERSION_2_0		0x00020000
#define  OCTANS_VERSION_2_1		0x00020001	/* SKIP, completion ring, shadow doorbell */
#define OCTANS_REG_STATUS		0x0008	/* 32 */
#define  OCTANS_STATUS_READY		0x1
#define  OCTANS_STATUS_RESETTING	0x2
#define  OCTANS_STATUS_FAILED		0x4	/* device reset did not succeed */
#define OCTANS_REG_RESET		0x000c	/* 32, write only */
#define  OCTANS_RESET_MAGIC		0x54455352	/* "RSET" starts a device reset */
#define OCTANS_REG_CAPS			0x0010	/* 64 */
#define  OCTANS_CAPS_RINGS(c)		((unsigned int)((c) & 0xff))
#define  OCTANS_CAPS_VA_BITS(c)		((unsigned int)((c) >> 8 & 0xff))
#define  OCTANS_CAPS_ASID_BITS(c)	((unsigned int)((c) >> 16 & 0xff))
#define  OCTANS_CAPS_PA_BITS(c)		((unsigned int)((c) >> 24 & 0xff))
#define  OCTANS_CAPS_RING_LOG2(c)	((unsigned int)((c) >> 32 & 0xff))	/* largest ring */
#define OCTANS_REG_LOCAL_SIZE		0x0018	/* 64: bytes of on-card memory */
#define OCTANS_REG_OPS			0x0020	/* 64: bit n = opcode n is implemented */
#define OCTANS_REG_TYPES		0x0028	/* 64: bit n = GGML weight type n is implemented */
#define OCTANS_REG_CLOCK_HZ		0x0030	/* 64 */
#define OCTANS_REG_TIME_NS		0x0038	/* 64: free-running since device reset, never 0 */
#define OCTANS_REG_PROFILE_NAME		0x0040	/* 4 x 64: NUL-padded ASCII */
#define OCTANS_REG_MACS_INT8		0x0060	/* 32: per cycle */
#define OCTANS_REG_MACS_F32		0x0064	/* 32: per cycle */
#define OCTANS_REG_LOCAL_BPC		0x0068	/* 32: on-card memory bytes per cycle */
#define OCTANS_REG_PCIE_BPC		0x006c	/* 32: PCIe bytes per cycle */
#define OCTANS_REG_MAX_CTX		0x0070	/* 32: most positions of one row of ATTEND */
#define OCTANS_REG_MACS_F16		0x0074	/* 32: per cycle */
#define OCTANS_REG_SERIAL		0x0078	/* 64 */
#define OCTANS_REG_SRAM_SIZE		0x0080	/* 64: bytes of on-chip memory */
#define OCTANS_REG_LOCAL_LATENCY	0x0088	/* 32: cycles of a read from on-card memory */
#define OCTANS_REG_PCIE_LATENCY		0x008c	/* 32: cycles of a read over PCIe */
#define OCTANS_REG_TLB_ENTRIES		0x0090	/* 32 */
#define OCTANS_REG_WALKERS		0x0094	/* 32: page walks at a time */

/* Device MMU */
#define OCTANS_REG_ASID_BASE		0x0100	/* 64: ASID table, 4 KiB aligned */
#define OCTANS_REG_MMU_CTRL		0x0108	/* 32 */
#define  OCTANS_MMU_ENABLE		0x1
#define OCTANS_REG_INVALIDATE		0x0110	/* 64, write only: starts an invalidation */
#define  OCTANS_INVALIDATE_ASID(a)	((a) & 0xffffULL)
#define  OCTANS_INVALIDATE_ALL		0x10000ULL
#define  OCTANS_INVALIDATE_TICKET(t)	((__u64)(t) << 32)	/* the driver's name for it */
#define OCTANS_REG_INVALIDATED		0x0118	/* 32, read only: newest ticket that is complete */

#define OCTANS_ASID_VALID		0x1ULL	/* ASID table: u64[1 << ASID_BITS] */
#define OCTANS_ASID_LOCAL		0x4ULL	/* the root lies on the card */
#define OCTANS_ADDR_MASK		0x000ffffffffff000ULL	/* bits 51:12 of entries */

#define OCTANS_VA_BITS			48
#define OCTANS_PT_LEVELS		4	/* 9 bits each over 4 KiB pages */
#define OCTANS_PT_ENTRIES		512
#define OCTANS_PTE_VALID		0x1ULL
#define OCTANS_PTE_WRITE		0x2ULL	/* leaf only */
#define OCTANS_PTE_LOCAL		0x4ULL	/* address (page or table): on-card offset */
#define OCTANS_PTE_LARGE		0x8ULL	/* leaf of 2 MiB (third table) or 1 GiB (second) */
#define OCTANS_PTE_CONT			0x10ULL	/* one of 16 entries that make a page of 64 KiB */

/* Event queue */
#define OCTANS_REG_EVT_BASE		0x0200	/* 64: bus address, 64-byte aligned */
#define OCTANS_REG_EVT_LOG2		0x0208	/* 32: log2 of the number of records, 1..12 */
#define OCTANS_REG_EVT_CTRL		0x020c	/* 32 */
#define  OCTANS_EVT_ENABLE		0x1
#define OCTANS_REG_EVT_TAIL		0x0210	/* 32, read only: records produced, free running */
#define OCTANS_REG_EVT_HEAD		0x0214	/* 32: records consumed, free running */
#define OCTANS_REG_EVT_DROPPED		0x0218	/* 32, read only: records lost to a full queue */
#define OCTANS_REG_EVT_VECTOR		0x021c	/* 32: MSI-X vector */

/* Counters of the processor, modelled, read only: struct octans_counters, u64 each */
#define OCTANS_REG_COUNTERS		0x0300
#define OCTANS_REG_COUNTER(n)		(OCTANS_REG_COUNTERS + 8 * (n))	/* n < 16 */

/* Rings: one block each */
#define OCTANS_RING_BLOCK		0x100
#define OCTANS_RING(r)			(0x1000 + (r) * OCTANS_RING_BLOCK)
#define OCTANS_RING_BASE		0x00	/* 64: bus address, 64-byte aligned */
#define OCTANS_RING_WB			0x08	/* 64: writeback, 8-byte aligned */
#define OCTANS_RING_LOG2		0x10	/* 32: log2 of the number of descriptors, 1..CAPS */
#define OCTANS_RING_CTRL		0x14	/* 32 */
#define  OCTANS_RING_ENABLE		0x1
#define  OCTANS_RING_RESET		0x2	/* reads back 1 until the reset is complete */
#define OCTANS_RING_STATUS		0x18	/* 32, read only */
#define  OCTANS_RING_BUSY		0x1	/* a job is running, or SHADOW is looked at */
#define  OCTANS_RING_HALTED		0x2	/* a job failed; needs a ring reset */
#define  OCTANS_RING_RESETTING		0x4
#define OCTANS_RING_HEAD		0x1c	/* 32, read only: completed, free running */
#define OCTANS_RING_VECTOR		0x20	/* 32: MSI-X vector */
#define OCTANS_RING_SINCE		0x28	/* 64, read only: TIME_NS at its start, 0 = none */
#define OCTANS_RING_SEQNO		0x30	/* 64, read only: of the running job, 0 = none */
#define OCTANS_RING_PROGRESS		0x38	/* 64, read only: grows while a job advances */
#define OCTANS_RING_CYCLES		0x40	/* 64, read only: modelled busy cycles */
/* The newest failure since the ring was enabled, read only; kept by a ring reset */
#define OCTANS_RING_FAULT_SEQNO		0x48	/* 64: of the job, 0 = none */
#define OCTANS_RING_FAULT_VA		0x50	/* 64: as octans_event.va */
#define OCTANS_RING_FAULT_CODE		0x58	/* 64: status, code << 8, write << 16, offs << 32 */
#define OCTANS_RING_CQ_BASE		0x60	/* 64: completion ring, 64-byte aligned */
#define OCTANS_RING_CQ_LOG2		0x68	/* 32: log2 of its records, LOG2..CAPS; 0 = none */

#define OCTANS_RING_SHADOW		0x70	/* 64: struct octans_shadow, 8-byte aligned */
#define  OCTANS_SHADOW_ENABLE		0x1ULL	/* doorbells say no more than: look there */

/* Doorbells: a page each; the value is the free-running count of descriptors written */
#define OCTANS_DOORBELL_BLOCK		0x1000
#define OCTANS_DOORBELL(r)		(0x8000 + (r) * OCTANS_DOORBELL_BLOCK)	/* 32, write only */

/* Writeback: seqno of the newest finished job and how it ended, one 64-bit write */
#define OCTANS_WB(seqno, status)	((seqno) << 8 | (status))
#define OCTANS_WB_SEQNO(wb)		((wb) >> 8)
#define OCTANS_WB_STATUS(wb)		((unsigned int)((wb) & 0xff))

/* How a job ended: writeback status, and event code of JOB_ERROR */
#define OCTANS_JOB_OK			0
#define OCTANS_JOB_BAD_DESC		1	/* descriptor malformed */
#define OCTANS_JOB_BAD_CMD		2	/* command malformed, unknown or not supported */
#define OCTANS_JOB_FAULT		3	/* device MMU refused an access */
#define OCTANS_JOB_BUS			4	/* the bus refused an access */
#define OCTANS_JOB_SKIPPED		5	/* as its descriptor asked for: no failure */

/* Why the MMU refused: event code of JOB_FAULT */
#define OCTANS_FAULT_ASID		1	/* ASID not valid */
#define OCTANS_FAULT_UNMAPPED		2
#define OCTANS_FAULT_READONLY		3
#define OCTANS_FAULT_FORMAT		4	/* reserved bit set, or address out of range */

#define OCTANS_EVT_JOB_ERROR		1
#define OCTANS_EVT_JOB_FAULT		2
#define OCTANS_EVT_DEVICE_ERROR		3

struct octans_desc {
	__le64 seqno;		/* 1 .. 2^56 - 1 */
	__le64 cmd_va;		/* 16-byte aligned */
	__le32 cmd_size;	/* bytes, a multiple of 16, 16 .. OCTANS_CMD_MAX */
	__le16 asid;
	__le16 flags;
	__le64 tag;		/* echoed in events */
	__le64 param_va;	/* device address of the parameters, a multiple of 4 */
	__le32 param_count;	/* u32s there, 0 .. OCTANS_PARAM_MAX */
	__le32 pad;		/* zero */
	__le64 reserved[2];	/* zero */
};

#define OCTANS_DESC_IRQ			0x1	/* interrupt after the writeback */
#define OCTANS_DESC_SKIP		0x2	/* not run; only seqno, IRQ and tag are looked at */
#define OCTANS_CMD_MAX			0x1000000
#define OCTANS_PARAM_MAX		64

/* The shadow doorbell of a ring; both free running */
struct octans_shadow {
	__le32 tail;		/* descriptors written; the driver's */
	__le32 event;		/* a doorbell is wanted when tail passes it; the processor's */
};

/* A record of the completion ring: one for each descriptor, in its slot's order */
struct octans_completion {
	__le64 seqno;		/* of the job */
	__le32 status;		/* OCTANS_JOB_* */
	__le32 commands;	/* decoded, saturating */
	__le64 tag;		/* of the descriptor */
	__le64 start_ns;	/* TIME_NS at its start ... */
	__le64 end_ns;		/* ... and end */
	__le64 cycles;		/* modelled */
	__le64 reserved;	/* zero */
	__le64 index;		/* 1 + its number since the ring was reset; written last */
};

struct octans_event {
	__le32 type;		/* OCTANS_EVT_* */
	__le16 ring;
	__le16 asid;
	__le64 seqno;		/* of the job */
	__le64 va;		/* JOB_FAULT: the address refused */
	__le32 code;		/* OCTANS_JOB_* or OCTANS_FAULT_* */
	__le32 write;		/* 1 if the refused access was a write */
	__le64 cmd_offset;	/* of the command in its stream */
	__le64 tag;		/* of the descriptor */
	__le64 time_ns;
	__le64 index;		/* 1 + free-running index of the record; written last */
};

#endif
