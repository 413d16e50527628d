# SPDX-License-Identifier: MIT
"""What make-reference and check share: the models, the texts, and where the data is."""
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "data")
INDEX = os.path.join(DATA, "index.tsv")

FLOAT_LIMITS = {"F32": 1e-9, "F16": 1e-5, "BF16": 1e-4}     # NMSE against llama.cpp's logits
# The same for keys and values in other types than F32; None: llama.cpp's own error of the weights'
# type, with its keys and values in F32.
KV_LIMITS = {
    "gqa-F32": {"f16": 1e-6, "q8_0": 1e-3},
    "long-F32": {"f16": 1e-6, "q8_0": 1e-3},
    "deep-F32": {"f16": 1e-6, "q8_0": 1e-3},
    "tied-F32": {"f16": 1e-6, "q8_0": 1e-3},
    "gqa-Q8_0": {"f16": None},
    "long-Q4_K": {"f16": None, "q8_0": None},
    "tied-Q4_K_M": {"f16": None, "q8_0": None},
    "wide-Q4_K_M": {"f16": None, "q8_0": None},
}
QUANTISED = ["Q8_0", "Q4_0", "Q5_0", "Q4_K", "Q6_K", "Q4_K_M"]
EVERY = list(FLOAT_LIMITS) + QUANTISED
OTHERS = ["Q4_1", "Q5_1", "Q2_K", "Q3_K", "Q5_K", "IQ4_NL", "IQ4_XS", "MXFP4"]

# name, options, tokens, types
SHAPES = [
    ("gqa", "--vocab 320 --ctx 64", 24, EVERY + OTHERS),
    # as Llama 3.2: one table for both ends, frequency factors; all heads share a key
    ("tied", "--tied --rope-freqs --rope-base 500000 --layers 3 --heads 8 --kv 1 "
     "--head-dim 64 --tok llama-bpe --vocab 300 --seed 2", 24, EVERY),
    # rows that fit no large blocks, or none; a vocabulary that fits no vector
    ("odd", "--embd 512 --heads 5 --kv 5 --head-dim 48 --ff 416 --vocab 131 --tok none --bias "
     "--eps 1e-6 --seed 3", 24, EVERY),
    # more positions than a batch
    ("long", "--heads 8 --kv 4 --ff 256 --vocab 61 --ctx 256 --rope-linear 2 --tok none --seed 4",
     200, ["F32", "F16", "Q8_0", "Q4_0", "Q4_K", "Q2_K", "MXFP4"]),
    # long sums
    ("wide", "--layers 1 --embd 1024 --heads 16 --kv 4 --ff 2816 --vocab 64 --tok none --seed 5",
     24, ["F32", "F16", "Q8_0", "Q5_0", "Q4_K_M"] + OTHERS),
    # the least there can be
    ("small", "--layers 1 --embd 32 --heads 1 --kv 1 --ff 32 --vocab 11 --tok none --seed 6",
     24, list(FLOAT_LIMITS)),
    ("deep", "--layers 12 --embd 128 --heads 4 --kv 2 --ff 352 --vocab 67 --tok none --seed 7",
     24, ["F32", "BF16", "Q8_0", "Q6_K"]),
]

