/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * Octans: the interface between octans.ko and user space.
 *
 * Rules that every structure here follows:
 *  - Fields are naturally aligned, padding is explicit, sizes are multiples of 8,
 *    layouts are the same for 32- and 64-bit processes; there are no unions.
 *  - Padding and unknown flags must be zero: -EINVAL otherwise.
 *  - Structures grow at the end only; zero in a new field means the old behaviour.
 *    A shorter or longer structure of another version is accepted; in array elements
 *    the bytes that the kernel does not know must be zero.
 *  - Ids are never 0.  Ioctl numbers are appended, never reused.
 *  - The minor version grows with each flag, field or ioctl.
 *
 * Synchronisation is explicit only: syncobjs (binary or timeline) on SUBMIT.
 * There is no wait ioctl: use DRM_IOCTL_SYNCOBJ_*WAIT or SYNCOBJ_EVENTFD.
 *
 * Errors common to all: -EINVAL bad argument, -EFAULT bad pointer, -ENOENT no
 * such id or handle, -ENOMEM, -EDQUOT the client or its user has as much of it as
 * it may, -ENODEV the processor is gone, -EINTR the process is being killed.
 */
#ifndef _UAPI_OCTANS_ACCEL_H_
#define _UAPI_OCTANS_ACCEL_H_

#include "drm.h"

