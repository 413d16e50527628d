#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""GGUF files with the properties of files in the wild.  gguf_cases.py OUTDIR [NAME...]"""
import functools
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fieldlib import *

CASES = {}


def case(f):
    CASES[f.__name__] = f
    return f


# Models that differ in keys alone.
KEYS = {
    "f64_eps": [("llama.attention.layer_norm_rms_epsilon", F64, 1e-5)],
    "f64_base": [("llama.rope.freq_base", F64, 10000.0)],
    "u32_base": [("llama.rope.freq_base", U32, 500000)],  # an integer theta
    "f32_ctx": [("llama.context_length", F32, 512.0)],  # a whole number as a float
    "head_array_equal": [
        ("llama.attention.head_count_kv", ARR, [2, 2], I32),
        ("llama.attention.head_count", ARR, [4, 4], I32),
        ("llama.feed_forward_length", ARR, [96, 96], I32),
    ],
    "align_i32": [("general.alignment", I32, 32)],
    "file_type_wrong": [("general.file_type", U32, 2)],
    "file_type_string": [("general.file_type", STR, "mostly Q4_0")],
    "partial_rope": [("llama.rope.dimension_count", U32, 8)],  # dimension_count below the head width
    "yarn": [
        ("llama.rope.scaling.type", STR, "yarn"),
        ("llama.rope.scaling.factor", F32, 4.0),
        ("llama.rope.scaling.original_context_length", U32, 128),
    ],
    "unknown_key": [("llama.attention.new_thing", F32, 0.5)],
    "unknown_key_text": [("llama.rope.scaling.flavour", STR, "vanilla")],
    "layered_heads": [("llama.attention.head_count_kv", ARR, [2, 1], I32)],  # other numbers of heads in each block
    "rope_linear": [
        ("llama.rope.scaling.type", STR, "linear"),
        ("llama.rope.scaling.factor", F32, 4.0),
    ],
    # type none beside an old scale_linear
    "rope_linear_none_factor": [
        ("llama.rope.scaling.type", STR, "none"),
        ("llama.rope.scale_linear", F32, 4.0),
    ],
    "rope_old_linear": [("llama.rope.scale_linear", F32, 4.0)],  # only the old key
    "rope_factor_no_type": [("llama.rope.scaling.factor", F32, 4.0)],  # a factor without a type
    "rope_type_linear_factor0": [
        ("llama.rope.scaling.type", STR, "linear"),
        ("llama.rope.scaling.factor", F32, 0.0),
    ],
    "attn_scale": [("llama.attention.scale", F32, 0.1)],
    "attn_scale0": [("llama.attention.scale", F32, 0.0)],
    "not_causal": [("llama.attention.causal", BOOL, False)],
    "logit_scale": [("llama.logit_scale", F32, 0.5)],
    "embd_scale": [("llama.embedding_scale", F32, 12.0), ("llama.residual_scale", F32, 0.22)],
    "sliding_window": [("llama.attention.sliding_window", U32, 8)],
    "clamp_kqv": [("llama.attention.clamp_kqv", F32, 0.5)],
    "expert0": [("llama.expert_count", U32, 0), ("llama.expert_used_count", U32, 0)],
    "arch_upper": [("general.architecture", STR, "LLaMA")],
    "name_latin1": [("general.name", STR, b"Gr\xf6\xdfe")],
    "name_long_utf8": [("general.name", STR, "Ж" * 100)],
    "name_number": [("general.name", U32, 7)],
    "too_few_layers": [("llama.block_count", U32, 3)],  # block_count above the blocks that are there
    "name_esc": [("general.name", STR, "a\x1b[31mb\x07\rc\u009b31md")],  # a name that talks to the terminal
}


def of_row(name):
    g = random_llama()
    for put in KEYS[name]:
        g.put(*put)
    return g


CASES.update((name, functools.partial(of_row, name)) for name in KEYS)


def kinds(g, swap):
    """integer keys of the llama.* family in other widths"""
    for i, (n, k, e, v) in enumerate(g.keys):
        if k == U32 and n.startswith("llama."):
            g.keys[i] = (n, swap, e, v)
    return g


@case
def i32_keys():         # llama-quantize --override-kv wrote i32 for u32
    return kinds(random_llama(), I32)


@case
def u64_keys():
    return kinds(random_llama(), U64)


@case
def i64_keys():
    return kinds(random_llama(), I64)


