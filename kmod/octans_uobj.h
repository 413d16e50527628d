/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_UOBJ_H
#define OCTANS_UOBJ_H

#include <linux/types.h>

struct drm_octans_array;

int octans_uobj_check_array(const struct drm_octans_array *in, u32 max, u32 min_size);
int octans_uobj_copy_array(void *out, const struct drm_octans_array *in, u32 size);
void *octans_uobj_get_array(const struct drm_octans_array *in, u32 max, u32 min_size, u32 size);
int octans_uobj_put(u64 ptr, u32 user_size, const void *obj, u32 size);

#endif
