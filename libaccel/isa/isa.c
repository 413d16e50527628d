// SPDX-License-Identifier: MIT
#include "kernels.h"

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
