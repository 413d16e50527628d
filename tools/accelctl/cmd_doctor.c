// SPDX-License-Identifier: MIT
/* accelctl doctor: from the PCI bus to a job that ran, the first thing that is wrong. */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <accel/device.h>
#include <octans/isa.h>

#include "accelctl.h"

#define JOB_SECONDS 10

struct finding {
	const char *id, *what;
	bool ok;
	char cause[256];
	const char *fix;
};

struct doctor {
	struct finding list[16];
	int n;
	int exit_code;		/* of the first finding that is not ok */
};

static bool check(struct doctor *d, const char *id, const char *what, bool ok, int exit_code,
		  const char *fix, const char *fmt, ...) __attribute__((format(printf, 7, 8)));
static bool check(struct doctor *d, const char *id, const char *what, bool ok, int exit_code,
		  const char *fix, const char *fmt, ...)
{
	struct finding *f = &d->list[d->n++];
	va_list ap;

	f->id = id;
	f->what = what;
	f->ok = ok;
	f->fix = fix;
	va_start(ap, fmt);
	vsnprintf(f->cause, sizeof(f->cause), fmt, ap);
	va_end(ap);
	if (!ok && !d->exit_code)
		d->exit_code = exit_code;
	return ok;
}

/* How many PCI functions 1af4:10f5 there are, and the driver of the first. */
static int pci_functions(char *bdf, size_t len, bool *bound)
{
	const char *root = "/sys/bus/pci/devices";
	DIR *dir = opendir(root);
	struct dirent *e;
	int n = 0;

	while (dir && (e = readdir(dir))) {
		char path[512], vendor[16] = "", device[16] = "";
		FILE *f;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s/vendor", root, e->d_name);
		f = fopen(path, "r");
		if (f && !fgets(vendor, sizeof(vendor), f))
			vendor[0] = 0;
		if (f)
			fclose(f);
		snprintf(path, sizeof(path), "%s/%s/device", root, e->d_name);
		f = fopen(path, "r");
		if (f && !fgets(device, sizeof(device), f))
			device[0] = 0;
		if (f)
			fclose(f);
		if (strncmp(vendor, "0x1af4", 6) || strncmp(device, "0x10f5", 6))
			continue;
		if (n++)
			continue;
		snprintf(bdf, len, "%.15s", e->d_name);
		snprintf(path, sizeof(path), "%s/%s/driver", root, e->d_name);
		*bound = !access(path, F_OK);
	}
	if (dir)
		closedir(dir);
	return n;
}

/* One job that stores the time: rings, MMU, memory, interrupt and fence all work. */
static int round_trip(struct accel_dev *dev, uint64_t *ns)
{
	const uint64_t va = 1ull << 32;
	struct accel_fence *fence = NULL;
	struct accel_queue *queue = NULL;
	struct accel_vm *vm = NULL;
	struct accel_bo *bo = NULL;
	struct accel_job job = { .sz = sizeof(job), .va = va, .size = sizeof(struct octans_cmd_signal) };
	struct octans_cmd_signal *cmd;
	struct timespec t0, t1;
	int err;

	err = accel_vm_new(dev, &vm);
	if (!err)
		err = accel_bo_new(dev, 4096, ACCEL_BO_HOST, "doctor", &bo);
	if (!err)
		err = accel_vm_map(vm, bo, 0, va, accel_bo_size(bo), 0);
	if (!err)
		err = accel_queue_new(vm, ACCEL_PRIORITY_NORMAL, 0, &queue);
	if (err)
		goto out;
	cmd = accel_bo_map(bo);
	if (!cmd) {
		err = -ENOMEM;
		goto out;
	}
	cmd->cmd.op = OCTANS_OP_SIGNAL;
	cmd->cmd.flags = OCTANS_SIGNAL_TIME;
	cmd->cmd.size = sizeof(*cmd);
	cmd->va = va + 1024;
	clock_gettime(CLOCK_MONOTONIC, &t0);
	err = accel_submit(queue, &job, 1, NULL, 0, &fence);
	if (!err)
		err = accel_fence_wait(fence, (t0.tv_sec + JOB_SECONDS) * 1000000000ll + t0.tv_nsec);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	*ns = (t1.tv_sec - t0.tv_sec) * 1000000000ull + t1.tv_nsec - t0.tv_nsec;
	if (!err && !((volatile uint64_t *)cmd)[1024 / 8])
		err = -EIO;
out:
	accel_fence_free(fence);
	accel_queue_free(queue);
	accel_vm_free(vm);
	accel_bo_free(bo);
	return err;
}

