// SPDX-License-Identifier: MIT
/* The control channel: faults on request.  Never reachable through a register. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

#define MAX_WORDS	8

struct line {
	struct sim_device *dev;
	int n;
	char *word[MAX_WORDS];
	char *reply;
	size_t len;
};

static int ok(struct line *l, const char *fmt, ...)
{
	int n = snprintf(l->reply, l->len, "ok ");
	va_list ap;

	if (n < 0 || (size_t)n >= l->len)
		return 0;
	va_start(ap, fmt);
	vsnprintf(l->reply + n, l->len - n, fmt, ap);
	va_end(ap);
	return 0;
}

static int error(struct line *l, const char *fmt, ...)
{
	int n = snprintf(l->reply, l->len, "error: ");
	va_list ap;

	if (n >= 0 && (size_t)n < l->len) {
		va_start(ap, fmt);
		vsnprintf(l->reply + n, l->len - n, fmt, ap);
		va_end(ap);
	}
	return -EINVAL;
}

static bool number(const char *text, uint64_t max, uint64_t *value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, 0);
	return !errno && !*end && *value <= max;
}

/* The ring named by word @at, with or without "ring" before it; at moves past it. */
static struct sim_ring *ring_word(struct line *l, int *at)
{
	uint64_t r;

	if (*at < l->n && !strcmp(l->word[*at], "ring"))
		(*at)++;
	if (*at >= l->n) {
		error(l, "\"%s\" needs the number of a ring, 0 to %u", l->word[0],
		      l->dev->rings - 1);
		return NULL;
	}
	if (!number(l->word[*at], l->dev->rings - 1, &r)) {
		error(l, "\"%s\" is not a ring; the rings are 0 to %u", l->word[*at],
		      l->dev->rings - 1);
		return NULL;
	}
	(*at)++;
	return &l->dev->ring[r];
}

/* The number in word @at, or @missing if the line ends there.  -EINVAL: error said. */
static int count_word(struct line *l, int at, uint64_t missing, uint64_t max, uint64_t *value)
{
	*value = missing;
	if (at >= l->n)
		return 0;
	if (!number(l->word[at], max, value))
		return error(l, "\"%s\" is not a number from 0 to %llu", l->word[at],
			     (unsigned long long)max);
	if (at + 1 < l->n)
		return error(l, "\"%s\" has the word \"%s\" too many", l->word[0],
			     l->word[at + 1]);
	return 0;
}

/* "[ring] N", or that and "off". */
static struct sim_ring *ring_switch(struct line *l, bool *on)
{
	struct sim_ring *ring;
	int at = 1;

	ring = ring_word(l, &at);
	*on = at == l->n;
	if (ring && !*on && strcmp(l->word[at], "off")) {
		error(l, "\"%s\" is not understood; say \"%s ring N\" or \"%s ring N off\"",
		      l->word[at], l->word[0], l->word[0]);
		return NULL;
	}
	return ring;
}

/* "tag VALUE", 0 ends it. */
static int hang_tag(struct line *l)
{
	uint64_t tag;

	if (l->n != 3 || !number(l->word[2], UINT64_MAX, &tag))
		return error(l, "say \"hang tag VALUE\", VALUE being a 64-bit number; 0 ends it");
	atomic_store(&l->dev->core.hang_tag, tag);
	return tag ? ok(l, "jobs with tag 0x%llx hang until reset", (unsigned long long)tag)
		   : ok(l, "no job hangs for its tag");
}

static int do_hang(struct line *l)
{
	struct sim_ring *ring;
	bool on;

	if (l->n > 1 && !strcmp(l->word[1], "tag"))
		return hang_tag(l);
	ring = ring_switch(l, &on);
	if (!ring)
		return -EINVAL;
	atomic_store(&ring->mem.hang, on);
	return on ? ok(l, "the current or next job on ring %u hangs until reset", ring->index)
		  : ok(l, "ring %u does not hang", ring->index);
}

static int do_hold(struct line *l)
{
	bool on;
	struct sim_ring *ring = ring_switch(l, &on);

	if (!ring)
		return -EINVAL;
	atomic_store(&ring->hold, on);
	return on ? ok(l, "while a job runs on ring %u no invalidation completes", ring->index)
		  : ok(l, "ring %u holds no invalidation", ring->index);
}

