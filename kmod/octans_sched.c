// SPDX-License-Identifier: GPL-2.0-only
/*
 * What goes onto a ring next.  Clients take turns, and so do the queues of each; what is on the
 * ring is bounded by the time that it is predicted to take, so that who comes now need not wait
 * for long.
 *
 * All but octans_sched_init() and octans_sched_choose() are called with the lock held.
 */
#include <linux/dma-mapping.h>

#include "octans_batch.h"
#include "octans_device.h"
#include "octans_job.h"
#include "octans_queue.h"
#include "octans_sched.h"

#define RING_NS		2000000ULL	/* at most on a ring, if it is more than one job */
#define TURN_NS		200000ULL	/* of one client, if others wait */
#define MIN_JOB_NS	2000ULL
#define FIRST_JOB_NS	1000000ULL	/* of a queue of which nothing is known */
#define LEVEL_PERIOD	8		/* each so many jobs, a lower priority goes first */
#define IRQ_PERIOD	16		/* each so many jobs, an end is told at least */
#define TICK		msecs_to_jiffies(250)

/**
 * octans_sched_init() - allocate a ring and make its scheduler
 * @dev: device
 * @index: which
 *
 * Return: 0 or a negative errno.
 */
int octans_sched_init(struct octans_device *dev, u32 index)
{
	struct octans_sched *sched = &dev->scheds[index];
	struct octans_ring *ring = &sched->ring;
	size_t n;
	u32 l;

	sched->dev = dev;
	sched->index = index;
	snprintf(sched->name, sizeof(sched->name), "ring %u", index);
	spin_lock_init(&sched->lock);
	for (l = 0; l < OCTANS_LEVELS; l++)
		INIT_LIST_HEAD(&sched->ready[l]);
	INIT_LIST_HEAD(&sched->queues);
	INIT_DELAYED_WORK(&sched->watchdog, octans_job_watchdog);

	ring->regs = dev->regs + OCTANS_RING(index);
	ring->bell = dev->regs + OCTANS_DOORBELL(index);
	ring->log2 = min_t(u32, dev->info.ring_log2, OCTANS_RING_MOST_LOG2);
	n = BIT(ring->log2);
	ring->descs = dmam_alloc_coherent(dev->drm.dev, n * sizeof(*ring->descs),
					  &ring->descs_dma, GFP_KERNEL);
	ring->cq = dmam_alloc_coherent(dev->drm.dev, n * sizeof(*ring->cq), &ring->cq_dma,
				       GFP_KERNEL);
	ring->shadow = dmam_alloc_coherent(dev->drm.dev, sizeof(*ring->shadow), &ring->shadow_dma,
					   GFP_KERNEL);
	ring->jobs = devm_kcalloc(dev->drm.dev, n, sizeof(struct octans_job *), GFP_KERNEL);
	return ring->descs && ring->cq && ring->shadow && ring->jobs ? 0 : -ENOMEM;
}

/* Do its interrupts arrive where the caller runs?  Waking who waits there costs the least. */
static bool near(const struct octans_sched *sched)
{
	return READ_ONCE(sched->cpu) == raw_smp_processor_id();
}

static bool better(const struct octans_sched *a, const struct octans_sched *b)
{
	bool a_stopped = READ_ONCE(a->frozen), b_stopped = READ_ONCE(b->frozen);
	u32 a_count = READ_ONCE(a->count), b_count = READ_ONCE(b->count);

	if (a_stopped != b_stopped)
		return b_stopped;
	return a_count != b_count ? a_count < b_count : near(a) && !near(b);
}

/**
 * octans_sched_choose() - where a queue that has no jobs should go
 * @dev: device
 * @last: where it was, or NULL: it moves only if that is better
 *
 * A guess: the counts are read without locks.  They are of jobs; so the search begins at another
 * ring each time, or queues whose jobs end soon would all meet on the first.
 *
 * Return: a scheduler of the device.
 */
struct octans_sched *octans_sched_choose(struct octans_device *dev, struct octans_sched *last)
{
	u32 i, n = dev->info.rings, first = last ? last->index : atomic_inc_return(&dev->placed);
	struct octans_sched *best = &dev->scheds[first % n];

	if (last && !READ_ONCE(last->count) && !READ_ONCE(last->frozen) && near(last))
		return last;
	for (i = 1; i < n; i++) {
		struct octans_sched *s = &dev->scheds[(first + i) % n];

		if (better(s, best))
			best = s;
	}
	return best;
}

static struct octans_turn *turn_of(struct octans_sched *sched, struct octans_queue *queue)
{
	return &queue->client->turns[sched->index];
}

