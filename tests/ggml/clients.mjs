// SPDX-License-Identifier: MIT
// The official clients of OpenAI and Anthropic for Node, all at once, streaming, against a llama-server.
//   node clients.mjs PORT        questions as JSON on the standard input: ["...", ...]
// Prints a JSON list of an answer for each, in order: by whom, text, chunks, how it ended, log-probabilities (OpenAI's).
// Even questions are OpenAI's, odd ones Anthropic's.  Needs NODE_PATH's modules, so it is run beside node_modules.
import { readFileSync } from "node:fs";
import OpenAI from "openai";
import Anthropic from "@anthropic-ai/sdk";

const base = `http://127.0.0.1:${process.argv[2]}`;
const LENGTH = 40;
const openai = new OpenAI({ baseURL: `${base}/v1`, apiKey: "none", maxRetries: 0, timeout: 60000 });
const anthropic = new Anthropic({ baseURL: base, apiKey: "none", maxRetries: 0, timeout: 60000 });

async function askOpenAI(question) {
	const answer = { api: "openai", text: "", chunks: 0, end: null, logprobs: [] };
	const stream = await openai.chat.completions.create({
		model: "any", stream: true, temperature: 0, max_tokens: LENGTH, logprobs: true, top_logprobs: 2,
		messages: [{ role: "user", content: question }],
	});

	for await (const chunk of stream) {
		const choice = chunk.choices[0];

		if (!choice)
			continue;
		answer.chunks++;
		answer.text += choice.delta?.content ?? "";
		answer.end = choice.finish_reason ?? answer.end;
		for (const token of choice.logprobs?.content ?? [])
			answer.logprobs.push(token.logprob);
	}
	return answer;
}

async function askAnthropic(question) {
	const answer = { api: "anthropic", text: "", chunks: 0, end: null, logprobs: [] };
	const stream = anthropic.messages.stream({
		model: "any", max_tokens: LENGTH, temperature: 0,
		messages: [{ role: "user", content: question }],
	});

	stream.on("text", (text) => {
		answer.chunks++;
		answer.text += text;
	});
	answer.end = (await stream.finalMessage()).stop_reason;
	return answer;
}

const questions = JSON.parse(readFileSync(0, "utf8"));
const answers = await Promise.all(questions.map((question, i) =>
	(i % 2 ? askAnthropic : askOpenAI)(question).catch((error) => ({ error: String(error) }))));
console.log(JSON.stringify(answers));
