/* SPDX-License-Identifier: MIT */
/*
 * What ggml and its backends have agreed on, as far as this backend needs it: facts of the interface, in our
 * own words.  ggml ships headers for its callers, none for backends, and what is between the two changes
 * without a number that says so; abi.c finds out which of the known ones it is, and refuses the rest.
 */
#ifndef GGML_ABI_H
#define GGML_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GG_DIMS		4
#define GG_SRCS		10

enum gg_flag {			/* of tensors */
	GG_OUTPUT = 2,
	GG_COMPUTE = 16,	/* of nodes: those without are not computed */
};

enum gg_type {			/* other numbers are those of OCTANS_TYPE_* */
	GG_F32 = 0,
	GG_F16 = 1,
	GG_Q8_0 = 8,
	GG_I32 = 26,
	GG_I64 = 27,
	GG_BF16 = 30,
};

enum gg_usage { GG_USAGE_ANY, GG_USAGE_WEIGHTS, GG_USAGE_COMPUTE };
enum gg_status { GG_ALLOC_FAILED = -2, GG_FAILED = -1, GG_SUCCESS = 0 };
enum gg_dev_type { GG_DEV_CPU, GG_DEV_GPU };
enum gg_level { GG_LOG_INFO = 2, GG_LOG_WARN, GG_LOG_ERROR };

struct gg_buffer;

/* Element (i0, i1, i2, i3) is at data + sum of i[d] * nb[d]; of types with blocks i0 counts those. */
struct ggml_tensor {
	uint32_t type;
	struct gg_buffer *buffer;
	int64_t ne[GG_DIMS];
	size_t nb[GG_DIMS];
	uint32_t op;
	int32_t params[16];
	int32_t flags;
	struct ggml_tensor *src[GG_SRCS];
	struct ggml_tensor *view_src;
	size_t view_offs;
	void *data;
	char name[64];
	void *extra;
	char padding[8];
};

struct ggml_cgraph;
struct gg_buft;
struct gg_device;
struct gg_backend;
struct gg_reg;

/* ---- buffer types ---- */

struct gg_buft_v2 {
	const char *(*name)(struct gg_buft *t);
	struct gg_buffer *(*alloc)(struct gg_buft *t, size_t size);
	size_t (*alignment)(struct gg_buft *t);
	size_t (*max_size)(struct gg_buft *t);
	size_t (*alloc_size)(struct gg_buft *t, const struct ggml_tensor *tensor);
	bool (*is_host)(struct gg_buft *t);
};

struct gg_buft_v3 {
	const char *(*name)(struct gg_buft *t);
	struct gg_buffer *(*alloc)(struct gg_buft *t, size_t size);
	void *alloc_n;
	size_t (*alignment)(struct gg_buft *t);
	size_t (*max_size)(struct gg_buft *t);
	size_t (*alloc_size)(struct gg_buft *t, const struct ggml_tensor *tensor);
	void *alloc_size_n;
	bool (*is_host)(struct gg_buft *t);
};

/* Who uses it knows which of the two it is. */
struct gg_buft {
	union {
		struct {
			struct gg_buft_v2 fn;
			struct gg_device *device;
			void *context;
		} v2;
		struct {
			struct gg_buft_v3 fn;
			struct gg_device *device;
			void *context;
		} v3;
	};
};

/* ---- buffers ---- */

struct gg_buffer_fn {
	void (*free)(struct gg_buffer *b);
	void *(*base)(struct gg_buffer *b);
	int (*init_tensor)(struct gg_buffer *b, struct ggml_tensor *t);
	void (*memset)(struct gg_buffer *b, struct ggml_tensor *t, uint8_t value, size_t offset, size_t size);
	void (*set)(struct gg_buffer *b, struct ggml_tensor *t, const void *data, size_t offset, size_t size);
	void (*get)(struct gg_buffer *b, const struct ggml_tensor *t, void *data, size_t offset, size_t size);
	void *set_2d, *get_2d;
	bool (*copy)(struct gg_buffer *b, const struct ggml_tensor *src, struct ggml_tensor *dst);
	void (*clear)(struct gg_buffer *b, uint8_t value);
	void (*reset)(struct gg_buffer *b);
};

struct gg_buffer {
	struct gg_buffer_fn fn;
	struct gg_buft *type;
	void *context;
	size_t size;
	uint32_t usage;
};

