# SPDX-License-Identifier: MIT
"""GGUF files, version 3: as much as the oracle's models need."""
import hashlib
import struct

from formats import NAMES, TYPES

U8, U32, I32, F32, BOOL, STR, ARRAY = 0, 4, 5, 6, 7, 8, 9
FORM = {U8: "<B", U32: "<I", I32: "<i", F32: "<f", BOOL: "<?",
        0: "<B", 1: "<b", 2: "<H", 3: "<h", 10: "<Q", 11: "<q", 12: "<d"}
ALIGN = 32


def padding(n):
    return bytes(-n % ALIGN)


def text(s):
    b = s.encode()
    return struct.pack("<Q", len(b)) + b


def value(kind, v):
    if isinstance(v, list):
        return struct.pack("<IQ", kind, len(v)) + b"".join(value(kind, x) for x in v)
    return text(v) if kind == STR else struct.pack(FORM[kind], v)


def tensor_size(name, dims):
    _, elements, size, _ = TYPES[name]
    n = 1
    for d in dims:
        n *= d
    assert dims[0] % elements == 0, (name, dims)
    return n // elements * size


def header(keys, tensors):
    """keys: (name, kind, value or list of values); tensors: (name, type, dims), dims[0] being the
    length of a row.  Returns all that is before the data, and the bytes of the data."""
    out = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)))
    for name, kind, v in keys:
        out += text(name) + struct.pack("<I", ARRAY if isinstance(v, list) else kind) + value(kind, v)
    at = 0
    for name, kind, dims in tensors:
        out += text(name) + struct.pack("<I", len(dims)) + struct.pack("<%dQ" % len(dims), *dims)
        out += struct.pack("<IQ", TYPES[kind][0], at)
        at += tensor_size(kind, dims)
        at += len(padding(at))
    return bytes(out + padding(len(out))), at


def write(path, keys, tensors):
    """keys as above; tensors: (name, type, dims, pieces of bytes).  Returns the SHA-256 of the file."""
    out, _ = header(keys, [t[:3] for t in tensors])
    digest = hashlib.sha256()
    with open(path, "wb") as f:
        def put(b):
            f.write(b)
            digest.update(b)
            return len(b)

        put(out)
        for name, kind, dims, pieces in tensors:
            size = sum(put(p) for p in pieces)
            assert size == tensor_size(kind, dims), (name, size)
            put(padding(size))
    return digest.hexdigest()


class Reader:
    """keys: {name: (kind, value or list)}; tensors: {name: (type, dims, offset)}"""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.data = f.read()
        self.at = 24
        magic, version, n_tensors, n_keys = struct.unpack_from("<4sIQQ", self.data)
        assert magic == b"GGUF" and version == 3, path
        self.keys, self.tensors = {}, {}
        for _ in range(n_keys):
            name, kind = self.text(), self.number("<I")
            if kind != ARRAY:
                self.keys[name] = kind, self.value(kind)
                continue
            kind, n = self.number("<I"), self.number("<Q")
            self.keys[name] = kind, [self.value(kind) for _ in range(n)]
        for _ in range(n_tensors):
            name, n = self.text(), self.number("<I")
            dims = [self.number("<Q") for _ in range(n)]
            self.tensors[name] = NAMES[self.number("<I")], dims, self.number("<Q")
        self.start = self.at + len(padding(self.at))

    def number(self, form):
        v, = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return v

    def text(self):
        n = self.number("<Q")
        self.at += n
        return self.data[self.at - n:self.at].decode()

    def value(self, kind):
        return self.text() if kind == STR else self.number(FORM[kind])

    def bytes_of(self, name):
        kind, dims, offset = self.tensors[name]
        return self.data[self.start + offset:self.start + offset + tensor_size(kind, dims)]
