// SPDX-License-Identifier: MIT
/* Every function of accel/text.h, through the shared object. */
#include <stdlib.h>
#include <string.h>
#include <accel/accel.h>
#include <accel/model.h>
#include <accel/text.h>

#include "../unit/tap.h"
#include "public.h"

#define MODEL "models/octans-demo.gguf"
#define CHECK(x) do { if (!(x)) return __LINE__; } while (0)
static int text(const struct accel_tokenizer *t)
{
	struct accel_tokenizer_info info = { .sz = sizeof(info) };
	struct accel_decoder *d;
	int32_t ids[64];
	size_t n = 64;
	const char *s;

	CHECK(!accel_tokenizer_info(t, &info) && info.n_tokens > 300 && !strcmp(info.kind, "spm"));
	CHECK(!accel_tokenizer_encode(t, "a star", 6, ACCEL_ENCODE_ENDS, ids, &n) && n);
	CHECK(!accel_tokenizer_double_bos(t, ids, n));
	CHECK(!accel_decoder_new(t, ACCEL_DECODE_BEGIN, &d));
	CHECK(accel_decoder_push(d, ids[n - 1], &s) && s[0] && !accel_decoder_end(d, &s));
	accel_decoder_free(d);
	CHECK(accel_token_ends(t, info.eos) && (accel_token_attr(t, info.eos) & ACCEL_TOKEN_END));
	CHECK(accel_token_text(t, info.eos, &n) && n && accel_tokenizer_ends(t, &n) && n);
	CHECK(accel_token_find(t, "</s>", 4) >= 0);
	return 0;
}
static int sampler(void)
{
	struct accel_sampler_opts o;
	struct accel_sampler *s;
	const float logits[] = { 0, 9, 1 }, top[] = { 9, 1, 0 };
	const int32_t ids[] = { 1, 2, 0 };
	int32_t id;

	accel_sampler_defaults(&o);
	o.top_k = 1;
	CHECK(!accel_sampler_new(&o, &s) && accel_sampler_top(s, 3) == 1 && !accel_sampler_accept(s, 2));
	CHECK(!accel_sampler_choose(s, logits, 3, &id) && id == 1);
	CHECK(!accel_sampler_choose_top(s, ids, top, 1, 3, &id) && id == 1);
	accel_sampler_free(s);
	return 0;
}
static int chat(const struct accel_model *m, const struct accel_tokenizer *t)
{
	struct accel_chat_message q = { "user", "Which?", 6 };
	struct accel_stop *stop;
	struct accel_chat *c;
	int32_t ids[64];
	char out[64];
	const char *s;
	size_t n = sizeof(out);

	CHECK(!accel_chat_new(m, NULL, &c) && !strcmp(accel_chat_name(c), "octans"));
	accel_chat_free(c);
	CHECK(accel_chat_known(0) && !accel_chat_new(NULL, "chatml", &c));
	CHECK(!accel_chat_format(c, &q, 1, 0, 0, out, &n) && !memcmp(out, "<|im_start|>user\nWhich?<|im_end|>\n", n));
	n = 64;
	CHECK(!accel_chat_encode(c, t, &q, 1, 0, ACCEL_CHAT_ANSWER, ids, &n) && n > 8);
	CHECK(!accel_stop_new(accel_chat_stops(c), 1, &stop));
	CHECK(accel_stop_push(stop, "x<|im_end|>", 11, &s, &n) == 1 && n == 1 && !accel_stop_end(stop, &s));
	accel_stop_free(stop);
	accel_chat_free(c);
	return 0;
}
void test_text(void)
{
	struct accel_tokenizer *t;
	struct accel_model *m;

	if (!ok(!accel_model_load(MODEL, &m) && !accel_tokenizer_new(m, &t), "a tokenizer"))
		return;
	ok(!chat(m, t), "chat formats");
	accel_model_free(m);
	ok(!text(t), "the tokenizer outlives its model");
	accel_tokenizer_free(t);
	ok(!sampler(), "the sampler");
}
