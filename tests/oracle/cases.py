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

# Vocabularies for the texts; the weights do not matter.
VOCABULARIES = {
    kind: "--layers 1 --embd 32 --heads 1 --kv 1 --ff 32 --vocab 1200 --tok " + kind
    for kind in ("spm", "llama-bpe")
}

ESCAPE = re.compile(r"\\(u[0-9a-f]{4}|.)")
MEANING = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}


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
