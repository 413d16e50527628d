# SPDX-License-Identifier: MIT
"""Vocabularies that are files of their own, and libaccel's tokens of texts with them."""
import hashlib
import os
import re
import subprocess
import unicodedata

import cases
import ggufio
import vocab

TOP = os.path.dirname(os.path.dirname(cases.HERE))
TOKENS = 1200
BUILD = """${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O2 -Ilibaccel/include -Ilibaccel -Iuapi -o "$1" tests/oracle/encode.c \
"$2"/libaccel.a $(ls "$2"/liboctans-sim.a) $(pkg-config --libs libdrm) -ldl -lm -pthread"""
# The kinds with flags other than the usual ones.
FLAGS = {
    "spm": (("add_space_prefix", False),),
    "gemma": (),
    "unigram": (("add_space_prefix", False), ("remove_extra_whitespaces", False)),
}
# llama.cpp's expressions of these take letters beyond ASCII for both capital and small.
CASED = ("tekken", "gpt-4o", "kimi-k2")
# What is no UTF-8 though it looks like it: halves of surrogate pairs, longer forms than needed, beyond U+10FFFF.
LENIENT = re.compile(b"\xed[\xa0-\xbf][\x80-\xbf]|[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f][\x80-\xbf]|"
                     b"\xf0[\x80-\x8f][\x80-\xbf]{2}|[\xf4-\xf7][\x80-\xbf]{3}")


def pretokenizers():
    """{name: [its other names]}: the list in tokenizer_words.c."""
    with open(os.path.join(TOP, "libaccel", "text", "tokenizer_words.c")) as f:
        table = f.read().split("pretokenizer all[] = {")[1].split("\n};")[0]
    out = {}
    for entry in re.findall(r'\{ "([^"]+)",\s*((?:"[^"]*"\s*)+),', table):
        out[entry[0]] = "".join(re.findall('"([^"]*)"', entry[1])).split()
    return out


def names():
    out = []
    for kind, flags in FLAGS.items():
        out += [kind] + ["%s, %s=%d" % (kind, key, value) for key, value in flags]
    for name, others in pretokenizers().items():
        out += [name] + ["%s, as %s" % (name, other) for other in others]
    return out


def write(name, path):
    first, _, more = name.partition(", ")
    if first in FLAGS:
        keys = vocab.KINDS[first][0](TOKENS)
        if more:
            key, value = more.split("=")
            key = "tokenizer.ggml." + key
            keys = [k for k in keys if k[0] != key] + [(key, ggufio.BOOL, value == "1")]
    else:
        keys = vocab.bpe(TOKENS, more[3:] if more else first)
    ggufio.write(path, [("general.architecture", ggufio.STR, "llama")] + keys, [])


def build(library, directory):
    program = os.path.join(directory, "encode")
    subprocess.run(["sh", "-c", BUILD, "sh", program, os.path.abspath(library)], cwd=TOP, check=True)
    return program


def run(program, model, texts):
    return subprocess.run([program, model], input=b"".join(t + b"\0" for t in texts), stdout=subprocess.PIPE,
                          check=True).stdout


def known_to_differ(name, text):
    """Where llama.cpp differs from the published expression: see README.md."""
    if LENIENT.search(text):
        return True
    if name == "deepseek-llm" and "\u3000".encode() in text:     # a space for llama.cpp, and no sign
        return True
    if name.split(",")[0] not in CASED:
        return False
    return any(c > "\x7f" and unicodedata.category(c)[0] in "LM" for c in text.decode(errors="replace"))


def digests(name, texts, lists):
    """Of each hundred texts, those that may differ left out."""
    out = []
    for i in range(0, len(texts), 100):
        h = hashlib.sha256()
        for k in range(i, min(i + 100, len(texts))):
            if not known_to_differ(name, texts[k]):
                h.update("\n".join(lists[2 * k:2 * k + 2] + [""]).encode())
        out.append(h.hexdigest()[:8])
    return out