static int do_drop_invalidate(struct line *l)
{
	uint64_t n;

	if (count_word(l, 1, 1, UINT32_MAX, &n))
		return -EINVAL;
	atomic_store(&l->dev->drop_invalidate, n);
	return ok(l, "the next %llu invalidations are lost", (unsigned long long)n);
}

static int do_slow(struct line *l)
{
	struct sim_ring *ring;
	uint64_t us;
	int at = 1;

	ring = ring_word(l, &at);
	if (!ring)
		return -EINVAL;
	if (at == l->n)
		return error(l, "\"slow\" needs microseconds after the ring; 0 ends it");
	if (count_word(l, at, 0, 60000000, &us))
		return -EINVAL;
	atomic_store(&ring->slow_us, us);
	return ok(l, "each command on ring %u takes %llu us longer", ring->index,
		  (unsigned long long)us);
}

/* The vector in word 1, and the count after it. */
static int vector_words(struct line *l, uint64_t max, uint64_t *vector, uint64_t *n)
{
	if (l->n < 2 || !number(l->word[1], l->dev->rings, vector))
		return error(l, "\"%s\" is not a vector; they are 0 (events) to %u (last ring)",
			     l->n < 2 ? "" : l->word[1], l->dev->rings);
	return count_word(l, 2, 1, max, n);
}

static int do_drop_irq(struct line *l)
{
	uint64_t vector = 0, n;

	if (vector_words(l, UINT32_MAX, &vector, &n))
		return -EINVAL;
	atomic_store(&l->dev->core.irq.drop[vector], n);
	return ok(l, "the next %llu interrupts of vector %llu are lost", (unsigned long long)n,
		  (unsigned long long)vector);
}

static int do_storm(struct line *l)
{
	uint64_t vector = 0, n, sent = 0;

	if (vector_words(l, 1000000, &vector, &n))
		return -EINVAL;
	for (uint64_t i = 0; i < n; i++)
		sent += sim_irq_raise(&l->dev->core.irq, vector);
	return ok(l, "%llu messages of vector %llu were sent", (unsigned long long)sent,
		  (unsigned long long)vector);
}

static int do_fault(struct line *l)
{
	bool on;
	struct sim_ring *ring = ring_switch(l, &on);

	if (!ring)
		return -EINVAL;
	atomic_store(&ring->mem.fault, on);
	return on ? ok(l, "the next access of ring %u faults", ring->index)
		  : ok(l, "no access of ring %u faults", ring->index);
}

static int do_corrupt_wb(struct line *l)
{
	struct sim_ring *ring;
	uint64_t value;
	int at = 1;

	ring = ring_word(l, &at);
	if (!ring)
		return -EINVAL;
	if (at + 1 != l->n - 1 || strcmp(l->word[at], "xor") ||
	    !number(l->word[at + 1], UINT64_MAX, &value))
		return error(l, "say \"corrupt-wb %u xor VALUE\", VALUE being a 64-bit number",
			     ring->index);
	atomic_store(&ring->corrupt, value);
	return ok(l, "the next writeback of ring %u is corrupted by 0x%llx", ring->index,
		  (unsigned long long)value);
}

/* Where in a record a field is.  The first of each table is meant if none is named. */
struct field {
	const char *name;
	unsigned int word, shift, bits;
};

static const struct field completion_fields[] = {
	{ "seqno", 0, 0, 64 }, { "status", 1, 0, 32 }, { "commands", 1, 32, 32 },
	{ "tag", 2, 0, 64 }, { "start_ns", 3, 0, 64 }, { "end_ns", 4, 0, 64 },
	{ "cycles", 5, 0, 64 }, { "reserved", 6, 0, 64 }, { "index", 7, 0, 64 }, { 0 },
};

static const struct field event_fields[] = {
	{ "index", 7, 0, 64 }, { "type", 0, 0, 32 }, { "ring", 0, 32, 16 }, { "asid", 0, 48, 16 },
	{ "seqno", 1, 0, 64 },
	{ "va", 2, 0, 64 }, { "code", 3, 0, 32 }, { "write", 3, 32, 32 },
	{ "cmd_offset", 4, 0, 64 }, { "tag", 5, 0, 64 }, { "time_ns", 6, 0, 64 },
	{ 0 },
};

/* In place of what was injected there before. */
static void corrupt_field(struct sim_corrupt *c, const struct field *f, uint64_t value)
{
	uint64_t mask = UINT64_MAX >> (64 - f->bits) << f->shift;
	uint64_t old = atomic_load(&c->xor[f->word]);

	while (!atomic_compare_exchange_weak(&c->xor[f->word], &old,
					     (old & ~mask) | value << f->shift))
		;
}