@case
def u16_keys():
    return kinds(random_llama(), U16)


@case
def align_64():
    g = random_llama(align=64)
    g.put("general.alignment", U32, 64)
    return g


@case
def align_4096():
    g = random_llama(align=4096)
    g.put("general.alignment", U32, 4096)
    return g


@case
def align_16():
    g = random_llama(align=16)
    g.put("general.alignment", U32, 16)
    return g


@case
def align_u64():
    g = random_llama(align=64)
    g.put("general.alignment", U64, 64)
    return g


@case
def data_reversed():    # infos in one order, data in another
    g = random_llama()
    g.order = list(reversed(range(len(g.tensors))))
    return g


@case
def data_gaps():        # padding between tensors beyond the alignment
    g = random_llama()
    g.gap = 64
    return g


@case
def data_tail():        # a trailer, as some packers add
    g = random_llama()
    g.tail = b"trailing bytes" * 1000
    return g


@case
def no_tail_padding():
    g = random_llama()
    b = g.bytes()
    last = g.tensors[-1]
    return b[:len(b) - (-len(last[3]) % 32)] if -len(last[3]) % 32 else b


@case
def scalar_tensor():    # n_dims 0: one value
    g = random_llama()
    g.tensor("blk.0.attn_q.scale", [], "F32", f32([1.0]))
    return g


@case
def dup_key_same():
    g = random_llama()
    g.add("general.name", STR, "again")
    return g


@case
def dup_tensor():
    g = random_llama()
    g.tensor(*g.tensors[-1])
    return g


@case
def version2():
    return random_llama(version=2)


@case
def version1():
    return random_llama(version=1)


@case
def big_endian():
    return random_llama(big=True)


@case
def nested_array():
    g = random_llama()
    inner = struct.pack("<IQ", U32, 2) + struct.pack("<2I", 1, 2)
    b = struct.pack("<IQ", ARR, 2) + inner + inner
    g.keys.append(("field.nested", 99, None, None))
    old = g.value
    g.value = lambda kind, element, v: b if kind == 99 else old(kind, element, v)
    out = g.bytes()
    return out.replace(struct.pack("<I", 99) + b, struct.pack("<I", ARR) + b)


@case
def empty_key():
    g = random_llama()
    g.add("", U32, 1)
    return g


@case
def key_utf8():
    g = random_llama()
    g.add("allgemein.größe", STR, "größe")
    return g


@case
def no_head_kv():
    g = random_llama(kv=4)
    g.drop("llama.attention.head_count_kv")
    return g


@case
def no_rope_dim():
    g = random_llama()
    g.drop("llama.rope.dimension_count", "llama.rope.freq_base")
    return g


@case
def no_eps():
    g = random_llama()
    g.drop("llama.attention.layer_norm_rms_epsilon")
    return g


@case
def no_ctx():
    g = random_llama()
    g.drop("llama.context_length")
    return g


@case
def nemo_head():        # head width != embd / heads, and embd not a multiple of heads
    return random_llama(embd=80, heads=6, kv=2, hd=16)


@case
def tied():
    return random_llama(tied=True)


@case
def tied_both():        # tied, but the file has the copy too
    g = random_llama(tied=True)
    t = g.tensors[0]
    g.tensor("output.weight", *t[1:])
    return g


@case
def rope_freqs():
    g = random_llama(base=500000.0)
    g.tensor("rope_freqs.weight", [8], "F32", f32([1, 1, 1, 1.5, 3, 6, 8, 8]))
    return g


@case
def rot_embd():         # lookup tables of rotations that a converter left in
    g = random_llama()
    for i in range(2):
        g.tensor("blk.%d.attn_rot_embd" % i, [8], "F32", f32([1.0] * 8))
    return g


@case
def attn_bias():
    return random_llama(bias=True)


@case
def attn_bias_qkv():    # qwen2 style: no bias on the output
    g = random_llama(bias=True)
    g.drop("blk.0.attn_output.bias", "blk.1.attn_output.bias")
    return g


@case
def mlp_bias():         # llama with attention_bias and mlp_bias (Bielik v3)
    return random_llama(bias=True, mlp_bias=True)


@case
def attn_bias_f16():
    g = random_llama(bias=True)
    for t in g.tensors:
        if t[0].endswith(".bias"):
            n = len(t[3]) // 4
            t[2], t[3] = "F16", f16(struct.unpack("<%df" % n, t[3]))
    return g


