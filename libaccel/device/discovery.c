// SPDX-License-Identifier: MIT
/* Finding processors: the kernel lists accel nodes in /sys/class/accel.  libdrm does not
 * know them (its nodes are those of /dev/dri). */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "opts.h"
#include "transport.h"

#define DRIVER "octans"

#define CLASS_DIR "/sys/class/accel"

static const char *class_dir(void)
{
	const char *dir = secure_getenv("ACCEL_SYSFS_CLASS");	/* for tests */

	return dir ? dir : CLASS_DIR;
}

/* The last part of what a sysfs link points to. */
static bool link_name(const char *path, char *name, size_t len)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	const char *slash;

	if (n <= 0)
		return false;
	target[n] = 0;
	slash = strrchr(target, '/');
	slash = slash ? slash + 1 : target;
	if (strlen(slash) >= len)
		return false;
	strcpy(name, slash);
	return true;
}

/* Is accel<number> a processor of ours?  Fills what sysfs tells. */
static bool describe(unsigned long number, struct accel_devinfo *info)
{
	char path[PATH_MAX];

	memset(info, 0, sizeof(*info));
	snprintf(info->name, sizeof(info->name), "accel%lu", number);
	snprintf(info->path, sizeof(info->path), "/dev/accel/accel%lu", number);
	snprintf(path, sizeof(path), "%s/%s/device/driver", class_dir(), info->name);
	if (!link_name(path, info->driver, sizeof(info->driver)) || strcmp(info->driver, DRIVER))
		return false;
	snprintf(path, sizeof(path), "%s/%s/device", class_dir(), info->name);
	if (!link_name(path, info->pci, sizeof(info->pci)))
		info->pci[0] = 0;
	return true;
}

static int compare(const void *a, const void *b)
{
	unsigned long x = *(const unsigned long *)a, y = *(const unsigned long *)b;

	return (x > y) - (x < y);
}

/* The numbers of all accel nodes, ascending; the caller frees. */
static int numbers(unsigned long **out, size_t *n)
{
	DIR *dir = opendir(class_dir());
	struct dirent *e;

	*out = NULL;
	*n = 0;
	if (!dir)	/* kernels without the accel subsystem have no such class */
		return errno == ENOENT ? 0 : fail(-errno, "cannot read %s: %s", class_dir(),
						  strerror(errno));
	while ((e = readdir(dir))) {
		unsigned long *grown;
		char *end;

		if (strncmp(e->d_name, "accel", 5) || !isdigit((unsigned char)e->d_name[5]))
			continue;
		grown = realloc(*out, (*n + 1) * sizeof(**out));
		if (!grown) {
			free(*out);
			*out = NULL;
			closedir(dir);
			return fail(-ENOMEM, "no memory to list processors");
		}
		*out = grown;
		grown[*n] = strtoul(e->d_name + 5, &end, 10);
		if (!*end)
			++*n;
	}
	closedir(dir);
	if (*n)
		qsort(*out, *n, sizeof(**out), compare);
	return 0;
}

static bool matches(const char *selector, const struct accel_devinfo *info)
{
	return !strcmp(selector, info->name) || !strcmp(selector, info->path) ||
	       !strcmp(selector, info->name + strlen("accel")) ||
	       (info->pci[0] && !strcasecmp(selector, info->pci));
}

static bool understood(const char *s)
{
	unsigned int a, b, c, d;
	int n = 0;

	if (!strncmp(s, "/dev/accel/", 11))
		s += 11;
	if (!strncmp(s, "accel", 5))
		s += 5;
	if (*s && strspn(s, "0123456789") == strlen(s))
		return true;
	return sscanf(s, "%x:%x:%x.%x%n", &a, &b, &c, &d, &n) == 4 && !s[n];
}

static int none(const char *selector)
{
	if (!strcmp(class_dir(), CLASS_DIR) && access("/sys/class", F_OK))
		return fail(-ENODEV, "/sys, where the kernel shows its processors, cannot be seen here: mount it, or give it to the container");
	if (selector)
		return fail(-ENODEV, "there is no Octans processor \"%s\"", selector);
	return fail(-ENODEV, "no Octans processor was found; the device \"sim\" is a model of one");
}

int discover(const char *selector, struct accel_devinfo **list, size_t *n)
{
	unsigned long *number;
	size_t nodes;
	int err;

	*list = NULL;
	*n = 0;
	if (selector && !understood(selector))
		return fail(-EINVAL, "device \"%s\" is not understood: use a name (accel0), a number, a PCI address (0000:00:03.0), sim or auto",
			    selector);
	err = numbers(&number, &nodes);
	if (err)
		return err;
	*list = calloc(nodes + 1, sizeof(**list));
	if (!*list) {
		free(number);
		return fail(-ENOMEM, "no memory to list processors");
	}
	for (size_t i = 0; i < nodes; i++) {
		struct accel_devinfo *info = &(*list)[*n];

		if (describe(number[i], info) && (!selector || matches(selector, info)))
			++*n;
	}
	free(number);
	if (*n)
		return 0;
	free(*list);
	*list = NULL;
	return none(selector);
}

/* All that can be told about a processor, or why it cannot be opened. */
static void look(struct accel_devinfo *info)
{
	struct accel_dev *dev;
	int err = accel_open(info->name, &dev);

	if (!err) {
		info->sz = sizeof(*info);
		err = accel_dev_info(dev, info);
		accel_close(dev);
	}
	/* To accel_open() they are the same; whoever lists them can do something about one. */
	if (err == -ENODEV && access(info->path, F_OK))
		err = -ENOENT;
	if (err == -EPROTO)
		kernel_interface(info);
	info->access = err;
}

int accel_enumerate(struct accel_devinfo *list, size_t *n)
{
	size_t room = *n, sz = room ? list->sz : 0;
	struct accel_devinfo *found;
	int err;

	if (sz % _Alignof(struct accel_devinfo))
		return fail(-EINVAL, "a struct accel_devinfo of %zu bytes: the size must be set to that of the structure",
			    sz);
	err = discover(NULL, &found, n);

	if (err == -ENODEV)
		return 0;
	for (size_t i = 0; !err && i < *n && i < room; i++) {
		struct accel_devinfo *to = (void *)((char *)list + i * sz);

		look(&found[i]);
		to->sz = sz;
		err = opts_write(to, &found[i], sizeof(found[i]), "a struct accel_devinfo");
	}
	free(found);
	return err;
}
