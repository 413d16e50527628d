// SPDX-License-Identifier: MIT
#include "handles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

void handles_init(struct handles *h)
{
	*h = (struct handles) { .n = 0 };
	pthread_mutex_init(&h->lock, NULL);
}

void handles_destroy(struct handles *h)
{
	pthread_mutex_destroy(&h->lock);
	free(h->users);
}

int handles_get(struct handles *h, uint32_t handle)
{
	if (handle >= h->n) {
		uint32_t n = h->n ? h->n : 64;
		uint32_t *users;

		while (n <= handle && n < UINT32_MAX / 2)
			n *= 2;
		users = n > handle ? realloc(h->users, n * sizeof(*users)) : NULL;
		if (!users)
			return fail(-ENOMEM, "no memory for buffer handle %u", handle);
		memset(users + h->n, 0, (n - h->n) * sizeof(*users));
		h->users = users;
		h->n = n;
	}
	h->users[handle]++;
	return 0;
}

bool handles_put(struct handles *h, uint32_t handle)
{
	return handle >= h->n || !h->users[handle] || !--h->users[handle];
}
