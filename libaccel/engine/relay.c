// SPDX-License-Identifier: MIT
/*
 * Where processors hand the residual stream over to each other: host memory that all of them reach, of which each
 * pass under way has a part.  The last command of a run of layers writes there, the first of the next reads.  Behind
 * that is where those that share layers exchange what they have.
 */
#include <errno.h>
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

static bool several_have_layers(const struct accel_engine *e)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < e->n_cards; i++)
		n += has_layers(e, i);
	return n > 1;
}

static int make_on(struct accel_engine *e, struct accel_dev *dev)
{
	void *map = NULL;
	int err = accel_bo_new(dev, relay_size(e->m, &e->shape), ACCEL_BO_HOST, "relay",
			       &e->relay_bo);

	if (!err)
		err = accel_bo_export(e->relay_bo, &e->relay.fd);
	if (!err)
		err = accel_bo_map(e->relay_bo, &map);
	e->relay.map = map;
	if (err)
		relay_free(e);
	return err;
}

/* Of a processor that is gone its layers tell, when they are to be loaded: the next makes it for the others. */
void relay_make(struct accel_engine *e)
{
	int err = -ENODEV;

	if (!several_have_layers(e))
		return;
	for (uint32_t i = 0; i < e->n_cards && err == -ENODEV; i++)
		if (has_layers(e, i))
			err = make_on(e, e->cards[i].dev);
	if (!err || err == -ENODEV || e->shape.members)		/* cards.c says what that leads to */
		return;
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