#if defined(__cplusplus)
extern "C" {
#endif

#define OCTANS_UAPI_MAJOR 2
#define OCTANS_UAPI_MINOR 1

enum drm_octans_ioctl_id {
	DRM_OCTANS_DEV_QUERY = 0,
	DRM_OCTANS_BO_CREATE,
	DRM_OCTANS_BO_MMAP_OFFSET,
	DRM_OCTANS_BO_QUERY,
	DRM_OCTANS_BO_SET_LABEL,
	DRM_OCTANS_VM_CREATE,
	DRM_OCTANS_VM_DESTROY,
	DRM_OCTANS_VM_BIND,
	DRM_OCTANS_VM_GET_FAULTS,
	DRM_OCTANS_QUEUE_CREATE,
	DRM_OCTANS_QUEUE_DESTROY,
	DRM_OCTANS_QUEUE_QUERY,
	DRM_OCTANS_SUBMIT,
};

/**
 * struct drm_octans_array - an array in user memory
 * @stride: bytes from one element to the next; an element of another version may
 *	be shorter or longer, under the rules at the head of this file
 * @count: number of elements
 * @ptr: user pointer
 */
struct drm_octans_array {
	__u32 stride;
	__u32 count;
	__u64 ptr;
};

enum drm_octans_query {
	/** @DRM_OCTANS_QUERY_DEVICE: struct drm_octans_query_device */
	DRM_OCTANS_QUERY_DEVICE = 0,
	/** @DRM_OCTANS_QUERY_MEMORY: struct drm_octans_query_memory */
	DRM_OCTANS_QUERY_MEMORY,
};

/**
 * struct drm_octans_dev_query - DRM_IOCTL_OCTANS_DEV_QUERY
 * @type: enum drm_octans_query
 * @size: in: bytes at @ptr; out: bytes of the kernel's structure.  The smaller of
 *	the two is copied, the rest of the caller's is zeroed
 * @ptr: user pointer, or 0 to learn @size only
 */
struct drm_octans_dev_query {
	__u32 type;
	__u32 size;
	__u64 ptr;
};

/**
 * struct drm_octans_query_device - what does not change while the device is bound
 * @hw_version: major << 16 | minor
 * @rings: hardware rings; any queue may run on any of them
 * @va_bits: device addresses are below 1 << va_bits
 * @page_size: granularity of VM_BIND
 * @ops: bit n set: opcode n of the command set is implemented
 * @types: bit n set: GGML weight type n is implemented
 * @clock_hz: modelled clock
 * @macs_int8: int8 multiply-adds per cycle
 * @macs_f32: F32 multiply-adds per cycle
 * @local_bpc: bytes per cycle of on-card memory
 * @pcie_bpc: bytes per cycle of PCIe
 * @max_ctx: most positions that one row of an attention command attends to
 * @max_timeout_ms: largest queue timeout
 * @serial: serial number
 * @profile: NUL-terminated name
 * @macs_f16: 16-bit float multiply-adds per cycle
 * @pad: zero
 * @sram_size: bytes of on-chip memory
 */
struct drm_octans_query_device {
	__u32 hw_version;
	__u32 rings;
	__u32 va_bits;
	__u32 page_size;
	__u64 ops;
	__u64 types;
	__u64 clock_hz;
	__u32 macs_int8;
	__u32 macs_f32;
	__u32 local_bpc;
	__u32 pcie_bpc;
	__u32 max_ctx;
	__u32 max_timeout_ms;
	__u64 serial;
	__u8 profile[40];
	__u32 macs_f16;
	__u32 pad;
	__u64 sram_size;
};

/**
 * struct drm_octans_query_memory - on-card memory, at this moment
 * @size: bytes on the card
 * @used: bytes allocated by all clients
 * @visible_size: bytes that the CPU can map (BAR size)
 * @visible_used: bytes allocated of those
 */
struct drm_octans_query_memory {
	__u64 size;
	__u64 used;
	__u64 visible_size;
	__u64 visible_used;
};

/** @DRM_OCTANS_BO_DEVICE: on-card memory; without it, host memory */
#define DRM_OCTANS_BO_DEVICE	0x1
/** @DRM_OCTANS_BO_NO_MMAP: never mapped by the CPU; may lie outside the BAR */
#define DRM_OCTANS_BO_NO_MMAP	0x2

/**
 * struct drm_octans_bo_create - DRM_IOCTL_OCTANS_BO_CREATE
 * @size: in: bytes, > 0; out: rounded up to whole pages.  Memory is zeroed
 * @flags: DRM_OCTANS_BO_*
 * @handle: out: GEM handle
 *
 * -ENOSPC: not enough on-card memory.
 */
struct drm_octans_bo_create {
	__u64 size;
	__u32 flags;
	__u32 handle;
};

/**
 * struct drm_octans_bo_mmap_offset - DRM_IOCTL_OCTANS_BO_MMAP_OFFSET
 * @handle: GEM handle
 * @pad: zero
 * @offset: out: for mmap() of the device file
 *
 * -EPERM: the buffer was created with NO_MMAP, or was imported.
 */
struct drm_octans_bo_mmap_offset {
	__u32 handle;
	__u32 pad;
	__u64 offset;
};

/** @DRM_OCTANS_BO_LOST: the card was without power, and has lost what it held (BO_QUERY) */
#define DRM_OCTANS_BO_LOST	0x40000000
/** @DRM_OCTANS_BO_IMPORTED: came from another driver as a dma-buf (BO_QUERY) */
#define DRM_OCTANS_BO_IMPORTED	0x80000000

/**
 * struct drm_octans_bo_query - DRM_IOCTL_OCTANS_BO_QUERY
 * @handle: GEM handle
 * @flags: in: zero; out: DRM_OCTANS_BO_*
 * @size: out: bytes
 */
struct drm_octans_bo_query {
	__u32 handle;
	__u32 flags;
	__u64 size;
};

#define DRM_OCTANS_LABEL_MAX 63

/**
 * struct drm_octans_bo_set_label - DRM_IOCTL_OCTANS_BO_SET_LABEL
 * @handle: GEM handle
 * @len: bytes at @label, at most DRM_OCTANS_LABEL_MAX; 0 removes the label
 * @label: user pointer; printable ASCII, no NUL
 */
struct drm_octans_bo_set_label {
	__u32 handle;
	__u32 len;
	__u64 label;
};

/**
 * struct drm_octans_vm_create - DRM_IOCTL_OCTANS_VM_CREATE
 * @flags: zero
 * @id: out: id of the new, empty address space
 *
 * -ENOSPC: the processor has no address space left.
 */
struct drm_octans_vm_create {
	__u32 flags;
	__u32 id;
};

/**
 * struct drm_octans_vm_destroy - DRM_IOCTL_OCTANS_VM_DESTROY
 * @id: address space; its queues must be destroyed first (-EBUSY)
 * @pad: zero
 */
struct drm_octans_vm_destroy {
	__u32 id;
	__u32 pad;
};

enum drm_octans_bind_kind {
	DRM_OCTANS_BIND_MAP = 0,
	DRM_OCTANS_BIND_UNMAP,
};

/** @DRM_OCTANS_BIND_READONLY: the processor may not write (MAP only) */
#define DRM_OCTANS_BIND_READONLY 0x1

/**
 * struct drm_octans_bind_op - one change of an address space
 * @kind: enum drm_octans_bind_kind
 * @flags: DRM_OCTANS_BIND_*
 * @handle: GEM handle (MAP), zero (UNMAP)
 * @pad: zero
 * @offset: into the buffer (MAP), zero (UNMAP)
 * @va: device address
 * @size: bytes, > 0
 *
 * @offset, @va and @size are multiples of the page size.  MAP replaces what was
 * mapped there.  UNMAP of addresses that are not mapped does nothing.
 */
struct drm_octans_bind_op {
	__u32 kind;
	__u32 flags;
	__u32 handle;
	__u32 pad;
	__u64 offset;
	__u64 va;
	__u64 size;
};

#define DRM_OCTANS_MAX_BIND_OPS 4096

/**
 * struct drm_octans_vm_bind - DRM_IOCTL_OCTANS_VM_BIND
 * @vm_id: address space
 * @flags: zero
 * @ops: array of struct drm_octans_bind_op, done in order
 * @done: out: operations that were done; on error, the index of the one refused
 * @pad: zero
 *
 * Synchronous: on return the processor uses the new mappings, and no longer
 * reaches what was unmapped.  A job that still uses it faults.
 *
 * -ENODATA: a buffer to be mapped is BO_LOST.
 */
struct drm_octans_vm_bind {
	__u32 vm_id;
	__u32 flags;
	struct drm_octans_array ops;
	__u32 done;
	__u32 pad;
};

/**
 * struct drm_octans_fault - an access that the device MMU refused
 * @va: address
 * @tag: of the job
 * @seqno: of the job on its ring
 * @cmd_offset: of the command in its stream
 * @time_ns: CLOCK_MONOTONIC
 * @queue_id: queue of the job
 * @code: 1 no such address space, 2 not mapped, 3 read only, 4 bad entry
 * @write: 1 if it was a write
 * @pad: zero
 */
struct drm_octans_fault {
	__u64 va;
	__u64 tag;
	__u64 seqno;
	__u64 cmd_offset;
	__u64 time_ns;
	__u32 queue_id;
	__u32 code;
	__u32 write;
	__u32 pad;
};

/**
 * struct drm_octans_vm_get_faults - DRM_IOCTL_OCTANS_VM_GET_FAULTS
 * @vm_id: address space
 * @pad: zero
 * @faults: array of struct drm_octans_fault to fill; oldest first.  @faults.count
 *	in: room; out: records copied.  They are removed from the kernel's log
 * @lost: out: faults since the last call that found the log (16 records) full
 */
struct drm_octans_vm_get_faults {
	__u32 vm_id;
	__u32 pad;
	struct drm_octans_array faults;
	__u64 lost;
};

enum drm_octans_priority {
	DRM_OCTANS_PRIORITY_NORMAL = 0,
	DRM_OCTANS_PRIORITY_LOW,
	/** @DRM_OCTANS_PRIORITY_HIGH: needs CAP_SYS_NICE (-EACCES) */
	DRM_OCTANS_PRIORITY_HIGH,
};

/**
 * struct drm_octans_queue_create - DRM_IOCTL_OCTANS_QUEUE_CREATE
 * @vm_id: address space that the queue's jobs run in
 * @flags: zero
 * @priority: enum drm_octans_priority
 * @timeout_ms: longest run time of one job; 0 = the default, half of
 *	max_timeout_ms; -EINVAL above max_timeout_ms
 * @id: out: id of the queue
 * @pad: zero
 *
 * -EACCES: too many jobs of this client failed lately; SUBMIT says the same.  A failure is
 * forgiven every five seconds, 32 may be open.
 * -ENODATA: a buffer that the address space has, or had, is BO_LOST; make a new address space.
 */
struct drm_octans_queue_create {
	__u32 vm_id;
	__u32 flags;
	__u32 priority;
	__u32 timeout_ms;
	__u32 id;
	__u32 pad;
};

/**
 * struct drm_octans_queue_destroy - DRM_IOCTL_OCTANS_QUEUE_DESTROY
 * @id: queue; jobs that have not started end with -ECANCELED, whatever they wait for, one
 *	that runs finishes within some milliseconds or is stopped.  Nothing is waited for
 * @pad: zero
 */
struct drm_octans_queue_destroy {
	__u32 id;
	__u32 pad;
};

/** @DRM_OCTANS_QUEUE_BANNED: it takes no jobs any more: SUBMIT gives -ECANCELED */
#define DRM_OCTANS_QUEUE_BANNED	0x1

/**
 * struct drm_octans_queue_query - DRM_IOCTL_OCTANS_QUEUE_QUERY
 * @id: queue
 * @state: out: DRM_OCTANS_QUEUE_*
 * @error: out: why it was banned: ETIME (timeout), EFAULT (MMU fault), EIO (bad
 *	command or bus error), EACCES (too many failures of its client), ENODATA (its address
 *	space has lost what the card held), 0 = not banned
 * @pad: zero
 * @submitted: out: jobs accepted
 * @completed: out: jobs that ended without an error
 * @failed: out: jobs that ended with an error
 */
struct drm_octans_queue_query {
	__u32 id;
	__u32 state;
	__u32 error;
	__u32 pad;
	__u64 submitted;
	__u64 completed;
	__u64 failed;
};

/** @DRM_OCTANS_SYNC_SIGNAL: signal after the jobs; without it, wait before them */
#define DRM_OCTANS_SYNC_SIGNAL		0x1
/** @DRM_OCTANS_SYNC_TIMELINE: the syncobj is a timeline, @point is used */
#define DRM_OCTANS_SYNC_TIMELINE	0x2

/**
 * struct drm_octans_sync - one syncobj of a submission
 * @flags: DRM_OCTANS_SYNC_*
 * @handle: syncobj
 * @point: > 0 for a timeline, else zero
 */
struct drm_octans_sync {
	__u32 flags;
	__u32 handle;
	__u64 point;
};

/**
 * struct drm_octans_job - a command stream
 * @va: device address, a multiple of 16
 * @size: bytes, a multiple of 16, 16 .. 16 MiB
 * @flags: zero
 * @tag: echoed in fault records and the kernel log
 * @param_va: device address of the parameters of the stream, a multiple of 4; the processor
 *	reads them once, when the job starts
 * @param_count: how many u32s, 0 .. 64
 * @pad: zero
 */
struct drm_octans_job {
	__u64 va;
	__u32 size;
	__u32 flags;
	__u64 tag;
	__u64 param_va;
	__u32 param_count;
	__u32 pad;
};

#define DRM_OCTANS_MAX_JOBS	64
#define DRM_OCTANS_MAX_SYNCS	64

/**
 * struct drm_octans_submit - DRM_IOCTL_OCTANS_SUBMIT
 * @queue_id: queue
 * @flags: zero
 * @jobs: array of struct drm_octans_job, 1 .. MAX_JOBS: all are queued or none
 * @syncs: array of struct drm_octans_sync, 0 .. MAX_SYNCS
 * @failed_index: out, on -EINVAL or -ENOENT: index of the element refused, in
 *	@jobs or, with bit 31 set, in @syncs; ~0 if it was none of them
 * @pad: zero
 *
 * Jobs of one queue run one after the other in the order of submission.
 * The fence ends with the last of them, and with its error: -ETIME (it ran longer than the queue's
 * timeout), -EFAULT (MMU fault), -EIO (bad command), -ECANCELED (an earlier job
 * of its queue failed, or the queue was destroyed), -ENODATA (see BO_LOST), -ENODEV (device gone).
 * A job runs also if a fence that it waited for ended with an error.
 *
 * -EAGAIN: the queue has 1024 jobs that have not ended, or the client 8192; wait for one.
 * -EDQUOT: the user has as many as it may (user_jobs).
 * -ECANCELED: the queue is banned.  -EACCES: see QUEUE_CREATE.
 */
struct drm_octans_submit {
	__u32 queue_id;
	__u32 flags;
	struct drm_octans_array jobs;
	struct drm_octans_array syncs;
	__u32 failed_index;
	__u32 pad;
};

#define DRM_IOCTL_OCTANS(__access, __id, __type) \
	DRM_IO ## __access(DRM_COMMAND_BASE + DRM_OCTANS_ ## __id, \
			   struct drm_octans_ ## __type)

#define DRM_IOCTL_OCTANS_DEV_QUERY	DRM_IOCTL_OCTANS(WR, DEV_QUERY, dev_query)
#define DRM_IOCTL_OCTANS_BO_CREATE	DRM_IOCTL_OCTANS(WR, BO_CREATE, bo_create)
#define DRM_IOCTL_OCTANS_BO_MMAP_OFFSET	DRM_IOCTL_OCTANS(WR, BO_MMAP_OFFSET, bo_mmap_offset)
#define DRM_IOCTL_OCTANS_BO_QUERY	DRM_IOCTL_OCTANS(WR, BO_QUERY, bo_query)
#define DRM_IOCTL_OCTANS_BO_SET_LABEL	DRM_IOCTL_OCTANS(WR, BO_SET_LABEL, bo_set_label)
#define DRM_IOCTL_OCTANS_VM_CREATE	DRM_IOCTL_OCTANS(WR, VM_CREATE, vm_create)
#define DRM_IOCTL_OCTANS_VM_DESTROY	DRM_IOCTL_OCTANS(WR, VM_DESTROY, vm_destroy)
#define DRM_IOCTL_OCTANS_VM_BIND	DRM_IOCTL_OCTANS(WR, VM_BIND, vm_bind)
#define DRM_IOCTL_OCTANS_VM_GET_FAULTS	DRM_IOCTL_OCTANS(WR, VM_GET_FAULTS, vm_get_faults)
#define DRM_IOCTL_OCTANS_QUEUE_CREATE	DRM_IOCTL_OCTANS(WR, QUEUE_CREATE, queue_create)
#define DRM_IOCTL_OCTANS_QUEUE_DESTROY	DRM_IOCTL_OCTANS(WR, QUEUE_DESTROY, queue_destroy)
#define DRM_IOCTL_OCTANS_QUEUE_QUERY	DRM_IOCTL_OCTANS(WR, QUEUE_QUERY, queue_query)
#define DRM_IOCTL_OCTANS_SUBMIT		DRM_IOCTL_OCTANS(WR, SUBMIT, submit)

#if defined(__cplusplus)
}
#endif

#endif /* _UAPI_OCTANS_ACCEL_H_ */
