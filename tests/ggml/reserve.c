// SPDX-License-Identifier: MIT
/*
 * The graphs that libllama reserves for a model, without its weights: with GGML_SCHED_DEBUG=2 ggml says where each node would be.
 *
 *   reserve MODEL CONTEXT TOKENS SEQUENCES ATTENTION      ATTENTION: 0 plain, 1 "flash", -1 as ggml chooses
 */
#include <stdio.h>
#include <stdlib.h>

#include <ggml-backend.h>
#include <llama.h>

static void log_all(enum ggml_log_level level, const char *text, void *arg)
{
	(void)level;
	(void)arg;
	fputs(text, stderr);
}

int main(int argc, char **argv)
{
	static struct llama_model_kv_override none[2] = {
		{ .tag = LLAMA_KV_OVERRIDE_TYPE_STR, .key = "tokenizer.ggml.model", .val_str = "no_vocab" },
	};
	struct llama_model_params mp = llama_model_default_params();
	struct llama_context_params p = llama_context_default_params();
	struct llama_context *ctx;
	struct llama_model *model;

	if (argc != 6)
		return 2;
	llama_log_set(log_all, NULL);
	ggml_backend_load_all();
	llama_backend_init();
	mp.n_gpu_layers = 999;
	mp.no_alloc = true;
	mp.load_mode = LLAMA_LOAD_MODE_NONE;
	mp.kv_overrides = none;
	model = llama_model_load_from_file(argv[1], mp);
	if (!model)
		return 1;
	p.n_ctx = atoi(argv[2]);
	p.n_batch = p.n_ubatch = atoi(argv[3]);
	p.n_seq_max = atoi(argv[4]);
	p.flash_attn_type = atoi(argv[5]);
	p.kv_unified = true;
	ctx = llama_init_from_model(model, p);
	if (ctx)
		llama_free(ctx);
	llama_model_free(model);
	return !ctx;
}
