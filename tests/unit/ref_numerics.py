#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Documentation/hardware/numerics.rst once more, in exact integer arithmetic.

  ref_numerics.py write FILE   writes the golden vectors (format: tests/unit/golden.h)
  ref_numerics.py check FILE   says whether FILE is what would be written
  ref_numerics.py selftest     compares the arithmetic here with the C library's

It shares nothing with the processor model or the CPU kernels: every binary32
number is its 32 bits in a Python int, every operation computes the exact result
and rounds it once.  Slow and plain on purpose.
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


ONE = bits(1.0)


def is_nan(b):
    return b & 0x7fffffff > INF


def is_inf(b):
    return b & 0x7fffffff == INF


def split(b):
    """A finite number as (sign, m, e): (-1)^sign * m * 2^e, m an integer."""
    exponent, m = b >> 23 & 255, b & 0x7fffff
    return (b >> 31, m | 0x800000, exponent - 150) if exponent else (b >> 31, m, -149)


def rounded(sign, m, e, sticky=False):
    """(m + a little if sticky) * 2^e to the nearest binary32, ties to even.  m > 0."""
    top = NEG if sign else 0
    drop = max(m.bit_length() - 24, -149 - e)
    if drop > 0:
        rest, m, e = m & ((1 << drop) - 1), m >> drop, e + drop
        half = 1 << (drop - 1)
        if rest > half or (rest == half and (sticky or m & 1)):
            m += 1
    else:
        assert not sticky, 'too few bits to round'
        m, e = m << -drop, e + drop
    if m == 1 << 24:
        m, e = m >> 1, e + 1
    if m < 1 << 23:
        return top | m              # subnormal, or zero: e is -149
    if e + 150 >= 255:
        return top | INF
    return top | (e + 150) << 23 | (m & 0x7fffff)


def fma(a, b, c):
    if is_nan(a) or is_nan(b) or is_nan(c):
        return NAN
    sign = (a ^ b) >> 31
    if is_inf(a) or is_inf(b):
        if not a & 0x7fffffff or not b & 0x7fffffff:
            return NAN
        if is_inf(c) and c >> 31 != sign:
            return NAN
        return sign << 31 | INF
    if is_inf(c):
        return c
    (_, ma, ea), (_, mb, eb), (sc, mc, ec) = split(a), split(b), split(c)
    e = min(ea + eb, ec)
    product = ma * mb << (ea + eb - e)
    total = (-product if sign else product) + ((-mc if sc else mc) << (ec - e))
    if not total:
        # A sum that cancels is +0; two zeros of one sign keep it.
        return NEG if sign and sc and not product and not mc else ZERO
    return rounded(total < 0, abs(total), e)


def add(a, b):
    return fma(a, ONE, b)


def neg(a):
    return a ^ NEG


def sub(a, b):
    return add(a, neg(b))


def mul(a, b):
    return fma(a, b, NEG)       # x + -0 is x, for both zeros too


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
    return rounded(i < 0, abs(i), 0) if i else ZERO


def to_int(a):
    """A finite number to the nearest integer, ties to even."""
    sign, m, e = split(a)
    if e >= 0:
        n = m << e
    else:
        n, rest, half = m >> -e, m & ((1 << -e) - 1), 1 << (-e - 1)
        n += rest > half or (rest == half and n & 1)
    return -n if sign else n


def larger(a, b):
    return not is_nan(a) and not is_nan(b) and number(a) > number(b)


def f16(h):
    sign, exponent, m = (h & 0x8000) << 16, h >> 10 & 31, h & 0x3ff
    if exponent == 31:
        return NAN if m else sign | INF
    if exponent:
        return sign | rounded(0, m | 0x400, exponent - 25)
    return sign | (rounded(0, m, -24) if m else 0)


def bf16(h):
    b = h << 16
    return NAN if is_nan(b) else b


# ---- numerics.rst ----

