#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes models of any architecture with random weights, as generate.py does of llama's: small,
a pure function of the options, of weights that keep activations near 1 and logits near 2.
Standard library only.

  arch.py --list
  arch.py NAME [options] OUT.gguf

NAME is a line of MODELS below, which says what its blocks are made of and what its options are
when nothing else is asked for; --help after the name shows them.  An option that is 0 or empty is
not written to the file.  --key NAME=TYPE:VALUE (u32, i32, f32, bool or str; of an array with commas
between) writes a key, also in the place of one that is there, --drop NAME leaves out keys and tensors
whose name ends so.  "kinds" is a letter for each block, over and over: "*" attention, "M"
Mamba-2, "L" delta net, "C" short convolution, "-" feed-forward, "E" experts; where blocks have
both halves the letter is of the first.

The rows of expert routers are larger than other weights, so that rounding seldom decides who is
chosen; for data that is kept, take a seed where it never does.  Indexers have many heads: all of a
few can find nothing in two keys, and then it is chance which of the two is chosen.
"""
import argparse
import math
import struct
import sys

import formats
import generate
import ggufio
import vocab
from generate import MIXED, SMALL, uniform
from ggufio import BOOL, F32, I32, STR, U32

BASE = dict(type="F32", layers=2, embd=64, heads=3, kv=1, head_dim=32, ff=96, vocab=259, ctx=512,
            eps=1e-5, rope_base=10000.0, rotated=0, tied=False, tok="none", seed="1", kinds="*",
            bias="", qk_norm="", ffn_norm="ffn_norm", post_norms=False, gain=1.0, freqs=False, head_bias=False,
            joined_qkv=False)
KINDS = {"u32": (U32, int), "i32": (I32, int), "f32": (F32, float), "bool": (BOOL, lambda s: s == "true"), "str": (STR, str)}
YARN = dict(yarn=4.0, yarn_context=512)     # some pairs turn more than 32 times in it
NEAR = dict(yarn=4.0, yarn_context=16)      # where what begins beyond it can be seen
EXPERTS = dict(experts=8, used=3, gain=0.5)
MAMBA = dict(conv=4, ssm_heads=6, ssm_width=16, ssm_state=32, ssm_groups=2)
DELTA = dict(conv=4, state=32, key_heads=2, value_heads=4, interval=2)


class Model(generate.Model):
    def __init__(self, name, o):
        self.o, self.name, self.arch = o, name, MODELS[name][0]
        self.tensors, self.written = [], []
        self.main = "Q4_K" if o.type == MIXED else o.type
        # Not of the other options: what is added to them changes no file.
        self.seed = "%s/%s/" % (name, o.seed)

    # ---------------------------------------------------------------- what files are made of

    def get(self, option):
        return getattr(self.o, option, 0)

    def letter(self, i):
        return self.o.kinds[i % len(self.o.kinds)]

    def letters(self):
        return [self.letter(i) for i in range(self.o.layers)]

    def key(self, name, kind, value, always=False):
        """Without the architecture, if the name begins with a point; nothing if there is nothing."""
        if value or always:
            self.written.append((name[1:] if name[0] == "." else self.arch + "." + name, kind, value))

    def fill(self, name, dims, low, high):
        """F32 between these"""
        n = math.prod(dims)
        values = [low + (high - low) * x for x in uniform(self.seed + name, n)]
        self.exact(name, dims, values)

    def exact(self, name, dims, values):
        self.tensors.append((name, "F32", dims, [struct.pack("<%df" % len(values), *values)]))

    def normal(self, name, n):
        """The factors of a norm, and what it adds."""
        self.fill(name + ".weight", [n], 0.75, 1.25)
        if self.get("norm_bias"):
            self.fill(name + ".bias", [n], -0.25, 0.25)

    def linear(self, name, columns, rows, gain=1.0, kind=None, n=None, bias=None):
        self.matrix(name + ".weight", columns, rows, gain / math.sqrt(columns), kind, n)
        if bias is not None and bias in (self.o.bias or " "):
            self.fill(name + ".bias", [rows], -0.5, 0.5)

    def out(self, name, columns, gain=1.0, **more):
        """What is added to the stream"""
        self.linear(name, columns, self.o.embd, gain * self.o.gain, **more)

    # ---------------------------------------------------------------- keys

    def common_keys(self):
        o = self.o
        file_type = 15 if o.type == MIXED else formats.TYPES[o.type][3]
        self.key(".general.architecture", STR, self.arch)
        self.key(".general.name", STR, "random %s %s, seed %s" % (self.name, o.type, o.seed))
        self.key(".general.file_type", U32, file_type, True)
        self.key(".general.quantization_version", U32, 2)
        self.key("vocab_size", U32, o.vocab)
        self.key("context_length", U32, o.ctx)
        self.key("embedding_length", U32, o.embd)
        self.key("block_count", U32, o.layers)
        eps = "attention.layer_norm_epsilon" if self.get("layer_norm") else \
            "attention.layer_norm_rms_epsilon"
        self.key(eps, F32, o.eps)
        for name, kind, option in (
                ("embedding_scale", F32, "embedding_scale"),
                ("residual_scale", F32, "residual_scale"),
                ("logit_scale", F32, "logit_scale"),
                ("attention.scale", F32, "attention_scale"),
                ("attn_logit_softcapping", F32, "attn_softcap"),
                ("final_logit_softcapping", F32, "final_softcap"),
                ("attention.sliding_window", U32, "window"),
                ("attention.temperature_scale", F32, "temperature"),
                ("attention.temperature_length", U32, "temperature_length"),
                ("shortconv.l_cache", U32, "l_cache")):
            self.key(name, kind, self.get(option))

    def head_keys(self):
        o, kv = self.o, self.o.kv
        if o.kinds.strip("*L"):
            kv = [kv if k == "*" else 0 for k in self.letters()]
        self.key("attention.head_count", U32, o.heads)
        self.key("attention.head_count_kv", U32, kv)
        self.key("attention.key_length", U32, o.head_dim)
        self.key("attention.value_length", U32, o.head_dim)
        self.key("rope.dimension_count", U32, o.rotated or o.head_dim)
        self.key("rope.freq_base", F32, o.rope_base)
        self.key("rope.freq_base_swa", F32, self.get("rope_base_swa"))

    def alibi_keys(self):
        self.key("attention.head_count", U32, self.o.heads)
        self.key("attention.head_count_kv", U32, self.o.kv)

    def shares(self, i):
        """keys and values of a block before it"""
        return i >= self.o.layers - self.get("shared_kv")

    def ff(self, i):
        return self.o.ff * (2 if self.get("wide_ff") and self.shares(i) else 1)

    def ff_keys(self):
        n = range(self.o.layers)
        self.key("feed_forward_length", U32, [self.ff(i) for i in n] if self.get("wide_ff") else self.o.ff)

    def yarn_keys(self):
        if not self.get("yarn"):
            return
        self.key("rope.scaling.type", STR, "yarn")
        self.key("rope.scaling.factor", F32, self.o.yarn)
        self.key("rope.scaling.original_context_length", U32, self.o.yarn_context)
        self.key("rope.scaling.yarn_beta_fast", F32, self.get("beta_fast"))
        self.key("rope.scaling.yarn_beta_slow", F32, self.get("beta_slow"))
        self.key("rope.scaling.yarn_log_multiplier", F32, self.get("log_multiplier"))

    def expert_keys(self):
        for name, kind, option in (
                ("expert_count", U32, "experts"), ("expert_used_count", U32, "used"),
                ("expert_feed_forward_length", U32, "expert_ff"),
                ("expert_shared_count", U32, "shared"),
                ("expert_shared_feed_forward_length", U32, "shared_ff"),
                ("leading_dense_block_count", U32, "dense"),
                ("expert_group_count", U32, "groups"),
                ("expert_group_used_count", U32, "groups_used"),
                ("expert_weights_scale", F32, "weights_scale"),
                ("expert_weights_norm", BOOL, "weights_norm"),
                ("expert_gating_func", U32, "gating")):
            self.key(name, kind, self.get(option))

    def mla_keys(self):
        o = self.o
        new = o.layout == "new"
        self.key("attention.head_count", U32, o.heads)
        self.key("attention.head_count_kv", U32, 1 if new else o.heads)
        self.key("attention.q_lora_rank", U32, o.q_lora)
        self.key("attention.kv_lora_rank", U32, o.kv_lora)
        self.key("attention.key_length", U32, o.kv_lora + o.rope if new else o.nope + o.rope)
        self.key("attention.value_length", U32, o.kv_lora if new else o.value)
        if new:
            self.key("attention.key_length_mla", U32, o.nope + o.rope)
            self.key("attention.value_length_mla", U32, o.value)
        self.key("rope.dimension_count", U32, o.rope)
        self.key("rope.freq_base", F32, o.rope_base)

    def indexer_keys(self):
        self.key("attention.indexer.head_count", U32, self.o.index_heads)
        self.key("attention.indexer.key_length", U32, self.o.index_width)
        self.key("attention.indexer.top_k", U32, self.o.index_top)

    def ssm_keys(self):
        o = self.o
        self.key("ssm.conv_kernel", U32, o.conv)
        self.key("ssm.inner_size", U32, o.ssm_heads * o.ssm_width)
        self.key("ssm.state_size", U32, o.ssm_state)
        self.key("ssm.time_step_rank", U32, o.ssm_heads)
        self.key("ssm.group_count", U32, o.ssm_groups)

    def delta_keys(self):
        o = self.o
        self.key("ssm.conv_kernel", U32, o.conv)
        self.key("ssm.inner_size", U32, o.value_heads * o.state)
        self.key("ssm.state_size", U32, o.state)
        self.key("ssm.time_step_rank", U32, o.value_heads)
        self.key("ssm.group_count", U32, o.key_heads)
        self.key("full_attention_interval", U32, o.interval)

    def section_keys(self):
        r = (self.o.rotated or self.o.head_dim) // 2
        self.key("rope.dimension_sections", U32, [r - 2 * (r // 3), r // 3, r // 3, 0])

    def nemotron_h_keys(self):
        ff = {"-": self.o.ff, "E": self.get("expert_ff")}
        self.key("feed_forward_length", U32, [ff.get(k, 0) for k in self.letters()])
        self.key("attention.layer_norm_epsilon", F32, self.o.eps)

    def xielu_keys(self):
        n = range(self.o.layers)
        self.key(".xielu.alpha_n", F32, [0.3 + 0.1 * i for i in n])
        self.key(".xielu.alpha_p", F32, [0.8 - 0.1 * i for i in n])
        self.key(".xielu.beta", F32, [0.5 for i in n])
        self.key(".xielu.eps", F32, [-1e-6 for i in n])

    def phi_keys(self):
        self.key("rope.scaling.original_context_length", U32, self.o.original_context)

    def gemma4_keys(self):
        o = self.o
        self.key("embedding_length_per_layer_input", U32, o.per_layer, True)
        self.key("attention.shared_kv_layers", U32, o.shared_kv, True)
        self.key("attention.head_count", U32, o.heads)
        self.key("attention.head_count_kv", U32, [self.gemma4_shape(i)[1] for i in range(o.layers)])
        self.key("attention.key_length", U32, 2 * o.head_dim)
        self.key("attention.value_length", U32, 2 * o.head_dim)
        self.key("attention.key_length_swa", U32, o.head_dim)
        self.key("attention.value_length_swa", U32, o.head_dim)
        self.key("rope.dimension_count", U32, 2 * o.head_dim)
        self.key("rope.dimension_count_swa", U32, o.head_dim)
        self.key("rope.freq_base", F32, o.rope_base)
        self.key("rope.freq_base_swa", F32, o.rope_base_swa)
        self.key("attention.sliding_window_pattern", BOOL, [not self.gemma4_wide(i) for i in range(o.layers)])

    def deepseek4_keys(self):
        o = self.o
        self.key("attention.head_count", U32, o.heads)
        self.key("attention.head_count_kv", U32, 1)
        self.key("attention.key_length", U32, o.head_dim)
        self.key("attention.value_length", U32, o.head_dim)
        self.key("rope.dimension_count", U32, o.rotated)
        self.key("rope.freq_base", F32, o.rope_base)
        self.key("attention.q_lora_rank", U32, o.q_lora)
        self.key("attention.output_group_count", U32, o.out_groups)
        self.key("attention.output_lora_rank", U32, o.out_lora)
        self.key("attention.compress_rope_freq_base", F32, o.rope_base_swa)
        self.key("attention.compress_ratios", U32, [self.ratio(i) for i in range(o.layers)])
        self.key("hyper_connection.count", U32, o.streams)
        self.key("hyper_connection.sinkhorn_iterations", U32, o.sinkhorn)
        self.key("hyper_connection.epsilon", F32, 1e-6)
        self.key("hash_layer_count", U32, o.hashed, True)
        self.key("swiglu_clamp_exp", F32, [o.clamp] * o.layers)

    # ---------------------------------------------------------------- the ends

    def ends(self):
        o = self.o
        head = "Q6_K" if o.type in SMALL else self.main
        size = math.sqrt(o.embd)
        logits = 2 / size * (self.get("logit_scale") or 1)
        scale = size if self.get("gemma") else self.get("embedding_scale") or 1
        if o.tied:
            self.matrix("token_embd.weight", o.embd, o.vocab, logits, head)
        else:
            self.matrix("token_embd.weight", o.embd, o.vocab, 1 / scale)
            self.matrix("output.weight", o.embd, o.vocab, logits, head)
        if o.head_bias:
            self.fill("output.bias", [o.vocab], -1, 1)
        if self.get("embd_norm"):
            self.normal("token_embd_norm", o.embd)
        self.normal(self.get("last_norm") or "output_norm", o.embd)
        if o.freqs:
            self.exact("rope_freqs.weight", [o.head_dim // 2], generate.llama3_factors(o))

    def phi_ends(self):
        self.ends()
        n = (self.o.rotated or self.o.head_dim) // 2
        self.fill("rope_factors_long.weight", [n], 1, 4)
        self.fill("rope_factors_short.weight", [n], 1, 1.25)

    def gemma4_ends(self):
        o = self.o
        self.ends()
        if o.per_layer:
            n = o.per_layer * o.layers
            self.matrix("per_layer_token_embd.weight", n, o.vocab, 1 / math.sqrt(o.per_layer))
            self.matrix("per_layer_model_proj.weight", o.embd, n, 1)
            self.normal("per_layer_proj_norm", o.per_layer)
        # A quarter of the pairs turn.
        self.exact("rope_freqs.weight", [o.head_dim],
                   [1.0 if i < o.head_dim // 4 else 1e30 for i in range(o.head_dim)])

    def deepseek4_ends(self):
        o = self.o
        self.ends()
        self.linear("output_hc_fn", o.streams * o.embd, o.streams, kind="F32")
        self.fill("output_hc_base.weight", [o.streams], -0.5, 0.5)
        self.fill("output_hc_scale.weight", [1], 0.5, 1)

    # ---------------------------------------------------------------- first halves of blocks

    def attention(self, p, i):
        o = self.o
        q, kv = o.heads * o.head_dim, o.kv * o.head_dim
        if not self.get("no_norm"):
            self.normal(p + "attn_norm", o.embd)
        if self.get("fused") or o.joined_qkv:
            self.linear(p + "attn_qkv", o.embd, q * (2 if self.get("gated") else 1) + 2 * kv, bias="q")
        else:
            self.linear(p + "attn_q", o.embd, q * (2 if self.get("gated") else 1), bias="q")
            self.linear(p + "attn_k", o.embd, kv, bias="k")
            self.linear(p + "attn_v", o.embd, kv, bias="v")
        self.out(p + "attn_output", q, bias="o")
        if o.qk_norm:
            each = o.qk_norm == "head"
            self.normal(p + "attn_q_norm", o.head_dim if each else q)
            self.normal(p + "attn_k_norm", o.head_dim if each else kv)
        if self.get("sinks"):
            self.fill(p + "attn_sinks.weight", [o.heads], -1, 1)
        if o.post_norms:
            self.normal(p + "post_attention_norm", o.embd)

    def latent(self, p, i):
        o = self.o
        self.normal(p + "attn_norm", o.embd)
        if o.q_lora:
            self.linear(p + "attn_q_a", o.embd, o.q_lora)
            self.normal(p + "attn_q_a_norm", o.q_lora)
            self.linear(p + "attn_q_b", o.q_lora, o.heads * (o.nope + o.rope))
        else:
            self.linear(p + "attn_q", o.embd, o.heads * (o.nope + o.rope))
        self.linear(p + "attn_kv_a_mqa", o.embd, o.kv_lora + o.rope)
        self.normal(p + "attn_kv_a_norm", o.kv_lora)
        self.latent_halves(p)
        self.out(p + "attn_output", o.heads * o.value)

    def latent_halves(self, p):
        """attn_kv_b, or what became of it: the same weights in either layout if they are floats."""
        o = self.o
        if o.layout == "old":
            self.linear(p + "attn_kv_b", o.kv_lora, o.heads * (o.nope + o.value))
            return
        if formats.TYPES[self.main][1] > 1:
            self.matrix(p + "attn_k_b.weight", o.nope, o.kv_lora, 1 / math.sqrt(o.kv_lora), n=o.heads)
            self.linear(p + "attn_v_b", o.kv_lora, o.value, n=o.heads)
            return
        self.linear(p + "attn_kv_b", o.kv_lora, o.heads * (o.nope + o.value))
        _, kind, _, pieces = self.tensors.pop()
        data, size = b"".join(pieces), formats.TYPES[kind][2]
        row = o.kv_lora * size
        keys, values = bytearray(), bytearray()
        for h in range(o.heads):
            at = h * (o.nope + o.value) * row
            part = data[at:at + o.nope * row]
            for c in range(0, row, size):
                for n in range(0, len(part), row):
                    keys += part[n + c:n + c + size]
            values += data[at + o.nope * row:at + (o.nope + o.value) * row]
        self.tensors.append((p + "attn_k_b.weight", kind, [o.nope, o.kv_lora, o.heads], [keys]))
        self.tensors.append((p + "attn_v_b.weight", kind, [o.kv_lora, o.value, o.heads], [values]))

    def indexed(self, p, i):
        o = self.o
        self.latent(p, i)
        self.linear(p + "indexer.attn_k", o.embd, o.index_width)
        self.fill(p + "indexer.k_norm.weight", [o.index_width], 0.75, 1.25)
        self.fill(p + "indexer.k_norm.bias", [o.index_width], -0.25, 0.25)
        self.linear(p + "indexer.proj", o.embd, o.index_heads)
        self.linear(p + "indexer.attn_q_b", o.q_lora, o.index_heads * o.index_width)

    def steps(self, p, n):
        """How fast n heads forget: steps from 0.001 to 0.1, rates from 1 to 16."""
        steps = [10 ** (2 * x - 3) for x in uniform(self.seed + p + "dt", n)]
        self.exact(p + "ssm_dt.bias", [n], [math.log(math.expm1(x)) for x in steps])
        return [-1 - 15 * x for x in uniform(self.seed + p + "a", n)]

    def mamba(self, p, i):
        o = self.o
        inner = o.ssm_heads * o.ssm_width
        mixed = inner + 2 * o.ssm_groups * o.ssm_state
        self.normal(p + "attn_norm", o.embd)
        self.linear(p + "ssm_in", o.embd, inner + mixed + o.ssm_heads)
        self.fill(p + "ssm_conv1d.weight", [o.conv, mixed], -0.9, 0.9)
        self.fill(p + "ssm_conv1d.bias", [mixed], -0.2, 0.2)
        self.exact(p + "ssm_a", [1, o.ssm_heads], self.steps(p, o.ssm_heads))
        self.fill(p + "ssm_d", [1, o.ssm_heads], 0.75, 1.25)
        self.fill(p + "ssm_norm.weight", [inner // o.ssm_groups, o.ssm_groups], 0.75, 1.25)
        self.out(p + "ssm_out", inner)

    def delta(self, p, i):
        o = self.o
        value = o.value_heads * o.state
        mixed = 2 * o.key_heads * o.state + value
        self.normal(p + "attn_norm", o.embd)
        if self.get("whole"):
            self.linear(p + "ssm_in", o.embd, mixed + value)
        else:
            self.linear(p + "attn_qkv", o.embd, mixed)
            self.linear(p + "attn_gate", o.embd, value)
        self.fill(p + "ssm_conv1d.weight", [o.conv, mixed], -0.9, 0.9)
        self.exact(p + "ssm_a", [o.value_heads], self.steps(p, o.value_heads))
        if self.get("joined"):
            self.linear(p + "ssm_ba", o.embd, 2 * o.value_heads)
        else:
            self.linear(p + "ssm_beta", o.embd, o.value_heads)
            self.linear(p + "ssm_alpha", o.embd, o.value_heads)
        self.fill(p + "ssm_norm.weight", [o.state], 0.75, 1.25)
        self.out(p + "ssm_out", value)

    def convolution(self, p, i):
        o = self.o
        self.normal(p + "attn_norm", o.embd)
        self.linear(p + "shortconv.in_proj", o.embd, 3 * o.embd)
        self.fill(p + "shortconv.conv.weight", [o.l_cache, o.embd], -1, 1)
        self.out(p + "shortconv.out_proj", o.embd)

    def gemma4_wide(self, i):
        return i % self.o.interval == self.o.interval - 1

    def gemma4_shape(self, i):
        """width of a head, key/value heads"""
        o = self.o
        return (2 * o.head_dim, o.kv) if self.gemma4_wide(i) else (o.head_dim, o.kv_swa)

    def gemma4(self, p, i):
        o = self.o
        d, kv = self.gemma4_shape(i)
        self.normal(p + "attn_norm", o.embd)
        self.linear(p + "attn_q", o.embd, o.heads * d)
        # Scores are not scaled; these keep them near 2.
        self.fill(p + "attn_q_norm.weight", [d], 1.5 / math.sqrt(d), 2.5 / math.sqrt(d))
        if o.unused_kv or not self.shares(i):
            self.linear(p + "attn_k", o.embd, kv * d)
            self.normal(p + "attn_k_norm", d)
            if not (o.same_value and self.gemma4_wide(i)):
                self.linear(p + "attn_v", o.embd, kv * d)
        self.out(p + "attn_output", o.heads * d)
        self.normal(p + "post_attention_norm", o.embd)
        self.fill(p + "layer_output_scale.weight", [1], 0.8, 1)
        if o.per_layer:
            self.linear(p + "inp_gate", o.embd, o.per_layer)
            self.linear(p + "proj", o.per_layer, o.embd)
            self.normal(p + "post_norm", o.embd)

    def ratio(self, i):
        return self.o.ratios[i % len(self.o.ratios)]

    def hyper(self, p, which):
        o = self.o
        mixes = (2 + o.streams) * o.streams
        self.linear(p + "hc_%s_fn" % which, o.streams * o.embd, mixes, kind="F32")
        self.fill(p + "hc_%s_base.weight" % which, [mixes], -0.5, 0.5)
        self.fill(p + "hc_%s_scale.weight" % which, [3], 0.5, 1)

    def compressor(self, p, width, ratio):
        """of keys of this width; at ratio 4 the pieces overlap"""
        o = self.o
        n = width * (2 if ratio == 4 else 1)
        self.linear(p + "_compressor_kv", o.embd, n)
        self.linear(p + "_compressor_gate", o.embd, n)
        self.fill(p + "_compressor_ape.weight", [n, ratio], -0.5, 0.5)
        self.normal(p + "_compressor_norm", width)

    def deepseek4(self, p, i):
        o, ratio = self.o, self.ratio(i)
        q = o.heads * o.head_dim
        self.normal(p + "attn_norm", o.embd)
        self.fill(p + "attn_sinks.weight", [o.heads], -1, 1)
        self.linear(p + "attn_q_a", o.embd, o.q_lora)
        self.normal(p + "attn_q_a_norm", o.q_lora)
        self.linear(p + "attn_q_b", o.q_lora, q)
        self.linear(p + "attn_kv", o.embd, o.head_dim)
        self.normal(p + "attn_kv_a_norm", o.head_dim)
        self.linear(p + "attn_output_a", q // o.out_groups, o.out_lora, n=o.out_groups)
        self.out(p + "attn_output_b", o.out_groups * o.out_lora)
        self.hyper(p, "attn")
        self.hyper(p, "ffn")
        if ratio:
            self.compressor(p + "attn", o.head_dim, ratio)
        if ratio == 4:
            self.compressor(p + "indexer", o.index_width, ratio)
            self.linear(p + "indexer.proj", o.embd, o.index_heads)
            self.linear(p + "indexer.attn_q_b", o.q_lora, o.index_heads * o.index_width)

    # ---------------------------------------------------------------- second halves

    def second_norm(self, p):
        if self.o.ffn_norm:
            self.normal(p + self.o.ffn_norm, self.o.embd)

    def swiglu(self, p, i):
        o = self.o
        ff = self.ff(i)
        self.second_norm(p)
        if self.get("fused") or self.get("joined_ff"):
            self.linear(p + "ffn_up", o.embd, 2 * ff, 1.5)
        else:
            self.linear(p + "ffn_gate", o.embd, ff, 1.5, bias="f")
            self.linear(p + "ffn_up", o.embd, ff, 1.5, bias="f")
        self.out(p + "ffn_down", ff, bias="f")
        if o.post_norms:
            self.normal(p + "post_ffw_norm", o.embd)

    def plain(self, p, i):
        """Without a gate"""
        o = self.o
        self.second_norm(p)
        self.linear(p + "ffn_up", o.embd, o.ff, bias="f")
        self.out(p + "ffn_down", o.ff, 0.8, bias="f")

    def nemotron_plain(self, p, i):
        self.normal(p + "attn_norm", self.o.embd)
        self.plain(p, i)

    def nemotron_experts(self, p, i):
        self.normal(p + "attn_norm", self.o.embd)
        self.experts(p, i)

    def experts(self, p, i):
        o = self.o
        if i < self.get("dense"):
            self.swiglu(p, i)
            return
        self.second_norm(p)
        ff = self.get("expert_ff") or o.ff
        self.linear(p + "ffn_gate_inp", o.embd, o.experts, 3, "F32")
        if self.get("choice") and i >= self.get("hashed"):
            self.fill(p + "exp_probs_b.bias", [o.experts], -0.2, 0.2)
        if not self.get("ungated"):
            self.linear(p + "ffn_gate_exps", o.embd, ff, 1.5, n=o.experts)
        self.linear(p + "ffn_up_exps", o.embd, ff, 1 if self.get("ungated") else 1.5, n=o.experts)
        self.out(p + "ffn_down_exps", ff, n=o.experts)
        if "x" in o.bias:
            self.fill(p + "ffn_gate_inp.bias", [o.experts], -0.5, 0.5)
            self.fill(p + "ffn_gate_exps.bias", [ff, o.experts], -0.5, 0.5)
            self.fill(p + "ffn_up_exps.bias", [ff, o.experts], -0.5, 0.5)
            self.fill(p + "ffn_down_exps.bias", [o.embd, o.experts], -0.25, 0.25)
        self.shared_expert(p, ff)

    def shared_expert(self, p, ff):
        o = self.o
        ff = self.get("shared_ff") or self.get("shared") * ff
        if not ff:
            return
        if self.get("shared_gate"):
            self.fill(p + "ffn_gate_inp_shexp.weight", [o.embd], -0.3, 0.3)
        if not self.get("ungated"):
            self.linear(p + "ffn_gate_shexp", o.embd, ff, 1.5)
        self.linear(p + "ffn_up_shexp", o.embd, ff, 1 if self.get("ungated") else 1.5)
        self.out(p + "ffn_down_shexp", ff, 0.8)

    def gemma4_ff(self, p, i):
        o = self.o
        self.swiglu(p, i)
        self.normal(p + "post_ffw_norm", o.embd)
        if not self.get("experts"):
            return
        self.normal(p + "post_ffw_norm_1", o.embd)
        self.normal(p + "pre_ffw_norm_2", o.embd)
        self.normal(p + "post_ffw_norm_2", o.embd)
        self.linear(p + "ffn_gate_inp", o.embd, o.experts, 3 * math.sqrt(o.embd), "F32")
        self.fill(p + "ffn_gate_inp.scale", [o.embd], 0.75, 1.25)
        self.linear(p + "ffn_gate_up_exps", o.embd, 2 * o.expert_ff, 1.5, n=o.experts)
        self.out(p + "ffn_down_exps", o.expert_ff, n=o.experts)
        self.fill(p + "ffn_down_exps.scale", [o.experts], 0.75, 1.25)

    def hashed_experts(self, p, i):
        o = self.o
        self.experts(p, i)
        if i < o.hashed:
            # of each token, different ones
            table = [(7 * t + 3 * k + i) % o.experts for t in range(o.vocab) for k in range(o.used)]
            self.tensors.append((p + "ffn_gate_tid2eid.weight", "I32", [o.used, o.vocab],
                                 [struct.pack("<%di" % len(table), *table)]))

    # ---------------------------------------------------------------- all of it

    def write(self):
        _, keys, ends, block, _ = MODELS[self.name]
        self.common_keys()
        for part in keys:
            part(self)
        self.written += vocab.KINDS[self.o.tok][0](self.o.vocab)
        ends(self)
        for i in range(self.o.layers):
            for part in block[self.letter(i)] if isinstance(block, dict) else block:
                part(self, "blk.%d." % i, i)
        self.change()
        return ggufio.write(self.o.out, self.written, self.tensors)

    def change(self):
        """As --drop and --key say"""
        def stays(name):
            return not any(name == d or name.endswith("." + d) for d in self.o.drop)
        self.written = [k for k in self.written if stays(k[0])]
        self.tensors = [t for t in self.tensors if stays(t[0])]
        for name, kind, value in self.o.key:
            name = name[1:] if name[0] == "." else self.arch + "." + name
            self.written = [k for k in self.written if k[0] != name] + [(name, kind, value)]


M = Model
GQA = (M.head_keys, M.yarn_keys, M.ff_keys)
MOE = GQA + (M.expert_keys,)
MLA = (M.mla_keys, M.yarn_keys, M.ff_keys, M.expert_keys)
LATENT = dict(kv=1, nope=32, rope=16, value=24, kv_lora=32, q_lora=48, layout="new", ff=96,
              expert_ff=32, dense=1, shared=1, **EXPERTS)
V3 = dict(LATENT, gating=2, weights_norm=True, weights_scale=2.5, choice=True, groups=4,
          groups_used=2, log_multiplier=0.1, layers=3, **YARN)
DELTA_BLOCK = {"L": (M.delta,), "*": (M.attention,)}
NEMOTRON = {"M": (M.mamba,), "*": (M.attention,), "-": (M.nemotron_plain,), "E": (M.nemotron_experts,)}
NEMOTRON_KEYS = (M.head_keys, M.nemotron_h_keys, M.ssm_keys)
QWEN_NEXT = dict(DELTA, layers=4, kinds="L*", head_dim=32, rotated=16, qk_norm="head", gated=True,
                 ffn_norm="post_attention_norm", eps=1e-6, rope_base=1e6)
SHARED_GATE = dict(EXPERTS, expert_ff=32, shared_ff=48, shared_gate=True)


def with_second(block, part):
    return {letter: first + (part,) for letter, first in block.items()}


# name: architecture, keys, ends, block (by letter), options
MODELS = {
    "llama": ("llama", GQA, M.ends, (M.attention, M.swiglu), dict()),
    "llama-moe": ("llama", MOE, M.ends, (M.attention, M.experts), dict(EXPERTS, ff=64)),
    "mistral3": ("mistral3", GQA, M.ends, (M.attention, M.swiglu),
                 dict(NEAR, rope_base=1e6, beta_fast=1.0, beta_slow=0.25, log_multiplier=1.0,
                      temperature=0.1)),
    "mistral4": ("mistral4", MLA, M.ends, (M.latent, M.experts),
                 dict(LATENT, gating=1, weights_norm=True, weights_scale=1.0, dense=0,
                      temperature=0.1, temperature_length=16, beta_fast=32.0, beta_slow=1.0,
                      log_multiplier=1.0, **YARN)),
    "deepseek2-lite": ("deepseek2", MLA, M.ends, (M.latent, M.experts),     # V2-Lite has 27 blocks
                       dict(LATENT, layers=27, embd=32, heads=2, nope=16, rope=8, value=16, ff=64,
                            expert_ff=16, experts=4, used=2, shared=2, q_lora=0, gating=1,
                            weights_scale=1.0, gain=0.25, log_multiplier=0.0707, **YARN)),
    "deepseek2": ("deepseek2", MLA, M.ends, (M.latent, M.experts), V3),
    "deepseek32": ("deepseek32", MLA + (M.indexer_keys,), M.ends, (M.indexed, M.experts),
                   dict(V3, index_heads=16, index_width=64, index_top=8)),
    "apertus": ("apertus", GQA + (M.xielu_keys,), M.ends, (M.attention, M.plain),
                dict(qk_norm="head", freqs=True, rope_base=12e6)),
    "nemotron": ("nemotron", GQA, M.ends, (M.attention, M.plain),
                 dict(layer_norm=True, norm_bias=True, embd=96, rotated=16)),
    "nemotron_h": ("nemotron_h", NEMOTRON_KEYS, M.ends, NEMOTRON,
                   dict(MAMBA, layers=4, kinds="M-*-", ffn_norm="")),
    "nemotron_h_moe": ("nemotron_h_moe", NEMOTRON_KEYS + (M.expert_keys,), M.ends, NEMOTRON,
                       dict(MAMBA, layers=4, kinds="ME*E", ffn_norm="", ungated=True, choice=True,
                            expert_ff=48, shared=1, shared_ff=96, groups=1, groups_used=1,
                            weights_norm=True, weights_scale=2.5, **EXPERTS)),
    "qwen2": ("qwen2", GQA, M.ends, (M.attention, M.swiglu),
              dict(bias="qkv", embd=96, tied=True, rope_base=1e6)),
    "qwen3": ("qwen3", GQA, M.ends, (M.attention, M.swiglu),
              dict(qk_norm="head", rope_base=1e6, eps=1e-6)),
    "qwen3moe": ("qwen3moe", MOE, M.ends, (M.attention, M.experts),
                 dict(EXPERTS, qk_norm="head", rope_base=1e6, eps=1e-6, expert_ff=48)),
    "qwen3next": ("qwen3next", MOE + (M.delta_keys,), M.ends, with_second(DELTA_BLOCK, M.experts),
                  dict(QWEN_NEXT, joined=True, **SHARED_GATE)),
    # as its first files are
    "qwen3next-old": ("qwen3next", MOE + (M.delta_keys,), M.ends, with_second(DELTA_BLOCK, M.experts),
                      dict(QWEN_NEXT, joined=True, whole=True, value_heads=6, **SHARED_GATE)),
    "qwen35": ("qwen35", GQA + (M.delta_keys, M.section_keys), M.ends,
               with_second(DELTA_BLOCK, M.swiglu), QWEN_NEXT),
    "qwen35moe": ("qwen35moe", MOE + (M.delta_keys, M.section_keys), M.ends,
                  with_second(DELTA_BLOCK, M.experts), dict(QWEN_NEXT, **SHARED_GATE)),
    "gemma": ("gemma", GQA, M.ends, (M.attention, M.swiglu), dict(gemma=True, tied=True, eps=1e-6)),
    "gemma2": ("gemma2", GQA, M.ends, (M.attention, M.swiglu),
               dict(gemma=True, tied=True, post_norms=True, window=8, attn_softcap=50.0,
                    final_softcap=30.0, eps=1e-6)),
    "gemma3": ("gemma3", GQA, M.ends, (M.attention, M.swiglu),
               dict(gemma=True, tied=True, post_norms=True, window=8, qk_norm="head", layers=6, rope_base_swa=0.0,
                    embd=48, ff=64, vocab=131, rope_base=1e6, eps=1e-6)),
    "gemma4": ("gemma4", (M.gemma4_keys, M.ff_keys), M.gemma4_ends, (M.gemma4, M.gemma4_ff),
               dict(gemma=True, tied=True, window=8, interval=2, layers=4, shared_kv=2, kv_swa=1,
                    per_layer=16, same_value=False, wide_ff=False, unused_kv=False, rope_base=1e6,
                    rope_base_swa=10000.0, final_softcap=30.0, eps=1e-6)),
    "gemma4-moe": ("gemma4", (M.gemma4_keys, M.ff_keys, M.expert_keys), M.gemma4_ends,
                   (M.gemma4, M.gemma4_ff),
                   dict(EXPERTS, gemma=True, tied=True, window=8, interval=2, layers=2, shared_kv=0,
                        heads=4, kv_swa=2, kv=1, per_layer=0, same_value=True, wide_ff=False, unused_kv=False,
                        rope_base=1e6, rope_base_swa=10000.0, final_softcap=30.0, eps=1e-6, expert_ff=32)),
    "gpt-oss": ("gpt-oss", MOE, M.ends, (M.attention, M.experts),
                dict(EXPERTS | YARN, beta_fast=32.0, beta_slow=1.0, bias="qkvox", sinks=True,
                     window=8, expert_ff=64, heads=6, kv=2,
                     ffn_norm="post_attention_norm", rope_base=150000.0)),
    "glm4moe": ("glm4moe", MOE, M.ends, (M.attention, M.experts),
                dict(EXPERTS, bias="qkv", qk_norm="head", rotated=16, dense=1, shared=1, choice=True,
                     expert_ff=48, weights_norm=True, weights_scale=2.5, gating=2, layers=3,
                     ffn_norm="post_attention_norm")),
    "granite": ("granite", GQA, M.ends, (M.attention, M.swiglu),
                dict(embedding_scale=12.0, residual_scale=0.25, logit_scale=8.0,
                     attention_scale=1 / 64)),
    "granitemoe": ("granitemoe", MOE, M.ends, (M.attention, M.experts),
                   dict(EXPERTS, ff=48, shared_ff=64, embedding_scale=12.0, residual_scale=0.25,
                        logit_scale=8.0, attention_scale=1 / 64)),
    "granitehybrid": ("granitehybrid", GQA + (M.ssm_keys,), M.ends,
                      {"M": (M.mamba, M.swiglu), "*": (M.attention, M.swiglu)},
                      dict(MAMBA, ssm_heads=8, kinds="M*", embedding_scale=12.0, residual_scale=0.25,
                           logit_scale=8.0, attention_scale=1 / 64)),
    "granitehybrid-moe": ("granitehybrid", MOE + (M.ssm_keys,), M.ends,
                          {"M": (M.mamba, M.experts), "*": (M.attention, M.experts)},
                          dict(MAMBA | EXPERTS, ssm_heads=8, kinds="M*", ff=48, shared_ff=64, embedding_scale=12.0,
                               residual_scale=0.25, logit_scale=8.0, attention_scale=1 / 64)),
    "phi3": ("phi3", GQA + (M.phi_keys,), M.ends, (M.attention, M.swiglu),
             dict(fused=True, original_context=512, embd=96)),
    "phi3-long": ("phi3", GQA + (M.phi_keys,), M.phi_ends, (M.attention, M.swiglu),
                  dict(fused=True, original_context=20, embd=96)),
    "smollm3": ("smollm3", GQA, M.ends, (M.attention, M.swiglu), dict(layers=4, ff=64)),
    "lfm2": ("lfm2", GQA, M.ends, {"C": (M.convolution, M.swiglu), "*": (M.attention, M.swiglu)},
             dict(layers=3, embd=96, kinds="C*C", l_cache=3, qk_norm="head", last_norm="token_embd_norm",
                  tied=True)),
    "lfm2moe": ("lfm2moe", MOE, M.ends,
                {"C": (M.convolution, M.experts), "*": (M.attention, M.experts)},
                dict(EXPERTS, layers=3, embd=96, kinds="C*C", l_cache=3, qk_norm="head", expert_ff=48,
                     last_norm="token_embd_norm", tied=True, dense=1, gating=2, choice=True)),
    "minimax-m2": ("minimax-m2", MOE, M.ends, (M.attention, M.experts),
                   dict(EXPERTS, qk_norm="all", rotated=16, gating=2, choice=True, ff=48, expert_ff=48)),
    "bloom": ("bloom", (M.alibi_keys, M.ff_keys), M.ends, (M.attention, M.plain),
              dict(layer_norm=True, norm_bias=True, embd_norm=True, fused=True, bias="qof",
                   embd=96, kv=3)),
    "internlm2": ("internlm2", GQA, M.ends, (M.attention, M.swiglu), dict(embd=96)),
    "ernie4_5": ("ernie4_5", GQA, M.ends, (M.attention, M.swiglu), dict(tied=True, rope_base=5e5)),
    "exaone": ("exaone", GQA, M.ends, (M.attention, M.swiglu), dict(freqs=True, rope_base=1e6)),
    "seed_oss": ("seed_oss", GQA, M.ends, (M.attention, M.swiglu),
                 dict(bias="qkv", ffn_norm="post_attention_norm", rope_base=1e7)),
    "arcee": ("arcee", GQA, M.ends, (M.attention, M.plain), dict(YARN)),
    "glm4": ("glm4", GQA, M.ends, (M.attention, M.swiglu),
             dict(joined_ff=True, post_norms=True, bias="qkv", rotated=16, embd=96)),
    "starcoder2": ("starcoder2", GQA, M.ends, (M.attention, M.plain),
                   dict(layer_norm=True, norm_bias=True, bias="qkvof", embd=96, rope_base=1e5)),
    "olmo2": ("olmo2", GQA, M.ends, (M.attention, M.swiglu),
              dict(no_norm=True, ffn_norm="", qk_norm="all", post_norms=True, embd=96)),
    "olmo3": ("olmo2", GQA, M.ends, (M.attention, M.swiglu),
              dict(YARN, no_norm=True, ffn_norm="", qk_norm="all", post_norms=True, embd=96, layers=5,
                   window=8)),
    "deepseek4": ("deepseek4", (M.deepseek4_keys, M.expert_keys, M.indexer_keys), M.deepseek4_ends,
                  (M.deepseek4, M.hashed_experts),
                  dict(EXPERTS, layers=4, heads=4, head_dim=32, rotated=16, q_lora=48, out_groups=2,
                       out_lora=32, rope_base_swa=160000.0, ratios=(0, 0, 4, 128), streams=4,
                       sinkhorn=4, hashed=1, clamp=10.0, window=16, index_heads=16, index_width=64,
                       index_top=8, expert_ff=32, shared=1, weights_norm=True, weights_scale=1.5,
                       gating=4, choice=True)),
}


def key_option(text):
    """NAME=TYPE:VALUE or NAME=TYPE:VALUE,VALUE... to what Model.written has"""
    name, _, rest = text.partition("=")
    kind, _, value = rest.partition(":")
    code, convert = KINDS[kind]
    many = [convert(v) for v in value.split(",") if v]
    return name, code, many if "," in value else convert(value)


def parser(name):
    p = argparse.ArgumentParser(prog="arch.py " + name, allow_abbrev=False,
                                formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    for option, value in dict(BASE, **MODELS[name][4]).items():
        flag = "--" + option.replace("_", "-")
        if isinstance(value, bool):
            p.add_argument(flag, action=argparse.BooleanOptionalAction, default=value, help="switch")
        elif isinstance(value, tuple):
            p.add_argument(flag, type=lambda s: tuple(map(int, s.split(","))), default=value,
                           metavar="N,N", help="list")
        else:
            choices = sorted(formats.WEIGHTS) + [MIXED] if option == "type" else \
                sorted(vocab.KINDS) if option == "tok" else None
            p.add_argument(flag, type=type(value), default=value, choices=choices, help=" ",
                           metavar=None if choices else "X")
    p.add_argument("--key", action="append", type=key_option, default=[], metavar="NAME=TYPE:VALUE", help=" ")
    p.add_argument("--drop", action="append", default=[], metavar="NAME", help=" ")
    p.add_argument("out", metavar="OUT.gguf")
    return p


SQUARE = ("qwen2", "nemotron", "phi3", "phi3-long", "lfm2", "lfm2moe", "bloom")   # as wide as their heads


def random_arguments(r, name):
    """of a model of this name, in a shape that llama.cpp takes; r: random.Random"""
    have = dict(BASE, **MODELS[name][4])
    o = {"seed": r.randrange(10 ** 6), "vocab": r.randint(40, 400), "ctx": 512,
         "embd": 32 * r.randint(1, 10), "ff": r.randint(1, 300), "eps": r.choice((1e-5, 1e-6))}
    if name != "deepseek2-lite":
        o["layers"] = r.randint(max(len(have["kinds"]), 2), 6)
    if have.get("shared_kv"):
        # The last blocks that have keys and values attend to a window, and to all.
        o.update(shared_kv=r.randint(1, 4), interval=r.randint(2, 3), per_layer=r.choice((8, 32, 64, 256)))
        o["layers"] = o["interval"] * r.randint(1, 2) + o["shared_kv"]
    kv = r.choice((1, 1, 2, 3))
    if have.get("kv_lora"):
        o.update(heads=r.randint(1, 9), nope=8 * r.randint(1, 16), value=8 * r.randint(1, 16),
                 rope=r.choice((8, 16, 32, 64)) if not have.get("index_heads") else 16,
                 kv_lora=32 * r.randint(1, 8))
        if name.startswith("deepseek2"):
            o["layout"] = r.choice(("old", "new"))
        if have["q_lora"]:
            o["q_lora"] = 8 * r.randint(1, 20)
    elif not have.get("out_groups"):
        o.update(kv=kv, heads=kv * r.choice((1, 2, 3, 4)), head_dim=r.choice((16, 32, 48, 64, 96)))
        if have["rotated"]:
            o["rotated"] = o["head_dim"] // 2
        if name == "bloom":
            o["kv"] = o["heads"]
        if have.get("kv_swa"):
            o["kv_swa"] = o["kv"]
        if name in SQUARE:
            o["embd"] = o["heads"] * o["head_dim"]
    if have.get("conv") and have.get("ssm_heads"):
        groups = r.choice((1, 2, 4))
        o.update(ssm_groups=groups, ssm_heads=groups * r.randint(1, 4), ssm_width=8 * r.randint(1, 8),
                 ssm_state=r.choice((16, 32, 64, 128)))
        if name.startswith("granite"):
            o.update(ssm_heads=2 * groups, ssm_width=o["embd"] // groups)
    if have.get("value_heads"):
        keys = r.choice((1, 2, 3))
        o.update(key_heads=keys, value_heads=keys * r.choice((1, 2, 4)), state=r.choice((16, 32, 64)))
    if have.get("experts"):
        groups = have.get("groups", 0)
        o["experts"] = max(1, groups) * r.randint(3, 8)
        o["used"] = r.randint(1, 3 if not groups else min(3, o["experts"] // groups))
        if have.get("expert_ff"):
            o["expert_ff"] = r.randint(1, 100) if name != "minimax-m2" else o["ff"]
    if have.get("window"):
        o["window"] = r.choice((3, 8, 16, 100))
    if name == "deepseek2-lite":
        o.update(dense=r.randint(20, 26), embd=32, vocab=61)
    words = [name]
    for option, v in o.items():
        words += ["--" + option.replace("_", "-"), str(v)]
    return words


def generate_model(args):
    """As generate.generate(); arguments that begin with a name are of one of MODELS."""
    if args[0][0] == "-":
        return generate.generate(args)
    if args[0] not in MODELS:
        sys.exit("arch.py: \"%s\" is no model; --list lists them" % args[0])
    return Model(args[0], parser(args[0]).parse_args(args[1:])).write()


def main():
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    if sys.argv[1] == "--list":
        for name, entry in MODELS.items():
            print("%-18s %-15s %s" % (name, entry[0], " ".join("%s=%s" % kv for kv in entry[4].items())))
        return
    print("%s  %s" % (generate_model(sys.argv[1:]), sys.argv[-1]))


if __name__ == "__main__":
    main()
