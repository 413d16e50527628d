// SPDX-License-Identifier: MIT
/*
 * libggml-octans.so: what ggml calls.  GGML_OCTANS_DEVICE says which processors it gets, as accelctl's --device,
 * several with spaces between; without it all of the kernel's that open.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph.h"

#define MOST_CARDS 16

static struct card *cards[MOST_CARDS];
static size_t n_cards;
static struct gg_reg registry;

/* ---- buffers ---- */

static struct region *region(const struct gg_buffer *b)
{
	return b->context;
}

static uint64_t offset_of(const struct gg_buffer *b, const struct ggml_tensor *t)
{
	return (uint64_t)((uint8_t *)t->data - region(b)->host);
}

static void buffer_free(struct gg_buffer *b)
{
	struct card *c = region(b)->card;

	card_enter(c);
	region_free(region(b));
	card_leave(c);
}

bool buffer_is_ours(const struct gg_buffer *b)
{
	return b->fn.free == buffer_free;
}

static void *buffer_base(struct gg_buffer *b)
{
	return region(b)->host;
}

static void fill(struct region *r, uint64_t at, uint8_t value, uint64_t size)
{
	card_enter(r->card);
	region_fill(r, at, value, size);
	card_leave(r->card);
}

static void write_to(struct region *r, uint64_t at, const void *data, uint64_t size)
{
	card_enter(r->card);
	region_write(r, at, data, size);
	card_leave(r->card);
}

static void buffer_memset(struct gg_buffer *b, struct ggml_tensor *t, uint8_t value, size_t offset, size_t size)
{
	fill(region(b), offset_of(b, t) + offset, value, size);
}

static void buffer_set(struct gg_buffer *b, struct ggml_tensor *t, const void *data, size_t offset, size_t size)
{
	write_to(region(b), offset_of(b, t) + offset, data, size);
}

static void buffer_get(struct gg_buffer *b, const struct ggml_tensor *t, void *data, size_t offset, size_t size)
{
	card_enter(region(b)->card);
	region_read(region(b), offset_of(b, t) + offset, data, size);
	card_leave(region(b)->card);
}

static struct gg_buffer *buffer_of(const struct ggml_tensor *t)
{
	return t->view_src ? t->view_src->buffer : t->buffer;
}

static bool is_fetched(struct gg_buffer *from, const struct ggml_tensor *t)
{
	bool ok;

	card_enter(region(from)->card);
	ok = region_fetch(region(from), offset_of(from, t), ggml_nbytes(t));
	card_leave(region(from)->card);
	return ok;
}

/* From host memory, or from another buffer of ours. */
static bool buffer_copy(struct gg_buffer *b, const struct ggml_tensor *src, struct ggml_tensor *dst)
{
	struct gg_buffer *from = buffer_of(src);

	/* what is gone ggml reads and writes itself, and so hears of it */
	if (buffer_is_ours(from) ? !is_fetched(from, src) : !ggml_backend_buffer_is_host(from))
		return false;
	write_to(region(b), offset_of(b, dst), src->data, ggml_nbytes(src));
	return true;
}

static void buffer_clear(struct gg_buffer *b, uint8_t value)
{
	fill(region(b), 0, value, b->size);
}

static struct card *card_of_buft(const struct gg_buft *t)
{
	return registry.version == 3 ? t->v3.context : t->v2.context;
}

static struct gg_buffer *buffer_new(struct gg_buft *t, size_t size, enum region_kind kind)
{
	static const struct gg_buffer_fn fn = {
		.free = buffer_free, .base = buffer_base, .memset = buffer_memset, .set = buffer_set,
		.get = buffer_get, .copy = buffer_copy, .clear = buffer_clear,
	};
	struct card *c = card_of_buft(t);
	struct region *r;

	card_enter(c);
	r = region_new(c, size, kind, "ggml");
	card_leave(c);
	if (!r) {
		ggml_log_internal(GG_LOG_ERROR, "%s: no buffer of %zu bytes: %s\n", c->name, size, accel_error());
		return NULL;
	}
	return ggml_backend_buffer_init(t, fn, r, size);
}

/* ---- buffer types ---- */

static const char *buft_name(struct gg_buft *t)
{
	return card_of_buft(t)->name;
}

static const char *host_buft_name(struct gg_buft *t)
{
	(void)t;
	return "OCTANS_Host";
}

static struct gg_buffer *buft_alloc(struct gg_buft *t, size_t size)
{
	return buffer_new(t, size, REGION_CARD);
}

static struct gg_buffer *host_buft_alloc(struct gg_buft *t, size_t size)
{
	return buffer_new(t, size, REGION_SHARED);
}

static size_t buft_alignment(struct gg_buft *t)
{
	(void)t;
	return 128;
}

static size_t buft_max_size(struct gg_buft *t)
{
	return card_of_buft(t)->info.memory_size;
}

static bool yes(struct gg_buft *t)
{
	(void)t;
	return true;
}

static void make_buft(struct gg_buft *t, struct card *c, bool host)
{
	const struct gg_buft_v2 fn = {
		.name = host ? host_buft_name : buft_name, .alloc = host ? host_buft_alloc : buft_alloc,
		.alignment = buft_alignment, .max_size = host ? NULL : buft_max_size, .is_host = host ? yes : NULL,
	};

	memset(t, 0, sizeof(*t));
	if (registry.version == 2) {
		t->v2.fn = fn;
		t->v2.device = &c->device;
		t->v2.context = c;
		return;
	}
	t->v3.fn = (struct gg_buft_v3) {
		.name = fn.name, .alloc = fn.alloc, .alignment = fn.alignment, .max_size = fn.max_size,
		.is_host = fn.is_host,
	};
	t->v3.device = &c->device;
	t->v3.context = c;
}

