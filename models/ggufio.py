# SPDX-License-Identifier: MIT
"""GGUF version 3: just what the demo needs to write and to read back."""
import struct

import numpy as np

F32, Q8_0 = 0, 8
KIND = {"u32": 4, "i32": 5, "f32": 6, "bool": 7, "str": 8}
FORM = {4: "<I", 5: "<i", 6: "<f", 7: "<?"}
STR, ARRAY = 8, 9


def text(s):
    b = s.encode()
    return struct.pack("<Q", len(b)) + b


def value(kind, v):
    return text(v) if kind == STR else struct.pack(FORM[kind], v)


def quantise(m):
    """Q8_0: rows are cut into blocks of 32; d = max|x| / 127 as a half, codes round(x / d)"""
    x = np.ascontiguousarray(m, np.float32).reshape(-1, 32)
    d = (np.abs(x).max(1) / np.float32(127)).astype(np.float32)
    with np.errstate(divide="ignore"):
        inverse = np.where(d > 0, np.float32(1) / d, np.float32(0)).astype(np.float32)
    y = x * inverse[:, None]
    out = np.zeros(len(x), dtype=[("d", "<f2"), ("q", "i1", 32)])
    out["d"] = d.astype(np.float16)
    out["q"] = (np.sign(y) * np.floor(np.abs(y) + np.float32(0.5))).astype(np.int8)   # half away from zero
    return out.tobytes()


def dequantise(raw, shape):
    b = np.frombuffer(raw, dtype=[("d", "<f2"), ("q", "i1", 32)])
    return (b["d"].astype(np.float32)[:, None] * b["q"].astype(np.float32)).reshape(shape)


def write(path, keys, tensors):
    """keys: (name, kind, value or list); tensors: (name, array, type)"""
    out = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)))
    for name, kind, v in keys:
        k = KIND[kind]
        out += text(name)
        if isinstance(v, list):
            out += struct.pack("<IIQ", ARRAY, k, len(v)) + b"".join(value(k, x) for x in v)
        else:
            out += struct.pack("<I", k) + value(k, v)
    data = bytearray()
    for name, a, t in tensors:
        out += text(name) + struct.pack("<I", a.ndim)
        out += b"".join(struct.pack("<Q", n) for n in reversed(a.shape))   # row length first
        out += struct.pack("<IQ", t, len(data))
        data += quantise(a) if t == Q8_0 else np.ascontiguousarray(a, "<f4").tobytes()
        data += bytes(-len(data) % 32)
    out += bytes(-len(out) % 32)
    with open(path, "wb") as f:
        f.write(out + data)


def read(path):
    """(keys, tensors) of a file that write() made; the weights come back as float arrays"""
    with open(path, "rb") as f:
        b = f.read()
    at = 0

    def get(form):
        nonlocal at
        v = struct.unpack_from(form, b, at)
        at += struct.calcsize(form)
        return v if len(v) > 1 else v[0]

    def string():
        nonlocal at
        n = get("<Q")
        at += n
        return b[at - n:at].decode()

    def scalar(kind):
        return string() if kind == STR else get(FORM[kind])

    if get("<4sI") != (b"GGUF", 3):
        raise SystemExit("%s: not a GGUF file of version 3" % path)
    nt, nk = get("<QQ")
    keys = {}
    for _ in range(nk):
        name, kind = string(), get("<I")
        if kind == ARRAY:
            kind, n = get("<IQ")
            keys[name] = [scalar(kind) for _ in range(n)]
        else:
            keys[name] = scalar(kind)
    heads = []
    for _ in range(nt):
        name, nd = string(), get("<I")
        shape = tuple(reversed([get("<Q") for _ in range(nd)]))
        heads.append((name, shape, *get("<IQ")))
    at += -at % 32
    tensors = {}
    for name, shape, t, off in heads:
        n = int(np.prod(shape))
        o = at + off
        if t == Q8_0:
            tensors[name] = dequantise(b[o:o + n // 32 * 34], shape)
        else:
            tensors[name] = np.frombuffer(b, "<f4", n, o).reshape(shape).copy()
    return keys, tensors
