#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes data/sampler.tsv: what llama.cpp's samplers leave of logits, and how likely each is.

  tests/oracle/mkroot; make_sampler.py >data/sampler.tsv
"""
import os
import pathlib
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FEW = ",".join(map(str, [3, 7, 7, 11, 3, 7, 50, 51, 52, 199]))
MANY = ",".join(str(i * 7 % 200) for i in range(100))
# seed, logits, temperature, top_k, top_p, min_p, repeat, frequency, presence, look back, accepted
CASES = [
    (1, 200, 0.8, 40, 0.95, 0.05, 1, 0, 0, 64, "-"),
    (2, 200, 1, 40, 1, 0, 1, 0, 0, 64, "-"),
    (3, 200, 2, 40, 0.95, 0, 1, 0, 0, 64, "-"),         # the temperature comes last
    (4, 200, 0.5, 0, 0.9, 0, 1, 0, 0, 64, "-"),
    (5, 200, 1.5, 0, 1, 0.1, 1, 0, 0, 64, "-"),
    (6, 200, 1, 0, 1, 0, 1, 0, 0, 64, "-"),
    (7, 200, 1, 5, 0.5, 0.5, 1, 0, 0, 64, "-"),
    (8, 200, 0.8, 40, 0.95, 0.05, 1.3, 0, 0, 64, FEW),
    (9, 200, 0.8, 40, 0.95, 0.05, 1.1, 0.5, 0.4, 64, MANY),
    (10, 200, 1, 10, 1, 0, 1, 0, 3, 8, MANY),
    (11, 200, 1, 10, 1, 0, 0.5, 0, 0, 64, FEW),          # what raises logits
    (12, 200, 1, 10, 1, 0, 1, -2, 0, 64, MANY),
    (13, 200, 1, 1, 1, 0, 1, 0, 0, 64, "-"),
    (14, 30, 1, 40, 0.8, 0, 1, 0, 0, 64, "-"),
    (15, 2000, 3, 100, 0.7, 0.2, 1.2, 0.1, 0.1, 64, MANY),
]


def main():
    lines = [" ".join(map(str, c)) for c in CASES]
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        shutil.copy(ROOT / "tests/oracle/sampler.c", folder)
        with open(os.path.join(folder, "cases"), "w") as f:
            f.write("".join(line + "\n" for line in lines))
        script = "cc -o sampler sampler.c $(pkg-config --cflags --libs llama) && ./sampler <cases"
        out = subprocess.run([ROOT / "tests/oracle/in-root", folder, "sh", "-c", script], check=True,
                             stdout=subprocess.PIPE, text=True).stdout.split("\n")[:-1]
    assert len(out) == len(lines), out
    print("# SPDX-License-Identifier: MIT")
    print("# Made by make_sampler.py with llama.cpp: a case of tests/oracle/sampler.c, and how likely each token is.")
    for line, probabilities in zip(lines, out):
        print("%s\t%s" % (line.replace(" ", "\t"), probabilities))


main()
