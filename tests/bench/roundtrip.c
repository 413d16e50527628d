// SPDX-License-Identifier: MIT
/* Round trips per second, one at a time: SUBMIT of a NOP to its fence through octans.ko, and
 * NVMe passthrough of a command that does nothing (flush, on a drive without a cache to flush)
 * through the kernel's NVMe driver.  Prints "octans N nvme M".
 *   roundtrip /dev/accel/accel0 /dev/nvme0n1 SECONDS */
#define HARNESS_NO_MAIN
#include <linux/nvme_ioctl.h>

#include "../kselftest/octans.h"

static double octans(unsigned int seconds)
{
	struct drm_octans_sync out = { .flags = DRM_OCTANS_SYNC_SIGNAL };
	struct drm_syncobj_wait w = { 0 };
	struct client c = { 0 };
	uint32_t size;
	int64_t begin, end;
	int n = 0;

	if (client_open(&c, 0) || syncobj_create(c.fd, &out.handle))
		return -1;
	size = put_nop(c.map);
	w.handles = (uintptr_t)&out.handle;
	w.count_handles = 1;
	w.timeout_nsec = INT64_MAX;
	begin = now_ns();
	end = begin + seconds * 1000000000ll;
	while (now_ns() < end) {
		if (submit(c.fd, c.queue, VA, size, 0, &out, 1) ||
		    call(c.fd, DRM_IOCTL_SYNCOBJ_WAIT, &w))
			return -1;
		n++;
	}
	return n * 1e9 / (now_ns() - begin);
}

static double nvme(const char *path, unsigned int seconds)
{
	struct nvme_passthru_cmd flush = { .opcode = 0, .nsid = 1 };
	int fd = open(path, O_RDWR | O_CLOEXEC), n = 0;
	int64_t begin = now_ns(), end = begin + seconds * 1000000000ll;

	if (fd < 0)
		return -1;
	while (now_ns() < end) {
		if (ioctl(fd, NVME_IOCTL_IO_CMD, &flush))
			return -1;
		n++;
	}
	return n * 1e9 / (now_ns() - begin);
}

int main(int argc, char **argv)
{
	unsigned int seconds = argc > 3 ? atoi(argv[3]) : 5;

	if (argc < 3)
		return 2;
	setenv("OCTANS_NODE", argv[1], 1);
	for (int round = 0; round < 3; round++)	/* in turn: the host is never quite still */
		printf("octans %.0f nvme %.0f\n", octans(seconds), nvme(argv[2], seconds));
	return 0;
}