/* "[FIELD] xor VALUE" from word @at on, to be applied to the next of @records; 0 or "off" ends it. */
static int corrupt(struct line *l, int at, const struct field *fields, struct sim_corrupt *c,
		   const char *records)
{
	const struct field *f = fields;
	uint64_t value;

	if (at + 1 == l->n && !strcmp(l->word[at], "off")) {
		for (int i = 0; i < SIM_RECORD_WORDS; i++)
			atomic_store(&c->xor[i], 0);
		return ok(l, "the next %s is as it should be", records);
	}
	if (at < l->n && strcmp(l->word[at], "xor")) {
		while (f->name && strcmp(f->name, l->word[at]))
			f++;
		if (!f->name)
			return error(l, "\"%s\" is not a field of these records", l->word[at]);
		at++;
	}
	if (at + 2 != l->n || strcmp(l->word[at], "xor") ||
	    !number(l->word[at + 1], UINT64_MAX >> (64 - f->bits), &value))
		return error(l, "say \"%s xor VALUE\" at last, VALUE being a number of %u bits",
			     f->name, f->bits);
	corrupt_field(c, f, value);
	return ok(l, "%s of the next %s is corrupted by 0x%llx", f->name, records,
		  (unsigned long long)value);
}

static int do_corrupt_cq(struct line *l)
{
	struct sim_ring *ring;
	int at = 1;

	ring = ring_word(l, &at);
	return ring ? corrupt(l, at, completion_fields, &ring->corrupt_cq, "record") : -EINVAL;
}

static int do_corrupt_event(struct line *l)
{
	return corrupt(l, 1, event_fields, &l->dev->core.events.corrupt, "event");
}

static int do_lie(struct line *l)
{
	bool end = l->n > 1 && !strcmp(l->word[l->n - 1], "off");
	uint64_t value;
	int ret;

	if (l->n == 2 && end) {
		sim_reg_tell_truth(l->dev, NULL);
		return ok(l, "no register lies");
	}
	if (l->n != 3 || (!end && !number(l->word[2], UINT64_MAX, &value)))
		return error(l, "say \"lie REGISTER VALUE\", \"lie REGISTER off\" or \"lie off\"");
	ret = end ? sim_reg_tell_truth(l->dev, l->word[1])
		  : sim_reg_lie(l->dev, l->word[1], value);
	if (ret == -ENOENT)
		return error(l, "\"%s\" is not a register; say CAPS, or RING0_HEAD, as registers.rst names them",
			     l->word[1]);
	if (ret)
		return error(l, "%d registers lie already; \"lie off\" ends that", SIM_LIES);
	return end ? ok(l, "%s tells the truth", l->word[1])
		   : ok(l, "%s reads 0x%llx", l->word[1], (unsigned long long)value);
}

static int do_late(struct line *l)
{
	struct sim_ring *ring;
	uint64_t us;
	int at = 1;

	ring = ring_word(l, &at);
	if (!ring)
		return -EINVAL;
	if (at == l->n)
		return error(l, "\"late\" needs microseconds after the ring; 0 ends it");
	if (count_word(l, at, 0, 60000000, &us))
		return -EINVAL;
	atomic_store(&ring->late_us, us);
	return ok(l, "writebacks of ring %u come %llu us after HEAD", ring->index,
		  (unsigned long long)us);
}

static int do_drop_doorbell(struct line *l)
{
	struct sim_ring *ring;
	uint64_t n;
	int at = 1;

	ring = ring_word(l, &at);
	if (!ring || count_word(l, at, 1, UINT32_MAX, &n))
		return -EINVAL;
	atomic_store(&ring->drop_bell, n);
	return ok(l, "the next %llu doorbells of ring %u are lost", (unsigned long long)n,
		  ring->index);
}

static int do_slow_reset(struct line *l)
{
	bool device = l->n > 1 && !strcmp(l->word[1], "device");
	struct sim_ring *ring = NULL;
	uint64_t ms;
	int at = device ? 2 : 1;

	if (!device) {
		ring = ring_word(l, &at);
		if (!ring)
			return -EINVAL;
	}
	if (at == l->n)
		return error(l, "\"slow-reset\" needs milliseconds; 0 ends it");
	if (count_word(l, at, 0, 60000, &ms))
		return -EINVAL;
	atomic_store(ring ? &ring->slow_reset : &l->dev->slow_reset, ms);
	return ok(l, "such a reset takes %llu ms", (unsigned long long)ms);
}

