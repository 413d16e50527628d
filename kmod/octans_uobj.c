// SPDX-License-Identifier: GPL-2.0-only
/* Arrays and structures that differ in size between the kernel and its callers. */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <drm/octans_accel.h>

#include "octans_uobj.h"

/**
 * octans_uobj_get_array() - copy an array from user memory
 * @in: where it is
 * @max: most elements
 * @min_size: bytes of an element in the first version of the interface
 * @size: bytes of an element in this kernel
 *
 * Elements shorter than @size are filled up with zeros; longer ones must be zero
 * beyond it.
 *
 * Return: the array, to be freed with kvfree(), NULL if it is empty, or an ERR_PTR().
 */
void *octans_uobj_get_array(const struct drm_octans_array *in, u32 max, u32 min_size, u32 size)
{
	void *out, *p;
	u32 i;
	int ret;

	if (!in->count)
		return in->stride || in->ptr ? ERR_PTR(-EINVAL) : NULL;
	if (in->count > max || in->stride < min_size || in->stride > PAGE_SIZE || in->stride % 8)
		return ERR_PTR(-EINVAL);
	out = kvmalloc_array(in->count, size, GFP_KERNEL_ACCOUNT);
	if (!out)
		return ERR_PTR(-ENOMEM);
	for (i = 0, p = out; i < in->count; i++, p += size) {
		ret = copy_struct_from_user(p, size,
					    u64_to_user_ptr(in->ptr + (u64)i * in->stride),
					    in->stride);
		if (ret) {
			kvfree(out);
			/* -E2BIG: a field that this kernel does not know is set */
			return ERR_PTR(ret == -E2BIG ? -EINVAL : ret);
		}
	}
	return out;
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
 * Return: 0 or -EFAULT.
 */
int octans_uobj_put(u64 ptr, u32 user_size, const void *obj, u32 size)
{
	void __user *to = u64_to_user_ptr(ptr);

	if (copy_to_user(to, obj, min(user_size, size)))
		return -EFAULT;
	if (user_size > size && clear_user(to + size, user_size - size))
		return -EFAULT;
	return 0;
}
