/* SPDX-License-Identifier: MIT */
/*
 * A processor under ggml, and memory that it and the CPU both hold.  What ggml writes goes to both, what lasts
 * longer than a graph is read back: if the processor fails, the CPU goes on with its own copy.
 */
#ifndef GGML_CARD_H
#define GGML_CARD_H

#include <pthread.h>
#include <stdatomic.h>

#include <accel/device.h>

#include "abi.h"
#include "op/cpu.h"

struct card {
	char name[16];			/* "OCTANS0" */
	char description[96];
	struct accel_dev *dev;
	struct accel_devinfo info;
	struct accel_vm *vm;
	uint64_t next_va;
	atomic_bool lost;		/* it has failed: the CPU computes, and nothing on the card is touched */
	pthread_mutex_t lock;		/* of next_va, of cpu, and of what is said */
	struct cpu *cpu;		/* NULL: not yet needed */
	struct gg_device device;
	struct gg_buft buft, host_buft;
	/* Figures: graphs computed, of those by streams that were recorded before, and by the CPU. */
	_Atomic uint64_t graphs, replayed, on_cpu, recorded_bytes, nodes;
};

struct region {
	struct card *card;
	struct accel_bo *bo;
	uint8_t *host;		/* the CPU's copy; ggml's addresses are in it */
	uint8_t *map;		/* the card's, in this process; the same as host in host memory of ours */
	uint64_t va, size;
};

/* NULL: selector does not open; accel_error() says why. */
struct card *card_open(const char *selector, int number);
void card_close(struct card *c);
/* From now on the CPU computes.  Says why, once. */
void card_fail(struct card *c, const char *doing);
/* Runs a stream of host addresses on the CPU. */
int card_cpu_run(struct card *c, const void *stream, size_t size);
/* A line of what was computed where. */
void card_report(const struct card *c);

enum region_kind {
	REGION_CARD,		/* on the card, and a copy in this process */
	REGION_SHARED,		/* host memory that the processor reaches, one and the same */
	REGION_DATA,		/* host memory that the processor reaches, and a copy beside it */
	REGION_SCRATCH,		/* on the card; the copy is there once the CPU needs it */
};
/* NULL: accel_error(). */
struct region *region_new(struct card *c, uint64_t size, enum region_kind kind, const char *label);
void region_free(struct region *r);
void region_write(struct region *r, uint64_t offset, const void *data, uint64_t size);
void region_fill(struct region *r, uint64_t offset, uint8_t value, uint64_t size);
/* As the processor sees it. */
void region_read(const struct region *r, uint64_t offset, void *data, uint64_t size);
/* The card's bytes become the copy's. */
void region_keep(struct region *r, uint64_t offset, uint64_t size);

#endif