static int do_away(struct line *l)
{
	uint64_t ms;

	if (l->n < 2)
		return error(l, "\"away\" needs milliseconds; 0 ends it");
	if (count_word(l, 1, 0, 60000, &ms))
		return -EINVAL;
	atomic_store(&l->dev->away, ms);
	return ok(l, "after a function-level reset registers read all-ones for %llu ms",
		  (unsigned long long)ms);
}

static int do_lose_power(struct line *l)
{
	uint64_t n;

	if (count_word(l, 1, 1, UINT32_MAX, &n))
		return -EINVAL;
	atomic_store(&l->dev->lose_power, n);
	return ok(l, "the next %llu resets of the machine are power cycles", (unsigned long long)n);
}

static int do_fail_reset(struct line *l)
{
	struct sim_ring *ring;
	uint64_t n;
	int at = 1;

	if (l->n < 2 || !strcmp(l->word[1], "device")) {
		if (count_word(l, 2, 1, UINT32_MAX, &n))
			return -EINVAL;
		atomic_store(&l->dev->fail_reset, n);
		return ok(l, "the next %llu device resets fail", (unsigned long long)n);
	}
	ring = ring_word(l, &at);
	if (!ring || count_word(l, at, 1, UINT32_MAX, &n))
		return -EINVAL;
	atomic_store(&ring->fail_reset, n);
	return ok(l, "the next %llu resets of ring %u never complete", (unsigned long long)n,
		  ring->index);
}

static int do_flip(struct line *l)
{
	uint64_t offset, bit;

	if (l->n != 4 || strcmp(l->word[1], "local") ||
	    !number(l->word[2], l->dev->profile.local_size - 1, &offset) ||
	    !number(l->word[3], 7, &bit))
		return error(l, "say \"flip local OFFSET BIT\": a byte below 0x%llx and a bit from 0 to 7",
			     (unsigned long long)l->dev->profile.local_size);
	atomic_fetch_xor((_Atomic uint8_t *)(l->dev->local + offset), 1 << bit);
	return ok(l, "bit %u of on-card byte 0x%llx is flipped", (unsigned int)bit,
		  (unsigned long long)offset);
}

static int do_device_error(struct line *l)
{
	struct octans_event e = { .type = OCTANS_EVT_DEVICE_ERROR };
	struct sim_core *core = &l->dev->core;
	struct sim_window window = { 0 };
	uint64_t code;
	uint32_t vector;
	bool sent;

	if (count_word(l, 1, 0, UINT32_MAX, &code))
		return -EINVAL;
	e.code = code;
	e.time_ns = sim_time_ns(core);
	sim_window_open(&core->dma, &window);
	sent = sim_event(&core->events, &e, &vector);
	sim_window_close(&core->dma, &window);
	if (!sent)
		return error(l, "the event queue is off or full, so the event was not sent");
	sim_irq_raise(&core->irq, vector);
	return ok(l, "event DEVICE_ERROR with code %u sent", (unsigned int)code);
}

static int do_remove(struct line *l)
{
	sim_remove(l->dev);
	return ok(l, "the processor is gone");
}

static int do_restore(struct line *l)
{
	sim_restore(l->dev);
	return ok(l, "the processor is back, as after power-on");
}

#define U(x)	((unsigned long long)(x))

