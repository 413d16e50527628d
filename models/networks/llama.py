# SPDX-License-Identifier: MIT
"""octans-demo: the block of llama."""
import torch.nn.functional as F

from networks.parts import CONTEXT, EMBD, EPS, ROT, THETA, VOCAB, attend, causal, heads, norm, rope, swiglu

NAME, ARCH, EPOCHS = "Octans demo", "llama", 24
DEPTH, HEADS, KV_HEADS, FF = 4, 8, 2, 512
KV = KV_HEADS * ROT
OUTPUTS = ("attn_output", "ffn_down")           # what is added to the residual stream
FLOAT, CONSTANT = (), ()                        # matrices that are not quantised; what no gradient tells


def shapes():
    """Tensors of the file in order; matrices are (outputs, inputs)."""
    yield "token_embd.weight", (VOCAB, EMBD)    # also the head: tied
    yield "output_norm.weight", (EMBD,)
    for i in range(DEPTH):
        for name, shape in (("attn_norm", (EMBD,)), ("attn_q", (EMBD, EMBD)), ("attn_k", (KV, EMBD)),
                            ("attn_v", (KV, EMBD)), ("attn_output", (EMBD, EMBD)), ("ffn_norm", (EMBD,)),
                            ("ffn_gate", (FF, EMBD)), ("ffn_up", (FF, EMBD)), ("ffn_down", (EMBD, FF))):
            yield "blk.%d.%s.weight" % (i, name), shape


def initial(name, shape, gen):
    """None: as every matrix, and every norm"""


def keys(w):
    return [("llama.vocab_size", "u32", VOCAB), ("llama.context_length", "u32", CONTEXT),
            ("llama.embedding_length", "u32", EMBD), ("llama.block_count", "u32", DEPTH),
            ("llama.feed_forward_length", "u32", FF), ("llama.attention.head_count", "u32", HEADS),
            ("llama.attention.head_count_kv", "u32", KV_HEADS),
            ("llama.attention.layer_norm_rms_epsilon", "f32", EPS),
            ("llama.rope.dimension_count", "u32", ROT), ("llama.rope.freq_base", "f32", THETA)]


def from_keys(keys):
    """nothing that is trained is a key"""
    return {}


def settle(w):
    """after a step there is nothing to do"""


def hidden(w, tokens):
    """[batch, time] token ids -> [batch, time, EMBD], ready for the head"""
    x = F.embedding(tokens, w["token_embd.weight"])
    mask = causal(tokens.shape[1])
    for i in range(DEPTH):
        p = "blk.%d." % i
        h = norm(x, w[p + "attn_norm.weight"])
        q = rope(heads(F.linear(h, w[p + "attn_q.weight"]), HEADS))
        k = rope(heads(F.linear(h, w[p + "attn_k.weight"]), KV_HEADS))
        v = heads(F.linear(h, w[p + "attn_v.weight"]), KV_HEADS)
        x = x + F.linear(attend(q, k, v, mask), w[p + "attn_output.weight"])
        x = x + swiglu(norm(x, w[p + "ffn_norm.weight"]), w[p + "ffn_gate.weight"], w[p + "ffn_up.weight"],
                       w[p + "ffn_down.weight"])
    return norm(x, w["output_norm.weight"])
