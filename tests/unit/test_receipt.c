// SPDX-License-Identifier: MIT
/* accelctl: SHA-256, and receipts and conversations that anybody may have written. */
#include <stdlib.h>
#include <string.h>

#include "../../tools/accelctl/conversation.h"
#include "../../tools/accelctl/receipt.h"
#include "tap.h"

#define HASH "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static bool hashes(const char *data, size_t n, const char *expected)
{
	char text[SHA256_TEXT];

	sha256_text(data, n, text);
	return !strcmp(text, expected);
}

/* The vectors of FIPS 180-4's examples, and every way to cut a text in two. */
static void test_sha256(void)
{
	static const char two[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
	static const char two_hash[] = "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1";
	uint8_t hash[SHA256_BYTES];
	char text[SHA256_TEXT], *million = malloc(1000000);
	bool same = true;
	struct sha256 s;

	ok(hashes("abc", 3, HASH), "SHA-256 of abc");
	ok(hashes("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"), "of nothing");
	ok(hashes(two, 56, two_hash), "of two blocks");
	memset(million, 'a', 1000000);
	ok(hashes(million, 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
	   "of a million");
	for (size_t n = 0; n < 200; n++)
		for (size_t cut = 0; cut <= n; cut++) {
			char whole[SHA256_TEXT];

			sha256_text(million, n, whole);
			sha256_begin(&s);
			sha256_add(&s, million, cut);
			sha256_add(&s, million + cut, n - cut);
			sha256_end(&s, hash);
			sha256_hex(hash, text);
			same &= !strcmp(text, whole);
		}
	ok(same, "wherever a text is cut");
	free(million);
}

static const char good[] =
	"{\"schema\": \"octans.receipt/1\", \"numerics\": 1, \"model\": {\"architecture\": \"llama\", \"files\": "
	"[{\"name\": \"m.gguf\", \"bytes\": 3, \"sha256\": \"" HASH "\"}]}, \"kv_type\": \"q8_0\", \"chat_format\": null, "
	"\"sampler\": {\"seed\": \"18446744073709551615\", \"temperature\": 0.5, \"top_k\": 40, \"top_p\": 0.9, \"min_p\": 0, "
	"\"repeat_penalty\": 1, \"frequency_penalty\": 0, \"presence_penalty\": -1, \"penalty_last\": 64}, "
	"\"prompt\": {\"text\": \"Hi\", \"tokens\": [1, 2]}, \"answer\": {\"text\": \"\", \"stop\": \"predict\", "
	"\"steps\": [{\"token\": 7, \"logits\": \"" HASH "\"}]}}";

static bool reads(const char *text, size_t n, char *why, size_t len)
{
	struct receipt r;
	bool fine = !receipt_read(text, n, &r, why, len);

	receipt_free(&r);
	return fine;
}

/* Is it refused with this in the sentence, if `from` is `to`? */
static bool refused(const char *from, const char *to, const char *what)
{
	char text[4096], why[256] = "";
	const char *at = strstr(good, from);

	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
	if (!reads(text, strlen(text), why, sizeof(why)) && strstr(why, what) && !strchr(why, '\n'))
		return true;
	printf("# %s -> %s: %s\n", from, to, why);
	return false;
}

static void test_fields(void)
{
	struct receipt r;
	char why[256];

	ok(!receipt_read(good, strlen(good), &r, why, sizeof(why)) && r.n_files == 1 && r.file[0].bytes == 3 &&
	   r.kv_type == 2 && r.sampler.seed == UINT64_MAX && r.sampler.presence == -1 && r.n_prompt == 2 &&
	   r.prompt[1] == 2 && r.n_steps == 1 && r.step[0].token == 7 && !strcmp(r.step[0].logits, HASH) &&
	   !r.chat_format, "a receipt is read");
	receipt_free(&r);
	ok(refused("receipt/1", "receipt/2", "receipt/2") && refused("octans.receipt/1", "x", "no receipt") &&
	   refused("\"schema\"", "\"scheme\"", "no receipt"), "another schema");
	ok(refused("\"numerics\": 1", "\"numerics\": 2", "version 2 of the numerics") &&
	   refused("\"numerics\": 1", "\"numerics\": \"1\"", "numerics"), "other numerics");
	ok(refused("\"bytes\": 3", "\"bytes\": -3", "bytes") && refused("\"bytes\": 3", "\"bytes\": 99999999999999999999", "JSON") &&
	   refused("\"token\": 7", "\"token\": 2147483648", "token") && refused("[1, 2]", "[1, -2]", "token") &&
	   refused("[1, 2]", "[1, 2.5]", "token") && refused("\"top_k\": 40", "\"top_k\": 99999999999", "top_k"),
	   "numbers out of bounds");
	ok(refused("0.5", "1e999", "JSON") && refused("0.5", "1e300", "temperature") && refused("0.5", "\"1\"", "temperature"),
	   "numbers that are none");
	ok(refused("\"18446744073709551615\"", "\"18446744073709551616\"", "seed") && refused("\"18446744073709551615\"", "7", "seed") &&
	   refused("\"18446744073709551615\"", "\"\"", "seed") && refused("\"18446744073709551615\"", "\"-1\"", "seed"), "seeds");
	ok(refused("ba78", "BA78", "sha256") && refused("ba78", "ba7", "sha256") && refused("\"q8_0\"", "\"q4\"", "kv_type"),
	   "hashes and types");
	ok(refused("[1, 2]", "[]", "tokens") && refused("[1, 2]", "{}", "tokens") && refused("\"predict\"", "null", "stop") &&
	   refused("\"Hi\"", "\"a\\u0000b\"", "JSON"), "lists and texts");
	ok(refused("\"numerics\": 1", "\"numerics\": 1, \"numerics\": 1", "JSON"), "a key twice");
}

/* Each byte another one, and each end: read or refused, never more. */
static void test_receipt_bytes(void)
{
	static const unsigned char values[] = { 0, 1, ' ', '"', '-', '9', '0', '[', '{', '}', '\\', 'e', 'f', 128, 195, 255 };
	char why[256], *text = malloc(sizeof(good));
	size_t n = strlen(good), told = 0, cases = 0;

	for (size_t at = 0; at < n; at++)
		for (size_t v = 0; v < sizeof(values); v++) {
			memcpy(text, good, n);
			text[at] = values[v];
			why[0] = 0;
			cases++;
			told += reads(text, n, why, sizeof(why)) || why[0];
		}
	ok(told == cases, "every byte of a receipt changed: %zu of %zu read or refused with a sentence", told, cases);
	free(text);
	told = 0;
	for (size_t cut = 0; cut < n; cut++) {
		text = malloc(cut + 1);		/* so that a sanitizer sees its end */
		memcpy(text, good, cut);
		told += !reads(text, cut, why, sizeof(why));
		free(text);
	}
	ok(told == n, "cut anywhere: refused");
}

static const char talk[] = "format chatml\nsystem 2\nBe\nknown 3\nturn 0 0 2 3\nHi\nHo!\nturn 9 3 1 0\n?\n\n";

static bool parses(const char *text, size_t n, struct conversation *c, char *why, size_t len)
{
	char *copy = malloc(n ? n : 1);
	bool fine;

	memcpy(copy, text, n);
	fine = !conversation_parse(copy, n, "chatml", c, why, len);
	free(copy);
	return fine;
}

static void test_conversation(void)
{
	struct conversation c;
	char why[256], changed[sizeof(talk)];
	size_t n = strlen(talk), told = 0;
	bool sane = true;

	ok(parses(talk, n, &c, why, sizeof(why)) && c.has_system && c.system.n == 2 && c.known == 3 && c.n == 2 &&
	   c.turn[1].start == 9 && c.turn[1].known == 3 && c.turn[0].assistant.n == 3 && !memcmp(c.turn[0].assistant.s, "Ho!", 3),
	   "a conversation is read");
	ok(conversation_cut(&c, 1) == 9 && c.n == 1 && c.known == 3 && !conversation_cut(&c, 0) && !c.known, "and cut");
	conversation_free(&c);
	ok(conversation_parse(talk, n, "llama3", &c, why, sizeof(why)) && strstr(why, "\"chatml\""), "%s", why);
	for (size_t cut = 0; cut < n; cut++) {
		if (parses(talk, cut, &c, why, sizeof(why))) {
			sane &= c.n < 2;
			conversation_free(&c);
		}
		told++;
	}
	for (size_t at = 0; at < n; at++)
		for (int v = 0; v < 256; v++) {
			memcpy(changed, talk, n);
			changed[at] = v;
			if (!parses(changed, n, &c, why, sizeof(why)))
				continue;
			for (size_t i = 0; i < c.n; i++)
				sane &= c.turn[i].known <= c.known && c.turn[i].user.n && c.turn[i].answered;
			sane &= c.known <= c.has_system + 2 * c.n;
			conversation_free(&c);
		}
	ok(sane && told == n, "every byte changed, every end: what is read makes sense");
}

int main(void)
{
	test_sha256();
	test_fields();
	test_receipt_bytes();
	test_conversation();
	return done();
}
