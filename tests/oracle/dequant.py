#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Copies a GGUF file with every tensor turned into F32: the same weights, to the last bit, in a
type that needs no treatment of the activations.  What a program computes from the two differs by
what that treatment costs it.  Standard library only.

  dequant.py IN.gguf OUT.gguf
"""
import sys

import ggufio
from formats import decode


def f32_bytes(values):
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def f32_copy(path, out):
    r = ggufio.Reader(path)
    keys = [(name, kind, 0 if name == "general.file_type" else v)
            for name, (kind, v) in r.keys.items()]

    def pieces(name, kind):
        data = r.bytes_of(name)
        yield data if kind == "I32" else f32_bytes(decode(kind, data))

    return ggufio.write(out, keys, [(name, "I32" if kind == "I32" else "F32", dims, pieces(name, kind))
                                    for name, (kind, dims, _) in r.tensors.items()])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    f32_copy(*sys.argv[1:])
