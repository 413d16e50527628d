#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares two files of logits, as `accelctl logits` and logits.c write them.  Standard library only.

  compare.py REFERENCE OTHER [LIMIT]

Prints the normalised mean square error (the squared differences over the squares of the
reference), the largest difference, the mean Kullback-Leibler divergence of the next token's
distributions and how often both find the same token the most likely one.  With LIMIT the exit
status is 1 if the first is above it.
"""
import math
import struct
import sys
from array import array


class Logits:
    def __init__(self, path):
        with open(path, "rb") as f:
            b = f.read()
        if len(b) < 12 or b[:4] != b"LGT1":
            raise ValueError("%s is not a file of logits" % path)
        n, self.vocab = struct.unpack_from("<II", b, 4)
        if len(b) != 12 + 4 * n * (1 + self.vocab):
            raise ValueError("%s has %d bytes, which %d tokens of a vocabulary of %d do not make"
                             % (path, len(b), n, self.vocab))
        self.tokens = array("i", b[12:12 + 4 * n])
        self.values = array("f", b[12 + 4 * n:])
        if sys.byteorder == "big":
            self.tokens.byteswap()
            self.values.byteswap()

    def rows(self):
        v = self.vocab
        return (self.values[i * v:(i + 1) * v] for i in range(len(self.tokens)))


def worst(a, b):
    """The largest nmse of a single token"""
    return max(sum((x - y) ** 2 for x, y in zip(u, v)) / sum(x * x for x in u)
               for u, v in zip(a.rows(), b.rows()))


def nmse(a, b):
    """How far b is from the reference a; inf if it is not all numbers."""
    if a.tokens != b.tokens or a.vocab != b.vocab:
        raise ValueError("the logits are those of different tokens or vocabularies")
    error = sum((x - y) * (x - y) for x, y in zip(a.values, b.values))
    return error / sum(x * x for x in a.values) if math.isfinite(error) else math.inf


def log_softmax(row):
    top = max(row)
    base = top + math.log(sum(math.exp(x - top) for x in row))
    return [x - base for x in row]


def describe(a, b):
    worst = max(abs(x - y) for x, y in zip(a.values, b.values))
    divergence = same = 0
    for p, q in zip(a.rows(), b.rows()):
        divergence += sum(math.exp(x) * (x - y) for x, y in zip(log_softmax(p), log_softmax(q)))
        same += p.index(max(p)) == q.index(max(q))
    n = len(a.tokens)
    return "max %.3e  kl %.3e  same %d of %d" % (worst, divergence / n, same, n)


def main(args):
    if len(args) not in (2, 3):
        sys.exit(__doc__)
    try:
        a, b = Logits(args[0]), Logits(args[1])
        e = nmse(a, b)
    except (OSError, ValueError) as err:
        sys.exit("compare: %s" % err)
    print("nmse %.3e  %s" % (e, describe(a, b) if math.isfinite(e) else "not all numbers"))
    return 1 if len(args) == 3 and not e <= float(args[2]) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
