/* SPDX-License-Identifier: MIT */
/* The processor as a PCI function: it goes and comes; what it has is read without its driver. */
#ifndef OCTANS_KSELFTEST_PCI_H
#define OCTANS_KSELFTEST_PCI_H

#include <octans/regs.h>

#include "octans.h"

static inline bool put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return good;
}

/* "0000:00:06.0" of the newest node. */
static inline bool pci_find(char bdf[32])
{
	char path[128], link[256], *name;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/class/accel/%s/device", strrchr(node(), '/') + 1);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 1)
		return false;
	link[n] = 0;
	name = strrchr(link, '/');
	snprintf(bdf, 32, "%.31s", name ? name + 1 : link);
	return true;
}

static inline bool pci_remove(const char *bdf)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/remove", bdf);
	return put_file(path, "1");
}

static inline bool pci_rescan(void)
{
	if (!put_file("/sys/bus/pci/rescan", "1"))
		return false;
	for (int i = 0; i < 100; i++) {
		int fd = node_open();

		if (fd >= 0) {
			close(fd);
			return true;
		}
		usleep(50000);
	}
	return false;
}

static inline bool pci_unbind(const char *bdf)
{
	return put_file("/sys/bus/pci/drivers/octans/unbind", bdf);
}

static inline bool pci_bind(const char *bdf)
{
	return put_file("/sys/bus/pci/drivers/octans/bind", bdf);
}

/* A BAR, without a driver; @size: how much of it there is. */
static inline volatile void *pci_bar(const char *bdf, int bar, size_t *size)
{
	char path[128];
	void *map = MAP_FAILED;
	off_t end;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource%d", bdf, bar);
	fd = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
	if (fd < 0)
		return MAP_FAILED;
	end = lseek(fd, 0, SEEK_END);
	*size = end > 0 ? end : 0;
	if (*size)
		map = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return map;
}

#endif
