/* SPDX-License-Identifier: MIT */
/*
 * Inside an engine.
 *
 * engine->lock guards everything that several threads reach: pages, sequences, the queue of steps, and
 * the figures.  The baton is held by whoever computes (a step, or moving keys and values), over all
 * of it, and is taken before the lock.  Executors belong to the holder of the baton.
 *
 * An engine has one reference of its owner, one of each sequence and each step, and one of each call that
 * works on a sequence without a step.  When its owner frees it, it is closed: what is computed ends, and
 * executors, threads and the descriptor go at once.  The rest, which reads nothing of the model, the plan or
 * the processors, goes with the last reference.
 */
#ifndef ACCEL_ENGINE_INTERNAL_H
#define ACCEL_ENGINE_INTERNAL_H

#include <pthread.h>

#include <accel/engine.h>

#include "error.h"
#include "forks.h"
#include "exec/exec.h"
#include "opts.h"
#include "pass.h"
#include "plan/plan.h"

/* Keys and values of some positions, in all layers; a number that is a row of every pool. */
struct page {
	uint32_t refs;			/* sequences that have it */
	uint32_t filled;		/* positions, from its first on, that it holds */
};

/* The state of layers that cannot go back, after so many positions. */
struct mark {
	uint32_t pos;
	int32_t slot;
};

struct accel_seq {
	struct accel_engine *engine;
	struct accel_seq *next, *prev;	/* of the engine's */
	bool busy;			/* in a step, or: */
	bool claimed;			/* a call works on it, which has a reference of the engine */
	bool unwanted;			/* freed in the meantime: ends with the step */
	int32_t *tokens;		/* [n], of room; -1: skipped */
	uint32_t n, room;
	uint32_t *pages;		/* [n_pages]; a step that runs may have added some */
	uint32_t n_pages, pages_room;
	struct mark *marks;		/* [n_marks], ascending; none if no layer has a state */
	uint32_t n_marks, marks_room;
};

enum card_state {
	CARD_UNUSED,			/* has no layers */
	CARD_UP,
	CARD_DOWN,			/* failed; tried again at retry_ns */
	CARD_GONE,			/* for good */
};

struct card {
	struct accel_dev *dev;
	struct exec_dev *exec;		/* UP */
	struct exec_dev *coming;	/* DOWN: that is loaded, a piece with each step; or NULL */
	enum card_state state;
	char name[32];
	bool *mine;			/* [n_layers], when it is up */
	struct accel_layer *how;	/* [n_layers], likewise: those that are not its mean nothing */
	int64_t retry_ns;		/* CLOCK_MONOTONIC */
	int64_t up_ns;			/* when it came back; 0: it did not */
	uint32_t wait_ms;		/* until the next try */
	uint32_t dropped;		/* times in a row that its jobs were dropped for another's sake */
};

struct step_input {
	struct accel_seq *seq;
	const int32_t *tokens;		/* in accel_step.tokens */
	uint32_t n;
	enum accel_want want;
	uint32_t top;
	uint32_t held;			/* positions computed, of its sequence and these tokens */
	uint32_t made;			/* positions that are in passes: held, and those under way */
	int32_t from, to;		/* slots: the state after those, and that of the end; -1 = none */
	float *logits;			/* [rows][n_vocab], in accel_step.logits */
	uint32_t rows;
	int32_t *ids;			/* [top], in accel_step.ids */
	float *values;
};

enum step_state { STEP_QUEUED, STEP_RUNNING, STEP_ENDED };

struct accel_step {
	struct accel_engine *engine;
	struct accel_step *next;	/* in the queue */
	enum step_state state;
	bool submitted;
	bool counted;			/* in engine.unwaited, until it is waited for */
	_Atomic bool cancel;
	int64_t deadline_ns;		/* 0 = none */
	int err;
	char text[ACCEL_ERROR_MAX];
	uint32_t n;
	struct step_input *in;		/* [n] */
	int32_t *tokens;
	float *logits;
	int32_t *ids;
	float *values;
};

/* Bytes of weights, each layer's counted where it is. */
struct loading {
	uint64_t before;		/* of what is loaded as a whole */
	uint64_t most, total;		/* as they were told */
	bool given_up;
};

/* A place in a queue. */
struct shared_turn {
	struct shared_turn *next;
	const struct accel_engine *engine;
};

struct accel_engine {
	struct fork_watch forks;
	bool forked;			/* it is a child's copy of its parent's */
	const struct accel_model *m;
	const struct accel_plan *plan;
	struct accel_engine_opts opts;
	struct shape shape;
	pthread_mutex_t lock;
	pthread_cond_t ended, queued, turn;
	_Atomic bool closed;		/* set with the lock */
	uint32_t n_vocab, n_tokens;

