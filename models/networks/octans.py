# SPDX-License-Identifier: MIT
"""octans-kinds: a layer of almost every kind, in six blocks."""
import math

import torch
import torch.nn.functional as F

from networks.parts import (CONTEXT, EMBD, EPS, ROT, THETA, VOCAB, attend, causal, convolve, delta_rule, heads,
                            joined, norm, rope, state_space, swiglu, xielu)

NAME, ARCH, EPOCHS = "Octans kinds", "octans", 36
# Numbers of libaccel/arch/octans.c
ATTENTION, LATENT, SPACE, DELTA, CONVOLUTION = range(5)
GATED, XIELU, EXPERTS = range(3)
BLOCKS = ((CONVOLUTION, GATED), (SPACE, XIELU), (ATTENTION, GATED), (DELTA, XIELU), (LATENT, EXPERTS),
          (ATTENTION, GATED))
DEPTH, SLIDES, WINDOW = len(BLOCKS), (2,), 32
HEADS, KV_HEADS = 8, 2                          # of ROT columns
LATENT_HEADS, RANK, NOPE, VALUES = 4, 128, 32, 64
INNER, STATE, STATE_HEADS, GROUPS, TAPS = 256, 32, 8, 2, 4      # of the state space, and of the delta rule
SHORT_TAPS = 3
FF, COUNT, USED, EXPERT_FF, SCALE, FLOOR = 512, 8, 2, 256, 1.5, 2.0 ** -14
RATE = 1e-3                                     # at which experts that are liked too much lose
MIXED = INNER + 2 * GROUPS * STATE
OUTPUTS = ("attn_output", "ssm_out", "shortconv.out_proj", "ffn_down", "ffn_down_exps", "ffn_down_shexp")
FLOAT = ("ffn_gate_inp", "conv1d", "shortconv.conv", "ssm_norm")        # matrices that are not quantised
CONSTANT = ("exp_probs_b",)                     # what no gradient tells