static void add_count(struct octans_sched *sched, struct octans_queue *queue, int n)
{
	queue->count += n;
	WRITE_ONCE(sched->count, sched->count + n);
	if (!queue->count)
		list_del_init(&queue->member);
	else if (list_empty(&queue->member))
		list_add_tail(&queue->member, &sched->queues);
}

/**
 * octans_sched_update() - whether a queue is ready may have changed
 * @sched: scheduler
 * @queue: queue that belongs to it
 */
void octans_sched_update(struct octans_sched *sched, struct octans_queue *queue)
{
	struct octans_lane *lane = &turn_of(sched, queue)->lanes[queue->level];
	struct octans_job *job = list_first_entry_or_null(&queue->jobs, struct octans_job, node);
	bool ready = job && !queue->withdrawn && !atomic_read(&job->batch->unmet);

	if (ready == !list_empty(&queue->ready))
		return;
	if (ready) {
		list_add_tail(&queue->ready, &lane->queues);
		if (list_empty(&lane->node))
			list_add_tail(&lane->node, &sched->ready[queue->level]);
	} else {
		list_del_init(&queue->ready);
		if (list_empty(&lane->queues))
			list_del_init(&lane->node);
	}
}

static struct octans_queue *lane_first(struct octans_lane *lane)
{
	return list_first_entry(&lane->queues, struct octans_queue, ready);
}

/* Has anybody else than this client something ready?  Each list names a client once. */
static bool others_wait(struct octans_sched *sched, const struct octans_client *client)
{
	struct octans_lane *lane;
	u32 l;

	for (l = 0; l < OCTANS_LEVELS; l++)
		list_for_each_entry(lane, &sched->ready[l], node)
			if (lane_first(lane)->client != client)
				return true;
	return false;
}

static u64 predicted(const struct octans_queue *queue)
{
	return queue->job_ns ?: FIRST_JOB_NS;
}

/* May this client put more on the ring?  Whoever has nothing there may. */
static bool has_turn(struct octans_sched *sched, struct octans_queue *queue)
{
	u64 ns = turn_of(sched, queue)->ns;

	return !ns || ns + predicted(queue) <= TURN_NS || !others_wait(sched, queue->client);
}

/* Is there room on the ring, and time, for one more job of a queue? */
static bool has_room(struct octans_sched *sched, struct octans_queue *queue)
{
	return !octans_ring_full(&sched->ring) &&
	       (!sched->ns || sched->ns + predicted(queue) <= RING_NS);
}

static bool anybody_waits(struct octans_sched *sched)
{
	u32 l;

	for (l = 0; l < OCTANS_LEVELS; l++)
		if (!list_empty(&sched->ready[l]))
			return true;
	return false;
}

/* The queue whose job goes next, or NULL: none may, now. */
static struct octans_queue *pick(struct octans_sched *sched)
{
	static const u8 orders[3][OCTANS_LEVELS] = {
		{ OCTANS_LEVEL_HIGH, OCTANS_LEVEL_NORMAL, OCTANS_LEVEL_LOW },
		{ OCTANS_LEVEL_NORMAL, OCTANS_LEVEL_LOW, OCTANS_LEVEL_HIGH },
		{ OCTANS_LEVEL_LOW, OCTANS_LEVEL_NORMAL, OCTANS_LEVEL_HIGH },
	};
	u32 n = sched->picks + 1, l;
	const u8 *order = orders[n % LEVEL_PERIOD ? 0 : n % (LEVEL_PERIOD * LEVEL_PERIOD) ? 1 : 2];
	struct octans_lane *lane;

	for (l = 0; l < OCTANS_LEVELS; l++) {
		list_for_each_entry(lane, &sched->ready[order[l]], node) {
			struct octans_queue *queue = lane_first(lane);

			if (!has_room(sched, queue))
				return NULL;
			if (has_turn(sched, queue))
				return queue;
		}
	}
	return NULL;
}

/* What a job on the ring counts for. */
static void count(struct octans_sched *sched, struct octans_job *job, u64 ns)
{
	job->ns = ns;
	sched->ns += ns;
	turn_of(sched, job->queue)->ns += ns;
}

static void uncount(struct octans_sched *sched, struct octans_job *job)
{
	sched->ns -= job->ns;
	turn_of(sched, job->queue)->ns -= job->ns;
	job->ns = 0;
}

