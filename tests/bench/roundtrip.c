// SPDX-License-Identifier: MIT
/*
 * How often a second work that does nothing goes to a device and its end comes back: SUBMIT to
 * fence through octans.ko beside NVMe passthrough through io_uring, in turn.  Prints
 * medians and their ratio, and the rounds.
 *   roundtrip /dev/accel/accel0 /dev/ng0n1 [SECONDS [ROUNDS [WAY]]]	"-": without this one
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "roundtrip.h"

#define MOST_ROUNDS	15

static const struct way ways[] = {
	{ "1 sleep", 1, ONE, SLEEP },
	{ "1 spin", 1, ONE, SPIN },
	{ "1 spin-sleep", 1, ONE, SPIN_SLEEP },
	{ "1 poll", 1, ONE, POLL },
	{ "32 sleep", 32, AS_THEY_COME, SLEEP },
	{ "32 spin", 32, AS_THEY_COME, SPIN },
	{ "32 poll", 32, AS_THEY_COME, POLL },
	{ "32-one sleep", 32, ONE, SLEEP },
	{ "32-together sleep", 32, TOGETHER, SLEEP },
	{ "32-together spin", 32, TOGETHER, SPIN },
};

#define WAYS	(sizeof(ways) / sizeof(ways[0]))

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const double *from, int n)
{
	double v[MOST_ROUNDS];

	memcpy(v, from, n * sizeof(*v));
	qsort(v, n, sizeof(*v), ascending);
	return v[n / 2];
}

static void print_rounds(const double *v, int n)
{
	for (int i = 0; i < n; i++)
		printf(" %.0f", v[i]);
}

int main(int argc, char **argv)
{
	static double octans[WAYS][MOST_ROUNDS], nvme[WAYS][MOST_ROUNDS];
	double seconds = argc > 3 ? atof(argv[3]) : 1;
	int rounds = argc > 4 ? atoi(argv[4]) : 5;
	const char *only = argc > 5 ? argv[5] : "";

	if (argc < 3 || rounds < 1 || rounds > MOST_ROUNDS)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int r = 0; r < rounds; r++)	/* in turn: the host is never quite still */
		for (unsigned int i = 0; i < WAYS; i++) {
			if (!strstr(ways[i].name, only))
				continue;
			if (ways[i].waiting != POLL && strcmp(argv[1], "-"))
				octans[i][r] = octans_rate(argv[1], &ways[i], seconds);
			if (ways[i].waiting != SPIN_SLEEP && strcmp(argv[2], "-"))
				nvme[i][r] = nvme_rate(argv[2], &ways[i], seconds);
		}
	printf("%-18s %8s %8s %6s   rounds\n", "way", "octans", "nvme", "ratio");
	for (unsigned int i = 0; i < WAYS; i++) {
		double a = median(octans[i], rounds), b = median(nvme[i], rounds);

		if (!strstr(ways[i].name, only))
			continue;
		printf("%-18s %8.0f %8.0f %6.2f  ", ways[i].name, a, b, b ? a / b : 0);
		print_rounds(octans[i], rounds);
		printf(" |");
		print_rounds(nvme[i], rounds);
		printf("\n");
	}
	return 0;
}