# The same of arch.py: name, arguments, tokens, types.
FEW = "--vocab 67"
MISSION = ["F32", "F16", "Q8_0", "Q4_K"]        # what the systems of the mission come in
ARCHS = [(name, "%s %s" % (name, FEW), 24, ["F32"]) for name in (
    "mistral4", "deepseek2-lite", "deepseek32", "nemotron", "nemotron_h", "qwen2", "qwen3", "qwen3moe",
    "qwen3next", "qwen3next-old", "qwen35", "qwen35moe", "gemma2", "gemma3", "gemma4", "gemma4-moe", "gpt-oss", "glm4moe",
    "granite", "granitemoe", "granitehybrid", "granitehybrid-moe", "phi3", "phi3-long", "smollm3",
    "lfm2", "lfm2moe", "minimax-m2", "bloom", "gemma", "olmo2", "olmo3", "glm4", "internlm2", "ernie4_5",
    "exaone", "seed_oss", "arcee", "starcoder2")] + [
    # as the first files of gemma2 are, and as Mistral Medium 3.5's rotary positions
    ("gemma2-old", "gemma2 --vocab 67 --window 0 --attn-softcap 0 --final-softcap 0", 24, ["F32"]),
    ("mistral3-medium", "mistral3 --vocab 67 --ctx 262144 --yarn 64 --yarn-context 4096 --beta-fast 4", 24, ["F32"]),
    # rows of 128, 1408, 1856 and 3712, which fit no blocks of 256
    ("llama-moe", "llama-moe --vocab 67 --gain 0.1 --seed 5 --embd 256 --ff 160 --experts 6 --used 2", 24, MISSION),
    ("mistral3", "mistral3 --vocab 67 --embd 256 --heads 6 --kv 2 --ff 288", 24, MISSION),
    ("deepseek2", "deepseek2 --vocab 67 --gain 0.1 --seed 4 --embd 256 --nope 128 --value 64 --kv-lora 128 --q-lora 256 "
     "--rope 64 --layers 2 --ff 320", 24, MISSION),
    ("deepseek2-old", "deepseek2 --vocab 67 --gain 0.1 --seed 4 --embd 256 --nope 128 --value 64 --kv-lora 128 --q-lora 256 "
     "--rope 64 --layers 2 --ff 320 --layout old", 24, MISSION),
    ("deepseek2-rows", "deepseek2 --vocab 67 --gain 0.1 --embd 128 --expert-ff 1408 --layers 2 --experts 4 "
     "--used 2 --groups 0 --groups-used 0", 24, ["Q8_0", "Q4_K"]),
    ("lite-types", "deepseek2-lite --vocab 67 --gain 0.1 --embd 128 --dense 24 --kv-lora 64 --nope 32", 24,
     ["F16", "Q8_0", "Q4_K"]),
    ("apertus", "apertus --vocab 67 --embd 256 --heads 4 --kv 2 --head-dim 64 --ff 544", 24, MISSION),
    ("nemotron_h_moe", "nemotron_h_moe --vocab 67 --gain 0.1 --seed 2 --embd 256 --ssm-heads 8 --ssm-width 32", 24, MISSION),
    ("nemotron_h_moe-rows", "nemotron_h_moe --vocab 67 --gain 0.1 --embd 128 --expert-ff 1856 --shared-ff 3712 "
     "--experts 4 --used 2 --layers 3 --kinds ME*", 24, ["Q8_0", "Q4_K"]),
    # both sets of factors
    ("phi3-short", "phi3-long --vocab 67 --original-context 256", 24, ["F32"]),
    # more positions than a window, a piece of the compressed past, an indexer's choice
    ("deepseek4", "deepseek4 --vocab 41", 150, ["F32"]),
    # as E2B and E4B are; rows of 256, as the inputs of their blocks have
    ("gemma4-small", "gemma4 --vocab 67 --embd 256 --ff 256 --per-layer 256 --wide-ff --layers 9 --interval 3 --shared-kv 6",
     24, MISSION),
    ("gpt-oss-mxfp4", "gpt-oss --vocab 67 --gain 0.1", 24, ["MXFP4"]),
]
# What keys and tensors mean, of models that are above: the same.
LINEAR = "--yarn 0 --log-multiplier 0"
FILES = [(name, options, 24, ["F32"]) for name, options in (
    # scores of latent attention have the square of these
    ("mla-factor", "deepseek2 --vocab 67 --key rope.scaling.attn_factor=f32:1.3"),
    ("mla-factor-32", "deepseek32 --vocab 67 --key rope.scaling.attn_factor=f32:1.3"),
    ("mla-factor-4", "mistral4 --vocab 67 --key rope.scaling.attn_factor=f32:1.3"),
    ("mla-none", "deepseek2 --vocab 67 --key rope.scaling.type=str:none --key rope.scaling.factor=f32:4 " + LINEAR),
    ("mla-none-4", "mistral4 --vocab 67 --key rope.scaling.type=str:none"),
    ("mla-old", "deepseek2 --vocab 67 --key rope.scale_linear=f32:4 " + LINEAR),
    ("mla-linear", "deepseek2 --vocab 67 --key rope.scaling.type=str:linear --key rope.scaling.attn_factor=f32:1.3"),
    ("mla-linear-32", "deepseek32 --vocab 67 --key rope.scaling.type=str:linear"),
    ("mla-log-32", "deepseek32 --vocab 67 --log-multiplier 0.2"),
    # a number of blocks is no truth
    ("all-slide", "gemma3 --vocab 67 --key attention.sliding_window_pattern=u32:0"),
    ("all-slide-olmo3", "olmo3 --vocab 67 --key attention.sliding_window_pattern=u32:0"),
    ("moe-groups", "llama-moe --vocab 67 --key expert_group_count=u32:4 --key expert_group_used_count=u32:2"),
    ("head-bias", "qwen2 --vocab 67 --head-bias"),
    ("joined-qkv", "qwen35 --vocab 67 --joined-qkv"),
    ("joined-qkv-next", "qwen3next --vocab 67 --joined-qkv"),
    ("qkv-biases", "apertus --vocab 67 --bias qkvo"),
    ("no-count", "gemma4-moe --vocab 67 --drop rope.dimension_count"),
    # in a block with experts; keys and values of blocks that use those of others
    ("inputs-moe", "gemma4-moe --vocab 67 --layers 4 --per-layer 16 --shared-kv 2"),
    ("unused-kv", "gemma4 --vocab 67 --unused-kv"),
)]
# llama.cpp looks GELU up in a table of F16, and so its logits are not exact.
ARCH_LIMITS = dict.fromkeys(("gemma", "gemma2", "gemma2-old", "gemma3", "gemma4", "gemma4-moe", "bloom", "starcoder2",
                             "all-slide", "no-count", "inputs-moe", "unused-kv", "gemma4-small"), 1e-6)
