// SPDX-License-Identifier: MIT
/* All operations, and what is not one of them. */
#include "rec.h"
#include "type/type.h"

#include <stdlib.h>
#include <string.h>

/* Bytes of commands of one node: more is slower on the processor than on the CPU. */
#define MOST_COMMANDS (2u << 20)

static bool can_always(const struct ggml_tensor *t)
{
	(void)t;
	return true;
}

const struct ggml_op ggml_op_NONE = { "NONE", can_always, NULL };
const struct ggml_op ggml_op_RESHAPE = { "RESHAPE", can_always, NULL };
const struct ggml_op ggml_op_VIEW = { "VIEW", can_always, NULL };
const struct ggml_op ggml_op_PERMUTE = { "PERMUTE", can_always, NULL };
const struct ggml_op ggml_op_TRANSPOSE = { "TRANSPOSE", can_always, NULL };

#define X(name) extern const struct ggml_op ggml_op_##name;
OP_LIST(X)
#undef X

static const struct ggml_op *const all[] = {
#define X(name) &ggml_op_##name,
	OP_LIST(X)
#undef X
};

const struct ggml_op *op_of_tensor(const struct ggml_tensor *t)
{
	/* Numbers of operations change from version to version, names do not. */
	const char *name = ggml_op_desc(t);

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (!strcmp(all[i]->name, name))
			return all[i];
	return NULL;
}

static bool is_empty(const struct ggml_tensor *t)
{
	return !t->ne[0] || !t->ne[1] || !t->ne[2] || !t->ne[3];
}

/* A view may begin, and have rows, in the middle of elements: no command has. */
static bool is_aligned(const struct ggml_tensor *t)
{
	uint32_t elements, bytes;

	if (!type_block(t->type, &elements, &bytes) || elements != 1)
		return true;
	for (int i = 0; i < GG_DIMS; i++)
		if (t->ne[i] > 1 && t->nb[i] % bytes)
			return false;
	return t->view_offs % bytes == 0;
}

bool op_supported(const struct ggml_tensor *t)
{
	const struct ggml_op *op = op_of_tensor(t);
	struct rec r = { .r.group = -1 };

	if (!op)
		return false;
	/* Of nothing there is nothing to compute; states that none is left of are such. */
	if (!op->record || is_empty(t))
		return true;
	for (int i = 0; i < GG_SRCS; i++)
		if (t->src[i] && (is_empty(t->src[i]) || !is_aligned(t->src[i])))
			return false;
	if (!is_aligned(t) || !op->can(t))
		return false;
	op->record(&r, t);
	free(r.fixes);
	return r.r.size <= MOST_COMMANDS;
}