@case
def norm_f16():         # every tensor in half precision, norms too (MLX export)
    g = random_llama(wtype="F16")
    for t in g.tensors:
        if t[2] == "F32":
            n = len(t[3]) // 4
            t[2], t[3] = "F16", f16(struct.unpack("<%df" % n, t[3]))
    return g


@case
def norm_2d():          # a norm as a matrix of one row
    g = random_llama()
    for t in g.tensors:
        if "norm" in t[0]:
            t[1] = [t[1][0], 1]
    return g


def scaled(kind, factor=4.0, original=128, **more):
    g = random_llama()
    g.put("llama.rope.scaling.type", STR, kind)
    if factor is not None:
        g.put("llama.rope.scaling.factor", F32, factor)
    if original is not None:
        g.put("llama.rope.scaling.original_context_length", U32, original)
    for k, v in more.items():
        g.put("llama.rope.scaling." + k, F32, v)
    return g


@case
def yarn_magnitude():
    return scaled("yarn", attn_factor=0.5)


@case
def yarn_no_original():
    return scaled("yarn", original=None)


@case
def yarn_shorter():
    return scaled("yarn", factor=0.5)


@case
def yarn_base():
    g = scaled("yarn", factor=16.0, original=32)
    g.put("llama.rope.freq_base", F32, 1000000.0)
    return g


@case
def linear_magnitude():
    return scaled("linear", attn_factor=0.75)


@case
def none_factor():
    return scaled("none", attn_factor=1.25)


@case
def linear_factor0():
    return scaled("linear", factor=0.0)


def longrope(original, **more):
    g = scaled("longrope", factor=more.pop("factor", None), original=original, **more)
    g.tensor("rope_factors_long.weight", [8], "F32", f32([1, 1.5, 2, 3, 4, 5, 6, 7]))
    g.tensor("rope_factors_short.weight", [8], "F32", f32([1, 1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6]))
    return g


@case
def longrope_beyond():  # a context of more than it was trained with at first
    return longrope(128, attn_factor=1.19)


@case
def longrope_within():
    return longrope(1024, attn_factor=1.19)


@case
def longrope_factor():
    return longrope(128, factor=4.0)


@case
def rope_unknown_type():
    return scaled("su")


