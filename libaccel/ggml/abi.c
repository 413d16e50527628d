// SPDX-License-Identifier: MIT
/*
 * Which interface the ggml of this process has.  Its version is asked, and a tensor that it made is looked at:
 * fields that are not where abi.h has them would be read as something else.
 */
#include "abi.h"

#include <stdio.h>
#include <string.h>

/* Versions of ggml, 0.N, whose interface is known.  Both have been tried at their ends. */
#define FIRST 21
#define LAST 27

static char reason[256];

static bool version_known(const char **why)
{
	const char *version = ggml_version();
	int major = -1, minor = -1;

	if (sscanf(version, "%d.%d", &major, &minor) == 2 && major == 0 && minor >= FIRST && minor <= LAST)
		return true;
	snprintf(reason, sizeof(reason), "ggml %.40s is not one that this backend knows, 0.%d to 0.%d: it is not used; install the octans backend that belongs to it",
		 version, FIRST, LAST);
	*why = reason;
	return false;
}

/* Is everything where we look for it? */
static bool layout_known(const struct ggml_tensor *a, const struct ggml_tensor *b, const struct ggml_tensor *v)
{
	float s;

	memcpy(&s, b->params, sizeof(s));
	return a->type == GG_F16 && !a->buffer && a->ne[0] == 6 && a->ne[1] == 5 && a->ne[2] == 1 && a->ne[3] == 1 &&
	       a->nb[0] == 2 && a->nb[1] == 12 && a->nb[3] == 60 && !a->src[0] && !a->view_src && !a->data &&
	       !strcmp(a->name, "octans") && !strcmp(ggml_op_name(b->op), "SCALE") && s == 0.75f && b->src[0] == a &&
	       !strcmp(ggml_op_name(v->op), "VIEW") && v->view_src == a && v->view_offs == 4 && v->ne[0] == 3;
}

static bool layout_ok(void)
{
	struct ggml_context *ctx = ggml_init((struct ggml_init_params) {
		.mem_size = 8 * ggml_tensor_overhead(), .no_alloc = true });
	struct ggml_tensor *a;
	bool ok;

	if (!ctx)
		return false;
	a = ggml_new_tensor_2d(ctx, GG_F16, 6, 5);
	ggml_set_name(a, "octans");
	ok = layout_known(a, ggml_scale(ctx, a, 0.75f), ggml_view_1d(ctx, a, 3, 4));
	ggml_free(ctx);
	return ok;
}

int abi_version(const char **why)
{
	if (!version_known(why))
		return 0;
	if (!layout_ok()) {
		snprintf(reason, sizeof(reason), "ggml %.40s has other structures than its version says: the octans backend is not used; it was changed, or built by somebody else",
			 ggml_version());
		*why = reason;
		return 0;
	}
	return ggml_backend_buft_alloc_buffer_n ? 3 : 2;
}