def mixer(kind):
    if kind == ATTENTION:
        return {"attn_q.weight": (HEADS * ROT, EMBD), "attn_k.weight": (KV_HEADS * ROT, EMBD),
                "attn_v.weight": (KV_HEADS * ROT, EMBD), "attn_output.weight": (EMBD, HEADS * ROT),
                "attn_q_norm.weight": (ROT,), "attn_k_norm.weight": (ROT,)}
    if kind == LATENT:
        return {"attn_q.weight": (LATENT_HEADS * (NOPE + ROT), EMBD), "attn_kv_a_mqa.weight": (RANK + ROT, EMBD),
                "attn_kv_a_norm.weight": (RANK,), "attn_k_b.weight": (LATENT_HEADS, RANK, NOPE),
                "attn_v_b.weight": (LATENT_HEADS, VALUES, RANK), "attn_output.weight": (EMBD, LATENT_HEADS * VALUES)}
    if kind == CONVOLUTION:
        return {"shortconv.in_proj.weight": (3 * EMBD, EMBD), "shortconv.conv.weight": (EMBD, SHORT_TAPS),
                "shortconv.out_proj.weight": (EMBD, EMBD)}
    both = {"ssm_conv1d.weight": (MIXED, TAPS), "ssm_dt.bias": (STATE_HEADS,), "ssm_a": (STATE_HEADS,)}
    if kind == SPACE:
        return {"ssm_in.weight": (INNER + MIXED + STATE_HEADS, EMBD), **both, "ssm_conv1d.bias": (MIXED,),
                "ssm_d": (STATE_HEADS,), "ssm_norm.weight": (GROUPS, INNER // GROUPS), "ssm_out.weight": (EMBD, INNER)}
    return {"attn_qkv.weight": (MIXED, EMBD), "attn_gate.weight": (INNER, EMBD), **both,
            "ssm_beta.weight": (STATE_HEADS, EMBD), "ssm_alpha.weight": (STATE_HEADS, EMBD),
            "ssm_norm.weight": (INNER // STATE_HEADS,), "ssm_out.weight": (EMBD, INNER)}


def network(kind):
    if kind == EXPERTS:
        return {"ffn_gate_inp.weight": (COUNT, EMBD), "exp_probs_b.bias": (COUNT,),
                "ffn_gate_exps.weight": (COUNT, EXPERT_FF, EMBD), "ffn_up_exps.weight": (COUNT, EXPERT_FF, EMBD),
                "ffn_down_exps.weight": (COUNT, EMBD, EXPERT_FF), "ffn_gate_shexp.weight": (EXPERT_FF, EMBD),
                "ffn_up_shexp.weight": (EXPERT_FF, EMBD), "ffn_down_shexp.weight": (EMBD, EXPERT_FF)}
    gate = {"ffn_gate.weight": (FF, EMBD)} if kind == GATED else {}
    return {**gate, "ffn_up.weight": (width(kind), EMBD), "ffn_down.weight": (EMBD, width(kind))}


def width(kind):
    """xIELU has two matrices, so they are wider"""
    return FF * 3 // 2 if kind == XIELU else FF


def shapes():
    """Tensors of the file in order; matrices are (outputs, inputs)."""
    yield "token_embd.weight", (VOCAB, EMBD)    # also the head: tied
    yield "output_norm.weight", (EMBD,)
    for i, (m, n) in enumerate(BLOCKS):
        for name, shape in {"attn_norm.weight": (EMBD,), **mixer(m), "ffn_norm.weight": (EMBD,), **network(n)}.items():
            yield "blk.%d.%s" % (i, name), shape
        if n == XIELU:                          # keys of the file
            yield "blk.%d.alpha_p" % i, ()
            yield "blk.%d.alpha_n" % i, ()


def inverse_softplus(t):
    return t + torch.log(-torch.expm1(-t))


def initial(name, shape, gen):
    """What begins neither as every matrix nor as every norm"""
    name = name.split(".", 2)[-1]
    if name == "ssm_dt.bias":                   # steps from 0.01 to 0.5
        return inverse_softplus(torch.exp(math.log(0.01) + torch.rand(shape, generator=gen) * math.log(50)))
    if name == "ssm_a":
        return -torch.arange(1, STATE_HEADS + 1).float()
    if name in ("ssm_conv1d.bias", "exp_probs_b.bias"):
        return torch.zeros(shape)
    if name == "ssm_norm.weight":
        return torch.ones(shape)
    if name == "alpha_p":
        return inverse_softplus(torch.tensor(0.8))
    if name == "alpha_n":
        return inverse_softplus(torch.tensor(0.3))


def keys(w):
    def each(f):
        return [f(i, m, n) for i, (m, n) in enumerate(BLOCKS)]

    def alpha(name):
        return each(lambda i, m, n: float(w["blk.%d.%s" % (i, name)]) if n == XIELU else 0.0)

    return [("octans." + name, kind, v) for name, kind, v in (
        ("vocab_size", "u32", VOCAB), ("context_length", "u32", CONTEXT), ("embedding_length", "u32", EMBD),
        ("block_count", "u32", len(BLOCKS)), ("block.mixer", "u32", each(lambda i, m, n: m)),
        ("block.network", "u32", each(lambda i, m, n: n)),
        ("feed_forward_length", "u32", each(lambda i, m, n: width(n))),
        ("attention.head_count", "u32", each(lambda i, m, n: LATENT_HEADS if m == LATENT else HEADS)),
        ("attention.head_count_kv", "u32", each(lambda i, m, n: 1 if m == LATENT else KV_HEADS)),
        ("attention.key_length", "u32", ROT), ("attention.value_length", "u32", ROT),
        ("attention.sliding_window", "u32", WINDOW),
        ("attention.sliding_window_pattern", "bool", each(lambda i, m, n: i in SLIDES)),
        ("attention.kv_lora_rank", "u32", RANK), ("attention.key_length_mla", "u32", NOPE + ROT),
        ("attention.value_length_mla", "u32", VALUES), ("attention.layer_norm_rms_epsilon", "f32", EPS),
        ("rope.dimension_count", "u32", ROT), ("rope.freq_base", "f32", THETA),
        ("ssm.conv_kernel", "u32", TAPS), ("ssm.inner_size", "u32", INNER), ("ssm.state_size", "u32", STATE),
        ("ssm.time_step_rank", "u32", STATE_HEADS), ("ssm.group_count", "u32", GROUPS),
        ("shortconv.l_cache", "u32", SHORT_TAPS), ("expert_count", "u32", COUNT), ("expert_used_count", "u32", USED),
        ("expert_shared_count", "u32", 1), ("expert_feed_forward_length", "u32", EXPERT_FF),
        ("expert_gating_func", "u32", 2), ("expert_weights_norm", "bool", True),
        ("expert_weights_scale", "f32", SCALE))] + [
        ("xielu.alpha_p", "f32", alpha("alpha_p")), ("xielu.alpha_n", "f32", alpha("alpha_n")),
        ("xielu.beta", "f32", 0.5), ("xielu.eps", "f32", -1e-6)]


def from_keys(keys):
    """What is trained and no tensor of the file"""
    return {"blk.%d.%s" % (i, name): torch.tensor(keys["xielu." + name][i])
            for i, (_, n) in enumerate(BLOCKS) if n == XIELU for name in ("alpha_p", "alpha_n")}


chosen_count = {}                               # by block: how many rows of the batch chose each expert


def settle(w):
    """After a step: experts that were chosen too often are liked less, states go on fading."""
    for i, n in chosen_count.items():
        w["blk.%d.exp_probs_b.bias" % i] += RATE * torch.sign(n.mean() - n)
    chosen_count.clear()
    with torch.no_grad():
        for name, t in w.items():
            if name.endswith("ssm_a"):
                t.clamp_(max=-1e-3)


def attention(w, h, i):
    q = rope(norm(heads(F.linear(h, w("attn_q.weight")), HEADS), w("attn_q_norm.weight")))
    k = rope(norm(heads(F.linear(h, w("attn_k.weight")), KV_HEADS), w("attn_k_norm.weight")))
    v = heads(F.linear(h, w("attn_v.weight")), KV_HEADS)
    return F.linear(attend(q, k, v, causal(h.shape[1], WINDOW if i in SLIDES else 0)), w("attn_output.weight"))


def latent_attention(w, h, i):
    q = heads(F.linear(h, w("attn_q.weight")), LATENT_HEADS)
    latent, turned = F.linear(h, w("attn_kv_a_mqa.weight")).split((RANK, ROT), -1)
    latent, turned = norm(latent, w("attn_kv_a_norm.weight"))[:, None], rope(turned[:, None])
    k = torch.cat((latent @ w("attn_k_b.weight"), turned.expand(-1, LATENT_HEADS, -1, -1)), -1)
    v = latent @ w("attn_v_b.weight").transpose(1, 2)
    q = torch.cat((q[..., :NOPE], rope(q[..., NOPE:])), -1)
    return F.linear(attend(q, k, v, causal(h.shape[1])), w("attn_output.weight"))


def space(w, h, i):
    z, m, dt = F.linear(h, w("ssm_in.weight")).split((INNER, MIXED, STATE_HEADS), -1)
    m = F.silu(convolve(m, w("ssm_conv1d.weight")) + w("ssm_conv1d.bias"))
    x, k, q = m.split((INNER, GROUPS * STATE, GROUPS * STATE), -1)
    dt = F.softplus(dt + w("ssm_dt.bias")).transpose(1, 2)
    y = state_space(heads(x, STATE_HEADS), heads(k, GROUPS), heads(q, GROUPS), dt, w("ssm_a"), w("ssm_d"))
    y = (F.silu(z) * joined(y)).unflatten(-1, (GROUPS, -1))
    return F.linear(norm(y, w("ssm_norm.weight")).flatten(-2), w("ssm_out.weight"))


def delta(w, h, i):
    m = F.silu(convolve(F.linear(h, w("attn_qkv.weight")), w("ssm_conv1d.weight")))
    q, k, v = m.split((GROUPS * STATE, GROUPS * STATE, INNER), -1)
    # value head i has the keys of i % GROUPS
    q, k = (unit(heads(x, GROUPS)).repeat(1, STATE_HEADS // GROUPS, 1, 1) for x in (q, k))
    beta = torch.sigmoid(F.linear(h, w("ssm_beta.weight"))).transpose(1, 2)
    log = (F.softplus(F.linear(h, w("ssm_alpha.weight")) + w("ssm_dt.bias")) * w("ssm_a")).transpose(1, 2)
    y = norm(delta_rule(heads(v, STATE_HEADS), k, q, log, beta), w("ssm_norm.weight"))
    return F.linear(F.silu(F.linear(h, w("attn_gate.weight"))) * joined(y), w("ssm_out.weight"))


def unit(x):
    return x * torch.rsqrt(x.pow(2).sum(-1, keepdim=True) + EPS)


def convolution(w, h, i):
    before, after, x = F.linear(h, w("shortconv.in_proj.weight")).chunk(3, -1)
    return F.linear(after * convolve(before * x, w("shortconv.conv.weight")), w("shortconv.out_proj.weight"))


def gated(w, h, i):
    return swiglu(h, w("ffn_gate.weight"), w("ffn_up.weight"), w("ffn_down.weight"))


def ungated(w, h, i):
    return F.linear(xielu(F.linear(h, w("ffn_up.weight")), w("alpha_p"), w("alpha_n")), w("ffn_down.weight"))


def experts(w, h, i):
    x = h.flatten(0, 1)
    likes = torch.sigmoid(F.linear(x, w("ffn_gate_inp.weight")))
    chosen = (likes + w("exp_probs_b.bias")).topk(USED, -1).indices
    weights = likes.gather(1, chosen)
    weights = SCALE * weights / weights.sum(-1, keepdim=True).clamp(min=FLOOR)
    y = swiglu(x, w("ffn_gate_shexp.weight"), w("ffn_up_shexp.weight"), w("ffn_down_shexp.weight"))
    gate, up, down = (w("ffn_%s_exps.weight" % s) for s in ("gate", "up", "down"))
    for e in range(COUNT):
        row, k = (chosen == e).nonzero(as_tuple=True)
        y = y.index_add(0, row, swiglu(x.index_select(0, row), gate[e], up[e], down[e]) * weights[row, k, None])
    if torch.is_grad_enabled():
        chosen_count[i] = F.one_hot(chosen, COUNT).sum((0, 1)).float()
    return y.view_as(h)


MIXERS = {ATTENTION: attention, LATENT: latent_attention, SPACE: space, DELTA: delta, CONVOLUTION: convolution}
NETWORKS = {GATED: gated, XIELU: ungated, EXPERTS: experts}


def hidden(w, tokens):
    """[batch, time] token ids -> [batch, time, EMBD], ready for the head"""
    x = F.embedding(tokens, w["token_embd.weight"])
    for i, (m, n) in enumerate(BLOCKS):
        def own(name, i=i):
            return w["blk.%d.%s" % (i, name)]

        x = x + MIXERS[m](own, norm(x, own("attn_norm.weight")), i)
        x = x + NETWORKS[n](own, norm(x, own("ffn_norm.weight")), i)
    return norm(x, w["output_norm.weight"])
