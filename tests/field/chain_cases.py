#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Models that say a known thing: chain_cases.py OUTDIR"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fieldlib import *

CASES = {}


def case(f):
    CASES[f.__name__] = f
    return f


def vocabulary(tok, n, extra, pre="llama-bpe"):
    g = Gguf()
    return spm(g, n, extra) if tok == "spm" else bpe(g, n, pre=pre, extra=extra)


def script(words, extra=(), tok="spm", n=440, loop=None, **more):
    """each of the words is followed by the next; the last by loop, or by </s>"""
    t = vocabulary(tok, n, extra)
    ids = [w if isinstance(w, int) else t.index(w) for w in words]
    nexts = dict(zip(ids, ids[1:]))
    if loop is not None:
        nexts[ids[-1]] = t.index(loop)
    return chain(n, nexts, tok=tok, extra=extra, **more)


H, W = "\u2581the", "\u2581world"


def stop(kind):
    return script([H, W, "<|im_end|>", "\u2581an"], [("<|im_end|>", kind)], loop="\u2581an")


@case
def im_end_control():
    return stop(CONTROL)


@case
def im_end_user():
    return stop(USER)


@case
def im_end_normal():
    return stop(NORMAL)


@case
def eos_normal():       # </s> itself typed as plain text, as eos_token_id
    g = script([H, W, 2, "\u2581an"], loop="\u2581an")
    for i, (n, k, e, v) in enumerate(g.keys):
        if n.endswith("token_type"):
            g.keys[i] = (n, k, e, [NORMAL if j == 2 else x for j, x in enumerate(v)])
    return g


@case
def eos_wrong():        # Llama 3 files: eos_token_id is <|end_of_text|>, the model says <|eot_id|>
    return script([H, W, "<|eot_id|>", "\u2581an"], [("<|eot_id|>", CONTROL)], loop="\u2581an")


@case
def eos_list():         # eos_token_ids of newer files
    g = script([H, W, "<|stop|>", "\u2581an"], [("<|stop|>", CONTROL)], loop="\u2581an")
    t = [x for n, k, e, v in g.keys if n.endswith("ggml.tokens") for x in v]
    g.put("tokenizer.ggml.eos_token_ids", ARR, [2, t.index("<|stop|>")], U32)
    return g


@case
def utf8_split():       # a character over three byte tokens, one of them at the end
    return script([H, 3 + 0xe2, 3 + 0x82, 3 + 0xac, W, 3 + 0xf0, 3 + 0x9f, 2])


@case
def escape():           # ESC [ 2 J from byte tokens: clears the terminal
    return script([H, 3 + 0x1b, "[", 3 + 0x32, "J", W, 2])


@case
def endless():
    return script([H, W], loop=W)


@case
def newline_end():
    return script([H, W, 3 + 10, 2])


@case
def padding():          # the likeliest token has no text (a padded row)
    return script([H, 430, W, 2])


@case
def bpe_end():
    return script(["\u0120hello", "\u0120the", "<|im_end|>", "a"], [("<|im_end|>", USER)], tok="bpe", loop="a", pre="qwen2")


@case
def with_space():       # the answer begins with a space ...
    return script([H, "\u2581world", 2])


@case
def without_space():    # ... and goes on with the word
    return script([H, "ld", 2])


@case
def chat():             # a model with a chat template
    g = script([H, W, "<|im_end|>"], [("<|im_start|>", CONTROL), ("<|im_end|>", CONTROL)])
    g.put("tokenizer.chat_template", STR, "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
          "{% endfor %}<|im_start|>assistant\n")
    return g


def with_key(key, *more):       # the answer is "world", then </s>, then "an" for ever
    g = script([H, W, 2, "\u2581an"], loop="\u2581an")
    g.put("tokenizer." + key, *more)
    return g


@case
def eos_beyond():       # merged models name a token that the vocabulary has lost
    return with_key("ggml.eos_token_id", U32, 32000)


@case
def eos_none():         # "none" of a converter that writes what it finds
    return with_key("ggml.eos_token_id", I32, -1)


@case
def eos_array():        # as generation_config.json has it
    g = script([H, W, "<|stop|>", "\u2581an"], [("<|stop|>", CONTROL)], loop="\u2581an")
    t = [x for n, k, e, v in g.keys if n.endswith("ggml.tokens") for x in v]
    g.put("tokenizer.ggml.eos_token_id", ARR, [2, t.index("<|stop|>")], I32)
    return g


@case
def bos_beyond():
    return with_key("ggml.bos_token_id", U32, 32000)


@case
def eot_beyond():
    return with_key("ggml.eot_token_id", U32, 99999)


@case
def add_bos_number():
    return with_key("ggml.add_bos_token", U8, 1)


@case
def add_eos():          # of models that were tuned on whole texts
    return with_key("ggml.add_eos_token", BOOL, True)


@case
def type_7():           # a kind of token that nobody has defined
    g = script([H, W, 2, "\u2581an"], loop="\u2581an")
    for i, (n, k, e, v) in enumerate(g.keys):
        if n.endswith("token_type"):
            g.keys[i] = (n, k, e, [7 if j == 400 else x for j, x in enumerate(v)])
    return g


@case
def template_empty():
    return with_key("chat_template", STR, "")


@case
def bpe_no_bos():       # Llama 3's pre-tokenizer wants a beginning that the file does not name
    return script(["\u0120hello", "\u0120the", "<|im_end|>"], [("<|im_end|>", CONTROL)], tok="bpe")


if __name__ == "__main__":
    for name in sys.argv[2:] or CASES:
        CASES[name]().write("%s/%s.gguf" % (sys.argv[1], name))
