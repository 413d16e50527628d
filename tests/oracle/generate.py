#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes models of the llama architecture with random weights, in any shape and weight type, to
compare what programs compute from them.  The file is a pure function of the options.  Standard
library only.

  generate.py [options] OUT.gguf

The weights are drawn so that activations stay near 1 and logits near 2 whatever the shape.
Vectors are F32.  As llama-quantize does, rows that do not fit the blocks of a type take another
(Q5_0 instead of Q4_K, Q8_0 instead of Q6_K and so on, F16 if they do not divide into 32), and the head of
a model in one of the small types is Q6_K.
"""
import argparse
import hashlib
import math
import struct
import sys

import formats
import ggufio
import vocab
from ggufio import F32, STR, U32

MIXED = "Q4_K_M"        # Q4_K, and Q6_K where errors cost most
SMALL = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "IQ4_NL", "IQ4_XS", "MXFP4",
         MIXED)
FALLBACK = {"Q2_K": "IQ4_NL", "Q3_K": "IQ4_NL", "IQ4_XS": "IQ4_NL", "Q4_K": "Q5_0", "Q5_K": "Q5_1",
            "Q6_K": "Q8_0"}


def fitting(name, columns):
    while columns % formats.TYPES[name][1]:
        name = FALLBACK.get(name, "F16")
    return name


def uniform(seed, n):
    """n numbers from 0 to 1 in steps of 2^-16"""
    b = hashlib.shake_128(seed.encode()).digest(2 * n)
    return [x / 65536 for x in struct.unpack("<%dH" % n, b)]


def llama3_factors(o):
    """What Llama 3.1 divides the rotary frequencies by: nothing for the fast ones, 8 for the slow
    ones, something between for those that turn one to four times in its first context."""
    factor, low, high, context = 8.0, 1.0, 4.0, 8192
    out = []
    for i in range(o.head_dim // 2):
        turns = context / (2 * math.pi * o.rope_base ** (2 * i / o.head_dim))
        share = min(1.0, max(0.0, (turns - low) / (high - low)))
        out.append(1 / (share + (1 - share) / factor))
    return out


class Model:
    def __init__(self, o):
        self.o = o
        self.tensors = []
        self.main = "Q4_K" if o.type == MIXED else o.type
        self.seed = repr(sorted((k, v) for k, v in vars(o).items() if k != "out"))

    def matrix(self, name, columns, rows, std, kind=None, n=None):
        """n matrices behind one another, if there is n"""
        kind = fitting(kind or self.main, columns)
        pieces = formats.draw(kind, std, columns * rows * (n or 1), self.seed + name)
        self.tensors.append((name, kind, [columns, rows] + ([n] if n else []), pieces))

    def vector(self, name, values):
        data = struct.pack("<%df" % len(values), *values)
        self.tensors.append((name, "F32", [len(values)], [data]))

    def norm(self, name):
        self.vector(name, [0.75 + x / 2 for x in uniform(self.seed + name, self.o.embd)])

    def bias(self, name, n):
        if self.o.bias:
            self.vector(name, [x - 0.5 for x in uniform(self.seed + name, n)])

    def ends(self):
        o = self.o
        head = "Q6_K" if o.type in SMALL else self.main
        if o.tied:
            self.matrix("token_embd.weight", o.embd, o.vocab, 2 / math.sqrt(o.embd), head)
        else:
            self.matrix("token_embd.weight", o.embd, o.vocab, 1)
            self.matrix("output.weight", o.embd, o.vocab, 2 / math.sqrt(o.embd), head)
        self.norm("output_norm.weight")
        if o.rope_freqs:
            self.vector("rope_freqs.weight", llama3_factors(o))

    def block(self, i):
        o, p = self.o, "blk.%d." % i
        q, kv = o.heads * o.head_dim, o.kv * o.head_dim
        fine = "Q6_K" if o.type == MIXED and i % 2 == 0 else None
        e, f = 1 / math.sqrt(o.embd), 1 / math.sqrt(o.ff)
        self.norm(p + "attn_norm.weight")
        self.matrix(p + "attn_q.weight", o.embd, q, e)
        self.matrix(p + "attn_k.weight", o.embd, kv, e)
        self.matrix(p + "attn_v.weight", o.embd, kv, e, fine)
        self.matrix(p + "attn_output.weight", q, o.embd, 1 / math.sqrt(q))
        self.bias(p + "attn_q.bias", q)
        self.bias(p + "attn_k.bias", kv)
        self.bias(p + "attn_v.bias", kv)
        self.bias(p + "attn_output.bias", o.embd)
        self.norm(p + "ffn_norm.weight")
        self.matrix(p + "ffn_gate.weight", o.embd, o.ff, 1.5 * e)
        self.matrix(p + "ffn_up.weight", o.embd, o.ff, 1.5 * e)
        self.matrix(p + "ffn_down.weight", o.ff, o.embd, f, fine)

    def keys(self):
        o = self.o
        file_type = 15 if o.type == MIXED else formats.TYPES[o.type][3]
        keys = [("general.architecture", STR, "llama"),
                ("general.name", STR, "random %s, seed %s" % (o.type, o.seed)),
                ("general.file_type", U32, file_type),
                ("general.quantization_version", U32, 2),
                ("llama.vocab_size", U32, o.vocab),
                ("llama.context_length", U32, o.ctx),
                ("llama.embedding_length", U32, o.embd),
                ("llama.block_count", U32, o.layers),
                ("llama.feed_forward_length", U32, o.ff),
                ("llama.attention.head_count", U32, o.heads),
                ("llama.attention.head_count_kv", U32, o.kv),
                ("llama.attention.layer_norm_rms_epsilon", F32, o.eps),
                ("llama.rope.dimension_count", U32, o.head_dim),
                ("llama.rope.freq_base", F32, o.rope_base)]
        if o.head_dim * o.heads != o.embd:
            keys += [("llama.attention.key_length", U32, o.head_dim),
                     ("llama.attention.value_length", U32, o.head_dim)]
        if o.rope_linear != 1:
            keys += [("llama.rope.scaling.type", STR, "linear"),
                     ("llama.rope.scaling.factor", F32, o.rope_linear)]
        return keys + vocab.KINDS[o.tok][0](o.vocab)

    def write(self):
        self.ends()
        for i in range(self.o.layers):
            self.block(i)
        return ggufio.write(self.o.out, self.keys(), self.tensors)


def parser():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    types = sorted(formats.WEIGHTS) + [MIXED]
    p.add_argument("--type", default="F32", choices=types, help="of the matrices (F32)")
    for name, default, text in (("layers", 2, "blocks"), ("embd", 256, "width"),
                                ("heads", 4, "attention heads"), ("kv", 2, "key/value heads"),
                                ("head-dim", 0, "width of a head (embd / heads)"),
                                ("ff", 512, "width of the feed-forward part"),
                                ("vocab", 512, "tokens"), ("ctx", 512, "longest context")):
        p.add_argument("--" + name, type=int, default=default, metavar="N", help="%s (%d)" %
                       (text, default) if default else text)
    p.add_argument("--rope-base", type=float, default=10000.0, metavar="X")
    p.add_argument("--rope-linear", type=float, default=1.0, metavar="X",
                   help="positions are divided by it (1)")
    p.add_argument("--rope-freqs", action="store_true", help="the frequency factors of Llama 3.1")
    p.add_argument("--eps", type=float, default=1e-5, metavar="X", help="of the norms (1e-5)")
    p.add_argument("--bias", action="store_true", help="biases in the attention")
    p.add_argument("--tied", action="store_true", help="the embedding is the head too")
    p.add_argument("--tok", default="spm", choices=sorted(vocab.KINDS), help="tokenizer (spm)")
    p.add_argument("--seed", default="1")
    p.add_argument("out", metavar="OUT.gguf")
    return p


def options(args):
    """Parsed and checked; exits with a message if they make no model."""
    p = parser()
    o = p.parse_args(args)
    o.head_dim = o.head_dim or o.embd // max(1, o.heads)
    for name in ("layers", "embd", "heads", "kv", "head_dim", "ff", "vocab", "ctx"):
        if getattr(o, name) < 1:
            p.error("--%s must be at least 1" % name.replace("_", "-"))
    if o.heads % o.kv:
        p.error("%d heads cannot share %d key/value heads" % (o.heads, o.kv))
    if o.head_dim % 2:
        p.error("the width of a head is %d; rotation needs an even one" % o.head_dim)
    least = vocab.KINDS[o.tok][1]
    if o.vocab < least:
        p.error("a vocabulary of kind %s has at least %d tokens, not %d" % (o.tok, least, o.vocab))
    return o


def generate(args):
    """Writes the model of these options, the last of which is its path; returns its SHA-256."""
    return Model(options(args)).write()


if __name__ == "__main__":
    print("%s  %s" % (generate(sys.argv[1:]), sys.argv[-1]))
