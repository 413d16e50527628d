#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes data/tokens.tsv: two small vocabularies, and what llama.cpp makes of texts with them.

  apt install python3-regex; tests/oracle/mkroot; make_tokens.py >data/tokens.tsv

The byte-pair merges are trained on the texts of this repository's documentation and of the test.
Where llama.cpp approximates a published expression (tekken: marks and capitals beyond ASCII), a
text that it cuts otherwise is left out; make_words.py covers those.
"""
import collections
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

import regex

import make_words
from make_words import RULES, TEXTS, cut, escaped, odd_texts

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPACE = "\u2581"
UNK, CONTROL, USER, BYTE = 2, 3, 4, 6
BYTES = [b for b in range(256)]
PRINTABLE = [b for b in BYTES if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
CODE = {b: chr(b) for b in PRINTABLE}
CODE.update({b: chr(256 + i) for i, b in enumerate(b for b in BYTES if b not in CODE)})
# llama.cpp's expressions for tekken and gpt-4o
TEKKEN = (r"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+|"
          r"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*|\p{N}|"
          r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
ENDING = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?"
CASED = {"tekken": TEKKEN,
         "gpt-4o": TEKKEN.replace("+|[", "+" + ENDING + "|[", 1).replace("*|\\p{N}", "*" + ENDING + "|\\p{N}{1,3}")}
SPECIALS = ["<|bos|>", "<|user|>", "<|user|>x"]
MORE = ["the <|user|> says <|bos|>", "<|user|>x<|user|>", "<|bos|><|bos|> a", "<s>x</s> y", "<unk>", "<0x41>"]
RAW = [b"\xff", b"ab\xffcd", b"\x80\x80", b"\xe2\x82", b"x\xe2\x82 y", b"\xf0\x9f\x98", b"caf\xc3", b"\xc3(", b"\xfe\xfe\xff\xff"]


def corpus():
    text = "\n".join(p.read_text() for p in sorted((ROOT / "Documentation").rglob("*.rst")))[:60000]
    return text + "\n".join(TEXTS * 6)


def train(words, n):
    """n merges of symbols; words: {tuple of symbols: count}"""
    merges = []
    while len(merges) < n:
        pairs = collections.Counter()
        for w, c in words.items():
            for p in zip(w, w[1:]):
                pairs[p] += c
        best = max(pairs, key=lambda p: (pairs[p], p))
        merges.append(best)
        joined = collections.Counter()
        for w, c in words.items():
            out, i = [], 0
            while i < len(w):
                if w[i:i + 2] == best:
                    out.append(w[i] + w[i + 1])
                    i += 2
                else:
                    out.append(w[i])
                    i += 1
            joined[tuple(out)] += c
        words = joined
    return merges


def bpe():
    words = collections.Counter(tuple(CODE[b] for b in w.encode()) for w in cut(corpus(), RULES[0][1]))
    merges = train(words, 500)
    tokens = [CODE[b] for b in BYTES]
    for a, b in merges:
        if a + b not in tokens:
            tokens.append(a + b)
    # A token that no merges lead to, for those that take whole words.
    tokens += ["Honorificabilitudinitatibus"] + SPECIALS
    types = [1] * len(tokens)
    types[-3:] = [CONTROL, USER, USER]
    return tokens, types, ["%s %s" % m for m in merges]


def spm():
    text = corpus().replace(" ", SPACE)
    words = collections.Counter(tuple(w) for w in regex.findall(SPACE + r"*\p{L}+|" + SPACE + "+|.", text))
    chars = collections.Counter(text)
    pieces = [a + b for a, b in train(words, 400)] + [c for c, n in chars.most_common(150)]
    pieces = list(dict.fromkeys(pieces))
    tokens = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in BYTES] + pieces + SPECIALS
    types = [UNK, CONTROL, CONTROL] + [BYTE] * 256 + [1] * len(pieces) + [CONTROL, USER, USER]
    # Every third score equals the one before it, so that places decide, too.
    scores = [0.0] * 259 + [-float(i - i % 3) for i in range(len(pieces))] + [0.0] * 3
    return tokens, types, scores


def text_of(s):
    raw = s.encode() if isinstance(s, str) else s
    return struct.pack("<Q", len(raw)) + raw


def model(path, kind, pre, tokens, types, scores, merges, bos):
    keys = [text_of(k) + struct.pack("<I", 8) + text_of(v) for k, v in (
        ("general.architecture", "llama"), ("tokenizer.ggml.model", kind), ("tokenizer.ggml.pre", pre))]

    def array(name, number, items):
        keys.append(text_of(name) + struct.pack("<IIQ", 9, number, len(items)) + b"".join(items))

    array("tokenizer.ggml.tokens", 8, [text_of(t) for t in tokens])
    array("tokenizer.ggml.token_type", 5, [struct.pack("<i", t) for t in types])
    if scores:
        array("tokenizer.ggml.scores", 6, [struct.pack("<f", s) for s in scores])
    if merges:
        array("tokenizer.ggml.merges", 8, [text_of(m) for m in merges])
    keys.append(text_of("tokenizer.ggml.bos_token_id") + struct.pack("<II", 4, bos))
    keys.append(text_of("tokenizer.ggml.eos_token_id") + struct.pack("<II", 4, bos))
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys)) + b"".join(keys))


def ask(folder, name, n, flags):
    """What llama-tokenize says of the files t0, t1, ...: lists of numbers."""
    script = "for i in $(seq 0 %d); do llama-tokenize -m %s -f t$i --ids --no-escape --log-disable %s; done" % (
        n - 1, name, flags)
    out = subprocess.run([ROOT / "tests/oracle/in-root", folder, "sh", "-c", script], check=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    lists = [[int(x) for x in line[1:-1].split(",") if x.strip()] for line in out.split("\n") if line.startswith("[")]
    assert len(lists) == n, (len(lists), n, out[:500])
    return lists


def main():
    texts = [t.encode() for t in TEXTS + odd_texts()[:60] + MORE] + RAW
    tokens, types, merges = bpe()
    spm_tokens, spm_types, spm_scores = spm()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        for i, t in enumerate(texts):
            (pathlib.Path(folder) / ("t%d" % i)).write_bytes(t)
        for pre in ["spm"] + [n for n, _ in RULES]:
            path = pathlib.Path(folder) / "v.gguf"
            if pre == "spm":
                model(path, "llama", "default", spm_tokens, spm_types, spm_scores, [], 1)
            else:
                model(path, "gpt2", pre, tokens, types, [], merges, len(tokens) - 3)
            for parse in (False, True):
                print("%s %d" % (pre, parse), file=sys.stderr)
                ids = ask(folder, "v.gguf", len(texts), "" if parse else "--no-parse-special")
                for i, t in enumerate(texts):
                    if pre in CASED:
                        s = t.decode(errors="replace")
                        if cut(s, dict(RULES)[pre]) != cut(s, [CASED[pre]]):
                            continue
                    # Parsed control tokens are listed only where they change something.
                    if not parse or (pre, False, i, ids[i]) not in results:
                        results.append((pre, parse, i, ids[i]))
    print("# SPDX-License-Identifier: MIT")
    print("# Made by make_tokens.py with llama.cpp: vocabularies, texts, and the tokens of text N for a")
    print("# pre-tokenizer, with those at the ends; parsed: control tokens count in the text.")
    print("# Numbers 0 to 255 (bpe) and 3 to 258 (spm) are the bytes; the last three are one control")
    print("# token and two of users.")
    for kind, items in (("bpe", tokens[256:]), ("merge", merges), ("spm", spm_tokens[259:])):
        for item in items:
            print("%s\t%s" % (kind, escaped(item.encode())))
    for t in texts:
        print("text\t%s" % escaped(t))
    for pre, parse, i, ids in results:
        print("%s\t%s\t%d\t%s" % ("parsed" if parse else "plain", pre, i, " ".join(map(str, ids))))


main()
