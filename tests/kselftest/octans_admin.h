/* SPDX-License-Identifier: MIT */
/* What tests do that are the administrator: the device goes and comes, windows are held open. */
#ifndef OCTANS_KSELFTEST_ADMIN_H
#define OCTANS_KSELFTEST_ADMIN_H

#include <sys/syscall.h>

#include "octans.h"

static inline int write_errno(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		ret = -errno;
	if (fd >= 0)
		close(fd);
	return ret;
}

static inline bool write_file(const char *path, const char *text)
{
	return !write_errno(path, text);
}

static inline long read_number(const char *path)
{
	long value = -1;
	FILE *f = fopen(path, "r");

	if (f && fscanf(f, "%ld", &value) != 1)
		value = -1;
	if (f)
		fclose(f);
	return value;
}

/*
 * Where the chipset has its power management, and that it is there.  QEMU's firmware (SeaBIOS, q35)
 * does not set it up again when the machine wakes: without it only the first sleep is one.
 */
#define CHIPSET "/sys/bus/pci/devices/0000:00:1f.0/config"
#define PMBASE 0x40	/* and ACPI_CNTL, 4 bytes later */

static inline int pm_setup(uint64_t *v, bool restore)
{
	int fd = open(CHIPSET, O_RDWR | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = restore ? pwrite(fd, v, sizeof(*v), PMBASE) : pread(fd, v, sizeof(*v), PMBASE);
	close(fd);
	return n == sizeof(*v) ? 0 : -EIO;
}

#define ALARM "+30"	/* seconds: later than any machine needs until it sleeps */
#define SLEPT 2		/* at least: tests/vm/run wakes a VM after 3 */

static inline int sleep_really(void)
{
	uint64_t setup;
	long from;
	int ret;

	if (pm_setup(&setup, false) || !write_file("/sys/class/rtc/rtc0/wakealarm", "0") ||
	    !write_file("/sys/class/rtc/rtc0/wakealarm", ALARM))
		return -EOPNOTSUPP;
	from = read_number("/sys/class/rtc/rtc0/since_epoch");
	ret = write_errno("/sys/power/state", "mem");
	pm_setup(&setup, true);
	write_file("/sys/class/rtc/rtc0/wakealarm", "0");
	return !ret && read_number("/sys/class/rtc/rtc0/since_epoch") - from < SLEPT ? -EINTR : ret;
}

/*
 * 0: slept and woke.  A test ("devices") wakes by itself.  From a real sleep ("none") a VM is woken by who
 * started it, another machine by its clock, whose alarm is far off: one that rang before the machine slept
 * would leave it asleep.
 */
static inline int fall_asleep(const char *how, const char *test)
{
	if (!write_file("/sys/power/mem_sleep", how) || !write_file("/sys/power/pm_test", test))
		return -EOPNOTSUPP;
	return strcmp(test, "none") ? write_errno("/sys/power/state", "mem") : sleep_really();
}

/* The processor's name on its bus.  Asked for first while the driver is bound. */
static inline const char *bdf(void)
{
	static char name[32];
	char path[128], link[256], *slash;
	ssize_t n;

	if (*name)
		return name;
	snprintf(path, sizeof(path), "/sys/class/accel/%s/device", strrchr(node(), '/') + 1);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 1)
		return name;
	link[n] = 0;
	slash = strrchr(link, '/');
	snprintf(name, sizeof(name), "%.31s", slash ? slash + 1 : link);
	return name;
}

static inline bool wait_for_node(void)
{
	for (int i = 0; i < 200; i++) {
		int fd = node_open();

		if (fd >= 0) {
			close(fd);
			return true;
		}
		usleep(50000);
	}
	return false;
}

static inline bool unbind(void)
{
	return *bdf() && write_file("/sys/bus/pci/drivers/octans/unbind", bdf());
}

static inline bool bind_again(void)
{
	return write_file("/sys/bus/pci/drivers/octans/bind", bdf()) && wait_for_node();
}

/* A file of the device that takes "1": remove, reset. */
static inline bool pci_do(const char *what)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf(), what);
	return write_file(path, "1");
}

static inline bool rescan(void)
{
	return write_file("/sys/bus/pci/rescan", "1") && wait_for_node();
}

