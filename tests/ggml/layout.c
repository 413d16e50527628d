// SPDX-License-Identifier: MIT
/*
 * Where the fields are that the backend reads and writes: of the packaged headers, or with -DOURS of
 * libaccel/ggml/abi.h.  Both must print the same.
 */
#include <stdio.h>
#include <stddef.h>

#ifdef OURS
#include "abi.h"
#define PROPS struct gg_props
#define F(ours, theirs) ours
#else
#include <ggml-backend.h>
#include <ggml.h>
#define PROPS struct ggml_backend_dev_props
#define F(ours, theirs) theirs
#endif

#define TENSOR(ours, theirs) \
	printf("tensor." #theirs " %zu\n", offsetof(struct ggml_tensor, F(ours, theirs)))
#define PROP(ours, theirs) printf("props." #theirs " %zu\n", offsetof(PROPS, F(ours, theirs)))

int main(void)
{
	TENSOR(type, type);
	TENSOR(buffer, buffer);
	TENSOR(ne, ne);
	TENSOR(nb, nb);
	TENSOR(op, op);
	TENSOR(params, op_params);
	TENSOR(flags, flags);
	TENSOR(src, src);
	TENSOR(view_src, view_src);
	TENSOR(view_offs, view_offs);
	TENSOR(data, data);
	TENSOR(name, name);
	TENSOR(extra, extra);
	printf("tensor %zu\n", sizeof(struct ggml_tensor));
	PROP(name, name);
	PROP(memory_free, memory_free);
	PROP(type, type);
	PROP(id, device_id);
	PROP(async, caps.async);
	PROP(host_buffer, caps.host_buffer);
	PROP(from_host_ptr, caps.buffer_from_host_ptr);
	PROP(events, caps.events);
	printf("props %zu\n", sizeof(PROPS));
	printf("flags %d %d\n", F(GG_OUTPUT, GGML_TENSOR_FLAG_OUTPUT), F(GG_COMPUTE, GGML_TENSOR_FLAG_COMPUTE));
	printf("types %d %d\n", F(GG_I64, GGML_TYPE_I64), F(GG_BF16, GGML_TYPE_BF16));
	printf("usage %d %d\n", F(GG_USAGE_WEIGHTS, GGML_BACKEND_BUFFER_USAGE_WEIGHTS),
	       F(GG_USAGE_COMPUTE, GGML_BACKEND_BUFFER_USAGE_COMPUTE));
	printf("device %d, levels %d %d %d\n", F(GG_DEV_GPU, GGML_BACKEND_DEVICE_TYPE_GPU),
	       F(GG_LOG_INFO, GGML_LOG_LEVEL_INFO), F(GG_LOG_WARN, GGML_LOG_LEVEL_WARN),
	       F(GG_LOG_ERROR, GGML_LOG_LEVEL_ERROR));
	printf("status %d %d %d\n", F(GG_ALLOC_FAILED, GGML_STATUS_ALLOC_FAILED), F(GG_FAILED, GGML_STATUS_FAILED),
	       F(GG_SUCCESS, GGML_STATUS_SUCCESS));
	return 0;
}
