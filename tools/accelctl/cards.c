// SPDX-License-Identifier: MIT
#include "cards.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accelctl.h"
#include "pci.h"

/* ---- files of the kernel ---- */

/* A whole file, cut where text ends; false: it cannot be read. */
static bool read_file(const char *path, char *text, size_t len)
{
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(text, 1, len - 1, f) : 0;

	text[n] = 0;
	if (f)
		fclose(f);
	return n;
}

static bool number(const char *text, double *value)
{
	if (!isdigit((unsigned char)*text))
		return false;
	*value = strtod(text, NULL);
	return true;
}

bool card_file(const struct card *c, const char *name, double *value)
{
	char text[64];

	return c->info.pci[0] && pci_read(c->info.pci, name, text, sizeof(text)) && number(text, value);
}

bool card_errors(const struct card *c, const char *kind, double *value)
{
	char name[64], text[2048];
	const char *total;

	snprintf(name, sizeof(name), "aer_dev_%s", kind);
	if (!c->info.pci[0] || !pci_read(c->info.pci, name, text, sizeof(text)))
		return false;
	total = strstr(text, "TOTAL_ERR_");
	total = total ? strchr(total, ' ') : NULL;
	return total && number(total + 1, value);
}

/* One vector's, a number for each CPU with commas between. */
static bool vector_interrupts(const char *irq, double *sum)
{
	char path[320], *text = NULL;
	size_t room = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/irq/%s/per_cpu_count", irq);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (getline(&text, &room, f) > 0)
		for (char *p = text, *end; *p; p = end) {
			*sum += strtoull(p, &end, 10);
			if (*end == ',')
				end++;
			else
				break;
		}
	free(text);
	fclose(f);
	return true;
}

bool card_interrupts(const struct card *c, double *value)
{
	char path[96];
	struct dirent *e;
	bool known = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/msi_irqs", c->info.pci);
	dir = c->info.pci[0] ? opendir(path) : NULL;
	*value = 0;
	while (dir && (e = readdir(dir)))
		if (isdigit((unsigned char)e->d_name[0]))
			known |= vector_interrupts(e->d_name, value);
	if (dir)
		closedir(dir);
	return known;
}

bool card_object(const struct card *c, const char *name, double *value)
{
	size_t n = strlen(name);

	for (const char *line = c->objects; *line;) {
		const char *end = strchr(line, '\n');

		if (!strncmp(line, name, n) && line[n] == ' ')
			return number(line + n + 1, value);
		if (!end)
			break;
		line = end + 1;
	}
	return false;
}

/* ---- looking ---- */

static bool sleeps(const struct accel_devinfo *info)
{
	char status[32];

	return info->pci[0] && pci_read(info->pci, "power/runtime_status", status, sizeof(status)) &&
	       !strncmp(status, "suspended", strlen("suspended"));
}

static void read_objects(struct card *c)
{
	char path[96];

	c->objects[0] = 0;
	if (!c->info.pci[0])
		return;
	snprintf(path, sizeof(path), "/sys/kernel/debug/accel/%s/objects", c->info.pci);
	read_file(path, c->objects, sizeof(c->objects));
}

/* One that is known, without waking it; false: it is not what it was. */
static bool look_once_more(struct card *c)
{
	struct accel_devinfo now;
	int err;

	c->asleep = !c->info.access && sleeps(&c->info);
	if (c->asleep) {
		c->info.memory_used = 0;	/* what is on a card keeps it awake */
	} else {
		err = device_look(c->info.name, &now);
		if (err == -ENODEV && c->info.access == -ENOENT)
			err = -ENOENT;		/* accel_open() calls both so */
		if (err != c->info.access || (!err && strcmp(now.pci, c->info.pci)))
			return false;
		if (!err)
			c->info = now;
	}
	read_objects(c);
	return true;
}

/* False: there are others now. */
static bool look_again(struct cards *c)
{
	size_t there = 0;

	if (!c->n || (!c->selector && (accel_enumerate(NULL, &there) || there != c->n)))
		return false;
	for (size_t i = 0; i < c->n; i++)
		if (!look_once_more(&c->list[i]))
			return false;
	return true;
}

static int take(struct cards *c, const struct accel_devinfo *list, size_t n)
{
	free(c->list);
	c->n = 0;
	c->list = calloc(n + 1, sizeof(*c->list));
	if (!c->list)
		return complain(EXIT_FAILED, "no memory to list processors");
	for (size_t i = 0; i < n; i++) {
		struct card *card = &c->list[c->n];

		if (c->selector && strncmp(c->selector, "sim", 3) && !device_is_meant(c->selector, &list[i]))
			continue;
		card->info = list[i];
		read_objects(card);
		c->n++;
	}
	return EXIT_OK;
}

int cards_look(struct cards *c)
{
	struct accel_devinfo *list = NULL, one;
	size_t n = 1;
	int rc;

	if (c->selector && !strncmp(c->selector, "sim", 3)) {
		rc = device_look(c->selector, &one);
		return rc ? complain_open(rc) : take(c, &one, n);
	}
	if (look_again(c))
		return EXIT_OK;
	rc = enumerate_devices(&list, &n);
	if (!rc)
		rc = take(c, list, n);
	free(list);
	return rc;
}

void cards_free(struct cards *c)
{
	free(c->list);
	c->list = NULL;
	c->n = 0;
}
