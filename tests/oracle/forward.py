# SPDX-License-Identifier: MIT
"""Models of a single block, or of a few, computed in double precision by their papers' formulas: no
program's results, and few enough lines to be read.  Weights are F32."""
import math

import ggufio
from formats import decode


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def rms(x, eps, w=None):
    f = 1 / math.sqrt(dot(x, x) / len(x) + eps)
    return [f * v * g for v, g in zip(x, w or [1] * len(x))]


def sigmoid(t):
    return 1 / (1 + math.exp(-t))


def silu(t):
    return t * sigmoid(t)


def softplus(t):
    return math.log1p(math.exp(t))


def relu2(t):
    return max(t, 0) ** 2


def unit(x, eps):
    f = 1 / math.sqrt(dot(x, x) + eps)
    return [f * v for v in x]


def add(*vectors):
    return [sum(v) for v in zip(*vectors)]


class Block:
    """of a file that has no more than one, unless somebody changes the prefix"""

    prefix = "blk.0."

    def __init__(self, path):
        self.r = ggufio.Reader(path)
        self.arch = self.r.keys["general.architecture"][1]
        self.eps = self.key("attention.layer_norm_rms_epsilon")

    def key(self, name, default=None):
        if name[0] == ".":
            return self.r.keys[name[1:]][1]
        return self.r.keys.get(self.arch + "." + name, (0, default))[1]

    def vector(self, name):
        name = name if name in self.r.tensors else self.prefix + name
        return list(decode(self.r.tensors[name][0], self.r.bytes_of(name)))

    def rows(self, name, which=None):
        """of a matrix, or of one of several"""
        full = name if name in self.r.tensors else self.prefix + name
        n, m = self.r.tensors[full][1][:2]
        v = self.vector(name)
        at = n * m * (which or 0)
        return [v[at + i * n:at + (i + 1) * n] for i in range(m)]

    def times(self, name, x, which=None):
        return [dot(row, x) for row in self.rows(name, which)]

    def logits(self, tokens):
        table = self.rows("token_embd.weight")
        states = [table[t] for t in tokens]
        out = self.mix(states)
        head = self.rows("output.weight")
        norm = self.vector("output_norm.weight")
        return [dot(row, last) for x in out for last in [rms(x, self.eps, norm)] for row in head]


class Mamba(Block):
    """Mamba-2, one position after the other"""

    def mix(self, states):
        inner, n = self.key("ssm.inner_size"), self.key("ssm.state_size")
        heads, groups = self.key("ssm.time_step_rank"), self.key("ssm.group_count")
        width, taps = inner // heads, self.key("ssm.conv_kernel")
        conv, bias = self.rows("ssm_conv1d.weight"), self.vector("ssm_conv1d.bias")
        rate, skip = self.vector("ssm_a"), self.vector("ssm_d")
        step, norm = self.vector("ssm_dt.bias"), self.vector("ssm_norm.weight")
        past = [[0.0] * len(conv)] * (taps - 1)
        state = [[[0.0] * n for _ in range(width)] for _ in range(heads)]
        out = []
        for x in states:
            all_of = self.times("ssm_in.weight", rms(x, self.eps, self.vector("attn_norm.weight")))
            gate, mixed, dt = all_of[:inner], all_of[inner:-heads], all_of[-heads:]
            past = past + [mixed]
            mixed = [silu(bias[c] + sum(conv[c][k] * past[k][c] for k in range(taps)))
                     for c in range(len(conv))]
            past = past[1:]
            y = []
            for h in range(heads):
                g = h * groups // heads
                b = mixed[inner + g * n:inner + (g + 1) * n]
                c = mixed[inner + (groups + g) * n:inner + (groups + g + 1) * n]
                d = softplus(dt[h] + step[h])
                for i in range(width):
                    u = mixed[h * width + i]
                    s = state[h][i] = [math.exp(d * rate[h]) * v + d * u * w
                                       for v, w in zip(state[h][i], b)]
                    y.append(dot(s, c) + skip[h] * u)
            y = [silu(z) * v for z, v in zip(gate, y)]
            part = inner // groups
            y = [v for g in range(groups) for v in rms(y[g * part:(g + 1) * part], self.eps,
                                                       norm[g * part:(g + 1) * part])]
            out.append(add(x, self.times("ssm_out.weight", y)))
        return out


