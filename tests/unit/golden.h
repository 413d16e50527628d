/* SPDX-License-Identifier: MIT */
/*
 * The golden vectors of commands.rst and numerics.rst, made by tests/unit/ref_numerics.py when tests are built.
 *
 * A case is a command in a small memory (the image): run it and compare the whole image.  No
 * case needs to know what an operation is:
 *
 *	for (const struct golden *g = golden_first(); g; g = golden_next(g)) {
 *		uint8_t command[OCTANS_MAX_COMMAND];
 *
 *		if (g->op >= GOLDEN_FUNCTION)
 *			continue;
 *		memcpy(memory, golden_image(g), g->image_bytes);
 *		golden_command(g, base, command);
 *		status = run(command, golden_params(g), g->params);
 *		ok(status == g->status && golden_differs(g, memory) < 0, "%s", g->name);
 *	}
 *
 * Where status is OCTANS_STATUS_BAD_CMD (2) there are no outputs: nothing may change.  Skipped
 * commands (0 rows in effect) are cases with status 0 and no outputs.
 *
 * The file: "OCTGOLD2", u32 cases, u32 bytes that follow; then the cases, each a multiple of 8
 * bytes, little endian:
 *
 *	struct golden
 *	the command, command_bytes, padded to 16; addresses in it are offsets into the image
 *	relocations u32: offsets, in the command, of the u64 to which the base is to be added.  All
 *		tensors that are not absent, and the fields of COPY, PREFETCH, SIGNAL and WAIT, but
 *		for those of some refused cases, which are to stay as they are.
 *	params u32; the parameters of the job
 *	padding to 8; the image before, image_bytes, padded to 8
 *	outputs, in ascending order, not overlapping: u32 offset in the image, u32 bytes, the bytes
 *		expected there afterwards, padded to 4.  All other bytes of the image stay.
 *	padding to 8
 *
 * Images are at most 1 MiB; what is nobody's in them, gaps between rows too, is 0xe7.  Tensors
 * are no better aligned than they must be.  NaNs are canonical: bytes are compared as bytes.
 *
 * Function vectors (op >= GOLDEN_FUNCTION) have no command: params[0] numbers, F32, at the start of
 * the image, and as outputs
 *
 *	GOLDEN_EXP EXPM1 LOG1P TANH	one, F32: the functions of numerics.rst, rounding and all
 *	GOLDEN_F16 GOLDEN_BF16		one, 16 bits each: rounded to this type
 *	GOLDEN_QUANTIZE			three: d, F32 for each block of 32; xs, likewise; q, int8
 *
 * WAIT finds its value there.  SIGNAL is VALUE, where it is not refused.
 */
#ifndef TESTS_GOLDEN_H
#define TESTS_GOLDEN_H

#include <stdint.h>
#include <string.h>

#include <octans/isa.h>

enum {
	GOLDEN_FUNCTION = 256,
	GOLDEN_EXP = 256,
	GOLDEN_EXPM1,
	GOLDEN_LOG1P,
	GOLDEN_TANH,
	GOLDEN_QUANTIZE,
	GOLDEN_F16,
	GOLDEN_BF16,
};

struct golden {
	uint32_t size;		/* of the case as a whole */
	uint32_t op;		/* of the command, or GOLDEN_*; may be no opcode at all if refused */
	uint32_t status;	/* how a job with this command alone ends: 0 OK, 2 BAD_CMD */
	uint32_t command_bytes, relocations, params, image_bytes, outputs;
	char name[64];
};

/* make says which file; tests need none at run time. */
__asm__(".section .rodata\n"
	".balign 64\n"
	"golden_data:\n"
	".incbin \"" GOLDEN_FILE "\"\n"
	"golden_end:\n"
	".byte 0\n"
	".previous\n");
extern const uint8_t golden_data[] __attribute__((visibility("hidden")));
extern const uint8_t golden_end[] __attribute__((visibility("hidden")));