static void check_device(struct doctor *d)
{
	struct accel_devinfo info[16] = { { .sz = sizeof(info[0]) } };
	struct accel_dev *dev;
	size_t n = 16;
	uint64_t ns = 0;
	int err;

	err = accel_enumerate(info, &n);
	if (!check(d, "ACC-0004", "device node", !err && n, EXIT_DRIVER,
		   "look at `dmesg | grep octans`: the driver says why it did not take the device",
		   n ? "%s" : "the driver has made no node", n ? info[0].path : ""))
		return;
	if (!check(d, "ACC-0005", "permission", info[0].access != -EACCES, EXIT_PERMISSION,
		   "sudo usermod -aG render $USER, log in again; before systemd 254 also install packaging/60-accel-octans.rules",
		   "%s %s", info[0].path, info[0].access == -EACCES ? "may not be opened by this user" : "opens"))
		return;
	if (!check(d, "ACC-0006", "driver interface", info[0].access != -EPROTO, EXIT_DRIVER,
		   "install octans.ko and libaccel of the same major uapi version",
		   "uapi %u.%u", info[0].uapi_major, info[0].uapi_minor))
		return;
	err = accel_open(info[0].name, &dev);
	if (!check(d, "ACC-0007", "device answers", !err, EXIT_LOST,
		   "reset it: echo 1 > /sys/bus/pci/devices/ADDRESS/remove, then echo 1 > /sys/bus/pci/rescan",
		   "%s", err ? accel_error() : info[0].profile))
		return;
	err = round_trip(dev, &ns);
	check(d, "ACC-0008", "job round trip", !err, EXIT_SELF_TEST,
	      "look at `dmesg | grep octans`; report it with the output of accelctl show -o json",
	      err ? "%s" : "%s %llu us", err ? accel_error() : "took", (unsigned long long)ns / 1000);
	accel_close(dev);
}

static void check_model(struct doctor *d)
{
	struct accel_dev *dev;
	uint64_t ns = 0;
	int err = accel_open("sim:rings=1,local=1M", &dev);

	if (!err) {
		err = round_trip(dev, &ns);
		accel_close(dev);
	}
	check(d, "ACC-0009", "model in process", !err, EXIT_SELF_TEST,
	      "this is a fault of libaccel: please report it", err ? "%s" : "%s %llu us",
	      err ? accel_error() : "a job took", (unsigned long long)ns / 1000);
}

static void check_system(struct doctor *d)
{
	char bdf[16] = "";
	bool bound = false;
	struct stat st;
	int n = pci_functions(bdf, sizeof(bdf), &bound);

	if (!check(d, "ACC-0001", "processor on the PCI bus", n, EXIT_NO_DEVICE,
		   "no card is needed to try Octans: use --device sim, or attach the model to a VM (Documentation/vm.rst)",
		   n ? "%d, the first at %s" : "no PCI function 1af4:10f5", n, bdf))
		return;
	if (!check(d, "ACC-0002", "accel subsystem", !stat("/sys/class/accel", &st), EXIT_DRIVER,
		   "boot a kernel with CONFIG_DRM_ACCEL=y: Debian's have it from 6.12 on",
		   "the kernel %s /sys/class/accel", !stat("/sys/class/accel", &st) ? "has" : "lacks"))
		return;
	if (check(d, "ACC-0003", "driver bound", bound, EXIT_DRIVER,
		  "load it: insmod octans.ko (make modules builds it); with Secure Boot its key must be enrolled",
		  "octans.ko %s %s", bound ? "drives" : "does not drive", bdf))
		check_device(d);
}

int cmd_doctor(const struct options *o)
{
	struct doctor d = { 0 };

	check_system(&d);
	check_model(&d);
	if (o->json) {
		json_t *list = json_array();
		int rc;

		for (int i = 0; i < d.n; i++) {
			const struct finding *f = &d.list[i];
			json_t *j = json_pack("{s:s, s:s, s:b, s:s}", "id", f->id, "check", f->what, "ok",
					      f->ok, "detail", f->cause);

			if (!f->ok)
				json_object_set_new(j, "fix", json_string(f->fix));
			json_array_append_new(list, j);
		}
		rc = print_json("doctor", json_pack("{s:o}", "checks", list));
		return rc ? rc : d.exit_code;
	}
	for (int i = 0; i < d.n; i++) {
		const struct finding *f = &d.list[i];

		printf("%s %-4s %s: %s\n", f->id, f->ok ? "ok" : "FAIL", f->what, f->cause);
		if (!f->ok)
			printf("              %s\n", f->fix);
	}
	return d.exit_code;
}
