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
    "Q4_1": (3,      32,       20,    3),
    "Q5_0": (6,      32,       22,    8),
    "Q5_1": (7,      32,       24,    9),
    "Q8_0": (8,      32,       34,    7),
    "Q2_K": (10,     256,      84,    10),
    "Q3_K": (11,     256,      110,   11),
    "Q4_K": (12,     256,      144,   14),
    "Q5_K": (13,     256,      176,   16),
    "Q6_K": (14,     256,      210,   18),
    "IQ4_NL": (20,   32,       18,    25),
    "IQ4_XS": (23,   256,      136,   30),
    "BF16": (30,     1,        2,     32),
    "MXFP4": (39,    32,       17,    38),
    "I32":  (26,     1,        4,     0),       # tables of numbers
}
WEIGHTS = [name for name in TYPES if name != "I32"]
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


def mean_square_with_minima(codes):
    """of s * q - c * m, for scales s and minima m from 32 to 63 and codes q with mean c"""
    s, q, c = range(32, 64), range(codes), (codes - 1) / 2
    mean = sum(s) / 32
    return (mean_square(s) * (mean_square(q) + c ** 2) -
            2 * c * mean * mean * sum(q) / codes)


def exponent_table(std):
    """Exponents of MXFP4, two neighbours in the proportion that gives the deviation."""
    scale = std / math.sqrt(mean_square(E2M1))
    low = math.floor(math.log2(scale))
    larger = round(256 * (4.0 ** (math.log2(scale) - low) - 1) / 3)
    return [(0, [(0, bytes(low + 128 + (i < larger) for i in range(256)))])]


CURVE = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
E2M1 = (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)     # halves of them
Q2K_UNIT = 1 / math.sqrt(mean_square(range(16)) * (mean_square(range(4)) + 1.5 ** 2) -
                         2 * 1.5 * 7.5 * 1.5 * 7.5)