__attribute__((unused))
static const struct golden *golden_first(void)
{
	return (const struct golden *)(const void *)(golden_data + 16);
}

/* NULL after the last. */
__attribute__((unused))
static const struct golden *golden_next(const struct golden *g)
{
	const uint8_t *next = (const uint8_t *)g + g->size;

	return next < golden_end ? (const struct golden *)(const void *)next : NULL;
}

static inline const uint8_t *golden_relocations(const struct golden *g)
{
	return (const uint8_t *)(g + 1) + (g->command_bytes + 15) / 16 * 16;
}

/* The parameters of the job, g->params of them. */
__attribute__((unused))
static const uint32_t *golden_params(const struct golden *g)
{
	return (const uint32_t *)(const void *)(golden_relocations(g) + 4ul * g->relocations);
}

/* The image before, g->image_bytes. */
__attribute__((unused))
static const uint8_t *golden_image(const struct golden *g)
{
	return golden_relocations(g) + (4ul * (g->relocations + g->params) + 7) / 8 * 8;
}

/*
 * The command for an image that lies at @base, a multiple of 64 such that all of the image is
 * below 2^47.  @command: OCTANS_MAX_COMMAND bytes, zeros after the command.
 */
__attribute__((unused))
static void golden_command(const struct golden *g, uint64_t base, void *command)
{
	const uint8_t *table = golden_relocations(g);

	memset(command, 0, OCTANS_MAX_COMMAND);
	memcpy(command, g + 1, g->command_bytes);
	for (uint32_t i = 0; i < g->relocations; i++) {
		uint32_t at;
		uint64_t va;

		memcpy(&at, table + 4ul * i, sizeof(at));
		memcpy(&va, (uint8_t *)command + at, sizeof(va));
		va += base;
		memcpy((uint8_t *)command + at, &va, sizeof(va));
	}
}

/* Bytes expected as output @i < g->outputs: *bytes of them, at *offset of the image. */
__attribute__((unused))
static const void *golden_output(const struct golden *g, uint32_t i, uint32_t *offset,
				 uint32_t *bytes)
{
	const uint8_t *p = golden_image(g) + (g->image_bytes + 7ul) / 8 * 8;

	for (;; i--) {
		memcpy(offset, p, sizeof(*offset));
		memcpy(bytes, p + 4, sizeof(*bytes));
		if (!i)
			return p + 8;
		p += 8 + (*bytes + 3ul) / 4 * 4;
	}
}

/* Offset of the first byte of @image that is not as it should be afterwards; -1: none. */
__attribute__((unused))
static long golden_differs(const struct golden *g, const void *image)
{
	const uint8_t *got = image, *before = golden_image(g), *want = NULL;
	uint32_t offset = 0, bytes = 0, next = 0;

	for (uint32_t i = 0; i < g->image_bytes; i++) {
		if (i == offset + bytes || !i) {
			if (next < g->outputs)
				want = golden_output(g, next++, &offset, &bytes);
			else if (i == offset + bytes)
				offset = g->image_bytes;
		}
		if (got[i] != (i >= offset && i - offset < bytes ? want[i - offset] : before[i]))
			return i;
	}
	return -1;
}

/*
 * A tensor of the command in effect: at its first row, with as many rows as the parameters
 * say, without dyn.  The command is one that is accepted.
 */
__attribute__((unused))
static struct octans_tensor golden_tensor(const struct golden *g, const struct octans_tensor *t)
{
	const uint32_t *params = golden_params(g), rows = OCTANS_DYN_ROWS_OF(t->dyn);
	const uint32_t first = OCTANS_DYN_FIRST_OF(t->dyn), start = first ? params[first - 1] : 0;
	struct octans_tensor e = *t;

	e.va += start ? start * t->stride : 0;
	e.rows = rows ? params[rows - 1] : t->rows - start;
	e.dyn = 0;
	return e;
}

#endif
