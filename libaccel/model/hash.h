/* SPDX-License-Identifier: MIT */
/*
 * SipHash-1-3 with a random key.  The tables that it serves hold names out of files that
 * nobody vouches for: with a hash that can be foretold, a file made of colliding names would
 * turn reading it into quadratic work.
 */
#ifndef ACCEL_HASH_H
#define ACCEL_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

struct hash_key {
	uint64_t k[2];
};

static inline void hash_key_new(struct hash_key *key)
{
	/* Without random bytes (early boot) the key is the address: weak, not wrong. */
	if (getrandom(key, sizeof(*key), GRND_NONBLOCK) != sizeof(*key))
		*key = (struct hash_key) { { (uintptr_t)key, 0x9e3779b97f4a7c15 } };
}

struct hash {
	uint64_t v[4];
	uint64_t tail;		/* bytes that do not fill a word yet */
	size_t n;
};

static inline uint64_t hash_rotate(uint64_t x, unsigned int by)
{
	return x << by | x >> (64 - by);
}

static inline void hash_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = hash_rotate(v[1], 13) ^ v[0];
	v[3] = hash_rotate(v[3], 16) ^ v[2];
	v[0] = hash_rotate(v[0], 32) + v[3];
	v[2] += v[1];
	v[3] = hash_rotate(v[3], 21) ^ v[0];
	v[1] = hash_rotate(v[1], 17) ^ v[2];
	v[2] = hash_rotate(v[2], 32);
}

static inline void hash_begin(struct hash *h, const struct hash_key *key)
{
	*h = (struct hash) { .v = {
		key->k[0] ^ 0x736f6d6570736575, key->k[1] ^ 0x646f72616e646f6d,
		key->k[0] ^ 0x6c7967656e657261, key->k[1] ^ 0x7465646279746573,
	} };
}

static inline void hash_word(struct hash *h, uint64_t word)
{
	h->v[3] ^= word;
	hash_round(h->v);
	h->v[0] ^= word;
}

static inline void hash_add(struct hash *h, const void *data, size_t n)
{
	const uint8_t *p = data;

	for (; !(h->n % 8) && n >= 8; n -= 8, p += 8, h->n += 8) {
		uint64_t word;

		memcpy(&word, p, 8);
		hash_word(h, word);
	}
	for (; n; n--, p++) {
		h->tail |= (uint64_t)*p << 8 * (h->n % 8);
		if (++h->n % 8)
			continue;
		hash_word(h, h->tail);
		h->tail = 0;
	}
}

static inline uint64_t hash_end(struct hash *h)
{
	hash_word(h, h->tail | (uint64_t)h->n << 56);
	h->v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		hash_round(h->v);
	return h->v[0] ^ h->v[1] ^ h->v[2] ^ h->v[3];
}

#endif