Q3K_UNIT = 1 / math.sqrt(mean_square(range(-4, 4)) * mean_square(range(-32, 32)))
Q4K_UNIT = 1 / math.sqrt(mean_square_with_minima(16))
Q5K_UNIT = 1 / math.sqrt(mean_square_with_minima(32))
Q6K_UNIT = 1 / math.sqrt(mean_square(range(-32, 32)) * mean_square(range(-128, 128)))
IQ4XS_UNIT = 1 / math.sqrt(mean_square(CURVE) * mean_square(range(-32, 32)))
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
    if name in ("Q4_1", "Q5_1"):        # codes less their mean
        mean = 7.5 if name == "Q4_1" else 15.5
        unit = 1 / math.sqrt(mean_square(q - mean for q in range(int(2 * mean) + 1)))
        return [scale_tables(0, std, unit, -mean * unit)]
    if name == "IQ4_NL":
        return [scale_tables(0, std, 1 / math.sqrt(mean_square(CURVE)))]
    if name == "MXFP4":
        return exponent_table(std)
    if name == "Q2_K":
        return [scale_tables(80, std, Q2K_UNIT, 1.5 * Q2K_UNIT)]
    if name == "Q3_K":
        return [scale_tables(108, std, Q3K_UNIT)]
    if name == "Q6_K":
        return [scale_tables(208, std, Q6K_UNIT)]
    if name == "IQ4_XS":
        return [scale_tables(0, std, IQ4XS_UNIT)]
    assert name in ("Q4_K", "Q5_K")
    unit, mean = (Q4K_UNIT, 7.5) if name == "Q4_K" else (Q5K_UNIT, 15.5)
    return ([scale_tables(0, std, unit, mean * unit)] +
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


def decode_q4_1(b, out):
    values = [half(b, 0) * q + half(b, 2) for q in range(16)]
    out.extend(map(values.__getitem__, b[4:20].translate(LOW)))
    out.extend(map(values.__getitem__, b[4:20].translate(HIGH)))


def with_fifth(codes, fifth):
    word = int.from_bytes(fifth, "little")
    for j, q in enumerate(codes.translate(LOW) + codes.translate(HIGH)):
        yield q | (word >> j & 1) << 4


def decode_q5_0(b, out):
    values = [half(b, 0) * (q - 16) for q in range(32)]
    out.extend(map(values.__getitem__, with_fifth(b[6:22], b[2:6])))


def decode_q5_1(b, out):
    values = [half(b, 0) * q + half(b, 2) for q in range(32)]
    out.extend(map(values.__getitem__, with_fifth(b[8:24], b[4:8])))


def decode_q8_0(b, out):
    d = half(b, 0)
    out.extend([d * q for q in memoryview(b)[2:34].cast("b")])


def decode_iq4_nl(b, out):
    values = [half(b, 0) * q for q in CURVE]
    out.extend(map(values.__getitem__, b[2:18].translate(LOW)))
    out.extend(map(values.__getitem__, b[2:18].translate(HIGH)))


def decode_mxfp4(b, out):
    values = [math.ldexp(q, b[0] - 128) for q in E2M1]
    out.extend(map(values.__getitem__, b[1:17].translate(LOW)))
    out.extend(map(values.__getitem__, b[1:17].translate(HIGH)))


def decode_q2_k(b, out):
    d, dmin = half(b, 80), half(b, 82)
    for j in range(16):             # 16 elements with one scale
        part, pair, within = j // 8, j % 8 // 2, j % 2 * 16
        at = 16 + 32 * part + within
        values = [d * (b[j] & 15) * q - dmin * (b[j] >> 4) for q in range(4)]
        out.extend(map(values.__getitem__, b[at:at + 16].translate(PAIR[pair])))


def decode_q3_k(b, out):
    d, s = half(b, 108), b[96:108]
    low = [x & 15 for x in s[:8]] + [x >> 4 for x in s[:8]]
    for j in range(16):
        part, pair, within = j // 8, j % 8 // 2, j % 2 * 16
        at = 32 + 32 * part + within
        f = d * ((low[j] | (s[8 + j % 4] >> 2 * (j // 4) & 3) << 4) - 32)
        third = 4 * part + pair
        out.extend([f * (q + (h >> third & 1) * 4 - 4)
                    for q, h in zip(b[at:at + 16].translate(PAIR[pair]), b[within:within + 16])])


def six_bits(s):
    """Scales and minima of Q4_K and Q5_K."""
    return ([s[j] & 63 for j in range(4)] + [s[j + 8] & 15 | s[j] >> 6 << 4 for j in range(4)],
            [s[j + 4] & 63 for j in range(4)] + [s[j + 8] >> 4 | s[j + 4] >> 6 << 4 for j in range(4)])


def decode_q4_k(b, out):
    d, dmin = half(b, 0), half(b, 2)
    scale, least = six_bits(b[4:16])
    for j in range(8):
        codes = b[16 + j // 2 * 32:48 + j // 2 * 32].translate(HIGH if j & 1 else LOW)
        values = [d * scale[j] * q - dmin * least[j] for q in range(16)]
        out.extend(map(values.__getitem__, codes))


def decode_q5_k(b, out):
    d, dmin = half(b, 0), half(b, 2)
    scale, least = six_bits(b[4:16])
    for j in range(8):
        codes = b[48 + j // 2 * 32:80 + j // 2 * 32].translate(HIGH if j & 1 else LOW)
        values = [d * scale[j] * q - dmin * least[j] for q in range(32)]
        out.extend([values[q | (h >> j & 1) << 4] for q, h in zip(codes, b[16:48])])


def decode_iq4_xs(b, out):
    d, high = half(b, 0), b[2] | b[3] << 8
    for j in range(8):
        f = d * ((b[4 + j // 2] >> 4 * (j & 1) & 15 | (high >> 2 * j & 3) << 4) - 32)
        values = [f * q for q in CURVE]
        codes = b[8 + 16 * j:24 + 16 * j]
        out.extend(map(values.__getitem__, codes.translate(LOW) + codes.translate(HIGH)))


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


BLOCKS = {"Q4_0": decode_q4_0, "Q4_1": decode_q4_1, "Q5_0": decode_q5_0, "Q5_1": decode_q5_1,
          "Q8_0": decode_q8_0, "Q2_K": decode_q2_k, "Q3_K": decode_q3_k, "Q4_K": decode_q4_k,
          "Q5_K": decode_q5_k, "Q6_K": decode_q6_k, "IQ4_NL": decode_iq4_nl,
          "IQ4_XS": decode_iq4_xs, "MXFP4": decode_mxfp4}


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