/* Puts a job on the ring. */
static void put(struct octans_sched *sched, struct octans_queue *queue, struct octans_job *job)
{
	bool tell = job->last || !(++sched->picks % IRQ_PERIOD);
	struct octans_desc desc = {
		.cmd_va = cpu_to_le64(job->va),
		.cmd_size = cpu_to_le32(job->size),
		.asid = cpu_to_le16(octans_queue_asid(queue)),
		.flags = cpu_to_le16(tell ? OCTANS_DESC_IRQ : 0),
		.tag = cpu_to_le64(job->tag),
		.param_va = cpu_to_le64(job->param_va),
		.param_count = cpu_to_le32(job->param_count),
	};

	if (!octans_ring_count(&sched->ring))
		sched->since = ktime_get();
	octans_ring_put(&sched->ring, job, &desc);
	count(sched, job, predicted(queue));
	queue->running++;
	atomic_inc(&queue->client->running);
}

/* Puts the oldest job of a queue on the ring; queue and client go to the end of the line. */
static void emit(struct octans_sched *sched, struct octans_queue *queue)
{
	struct octans_lane *lane = &turn_of(sched, queue)->lanes[queue->level];
	struct octans_job *job = list_first_entry(&queue->jobs, struct octans_job, node);

	list_del_init(&job->node);
	put(sched, queue, job);
	list_move_tail(&queue->ready, &lane->queues);
	list_move_tail(&lane->node, &sched->ready[queue->level]);
	octans_sched_update(sched, queue);
}

/**
 * octans_sched_add() - add jobs to a queue
 * @sched: scheduler that the queue belongs to
 * @batch: jobs, of which only the first waits for fences
 *
 * If nobody's turn comes before they go on the ring at once, as far as there is room.
 */
void octans_sched_add(struct octans_sched *sched, struct octans_batch *batch)
{
	struct octans_queue *queue = batch->queue;
	u32 i = 0, n = batch->n_jobs;

	add_count(sched, queue, n);
	if (!sched->frozen && list_empty(&queue->jobs) && !queue->withdrawn &&
	    !atomic_read(&batch->unmet) && !anybody_waits(sched))
		while (i < n && has_room(sched, queue))
			put(sched, queue, &batch->jobs[i++]);
	if (i == n)
		return;
	for (; i < n; i++)
		list_add_tail(&batch->jobs[i].node, &queue->jobs);
	octans_sched_update(sched, queue);
}

/**
 * octans_sched_fill() - put on the ring what may go
 * @sched: scheduler
 */
void octans_sched_fill(struct octans_sched *sched)
{
	struct octans_queue *queue;

	if (!sched->frozen) {
		while ((queue = pick(sched)))
			emit(sched, queue);
		octans_ring_tell(&sched->ring);
	}
	if (octans_ring_count(&sched->ring) && !delayed_work_pending(&sched->watchdog))
		queue_delayed_work(sched->dev->wq, &sched->watchdog, TICK);
}

/**
 * octans_sched_first() - the oldest job on the ring, the one that runs
 * @sched: scheduler
 *
 * Return: the job or NULL: there is none, or it was withdrawn and is about to be skipped.
 */
struct octans_job *octans_sched_first(struct octans_sched *sched)
{
	return octans_sched_find(sched, sched->ring.done + 1);
}

/**
 * octans_sched_find() - the job with a seqno
 * @sched: scheduler
 * @seqno: any
 *
 * Return: the job or NULL: it is not on the ring.
 */
struct octans_job *octans_sched_find(struct octans_sched *sched, u64 seqno)
{
	if (seqno <= sched->ring.done || seqno > sched->ring.seqno)
		return NULL;
	return *octans_ring_slot(&sched->ring, seqno);
}

/* Takes a job off the ring's books. */
static void leave(struct octans_sched *sched, struct octans_job *job)
{
	struct octans_queue *queue = job->queue;

	uncount(sched, job);
	if (job->withdrawn)
		queue->withdrawn--;
	job->withdrawn = false;
	queue->running--;
	atomic_dec(&queue->client->running);
}

/* Jobs that were withdrawn have left the ring: are all of the queue back? */
static void has_left(struct octans_sched *sched, struct octans_queue *queue,
		     struct list_head *ended)
{
	if (!queue->withdrawn)
		list_splice_init(&queue->back, &queue->jobs);
	octans_sched_update(sched, queue);
	octans_sched_flush(sched, queue, -ECANCELED, ended);
}

/* Takes the oldest job off the ring, or the place of one. */
static void take(struct octans_sched *sched, struct octans_job *job, int error,
		 struct list_head *ended)
{
	bool too_late;

