#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A small model of the orion architecture with random weights, as tests/oracle/generate.py makes those of
llama, and llama.cpp's logits of it in orion.bin.

  orion.py model OUT.gguf       writes the model
  orion.py compare LOGITS       compares what accelctl computed: the limit is that of the oracle's F32
  orion.py record               makes orion.bin again, with the llama.cpp of tests/oracle/mkroot
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

OPTIONS = "--layers 2 --embd 64 --heads 4 --kv 2 --ff 96 --vocab 96 --ctx 64 --tok none"
REFERENCE = os.path.join(HERE, "orion.bin")
TOKENS = 24     # the first that accelctl logits takes by itself


class Orion(generate.Model):
    """LayerNorms: each with a bias"""
    def norm(self, name):
        super().norm(name)
        self.vector(name.replace(".weight", ".bias"), [x - 0.5 for x in generate.uniform(self.seed + name + "b", self.o.embd)])

    def keys(self):
        return [(name.replace("llama.", "orion.").replace("_rms_", "_"), kind,
                 "orion" if name == "general.architecture" else value) for name, kind, value in super().keys()]


def write(path):
    Orion(generate.options(OPTIONS.split() + [path])).write()


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