# Cases that accelctl refuses until what they need is there, and what its sentence has in it.
REFUSED = {
    "deepseek4": 'architecture "deepseek4" is not supported; of its tensors no supported one has "output_hc_fn.weight"',
}

# Vocabularies for the texts; the weights do not matter.
VOCABULARIES = {
    kind: "--layers 1 --embd 32 --heads 1 --kv 1 --ff 32 --vocab 1200 --tok " + kind
    for kind in ("spm", "llama-bpe", "gemma", "unigram")
}

ESCAPE = re.compile(r"\\(u[0-9a-f]{4}|.)")
MEANING = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}


def limit_of(name, kind):
    """of a case with float weights"""
    return max(FLOAT_LIMITS[kind], ARCH_LIMITS.get(name[:-len(kind) - 1], 0))


def texts():
    """The cases of text.txt, and last all of them in one."""
    with open(os.path.join(HERE, "text.txt"), encoding="utf-8", newline="\n") as f:
        lines = [line[:-1] for line in f if line[0] != "#"]
    out = [ESCAPE.sub(lambda m: chr(int(m[1][1:], 16)) if m[1][0] == "u" else MEANING[m[1]], s)
           for s in lines]
    return out + ["\n".join(out)]


def data_file(name):
    return os.path.join(DATA, name + ".bin")


def tokens_file(kind):
    return os.path.join(DATA, "tokens-%s.txt" % kind)


# Texts of strings.py whose tokens are kept, as digests.
STRINGS = os.path.join(DATA, "strings.tsv")
KEPT_STRINGS = 2000