def parts(g, n):
    """what llama-gguf-split makes of a model: the keys are in the first part"""
    out = []
    per = -(-len(g.tensors) // n)
    for i in range(n):
        part = Gguf()
        part.keys = list(g.keys) if i == 0 else []
        part.tensors = g.tensors[i * per:(i + 1) * per]
        part.put("split.no", U16, i)
        part.put("split.count", U16, n)
        part.put("split.tensors.count", I32, len(g.tensors))
        out.append(part)
    return out


@case
def split_one_of_one():
    g = random_llama()
    g.put("split.no", U16, 0)
    g.put("split.count", U16, 1)
    g.put("split.tensors.count", I32, len(g.tensors))
    return g


@case
def vocab_only():
    g = random_llama()
    g.tensors = []
    return g


@case
def padded_vocab():     # embedding has more rows than the tokenizer tokens
    return random_llama(vocab=416, n_vocab=400)


@case
def short_embedding():  # tokenizer has more tokens than the embedding rows
    return random_llama(vocab=384, n_vocab=400)


@case
def q5_k():
    return random_llama(embd=256, ff=256, layers=1, wtype="Q5_K")


@case
def q4_1():
    return random_llama(wtype="Q4_1")


@case
def q4_0_with_q4_1():   # what llama-quantize makes of Q4_0 with an imatrix
    g = random_llama(wtype="Q4_0")
    for t in g.tensors:
        if t[0] == "blk.0.ffn_down.weight":
            t[2], t[3] = "Q4_1", blocks("Q4_1", t[1][0] * t[1][1], t[0])
    return g


@case
def q4_k_s():           # Q4_K_S: ffn_down of the first layers is Q5_K
    g = random_llama(embd=256, ff=256, layers=1, wtype="Q4_K")
    for t in g.tensors:
        if t[0] == "blk.0.ffn_down.weight":
            t[2], t[3] = "Q5_K", blocks("Q5_K", t[1][0] * t[1][1], t[0])
    return g


@case
def f64_weight():
    g = random_llama()
    for t in g.tensors:
        if t[0] == "output.weight":
            n = len(t[3]) // 4
            t[2], t[3] = "F64", struct.pack("<%dd" % n, *struct.unpack("<%df" % n, t[3]))
    return g


@case
def nan_weight():       # one weight that is no number
    g = random_llama()
    for t in g.tensors:
        if t[0] == "blk.0.ffn_down.weight":
            t[3] = struct.pack("<f", float("nan")) + t[3][4:]
    return g


@case
def inf_weight():
    g = random_llama()
    for t in g.tensors:
        if t[0] == "output.weight":
            t[3] = struct.pack("<f", float("inf")) + t[3][4:]
    return g


@case
def f16_overflow():     # F16 scales that overflow when multiplied
    g = random_llama(wtype="Q8_0")
    for t in g.tensors:
        if t[0] == "blk.0.ffn_up.weight":
            b = bytearray(t[3])
            b[0:2] = struct.pack("<H", 0x7c00)
            t[3] = bytes(b)
    return g


@case
def ctx_huge():         # 1M positions by the file
    return random_llama(ctx=1048576)


@case
def name_long_tensor():
    g = random_llama()
    g.tensor("x" * 100, [8], "F32", f32([1.0] * 8))
    return g


@case
def short_region():     # a tensor whose region is smaller than its type needs: the next begins inside
    g = random_llama()
    b = g.bytes()
    at = b.index(b"output_norm.weight") + 18 + 4 + 8 + 4
    offset, = struct.unpack_from("<Q", b, at)
    return b[:at] + struct.pack("<Q", offset - 4096) + b[at + 8:]


def with_keys(*puts):
    g = random_llama()
    for name, *rest in puts:
        g.put("llama." + name, *rest)
    return g


@case
def mixture_keys():     # what converters write of mixtures into files of models that are none
    return with_keys(("expert_shared_count", U32, 0), ("expert_group_count", U32, 0), ("expert_weights_scale", F32, 1.0),
                     ("expert_weights_norm", BOOL, True), ("leading_dense_block_count", U32, 0), ("nextn_predict_layers", U32, 0))


@case
def window_keys():      # of windows, without one
    return with_keys(("rope.freq_base_swa", F32, 10000.0), ("attention.sliding_window_pattern", ARR, [False, False], BOOL))


@case
def yarn_truncate():    # as everybody does
    g = of_row("yarn")
    g.put("llama.rope.scaling.yarn_truncate", BOOL, True)
    return g


@case
def yarn_factor1():
    return scaled("yarn", factor=1.0)


@case
def rope_freqs_yarn():  # both
    g = of_row("yarn")
    g.tensor("rope_freqs.weight", [8], "F32", f32([1, 1, 1, 1.5, 3, 6, 8, 8]))
    return g


def divisors(last):
    g = random_llama()
    g.tensor("rope_freqs.weight", [8], "F32", f32([1, 1, 1, 1, last, last, 1, 1]))
    return g


@case
def rope_freqs_still():         # pairs that do not turn, as converters write it
    return divisors(1e30)


@case
def rope_freqs_infinite():
    return divisors(float("inf"))


@case
def bias_bf16():        # llama.cpp aborts
    g = random_llama(bias=True)
    for t in g.tensors:
        if t[0].endswith(".bias"):
            t[2], t[3] = "BF16", bf16(struct.unpack("<%df" % (len(t[3]) // 4), t[3]))
    return g


def fused(bias):        # queries, keys and values in one tensor, as converters can write them
    g = random_llama(bias=bias)
    for i in range(2):
        for kind in (".weight", ".bias")[:1 + bias]:
            names = ["blk.%d.attn_%s%s" % (i, s, kind) for s in "qkv"]
            parts = [t for n in names for t in g.tensors if t[0] == n]
            g.drop(*names)
            g.tensor("blk.%d.attn_qkv%s" % (i, kind), parts[0][1][:-1] + [sum(t[1][-1] for t in parts)], "F32",
                     b"".join(t[3] for t in parts))
    return g


@case
def fused_qkv():
    return fused(False)


@case
def fused_qkv_bias():
    return fused(True)


@case
def hole():             # the end of a download that broke off
    b = bytearray(random_llama().bytes())
    n = len(b) // 2
    b[n:] = bytes(len(b) - n)
    return bytes(b)


if __name__ == "__main__":
    out = sys.argv[1]
    for name in sys.argv[2:] or CASES:
        g = CASES[name]()
        with open(os.path.join(out, name + ".gguf"), "wb") as f:
            f.write(g if isinstance(g, bytes) else g.bytes())
