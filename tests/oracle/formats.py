# SPDX-License-Identifier: MIT
"""Tensor element types: how random blocks of them are drawn, and what numbers they stand for.

A random tensor is a stream of random bytes cut into blocks of the type.  Codes stay as they are,
so every value of every code occurs; only the bytes that carry a scale or an exponent go through
a table of 256 entries that puts the values at the wanted size.  That needs no floating-point
arithmetic for each element: it is fast in plain Python and the same on every machine.
"""
import functools
import hashlib
import math
import struct
from array import array

# general.file_type is what llama-quantize writes for a file that is mainly of this type.
#            number  elements  bytes  general.file_type
TYPES = {
    "F32":  (0,      1,        4,     0),
    "F16":  (1,      1,        2,     1),
    "Q4_0": (2,      32,       18,    2),
    "Q5_0": (6,      32,       22,    8),
    "Q8_0": (8,      32,       34,    7),
    "Q4_K": (12,     256,      144,   14),
    "Q6_K": (14,     256,      210,   18),
    "BF16": (30,     1,        2,     32),
}
NAMES = {t[0]: name for name, t in TYPES.items()}
PIECE = 4096        # blocks that share a random stream


def mean_square(values):
    values = list(values)
    return sum(x * x for x in values) / len(values)


# ------------------------------------------------------------------ drawing

