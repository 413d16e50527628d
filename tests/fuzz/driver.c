// SPDX-License-Identifier: MIT
/*
 * Runs a fuzz target on inputs that it changes step by step, the same ones each time.
 *
 *   TARGET [--runs N] [--seed N] [--seconds N] [--save DIR]     changed inputs
 *   TARGET FILE...                                             these inputs as they are
 *
 * An input that crashes or takes more than 20 s is saved as crash-SEED-RUN.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define MAX_INPUT (1u << 18)
#define MAX_SEEDS 64

static struct {
	uint8_t *data;
	size_t size;
} seeds[MAX_SEEDS];
static unsigned int n_seeds;

static uint64_t state;
static uint8_t *input;		/* the one that runs now */
static size_t input_size;
static unsigned long run_number, seed_number = 1;
static const char *save_dir = ".";

static uint32_t random32(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state >> 32;
}

static size_t below(size_t n)
{
	return n ? random32() % n : 0;
}

/* ---- what happens when it goes wrong ---- */

static void save(void)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/crash-%lu-%lu", save_dir, seed_number, run_number);
	f = fopen(path, "wb");
	if (f) {
		fwrite(input, 1, input_size, f);
		fclose(f);
		fprintf(stderr, "the input is in %s\n", path);
	}
}

static void on_alarm(int sig)
{
	(void)sig;
	fprintf(stderr, "run %lu takes more than 20 s\n", run_number);
	save();
	_exit(1);
}

#if defined(__SANITIZE_ADDRESS__)
void __sanitizer_set_death_callback(void (*callback)(void));
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "handle_abort=1";
}
#else
static void on_crash(int sig)
{
	save();
	signal(sig, SIG_DFL);
	raise(sig);
}
#endif

static void watch(void)
{
	signal(SIGALRM, on_alarm);
#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_set_death_callback(save);
#else
	signal(SIGSEGV, on_crash);
	signal(SIGBUS, on_crash);
	signal(SIGABRT, on_crash);
	signal(SIGFPE, on_crash);
#endif
}

/* ---- changes ---- */

static void change_number(size_t at, unsigned int bytes)
{
	static const uint64_t edges[] = {
		0, 1, 2, 3, 4, 8, 9, 31, 32, 33, 127, 128, 255, 256, 1024, 65535, 65536, INT32_MAX,
		1ull << 31, UINT32_MAX, 1ull << 32, 1ull << 61, INT64_MAX, 1ull << 63, UINT64_MAX,
		UINT64_MAX - 7, UINT64_MAX - 31,
	};
	uint64_t v = 0;

	if (at + bytes > input_size)
		return;
	memcpy(&v, input + at, bytes);
	switch (below(4)) {
	case 0:
		v = edges[below(sizeof(edges) / sizeof(edges[0]))];
		break;
	case 1:
		v += below(33) - 16;
		break;
	case 2:
		v = below(input_size + 64);
		break;
	default:
		v ^= 1ull << below(8 * bytes);
	}
	memcpy(input + at, &v, bytes);
}

/* Takes n bytes away at one place, or puts some in that are already there elsewhere. */
static void change_size(void)
{
	size_t at = below(input_size), n = 1 + below(1u << below(8)), from;

	if (below(2)) {
		if (n > input_size - at)
			n = input_size - at;
		memmove(input + at, input + at + n, input_size - at - n);
		input_size -= n;
		return;
	}
	if (n > input_size)
		n = input_size;
	if (input_size + n > MAX_INPUT)
		return;
	from = below(input_size - n + 1);
	memmove(input + at + n, input + at, input_size - at);
	if (from + n > at)	/* what it is copied from may have moved */
		from = from >= at ? from + n : from;
	memmove(input + at, input + from, n);
	input_size += n;
}

static void change(void)
{
	/* Headers matter most: half of the changes are in the first part. */
	size_t part = below(2) && input_size > 4096 ? 4096 : input_size;
	size_t at = below(part);

	if (!input_size)
		return;
	switch (below(12)) {
	case 0:
		change_size();
		break;
	case 1:
		input_size = at;
		break;
	case 2:
	case 3:
		input[at] = random32();
		break;
	case 4:
	case 5:
		input[at] ^= 1 << below(8);
		break;
	case 6:
	case 7:
	case 8:
		change_number(at, 4);
		break;
	default:
		change_number(at, 8);
	}
}

static void make_input(void)
{
	unsigned int i = below(n_seeds), n = 1 + below(1u << below(5));

	input_size = seeds[i].size;
	memcpy(input, seeds[i].data, input_size);
	while (n--)
		change();
}

/* A copy of its exact size, so that a sanitizer sees each byte read behind the end. */
static void run(void)
{
	uint8_t *copy = malloc(input_size ? input_size : 1);

	if (!copy)
		abort();
	memcpy(copy, input, input_size);
	alarm(20);
	LLVMFuzzerTestOneInput(copy, input_size);
	alarm(0);
	free(copy);
}

static bool run_file(const char *path)
{
	FILE *f = fopen(path, "rb");

	if (!f) {
		perror(path);
		return false;
	}
	input_size = fread(input, 1, MAX_INPUT, f);
	fclose(f);
	run();
	printf("%s: %zu bytes, no crash\n", path, input_size);
	return true;
}

int main(int argc, char **argv)
{
	unsigned long runs = 20000, seconds = 3600;
	time_t end;
	int i;

	for (i = 1; i + 1 < argc && !strncmp(argv[i], "--", 2); i += 2) {
		if (!strcmp(argv[i], "--runs"))
			runs = strtoul(argv[i + 1], NULL, 0);
		else if (!strcmp(argv[i], "--seed"))
			seed_number = strtoul(argv[i + 1], NULL, 0);
		else if (!strcmp(argv[i], "--seconds"))
			seconds = strtoul(argv[i + 1], NULL, 0);
		else if (!strcmp(argv[i], "--save"))
			save_dir = argv[i + 1];
		else
			break;
	}
	if (i < argc && argv[i][0] == '-') {
		fprintf(stderr, "\"%s\" is no option; options are --runs, --seed, --seconds, --save\n", argv[i]);
		return 2;
	}
	input = malloc(MAX_INPUT);
	if (!input)
		return 2;
	watch();
	if (i < argc) {
		bool good = true;

		for (; i < argc; i++)
			good &= run_file(argv[i]);
		return !good;
	}
	while (n_seeds < MAX_SEEDS && (seeds[n_seeds].size = fuzz_seed(n_seeds, &seeds[n_seeds].data)))
		n_seeds++;
	for (unsigned int k = 0; k < n_seeds; k++) {
		if (seeds[k].size > MAX_INPUT)
			return 2;
		input_size = seeds[k].size;
		memcpy(input, seeds[k].data, input_size);
		run();
	}
	state = seed_number * 0x9e3779b97f4a7c15 | 1;
	end = time(NULL) + seconds;
	for (; run_number < runs && time(NULL) < end; run_number++) {
		make_input();
		run();
	}
	printf("%lu runs from %u inputs, seed %lu: no crash\n", run_number, n_seeds, seed_number);
	while (n_seeds)
		free(seeds[--n_seeds].data);
	free(input);
	return 0;
}