static int do_stat(struct line *l)
{
	struct sim_device *dev = l->dev;
	struct sim_core *core = &dev->core;
	struct sim_stats *s = &core->stats;
	struct octans_counters c;

	sim_clock_counters(&core->clock, &c);
	return ok(l, "profile=%s present=%d jobs=%llu skipped=%llu failed=%llu aborted=%llu "
		  "faults=%llu irqs=%llu irqs_dropped=%llu ring_resets=%u device_resets=%u "
		  "cycles=%llu busy_matrix=%llu busy_vector=%llu busy_dma=%llu busy_mmu=%llu "
		  "busy_local=%llu busy_pcie=%llu local_read=%llu local_written=%llu "
		  "pcie_read=%llu pcie_written=%llu macs_int8=%llu macs_f16=%llu macs_f32=%llu "
		  "commands=%llu tlb_misses=%llu",
		  dev->profile.name, !atomic_load(&dev->removed), U(atomic_load(&s->jobs)),
		  U(atomic_load(&s->skipped)), U(atomic_load(&s->failed)),
		  U(atomic_load(&s->aborted)), U(atomic_load(&s->faults)),
		  U(atomic_load(&core->irq.sent)),
		  U(atomic_load(&core->irq.dropped)), atomic_load(&dev->ring_resets),
		  atomic_load(&dev->device_resets), U(c.cycles), U(c.busy_matrix),
		  U(c.busy_vector), U(c.busy_dma), U(c.busy_mmu), U(c.busy_local), U(c.busy_pcie),
		  U(c.local_read), U(c.local_written), U(c.pcie_read), U(c.pcie_written),
		  U(c.macs_int8), U(c.macs_f16), U(c.macs_f32), U(c.commands), U(c.tlb_misses));
}

/* What was used that the manual does not define. */
static int do_undefined(struct line *l)
{
	int n = snprintf(l->reply, l->len, "ok ");

	if (n > 0 && (size_t)n < l->len)
		sim_undefined_list(&l->dev->core.undefined, l->reply + n, l->len - n);
	return 0;
}

static int do_help(struct line *l)
{
	return ok(l, "hang ring N [off] | hang tag VALUE | hold ring N [off] | slow N MICROSECONDS | "
		  "late N MICROSECONDS | drop-irq VECTOR [COUNT] | drop-invalidate [COUNT] | "
		  "drop-doorbell N [COUNT] | fault N [off] | corrupt-wb N xor VALUE | "
		  "corrupt-cq N [FIELD] xor VALUE|off | corrupt-event [FIELD] xor VALUE|off | "
		  "lie REGISTER VALUE|off | storm VECTOR [COUNT] | fail-reset [ring N|device] [COUNT] | "
		  "slow-reset [ring N|device] MILLISECONDS | away MILLISECONDS | "
		  "lose-power [COUNT] | flip local OFFSET BIT | device-error [CODE] | remove | restore | stat | undefined | "
		  "help");
}

static const struct {
	const char *name;
	int (*run)(struct line *l);
	bool alone;		/* takes no words */
} commands[] = {
	{ "hang", do_hang, false },
	{ "hold", do_hold, false },
	{ "slow", do_slow, false },
	{ "drop-irq", do_drop_irq, false },
	{ "drop-invalidate", do_drop_invalidate, false },
	{ "fault", do_fault, false },
	{ "corrupt-wb", do_corrupt_wb, false },
	{ "corrupt-cq", do_corrupt_cq, false },
	{ "corrupt-event", do_corrupt_event, false },
	{ "lie", do_lie, false },
	{ "storm", do_storm, false },
	{ "late", do_late, false },
	{ "drop-doorbell", do_drop_doorbell, false },
	{ "slow-reset", do_slow_reset, false },
	{ "away", do_away, false },
	{ "fail-reset", do_fail_reset, false },
	{ "lose-power", do_lose_power, false },
	{ "flip", do_flip, false },
	{ "device-error", do_device_error, false },
	{ "remove", do_remove, true },
	{ "restore", do_restore, true },
	{ "stat", do_stat, true },
	{ "undefined", do_undefined, true },
	{ "help", do_help, true },
};

int sim_control(struct sim_device *dev, const char *text, char *reply, size_t len)
{
	struct line l = { .dev = dev, .reply = reply, .len = len };
	char copy[256], *save = NULL;

	if (strlen(text) >= sizeof(copy))
		return error(&l, "the line is longer than %zu characters", sizeof(copy) - 1);
	strcpy(copy, text);
	for (char *w = strtok_r(copy, " \t\r\n", &save); w; w = strtok_r(NULL, " \t\r\n", &save)) {
		if (l.n == MAX_WORDS)
			return error(&l, "the line has more than %d words", MAX_WORDS);
		l.word[l.n++] = w;
	}
	if (!l.n)
		return error(&l, "the line is empty; \"help\" lists the commands");
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (strcmp(commands[i].name, l.word[0]))
			continue;
		if (commands[i].alone && l.n > 1)
			return error(&l, "\"%s\" has the word \"%s\" too many", l.word[0],
				     l.word[1]);
		return commands[i].run(&l);
	}
	return error(&l, "\"%s\" is not a command; \"help\" lists them", l.word[0]);
}
