// SPDX-License-Identifier: GPL-2.0-only
/* Clients: what fairness counts by, and how often one may fail. */
#include <linux/delay.h>
#include <linux/slab.h>

#include "octans_client.h"

/*
 * Each failure stops a ring for everybody.  A program that fails now and then does not notice
 * these; one that makes a new queue for each failure is stopped.
 */
#define MAX_SCORE	32
#define FORGIVEN_MS	5000	/* each takes so long */

#define IDLE_TRIES	25	/* of 200 us */

/**
 * octans_client_new() - make a client
 * @rings: of the device
 *
 * Return: the client with a reference, or NULL.
 */
struct octans_client *octans_client_new(u32 rings)
{
	struct octans_client *client;
	u32 r, l;

	client = kzalloc_flex(*client, turns, rings, GFP_KERNEL_ACCOUNT);
	if (!client)
		return NULL;
	kref_init(&client->ref);
	spin_lock_init(&client->lock);
	client->since = ktime_get();
	for (r = 0; r < rings; r++) {
		for (l = 0; l < OCTANS_LEVELS; l++) {
			INIT_LIST_HEAD(&client->turns[r].lanes[l].node);
			INIT_LIST_HEAD(&client->turns[r].lanes[l].queues);
		}
	}
	return client;
}

static void client_free(struct kref *ref)
{
	kfree(container_of(ref, struct octans_client, ref));
}

/**
 * octans_client_put() - drop a reference
 * @client: client
 */
void octans_client_put(struct octans_client *client)
{
	kref_put(&client->ref, client_free);
}

/* Lock held. */
static void forgive(struct octans_client *client)
{
	ktime_t now = ktime_get();
	u64 n = div_u64(ktime_ms_delta(now, client->since), FORGIVEN_MS);

	if (n < client->score) {
		client->score -= n;
		client->since = ktime_add_ms(client->since, n * FORGIVEN_MS);
	} else {
		client->score = 0;
		client->since = now;
	}
}

/**
 * octans_client_punish() - a queue of it was banned
 * @client: client
 */
void octans_client_punish(struct octans_client *client)
{
	unsigned long flags;

	spin_lock_irqsave(&client->lock, flags);
	forgive(client);
	client->score++;
	spin_unlock_irqrestore(&client->lock, flags);
}

/**
 * octans_client_banned() - has it failed too often?
 * @client: client
 *
 * Return: whether it has.
 */
bool octans_client_banned(struct octans_client *client)
{
	unsigned long flags;
	bool banned;

	if (READ_ONCE(client->score) <= MAX_SCORE)
		return false;
	spin_lock_irqsave(&client->lock, flags);
	forgive(client);
	banned = client->score > MAX_SCORE;
	spin_unlock_irqrestore(&client->lock, flags);
	return banned;
}

/**
 * octans_client_wait_idle() - give jobs that are about to end the time to do so
 * @client: whose queues are killed
 *
 * A few milliseconds at most.  If their memory went at once they would fault, and a fault stops
 * the ring for everybody.
 */
void octans_client_wait_idle(struct octans_client *client)
{
	u32 i;

	for (i = 0; i < IDLE_TRIES && atomic_read(&client->running); i++)
		usleep_range(200, 400);
}
