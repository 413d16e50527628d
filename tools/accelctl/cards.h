/* SPDX-License-Identifier: MIT */
/* What can be told of the processors of this machine at one moment, for those who watch many. */
#ifndef ACCELCTL_CARDS_H
#define ACCELCTL_CARDS_H

#include <stdbool.h>
#include <stddef.h>

#include <accel/accel.h>

struct card {
	struct accel_devinfo info;
	bool asleep;		/* and nobody woke it to ask: info is of the time before */
	char objects[2048];	/* the driver's counters in debugfs, "" where they may not be read */
};

struct cards {
	const char *selector;	/* NULL: all that the kernel shows; or a name, a PCI address, the model */
	struct card *list;	/* malloc'd */
	size_t n;
};

/*
 * Looks again.  Opening wakes a processor that sleeps: one that was seen before and sleeps is not opened, it has
 * nothing new to tell.  An exit code, after a complaint.
 */
int cards_look(struct cards *c);
void cards_free(struct cards *c);

/*
 * One number of a card, false: it is not known here.  card_file(): the first number in a file of its PCI function;
 * card_object(): one of the driver's counters, which root may read; card_interrupts(): of all its vectors, since boot;
 * card_errors(): of one kind ("correctable", "nonfatal", "fatal"), as PCIe's error reporting counts them.
 */
bool card_file(const struct card *c, const char *name, double *value);
bool card_object(const struct card *c, const char *name, double *value);
bool card_interrupts(const struct card *c, double *value);
bool card_errors(const struct card *c, const char *kind, double *value);

#endif