def fold(a):
    return add(add(add(a[0], a[4]), add(a[2], a[6])), add(add(a[1], a[5]), add(a[3], a[7])))


def sum8(t):
    a = [ZERO] * 8
    for i, v in enumerate(t):
        a[i % 8] = add(a[i % 8], v)
    return fold(a)


def dot8(x, y):
    a = [ZERO] * 8
    for i, (u, v) in enumerate(zip(x, y)):
        a[i % 8] = fma(u, v, a[i % 8])
    return fold(a)


def hexf(text):
    return bits(float.fromhex(text))


LOG2E, C1, C2 = hexf('0x1.715476p+0'), hexf('-0x1.63p-1'), hexf('0x1.bd0106p-13')
POLY = [hexf(c) for c in ('0x1.a0d2cep-13', '0x1.6e879cp-10', '0x1.111210p-7',
                          '0x1.555382p-5', '0x1.555554p-3', '0x1p-1')]


def exp(x):
    if is_nan(x):
        return NAN
    if number(x) > 88:
        return INF
    if number(x) < -87:
        return ZERO
    n = to_int(mul(x, LOG2E))
    r = fma(from_int(n), C1, x)
    r = fma(from_int(n), C2, r)
    p = POLY[0]
    for c in POLY[1:]:
        p = fma(p, r, c)
    y = add(fma(p, mul(r, r), r), ONE)
    return mul(y, rounded(0, 1, n))


def quantize(row):
    """(d, xs, q) of each block of 32."""
    d, xs, q = [], [], []
    for at in range(0, len(row), 32):
        x = row[at:at + 32]
        if any(is_nan(v) or is_inf(v) for v in x):
            d1, q1 = NAN, [0] * 32
        else:
            amax = max(v & 0x7fffffff for v in x)       # bits of magnitudes sort as magnitudes
            if amax < hexf('0x1p-100'):
                d1, q1 = ZERO, [0] * 32
            else:
                best = None
                for n in range(127, 119, -1):
                    scale, dn = div(from_int(n), amax), div(amax, from_int(n))
                    qn = [to_int(mul(v, scale)) for v in x]
                    e = [fma(dn ^ NEG, from_int(k), v) for k, v in zip(qn, x)]
                    error = dot8(e, e)
                    if best is None or error < best:        # not negative: bits sort as numbers
                        best, q1, d1 = error, qn, dn
        assert all(-127 <= v <= 127 for v in q1)
        d.append(d1)
        xs.append(mul(d1, from_int(sum(q1))))
        q.extend(q1)
    return d, xs, q


def u16(data, at):
    return data[at] | data[at + 1] << 8


def s8(byte):
    return byte - 256 if byte > 127 else byte


F32, F16, Q4_0, Q5_0, Q8_0, Q4_K, Q6_K, BF16 = 0, 1, 2, 6, 8, 12, 14, 30
BLOCK = {F32: (1, 4), F16: (1, 2), BF16: (1, 2), Q4_0: (32, 18), Q5_0: (32, 22),
         Q8_0: (32, 34), Q4_K: (256, 144), Q6_K: (256, 210)}
NAMES = {F32: 'F32', F16: 'F16', BF16: 'BF16', Q4_0: 'Q4_0', Q5_0: 'Q5_0', Q8_0: 'Q8_0',
         Q4_K: 'Q4_K', Q6_K: 'Q6_K'}


def float_weight(t, data):
    if t == F32:
        b = struct.unpack('<I', data)[0]
        return NAN if is_nan(b) else b
    return f16(u16(data, 0)) if t == F16 else bf16(u16(data, 0))