/* ---- backends: an order of work on a device ---- */

struct gg_backend_fn {
	const char *(*name)(struct gg_backend *b);
	void (*free)(struct gg_backend *b);
	void *set_async, *get_async, *set_2d_async, *get_2d_async, *copy_async;
	void (*synchronize)(struct gg_backend *b);
	void *plan_create, *plan_free, *plan_update, *plan_compute;
	int (*compute)(struct gg_backend *b, struct ggml_cgraph *graph);
	void *event_record, *event_wait;
	void *optimize;		/* its arguments have changed without a new number */
};

struct gg_backend {
	const void *guid;	/* 16 bytes */
	struct gg_backend_fn fn;
	struct gg_device *device;
	void *context;
};

/* ---- devices ---- */

struct gg_props {
	const char *name, *description;
	size_t memory_free, memory_total;
	uint32_t type;
	const char *id;		/* PCI address, or NULL */
	bool async, host_buffer, from_host_ptr, events;
};

struct gg_device_fn {
	const char *(*name)(struct gg_device *d);
	const char *(*description)(struct gg_device *d);
	void (*memory)(struct gg_device *d, size_t *free, size_t *total);
	uint32_t (*type)(struct gg_device *d);
	void (*props)(struct gg_device *d, struct gg_props *p);
	struct gg_backend *(*init)(struct gg_device *d, const char *params);
	struct gg_buft *(*buft)(struct gg_device *d);
	struct gg_buft *(*host_buft)(struct gg_device *d);
	void *from_host_ptr;
	bool (*supports_op)(struct gg_device *d, const struct ggml_tensor *op);
	bool (*supports_buft)(struct gg_device *d, struct gg_buft *t);
	bool (*offload_op)(struct gg_device *d, const struct ggml_tensor *op);
	void *event_new, *event_free, *event_synchronize;
};

struct gg_device {
	struct gg_device_fn fn;
	struct gg_reg *reg;
	void *context;
};

struct gg_reg {
	int version;		/* of the interface: 2 or 3 */
	const char *(*name)(struct gg_reg *r);
	size_t (*count)(struct gg_reg *r);
	struct gg_device *(*get)(struct gg_reg *r, size_t i);
	void *(*proc)(struct gg_reg *r, const char *name);
	void *context;
};

/* ---- what ggml itself offers; imports.h has the same names ---- */

struct ggml_init_params {
	size_t mem_size;
	void *mem_buffer;
	bool no_alloc;
};

struct ggml_context;

const char *ggml_version(void);
const char *ggml_op_desc(const struct ggml_tensor *t);	/* "ADD"; of UNARY and GLU which one */
const char *ggml_op_name(uint32_t op);			/* "ADD", "UNARY" */
int ggml_graph_n_nodes(struct ggml_cgraph *graph);
struct ggml_tensor *ggml_graph_node(struct ggml_cgraph *graph, int i);
struct gg_buffer *ggml_backend_buffer_init(struct gg_buft *type, struct gg_buffer_fn fn, void *context,
					   size_t size);
size_t ggml_nbytes(const struct ggml_tensor *t);
void ggml_log_internal(uint32_t level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct ggml_context *ggml_init(struct ggml_init_params params);
void ggml_free(struct ggml_context *ctx);
struct ggml_tensor *ggml_new_tensor_2d(struct ggml_context *ctx, uint32_t type, int64_t ne0, int64_t ne1);
struct ggml_tensor *ggml_set_name(struct ggml_tensor *t, const char *name);
struct ggml_tensor *ggml_scale(struct ggml_context *ctx, struct ggml_tensor *a, float s);
struct ggml_tensor *ggml_view_1d(struct ggml_context *ctx, struct ggml_tensor *a, int64_t ne0, size_t offset);
size_t ggml_tensor_overhead(void);
bool ggml_backend_buffer_is_host(struct gg_buffer *b);
void ggml_backend_tensor_get(const struct ggml_tensor *t, void *data, size_t offset, size_t size);

/* Version 3 has it, version 2 has not. */
extern char ggml_backend_buft_alloc_buffer_n[] __attribute__((weak));

/* The version of the interface that the ggml of this process speaks, 2 or 3.  0: none of those; *why is a
 * sentence, which stays. */
int abi_version(const char **why);

#endif
