#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A small model of the qwen2 architecture with random weights, as tests/oracle/generate.py makes those of
llama, and llama.cpp's logits of it in qwen2.bin.

  qwen2.py model OUT.gguf       writes the model
  qwen2.py compare LOGITS       compares what accelctl computed: the limit is that of the oracle's F32
  qwen2.py record               makes qwen2.bin again, with the llama.cpp of tests/oracle/mkroot
"""
import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "oracle"))

import cases
import compare
import generate

OPTIONS = "--layers 2 --embd 64 --heads 4 --kv 2 --ff 96 --vocab 96 --ctx 64 --rope-base 1e6 --tok none --bias --tied"
REFERENCE = os.path.join(HERE, "qwen2.bin")
TOKENS = 24     # the first that accelctl logits takes by itself


class Qwen2(generate.Model):
    def bias(self, name, n):
        if not name.endswith("attn_output.bias"):
            super().bias(name, n)

    def keys(self):
        return [(name.replace("llama.", "qwen2."), kind, "qwen2" if name == "general.architecture" else value)
                for name, kind, value in super().keys() if name != "llama.rope.dimension_count"]


def write(path):
    Qwen2(generate.options(OPTIONS.split() + [path])).write()


def record():
    from peer import Peer
    with tempfile.TemporaryDirectory() as directory:
        peer = Peer(directory)
        write(peer.path("model.gguf"))
        shutil.copy(peer.logits("model.gguf", TOKENS), REFERENCE)


def main(args):
    if args[:1] == ["model"] and len(args) == 2:
        write(args[1])
    elif args[:1] == ["compare"] and len(args) == 2:
        return compare.main([REFERENCE, args[1], str(cases.FLOAT_LIMITS["F32"])])
    elif args == ["record"]:
        record()
    else:
        sys.exit(__doc__)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
