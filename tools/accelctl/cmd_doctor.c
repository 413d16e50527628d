// SPDX-License-Identifier: MIT
/*
 * accelctl doctor: from the PCI bus to a job that ran, the first thing that is wrong.  What cannot
 * be looked at is neither right nor wrong, and that is said, too.
 */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <drm/octans_accel.h>

#include "accelctl.h"
#include "modfile.h"
#include "pci.h"
#include "roundtrip.h"

#define MAX_FINDINGS 64
#define MAX_DEVICES 8

enum state { OK, FAILED, UNSEEN };

struct finding {
	const char *id, *what, *fix;
	enum state state;
	char cause[480];
};

struct doctor {
	struct finding list[MAX_FINDINGS];
	int n;
	int exit_code;		/* of the first finding that has failed */
	int unseen_code;	/* of the first that was not seen, if none has */
};

/* Notes a finding; returns whether it is ok. */
static bool find(struct doctor *d, enum state state, int exit_code, const char *id, const char *what,
		 const char *fix, const char *fmt, ...) __attribute__((format(printf, 7, 8)));
static bool find(struct doctor *d, enum state state, int exit_code, const char *id, const char *what,
		 const char *fix, const char *fmt, ...)
{
	struct finding *f = &d->list[d->n];
	va_list ap;

	if (d->n + 1 < MAX_FINDINGS)
		d->n++;
	f->id = id;
	f->what = what;
	f->state = state;
	f->fix = state == OK ? NULL : fix;
	va_start(ap, fmt);
	vsnprintf(f->cause, sizeof(f->cause), fmt, ap);
	va_end(ap);
	if (state == FAILED && !d->exit_code)
		d->exit_code = exit_code;
	if (state == UNSEEN && !d->unseen_code)
		d->unseen_code = exit_code;
	return state == OK;
}

/* ---- the PCI bus ---- */

struct function {
	char address[16];
	char driver[32];	/* "": none */
};

struct functions {
	struct function first, ours;	/* ours: the first that octans drives */
	int n, n_ours;
};

/* All functions of that kind; false: they cannot be looked at. */
static bool look_at_bus(struct functions *all)
{
	DIR *dir = opendir("/sys/bus/pci/devices");
	struct dirent *e;

	memset(all, 0, sizeof(*all));
	while (dir && (e = readdir(dir))) {
		struct function f;

		if (e->d_name[0] == '.' || !pci_is_processor(e->d_name))
			continue;
		snprintf(f.address, sizeof(f.address), "%.15s", e->d_name);
		pci_driver(e->d_name, f.driver, sizeof(f.driver));
		if (!all->n++)
			all->first = f;
		if (!strcmp(f.driver, "octans") && !all->n_ours++)
			all->ours = f;
	}
	if (dir)
		closedir(dir);
	return dir || !access("/sys/bus", F_OK);	/* there are machines without PCI */
}

/* ---- one processor ---- */

/* name: of what ran the job, or NULL. */
static void try_job(struct doctor *d, struct accel_dev *dev, const char *id, const char *what, const char *fix,
		    const char *name)
{
	char why[256];
	uint64_t ns;
	bool good = round_trip(dev, &ns, why, sizeof(why));

	if (good)
		snprintf(why, sizeof(why), "a job took %llu us", (unsigned long long)ns / 1000);
	find(d, good ? OK : FAILED, EXIT_SELF_TEST, id, what, fix, "%s%s%s", name ? name : "", name ? ": " : "", why);
}

static bool check_node(struct doctor *d, const struct accel_devinfo *info)
{
	static const char fix[] = "in a container pass the node in, as with `docker run --device /dev/accel/accel0`, or `podman run --device octans/accel=accel0` after `accelctl cdi generate`; else look at `dmesg | grep octans` and whether udev runs";

	if (!find(d, info->access == -ENOENT ? FAILED : OK, EXIT_NO_DEVICE, "ACC-0004", "device node", fix,
		  info->access == -ENOENT ? "/sys shows %s, but %s is not there" : "%s: %s", info->name,
		  info->path))
		return false;
	return find(d, info->access == -EACCES || info->access == -EPERM ? FAILED : OK, EXIT_PERMISSION,
		    "ACC-0005", "permission",
		    "sudo usermod -aG render $USER, log in again; before systemd 254 also install packaging/60-accel-octans.rules",
		    "this user %s open %s",
		    info->access == -EACCES || info->access == -EPERM ? "may not" : "may", info->path);
}