def exponents(std, entries, step, bias):
    """A list of exponent fields: half of them large, a quarter smaller and so on, chosen so that
    the values have deviation std.  A field f stands for the exponents f * step - bias and the
    step - 1 above it; between powers of two all mantissas are equally likely."""
    shape = [-(entries // (k + 1)).bit_length() for k in range(entries)]
    near = int((math.log2(std) + bias) / step)
    best = None
    for top in range(near - 2, near + 5):
        for n in range(entries):
            fields = [max(0, top + s + (k < n)) for k, s in enumerate(shape)]
            square = sum(4.0 ** (f * step + k - bias) for f in fields for k in range(step))
            rms = math.sqrt(square * 7 / 3 / entries / step)
            if best is None or abs(rms - std) < best[0]:
                best = abs(rms - std), fields
    return best[1]


def float_tables(name, std):
    """The byte with sign and exponent is the last one; all others are random as they are."""
    last = TYPES[name][2] - 1
    if name == "F16":       # 1 bit of sign, 5 of the exponent, 2 of the mantissa
        e = exponents(std, 32, 1, 15)
        table = bytes(i & 128 | e[i >> 2 & 31] << 2 | i & 3 for i in range(256))
    else:                   # 1 bit of sign, 7 of the 8 of the exponent
        e = exponents(std, 128, 2, 127)
        table = bytes(i & 128 | e[i & 127] for i in range(256))
    return [(last, [(last, table)])]


def scale_tables(at, std, *unit):
    """f16 numbers at byte `at`: multiples of each unit, of both signs, spread 1 : 3, and a zero.
    One random byte chooses all of them."""
    spread = [(0.5 + (i >> 1) / 127) * (1 if i & 1 else -1) if i else 0 for i in range(256)]
    d = std / math.sqrt(mean_square(spread))
    packed = [b"".join(struct.pack("<e", u * d * s) for u in unit) for s in spread]
    return (at, [(at + k, bytes(p[k] for p in packed)) for k in range(2 * len(unit))])


def q4k_mean_square():
    """of s * q - 7.5 * m, for scales s and minima m from 32 to 63 and codes q"""
    s, q = range(32, 64), range(16)
    mean = sum(s) / 32
    return (mean_square(s) * (mean_square(q) + 7.5 ** 2) -
            2 * 7.5 * mean * mean * sum(q) / 16)


Q4K_UNIT = 1 / math.sqrt(q4k_mean_square())
Q6K_UNIT = 1 / math.sqrt(mean_square(range(-32, 32)) * mean_square(range(-128, 128)))
TOP_SCALE = bytes(i | 0xa0 for i in range(256))     # six bits from 32 up, twice


@functools.cache
def tables(name, std):
    """[(byte that chooses, [(byte that is written, table), ...]), ...]"""
    def by_code(lowest, n):
        unit = 1 / math.sqrt(mean_square(range(lowest, lowest + n)))
        return [scale_tables(0, std, unit)]

    if name in ("F32", "F16", "BF16"):
        return float_tables(name, std)
    if name == "Q4_0":
        return by_code(-8, 16)
    if name == "Q5_0":
        return by_code(-16, 32)
    if name == "Q8_0":
        return by_code(-128, 256)
    if name == "Q6_K":
        return [scale_tables(208, std, Q6K_UNIT)]
    assert name == "Q4_K"
    return ([scale_tables(0, std, Q4K_UNIT, 7.5 * Q4K_UNIT)] +
            [(at, [(at, TOP_SCALE)]) for at in range(4, 12)])


def draw(name, std, n, seed):
    """Yields n random elements of a type, whose deviation is std, in pieces."""
    _, elements, size, _ = TYPES[name]
    blocks = n // elements
    spec = tables(name, std)
    per = PIECE * 64 if elements == 1 else PIECE
    for piece, at in enumerate(range(0, blocks, per)):
        stream = hashlib.shake_128(("%s/%d" % (seed, piece)).encode())
        b = bytearray(stream.digest(min(per, blocks - at) * size))
        for source, columns in spec:
            chosen = b[source::size]
            for target, table in columns:
                b[target::size] = chosen.translate(table)
        yield b


# ------------------------------------------------------------------ decoding

LOW = bytes(i & 15 for i in range(256))
HIGH = bytes(i >> 4 for i in range(256))
PAIR = [bytes(i >> s & 3 for i in range(256)) for s in (0, 2, 4, 6)]


def half(b, at):
    return struct.unpack_from("<e", b, at)[0]


def decode_q4_0(b, out):
    codes = b[2:18]
    values = [half(b, 0) * (q - 8) for q in range(16)]
    out.extend(map(values.__getitem__, codes.translate(LOW)))
    out.extend(map(values.__getitem__, codes.translate(HIGH)))


def decode_q5_0(b, out):
    codes, fifth = b[6:22], struct.unpack_from("<I", b, 2)[0]
    values = [half(b, 0) * (q - 16) for q in range(32)]
    out.extend(values[q | (fifth >> j & 1) << 4] for j, q in enumerate(codes.translate(LOW)))
    out.extend(values[q | (fifth >> j + 16 & 1) << 4] for j, q in enumerate(codes.translate(HIGH)))


def decode_q8_0(b, out):
    d = half(b, 0)
    out.extend([d * q for q in memoryview(b)[2:34].cast("b")])


def decode_q4_k(b, out):
    d, dmin = half(b, 0), half(b, 2)
    s = b[4:16]
    scale = [s[j] & 63 for j in range(4)] + [s[j + 8] & 15 | s[j] >> 6 << 4 for j in range(4)]
    least = [s[j + 4] & 63 for j in range(4)] + [s[j + 8] >> 4 | s[j + 4] >> 6 << 4 for j in range(4)]
    for j in range(8):
        codes = b[16 + j // 2 * 32:48 + j // 2 * 32].translate(HIGH if j & 1 else LOW)
        values = [d * scale[j] * q - dmin * least[j] for q in range(16)]
        out.extend(map(values.__getitem__, codes))


def decode_q6_k(b, out):
    d = half(b, 208)
    scale = memoryview(b)[192:208].cast("b")
    for j in range(16):             # 16 elements with one scale
        part, quarter, within = j // 8, j % 8 // 2, j % 2 * 16
        low = 64 * part + 32 * (quarter % 2) + within
        high = 128 + 32 * part + within
        codes = zip(b[low:low + 16].translate(HIGH if quarter > 1 else LOW),
                    b[high:high + 16].translate(PAIR[quarter]))
        f = d * scale[j]
        out.extend([f * ((x | y << 4) - 32) for x, y in codes])


BLOCKS = {"Q4_0": decode_q4_0, "Q5_0": decode_q5_0, "Q8_0": decode_q8_0, "Q4_K": decode_q4_k,
          "Q6_K": decode_q6_k}


def decode(name, data):
    """The numbers that the bytes of a tensor stand for, as array('f').

    Python computes in double precision, where all the products are exact: each number is rounded
    once, and so it is the number that ggml's own single-precision formulas give."""
    if name == "F32":
        return array("f", bytes(data))
    if name == "F16":
        return array("f", struct.unpack("<%de" % (len(data) // 2), data))
    if name == "BF16":
        wide = bytearray(2 * len(data))
        wide[2::4], wide[3::4] = data[0::2], data[1::2]
        return array("f", bytes(wide))
    size, block, out = TYPES[name][2], BLOCKS[name], array("f")
    for at in range(0, len(data), size):
        block(bytes(data[at:at + size]), out)
    return out