class Delta(Block):
    """The gated delta rule, one position after the other, and a gated feed-forward network.  Value heads share
    keys by turns where beta and alpha are two matrices, else those that follow each other do."""

    def gates(self, z, heads, key_heads):
        """what beta and the decay of each head are made of"""
        if "blk.0.ssm_ba.weight" not in self.r.tensors:
            return self.times("ssm_beta.weight", z), self.times("ssm_alpha.weight", z)
        both, n = self.times("ssm_ba.weight", z), heads // key_heads
        return tuple([t for g in range(key_heads) for t in both[(2 * g + i) * n:(2 * g + i + 1) * n]]
                     for i in (0, 1))

    def mix(self, states):
        n, taps = self.key("ssm.state_size"), self.key("ssm.conv_kernel")
        heads, key_heads = self.key("ssm.time_step_rank"), self.key("ssm.group_count")
        width = self.key("ssm.inner_size") // heads
        conv, norm = self.rows("ssm_conv1d.weight"), self.vector("ssm_norm.weight")
        rate, step = self.vector("ssm_a"), self.vector("ssm_dt.bias")
        apart = "blk.0.ssm_beta.weight" in self.r.tensors
        past = [[0.0] * len(conv)] * (taps - 1)
        state = [[[0.0] * n for _ in range(width)] for _ in range(heads)]
        out = []
        for x in states:
            z = rms(x, self.eps, self.vector("attn_norm.weight"))
            past = past + [self.times("attn_qkv.weight", z)]
            mixed = [silu(sum(conv[c][k] * past[k][c] for k in range(taps))) for c in range(len(conv))]
            past = past[1:]
            q, k = ([unit(mixed[at + g * n:at + (g + 1) * n], self.eps) for g in range(key_heads)]
                    for at in (0, key_heads * n))
            beta, alpha = self.gates(z, heads, key_heads)
            gate, y = self.times("attn_gate.weight", z), []
            for h in range(heads):
                g = h % key_heads if apart else h * key_heads // heads
                fade, much = math.exp(softplus(alpha[h] + step[h]) * rate[h]), sigmoid(beta[h])
                result = []
                for i in range(width):
                    old = [fade * v for v in state[h][i]]
                    u = much * (mixed[2 * key_heads * n + h * width + i] - dot(old, k[g]))
                    state[h][i] = [v + u * w for v, w in zip(old, k[g])]
                    result.append(dot(state[h][i], q[g]) / math.sqrt(n))
                y += rms(result, self.eps, norm)
            x = add(x, self.times("ssm_out.weight", [silu(t) * v for t, v in zip(gate, y)]))
            out.append(add(x, self.second(rms(x, self.eps, self.vector("post_attention_norm.weight")))))
        return out

    def second(self, z):
        gate, up = self.times("ffn_gate.weight", z), self.times("ffn_up.weight", z)
        return self.times("ffn_down.weight", [silu(t) * v for t, v in zip(gate, up)])


class DeltaNext(Delta):
    """with experts, chosen by softmax, and a shared one of which there is as much as a switch says"""

    def network(self, z, name, which=None):
        gate, up = (self.times("ffn_%s_%s.weight" % (part, name), z, which) for part in ("gate", "up"))
        return self.times("ffn_down_%s.weight" % name, [silu(t) * v for t, v in zip(gate, up)], which)

    def second(self, z):
        p = [math.exp(t) for t in self.times("ffn_gate_inp.weight", z)]
        best = sorted(range(len(p)), key=lambda e: -p[e])[:self.key("expert_used_count")]
        switch = sigmoid(dot(self.vector("ffn_gate_inp_shexp.weight"), z))
        y = [switch * t for t in self.network(z, "shexp")]
        for e in best:
            y = add(y, [p[e] / sum(p[i] for i in best) * t for t in self.network(z, "exps", e)])
        return y


class Experts(Block):
    """Experts without gates, in groups of which some count: those with the largest sum of two."""

    def chosen(self, p):
        """[(expert, weight)]"""
        groups, used = self.key("expert_group_count"), self.key("expert_group_used_count")
        biased = add(p, self.vector("exp_probs_b.bias"))
        part = len(p) // groups
        members = [range(g * part, (g + 1) * part) for g in range(groups)]
        members.sort(key=lambda m: -sum(sorted(biased[e] for e in m)[-2:]))
        left = [e for m in members[:used] for e in m]
        left.sort(key=lambda e: -biased[e])
        left = left[:self.key("expert_used_count")]
        total = sum(p[e] for e in left)
        return [(e, self.key("expert_weights_scale") * p[e] / total) for e in left]

    def mix(self, states):
        out = []
        for x in states:
            z = rms(x, self.eps, self.vector("attn_norm.weight"))
            p = [sigmoid(t) for t in self.times("ffn_gate_inp.weight", z)]
            y = self.times("ffn_down_shexp.weight",
                           [relu2(t) for t in self.times("ffn_up_shexp.weight", z)])
            for e, weight in self.chosen(p):
                h = [relu2(t) for t in self.times("ffn_up_exps.weight", z, e)]
                y = add(y, [weight * t for t in self.times("ffn_down_exps.weight", h, e)])
            out.append(add(x, y))
        return out


