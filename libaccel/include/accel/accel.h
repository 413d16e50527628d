/* SPDX-License-Identifier: MIT */
/*
 * libaccel: versions, errors, and finding and opening processors.
 *
 * Conventions of the whole library:
 *  - Functions return 0 or a negative errno: -ENODEV the processor is gone or absent,
 *    -EACCES the node may not be opened, or too many jobs of this program have failed,
 *    -EIO/-EFAULT/-ETIME a job failed, -ECANCELED a job suffered from another's failure, -ENODATA
 *    the processor was without power while the machine slept, and has lost what its memory held, -ENOSPC
 *    on-card memory or a context is full, -EBUSY the processor has none left of what was asked
 *    for, -EDQUOT this user has all that one may have, -ENOTSUP a capability is missing, -EPROTO
 *    kernel and library speak different versions, -EINVAL a bad argument or file, -ENOMEM,
 *    -EMFILE or -ENFILE: this process or machine has no memory or file descriptor left, which
 *    says nothing about the processor.
 *  - accel_error() is the sentence that goes with the last failure in this thread.
 *  - Structures that a caller passes begin with their size: .sz = sizeof(struct accel_...), the rest
 *    zero or as wanted.  A shorter one of an older program is taken as if the rest were zero, a
 *    longer one if what this library does not know is zero (else -E2BIG).  What the library fills
 *    in is cut, or ends with zeros, where the caller's structure ends.
 *  - Every object has one _new or _open and one _free or _close, which takes NULL.
 *  - No signal handlers but accel_guard_files()'s, no exit(), no constructors; threads only where
 *    stated.
 *  - Results do not depend on how the caller's threads round, flush to zero or trap, and a call leaves
 *    that as it was.
 *  - "MT" functions may be called from several threads on one handle, "ST" ones from
 *    one thread at a time.  None is async-signal-safe.
 *  - A child of fork() may use the library, and models, plans and texts that its parent made.  The parent's
 *    processors and engines stay the parent's: in the child what would compute with them is refused
 *    (-ENODEV, -EINVAL), buffers are not mapped, and what frees or closes them leaves the parent's
 *    alone.  For threads and listeners as for fork() itself: do not fork in a call back of this library.
 */
#ifndef ACCEL_ACCEL_H
#define ACCEL_ACCEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define ACCEL_VERSION_MAJOR 0
#define ACCEL_VERSION_MINOR 1
#define ACCEL_VERSION_PATCH 0

/* Version of the library at run time: major << 16 | minor << 8 | patch.  MT */
uint32_t accel_version(void);

/* Version of the numerics (Documentation/hardware/numerics.rst) that results are of: with the same one a model
 * gives the same bits, wherever and whenever.  Receipts and saved sequences hold it.  A constant.  MT */
uint32_t accel_numerics(void);

/* What went wrong in this thread's last failed call, one sentence without a newline;
 * "" if nothing did.  Valid until the thread's next failing call.  MT */
const char *accel_error(void);

enum accel_log_level {		/* more will be added */
	ACCEL_LOG_WARNING = 1,	/* something is lost, or slower than it was to be */
	ACCEL_LOG_INFO,		/* something is well again */
};

/*
 * Who hears of what no function returns: layers that left a processor, which fails or is full, and that
 * came back; a processor that is not used as it does not open, but the next; a model's file that changed
 * while it was in use.  One listener for the process; the library
 * itself prints nothing.  fn gets a sentence without a newline, fit for a terminal, valid during the call.
 * It is called in any thread that is in the library, or in an engine's own, by one at a time, and
 * what is computed waits for it: it should be quick, and calls of this library only accel_log_set().  NULL:
 * nobody.  When this returns the former listener is not called any more.  A child of fork() has the same.  MT
 */
void accel_log_set(void (*fn)(void *arg, enum accel_log_level level, const char *sentence), void *arg);

/* What a processor is and can do. */
struct accel_devinfo {
	size_t sz;		/* of this structure, set by the caller */
	char name[32];		/* "accel0", "sim" */
	char path[64];		/* device node, "" for the model */
	char driver[32];	/* kernel driver, or "octans-sim" */
	char pci[16];		/* "0000:00:03.0" or "" */
	char profile[40];
	int32_t access;		/* 0, or -errno: why it cannot be opened */
	uint32_t hw_version;	/* major << 16 | minor */
	uint32_t uapi_major, uapi_minor;	/* of the driver; 0 for the model */
	uint32_t rings;
	uint32_t va_bits;
	uint32_t page_size;
	uint32_t macs_int8, macs_f16, macs_f32;	/* per cycle, modelled */
	uint32_t local_bpc, pcie_bpc;	/* bytes per cycle, modelled */
	uint32_t max_ctx;
	uint32_t max_timeout_ms;
	uint64_t ops, types;	/* bit n: opcode n, GGML type n */
	uint64_t clock_hz;
	uint64_t sram_size;	/* bytes of on-chip memory, modelled */
	uint64_t serial;
	uint64_t memory_size, memory_used;	/* on-card bytes */
	uint64_t memory_mappable;		/* of which the CPU can reach */
	bool timing_only;	/* the model models time alone: results mean nothing */
	uint8_t reserved[7];
};

/*
 * Lists the Octans processors that the kernel shows in /sys/class/accel, in order of their
 * numbers.  *n: in, room in list, an array whose first sz is set; out, how many there are (may
 * exceed the room).  One that cannot be opened is listed with .access set (-EACCES: not permitted,
 * -ENODEV: gone, -ENOENT: its node is missing, as in a container that it was not given to, else
 * what accel_open() gives) and only name, path, driver and pci filled, with -EPROTO also uapi_major and uapi_minor.  No processor is not an error: *n is 0.  MT
 */
int accel_enumerate(struct accel_devinfo *list, size_t *n);

struct accel_dev;

/*
 * Opens a processor.  selector: "accel0", "0", "/dev/accel/accel0", a PCI address
 * ("0000:00:03.0"), "sim" or "sim:key=value,..." (the model in this process; keys
 * profile, local, rings, threads, and timing: only time is modelled, data is neither read
 * nor written), or NULL/"auto": the first one of the kernel's that opens.
 * -ENODEV: none there, its node is missing, or the model is not installed; -EACCES: there but not
 * permitted; -EINVAL: selector not understood.
 * The model starts a thread per ring, those that "threads" asks for, and one that watches.  MT
 */
int accel_open(const char *selector, struct accel_dev **out);

/* Closes; everything made from the device must be freed before.  MT */
void accel_close(struct accel_dev *dev);

/* Fills *info, whose sz is set, with memory_used as it is now.  MT */
int accel_dev_info(struct accel_dev *dev, struct accel_devinfo *info);

/* What the bits of ops and types stand for: "MATMUL", "Q4_K"; "?": this library does not know it.  A
 * constant.  MT */
const char *accel_op_name(uint32_t op);
const char *accel_type_name(uint32_t type);

/*
 * The instruction sets that this library was built with for the CPU, from i = 0; NULL after the last.
 * *supported, unless NULL: does this machine have it?  A constant.  MT
 */
const char *accel_isa_name(uint32_t i, bool *supported);

/* The file descriptor of the node, -1 for the model.  Belongs to dev.  MT */
int accel_dev_fd(const struct accel_dev *dev);

/* Sends a line to the model's fault injection ("help" lists them; the model only, else -ENOTSUP).
 * reply, of len bytes, gets its answer, cut if need be; may be NULL if len is 0.  -EINVAL: the line
 * was not understood.  MT */
int accel_dev_control(struct accel_dev *dev, const char *line, char *reply, size_t len);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