/* ---- backends ---- */

static const char *backend_name(struct gg_backend *b)
{
	struct card *c = b->device->context;

	return c->name;
}

static void backend_free(struct gg_backend *b)
{
	graphs_free(b->context);
	free(b);
}

static int backend_compute(struct gg_backend *b, struct ggml_cgraph *graph)
{
	return graphs_compute(b->context, graph);
}

/* ---- devices ---- */

static struct card *card_of(const struct gg_device *d)
{
	return d->context;
}

static const char *device_name(struct gg_device *d)
{
	return card_of(d)->name;
}

static const char *device_description(struct gg_device *d)
{
	return card_of(d)->description;
}

static void device_memory(struct gg_device *d, size_t *free, size_t *total)
{
	struct accel_devinfo now = { .sz = sizeof(now) };

	*total = card_of(d)->info.memory_size;
	*free = 0;
	if (!accel_dev_info(card_of(d)->dev, &now) && now.memory_used < now.memory_size)
		*free = now.memory_size - now.memory_used;
}

/* Others get no layers of llama.cpp. */
static uint32_t device_type(struct gg_device *d)
{
	(void)d;
	return GG_DEV_GPU;
}

static void device_props(struct gg_device *d, struct gg_props *p)
{
	p->name = device_name(d);
	p->description = device_description(d);
	device_memory(d, &p->memory_free, &p->memory_total);
	p->type = GG_DEV_GPU;
	p->id = *card_of(d)->info.pci ? card_of(d)->info.pci : NULL;
	p->async = p->from_host_ptr = p->events = false;
	p->host_buffer = true;
}

static struct gg_backend *device_init(struct gg_device *d, const char *params)
{
	static const char guid[16] = "octans-processor";
	struct gg_backend *b = calloc(1, sizeof(*b));

	(void)params;
	if (b)
		b->context = graphs_new(card_of(d));
	if (!b || !b->context) {
		free(b);
		return NULL;
	}
	b->guid = guid;
	b->device = d;
	b->fn = (struct gg_backend_fn) {
		.name = backend_name, .free = backend_free, .compute = backend_compute,
	};
	return b;
}

static struct gg_buft *device_buft(struct gg_device *d)
{
	return &card_of(d)->buft;
}

static struct gg_buft *device_host_buft(struct gg_device *d)
{
	return &card_of(d)->host_buft;
}

static bool device_supports_op(struct gg_device *d, const struct ggml_tensor *op)
{
	(void)d;
	return op_supported(op);
}

static bool device_supports_buft(struct gg_device *d, struct gg_buft *t)
{
	return t == &card_of(d)->buft;
}

static void make_device(struct card *c)
{
	c->device = (struct gg_device) {
		.fn = {
			.name = device_name, .description = device_description, .memory = device_memory,
			.type = device_type, .props = device_props, .init = device_init, .buft = device_buft,
			.host_buft = device_host_buft, .supports_op = device_supports_op,
			.supports_buft = device_supports_buft,
		},
		.reg = &registry,
		.context = c,
	};
	make_buft(&c->buft, c, false);
	make_buft(&c->host_buft, c, true);
}

/* ---- the registry ---- */

static const char *reg_name(struct gg_reg *r)
{
	(void)r;
	return "OCTANS";
}

static size_t reg_count(struct gg_reg *r)
{
	(void)r;
	return n_cards;
}

static struct gg_device *reg_get(struct gg_reg *r, size_t i)
{
	(void)r;
	return i < n_cards ? &cards[i]->device : NULL;
}

static void *reg_proc(struct gg_reg *r, const char *name)
{
	(void)r;
	(void)name;
	return NULL;
}

static void add_card(const char *selector, bool wanted)
{
	struct card *c = n_cards < MOST_CARDS ? card_open(selector, (int)n_cards) : NULL;

	if (c) {
		make_device(c);
		cards[n_cards++] = c;
	} else {
		ggml_log_internal(wanted ? GG_LOG_ERROR : GG_LOG_WARN, "octans: the processor \"%s\" is not used: %s\n",
				  selector, accel_error());
	}
}

static void add_chosen(const char *selectors)
{
	char *all = strdup(selectors), *rest = NULL;

	for (char *one = all ? strtok_r(all, " ", &rest) : NULL; one; one = strtok_r(NULL, " ", &rest))
		if (strcmp(one, "none"))
			add_card(one, true);
	free(all);
}

static void add_all(void)
{
	struct accel_devinfo list[MOST_CARDS] = { { .sz = sizeof(list[0]) } };
	size_t n = MOST_CARDS;

	if (accel_enumerate(list, &n))
		return;
	for (size_t i = 0; i < n && i < MOST_CARDS; i++)
		add_card(list[i].name, false);
}

static void report(void) __attribute__((destructor));
static void report(void)
{
	for (size_t i = 0; i < n_cards; i++)
		card_report(cards[i]);
}

#pragma GCC visibility push(default)
struct gg_reg *ggml_backend_init(void);
#pragma GCC visibility pop

struct gg_reg *ggml_backend_init(void)
{
	const char *chosen = secure_getenv("GGML_OCTANS_DEVICE"), *why = "";

	if (registry.version)
		return &registry;
	registry = (struct gg_reg) {
		.version = abi_version(&why), .name = reg_name, .count = reg_count, .get = reg_get, .proc = reg_proc };
	if (!registry.version) {
		fprintf(stderr, "octans: %s\n", why);
		return NULL;
	}
	if (chosen && *chosen && strcmp(chosen, "auto"))
		add_chosen(chosen);
	else
		add_all();
	return &registry;
}
