/* SPDX-License-Identifier: MIT */
/* Where something lies. */
#ifndef TESTS_KMOD_DRM_MM_H
#define TESTS_KMOD_DRM_MM_H

#include <linux/types.h>

struct drm_mm {
	u64 size;
};

struct drm_mm_node {
	u64 start, size;
};

#endif
