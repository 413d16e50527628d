# SPDX-License-Identifier: MIT
"""Running the packaged llama.cpp, in the root file system that mkroot makes."""
import os
import shutil
import subprocess

import cases

# One build of ggml's kernels, so that results do not depend on the machine.
BUILD = """set -e
ls /usr/lib/*/ggml/backends0/libggml-cpu-haswell.so >backend
for p in logits tokens; do
	cc -O2 -Wall -Wextra -o $p $p.c $(pkg-config --cflags --libs llama ggml)
done
"""
# Is b the F32 copy of a?  Asks gguf-py, the reference of the formats.
COPY_CHECK = """
import sys
import numpy as np
from gguf import GGMLQuantizationType as T, GGUFReader, dequantize
a, b = (GGUFReader(p) for p in sys.argv[1:])
assert len(a.tensors) == len(b.tensors)
for t, u in zip(a.tensors, b.tensors):
    x = t.data
    if t.tensor_type == T.BF16:
        x = (x.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    elif t.tensor_type not in (T.F32, T.F16):
        x = dequantize(x, t.tensor_type)
    x = np.ascontiguousarray(x, dtype=np.float32)
    assert t.name == u.name and x.tobytes() == u.data.tobytes(), t.name
"""


class Peer:
    """llama.cpp at work in a directory; files are named relative to it"""

    def __init__(self, directory):
        subprocess.run([os.path.join(cases.HERE, "mkroot")], check=True)
        self.directory = directory
        for name in ("logits.c", "tokens.c"):
            shutil.copy(os.path.join(cases.HERE, name), directory)
        self.run("sh", "-c", BUILD)

    def run(self, *command, **more):
        return subprocess.run([os.path.join(cases.HERE, "in-root"), self.directory, *command],
                              check=True, **more)

    def path(self, name):
        return os.path.join(self.directory, name)

    def versions(self):
        return self.run("cat", "/versions", stdout=subprocess.PIPE, text=True).stdout.splitlines()

    def logits(self, model, n, **more):
        """of the first n default tokens; returns the path of the file"""
        out = model + ".logits"
        self.run("sh", "-c", './logits -b "$(cat backend)" -n "$1" "$2" "$3"', "sh", str(n), model,
                 out, **more)
        return self.path(out)

    def tokens(self, model, texts):
        texts = b"".join((t if isinstance(t, bytes) else t.encode()) + b"\0" for t in texts)
        return self.run("./tokens", model, input=texts, stdout=subprocess.PIPE).stdout

    def check_copy(self, model, copy):
        self.run("python3", "-c", COPY_CHECK, model, copy)
