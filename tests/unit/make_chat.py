#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes data/chat.tsv: conversations as llama.cpp writes them down, and which templates it takes for which.

  tests/oracle/mkroot; make_chat.py >data/chat.tsv

The marks by which templates are recognised are tried alone and in pairs, so that their order counts.
"""
import itertools
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FORMATS = ROOT / "libaccel/text/chat_formats.c"
S, U, A = "system", "user", "assistant"
TALKS = [
    [(U, "What is it?")],
    [(S, "Be brief."), (U, "What is it?")],
    [(S, "Be brief."), (U, "What is it?"), (A, "A star."), (U, "Which?")],
    [(U, "Hello"), (A, "Good day"), (U, "Go on"), (A, "And so on")],
    [(S, "  Be brief. \n"), (U, "\n What is it?\t"), (A, " A star. "), (U, " Which? ")],
    [(S, "Be brief."), (S, "Be kind."), (U, "Hello"), (U, "again"), (A, "Yes"), (A, "No"), (U, "\u00e9\u4e2d")],
    [(A, "Good day"), (U, "Hello")],
    [(U, "")],
]


def c_strings(text):
    """The C string literals of a text, decoded."""
    def one(m):
        s = m[1].replace("\\n", "\n").replace('\\"', '"').replace("\\'", "'")
        return re.sub(r"\\u([0-9a-f]{4})", lambda u: chr(int(u[1], 16)), s).replace("\\\\", "\\")
    return [one(m) for m in re.finditer(r'"((?:[^"\\]|\\.)*)"', text)]


def escaped(s):
    return "".join("\\x%02x" % b if b < 32 or b > 126 or b in b"#\\" else chr(b) for b in s.encode())


def formats():
    source = FORMATS.read_text()
    table = source[source.index("chat_formats[]"):source.index("chat_marks[]")]
    marks = source[source.index("chat_marks[] = {"):].replace("DEEPSEEK_END", '"<\uff5cend\u2581of\u2581sentence\uff5c>"')
    names = re.findall(r'\n\t\{ "([a-z0-9-]+)"', table)
    rows = [c_strings(line)[1:] for line in re.findall(r'\n\t(\{ ".*\}),', marks)]
    return names, rows


def ask(cases):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        shutil.copy(ROOT / "tests/oracle/chat.c", folder)
        with open(os.path.join(folder, "cases"), "wb") as f:
            for pattern, answer, talk in cases:
                for s in [pattern, "%d" % answer, "%d" % len(talk)] + [x for m in talk for x in m]:
                    f.write(s.encode() + b"\0")
        script = "cc -o chat chat.c $(pkg-config --cflags --libs llama) && ./chat <cases"
        out = subprocess.run([ROOT / "tests/oracle/in-root", folder, "sh", "-c", script], check=True,
                             stdout=subprocess.PIPE).stdout.decode().split("\n")[:-1]
    assert len(out) == len(cases), (len(out), len(cases))
    return out


def main():
    names, marks = formats()
    patterns = [" ".join(row) for row in marks]
    patterns += [" ".join(a + b) for a, b in itertools.permutations(marks, 2)]
    # Every mark alone, too: what is only half there.
    patterns += sorted({m for row in marks for m in row})
    cases = [(n, a, t) for n in names for t in range(len(TALKS)) for a in (False, True)]
    texts = ask([(n, a, TALKS[t]) for n, a, t in cases])
    print("# SPDX-License-Identifier: MIT")
    print("# Made by make_chat.py with llama.cpp.  talk: number, role and text of a message; format: name, with")
    print("# what makes the model answer, number of the talk, text; marks: a template, and the format that it")
    print("# is taken for (\"-\": none; several that write the same).")
    for i, talk in enumerate(TALKS):
        for role, text in talk:
            print("talk\t%d\t%s\t%s" % (i, role, escaped(text)))
    known = {}
    for (name, answer, talk), text in zip(cases, texts):
        if text != "-":
            print("format\t%s\t%d\t%d\t%s" % (name, answer, talk, text))
            known.setdefault(name, []).append(text)
    by_texts = {}
    for name, v in known.items():
        by_texts[tuple(v)] = " ".join(filter(None, [by_texts.get(tuple(v)), name]))
    patterns = list(dict.fromkeys(patterns))
    every = ask([(p, a, t) for p in patterns for t in TALKS for a in (False, True)])
    for i, p in enumerate(patterns):
        answers = tuple(every[i * 2 * len(TALKS):(i + 1) * 2 * len(TALKS)])
        name = "-" if set(answers) == {"-"} else by_texts.get(answers)
        if name:
            print("marks\t%s\t%s" % (escaped(p), name))


main()
