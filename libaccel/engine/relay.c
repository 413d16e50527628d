// SPDX-License-Identifier: MIT
/*
 * Where processors hand the residual stream over to each other: host memory that all of them reach, of which each
 * pass under way has a part.  The last command of a run of layers writes there, the first of the next reads.  Behind
 * that is where those that share layers exchange what they have.
 */
#include <unistd.h>

#include <accel/device.h>

#include "engine.h"
#include "log.h"

static bool has_layers(const struct accel_engine *e, uint32_t card)
{
	for (uint32_t i = 0; i < e->m->n_layers; i++)
		if (layer_on(&e->layers[i], card))
			return e->cards[card].dev;
	return false;
}

/* The first of the cards that have layers, if several do; NULL: they do not. */
static struct accel_dev *first_of_several(const struct accel_engine *e)
{
	struct accel_dev *first = NULL;

	for (uint32_t i = 0; i < e->n_cards; i++) {
		if (!has_layers(e, i))
			continue;
		if (first)
			return first;
		first = e->cards[i].dev;
	}
	return NULL;
}

void relay_make(struct accel_engine *e)
{
	struct accel_dev *dev = first_of_several(e);
	void *map = NULL;
	int err;

	if (!dev)
		return;
	err = accel_bo_new(dev, relay_size(e->m, &e->shape), ACCEL_BO_HOST, "relay",
			   &e->relay_bo);
	if (!err)
		err = accel_bo_export(e->relay_bo, &e->relay.fd);
	if (!err)
		err = accel_bo_map(e->relay_bo, &map);
	e->relay.map = map;
	if (!err)
		return;
	relay_free(e);
	if (e->shape.members)
		return;		/* cards.c says what that leads to */
	log_say(ACCEL_LOG_WARNING, "this process copies what one processor hands over to the next: %s",
		accel_error());
}

void relay_free(struct accel_engine *e)
{
	accel_bo_free(e->relay_bo);
	e->relay_bo = NULL;
	if (e->relay.fd >= 0)
		close(e->relay.fd);
	e->relay.fd = -1;
}

const struct relay *relay_of(const struct accel_engine *e)
{
	return e->relay.fd >= 0 ? &e->relay : NULL;
}
