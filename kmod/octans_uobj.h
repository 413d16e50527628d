/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_UOBJ_H
#define OCTANS_UOBJ_H

#include <linux/stddef.h>
#include <linux/types.h>
#include <linux/uaccess.h>

#include <drm/octans_accel.h>

/*
 * Bytes of an element in the first version of the interface with this major number, which stay what
 * they are when the structures grow: a program of then has no more.
 */
#define OCTANS_JOB_MIN		offsetofend(struct drm_octans_job, pad)
#define OCTANS_SYNC_MIN		offsetofend(struct drm_octans_sync, point)
#define OCTANS_BIND_OP_MIN	offsetofend(struct drm_octans_bind_op, size)
#define OCTANS_FAULT_MIN	offsetofend(struct drm_octans_fault, pad)

int octans_uobj_check_array(const struct drm_octans_array *in, u32 max, u32 min_size);
int octans_uobj_copy_any(void *out, const struct drm_octans_array *in, u32 size);
void *octans_uobj_get_array(const struct drm_octans_array *in, u32 max, u32 min_size, u32 size);
int octans_uobj_put(u64 ptr, u32 user_size, const void *obj, u32 size);

/**
 * octans_uobj_copy_array() - copy an array from user memory
 * @out: where to, as many elements
 * @in: where it is, checked
 * @size: bytes of an element in this kernel, a constant
 *
 * Return: 0, -EFAULT, or -EINVAL: a field that this kernel does not know is set.
 */
static __always_inline int octans_uobj_copy_array(void *out, const struct drm_octans_array *in,
						  u32 size)
{
	/* what every inference step does, and no check of a size is needed for */
	if (in->count == 1 && in->stride == size)
		return copy_from_user(out, u64_to_user_ptr(in->ptr), size) ? -EFAULT : 0;
	return octans_uobj_copy_any(out, in, size);
}

#endif
