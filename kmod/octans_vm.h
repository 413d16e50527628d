/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_VM_H
#define OCTANS_VM_H

#include <linux/mutex.h>
#include <linux/spinlock.h>

#include <drm/drm_gpuvm.h>
#include <drm/octans_accel.h>

#include "octans_pt.h"

struct octans_device;
struct octans_file;
struct octans_user;

#define OCTANS_FAULT_LOG 16

/**
 * struct octans_vm - an address space
 * @dev: device
 * @asid: its number in the ASID table
 * @pt: its page tables
 * @faults: the log, oldest first
 * @n_faults: how many are in it
 * @lost_faults: those that found it full
 */
struct octans_vm {
	/** @base: counts references: the file's, each queue's */
	struct drm_gpuvm base;
	struct octans_device *dev;
	/** @user: whose share it is; a reference */
	struct octans_user *user;
	u32 asid;
	/** @lock: protects the mappings, @pt, @absences and @closed */
	struct mutex lock;
	struct octans_pt pt;
	/** @absences: octans_gate_absences() when all of @pt was known to have arrived */
	u32 absences;
	/** @closed: destroyed by its owner, or the device is gone; holds no mappings */
	bool closed;
	/** @lost: the card has lost what a buffer held that was mapped; for good */
	bool lost;
	/** @queues: of the owner's that use it */
	atomic_t queues;

	/** @fault_lock: protects the log */
	spinlock_t fault_lock;
	struct drm_octans_fault faults[OCTANS_FAULT_LOG];
	u32 n_faults;
	u64 lost_faults;
};

#define to_octans_vm(gpuvm) container_of(gpuvm, struct octans_vm, base)

struct octans_vm *octans_vm_get(struct octans_file *file, u32 id);
void octans_vm_put(struct octans_vm *vm);
void octans_vm_fault(struct octans_vm *vm, const struct drm_octans_fault *fault);
void octans_vm_close_all(struct octans_file *file);
void octans_vm_restore(struct octans_device *dev);
void octans_vm_unplug(struct octans_device *dev);
int octans_ioctl_vm_create(struct drm_device *drm, void *data, struct drm_file *file);
int octans_ioctl_vm_destroy(struct drm_device *drm, void *data, struct drm_file *file);
int octans_ioctl_vm_bind(struct drm_device *drm, void *data, struct drm_file *file);
int octans_ioctl_vm_get_faults(struct drm_device *drm, void *data, struct drm_file *file);

#endif
