#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Files with the keys and the tensors of models of full size, and nothing in them: weights are holes that take no
place on a disk, but for norms, which are ones.  To plan with, and to time without data.

  shapes.py [--type Q4_K] [--random] NAME OUT.gguf
  shapes.py --list

Sizes: Apertus, transformers' configurations of 8B and 70B; DeepSeek-V2-Lite and V3, their reports; SOOFI S, that of
Nemotron 3 Nano 30B-A3B; Mistral Large 3, Gemma 3 12B, Gemma 4 E2B and E4B, gpt-oss-20b and DeepSeek-V3.2, their
configurations.
"""
import argparse
import hashlib
import math
import struct
import sys

import formats
import ggufio
import vocab
from generate import fitting
from ggufio import BOOL, F32, STR, U32

HYBRID = "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME"


PIECE = 1 << 20


def random_pieces(name, kind, dims):
    """Blocks that are the same from MiB to MiB: drawing each would take minutes and change nothing."""
    if kind == "F32" and len(dims) == 1:
        n = dims[0]
        b = hashlib.shake_128(name.encode()).digest(2 * n)
        yield struct.pack("<%df" % n, *(0.75 + x / 131072 for x in struct.unpack("<%dH" % n, b)))
        return
    elements, size = formats.TYPES[kind][1:3]
    count = math.prod(dims) // elements
    drawn = min(count, PIECE // size)
    block = b"".join(formats.draw(kind, dims[0] ** -0.5, drawn * elements, name))
    for at in range(0, count, drawn):
        yield block[:min(drawn, count - at) * size]


class Shape:
    def __init__(self, arch, kind):
        self.arch, self.kind = arch, kind
        self.keys, self.tensors = [], []

    def key(self, name, kind, v):
        self.keys.append((name[1:] if name[0] == "." else self.arch + "." + name, kind, v))

    def mat(self, name, *dims, kind=None):
        self.tensors.append((name + ".weight", kind or fitting(self.kind, dims[0]), list(dims)))

    def vec(self, name, n):
        self.tensors.append((name, "F32", [n] if isinstance(n, int) else list(n)))

    def base(self, blocks, embd, ctx, eps=1e-5):
        self.key("block_count", U32, blocks)
        self.key("context_length", U32, ctx)
        self.key("embedding_length", U32, embd)
        self.key("attention.layer_norm_rms_epsilon", F32, eps)

    def ends(self, embd, tokens, tied=False):
        self.tokens = tokens
        self.key("vocab_size", U32, tokens)
        self.mat("token_embd", embd, tokens)
        if not tied:
            self.mat("output", embd, tokens, kind=fitting("Q6_K", embd))
        self.vec("output_norm.weight", embd)

    def write(self, path, title, everything=False):
        """everything: not norms alone, and a vocabulary, for programs that compute"""
        keys = [("general.architecture", STR, self.arch), ("general.name", STR, title)] + self.keys
        if everything:
            keys += vocab.KINDS["spm"][0](self.tokens)
        head, size = ggufio.header(keys, self.tensors)
        with open(path, "wb") as f:
            f.write(head)
            at = len(head)
            for name, kind, dims in self.tensors:
                n = ggufio.tensor_size(kind, dims)
                f.seek(at)
                if kind == "F32" and ".ffn_gate_inp" not in name and "conv1d" not in name:
                    f.write(struct.pack("<f", 1 if "ssm_a" not in name else -1) * (n // 4))
                elif everything:
                    for piece in random_pieces(name, kind, dims):
                        f.write(piece)
                at += n + len(ggufio.padding(n))
            f.truncate(len(head) + size)


def attention(s, p, embd, heads, kv, dim):
    s.mat(p + "attn_q", embd, heads * dim)
    s.mat(p + "attn_k", embd, kv * dim)
    s.mat(p + "attn_v", embd, kv * dim)
    s.mat(p + "attn_output", heads * dim, embd)


def apertus(s, blocks, embd, heads, ff, tokens=131072):
    s.base(blocks, embd, 65536)
    s.key("feed_forward_length", U32, ff)
    s.key("attention.head_count", U32, heads)
    s.key("attention.head_count_kv", U32, 8)
    s.key("rope.freq_base", F32, 12e6)
    s.key("rope.dimension_count", U32, 128)
    for name, v in ("alpha_p", 0.5), ("alpha_n", 0.5), ("beta", 0.5), ("eps", -1e-6):
        s.key(".xielu." + name, F32, [v] * blocks)
    s.ends(embd, tokens)
    s.vec("rope_freqs.weight", 64)
    for i in range(blocks):
        p = "blk.%d." % i
        s.vec(p + "attn_norm.weight", embd)
        attention(s, p, embd, heads, 8, 128)
        s.vec(p + "attn_q_norm.weight", 128)
        s.vec(p + "attn_k_norm.weight", 128)
        s.vec(p + "ffn_norm.weight", embd)
        s.mat(p + "ffn_up", embd, ff)
        s.mat(p + "ffn_down", ff, embd)


def deepseek(s, blocks, embd, heads, q_rank, dense, ff, expert_ff, experts, used, shared, tokens, sigmoid=True,
             log_mul=0.1, groups=8, temperature=False, indexed=0):
    """indexed: to how many positions the indexer of 64 heads leads; 0: there is none"""
    rank, nope, rot, value = 512, 128, 64, 128
    s.base(blocks, embd, 163840, 1e-6)
    s.key("feed_forward_length", U32, ff)
    s.key("attention.head_count", U32, heads)
    s.key("attention.head_count_kv", U32, 1)
    if q_rank:
        s.key("attention.q_lora_rank", U32, q_rank)
    for name, v in (("kv_lora_rank", rank), ("key_length", rank + rot), ("value_length", rank),
                    ("key_length_mla", nope + rot), ("value_length_mla", value)):
        s.key("attention." + name, U32, v)
    s.key("rope.dimension_count", U32, rot)
    s.key("rope.freq_base", F32, 10000)
    s.key("rope.scaling.type", STR, "yarn")
    s.key("rope.scaling.factor", F32, 40)
    s.key("rope.scaling.original_context_length", U32, 4096)
    s.key("rope.scaling.yarn_log_multiplier", F32, log_mul)
    for name, v in (("leading_dense_block_count", dense), ("expert_count", experts), ("expert_used_count", used),
                    ("expert_shared_count", shared), ("expert_feed_forward_length", expert_ff),
                    ("expert_gating_func", 2 if sigmoid else 1)):
        s.key(name, U32, v)
    s.key("expert_weights_norm", BOOL, sigmoid)
    s.key("expert_weights_scale", F32, 2.5 if sigmoid else 1)
    if sigmoid and groups:
        s.key("expert_group_count", U32, groups)
        s.key("expert_group_used_count", U32, groups // 2)
    if indexed:
        for name, v in (("head_count", 64), ("key_length", 128), ("top_k", indexed)):
            s.key("attention.indexer." + name, U32, v)
    s.ends(embd, tokens)
    for i in range(blocks):
        p = "blk.%d." % i
        s.vec(p + "attn_norm.weight", embd)
        if indexed:
            s.mat(p + "indexer.attn_q_b", q_rank, 64 * 128)
            s.mat(p + "indexer.attn_k", embd, 128)
            s.vec(p + "indexer.k_norm.weight", 128)
            s.vec(p + "indexer.k_norm.bias", 128)
            s.mat(p + "indexer.proj", embd, 64)
        if q_rank:
            s.mat(p + "attn_q_a", embd, q_rank)
            s.vec(p + "attn_q_a_norm.weight", q_rank)
        s.mat(p + ("attn_q_b" if q_rank else "attn_q"), q_rank or embd, heads * (nope + rot))
        s.mat(p + "attn_kv_a_mqa", embd, rank + rot)
        s.vec(p + "attn_kv_a_norm.weight", rank)
        s.mat(p + "attn_k_b", nope, rank, heads)
        s.mat(p + "attn_v_b", rank, value, heads)
        s.mat(p + "attn_output", heads * value, embd)
        s.vec(p + "ffn_norm.weight", embd)
        if i < dense:
            s.mat(p + "ffn_gate", embd, ff)
            s.mat(p + "ffn_up", embd, ff)
            s.mat(p + "ffn_down", ff, embd)
            continue
        s.mat(p + "ffn_gate_inp", embd, experts, kind="F32")
        if sigmoid:
            s.vec(p + "exp_probs_b.bias", experts)
        s.mat(p + "ffn_gate_exps", embd, expert_ff, experts)
        s.mat(p + "ffn_up_exps", embd, expert_ff, experts)
        s.mat(p + "ffn_down_exps", expert_ff, embd, experts)
        s.mat(p + "ffn_gate_shexp", embd, shared * expert_ff)
        s.mat(p + "ffn_up_shexp", embd, shared * expert_ff)
        s.mat(p + "ffn_down_shexp", shared * expert_ff, embd)


def soofi(s, hybrid=HYBRID, experts=128, tokens=131072):
    embd, inner, groups, state, heads = 2688, 4096, 8, 128, 64
    conv = inner + 2 * groups * state
    s.base(len(hybrid), embd, 1 << 18)
    s.key("attention.layer_norm_epsilon", F32, 1e-5)
    s.key("attention.head_count", U32, 32)
    s.key("attention.head_count_kv", U32, [2 if k == "*" else 0 for k in hybrid])
    s.key("feed_forward_length", U32, [1856 if k == "E" else 0 for k in hybrid])
    s.key("attention.key_length", U32, 128)
    s.key("attention.value_length", U32, 128)
    for name, v in (("ssm.conv_kernel", 4), ("ssm.inner_size", inner), ("ssm.state_size", state),
                    ("ssm.time_step_rank", heads), ("ssm.group_count", groups), ("expert_count", experts),
                    ("expert_used_count", 6), ("expert_shared_count", 1), ("expert_feed_forward_length", 1856),
                    ("expert_shared_feed_forward_length", 3712)):
        s.key(name, U32, v)
    s.key("expert_weights_norm", BOOL, True)
    s.key("expert_weights_scale", F32, 2.5)
    s.ends(embd, tokens)
    for i, kind in enumerate(hybrid):
        p = "blk.%d." % i
        s.vec(p + "attn_norm.weight", embd)
        if kind == "*":
            attention(s, p, embd, 32, 2, 128)
        elif kind == "M":
            s.mat(p + "ssm_in", embd, inner + conv + heads)
            s.mat(p + "ssm_conv1d", 4, conv, kind="F32")
            s.vec(p + "ssm_conv1d.bias", conv)
            s.vec(p + "ssm_dt.bias", heads)
            s.tensors += [(p + "ssm_a", "F32", [1, heads]), (p + "ssm_d", "F32", [1, heads]),
                          (p + "ssm_norm.weight", "F32", [inner // groups, groups])]
            s.mat(p + "ssm_out", inner, embd)
        else:
            s.mat(p + "ffn_gate_inp", embd, experts, kind="F32")
            s.vec(p + "exp_probs_b.bias", experts)
            s.mat(p + "ffn_up_exps", embd, 1856, experts)
            s.mat(p + "ffn_down_exps", 1856, embd, experts)
            s.mat(p + "ffn_up_shexp", embd, 3712)
            s.mat(p + "ffn_down_shexp", 3712, embd)


def gemma3(s, blocks, embd, heads, kv, dim, ff, window, tokens=262144):
    s.base(blocks, embd, 131072, 1e-6)
    s.key("feed_forward_length", U32, ff)
    s.key("attention.head_count", U32, heads)
    s.key("attention.head_count_kv", U32, kv)
    s.key("attention.key_length", U32, dim)
    s.key("attention.value_length", U32, dim)
    s.key("attention.sliding_window", U32, window)
    s.key("rope.freq_base", F32, 1e6)
    s.key("rope.scaling.type", STR, "linear")
    s.key("rope.scaling.factor", F32, 8)
    s.ends(embd, tokens, tied=True)
    for i in range(blocks):
        p = "blk.%d." % i
        for name, n in (("attn_norm", embd), ("attn_q_norm", dim), ("attn_k_norm", dim), ("post_attention_norm", embd),
                        ("ffn_norm", embd), ("post_ffw_norm", embd)):
            s.vec(p + name + ".weight", n)
        attention(s, p, embd, heads, kv, dim)
        s.mat(p + "ffn_gate", embd, ff)
        s.mat(p + "ffn_up", embd, ff)
        s.mat(p + "ffn_down", ff, embd)


def gemma4(s, blocks, embd, kv, ff, wide_ff, interval, shared, tokens=262144):
    """every so many blocks one attends to all; the last use keys and values of others, and may have a wider network"""
    dims = [512 if i % interval == interval - 1 else 256 for i in range(blocks)]
    widths = [ff if i < blocks - shared else wide_ff for i in range(blocks)]
    s.base(blocks, embd, 131072, 1e-6)
    s.key("feed_forward_length", U32, widths)
    s.key("attention.head_count", U32, 8)
    s.key("attention.head_count_kv", U32, kv)
    for name, n in (("key_length", 512), ("value_length", 512), ("key_length_swa", 256), ("value_length_swa", 256),
                    ("sliding_window", 512), ("shared_kv_layers", shared)):
        s.key("attention." + name, U32, n)
    s.key("attention.sliding_window_pattern", BOOL, [d == 256 for d in dims])
    s.key("embedding_length_per_layer_input", U32, 256)
    s.key("rope.dimension_count", U32, 512)
    s.key("rope.dimension_count_swa", U32, 256)
    s.key("rope.freq_base", F32, 1e6)
    s.key("rope.freq_base_swa", F32, 1e4)
    s.key("final_logit_softcapping", F32, 30)
    s.ends(embd, tokens, tied=True)
    s.mat("per_layer_token_embd", 256 * blocks, tokens)
    s.mat("per_layer_model_proj", embd, 256 * blocks, kind="BF16")
    s.vec("per_layer_proj_norm.weight", 256)
    s.vec("rope_freqs.weight", 256)
    for i, dim in enumerate(dims):
        p = "blk.%d." % i
        for name, n in (("attn_norm", embd), ("attn_q_norm", dim), ("post_attention_norm", embd), ("ffn_norm", embd),
                        ("post_ffw_norm", embd), ("post_norm", embd), ("layer_output_scale", 1)):
            s.vec(p + name + ".weight", n)
        s.mat(p + "attn_q", embd, 8 * dim)
        s.mat(p + "attn_output", 8 * dim, embd)
        if i < blocks - shared:
            s.mat(p + "attn_k", embd, kv * dim)
            s.mat(p + "attn_v", embd, kv * dim)
            s.vec(p + "attn_k_norm.weight", dim)
        s.mat(p + "ffn_gate", embd, widths[i])
        s.mat(p + "ffn_up", embd, widths[i])
        s.mat(p + "ffn_down", widths[i], embd)
        s.mat(p + "inp_gate", embd, 256)
        s.mat(p + "proj", 256, embd)


def gpt_oss(s, blocks, embd, heads, kv, dim, ff, experts, used, window, tokens):
    s.base(blocks, embd, 131072)
    s.key("attention.head_count", U32, heads)
    s.key("attention.head_count_kv", U32, kv)
    s.key("attention.key_length", U32, dim)
    s.key("attention.value_length", U32, dim)
    s.key("attention.sliding_window", U32, window)
    s.key("rope.freq_base", F32, 150000)
    s.key("rope.scaling.type", STR, "yarn")
    s.key("rope.scaling.factor", F32, 32)
    s.key("rope.scaling.original_context_length", U32, 4096)
    for name, v in (("expert_count", experts), ("expert_used_count", used), ("expert_feed_forward_length", ff)):
        s.key(name, U32, v)
    s.ends(embd, tokens)
    for i in range(blocks):
        p = "blk.%d." % i
        s.vec(p + "attn_norm.weight", embd)
        attention(s, p, embd, heads, kv, dim)
        for name, n in (("attn_q", heads * dim), ("attn_k", kv * dim), ("attn_v", kv * dim), ("attn_output", embd),
                        ("ffn_gate_inp", experts), ("ffn_gate_exps", (ff, experts)), ("ffn_up_exps", (ff, experts)),
                        ("ffn_down_exps", (embd, experts))):
            s.vec(p + name + ".bias", n)
        s.vec(p + "attn_sinks.weight", heads)
        s.vec(p + "post_attention_norm.weight", embd)
        s.mat(p + "ffn_gate_inp", embd, experts, kind="F32")
        s.mat(p + "ffn_gate_exps", embd, ff, experts)
        s.mat(p + "ffn_up_exps", embd, ff, experts)
        s.mat(p + "ffn_down_exps", ff, embd, experts)


SHAPES = {
    "apertus-8b": ("apertus", lambda s: apertus(s, 32, 4096, 32, 21504)),
    "apertus-70b": ("apertus", lambda s: apertus(s, 80, 8192, 64, 43008)),
    "v2-lite": ("deepseek2", lambda s: deepseek(s, 27, 2048, 16, 0, 1, 10944, 1408, 64, 6, 2, 102400, False, 0.0707)),
    "v3": ("deepseek2", lambda s: deepseek(s, 61, 7168, 128, 1536, 3, 18432, 2048, 256, 8, 1, 129280)),
    "soofi-s": ("nemotron_h_moe", soofi),
    "mistral-large-3": ("deepseek2", lambda s: deepseek(s, 61, 7168, 128, 1536, 3, 16384, 4096, 128, 4, 1, 131072,
                                                        False)),
    # Of some positions only: of windows, or those that an indexer chooses.
    "gemma3-12b": ("gemma3", lambda s: gemma3(s, 48, 3840, 16, 8, 256, 15360, 1024)),
    "gemma4-e2b": ("gemma4", lambda s: gemma4(s, 35, 1536, 1, 6144, 12288, 5, 20)),
    "gemma4-e4b": ("gemma4", lambda s: gemma4(s, 42, 2560, 2, 10240, 10240, 6, 18)),
    "gpt-oss-20b": ("gpt-oss", lambda s: gpt_oss(s, 24, 2880, 64, 8, 64, 2880, 32, 4, 128, 201088)),
    "v3.2": ("deepseek32", lambda s: deepseek(s, 61, 7168, 128, 1536, 3, 18432, 2048, 256, 8, 1, 129280, indexed=2048)),
    # The same, scaled to about a thousand million: what programs are compared with.
    "apertus-1b": ("apertus", lambda s: apertus(s, 16, 2048, 16, 10752, 32000)),
    "v2-lite-1b": ("deepseek2", lambda s: deepseek(s, 27, 1024, 8, 0, 1, 5472, 704, 16, 6, 2, 32000, False, 0.0707)),
    "soofi-1b": ("nemotron_h_moe", lambda s: soofi(s, "MEM*MEMEM", 24, 32000)),
}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--list", action="store_true")
    p.add_argument("--type", default="Q4_K")
    p.add_argument("--random", action="store_true", help="random matrices instead of holes, and a vocabulary")
    p.add_argument("name", nargs="?", choices=SHAPES)
    p.add_argument("out", nargs="?")
    o = p.parse_args()
    if o.list:
        print("\n".join(SHAPES))
        return
    if not o.out:
        p.error("a name and a file are needed")
    arch, build = SHAPES[o.name]
    s = Shape(arch, o.type)
    build(s)
    s.write(o.out, o.name, o.random)


if __name__ == "__main__":
    sys.exit(main())
