/* SPDX-License-Identifier: MIT */
/* A fence that is not ours. */
#ifndef OCTANS_KSELFTEST_VGEM_H
#define OCTANS_KSELFTEST_VGEM_H

#include <linux/dma-buf.h>

#include "octans.h"

struct vgem_attach {
	uint32_t handle, flags, out_fence, pad;
};

/* A sync_file that signals ten seconds from now: vgem's.  It needs no privilege. */
static inline int vgem_fence(void)
{
	struct drm_mode_create_dumb {
		uint32_t height, width, bpp, flags, handle, pitch;
		uint64_t size;
	} dumb = { .height = 64, .width = 64, .bpp = 32 };
	struct drm_prime_handle prime = { .flags = DRM_CLOEXEC | DRM_RDWR };
	struct dma_buf_export_sync_file x = { .flags = DMA_BUF_SYNC_READ, .fd = -1 };
	struct vgem_attach attach = { .flags = 1 };
	int fd;

	if (!load_vgem())
		return -1;
	for (int i = 0; i < 20 && access("/dev/dri/card0", F_OK); i++)
		usleep(50000);
	fd = open("/dev/dri/card0", O_RDWR | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, DRM_IOWR(0xb2, struct drm_mode_create_dumb), &dumb))
		return -1;
	attach.handle = prime.handle = dumb.handle;
	if (ioctl(fd, DRM_IOWR(DRM_COMMAND_BASE + 1, struct vgem_attach), &attach) ||
	    ioctl(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) ||
	    ioctl(prime.fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &x))
		return -1;
	return x.fd;		/* the vgem file stays open */
}

#endif
