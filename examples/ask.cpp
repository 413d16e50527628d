// SPDX-License-Identifier: MIT
/*
 * A question on each line of the input, an answer on each of the output.  What the library makes is
 * owned by a unique_ptr, and what fails is thrown, with the sentence that the library has for it.
 *
 *   g++ -std=c++17 -o ask++ ask.cpp $(pkg-config --cflags --libs libaccel)
 *   ./ask++ MODEL.gguf [PROCESSOR] <QUESTIONS	"sim", "accel0", ...; without it: the CPU alone
 */
#include <array>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>

#include <accel/engine.h>
#include <accel/text.h>

template <auto Free> struct Freed {
	template <class T> void operator()(T *p) const { Free(p); }
};
template <class T, auto Free> using Owned = std::unique_ptr<T, Freed<Free>>;

using Device = Owned<accel_dev, accel_close>;
using Model = Owned<accel_model, accel_model_free>;
using Plan = Owned<accel_plan, accel_plan_free>;
using Engine = Owned<accel_engine, accel_engine_free>;
using Seq = Owned<accel_seq, accel_seq_free>;
using Step = Owned<accel_step, accel_step_free>;
using Tokenizer = Owned<accel_tokenizer, accel_tokenizer_free>;
using Decoder = Owned<accel_decoder, accel_decoder_free>;
using Chat = Owned<accel_chat, accel_chat_free>;

static void must(int result)
{
	if (result < 0)
		throw std::runtime_error(accel_error());
}

// A T by the library's function for it, whose last argument is where it goes.
template <class T, class New, class... Args> T make(New create, Args... args)
{
	typename T::pointer p = nullptr;

	must(create(args..., &p));
	return T(p);
}

static Plan plan_for(const accel_model *model, accel_dev *dev)
{
	accel_devinfo info = {};
	const accel_devinfo *infos[] = { &info };

	info.sz = sizeof(info);
	if (dev)
		must(accel_dev_info(dev, &info));
	return make<Plan>(accel_plan_new, model, infos, dev ? 1 : 0, nullptr);
}

// Appends tokens[n] to the sequence: the most likely token after them.
static int32_t next(accel_engine *engine, accel_seq *seq, const int32_t *tokens, size_t n)
{
	accel_input input = {};
	const int32_t *best;

	input.sz = sizeof(input);
	input.seq = seq;
	input.tokens = tokens;
	input.n = n;
	input.want = ACCEL_WANT_TOP;
	input.top = 1;		// a sampler wants more of them
	auto step = make<Step>(accel_step_run, engine, &input, 1, nullptr);
	accel_step_top(step.get(), 0, &best, nullptr);
	return best[0];
}

static void answer(accel_engine *engine, const accel_tokenizer *tok, const accel_chat *chat,
		   const std::string &question)
{
	const accel_chat_message message = { "user", question.data(), question.size() };
	auto seq = make<Seq>(accel_seq_new, engine);
	auto decoder = make<Decoder>(accel_decoder_new, tok, ACCEL_DECODE_BEGIN);
	std::array<int32_t, 512> tokens;
	size_t n = tokens.size();
	const char *text;

	must(accel_chat_encode(chat, tok, &message, 1, 0, ACCEL_CHAT_ANSWER, tokens.data(), &n));
	auto token = next(engine, seq.get(), tokens.data(), n);
	for (int i = 1; i < 256 && !accel_token_ends(tok, token); i++) {
		auto bytes = accel_decoder_push(decoder.get(), token, &text);
		std::cout.write(text, bytes).flush();
		token = next(engine, seq.get(), &token, 1);
	}
	std::cout << std::endl;
}

int main(int argc, char **argv)
try {
	if (argc < 2 || argc > 3)
		throw std::runtime_error("usage: ask++ MODEL.gguf [PROCESSOR] <QUESTIONS");
	// Freed from the last to the first, as the library wants it.
	auto dev = argc > 2 ? make<Device>(accel_open, argv[2]) : nullptr;
	auto model = make<Model>(accel_model_load, argv[1]);
	auto plan = plan_for(model.get(), dev.get());
	accel_dev *const devs[] = { dev.get() };
	auto engine = make<Engine>(accel_engine_new, plan.get(), devs, dev ? 1 : 0, nullptr);
	auto tok = make<Tokenizer>(accel_tokenizer_new, model.get());
	auto chat = make<Chat>(accel_chat_new, model.get(), nullptr);

	for (std::string question; std::getline(std::cin, question); )
		answer(engine.get(), tok.get(), chat.get(), question);
} catch (const std::exception &e) {
	std::cerr << "ask++: " << e.what() << '\n';
	return 1;
}
