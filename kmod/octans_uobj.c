// SPDX-License-Identifier: GPL-2.0-only
/* Arrays and structures that differ in size between the kernel and its callers. */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <drm/octans_accel.h>

#include "octans_uobj.h"

/**
 * octans_uobj_check_array() - is an array of user memory one that may be copied?
 * @in: where it is
 * @max: most elements
 * @min_size: OCTANS_*_MIN
 *
 * Return: 0 or -EINVAL.
 */
int octans_uobj_check_array(const struct drm_octans_array *in, u32 max, u32 min_size)
{
	if (!in->count)
		return in->stride || in->ptr ? -EINVAL : 0;
	if (in->count > max || in->stride < min_size || in->stride > PAGE_SIZE || in->stride % 8)
		return -EINVAL;
	return 0;
}

/**
 * octans_uobj_copy_any() - copy an array of any stride from user memory
 * @out: where to, as many elements
 * @in: where it is, checked
 * @size: bytes of an element in this kernel
 *
 * Elements shorter than @size are filled up with zeros; longer ones must be zero
 * beyond it.
 *
 * Return: 0, -EFAULT, or -EINVAL: a field that this kernel does not know is set.
 */
int octans_uobj_copy_any(void *out, const struct drm_octans_array *in, u32 size)
{
	u32 i;

	if (in->stride == size)
		return copy_from_user(out, u64_to_user_ptr(in->ptr), (size_t)in->count * size) ?
		       -EFAULT : 0;
	for (i = 0; i < in->count; i++, out += size) {
		int ret = copy_struct_from_user(out, size,
						u64_to_user_ptr(in->ptr + (u64)i * in->stride),
						in->stride);
		if (ret)
			return ret == -E2BIG ? -EINVAL : ret;
	}
	return 0;
}

/**
 * octans_uobj_get_array() - allocate and copy an array from user memory
 * @in: where it is
 * @max: most elements
 * @min_size: OCTANS_*_MIN
 * @size: bytes of an element in this kernel
 *
 * Return: the array, to be freed with kvfree(), NULL if it is empty, or an ERR_PTR().
 */
void *octans_uobj_get_array(const struct drm_octans_array *in, u32 max, u32 min_size, u32 size)
{
	int ret = octans_uobj_check_array(in, max, min_size);
	void *out;

	if (ret || !in->count)
		return ERR_PTR(ret);
	out = kvmalloc_array(in->count, size, GFP_KERNEL_ACCOUNT);
	if (!out)
		return ERR_PTR(-ENOMEM);
	ret = octans_uobj_copy_any(out, in, size);
	if (!ret)
		return out;
	kvfree(out);
	return ERR_PTR(ret);
}

/**
 * octans_uobj_put() - copy a structure to user memory
 * @ptr: user pointer
 * @user_size: bytes of the caller's structure
 * @obj: the kernel's
 * @size: bytes of @obj
 *
 * What the caller has beyond @size is zeroed.
 *
 * Return: 0, -E2BIG or -EFAULT.
 */
int octans_uobj_put(u64 ptr, u32 user_size, const void *obj, u32 size)
{
	void __user *to = u64_to_user_ptr(ptr);

	if (user_size > PAGE_SIZE)
		return -E2BIG;		/* no structure will ever be */
	if (copy_to_user(to, obj, min(user_size, size)))
		return -EFAULT;
	if (user_size > size && clear_user(to + size, user_size - size))
		return -EFAULT;
	return 0;
}