	sched->ring.done++;
	if (!job)
		return;
	too_late = job->withdrawn;
	leave(sched, job);
	job->error = error;
	job->over = true;
	list_add_tail(&job->node, ended);
	add_count(sched, job->queue, -1);
	if (too_late)
		has_left(sched, job->queue, ended);
	else
		octans_sched_flush(sched, job->queue, -ECANCELED, ended);
}

/**
 * octans_sched_pop() - take the oldest job off the ring; it has ended, or is ended
 * @sched: scheduler that has a job on the ring
 * @error: how it ends
 * @ended: list for octans_job_end(), after the lock was dropped
 */
void octans_sched_pop(struct octans_sched *sched, int error, struct list_head *ended)
{
	take(sched, octans_sched_first(sched), error, ended);
}

/* Marks them, from the newest on: so what follows one that is skipped is skipped, too. */
static void mark_withdrawn(struct octans_sched *sched, const struct octans_client *client,
			   const struct octans_queue *queue)
{
	struct octans_ring *ring = &sched->ring;
	u64 seqno;

	for (seqno = ring->seqno; seqno > ring->done + 1; seqno--) {
		struct octans_job *job = *octans_ring_slot(ring, seqno);

		if (!job || job->queue->client != client || (queue && job->queue != queue) ||
		    job->withdrawn)
			continue;
		octans_ring_withdraw(ring, seqno);
		job->withdrawn = true;
		job->queue->withdrawn++;
	}
}

/**
 * octans_sched_withdraw() - take back jobs of a client that have not started
 * @sched: scheduler
 * @client: client
 * @queue: only those of this queue, or NULL
 *
 * The oldest job on the ring has.  The others are at the head of their queues again, but for
 * one that may be starting just now: its record will tell whether it was skipped.
 *
 * Return: how many were taken back.
 */
u32 octans_sched_withdraw(struct octans_sched *sched, const struct octans_client *client,
			  const struct octans_queue *queue)
{
	struct octans_ring *ring = &sched->ring;
	u64 seqno, runs = ring->done + 1;
	u32 n = 0;

	mark_withdrawn(sched, client, queue);
	mb();	/* see octans_ring_recorded() */
	while (runs < ring->seqno && octans_ring_recorded(ring, runs))
		runs++;
	for (seqno = ring->seqno; seqno > runs; seqno--) {
		struct octans_job **slot = octans_ring_slot(ring, seqno), *job = *slot;

		if (!job || !job->withdrawn)
			continue;
		*slot = NULL;
		leave(sched, job);
		list_add(&job->node, &job->queue->jobs);
		octans_sched_update(sched, job->queue);
		n++;
	}
	return n;
}

/* The oldest job on the ring was skipped. */
static void come_back(struct octans_sched *sched, struct list_head *ended)
{
	struct octans_job *job = octans_sched_first(sched);

	sched->ring.done++;
	leave(sched, job);
	list_add_tail(&job->node, &job->queue->back);
	has_left(sched, job->queue, ended);
}

/**
 * octans_sched_flush() - if nothing of a queue may start any more, end what waits in it
 * @sched: scheduler that the queue belongs to
 * @queue: queue
 * @error: how its jobs end
 * @ended: list for octans_job_end()
 *
 * Fences of a queue end in order: so not while a job of it is on the ring.  When that comes off,
 * this is called again.
 */
void octans_sched_flush(struct octans_sched *sched, struct octans_queue *queue, int error,
			struct list_head *ended)
{
	struct octans_job *job;
	u32 n = 0;

	if (queue->running || list_empty(&queue->jobs))
		return;
	if (!queue->killed && !atomic_read(&queue->error) &&
	    !(sched->frozen & OCTANS_FROZEN_DOWN))
		return;
	list_for_each_entry(job, &queue->jobs, node) {
		job->error = sched->frozen & OCTANS_FROZEN_DOWN ? -ENODEV : error;
		job->over = true;
		n++;
	}
	list_splice_tail_init(&queue->jobs, ended);
	add_count(sched, queue, -n);
	octans_sched_update(sched, queue);
}

/* A moving average.  Each sample counts for a quarter, but for the first. */
static void learn(struct octans_queue *queue, u64 ns)
{
	u64 old = queue->job_ns ?: ns;

	queue->job_ns = max((3 * old + ns) / 4, MIN_JOB_NS);
}

/**
 * octans_sched_collect() - take what has ended well, or was withdrawn, off the ring
 * @sched: scheduler
 * @status: out: of a job that has failed
 * @ended: list for octans_job_end()
 *
 * Return: what else the completion ring says of the oldest job left: OCTANS_NEWS_NONE, _FAILED or
 * _NONSENSE.
 */
