// SPDX-License-Identifier: MIT
/*
 * IGT knows DRM devices as cards, with a master, beside display drivers.  Preloaded, this answers
 * in place of four functions of its library, so that it finds an accel device too: the newest one
 * is /dev/dri/card0 and its render node.  Nothing comes between a test and the driver.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define ACCEL_MAJOR 261
#define CARD "/dev/dri/card0"
#define RENDER "/dev/dri/renderD128"

/* An accel device has no master, and needs none. */
int __igt_device_set_master(int fd)
{
	(void)fd;
	return 0;
}

void igt_device_set_master(int fd)
{
	(void)fd;
}

/* It is named after its minor, from 6.16 on after the device. */
char *igt_debugfs_path(int fd, char *path, int size)
{
	char device[PATH_MAX], link[64];
	struct stat st;

	if (fstat(fd, &st))
		return NULL;
	snprintf(path, size, "/sys/kernel/debug/accel/%u", minor(st.st_rdev));
	if (!access(path, F_OK))
		return path;
	snprintf(link, sizeof(link), "/sys/dev/char/%u:%u/device", major(st.st_rdev),
		 minor(st.st_rdev));
	if (!realpath(link, device))
		return NULL;
	snprintf(path, size, "/sys/kernel/debug/accel/%s", strrchr(device, '/') + 1);
	return access(path, F_OK) ? NULL : path;
}

/* As in IGT's igt_device_scan.h. */
struct igt_device_card {
	char subsystem[NAME_MAX], card[NAME_MAX], render[NAME_MAX], driver[NAME_MAX];
	char pci_slot_name[13];
	uint16_t pci_vendor, pci_device;
};

/* A device that is bound anew is another one: the nodes follow. */
bool igt_device_card_match(const char *filter, struct igt_device_card *card)
{
	dev_t node;
	glob_t g;
	int n;

	(void)filter;
	if (glob("/sys/class/accel/accel*", 0, NULL, &g))
		return false;
	n = atoi(strrchr(g.gl_pathv[g.gl_pathc - 1], '/') + strlen("/accel"));
	globfree(&g);
	node = makedev(ACCEL_MAJOR, n);
	unlink(CARD);
	unlink(RENDER);
	if (mknod(CARD, S_IFCHR | 0600, node) || mknod(RENDER, S_IFCHR | 0600, node))
		return false;
	memset(card, 0, sizeof(*card));
	strcpy(card->card, CARD);
	strcpy(card->render, RENDER);
	return true;
}
