// SPDX-License-Identifier: MIT
#include "kernels.h"

#include <errno.h>

#include <accel/accel.h>

#define ISA(name) extern const struct kernels isa_##name;
#include "list.h"
#undef ISA

static const struct kernels *const isas[] = {
#define ISA(name) &isa_##name,
#include "list.h"
#undef ISA
};

#define N_ISAS (sizeof(isas) / sizeof(isas[0]))

const struct kernels *isa_at(size_t i)
{
	for (size_t k = 0; k < N_ISAS; k++)
		if (isas[k]->supported && !i--)
			return isas[k];
	return NULL;
}

const struct kernels *isa_find(const char *name)
{
	const struct kernels *best = NULL, *k;
	bool any = !name || !strcmp(name, "auto");

	for (size_t i = 0; (k = isa_at(i)); i++)
		if ((any || !strcmp(name, k->name)) && k->supported() &&
		    (!best || k->score > best->score))
			best = k;
	return best;
}

const char *accel_isa_name(uint32_t i, bool *supported)
{
	const struct kernels *k = isa_at(i);

	if (supported)
		*supported = k && k->supported();
	return k ? k->name : NULL;
}

int isa_complete(struct kernels *k)
{
	const struct kernels *base = k->base;

	for (; base; base = base->base) {
#define TAKE(kernel) if (!k->kernel) k->kernel = base->kernel
		TAKE(quantize);
		TAKE(matmul);
		TAKE(store_product);
		TAKE(load);
		TAKE(store);
		TAKE(row);
		TAKE(map);
		TAKE(rotate);
		TAKE(attend);
		TAKE(find_above);
		TAKE(conv);
		TAKE(scan);
#undef TAKE
	}
	return k->quantize && k->matmul && k->store_product && k->load && k->store && k->row &&
	       k->map && k->rotate && k->attend && k->find_above && k->conv && k->scan ? 0 : -ENOSYS;
}