/* A BAR, without a driver; @size: how much of it there is. */
static inline volatile void *pci_bar(int bar, size_t *size)
{
	char path[128];
	void *map = MAP_FAILED;
	off_t end;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource%d", bdf(), bar);
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

/* References to octans.ko: by open files, and by whatever outlives them. */
static inline long module_users(void)
{
	return read_number("/sys/module/octans/refcnt");
}

static inline bool module_users_become(long n)
{
	for (int i = 0; i < 50 && module_users() != n; i++)
		usleep(100000);
	return module_users() == n;
}

/*
 * Whoever enters one of FUNCTIONS (the first that there is) is held up for MS, the first COUNT
 * who do or (0) everybody; false: there is no
 * such function, or no octans_widen.ko, and the window is met by chance only.
 */
static inline bool widen(const char *const *functions, unsigned int ms, unsigned int count)
{
	char line[128];
	int fd = open("/ko/octans_widen.ko", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		syscall(SYS_finit_module, fd, "", 0);	/* maybe it is loaded */
		close(fd);
	}
	for (; *functions; functions++) {
		snprintf(line, sizeof(line), "%s %u %u", *functions, ms, count);
		if (write_file("/sys/module/octans_widen/parameters/at", line))
			return true;
	}
	return false;
}

/* How often that held somebody up; and it does no longer. */
static inline long widen_end(void)
{
	long met = read_number("/sys/module/octans_widen/parameters/met");

	write_file("/sys/module/octans_widen/parameters/at", "off");
	return met;
}

/* A job that takes SECONDS without being wrong: each of its commands takes a millisecond.  On
 * every ring, until slow_end(). */
static inline uint32_t slow_job(uint8_t *map, double seconds)
{
	control_rings("slow", " 1000");
	return put_nops(map, seconds * 1000);
}

static inline void slow_end(void)
{
	control_rings("slow", " 0");
}

/* Nothing is injected any more, whatever a test that failed has left. */
static inline void faults_end(void)
{
	control_rings("hang ring", " off");
	control_rings("hold ring", " off");
	control_rings("slow", " 0");
	control_rings("fail-reset ring", " 0");
	control_rings("corrupt-cq", " off");
	control("corrupt-event off");
	control_rings("fault", " off");
	control_rings("drop-irq", " 0");
	control("fail-reset device 0");
	control_rings("late", " 0");
	control_rings("drop-doorbell", " 0");
	control_rings("slow-reset ring", " 0");
	control("slow-reset device 0");
	control("away 0");
	control("hang tag 0");
	control("lie off");
	control("drop-invalidate 0");
	control("lose-power 0");
	widen_end();
}

/* A number of the model's "stat", -1 = not there. */
static inline long long control_stat(const char *key)
{
	char reply[4096] = "", word[64];
	size_t n = 0;
	ssize_t got;
	char *at;
	int fd = open("/dev/virtio-ports/octans.control.0", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -1;
	if (dprintf(fd, "stat\n") > 0)
		while (!strchr(reply, '\n') && n < sizeof(reply) - 1 &&
		       (got = read(fd, reply + n, sizeof(reply) - 1 - n)) > 0)
			reply[n += got] = 0;
	close(fd);
	snprintf(word, sizeof(word), " %s=", key);
	at = strstr(reply, word);
	return at ? atoll(at + strlen(word)) : -1;
}

/* Whether a new client's job runs. */
static inline int device_works(void)
{
	struct client c;
	int ret = client_open(&c, 5000);

	if (ret)
		return ret;
	ret = run(c.fd, c.queue, VA, put_nop(c.map), 0);
	client_close(&c);
	return ret;
}

/* What a test begins with: a processor that works, bound anew if the test before has cost it. */
static inline bool device_fresh(void)
{
	if (!*bdf())
		return false;
	faults_end();
	if (!device_works())
		return true;
	unbind();
	return bind_again() && !device_works();
}

/* A sync_file of what a binary syncobj holds now, or -1. */
static inline int sync_file(int fd, uint32_t handle)
{
	struct drm_syncobj_handle h = {
		.handle = handle, .flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE, .fd = -1,
	};

	return call(fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &h) ? -1 : h.fd;
}

static inline int import_sync_file(int fd, uint32_t handle, int file)
{
	struct drm_syncobj_handle h = {
		.handle = handle, .flags = DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE, .fd = file,
	};

	return call(fd, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &h);
}

static inline bool signalled(int file, unsigned int ms)
{
	struct pollfd p = { .fd = file, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* A sync_file's status: 0 not yet, 1 well, or its error; or why that cannot be said. */
static inline int file_info(int file, struct sync_fence_info *fence)
{
	struct sync_file_info info = { .num_fences = 1, .sync_fence_info = (uintptr_t)fence };

	memset(fence, 0, sizeof(*fence));
	return ioctl(file, SYNC_IOC_FILE_INFO, &info) < 0 ? -errno : info.status;
}

static inline int queue_state(struct client *c, struct drm_octans_queue_query *q)
{
	*q = (struct drm_octans_queue_query) { .id = c->queue };
	return call(c->fd, DRM_IOCTL_OCTANS_QUEUE_QUERY, q);
}

static inline double seconds_since(int64_t t)
{
	return (now_ns() - t) / 1e9;
}

#endif