static void check_device(struct doctor *d, const struct accel_devinfo *info)
{
	struct accel_dev *dev;
	bool mismatch = info->access == -EPROTO;
	int err;

	if (!check_node(d, info))
		return;
	err = accel_open(info->name, &dev);
	if (!err || mismatch)
		find(d, mismatch ? FAILED : OK, EXIT_DRIVER, "ACC-0006", "driver interface",
		     "install octans.ko and libaccel of the same major uapi version",
		     mismatch ? "%s speaks uapi %u.%u, libaccel %d.%d" : "%s: uapi %u.%u", info->name,
		     info->uapi_major, info->uapi_minor, OCTANS_UAPI_MAJOR, OCTANS_UAPI_MINOR);
	else
		find(d, UNSEEN, EXIT_DRIVER, "ACC-0006", "driver interface", NULL,
		     "%s does not open, so it cannot be asked", info->name);
	if (mismatch)
		return;
	if (!find(d, err ? FAILED : OK, err == -ENXIO || err == -ENODEV ? EXIT_NO_DEVICE : EXIT_LOST,
		  "ACC-0007", "device answers",
		  "reset it: sudo accelctl reset; if that does not help: echo 1 > /sys/bus/pci/devices/ADDRESS/remove, then echo 1 > /sys/bus/pci/rescan",
		  "%s", err ? accel_error() : info->profile))
		return;
	try_job(d, dev, "ACC-0008", "job round trip",
		"look at `dmesg | grep octans`; report it with the output of accelctl show -o json", info->name);
	accel_close(dev);
}

static void check_devices(struct doctor *d, const char *selector)
{
	struct accel_devinfo info[MAX_DEVICES] = { { .sz = sizeof(info[0]) } };
	size_t n = MAX_DEVICES, meant = 0;
	int err = accel_enumerate(info, &n);

	for (size_t i = 0; !err && i < n && i < MAX_DEVICES; i++)
		if (device_is_meant(selector, &info[i])) {
			check_device(d, &info[i]);
			meant++;
		}
	if (err || !n)
		find(d, FAILED, EXIT_DRIVER, "ACC-0004", "device node",
		     "look at `dmesg | grep octans`: the driver says why it did not take the device", "%s",
		     err ? accel_error() : "the driver has made none");
	else if (!meant)
		find(d, FAILED, EXIT_NO_DEVICE, "ACC-0004", "device node", "`accelctl list` shows what there is",
		     "there is no \"%s\"", selector);
}

/* ---- what keeps the module out ---- */

/* The kernel's word for why it wants signed modules, or "" if it takes any; false: not to be seen. */
static bool wants_signature(char *why, size_t len)
{
	char line[128];
	bool seen = false;

	*why = 0;
	if (first_line("/sys/kernel/security/lockdown", line, sizeof(line))) {
		seen = true;
		if (strstr(line, "[integrity]") || strstr(line, "[confidentiality]"))
			snprintf(why, len, "it is locked down, as under Secure Boot");
	}
	if (first_line("/sys/module/module/parameters/sig_enforce", line, sizeof(line))) {
		seen = true;
		if (line[0] == 'Y')
			snprintf(why, len, "module.sig_enforce is set");
	}
	return seen;
}

/* Of a module that no driver is loaded from: would this kernel take it? */
static void check_signature(struct doctor *d)
{
	static const char id[] = "ACC-0010", what[] = "module signature";
	static const char enrol[] = "have the firmware know the key that DKMS signs with: sudo mokutil --import /var/lib/dkms/mok.pub, restart, confirm at the blue screen; then sudo modprobe octans (Documentation/packages.rst)";
	char why[64], path[256];

	if (!wants_signature(why, sizeof(why))) {
		find(d, UNSEEN, EXIT_DRIVER, id, what, "sudo modprobe octans; `dmesg | tail` says why it is refused",
		     "whether this kernel wants modules signed cannot be seen");
		return;
	}
	if (!module_file(path, sizeof(path)))
		find(d, *why ? UNSEEN : OK, EXIT_DRIVER, id, what, enrol,
		     *why ? "this kernel takes signed modules only (%s); there is no octans.ko in /lib/modules for it" :
			    "this kernel takes modules that are not signed%.0s", why);
	else if (!*why)
		find(d, OK, EXIT_DRIVER, id, what, NULL, "this kernel takes %s, signed or not", path);
	else if (module_packed(path))
		find(d, UNSEEN, EXIT_DRIVER, id, what, enrol,
		     "this kernel takes signed modules only (%s); %s is compressed: `modinfo octans` shows a signature", why,
		     path);
	else if (!module_signed(path))
		find(d, FAILED, EXIT_DRIVER, id, what,
		     "let DKMS sign it: sudo dkms install --force octans/VERSION (`dkms status octans` names it), then sudo mokutil --import /var/lib/dkms/mok.pub and restart (Documentation/packages.rst)",
		     "this kernel takes signed modules only (%s), and %s is not signed", why, path);
	else
		find(d, UNSEEN, EXIT_DRIVER, id, what, enrol,
		     "this kernel takes signed modules only (%s); %s is signed, but whether the firmware knows the key is not seen here: `mokutil --test-key /var/lib/dkms/mok.pub` tells",
		     why, path);
}