	/* with the lock */
	uint32_t refs;
	uint64_t baton_next, baton_now;	/* tickets: the next to be drawn, and whose turn it is */
	struct page *pages;		/* [shape.pages] */
	uint32_t *free_pages;		/* [n_free] */
	uint32_t n_free;
	uint32_t *slot_refs;		/* [shape.slots]: marks that are there */
	struct accel_seq *seqs;
	uint32_t n_seqs;
	struct accel_step *queue, **queue_end;
	pthread_t worker;
	bool has_worker;
	int fd;				/* eventfd, -1 = none yet; it has the value of: */
	uint32_t unwaited;		/* submitted steps that have ended and were not waited for */
	struct accel_layer *layers;	/* [n_layers]: where they are now */
	struct accel_engine_stats published;	/* as of the last step */

	/* with the baton; layers: also the lock, to change them */
	struct card *cards;		/* [n_cards] */
	uint32_t n_cards;
	struct exec_cpu *cpu;
	struct accel_step *current;	/* that is computed, asked whether it is to stop */
	uint64_t return_bytes;		/* of weights, to a card that comes back, with each step */
	int failed_card;		/* the newest error of a run is its, -1 = none's */
	struct shared_turn waits;	/* of those that share layers, shared.c */
	bool has_turn;
	struct flights flights;
	struct accel_bo *relay_bo;	/* of the first card that has layers and is there */
	struct relay relay;		/* fd -1: there is none */
	struct loading loading;
	struct accel_engine_stats stats;	/* without those of cards that are up */
	uint64_t fingerprint;		/* of the model, 0 = not made yet */
};

#define CANCELLED "the step was cancelled"

int64_t now_ns(void);

/* child.c */
void engine_watch_forks(struct accel_engine *e);
/* -EINVAL with a sentence: this process is a child of the one that made it, and must not compute with it. */
int engine_forked(const struct accel_engine *e);
/* With the lock: a step that the parent goes on with has ended here, with that error. */
void engine_abandon(struct accel_step *step);

/*
 * engine.c, without the lock: the baton goes to those who want it in their order, so that who takes it again
 * and again does not keep others from it.
 */
void engine_make_locks(struct accel_engine *e);
void baton_take(struct accel_engine *e);
void baton_pass(struct accel_engine *e);
/* Without the lock: a reference less, and with the last of them the engine is gone. */
void engine_put(struct accel_engine *e);
/* -EINVAL with a sentence: it is closed, or the parent's.  Whoever has the baton and sees 0 has the executors. */
int engine_usable(const struct accel_engine *e);

/* cards.c, with the baton. */
/* All that the plan wants are given, and know what they are to have. */
int cards_given(struct accel_engine *e);
/* Loads layers; those that cannot be are the CPU's, also if others had room for their parts, or it is an error. */
int cards_load(struct accel_engine *e);
/* The CPU has those that are on no card; more: and those of this card, -1 = none. */
int cards_own_cpu(struct accel_engine *e, int32_t more);
void card_add_stats(struct accel_engine_stats *st, const struct exec_dev *exec);
/* There is no memory that all reach: layers that several share are the CPU's; or it is an error, with a sentence. */
int cards_cannot_share(struct accel_engine *e);
/* A step has ended: experts that are used more come to the card. */
void card_settle(struct accel_engine *e, uint32_t card);
/* Layers of a card that failed with err go to the CPU. */
int card_fall_back(struct accel_engine *e, uint32_t card, int err);
/*
 * Are all cards well?  Memory of one that is gone reads as anything, without an error.  1: no, and its layers
 * are now on the CPU; or -errno.
 */
int cards_check(struct accel_engine *e);
/* Cards that failed and may be well again are tried: weights go back to them in pieces. */
void cards_bring_back(struct accel_engine *e);

/* engine.c, with the baton. */
/* A pool of a layer, that keeps such things, wherever it is. */
int engine_pool(struct accel_engine *e, uint32_t layer, enum keep keep, uint8_t **pool);
/* With the lock, too: figures for those who ask. */
void engine_publish(struct accel_engine *e);
/* Has what is computed to end?  -ECANCELED or -ETIMEDOUT with a sentence. */
int engine_stopped(struct accel_engine *e);
/* The same in silence, for executors; arg: the engine. */
bool engine_is_stopped(void *arg);

/* shared.c: layers that several cards share. */
/*
 * Waits for all parts of a run, the oldest of its flight.  An error: nobody waits for anybody any more, and
 * what is still under way is of no account; *card: whose failure it is; *late: it has not failed, but did not come.
 */
int shared_wait(struct accel_engine *e, const struct leg *leg, const struct pass *pass, double *seconds, int32_t *card,
		bool *late);
