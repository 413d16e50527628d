/* SPDX-License-Identifier: MIT */
/* SHA-256 (FIPS 180-4), for receipts: what they name is compared by strangers. */
#ifndef ACCELCTL_SHA256_H
#define ACCELCTL_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_BYTES	32
#define SHA256_TEXT	65	/* of hexadecimal digits, with the zero at the end */

struct sha256 {
	uint32_t h[8];
	uint64_t size;		/* bytes so far */
	uint8_t block[64];	/* the last size % 64 of them */
};

void sha256_begin(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *data, size_t n);
void sha256_end(struct sha256 *s, uint8_t hash[SHA256_BYTES]);

/* Of data[n] at once, in hexadecimal. */
void sha256_text(const void *data, size_t n, char text[SHA256_TEXT]);
void sha256_hex(const uint8_t hash[SHA256_BYTES], char text[SHA256_TEXT]);

#endif