/* ---- the machine ---- */

static void check_driver(struct doctor *d, const struct functions *all, const char *selector)
{
	bool class = !access("/sys/class/accel", F_OK);
	const struct function *f = all->n_ours ? &all->ours : &all->first;

	if (!find(d, class ? OK : FAILED, EXIT_DRIVER, "ACC-0002", "accel subsystem",
		  "boot a kernel with CONFIG_DRM_ACCEL=y: Debian's have it from 6.12 on",
		  "the kernel %s /sys/class/accel", class ? "has" : "lacks"))
		return;
	if (!all->n_ours && f->driver[0]) {
		find(d, FAILED, EXIT_DRIVER, "ACC-0003", "driver bound",
		     "give it back if it is not meant for a VM: echo ADDRESS to .../unbind of that driver in /sys/bus/pci/drivers, then to /sys/bus/pci/drivers/octans/bind",
		     "%s drives %s, not octans", f->driver, f->address);
		return;
	}
	if (find(d, all->n_ours ? OK : FAILED, EXIT_DRIVER, "ACC-0003", "driver bound",
		 "load it: sudo modprobe octans; the package octans-dkms has it, or `make modules` and insmod octans.ko",
		 all->n_ours ? "octans.ko drives %s" : "no driver drives %s", f->address))
		check_devices(d, selector);
	else
		check_signature(d);
}

static void check_system(struct doctor *d, const char *selector)
{
	struct functions all;

	if (!look_at_bus(&all)) {
		find(d, UNSEEN, EXIT_NO_DEVICE, "ACC-0001", "processor on the PCI bus",
		     "in a container mount /sys, as docker and podman do; `accelctl doctor` of the host can tell",
		     "/sys cannot be seen here, so whether there is one is not known");
		return;
	}
	if (find(d, all.n ? OK : FAILED, EXIT_NO_DEVICE, "ACC-0001", "processor on the PCI bus",
		 "no card is needed to try Octans: use --device sim, or attach the model to a VM (Documentation/vm.rst)",
		 all.n ? "%d, the first at %s" : "no PCI function " PCI_VENDOR ":" PCI_DEVICE, all.n, all.first.address))
		check_driver(d, &all, selector);
}

static void check_model(struct doctor *d)
{
	static const char what[] = "model in process";
	static const char fix[] = "install libaccel and its model anew (`make install` has both); if that does not help, please report it";
	struct accel_dev *dev;

	if (accel_open("sim:rings=1,local=1M", &dev)) {
		find(d, FAILED, EXIT_SELF_TEST, "ACC-0009", what, fix, "%s", accel_error());
		return;
	}
	try_job(d, dev, "ACC-0009", what, fix, NULL);
	accel_close(dev);
}

/* ---- what was found ---- */

static int print_findings_json(const struct doctor *d)
{
	static const char *const states[] = { [OK] = "ok", [FAILED] = "failed", [UNSEEN] = "unseen" };
	json_t *list = json_array();

	for (int i = 0; i < d->n; i++) {
		const struct finding *f = &d->list[i];
		json_t *j = json_pack("{s:s, s:s, s:s, s:o}", "id", f->id, "check", f->what, "state",
				      states[f->state], "detail", json_text(f->cause));

		if (f->fix)
			json_object_set_new(j, "fix", json_string(f->fix));
		json_array_append_new(list, j);
	}
	return print_json("doctor/2", json_pack("{s:o}", "checks", list));
}

static void print_findings(const struct doctor *d)
{
	static const char *const states[] = { [OK] = "ok", [FAILED] = "FAIL", [UNSEEN] = "?" };

	for (int i = 0; i < d->n; i++) {
		const struct finding *f = &d->list[i];

		printf("%s %-4s %s: %s\n", f->id, states[f->state], f->what, f->cause);
		if (f->fix)
			printf("              %s\n", f->fix);
	}
}

int cmd_doctor(const struct options *o)
{
	bool sim = o->device && !strncmp(o->device, "sim", 3);
	struct doctor d = { 0 };

	if (!sim)
		check_system(&d, o->device);
	check_model(&d);
	if (!d.exit_code)
		d.exit_code = d.unseen_code;
	if (!o->json) {
		print_findings(&d);
		return d.exit_code;
	}
	return print_findings_json(&d) ? EXIT_FAILED : d.exit_code;
}
