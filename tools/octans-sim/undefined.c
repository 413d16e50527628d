// SPDX-License-Identifier: MIT
/* What was used that the manual does not define. */
#include <stdio.h>

#include "undefined.h"

void sim_undefined_note(struct sim_undefined *u, enum sim_undefined_kind kind, uint64_t what,
			unsigned int size)
{
	size_t i;

	pthread_mutex_lock(&u->lock);
	for (i = 0; i < u->n; i++)
		if (u->use[i].kind == kind && u->use[i].what == what && u->use[i].size == size)
			break;
	if (i == SIM_UNDEFINED) {
		u->more++;
	} else {
		if (i == u->n)
			u->use[u->n++] = (struct sim_use) { .kind = kind, .what = what, .size = size };
		u->use[i].count++;
	}
	pthread_mutex_unlock(&u->lock);
}

void sim_undefined_list(struct sim_undefined *u, char *text, size_t len)
{
	static const char *const name[] = {
		[SIM_UNDEFINED_READ] = "read", [SIM_UNDEFINED_WRITE] = "write",
		[SIM_UNDEFINED_BITS] = "reserved-bits", [SIM_UNDEFINED_OPCODE] = "opcode",
	};
	size_t at = 0;
	int n;

	if (!len)
		return;
	pthread_mutex_lock(&u->lock);
	n = snprintf(text, len, "uses=%zu more=%llu", u->n, (unsigned long long)u->more);
	for (size_t i = 0; i < u->n && n > 0 && at + n < len; i++) {
		const struct sim_use *use = &u->use[i];

		at += n;
		n = snprintf(text + at, len - at, " %s=0x%llx/%u*%llu", name[use->kind],
			     (unsigned long long)use->what, use->size,
			     (unsigned long long)use->count);
	}
	pthread_mutex_unlock(&u->lock);
}
