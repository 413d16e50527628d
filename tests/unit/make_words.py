#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes data/words.tsv: how the published regular expressions cut texts into words.

  apt install python3-regex; make_words.py >data/words.tsv

The expressions are those of the models' tokenizers; the test compares the hand-written
functions of libaccel with what a regular expression engine makes of them.
"""
import random

import regex

LLAMA = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
         r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
LISTED = ("A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af"
          "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1"
          "\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5"
          "\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a"
          "\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d"
          "\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3"
          "\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115"
          "\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f"
          "\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3"
          "\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf"
          "\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a"
          "\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2"
          "\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943")
NO_HAN = r"(?:(?!\p{Han})%s)"
THOUSANDS = r"(?=(?:[0-9]{3})+(?![0-9]))"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
VIKING = " ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+"
RULES = [
    ("llama-bpe", [LLAMA]),
    ("qwen2", [LLAMA.replace("{1,3}", "")]),
    ("tekken", [r"[^\r\n\p{L}\p{N}]?" + UPPER + "*" + LOWER + "+|"
                r"[^\r\n\p{L}\p{N}]?" + UPPER + "+" + LOWER + r"*|\p{N}|"
                r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"]),
    ("deepseek-llm", [r"[\r\n]", r"\s?[" + LISTED + "]+",
                      "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+", r"\s+$",
                      "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", r"\p{N}+"]),
    ("deepseek-v3", [r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
                     "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"
                     "[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|"
                     "\\s*[\r\n]+|\\s+(?!\\S)|\\s+"]),
    ("gpt-2", [GPT2]),
    ("minerva-7b", [r"\p{N}", GPT2]),
    ("viking", [VIKING, r"\p{N}"]),
    ("poro-chat", [VIKING]),
    ("falcon", [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, r"[0-9][0-9][0-9]"]),
    ("default", [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"]),
    ("deepseek-coder", [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+",
                        "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", r"\p{N}"]),
    ("qwen35", [r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|"
                r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"]),
    ("seed-coder", [r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}|"
                    r" ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"]),
    ("ufakzeka", [r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"]),
    ("minicpm5", [r"\p{N}{1,3}", LLAMA.replace("{1,3}", "+")]),
    ("gpt-4o", [r"[^\r\n\p{L}\p{N}]?" + UPPER + "*" + LOWER + "+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
                r"[^\r\n\p{L}\p{N}]?" + UPPER + "+" + LOWER + r"*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}|"
                r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"]),
    ("kimi-k2", [r"\p{Han}+|[^\r\n\p{L}\p{N}]?" + NO_HAN % UPPER + "*" + NO_HAN % LOWER + "+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
                 r"[^\r\n\p{L}\p{N}]?" + NO_HAN % UPPER + "+" + NO_HAN % LOWER + r"*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
                 r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"]),
    # the second splits where it matches nothing: from there to where it does so next
    ("superbpe", [r"\p{N}+", "(?s)" + THOUSANDS + ".(?:(?!" + THOUSANDS + ").)*"]),
]

TEXTS = [
    "Hello, world!", "What is the capital of France?", " leading and trailing ", "a", " ", "  ", "\n",
    "I'm you're he'll they've I'd can't it's", "IT'S WE'RE I'LL YOU'VE 'tis 'S 'Re 'x 's", "'", "''ll'",
    "1", "12", "123", "1234567890", "12345678 x1234567\u00b212\u0663 \u00bd123456\u00b2", "3.14159 1,000,000 2026-11-24", "a1b22c333d4444", "\u0663\u0664\u0665\u2167\u00b2\u00bd",
    "tabs\tand\t\tmore", "line\nline\n\nline\r\nline\r\n\r\n  indented\n\n   ", "   three   spaces   ",
    "\n \n  \n", " \n x", "x \n", "\t \t x", "a\u00a0b\u3000c\u2009d\u0085e\u2028f", "\u3000\u3000x",
    "for (int i = 0; i < n; i++) {\n\t\tx[i] += y->z; // done\n\t}\n", "#include <stdio.h>\n/* a */\n",
    "http://example.com/a/b?c=d&e=f", "path/to/\n/file//x", "foo@bar.org; \"quoted\" (paren) [x] {y} <z>",
    "CamelCaseWord HTTPServer XMLHttpRequest iPhone ABC abcDEF A Aa aA", "snake_case __init__ ---- ==== ...",
    "Gr\u00fc\u00dfe aus Z\u00fcrich, \u00c9cole d'\u00e9t\u00e9 \u00c9COLE \u00e9\u00c9", "Cafe\u0301 e\u0301\u0301 \u0301start",
    "Привет, мир! ЁЛКА", "Γειά σου Κόσμε ΐ", "Ահա Բարեւ աշխարհ", "\u10d2\u10d0\u10db\u10d0\u10e0\u10ef\u10dd\u10d1\u10d0 \u10a0\u10a1 \u1c90",
    "你好，世界！123今天", "こんにちは、世界。カタカナー ﾊﾝｶｸ", "안녕하세요 세계 한국어", "สวัสดีชาวโลก", "नमस्ते दुनिया", "שלום עולם",
    "مرحبا بالعالم ١٢٣", "বাংলা ভাষা", "Việt Nam đẹp lắm",
    "\U0001f600\U0001f680 ok \U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1eb\U0001f1f7!", "\u2764\ufe0f\n\n", "\u20ac5 \u00a3 \u00a5 \u00b1 \u2211 \u221e",
    "\u01c5\u01c6\u01c4 \u02b0\u00aa \u01bb \u0294", "\U0001d400\U0001d41a \U00010400\U00010428", "\u200b\u200bx \u200b,", "\ufeffbom",
    "\x00\x01 \x1b[0m \x7f", "\ue000private", "\u0378\u0379unassigned", "\uff21\uff22\uff23 \uff11\uff12 \uff01\uff5e \u201cq\u201d \u2018x\u2019",
    "mixed\u4e2dABC\u4e2ddef\u4e2dG", "\u4e2dABC", "ABC\u4e2d", "ABC\u0301DEF", "\u0301\u0301ABC", " \u0301", "-\u0301x", "!abc !!abc ?A1",
]

PALETTE = list("aZ'sT1 \t\n\r.,/!_\u00e9\u00c9\u0301\u4e2d\u3042\uac00\u01c5\u02b0\u0661\u00a0\u3000\U0001f600\u200b\u20ac\u0915\u093e\u00df\u0410")


def cut(text, rules):
    if not rules:
        return [text]
    out, end = [], 0
    for m in regex.finditer(rules[0], text):
        if m.end() == m.start():
            continue
        if m.start() > end:
            out += cut(text[end:m.start()], rules[1:])
        out += cut(m.group(), rules[1:])
        end = m.end()
    if end < len(text):
        out += cut(text[end:], rules[1:])
    return out


def odd_texts():
    rnd = random.Random(7)
    return ["".join(rnd.choice(PALETTE) for _ in range(rnd.randint(2, 24))) for _ in range(150)]


def escaped(raw):
    return "".join("\\x%02x" % b if b < 32 or b > 126 or b in b"#\\" else chr(b) for b in raw)


def main():
    texts = TEXTS + odd_texts()
    print("# SPDX-License-Identifier: MIT")
    print("# Made by make_words.py.  A text, and for each pre-tokenizer the bytes of its words.")
    print("\t".join(["text"] + [n for n, _ in RULES]))
    for text in texts:
        row = [escaped(text.encode())]
        for _, rules in RULES:
            words = cut(text, rules)
            assert "".join(words) == text
            row.append(" ".join(str(len(w.encode())) for w in words))
        print("\t".join(row))


if __name__ == "__main__":
    main()
