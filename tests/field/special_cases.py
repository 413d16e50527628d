# SPDX-License-Identifier: MIT
"""Vocabularies with the properties that bug reports are about."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fieldlib import *

TEXTS = ["hello world", " hello", "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n", "<s>hello", "<s> hello</s>world",
         "hello<|im_end|> world", "hello<|im_end|>  world", "<|im_end|>\n", "a<note>b", " <note> ", "<note>", "\u00fc F\u00fchrer",
         "<|im_end|><|im_end|>", "<0x41> <0x0A>", "\u2581the\u2581 the", "<unk>", "the \u65e5\u672c", "<|im_end", "\u0120the", "", " ", "\n", "  hello",
         "<dup>", "x<dup>y", "<|begin_of_text|><|begin_of_text|>hi", "<pad>", "hello\u00a0world"]
CASES = {}


def case(f):
    CASES[f.__name__] = f
    return f


def base():
    g = Gguf()
    header(g, dict(embd=32, heads=1, kv=1, hd=32, ff=32, layers=1, ctx=64))
    return g


def edit(g, key, f):
    for i, (n, k, e, v) in enumerate(g.keys):
        if n == key:
            g.keys[i] = (n, k, e, f(v))
    return g


CHAT = [("<|im_start|>", CONTROL), ("<|im_end|>", CONTROL), ("<note>", USER), ("\u00fc", USER), ("<pad>", UNUSED)]


@case
def spm_control():
    g = base()
    spm(g, 420, CHAT)
    return g


@case
def spm_user():         # the chat tokens are user-defined, as added tokens often are
    g = base()
    spm(g, 420, [(t, USER) for t, _ in CHAT])
    return g


@case
def spm_normal():       # ... or plain
    g = base()
    spm(g, 420, [(t, NORMAL) for t, _ in CHAT])
    return g


@case
def spm_dup():          # one text twice
    g = base()
    spm(g, 420, [("<dup>", USER), ("<dup>", USER), ("the", NORMAL)])
    return g


@case
def spm_empty():        # tokens without text
    g = base()
    spm(g, 420, [("", NORMAL), ("", NORMAL)])
    return g


@case
def spm_no_types():
    g = base()
    spm(g, 420, CHAT)
    g.drop("tokenizer.ggml.token_type")
    return g


@case
def spm_no_scores():
    g = base()
    spm(g, 420, CHAT)
    g.drop("tokenizer.ggml.scores")
    return g


@case
def spm_no_ids():
    g = base()
    spm(g, 420, CHAT)
    g.drop("tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id", "tokenizer.ggml.unknown_token_id")
    return g


@case
def spm_bos_none():     # -1 = none
    g = base()
    spm(g, 420, CHAT)
    g.put("tokenizer.ggml.bos_token_id", I32, -1)
    g.put("tokenizer.ggml.add_bos_token", BOOL, False)
    return g


@case
def spm_pad_outside():
    g = base()
    spm(g, 420, CHAT)
    g.put("tokenizer.ggml.padding_token_id", U32, 4294967295)
    return g


@case
def spm_add_eos():
    g = base()
    spm(g, 420, CHAT)
    g.put("tokenizer.ggml.add_eos_token", BOOL, True)
    return g


@case
def spm_flag_int():     # a flag as a number
    g = base()
    spm(g, 420, CHAT)
    g.put("tokenizer.ggml.add_bos_token", U8, 0)
    return g


@case
def spm_flag_u32():
    g = base()
    spm(g, 420, CHAT)
    g.put("tokenizer.ggml.add_space_prefix", U32, 0)
    return g


@case
def spm_types_u32():    # other widths of the lists
    g = base()
    spm(g, 420, CHAT)
    for i, (n, k, e, v) in enumerate(g.keys):
        if n.endswith("token_type"):
            g.keys[i] = (n, k, U32, v)
        if n.endswith("scores"):
            g.keys[i] = (n, k, F64, v)
    return g


@case
def spm_score_inf():    # -inf as the score of an added token
    g = base()
    spm(g, 420, CHAT)
    return edit(g, "tokenizer.ggml.scores", lambda v: v[:-1] + [float("-inf")])


@case
def spm_no_bytes():     # no byte tokens: what cannot be spelt is <unk>
    g = base()
    spm(g, 420, CHAT)
    g = edit(g, "tokenizer.ggml.tokens", lambda v: [("gone%d" % i) if t.startswith("<0x") else t for i, t in enumerate(v)])
    return edit(g, "tokenizer.ggml.token_type", lambda v: [NORMAL if t == BYTE else t for t in v])


@case
def spm_newline_token():        # both <0x0A> and a plain newline
    g = base()
    spm(g, 420, CHAT + [("\n", NORMAL)])
    return g


CHATB = [(t, k) for t, k in CHAT if t != "\u00fc"]      # (byte-level BPE has that one already)
BOS = [("<|begin_of_text|>", CONTROL), ("<|end_of_text|>", CONTROL)]


@case
def bpe_llama3():
    g = base()
    t = bpe(g, 420, "llama-bpe", extra=BOS + CHATB)
    g.put("tokenizer.ggml.bos_token_id", U32, t.index("<|begin_of_text|>"))
    g.put("tokenizer.ggml.eos_token_id", U32, t.index("<|end_of_text|>"))
    return g


@case
def bpe_no_pre():       # a Llama 3 file of April 2024: no tokenizer.ggml.pre
    g = base()
    t = bpe(g, 420, None, extra=BOS + CHATB)
    g.put("tokenizer.ggml.bos_token_id", U32, t.index("<|begin_of_text|>"))
    g.put("tokenizer.ggml.eos_token_id", U32, t.index("<|end_of_text|>"))
    return g


@case
def bpe_default():
    g = base()
    t = bpe(g, 420, "default", extra=BOS + CHATB)
    g.put("tokenizer.ggml.bos_token_id", U32, t.index("<|begin_of_text|>"))
    return g


def named(pre):
    def f():
        g = base()
        t = bpe(g, 420, pre, extra=BOS + CHATB)
        g.put("tokenizer.ggml.bos_token_id", U32, t.index("<|begin_of_text|>"))
        g.put("tokenizer.ggml.eos_token_id", U32, t.index("<|end_of_text|>"))
        return g
    f.__name__ = "bpe_pre_" + pre
    CASES[f.__name__] = f


for pre in ("llama3", "llama-v3", "pixtral", "smaug-bpe", "mellum", "deepseek-coder", "command-r", "stablelm2", "poro-chat", "gpt-4o"):
    named(pre)


@case
def bpe_user():
    g = base()
    t = bpe(g, 420, "llama-bpe", extra=BOS + [(x, USER) for x, _ in CHATB])
    g.put("tokenizer.ggml.bos_token_id", U32, t.index("<|begin_of_text|>"))
    return g


@case
def bpe_dup():
    g = base()
    bpe(g, 420, "qwen2", extra=[("<dup>", CONTROL), ("<dup>", CONTROL), ("the", NORMAL)])
    return g


@case
def bpe_empty():
    g = base()
    bpe(g, 420, "qwen2", extra=[("", NORMAL), ("", NORMAL)])
    return g


@case
def bpe_no_types():
    g = base()
    t = bpe(g, 420, "qwen2", extra=CHATB)
    g.drop("tokenizer.ggml.token_type")
    return g


@case
def bpe_merge_gone():   # a merge whose result is no token
    g = base()
    bpe(g, 420, "qwen2")
    return edit(g, "tokenizer.ggml.tokens", lambda v: ["gone" if t == "hell" else t for t in v])


@case
def bpe_no_merges():
    g = base()
    bpe(g, 420, "qwen2")
    g.drop("tokenizer.ggml.merges")
    return g


@case
def bpe_add_space_prefix():
    g = base()
    bpe(g, 420, "qwen2", extra=CHATB)
    g.put("tokenizer.ggml.add_space_prefix", BOOL, True)
    return g


@case
def bpe_bos_no_id():    # add_bos without a bos
    g = base()
    bpe(g, 420, "qwen2", extra=CHATB)
    g.put("tokenizer.ggml.add_bos_token", BOOL, True)
    return g


@case
def bpe_llama3_no_bos_id():
    g = base()
    bpe(g, 420, "llama-bpe", extra=CHATB)
    return g


@case
def bpe_scores():       # scores though BPE has none
    g = base()
    bpe(g, 420, "qwen2", extra=CHATB)
    g.put("tokenizer.ggml.scores", ARR, [0.0] * 420, F32)
    return g