/* Around passes of an engine that shares layers; nothing for others.  What ends a step ends waiting, too: its error. */
int shared_begin(struct accel_engine *e);
void shared_end(struct accel_engine *e);
/* The next layers of a pass, to all that share them, behind a fence, NULL = none.  An error is this card's. */
int shared_submit(struct accel_engine *e, const struct flight *f, struct accel_fence *after, int32_t *card);
/* The sentence says which card it is of.  Returns err. */
int shared_failed(const struct accel_engine *e, uint32_t card, int err);
/* Whoever waits for others goes on. */
void shared_release(struct accel_engine *e);
/* Of a page of a shared layer: rows, as one that has all of it keeps them, from or to where the parts are; or the one
 * part, of this card, that this executor has. */
int shared_page(struct accel_engine *e, uint32_t layer, enum keep keep, uint32_t page, uint8_t *rows, bool save);
int part_page(struct accel_engine *e, struct exec_dev *exec, uint32_t card, uint32_t layer, enum keep keep, uint32_t page,
	      uint8_t *rows, bool save);

/* relay.c: if layers are on several cards, they hand over in memory that all of them reach; else there is none. */
void relay_make(struct accel_engine *e);
void relay_free(struct accel_engine *e);
/* NULL: there is none. */
const struct relay *relay_of(const struct accel_engine *e);

/* load.c, while the engine is made: progress.  -ECANCELED with a sentence: it was given up. */
int load_begin(struct accel_engine *e);
/* The next card is loaded. */
void load_card(struct accel_engine *e);
/* Of it, so far; arg: the engine. */
int load_progress(void *arg, uint64_t done);
/* At last: layers on the CPU. */
int load_cpu(struct accel_engine *e);

/* pages.c, with the lock. */
int pages_new(struct accel_engine *e);
void pages_free(struct accel_engine *e);
/* -ENOSPC. */
int page_take(struct accel_engine *e, uint32_t *page);
void page_drop(struct accel_engine *e, uint32_t page);
/* All that was held is lost. */
void pages_forget(struct accel_engine *e);

/* A page of which a sequence gets its own. */
struct page_move {
	uint32_t from, to;		/* the same: nothing is to be copied */
	uint32_t filled;
};

/* With the baton, without the lock.  If it cannot be copied it is not filled, and is computed again. */
void page_copy(struct accel_engine *e, const struct page_move *move);

/* marks.c, with the lock. */
int slots_new(struct accel_engine *e);
/* A slot for the state of the end of a step; -1 if no layer has any.  -ENOSPC. */
int mark_take(struct accel_seq *seq, int32_t *slot);
void mark_drop(struct accel_engine *e, int32_t slot);
/* Room for n marks.  -ENOMEM. */
int mark_room(struct accel_seq *seq, uint32_t n);
/* The slot, unless it is -1, has the state after pos positions: the newest.  There is room. */
void mark_add(struct accel_seq *seq, uint32_t pos, int32_t slot);
void marks_cut(struct accel_seq *seq, uint32_t pos);
/* All of a sequence, of the engine. */
void marks_drop(struct accel_seq *seq);
void marks_forget(struct accel_engine *e);
int marks_share(struct accel_seq *to, const struct accel_seq *from, uint32_t n);
/* The newest at *pos or before: its slot and *pos, or -1 and 0. */
int32_t mark_before(const struct accel_seq *seq, uint32_t *pos);

/* seq.c, with the lock. */
/* Positions from the first on, of n, whose keys and values are there. */
uint32_t seq_held(const struct accel_seq *seq, uint32_t n);
/* Positions up to end were computed. */
void seq_filled(struct accel_seq *seq, uint32_t end);
/* Gives up pages beyond those that n positions take. */
void seq_drop_pages(struct accel_seq *seq, uint32_t n);
/* Room for n tokens in all.  -ENOMEM. */
int seq_grow(struct accel_seq *seq, uint32_t n);
/*
 * With the baton, too: pages of its own for positions from seq->n on up to end.  *move: what then is to be
 * copied, with page_copy().  -ENOSPC; -ENOMEM.
 */
int seq_reserve(struct accel_seq *seq, uint32_t end, struct page_move *move);

/* It is in no step any more: it is gone if that was waited for.  The caller has a reference of the engine. */
void seq_leave(struct accel_seq *seq);

/* Without it: nobody else changes the sequence, and the engine stays, until it is released.  -EBUSY. */
int seq_claim(struct accel_seq *seq);
void seq_release(struct accel_seq *seq);

/* step.c, with the baton: computes it. */
int step_compute(struct accel_engine *e, struct accel_step *step);
/* Keys and values that a processor took with it are there again. */
int step_restore(struct accel_engine *e, struct accel_seq *seq);
/* Positions that an input ends with. */
static inline uint32_t step_end(const struct step_input *in)
{
	return in->seq->n + in->n;
}

#endif
