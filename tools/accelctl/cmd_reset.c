// SPDX-License-Identifier: MIT
/*
 * accelctl reset: the kernel resets the PCI function, and a job shows that it works again.  A processor that the
 * driver has cut off stays so until it is bound anew, so it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "accelctl.h"
#include "holders.h"
#include "pci.h"
#include "roundtrip.h"

#define ANSWER_SECONDS 10
#define DRIVER_DIR "/sys/bus/pci/drivers/octans"

struct target {
	struct accel_devinfo info;
	bool unbound;		/* no driver has it: of info there is the address, also as its name */
	bool rebound;
	uint64_t job_ns;
	char why[512];		/* it does not work */
};

static void reset_path(const struct target *t, const char *file, char *path, size_t len)
{
	snprintf(path, len, "/sys/bus/pci/devices/%s/%s", t->info.pci, file);
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

/* ---- which ---- */

/* There is no node.  Of a function that another driver has, or none, that is why. */
static int find_unbound(const char *selector, struct target *t)
{
	struct accel_dev *dev;
	char driver[32];
	int err;

	if (selector && strchr(selector, ':') && pci_is_processor(selector)) {
		pci_driver(selector, driver, sizeof(driver));
		if (!*driver && access(DRIVER_DIR, F_OK))
			return complain(EXIT_DRIVER, "no driver drives %s: load octans.ko, which resets it when it takes it",
					selector);
		if (*driver && strcmp(driver, "octans"))
			return complain(EXIT_DRIVER, "%s drives %s, not octans: whoever uses it through that resets it",
					driver, selector);
		t->unbound = !*driver;
	}
	if (t->unbound) {
		snprintf(t->info.pci, sizeof(t->info.pci), "%.15s", selector);
		snprintf(t->info.name, sizeof(t->info.name), "%.15s", selector);
		return EXIT_OK;
	}
	err = accel_open(selector, &dev);
	if (!err) {		/* it has come just now */
		accel_close(dev);
		return complain(EXIT_BUSY, "the processors of this machine are changing: try again");
	}
	return complain_open(err);
}

static int find_target(const char *selector, struct target *t)
{
	struct accel_devinfo *list;
	size_t n, found = 0;
	int rc;

	if (selector && (!strcmp(selector, "sim") || !strncmp(selector, "sim:", 4)))
		return complain(EXIT_USAGE, "\"%s\" is a model in the process that uses it, new each time: there is nothing to reset",
				selector);
	rc = enumerate_devices(&list, &n);
	if (rc)
		return rc;
	for (size_t i = 0; i < n; i++)
		if (device_is_meant(selector, &list[i])) {
			t->info = list[i];
			found++;
		}
	free(list);
	if (found > 1)
		return complain(EXIT_USAGE, "this machine has %zu processors: say which, as `accelctl list` names them",
				found);
	return found ? EXIT_OK : find_unbound(selector, t);
}

/* ---- whether ---- */

static int check_possible(const struct target *t)
{
	char path[128];

	reset_path(t, "reset", path, sizeof(path));
	if (access(path, F_OK))
		return complain(EXIT_FAILED, "the kernel knows no way to reset %s (there is no %s): remove it and look for it again, echo 1 > /sys/bus/pci/devices/%s/remove, then echo 1 > /sys/bus/pci/rescan",
				t->info.name, path, t->info.pci);
	if (access(path, W_OK))
		return complain(EXIT_PERMISSION, "%s can be reset by root alone: `sudo accelctl reset %s`", t->info.name,
				t->info.name);
	return EXIT_OK;
}

static int check_holders(const struct target *t, bool force)
{
	struct holders h;
	char names[512];
	int rc = EXIT_OK;

	holders_find(&h, t->info.path, t->info.pci);
	holders_name(&h, names, sizeof(names));
	if (h.n && force)
		warn("%s is reset although %s %s it: their jobs that run may be lost", t->info.name, names,
		     h.n > 1 ? "hold" : "holds");
	else if (h.n)
		rc = complain(EXIT_BUSY, "%s is not reset, %s %s it%s: end %s first, or reset it all the same with --force",
			      t->info.name, names, h.n > 1 ? "hold" : "holds", h.all ? "" : ", others perhaps too",
			      h.n > 1 ? "them" : "it");
	else if (h.hidden && force)
		warn("%s is reset although others hold it, who cannot be seen from here: their jobs that run may be lost",
		     t->info.name);
	else if (h.hidden)
		rc = complain(EXIT_BUSY, "%s is not reset, others hold it, who cannot be seen from here (in another container, or by nothing but a mapping): find and end them first, or reset it all the same with --force",
			      t->info.name);
	else if (!h.all && !force)
		rc = complain(EXIT_PERMISSION, "%s is not reset, whether others hold it cannot be seen from here: run this as root, outside of containers, or reset it all the same with --force",
			      t->info.name);
	holders_free(&h);
	return rc;
}

/* ---- resetting ---- */

static int reset_function(const struct target *t)
{
	char path[128];
	int err;

	reset_path(t, "reset", path, sizeof(path));
	err = write_file(path, "1");
	if (err == -EACCES || err == -EPERM)
		return complain(EXIT_PERMISSION, "%s may not be reset by this user: `sudo accelctl reset %s`", t->info.name,
				t->info.name);
	if (err == -ENOENT || err == -ENODEV)
		return complain(EXIT_LOST, "%s is gone: it was unplugged, or is not well enough to be on the bus",
				t->info.name);
	return err ? complain(EXIT_FAILED, "the kernel could not reset %s (writing to %s): %s", t->info.name, path,
			      strerror(-err)) : EXIT_OK;
}

/* Takes the processor from its driver and gives it back, with a reset in between. */
static int rebind(struct target *t)
{
	int err = t->unbound ? 0 : write_file(DRIVER_DIR "/unbind", t->info.pci), rc;

	t->rebound = true;
	if (err)
		return complain(EXIT_FAILED, "%s is cut off, and cannot be taken from its driver: %s", t->info.name,
				strerror(-err));
	rc = reset_function(t);
	err = write_file(DRIVER_DIR "/bind", t->info.pci);
	if (!rc && err)
		rc = complain(EXIT_LOST, "%s was reset, but the driver does not take it (%s), `dmesg | grep octans` says why: remove it and look for it again, echo 1 > /sys/bus/pci/devices/%s/remove, then echo 1 > /sys/bus/pci/rescan; or switch the machine off and on",
			      t->info.pci, strerror(-err), t->info.pci);
	return rc;
}

/* 0: a job has run.  By its address: who is bound anew may have another name. */
static int look(struct target *t)
{
	struct accel_dev *dev;
	bool good;
	int err = accel_open(t->info.pci, &dev);

	if (err) {
		snprintf(t->why, sizeof(t->why), "%s", accel_error());
		return err;
	}
	t->info = (struct accel_devinfo) { .sz = sizeof(t->info) };
	err = accel_dev_info(dev, &t->info);
	if (err)
		snprintf(t->why, sizeof(t->why), "%s", accel_error());
	good = !err && round_trip(dev, &t->job_ns, t->why, sizeof(t->why));
	accel_close(dev);
	return good ? 0 : err ? err : -EIO;
}

/* udev may take a while to make a node. */
static int wait_for_answer(struct target *t)
{
	const struct timespec moment = { .tv_nsec = 50000000 };
	double until = seconds() + ANSWER_SECONDS;
	struct accel_devinfo was = t->info;
	int err;

	while ((err = look(t)) == -ENODEV && t->rebound && seconds() < until)
		nanosleep(&moment, NULL);
	if (err)
		t->info = was;
	return err;
}

static int reset(struct target *t)
{
	/* The node is there, and opening it says that the processor is not: the driver has cut it off. */
	bool cut_off = t->info.access == -ENODEV;
	int err, rc = cut_off || t->unbound ? rebind(t) : reset_function(t);

	if (rc)
		return rc;
	err = wait_for_answer(t);
	if (err == -ENODEV && !t->rebound) {
		rc = rebind(t);
		if (rc)
			return rc;
		err = wait_for_answer(t);
	}
	return err ? complain(EXIT_LOST, "%s was reset%s and does not work: %s; `dmesg | grep octans` may tell more",
			      t->info.name, t->rebound ? ", bound anew," : "", t->why) : EXIT_OK;
}

static int print_reset(const struct options *o, const struct target *t, const char *was, double took)
{
	if (o->json)
		return print_json("reset/1", json_pack("{s:s, s:s, s:s, s:b, s:f, s:f}", "was", was, "name", t->info.name,
						       "pci", t->info.pci, "rebound", t->rebound, "milliseconds",
						       took * 1e3, "job_microseconds", t->job_ns / 1e3));
	if (t->rebound)
		printf("%s (%s): reset in %.0f ms, and bound anew as %s: %s; a job took %.0f us\n", was, t->info.pci,
		       took * 1e3, t->info.name, t->unbound ? "no driver had it" : "the driver had cut it off",
		       t->job_ns / 1e3);
	else
		printf("%s (%s): reset in %.0f ms; a job took %.0f us\n", was, t->info.pci, took * 1e3, t->job_ns / 1e3);
	return EXIT_OK;
}

int cmd_reset(const struct options *o)
{
	struct target t = { 0 };
	char was[sizeof(t.info.name)];
	double begin;
	int rc = find_target(o->device, &t);

	if (!rc)
		rc = check_possible(&t);
	if (!rc)
		rc = t.unbound ? EXIT_OK : check_holders(&t, o->force);
	if (rc)
		return rc;
	memcpy(was, t.info.name, sizeof(was));
	begin = seconds();
	rc = reset(&t);
	return rc ? rc : print_reset(o, &t, was, seconds() - begin);
}