def code(t, block, i):
    """The integer of value i of a block; signed except for Q4_K."""
    if t == Q4_0:
        return (block[2 + i % 16] >> (4 if i >= 16 else 0) & 15) - 8
    if t == Q5_0:
        high = int.from_bytes(block[2:6], 'little') >> i & 1
        return ((block[6 + i % 16] >> (4 if i >= 16 else 0) & 15) | high << 4) - 16
    if t == Q8_0:
        return s8(block[2 + i])
    if t == Q4_K:
        group, sub = i // 64, i // 32 % 2
        return block[16 + 32 * group + i % 32] >> (4 * sub) & 15
    half, i = divmod(i, 128)
    quarter, l = divmod(i, 32)
    low = block[64 * half + l + 32 * (quarter % 2)] >> (4 * (quarter // 2)) & 15
    high = block[128 + 32 * half + l] >> (2 * quarter) & 3
    return (low | high << 4) - 32


def scale_min(block, j):
    s = block[4:16]
    if j < 4:
        return s[j] & 63, s[j + 4] & 63
    return ((s[j + 4] & 15) | (s[j - 4] >> 6) << 4,
            (s[j + 4] >> 4) | (s[j] >> 6) << 4)


def blocks(t, row):
    size = BLOCK[t][1]
    return [row[at:at + size] for at in range(0, len(row), size)]


def dot_row(t, row, x):
    acc = ZERO
    if t in (F32, F16, BF16):
        return dot8([float_weight(t, b) for b in blocks(t, row)], x)
    d, xs, q = quantize(x)
    for n, block in enumerate(blocks(t, row)):
        size = BLOCK[t][0]
        w = [code(t, block, i) for i in range(size)]
        xq = q[n * size:(n + 1) * size]
        if size == 32:
            acc = fma(mul(f16(u16(block, 0)), d[n]),
                      from_int(sum(a * b for a, b in zip(w, xq))), acc)
            continue
        a = b = ZERO
        for j in range(8):
            at = 8 * n + j
            products = [w[i] * xq[i] for i in range(32 * j, 32 * j + 32)]
            if t == Q4_K:
                sc, m = scale_min(block, j)
                a = fma(d[at], from_int(sc * sum(products)), a)
                b = fma(from_int(m), xs[at], b)
            else:
                sc = [s8(block[192 + (32 * j + i) // 16]) for i in range(32)]
                a = fma(d[at], from_int(sum(s * p for s, p in zip(sc, products))), a)
        acc = fma(f16(u16(block, 0 if t == Q4_K else 208)), a, acc)
        if t == Q4_K:
            acc = fma(neg(f16(u16(block, 2))), b, acc)
    return acc


def matmul(t, w, x, bias, old):
    out = []
    for i, row in enumerate(x):
        for r, weights in enumerate(w):
            acc = dot_row(t, weights, row)
            if bias:
                acc = add(acc, bias[r])
            out.append(add(old[i][r], acc) if old else acc)
    return out


def embed_row(t, row):
    out = []
    for block in blocks(t, row):
        if BLOCK[t][0] == 1:
            out.append(float_weight(t, block))
            continue
        for i in range(BLOCK[t][0]):
            q = from_int(code(t, block, i))
            if t == Q4_K:
                sc, m = scale_min(block, i // 32)
                out.append(sub(mul(mul(f16(u16(block, 0)), from_int(sc)), q),
                               mul(f16(u16(block, 2)), from_int(m))))
            elif t == Q6_K:
                out.append(mul(mul(f16(u16(block, 208)), from_int(s8(block[192 + i // 16]))), q))
            else:
                out.append(mul(f16(u16(block, 0)), q))
    return out


def rmsnorm(x, w, eps):
    mean = div(dot8(x, x), from_int(len(x)))
    r = div(ONE, sqrt(add(mean, eps)))
    return [mul(mul(v, r), u) for v, u in zip(x, w)]


def rope(x, cs, heads, dim, rot, half):
    y = list(x)
    for h in range(heads):
        for i in range(rot // 2):
            at = h * dim + (i if half else 2 * i)
            other = at + (rot // 2 if half else 1)
            a, b, c, s = x[at], x[other], cs[i], cs[rot // 2 + i]
            y[at] = fma(a, c, neg(mul(b, s)))
            y[other] = fma(a, s, mul(b, c))
    return y


def attn(q, kc, vc, heads, kv_heads, dim, pos, scale):
    """kc, vc: the caches after the rows were appended."""
    out = []
    for i, row in enumerate(q):
        for h in range(heads):
            kv = h // (heads // kv_heads) * dim
            mine = row[h * dim:(h + 1) * dim]
            s = [mul(dot8(mine, kc[t][kv:kv + dim]), scale) for t in range(pos + i + 1)]
            m = INF | NEG
            for v in s:
                if larger(v, m):
                    m = v
            e = [exp(sub(v, m)) for v in s]
            inverse = div(ONE, sum8(e))
            for d in range(dim):
                acc = ZERO
                for t, weight in enumerate(e):
                    acc = fma(weight, vc[t][kv + d], acc)
                out.append(mul(acc, inverse))
    return out


def silu_mul(g, u):
    return mul(div(g, add(ONE, exp(neg(g)))), u)


# ---- golden vectors ----

OP_EMBED, OP_MATMUL, OP_RMSNORM, OP_ROPE, OP_ATTN, OP_GLU, OP_ELT = range(1, 8)
OP_QUANTIZE, OP_EXP = 100, 101
ARRAYS = 6

rng = random.Random(20)
cases = []


def floats(values):
    return struct.pack('<%dI' % len(values), *values)


def case(op, arrays, flags=0, t=0, m=0, n=0, k=0, p=(), f=ZERO):
    p = (list(p) + [0] * 4)[:4]
    data = [floats(a) if isinstance(a, list) else bytes(a) for a in arrays]
    data += [b''] * (ARRAYS - len(data))
    body = b''.join(d + bytes(-len(d) % 4) for d in data)
    head = [op, 4 * (12 + ARRAYS) + len(body), flags, t, m, n, k] + p + [f]
    cases.append(struct.pack('<%dI' % (12 + ARRAYS), *head, *[len(d) for d in data]) + body)


def flat(rows):
    return [v for row in rows for v in row]


def uniform(n, low=-1.0, high=1.0):
    return [bits(low + (high - low) * rng.random()) for _ in range(n)]


def wide(n):
    """Magnitudes over the whole range, subnormals and zeros included, nothing infinite."""
    return [rng.choice([rng.getrandbits(31), rng.getrandbits(23), 0]) & 0x7f7fffff |
            rng.getrandbits(1) << 31 for _ in range(n)]


def near(n):
    """Magnitudes whose products neither vanish nor overflow, so that every rounding shows."""
    return [bits(math.ldexp(rng.random() + 0.5, rng.randrange(-12, 12)) * rng.choice((-1, 1)))
            for _ in range(n)]


SPECIAL = [ZERO, NEG, 1, NEG | 1, 0x7fffff, 0x800000, INF, INF | NEG, NAN, 0x7f7fffff, ONE]


def activations(kind, k):
    if kind == 'normal':
        return uniform(k, -3, 3)
    if kind == 'ties':              # 127 / amax is 1 or a power of two: halves meet the rounding
        out = []
        for at in range(0, k, 32):
            e = rng.choice((0, -3, 40, -90))
            row = [bits(math.ldexp(rng.randrange(-253, 254) / 2, e)) for _ in range(31)]
            out += [bits(math.ldexp(127.0, e))] + row
        return out
    if kind == 'tiny':              # on both sides of 2^-100, subnormals
        out = []
        for at in range(0, k, 32):
            top = rng.choice((hexf('0x1p-100'), hexf('0x1p-100') - 1, hexf('0x1.8p-101'), 5, 0,
                              hexf('0x1.000002p-100')))
            out += [neg(top) if i == 7 else rng.randrange(top + 1) | rng.getrandbits(1) << 31
                    for i in range(32)]
        return out
    if kind == 'scales':            # every block of another magnitude
        out = []
        for at in range(0, k, 32):
            e = rng.randrange(-95, 90)
            out += [bits(math.ldexp(2 * rng.random() - 1, e)) for _ in range(32)]
        return out
    if kind == 'huge':
        return [rng.randrange(0x7e000000, 0x7f7fffff) | rng.getrandbits(1) << 31 for _ in range(k)]
    if kind == 'zeros':
        return [rng.getrandbits(1) << 31 for _ in range(k)]
    out = uniform(k)                # 'inf', 'nan': one bad element in some block
    out[rng.randrange(k)] = NAN if kind == 'nan' else INF | rng.getrandbits(1) << 31
    return out


KINDS = ('normal', 'ties', 'tiny', 'scales', 'huge', 'zeros', 'inf', 'nan')
HALVES = (0x0000, 0x8000, 0x0001, 0x83ff, 0x0400, 0x7bff, 0xfbff, 0x3c00, 0xbc00, 0x7c00, 0xfc00,
          0x7e00)


def half(kind):
    if kind == 'normal':
        return struct.unpack('<H', struct.pack('<e', 0.02 * rng.random() - 0.01))[0]
    return rng.choice(HALVES[:9] if kind == 'edge' else HALVES)


def weight_block(t, kind):
    raw = bytearray(rng.getrandbits(8) for _ in range(BLOCK[t][1]))
    if kind == 'edge':              # all scales and codes at the ends of their ranges
        for i in range(len(raw)):
            raw[i] = rng.choice((0x00, 0xff, 0x80, 0x7f))
    if t == F32:
        return floats(near(1) if kind == 'normal' else
                      wide(1) if kind == 'edge' else [rng.choice(SPECIAL)])
    if t == BF16:
        b = (near(1) if kind == 'normal' else wide(1) if kind == 'edge' else
             [rng.choice(SPECIAL)])[0]
        return struct.pack('<H', b >> 16)
    if t == F16:
        h = rng.getrandbits(16) if kind == 'edge' else half(kind)
        return struct.pack('<H', h & 0xbfff if h & 0x7c00 == 0x7c00 and kind == 'edge' else h)
    at = 208 if t == Q6_K else 0
    raw[at:at + 2] = struct.pack('<H', half(kind))
    if t == Q4_K:
        raw[2:4] = struct.pack('<H', half(kind))
    return bytes(raw)


def weight_row(t, k, kind):
    return b''.join(weight_block(t, kind) for _ in range(k // BLOCK[t][0]))


def matmul_case(t, m, n, k, xkind, wkind, bias=False, old=False):
    w = [weight_row(t, k, wkind) for _ in range(n)]
    if t in (F32, F16, BF16):
        pick = {'normal': near, 'edge': wide}.get(wkind, lambda c: [rng.choice(SPECIAL)
                                                                  for _ in range(c)])
        x = [pick(k) for _ in range(m)]
    else:
        x = [activations(xkind, k) for _ in range(m)]
    b = near(n) if bias else []
    o = [near(n) for _ in range(m)] if old else []
    out = matmul(t, w, x, b, o)
    case(OP_MATMUL, [b''.join(w), flat(x), b, flat(o), out], flags=int(old), t=t, m=m, n=n, k=k)


def make_matmul():
    for t in (F32, F16, BF16):
        for k in (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 100):
            matmul_case(t, 2, 3, k, 'normal', 'normal', k % 2 == 0, k % 3 == 0)
        for count in (1, 4, 5, 9, 17):
            matmul_case(t, count, 18 - count, 11, 'normal', 'normal')
        for k in (5, 24):
            matmul_case(t, 3, 7, k, 'normal', 'edge', old=True)
            matmul_case(t, 2, 4, k, 'normal', 'special', bias=True)
    for t in (Q4_0, Q5_0, Q8_0):
        for n in range(1, 18):      # every remainder of a tile of rows
            matmul_case(t, 1, n, 32, 'normal', 'normal')
        for m in (2, 3, 4, 5, 8, 17):
            matmul_case(t, m, 5, 32, 'normal', 'normal', bias=True, old=m % 2 == 0)
        for kind in KINDS:
            matmul_case(t, 1, 4, 96, kind, 'normal')
        matmul_case(t, 2, 6, 96, 'scales', 'edge', old=True)
        matmul_case(t, 2, 9, 64, 'normal', 'special', bias=True)
        matmul_case(t, 1, 2, 544, 'normal', 'normal')
    for t in (Q4_K, Q6_K):
        for n in (1, 2, 3, 5, 9):
            matmul_case(t, 1, n, 256, 'normal', 'normal')
        for m in (2, 3, 5):
            matmul_case(t, m, 3, 256, 'normal', 'normal', bias=True, old=m % 2 == 0)
        for kind in KINDS:
            matmul_case(t, 1, 2, 256, kind, 'normal')
        matmul_case(t, 1, 3, 768, 'scales', 'edge')
        matmul_case(t, 1, 4, 256, 'normal', 'edge', bias=True, old=True)
        matmul_case(t, 1, 5, 256, 'normal', 'special')
        matmul_case(t, 2, 2, 512, 'ties', 'normal', old=True)


def make_embed():
    for t in BLOCK:
        for kind in ('normal', 'edge', 'special'):
            k = 13 if BLOCK[t][0] == 1 else 2 * BLOCK[t][0] if BLOCK[t][0] == 32 else 256
            vocab = 3
            table = [weight_row(t, k, kind) for _ in range(vocab)]
            ids = [2, 0, 2]
            out = flat(embed_row(t, table[i]) for i in ids)
            case(OP_EMBED, [b''.join(table), ids, out], t=t, m=len(ids), n=vocab, k=k)


def make_rmsnorm():
    for m, k in ((1, 1), (3, 7), (2, 8), (1, 9), (4, 64), (1, 100), (17, 5)):
        x, w = [near(k) for _ in range(m)], near(k)
        eps = bits(1e-5)
        case(OP_RMSNORM, [flat(x), w, flat(rmsnorm(r, w, eps) for r in x)], m=m, k=k, f=eps)
    odd = [[ZERO] * 12, [NEG] * 12, [0x10 + i for i in range(12)], [0x7f000000] * 12,
           [ONE] * 11 + [NAN], [ONE] * 11 + [INF], wide(12)]
    w = near(11) + [NEG]
    for eps in (ZERO, bits(1e-6), 1):
        case(OP_RMSNORM, [flat(odd), w, flat(rmsnorm(r, w, eps) for r in odd)],
             m=len(odd), k=12, f=eps)


def make_rope():
    for half_pairs in (0, 1):
        for m, heads, dim, rot in ((1, 1, 2, 2), (3, 2, 8, 8), (2, 3, 16, 10), (1, 5, 7, 6),
                                   (2, 1, 64, 64), (1, 2, 40, 32)):
            x = [near(heads * dim) for _ in range(m)]
            cs = [uniform(rot) for _ in range(m)]
            out = flat(rope(r, c, heads, dim, rot, half_pairs) for r, c in zip(x, cs))
            case(OP_ROPE, [flat(x), flat(cs), out], flags=half_pairs, m=m, p=(heads, dim, rot))
        x = [[rng.choice(SPECIAL) for _ in range(36)] for _ in range(2)]
        cs = [[rng.choice(SPECIAL) for _ in range(8)] for _ in range(2)]
        out = flat(rope(r, c, 3, 12, 8, half_pairs) for r, c in zip(x, cs))
        case(OP_ROPE, [flat(x), flat(cs), out], flags=half_pairs, m=2, p=(3, 12, 8))


def attn_case(m, heads, kv_heads, dim, pos, scale, draw=uniform, spoil=()):
    kv = kv_heads * dim
    q = [draw(heads * dim) for _ in range(m)]
    kc, vc = [draw(kv) for _ in range(pos)], [draw(kv) for _ in range(pos)]
    k, v = [draw(kv) for _ in range(m)], [draw(kv) for _ in range(m)]
    for rows, at, value in spoil:
        {'q': q, 'k': k, 'v': v, 'kc': kc, 'vc': vc}[rows][at // kv][at % kv] = value
    out = attn(q, kc + k, vc + v, heads, kv_heads, dim, pos, scale)
    case(OP_ATTN, [flat(q), flat(k), flat(v), flat(kc), flat(vc), out], m=m,
         p=(heads, kv_heads, dim, pos), f=scale)


def make_attn():
    attn_case(1, 1, 1, 1, 0, ONE)
    attn_case(1, 2, 1, 8, 0, bits(0.5))
    attn_case(3, 4, 2, 16, 5, bits(0.25))
    attn_case(1, 6, 2, 9, 17, bits(1 / 3))
    attn_case(17, 2, 2, 5, 0, bits(2.0))
    attn_case(2, 3, 3, 8, 40, bits(30.0), near)            # most weights underflow
    attn_case(1, 9, 1, 4, 7, bits(-1.0))
    attn_case(2, 2, 1, 4, 6, ZERO)
    attn_case(1, 1, 1, 4, 6, ONE, spoil=[('kc', 5, NAN)])
    attn_case(1, 1, 1, 4, 6, ONE, spoil=[('kc', 5, INF)])
    attn_case(1, 1, 1, 4, 6, ONE, spoil=[('vc', 5, INF), ('vc', 10, NAN)])
    attn_case(1, 2, 1, 4, 2, ONE, spoil=[('q', 1, NAN)])
    attn_case(1, 1, 1, 3, 2, ONE, wide)
    # One head of one element and k = the argument: the weights are exp() itself.
    x = [bits(-0.25 * i) for i in range(0, 400, 13)]
    zero = [ZERO] * len(x)
    kc, vc = zero[:1] + x, [ZERO] + [ONE] * len(x)
    for t in range(1, len(kc)):
        pair = [[kc[0]], [kc[t]]]
        values = [[vc[0]], [vc[t]]]
        out = attn([[ONE]], pair, values, 1, 1, 1, 1, ONE)
        case(OP_ATTN, [[ONE], pair[1], values[1], pair[0], values[0], out], m=1,
             p=(1, 1, 1, 1), f=ONE)


def exp_arguments():
    x = list(SPECIAL)
    for v in (88.0, -87.0, 87.9, -86.9):        # GLU takes the exponential of -x: both signs
        x += [s | b for b in (bits(v) - 1, bits(v), bits(v) + 1) for s in (0, NEG)]
        x += [b & 0x7fffffff for b in (bits(v) - 1, bits(v), bits(v) + 1)]
    for i in range(-126, 127, 9):               # where n changes, to the last bit
        x += [bits((i + 0.5) * math.log(2)) + step for step in range(-2, 3)]
    x += [bits(-90 + 180 * rng.random()) for _ in range(170)]
    x += [bits(2 * rng.random() - 1) for _ in range(100)]
    x += [bits(math.ldexp(1.0, -e)) for e in range(0, 30, 3)]
    return x


def make_elements():
    x = exp_arguments()
    case(OP_EXP, [x, [exp(v) for v in x]], k=len(x))
    up = near(len(x))
    case(OP_GLU, [x, up, [silu_mul(g, u) for g, u in zip(x, up)]], m=1, n=len(x))
    for m, n in ((3, 7), (2, 16), (1, 1)):
        g, u = uniform(m * n, -20, 20), near(m * n)
        case(OP_GLU, [g, u, [silu_mul(a, b) for a, b in zip(g, u)]], m=m, n=n)
    for flags, op in ((0, add), (1, mul)):
        for m, n, rows in ((3, 9, 3), (3, 9, 1), (1, 40, 1)):
            a, b = near(m * n), near(rows * n)
            out = [op(a[i], b[i if rows > 1 else i % n]) for i in range(m * n)]
            case(OP_ELT, [a, b, out], flags=flags, m=m, n=n, p=(rows,))
        a = [v for v in SPECIAL for _ in SPECIAL]
        b = SPECIAL * len(SPECIAL)
        case(OP_ELT, [a, b, [op(u, v) for u, v in zip(a, b)]], flags=flags, m=len(SPECIAL),
             n=len(SPECIAL), p=(len(SPECIAL),))
    for imm in (bits(0.3), NEG, bits(1e-40), INF):
        a = SPECIAL + wide(20)
        case(OP_ELT, [a, [], [mul(v, imm) for v in a]], flags=2, m=1, n=len(a), f=imm)


def make_quantize():
    for kind in KINDS:
        x = activations(kind, 96)
        d, xs, q = quantize(x)
        case(OP_QUANTIZE, [x, d, xs, bytes(v & 255 for v in q)], k=len(x))


def golden():
    make_quantize()
    make_matmul()
    make_embed()
    make_rmsnorm()
    make_rope()
    make_attn()
    make_elements()
    body = b''.join(cases)
    return b'OCTGOLD1' + struct.pack('<II', len(cases), len(body)) + body


# ---- is the arithmetic above right? ----

def selftest():
    libm = ctypes.CDLL(ctypes.util.find_library('m'))
    libm.fmaf.restype = ctypes.c_float
    libm.fmaf.argtypes = [ctypes.c_float] * 3
    f = libm.fmaf
    bad = 0

    def same(what, mine, theirs, *args):
        nonlocal bad
        if is_nan(mine) and is_nan(theirs):
            return
        if mine != theirs:
            bad += 1
            print('%s(%s): %08x, the C library has %08x' %
                  (what, ', '.join('%08x' % a for a in args), mine, theirs))

    for i in range(60000):
        draw = (wide, near, lambda n: [rng.choice(SPECIAL) for _ in range(n)])[i % 3]
        a, b = draw(2)
        c = neg(mul(a, b)) ^ rng.getrandbits(2) if i % 2 and not is_nan(mul(a, b)) else draw(1)[0]
        x, y = number(a), number(b)
        same('fma', fma(a, b, c), bits(f(x, y, number(c))), a, b, c)
        # binary64 has more than twice the bits: rounding its result again is harmless.
        same('add', add(a, b), bits(x + y), a, b)
        if not is_inf(a) and not is_inf(b):
            same('mul', mul(a, b), bits(x * y), a, b)
            if y:
                same('div', div(a, b), bits(x / y), a, b)
            if x > 0:
                same('sqrt', sqrt(a), bits(math.sqrt(x)), a)
    for h in range(65536):
        same('f16', f16(h), bits(struct.unpack('<e', struct.pack('<H', h))[0]), h)
    for v in exp_arguments():
        if -86 < number(v) < 88:
            error = abs(number(exp(v)) / math.exp(number(v)) - 1)
            if error > 2 * 2 ** -23:
                bad += 1
                print('exp(%g) is off by %g' % (number(v), error))
    print('selftest: %s' % ('%d wrong' % bad if bad else 'ok'))
    return bad != 0


def main(argv):
    if argv[1:] == ['selftest']:
        return selftest()
    if len(argv) != 3 or argv[1] not in ('write', 'check'):
        sys.exit(__doc__)
    data = golden()
    if argv[1] == 'write':
        with open(argv[2], 'wb') as out:
            out.write(data)
        print('%s: %d cases, %d bytes' % (argv[2], len(cases), len(data)))
        return 0
    with open(argv[2], 'rb') as old:
        same = old.read() == data
    print('%s: %s' % (argv[2], 'up to date' if same else 'differs: run ref_numerics.py write'))
    return not same


if __name__ == '__main__':
    sys.exit(main(sys.argv))
