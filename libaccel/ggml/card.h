/* SPDX-License-Identifier: MIT */
/*
 * A processor under ggml, and memory that it and the CPU both hold.  What ggml writes goes to both, what lasts
 * longer than a graph is read back: if the processor fails, the CPU goes on with its own copy.  Bytes of results
 * that were not read back are known: they are fetched when somebody wants them, or are gone with the card, and
 * then nobody takes what the copy has in their place for them.  When the processor is well again, all memory on it
 * is made anew, from the copies.
 *
 * Threads share a card; a region is of one thread at a time, as ggml's buffers are.
 */
#ifndef GGML_CARD_H
#define GGML_CARD_H

#include <pthread.h>
#include <stdatomic.h>

#include <accel/device.h>

#include "abi.h"
#include "op/cpu.h"

/* Of one ggml backend.  It is freed when the card is taken back. */
struct card_queue {
	struct accel_queue *queue;	/* NULL: not yet needed */
	struct card_queue *next;
};

struct region;

struct card {
	char name[16];			/* "OCTANS0" */
	char description[96];
	struct accel_dev *dev;
	struct accel_devinfo info;
	struct accel_vm *vm;
	uint64_t next_va;
	pthread_rwlock_t use;		/* read: whoever has to do with it; write: who takes it back */
	atomic_bool lost;		/* it has failed: the CPU computes, and nothing on the card is written */
	atomic_bool readable;		/* though it is lost: its memory holds what it held, if card_is_there() */
	_Atomic int64_t retry_ns;	/* when it is tried again; INT64_MAX: never */
	int64_t back_ns;		/* when it came back, 0: it did not */
	uint32_t wait_ms;
	uint32_t times_back;
	bool some_gone;			/* something went with it when it was last lost */
	struct region *all;		/* all of its regions, and all queues */
	struct card_queue *queues;
	struct accel_bo *mark_bo;	/* on the card: a word that says that its memory is what it was */
	const volatile uint64_t *mark;
	atomic_ulong regions;		/* made so far */
	pthread_mutex_t lock;		/* of next_va, of the lists, of cpu, and of what is said */
	struct cpu *cpu;		/* NULL: not yet needed */
	struct gg_device device;
	struct gg_buft buft, host_buft;
	/* Figures: graphs computed, of those by streams that were recorded before, and by the CPU. */
	_Atomic uint64_t graphs, replayed, on_cpu, recorded_bytes, nodes;
};

enum region_kind {
	REGION_CARD,		/* on the card, and a copy in this process */
	REGION_SHARED,		/* host memory that the processor reaches, one and the same */
	REGION_SCRATCH,		/* on the card; the copy is there once the CPU needs it */
};

struct region {
	struct card *card;
	struct accel_bo *bo;
	uint8_t *host;		/* the CPU's copy; ggml's addresses are in it */
	uint8_t *map;		/* the card's, in this process; the same as host in host memory of ours */
	uint64_t *ahead;	/* a bit for two bytes: the card's are newer than the copy's */
	uint64_t *gone;		/* likewise: nobody has them any more; NULL: there are none */
	bool some_ahead;	/* has ever been so */
	bool damaged;		/* somebody was given something in place of what went with the card */
	uint64_t va, size;
	uint64_t id;		/* no other region ever has it */
	enum region_kind kind;
	struct region *next;
};

/* NULL: selector does not open; accel_error() says why. */
struct card *card_open(const char *selector, int number);
void card_close(struct card *c);
/* Does the card's memory hold what it held, as seen just now?  What was read before was its. */
bool card_is_there(struct card *c);
/* From now on the CPU computes, and sometime the card is tried again.  Says why, once. */
void card_fail(struct card *c, int err, const char *doing);
/* Between these nobody takes it back. */
void card_enter(struct card *c);
void card_leave(struct card *c);
/* If it is lost and it is time to: with nobody between those, its memory is made anew. */
void card_try_again(struct card *c);
void card_add_queue(struct card *c, struct card_queue *q);
void card_drop_queue(struct card *c, struct card_queue *q);
/* Runs a stream of host addresses on the CPU. */
int card_cpu_run(struct card *c, const void *stream, size_t size);
/* A line of what was computed where. */
void card_report(const struct card *c);

/* NULL: accel_error(). */
struct region *region_new(struct card *c, uint64_t size, enum region_kind kind, const char *label);
void region_free(struct region *r);
void region_write(struct region *r, uint64_t offset, const void *data, uint64_t size);
void region_fill(struct region *r, uint64_t offset, uint8_t value, uint64_t size);
/* What ggml or a graph has put there last; ones where that is gone, after which the next graph that has to do with r fails. */
void region_read(struct region *r, uint64_t offset, void *data, uint64_t size);
/* The copy's bytes are made to be those.  False: they went with the card. */
bool region_fetch(struct region *r, uint64_t offset, uint64_t size);
/* From now on the card's bytes are newer than the copy's, or as old. */
void region_set_ahead(struct region *r, uint64_t offset, uint64_t size, bool ahead);
/* Neither the copy nor the card has some of the bytes. */
bool region_is_gone(const struct region *r, uint64_t offset, uint64_t size);
void region_set_gone(struct region *r, uint64_t offset, uint64_t size, bool gone);
/* What the card alone had there is, perhaps, written over by a graph that failed. */
void region_lose(struct region *r, uint64_t offset, uint64_t size);

#endif