enum octans_news octans_sched_collect(struct octans_sched *sched, u32 *status,
				      struct list_head *ended)
{
	enum octans_news news = OCTANS_NEWS_NONE;
	struct octans_job *job;
	struct octans_end end = {};
	ktime_t now = 0;

	while (octans_ring_count(&sched->ring)) {
		job = *octans_ring_slot(&sched->ring, sched->ring.done + 1);
		news = octans_ring_news(&sched->ring, &end);
		/* it runs if, and only if, that was not to be prevented */
		if (news == OCTANS_NEWS_SKIPPED ? job && !job->withdrawn :
						  news != OCTANS_NEWS_NONE && !job)
			news = OCTANS_NEWS_NONSENSE;
		if (news != OCTANS_NEWS_ENDED && news != OCTANS_NEWS_SKIPPED)
			break;
		now = now ?: ktime_get();
		if (job && news == OCTANS_NEWS_SKIPPED) {
			come_back(sched, ended);
		} else {
			/* the device's word, as far as that can be */
			if (job)
				learn(job->queue, min_t(u64, end.ns, ktime_sub(now, sched->since)));
			take(sched, job, 0, ended);
		}
		news = OCTANS_NEWS_NONE;
	}
	if (now)
		sched->since = now;
	*status = end.status;
	return news;
}

/* Who was on the ring had its turn, and lost it by no fault of its own. */
static void go_first(struct octans_sched *sched, struct octans_queue *queue)
{
	struct octans_lane *lane = &turn_of(sched, queue)->lanes[queue->level];

	if (list_empty(&queue->ready))
		return;
	list_move(&queue->ready, &lane->queues);
	list_move(&lane->node, &sched->ready[queue->level]);
}

/**
 * octans_sched_put_back() - put jobs that have not started back into their queues
 * @sched: scheduler whose ring has been reset, or will never start
 * @ended: list for octans_job_end(): what may not start any more
 */
void octans_sched_put_back(struct octans_sched *sched, struct list_head *ended)
{
	struct octans_ring *ring = &sched->ring;
	u64 seqno;

	/* from the newest, so that they come out in the order in which they went in */
	for (seqno = ring->seqno; seqno > ring->done; seqno--) {
		struct octans_job *job = *octans_ring_slot(ring, seqno);

		if (!job)
			continue;
		leave(sched, job);
		list_add(&job->node, &job->queue->jobs);
	}
	for (seqno = ring->seqno; seqno > ring->done; seqno--) {
		struct octans_job *job = *octans_ring_slot(ring, seqno);

		if (!job)
			continue;
		has_left(sched, job->queue, ended);
		go_first(sched, job->queue);
	}
	ring->done = ring->seqno;
}

/**
 * octans_sched_crowded() - would somebody else be better off if the client that runs had nothing
 * but that on the ring?
 * @sched: scheduler that has a job on the ring
 *
 * Return: whether somebody would.
 */
bool octans_sched_crowded(struct octans_sched *sched)
{
	struct octans_client *client = octans_sched_first(sched)->queue->client;
	bool others = others_wait(sched, client);
	u64 seqno = sched->ring.done + 2;
	u32 behind = 0;

	for (; seqno <= sched->ring.seqno; seqno++) {
		struct octans_job *job = octans_sched_find(sched, seqno);

		if (!job)
			continue;
		if (job->queue->client != client)
			others = true;
		else if (!job->withdrawn)
			behind++;
	}
	return others && behind;
}

/**
 * octans_sched_overrun() - the oldest job on the ring takes longer than its queue's jobs did
 * @sched: scheduler
 *
 * What its client has behind it is taken back.  It counts for as much as a ring can take, so that
 * nothing follows it until it has ended, and then those who waited come first.
 *
 * Return: how many jobs were taken back.
 */
u32 octans_sched_overrun(struct octans_sched *sched)
{
	struct octans_job *job = octans_sched_first(sched);

	uncount(sched, job);
	count(sched, job, RING_NS);
	return octans_sched_withdraw(sched, job->queue->client, NULL);
}

/**
 * octans_sched_freeze() - let nothing start until the oldest job on the ring has been ended
 * @sched: scheduler that has one
 * @error: how it ends, unless it ends by itself before
 * @blame: its client answers for it
 *
 * The verdict is about this job, whatever happens until the reset.
 */
void octans_sched_freeze(struct octans_sched *sched, int error, bool blame)
{
	sched->frozen |= OCTANS_FROZEN_VERDICT;
	sched->guilty = sched->ring.done + 1;
	sched->error = error;
	sched->blame = blame;
	octans_reset_request(sched->dev);
}