class Xielu(Block):
    """apertus, at its first position, which sees nothing but itself"""

    def mix(self, states):
        shared = self.key("attention.head_count") // self.key("attention.head_count_kv")
        width = self.key("attention.value_length")
        ap = softplus(self.key(".xielu.alpha_p")[0])
        beta = self.key(".xielu.beta")[0]
        an = beta + softplus(self.key(".xielu.alpha_n")[0])
        eps = self.key(".xielu.eps")[0]

        def xielu(t):
            if t > 0:
                return ap * t * t + beta * t
            return (math.expm1(min(t, eps)) - t) * an + beta * t

        x, = states
        v = self.times("attn_v.weight", rms(x, self.eps, self.vector("attn_norm.weight")))
        heads = [v[at:at + width] for at in range(0, len(v), width) for _ in range(shared)]
        x = add(x, self.times("attn_output.weight", [t for head in heads for t in head]))
        z = rms(x, self.eps, self.vector("ffn_norm.weight"))
        return [add(x, self.times("ffn_down.weight", [xielu(t) for t in self.times("ffn_up.weight", z)]))]


def gelu(t):
    return t / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (t + 0.044715 * t ** 3)))


class Gemma4(Block):
    """An input for each block beside the stream; blocks at the end attend to keys and values of the
    last before them that attends alike.  Pairs of the wide blocks turn, or not, as factors say."""

    def __init__(self, path):
        super().__init__(path)
        self.blocks, self.embd = self.key("block_count"), self.key("embedding_length")
        self.own = self.blocks - self.key("attention.shared_kv_layers")
        self.slides = self.key("attention.sliding_window_pattern")
        self.kept = {}

    def inputs(self, token, x):
        n, norm = self.key("embedding_length_per_layer_input"), self.vector("per_layer_proj_norm.weight")
        said = self.rows("per_layer_token_embd.weight")[token]
        made = [v / math.sqrt(self.embd) for v in self.times("per_layer_model_proj.weight", x)]
        parts = [slice(i * n, (i + 1) * n) for i in range(self.blocks)]
        return [[(a + math.sqrt(n) * b) / math.sqrt(2) for a, b in zip(rms(made[p], self.eps, norm), said[p])]
                for p in parts]

    def turned(self, head, pos, slides):
        half, out = len(head) // 2, list(head)
        base = self.key("rope.freq_base_swa" if slides else "rope.freq_base")
        factors = [1] * half if slides else self.vector("rope_freqs.weight")
        for i in range(half):
            a = pos / (base ** (i / half) * factors[i])
            out[i] = head[i] * math.cos(a) - head[half + i] * math.sin(a)
            out[half + i] = head[i] * math.sin(a) + head[half + i] * math.cos(a)
        return out

    def attention(self, block, pos, z):
        slides = self.slides[block]
        width = self.key("attention.key_length" + ("_swa" if slides else ""))
        heads = self.key("attention.head_count")

        def split(name, norm=None):
            v = self.times(name, z)
            return [rms(v[at:at + width], self.eps, norm and self.vector(norm)) for at in range(0, len(v), width)]

        q = [self.turned(h, pos, slides) for h in split("attn_q.weight", "attn_q_norm.weight")]
        if block < self.own:
            self.kept.setdefault(block, []).append((
                [self.turned(h, pos, slides) for h in split("attn_k.weight", "attn_k_norm.weight")],
                split("attn_v.weight")))
        of = max(b for b in range(min(block + 1, self.own)) if self.slides[b] == slides)
        seen, y = self.kept[of][:pos + 1], []
        if slides:
            seen = seen[-self.key("attention.sliding_window"):]
        for h in range(heads):
            g = h * len(seen[0][0]) // heads
            p = [math.exp(dot(q[h], k[g])) for k, _ in seen]
            y += [dot(p, column) / sum(p) for column in zip(*(v[g] for _, v in seen))]
        return self.times("attn_output.weight", y)

    def block(self, i, pos, x, given):
        self.prefix = "blk.%d." % i

        def normed(v, name):
            return rms(v, self.eps, self.vector(name + ".weight"))

        x = add(x, normed(self.attention(i, pos, normed(x, "attn_norm")), "post_attention_norm"))
        z = normed(x, "ffn_norm")
        gate, up = self.times("ffn_gate.weight", z), self.times("ffn_up.weight", z)
        x = add(x, normed(self.times("ffn_down.weight", [gelu(t) * v for t, v in zip(gate, up)]), "post_ffw_norm"))
        let = [gelu(t) * v for t, v in zip(self.times("inp_gate.weight", x), given)]
        x = add(x, normed(self.times("proj.weight", let), "post_norm"))
        return [self.vector("layer_output_scale.weight")[0] * v for v in x]

    def logits(self, tokens):
        table, norm, out = self.rows("token_embd.weight"), self.vector("output_norm.weight"), []
        cap = self.key("final_logit_softcapping")
        for pos, t in enumerate(tokens):
            x = [math.sqrt(self.embd) * v for v in table[t]]
            given = self.inputs(t, x)
            for i in range(self.blocks):
                x = self.block(i, pos, x, given[i])
            last = rms(x, self.eps, norm)
            out += [cap * math.tanh(dot(row, last) / cap) for row in table]
        return out
