#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Documentation/hardware/numerics.rst once more, in exact integer arithmetic.

  ref_numerics.py write FILE   writes the golden vectors (format: tests/unit/golden.h)
  ref_numerics.py selftest     compares the arithmetic here with the C library's, and
                               the functions with those of Python's math (TAP)

It shares nothing with the processor model or the CPU kernels: every binary32
number is its 32 bits in a Python int, every operation computes the exact result
and rounds it once.  Slow and plain on purpose.

ref_commands.py executes commands with it; ref_cases.py and ref_refused.py draw those of the
golden file.
"""
import ctypes
import ctypes.util
import math
import random
import struct
import sys

# ---- binary32, one correctly rounded operation at a time ----

NAN, INF, ZERO, NEG = 0x7fc00000, 0x7f800000, 0, 0x80000000


def bits(value):
    """The binary32 nearest to a Python float (whose own conversion rounds once)."""
    try:
        return struct.unpack('<I', struct.pack('<f', value))[0]
    except OverflowError:
        return INF | (NEG if value < 0 else 0)


def number(b):
    return struct.unpack('<f', struct.pack('<I', b))[0]


def hexf(text):
    return bits(float.fromhex(text))


ONE, TWO, HALF = bits(1.0), bits(2.0), bits(0.5)


def is_nan(b):
    return b & 0x7fffffff > INF


def is_inf(b):
    return b & 0x7fffffff == INF


def is_finite(b):
    return b & INF != INF


def canonical(b):
    return NAN if is_nan(b) else b


def split(b):
    """A finite number as (sign, m, e): (-1)^sign * m * 2^e, m an integer."""
    exponent, m = b >> 23 & 255, b & 0x7fffff
    return (b >> 31, m | 0x800000, exponent - 150) if exponent else (b >> 31, m, -149)


def nearest(m, drop, sticky=False):
    """m / 2^drop (m a little larger if sticky) to the nearest integer, ties to even."""
    if drop <= 0:
        return m << -drop
    rest, half = m & ((1 << drop) - 1), 1 << (drop - 1)
    m >>= drop
    return m + (rest > half or (rest == half and (sticky or m & 1)))


def packed(m, e, precision, lowest, bias):
    """Exponent and fraction of m * 2^e (m >= 0) in a type of so many bits of precision, whose
    smallest number is 2^lowest: nearest, ties to even, too large is infinity."""
    drop = max(m.bit_length() - precision, lowest - e)
    m, e = nearest(m, drop), e + drop
    if m == 1 << precision:
        m, e = m >> 1, e + 1
    hidden = 1 << (precision - 1)
    if m < hidden:
        return m                    # subnormal, or zero: e is lowest
    exponent = e + precision - 1 + bias
    if exponent > 2 * bias:
        return (2 * bias + 1) * hidden
    return exponent * hidden | (m - hidden)


def rounded(sign, m, e):
    """m * 2^e to the nearest binary32."""
    return (NEG if sign else 0) | packed(m, e, 24, -149, 127)


def fma(a, b, c):
    ea, eb, ec = a >> 23 & 255, b >> 23 & 255, c >> 23 & 255
    if ea == 255 or eb == 255 or ec == 255:
        return fma_special(a, b, c)
    ma, mb, mc = a & 0x7fffff, b & 0x7fffff, c & 0x7fffff
    if ea:
        ma |= 0x800000
    else:
        ea = 1
    if eb:
        mb |= 0x800000
    else:
        eb = 1
    if ec:
        mc |= 0x800000
    else:
        ec = 1
    e, ec = ea + eb - 300, ec - 150
    product = ma * mb
    if (a ^ b) >> 31:
        product = -product
    if c >> 31:
        mc = -mc
    if e > ec:
        total, e = (product << (e - ec)) + mc, ec
    else:
        total = product + (mc << (ec - e))
    if not total:
        # A sum that cancels is +0; two zeros of one sign keep it.
        return NEG if (a ^ b) >> 31 and c >> 31 and not product else ZERO
    if total < 0:
        return NEG | packed(-total, e, 24, -149, 127)
    return packed(total, e, 24, -149, 127)


def fma_special(a, b, c):
    """fma of operands of which one is not finite."""
    if is_nan(a) or is_nan(b) or is_nan(c):
        return NAN
    sign = (a ^ b) >> 31
    if is_inf(a) or is_inf(b):
        if not a & 0x7fffffff or not b & 0x7fffffff:
            return NAN
        if is_inf(c) and c >> 31 != sign:
            return NAN
        return sign << 31 | INF
    return c


def add(a, b):
    return fma(a, ONE, b)


def neg(a):
    return a ^ NEG


def sub(a, b):
    return add(a, neg(b))


def mul(a, b):
    # x + a zero is x, also for a zero of the sign that the product has
    return fma(a, b, (a ^ b) & NEG)


def div(a, b):
    sign = (a ^ b) >> 31
    if is_nan(a) or is_nan(b) or (is_inf(a) and is_inf(b)):
        return NAN
    if is_inf(a):
        return sign << 31 | INF
    if is_inf(b):
        return sign << 31
    (_, ma, ea), (_, mb, eb) = split(a), split(b)
    if not mb:
        return sign << 31 | INF if ma else NAN
    if not ma:
        return sign << 31
    q, r = divmod(ma << 64, mb)
    # One more bit says whether anything is left over.
    return rounded(sign, q << 1 | bool(r), ea - eb - 65)


def sqrt(a):
    if is_nan(a) or (a >> 31 and a & 0x7fffffff):
        return NAN
    if is_inf(a) or not a & 0x7fffffff:
        return a
    _, m, e = split(a)
    m, e = (m << 64, e - 64) if e % 2 == 0 else (m << 65, e - 65)
    root = math.isqrt(m)
    return rounded(0, root << 1 | (root * root != m), e // 2 - 1)


def from_int(i):
    return rounded(i < 0, abs(i), 0)


def to_int(a):
    """A finite number to the nearest integer, ties to even."""
    sign, m, e = split(a)
    n = nearest(m, -e)
    return -n if sign else n


def order(b):
    """An integer that compares as the number does; not of a NaN."""
    return -(b & 0x7fffffff) if b >> 31 else b


def greater(a, b):
    return not is_nan(a) and not is_nan(b) and order(a) > order(b)


def f16(h):
    sign, exponent, m = (h & 0x8000) << 16, h >> 10 & 31, h & 0x3ff
    if exponent == 31:
        return NAN if m else sign | INF
    return sign | (rounded(0, m | 0x400, exponent - 25) if exponent else rounded(0, m, -24))


def bf16(h):
    return canonical(h << 16)


def to_f16(b):
    if is_nan(b):
        return 0x7e00
    sign, m, e = split(b)
    return sign << 15 | (0x7c00 if is_inf(b) else packed(m, e, 11, -24, 15))


def to_bf16(b):
    if is_nan(b):
        return 0x7fc0
    sign, m, e = split(b)
    return sign << 15 | (0x7f80 if is_inf(b) else packed(m, e, 8, -133, 127))


# ---- sums ----

def fold(a):
    return add(add(add(a[0], a[4]), add(a[2], a[6])), add(add(a[1], a[5]), add(a[3], a[7])))


def sum8(t):
    a = [ZERO] * 8
    for i, v in enumerate(t):
        a[i % 8] = add(a[i % 8], v)
    return fold(a)


def dot8(x, y):
    assert len(x) == len(y)
    a = [ZERO] * 8
    for i, (u, v) in enumerate(zip(x, y)):
        a[i % 8] = fma(u, v, a[i % 8])
    return fold(a)


def largest(values):
    m = values[0]
    for v in values[1:]:
        if greater(v, m):
            m = v
    return m


# ---- functions ----

LOG2E, C1, C2 = hexf('0x1.715476p+0'), hexf('-0x1.63p-1'), hexf('0x1.bd0106p-13')
EXP = [hexf(c) for c in ('0x1.a0d2cep-13', '0x1.6e879cp-10', '0x1.111210p-7',
                         '0x1.555382p-5', '0x1.555554p-3', '0x1p-1')]
LOG1P = [hexf(c) for c in ('0x1.111112p-4', '0x1.3b13b2p-4', '0x1.745d18p-4', '0x1.c71c72p-4',
                           '0x1.24924ap-3', '0x1.99999ap-3', '0x1.555556p-2')]
ERFC = [hexf(c) for c in ('0x1.2552fap-3', '-0x1.57b616p-1', '0x1.223a06p+0', '-0x1.5442b0p-1',
                          '-0x1.b843dep-4', '0x1.0be514p-6', '0x1.dec8cep-6', '0x1.8d225ep-2',
                          '0x1.ff39a8p-1', '-0x1.43f3e6p+0')]


def horner(coefficients, x):
    p = coefficients[0]
    for c in coefficients[1:]:
        p = fma(p, x, c)
    return p


def exp_parts(x):
    """(2^n, q): exp(x) is 2^n * (q + 1)."""
    n = to_int(mul(x, LOG2E))
    r = fma(from_int(n), C1, x)
    r = fma(from_int(n), C2, r)
    return rounded(0, 1, n), fma(horner(EXP, r), mul(r, r), r)


def exp(x):
    if is_nan(x):
        return NAN
    if greater(x, bits(88.0)):
        return INF
    if greater(bits(-87.0), x):
        return ZERO
    s, q = exp_parts(x)
    return mul(add(q, ONE), s)


def expm1(x):
    if is_nan(x):
        return NAN
    if greater(x, bits(88.0)):
        return INF
    if greater(bits(-25.0), x):
        return neg(ONE)
    s, q = exp_parts(x)
    return fma(s, q, sub(s, ONE))


def log1p(u):
    s = div(u, add(TWO, u))
    z = mul(s, s)
    t = add(s, s)
    return fma(mul(t, z), horner(LOG1P, z), t)


def tanh(x):
    if is_nan(x):
        return NAN
    a = x & 0x7fffffff
    if greater(a, bits(10.0)):
        y = ONE
    else:
        t = expm1(add(a, a))
        y = div(t, add(t, TWO))
    return y | (x & NEG)


def sigmoid_of(t, inner):
    """t / (1 + exp(-inner))"""
    return div(t, add(ONE, exp(neg(inner))))


def gelu(t):
    a = mul(t & 0x7fffffff, hexf('0x1.6a09e6p-1'))
    u = div(ONE, fma(HALF, a, ONE))
    e = mul(u, exp(fma(neg(a), a, horner(ERFC, u))))
    return mul(mul(HALF, t), e if greater(ZERO, t) else sub(TWO, e))


def gelu_tanh(t):
    c = fma(hexf('0x1.2444f2p-4'), mul(t, t), hexf('0x1.988454p+0'))
    return sigmoid_of(t, mul(t, c))


def relu(t):
    return NAN if is_nan(t) else t if greater(t, ZERO) else ZERO


def xielu(t, alpha_p, alpha_n):
    if greater(t, ZERO):
        return fma(mul(alpha_p, t), t, mul(HALF, t))
    limit = hexf('-0x1.0c6f7ap-20')
    x = t if greater(limit, t) else limit
    return fma(sub(expm1(x), t), alpha_n, mul(HALF, t))


def softplus(t):
    if is_nan(t):
        return NAN
    return add(t if greater(t, ZERO) else ZERO, log1p(exp(t | NEG)))


def clamp(t, low, high):
    return low if greater(low, t) else high if greater(t, high) else t


# The functions of MAP by number: (function of t and two numbers, how many of these it takes)
MAP = [
    ('ID', 0, lambda t, p, q: t),
    ('SILU', 0, lambda t, p, q: sigmoid_of(t, t)),
    ('GELU', 0, lambda t, p, q: gelu(t)),
    ('GELU_TANH', 0, lambda t, p, q: gelu_tanh(t)),
    ('RELU', 0, lambda t, p, q: relu(t)),
    ('RELU2', 0, lambda t, p, q: mul(relu(t), relu(t))),
    ('XIELU', 2, xielu),
    ('SIGMOID', 0, lambda t, p, q: sigmoid_of(ONE, t)),
    ('SOFTPLUS', 0, lambda t, p, q: softplus(t)),
    ('EXP', 0, lambda t, p, q: exp(t)),
    ('TANH', 0, lambda t, p, q: tanh(t)),
    ('SQRT', 0, lambda t, p, q: sqrt(t)),
    ('CLAMP', 2, clamp),
]


# ---- activations as int8 blocks ----

def usable(x):
    """Largest magnitude of a block if it has codes; else the d that it has instead, as None, d."""
    if not all(is_finite(v) for v in x):
        return None, NAN
    amax = max(v & 0x7fffffff for v in x)       # bits of magnitudes sort as magnitudes
    return (amax, None) if amax >= hexf('0x1p-100') else (None, ZERO)


def codes(x, n, amax):
    scale = div(from_int(n), amax)
    return [to_int(mul(v, scale)) for v in x]


def quantize(row):
    """(d, xs, q) of each block of 32."""
    d, xs, q = [], [], []
    for at in range(0, len(row), 32):
        x = row[at:at + 32]
        amax, d1 = usable(x)
        q1 = [0] * 32
        if amax is not None:
            best = None
            for n in range(127, 119, -1):
                dn, qn = div(amax, from_int(n)), codes(x, n, amax)
                assert all(-n <= v <= n for v in qn)
                e = [fma(neg(dn), from_int(k), v) for k, v in zip(qn, x)]
                error = dot8(e, e)
                if best is None or error < best:        # not negative: bits sort as numbers
                    best, q1, d1 = error, qn, dn
        d.append(d1)
        xs.append(mul(d1, from_int(sum(q1))))
        q.extend(q1)
    return d, xs, q


# ---- types ----

F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 = 0, 1, 2, 3, 6, 7, 8
Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, I32, BF16, MXFP4 = 10, 11, 12, 13, 14, 20, 23, 26, 30, 39
BLOCK = {F32: (1, 4), F16: (1, 2), BF16: (1, 2), I32: (1, 4), Q4_0: (32, 18), Q4_1: (32, 20),
         Q5_0: (32, 22), Q5_1: (32, 24), Q8_0: (32, 34), IQ4_NL: (32, 18), MXFP4: (32, 17),
         Q2_K: (256, 84), Q3_K: (256, 110), Q4_K: (256, 144), Q5_K: (256, 176), Q6_K: (256, 210),
         IQ4_XS: (256, 136)}
NAMES = {F32: 'F32', F16: 'F16', BF16: 'BF16', I32: 'I32', Q4_0: 'Q4_0', Q4_1: 'Q4_1', Q5_0: 'Q5_0',
         Q5_1: 'Q5_1', Q8_0: 'Q8_0', IQ4_NL: 'IQ4_NL', MXFP4: 'MXFP4', Q2_K: 'Q2_K', Q3_K: 'Q3_K',
         Q4_K: 'Q4_K', Q5_K: 'Q5_K', Q6_K: 'Q6_K', IQ4_XS: 'IQ4_XS'}
PLAIN = (Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL, MXFP4)      # blocks of 32
NESTED = (Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_XS)            # of 256
WEIGHTS = (F32, F16, BF16) + PLAIN + NESTED
# Where F16 d is, and what belongs to minima (m or dmin); values that share a scale.
D = {Q2_K: 80, Q3_K: 108, Q6_K: 208}
M = {Q4_1: 2, Q5_1: 2, Q2_K: 82, Q4_K: 2, Q5_K: 2}
GROUP = {Q2_K: 16, Q3_K: 16, Q6_K: 16}
IQ4 = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
E2M1 = (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)


def align(t):
    """What addresses and strides of a type are multiples of."""
    return 4 if t in (F32, I32) else 1 if t == MXFP4 else 2


def row_bytes(t, cols):
    return cols // BLOCK[t][0] * BLOCK[t][1]


def words(row):
    return list(struct.unpack('<%dI' % (len(row) // 4), row))


def halves(row):
    return list(struct.unpack('<%dH' % (len(row) // 2), row))


def u16(data, at):
    return data[at] | data[at + 1] << 8


def s8(byte):
    return byte - 256 if byte > 127 else byte


def nibble(block, at, i):
    return block[at + i % 16] >> (4 if i >= 16 else 0) & 15


def bit(block, at, i):
    return block[at + i // 8] >> i % 8 & 1


def code(t, block, i):
    """The integer of value i of a block; signed but where there are minima."""
    if t == Q4_0:
        return nibble(block, 2, i) - 8
    if t == Q4_1:
        return nibble(block, 4, i)
    if t == Q5_0:
        return (nibble(block, 6, i) | bit(block, 2, i) << 4) - 16
    if t == Q5_1:
        return nibble(block, 8, i) | bit(block, 4, i) << 4
    if t == Q8_0:
        return s8(block[2 + i])
    if t == IQ4_NL:
        return IQ4[nibble(block, 2, i)]
    if t == MXFP4:
        return E2M1[nibble(block, 1, i)]
    if t == IQ4_XS:
        return IQ4[nibble(block, 8 + 16 * (i // 32), i % 32)]
    group, sub_block = i // 64, i // 32 % 2
    half, quarter, l = i // 128, i // 32 % 4, i % 32
    if t in (Q4_K, Q5_K):
        low = block[(16 if t == Q4_K else 48) + 32 * group + l] >> (4 * sub_block) & 15
        return low if t == Q4_K else low | (block[16 + l] >> (i // 32) & 1) << 4
    if t == Q2_K:
        return block[16 + 32 * half + l] >> (2 * quarter) & 3
    if t == Q3_K:
        low = block[32 + 32 * half + l] >> (2 * quarter) & 3
        return (low | (block[l] >> (i // 32) & 1) << 2) - 4
    assert t == Q6_K
    low = block[64 * half + l + 32 * (quarter % 2)] >> (4 * (quarter // 2)) & 15
    high = block[128 + 32 * half + l] >> (2 * quarter) & 3
    return (low | high << 4) - 32


def scale_min(t, block, j):
    """Those of the values from GROUP * j on; a type without minima has 0."""
    if t == Q2_K:
        return block[j] & 15, block[j] >> 4
    if t == Q3_K:
        s = block[96:108]
        return ((s[j] & 15 if j < 8 else s[j - 8] >> 4) | (s[8 + j % 4] >> (2 * (j // 4)) & 3) << 4) - 32, 0
    if t == Q6_K:
        return s8(block[192 + j]), 0
    if t == IQ4_XS:
        return ((block[4 + j // 2] >> (4 * (j % 2)) & 15) | (u16(block, 2) >> (2 * j) & 3) << 4) - 32, 0
    s = block[4:16]
    if j < 4:
        return s[j] & 63, s[j + 4] & 63
    return ((s[j + 4] & 15) | (s[j - 4] >> 6) << 4,
            (s[j + 4] >> 4) | (s[j] >> 6) << 4)


def factor(t, block):
    """d"""
    if t == MXFP4:
        return bits(math.ldexp(1.0, block[0] - 128))
    return f16(u16(block, D.get(t, 0)))


def blocks(t, row):
    size = BLOCK[t][1]
    return [row[at:at + size] for at in range(0, len(row), size)]


def widen(t, row):
    """A row of weights as F32."""
    if t == F32:
        return words(row)
    if t in (F16, BF16):
        return [(f16 if t == F16 else bf16)(h) for h in halves(row)]
    out = []
    for block in blocks(t, row):
        for i in range(BLOCK[t][0]):
            q = from_int(code(t, block, i))
            sc = m = None
            v = factor(t, block)
            if t in NESTED:
                sc, m = scale_min(t, block, i // GROUP.get(t, 32))
                v = mul(v, from_int(sc))
            v = mul(v, q)
            if t in (Q4_1, Q5_1):
                v = add(v, f16(u16(block, M[t])))
            elif t in M:
                v = sub(v, mul(f16(u16(block, M[t])), from_int(m)))
            out.append(v)
    return out


def narrow(t, values):
    """Numbers rounded to type t, as bytes; NaNs become canonical."""
    if t == F32:
        return struct.pack('<%dI' % len(values), *[canonical(v) for v in values])
    if t in (F16, BF16):
        to = to_f16 if t == F16 else to_bf16
        return struct.pack('<%dH' % len(values), *[to(v) for v in values])
    assert t == Q8_0
    out = b''
    for at in range(0, len(values), 32):
        x = values[at:at + 32]
        amax, d = usable(x)
        q = [0] * 32
        if amax is not None:
            d, q = div(amax, from_int(127)), codes(x, 127, amax)
        out += struct.pack('<H32b', to_f16(d), *q)
    return out


def dot_row(t, row, x, quantized):
    """A row of weights times x; quantized is quantize(x) where the weights are integers."""
    if t in (F32, F16, BF16):
        return dot8(widen(t, row), x)
    acc = ZERO
    d, xs, q = quantized
    for n, block in enumerate(blocks(t, row)):
        size = BLOCK[t][0]
        w = [code(t, block, i) for i in range(size)]
        xq = q[n * size:(n + 1) * size]
        if size == 32:
            acc = fma(mul(factor(t, block), d[n]),
                      from_int(sum(a * b for a, b in zip(w, xq))), acc)
            if t in M:
                acc = fma(f16(u16(block, M[t])), xs[n], acc)
            continue
        a = b = ZERO
        group = GROUP.get(t, 32)
        for j in range(8):
            at = 8 * n + j
            scales, minima = zip(*[scale_min(t, block, i // group) for i in range(32 * j, 32 * j + 32)])
            a = fma(d[at], from_int(sum(s * w[32 * j + i] * xq[32 * j + i] for i, s in enumerate(scales))), a)
            if t in M and group == 32:
                b = fma(from_int(minima[0]), xs[at], b)
            elif t in M:
                b = fma(d[at], from_int(sum(m * xq[32 * j + i] for i, m in enumerate(minima))), b)
        acc = fma(factor(t, block), a, acc)
        if t in M:
            acc = fma(neg(f16(u16(block, M[t]))), b, acc)
    return acc


# ---- numbers to try ----

SPECIAL = [ZERO, NEG, 1, NEG | 1, 0x7fffff, 0x800000, NEG | 0x800000, INF, INF | NEG, NAN,
           0xffc00000,
           0x7f800001, 0xffabcdef, 0x7f7fffff, 0xff7fffff, ONE, NEG | ONE]


def uniform(rng, n, low=-1.0, high=1.0):
    return [bits(low + (high - low) * rng.random()) for _ in range(n)]


def wide(rng, n):
    """Magnitudes over the whole range, subnormals and zeros included, nothing infinite."""
    return [rng.choice([rng.getrandbits(31), rng.getrandbits(23), 0]) & 0x7f7fffff |
            rng.getrandbits(1) << 31 for _ in range(n)]


def near(rng, n):
    """Magnitudes whose products neither vanish nor overflow, so that every rounding shows."""
    return [bits(math.ldexp(rng.random() + 0.5, rng.randrange(-12, 12)) * rng.choice((-1, 1)))
            for _ in range(n)]


def special(rng, n):
    return [rng.choice(SPECIAL) for _ in range(n)]


def arguments(rng):
    """Of functions: where their formulas change, to the last bit, and numbers of all sizes."""
    x = list(SPECIAL)
    for v in (88.0, 87.0, 44.0, 25.0, 12.5, 10.0, 5.0, 1.0, 0.5, float.fromhex('0x1.0c6f7ap-20'),
              float.fromhex('0x1p-12'), 1e-20):
        x += [s | bits(v) + step for s in (0, NEG) for step in (-1, 0, 1)]
    for i in range(-126, 127, 9):               # where n of exp changes
        x += [bits((i + 0.5) * math.log(2)) + step for step in range(-2, 3)]
    for low, high, n in ((-100, 100, 100), (-12, 12, 120), (-1, 1, 100), (-1e-3, 1e-3, 30)):
        x += uniform(rng, n, low, high)
    x += [bits(math.ldexp(1.0, -e)) | s for e in range(0, 30, 3) for s in (0, NEG)]
    return x + wide(rng, 60)


# ---- is the arithmetic above right? ----

def cdf(x):
    return math.erfc(-x / math.sqrt(2)) / 2


# name, mine, the same in binary64, from, to, the error allowed in units in the last place
ACCURATE = [
    ('exp', exp, math.exp, -86, 88, 1.0),
    ('expm1', expm1, math.expm1, -30, 88, 1.5),
    ('log1p', log1p, math.log1p, 0, 1, 2.0),
    ('tanh', tanh, math.tanh, -12, 12, 2.5),
    ('sigmoid', lambda t: sigmoid_of(ONE, t), lambda t: 1 / (1 + math.exp(-t)), -20, 80, 2.5),
    ('gelu, t > 0', gelu, lambda t: t * cdf(t), 0, 20, 5.0),
    ('gelu, t > -3', gelu, lambda t: t * cdf(t), -3, 0, 16.0),
    ('softplus', softplus, lambda t: max(t, 0) + math.log1p(math.exp(-abs(t))), -80, 80, 3.0),
]


def ulps(mine, exact):
    """The error of a binary32 in units in the last place of what it stands for."""
    _, e = math.frexp(exact)
    return abs(number(mine) - exact) / math.ldexp(1.0, max(e - 24, -149))


def quantizer_gain(rng, blocks):
    """Of the search among eight scales over the first, on normally distributed numbers."""
    mine = plain = 0
    for _ in range(blocks):
        x = [bits(rng.gauss(0, 1)) for _ in range(32)]
        d, _, q = quantize(x)
        amax, _ = usable(x)
        mine += sum((number(d[0]) * k - number(v)) ** 2 for k, v in zip(q, x))
        first, step = codes(x, 127, amax), number(amax) / 127
        plain += sum((step * k - number(v)) ** 2 for k, v in zip(first, x))
    return 1 - mine / plain


def selftest():
    rng = random.Random(20)
    libm = ctypes.CDLL(ctypes.util.find_library('m'))
    libm.fmaf.restype = ctypes.c_float
    libm.fmaf.argtypes = [ctypes.c_float] * 3
    f = libm.fmaf
    bad = 0

    def same(what, mine, theirs, *args):
        nonlocal bad
        if canonical(mine) != canonical(theirs):
            bad += 1
            print('# %s(%s): %08x, the C library has %08x' %
                  (what, ', '.join('%08x' % a for a in args), mine, theirs))

    for i in range(60000):
        draw = (wide, near, special)[i % 3]
        a, b = draw(rng, 2)
        c = neg(mul(a, b)) ^ rng.getrandbits(2) if i % 2 and not is_nan(mul(a, b)) else draw(rng,
                                                                                             1)[0]
        x, y = number(a), number(b)
        same('fma', fma(a, b, c), bits(f(x, y, number(c))), a, b, c)
        # binary64 has more than twice the bits: rounding its result again is harmless.
        same('add', add(a, b), bits(x + y), a, b)
        same('greater', greater(a, b), x > y, a, b)
        if is_finite(a) and is_finite(b):
            same('mul', mul(a, b), bits(x * y), a, b)
            if y:
                same('div', div(a, b), bits(x / y), a, b)
            if x > 0:
                same('sqrt', sqrt(a), bits(math.sqrt(x)), a)
            if abs(x) < 1e9:
                same('to_int', to_int(a), round(x), a)
                same('from_int', from_int(to_int(a)), bits(float(round(x))), a)
        if not is_nan(a):       # (a NaN of struct may have another sign)
            try:
                h = struct.unpack('<H', struct.pack('<e', x))[0]
            except OverflowError:
                h = a >> 16 & 0x8000 | 0x7c00
            same('to_f16', to_f16(a), h, a)
            same('to_bf16', to_bf16(a), (a + 0x7fff + (a >> 16 & 1)) >> 16 if is_finite(a)
                 else a >> 16, a)
    for h in range(65536):
        same('f16', f16(h), bits(struct.unpack('<e', struct.pack('<H', h))[0]), h)
        same('to_f16', to_f16(f16(h)), 0x7e00 if is_nan(f16(h)) else h, h)
        same('to_bf16', to_bf16(bf16(h)), 0x7fc0 if is_nan(bf16(h)) else h, h)
    print('%sok 1 - exact arithmetic is what the C library and Python have' % ('not ' if bad else ''))
    n = 1
    for name, mine, exact, low, high, allowed in ACCURATE:
        worst = where = 0
        x = [v for v in arguments(rng) if not is_nan(v)]
        x += uniform(rng, 4000, low, high) + uniform(rng, 2000, max(low, -1), min(high, 1))
        for v in x:
            t = number(v)
            if low <= t <= high and abs(t) > 1e-30:
                error = ulps(mine(v), exact(t))
                if error > worst:
                    worst, where = error, t
        n += 1
        print('%sok %d - %s is off by at most %.2f ulp, at %g' %
              ('not ' if worst > allowed else '', n, name, worst, where))
        bad += worst > allowed
    gain = quantizer_gain(rng, 400)
    good = 0.15 < gain < 0.21           # the manual: 18 %
    n += 1
    print('%sok %d - the search of eight scales takes %.0f %% off the mean square error' %
          ('' if good else 'not ', n, 100 * gain))
    bad += not good
    print('1..%d' % n)
    return bad != 0


def main(argv):
    if argv[1:] == ['selftest']:
        return selftest()
    if len(argv) != 3 or argv[1] != 'write':
        sys.exit(__doc__)
    sys.dont_write_bytecode = True
    import ref_cases
    import ref_refused
    ref_cases.make()
    ref_refused.make()
    with open(argv[2], 'wb') as out:
        out.write(ref_cases.golden()[1])
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv))
