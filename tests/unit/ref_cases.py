# SPDX-License-Identifier: MIT
"""Draws the cases of the golden file (tests/unit/golden.h has its format).

A case is a command with the memory around it.  ref_commands.execute() says what comes of it; that
it is accepted, or refused, as the case wants is asserted.  ref_refused.py draws what is refused.
"""
import copy
import math
import random
import struct

from ref_numerics import (
    BF16, BLOCK, D, F16, F32, I32, INF, M, MAP, MXFP4, NAMES, NAN, NEG, NESTED, ONE, PLAIN, Q4_0, Q4_K, Q5_0, Q8_0,
    SPECIAL, WEIGHTS, ZERO, align as align_of, arguments, bits, exp, expm1, hexf, log1p, near, neg, quantize,
    row_bytes, special, tanh, to_bf16, to_f16, uniform, wide)
import ref_commands as isa
from ref_commands import (
    ATTEND, CONV, COPY, MATMUL, MOVE, NOP, OK, OP_MAP, OP_NAMES, PREFETCH, ROPE, ROW, SCAN, SIGNAL,
    TOPK, WAIT)

rng = random.Random(20)
BASE = 0x7ead00000000      # where images lie while they are drawn; any multiple of 64 would do
FILL = 0xe7                 # of what is nobody's, and of outputs before
MARGIN = 64

cases = []


# ---- the file ----

FUNCTION_EXP, FUNCTION_EXPM1, FUNCTION_LOG1P, FUNCTION_TANH, FUNCTION_QUANTIZE, FUNCTION_F16, \
    FUNCTION_BF16 = range(256, 263)


def padded(data, size):
    return data + bytes(-len(data) % size)


def emit(name, op, status, command, relocations, params, image, outputs):
    assert len(name) < 64, name
    body = padded(command, 16)
    body += struct.pack('<%dI' % len(relocations), *relocations)
    body += struct.pack('<%dI' % len(params), *params)
    body = padded(body, 8) + padded(image, 8)
    for at, data in outputs:
        body += struct.pack('<II', at, len(data)) + padded(data, 4)
    body = padded(body, 8)
    head = struct.pack('<8I64s', 96 + len(body), op, status, len(command), len(relocations),
                       len(params), len(image), len(outputs), name.encode())
    cases.append(head + body)


# ---- cases ----

class Operand:
    """A tensor of a case: where it lies in the image, and its descriptor."""

    def __init__(self, offset, stride, rows, cols, type, dyn, start):
        self.offset, self.stride, self.rows, self.cols = offset, stride, rows, cols
        self.type, self.dyn, self.start, self.fixed = type, dyn, start, None

    def packed(self, base):
        va = self.fixed if self.fixed is not None else base + self.offset
        return struct.pack('<QQIIII', va, self.stride, self.rows, self.cols, self.type, self.dyn)


class Case:
    """A command under construction.  style: 'plain', 'gaps' (between rows, and no better aligned
    than needed), 'dyn' (also: rows in effect come from parameters); None draws one."""

    def __init__(self, op, flags=0, style=None, **fields):
        self.op, self.flags, self.reserved, self.size = op, flags, 0, isa.size_of(op)
        self.style = style or rng.choice(('plain', 'gaps', 'gaps', 'dyn'))
        self.image = bytearray([FILL] * MARGIN)
        self.tensors = {name: None for name, _, _ in isa.tensors_of(op)}
        self.fields = {name: 0 for name in isa.fields_of(op)[1]}
        self.fields.update(fields)
        assert set(fields) <= set(isa.fields_of(op)[1]), fields
        self.pointers = []          # fields that are addresses: offsets until they are packed
        self.params = []
        self.raw = None             # patches of the packed command: (offset, bytes)

    def param(self, value):
        self.params.append(rng.getrandbits(32))         # nobody's
        self.params.append(value)
        return len(self.params)

    def place(self, name, rows, cols, type=F32, by_rows=False):
        """A tensor of the command from its rows, as bytes or numbers.  by_rows: it may get dyn."""
        rows = [r if isinstance(r, (bytes, bytearray)) else
                struct.pack('<%d%s' % (len(r), 'i' if type == I32 else 'I'), *r) for r in rows]
        size, unit = row_bytes(type, cols), align_of(type)
        assert all(len(r) == size for r in rows), (name, size, [len(r) for r in rows])
        gap = 0 if self.style == 'plain' else unit * rng.choice((0, 1, 3, 8))
        before = after = dyn = 0
        if by_rows and self.style == 'dyn':
            form = rng.choice(('rows', 'first', 'both', 'both'))
            before = 0 if form == 'rows' else rng.randrange(4)
            after = 0 if form == 'first' else rng.randrange(4)
            if form != 'first':
                dyn |= self.param(len(rows))
            if form != 'rows':
                dyn |= self.param(before) << 8
        stride = size + gap
        total = before + len(rows) + after
        self.image += bytes([FILL]) * (-len(self.image) % 16)
        if self.style != 'plain':
            self.image += bytes([FILL] * unit)
        at = len(self.image)
        for r in [bytes([FILL] * size)] * before + rows + [bytes([FILL] * size)] * after:
            self.image += r + bytes([FILL] * gap)
        if total == 1 and self.style != 'plain':        # ignored
            stride = rng.choice((0, 1, stride, 1 << 63, (1 << 64) - 1))
        self.tensors[name] = Operand(at, stride, total, cols, type, dyn, before)
        return self

    def blank(self, name, rows, cols, type=F32, by_rows=True):
        return self.place(name, [bytes([FILL] * row_bytes(type, cols))] * rows, cols, type, by_rows)

    def share(self, name, other):
        self.tensors[name] = self.tensors[other]
        return self

    def bytes_at(self, name, size, align=1):
        """Room for a field that is an address, at an odd one if it may be."""
        self.image += bytes([FILL] * (-len(self.image) % 16)) + bytes([FILL] * (0 if align > 1
                                                                                else 3))
        self.fields[name] = len(self.image)
        self.pointers.append(name)
        self.image += bytes(rng.getrandbits(8) for _ in range(size)) + bytes([FILL] * 8)
        return self

    def poke(self, name, row, col, value):
        """Overwrites an element (of 4 bytes) of a tensor."""
        t = self.tensors[name]
        at = t.offset + (t.start + row) * (t.stride if t.rows > 1 else 0) + 4 * col
        self.image[at:at + 4] = struct.pack('<I', value & 0xffffffff)
        return self

    def packed(self, base):
        out = struct.pack('<HHIQ', self.op & 0xffff, self.flags, self.size, self.reserved)
        relocations = []
        for name, t in self.tensors.items():
            if t and t.fixed is None:
                relocations.append(len(out))
            out += t.packed(base) if t else bytes(32)
        form, names = isa.fields_of(self.op)
        values = []
        for i, name in enumerate(names):
            value = self.fields[name]
            if name in self.pointers:
                relocations.append(len(out) + struct.calcsize(form[:i + 1]))
                value += base
            values.append(value)
        out = bytearray(out + struct.pack(form, *values))
        for at, data in self.raw or ():
            out[at:at + len(data)] = data
        return bytes(out), relocations

    def finish(self, name, status=OK):
        image = bytes(self.image) + bytes([FILL] * MARGIN)
        command, relocations = self.packed(BASE)
        got, after, written, why = isa.execute(command, self.params, BASE, image)
        assert got == status, (name, got, why)
        assert len(image) < 1 << 20
        outputs = []
        for at, size in sorted(written):
            if outputs and at <= sum(outputs[-1]):
                outputs[-1][1] = max(outputs[-1][1], at + size - outputs[-1][0])
            else:
                outputs.append([at, size])
        # In the file addresses are offsets into the image.
        command, again = self.packed(0)
        assert relocations == again
        name = '%s %s' % (OP_NAMES[self.op] if self.op in isa.OPS else 'opcode %d' % self.op, name)
        emit(name, self.op, status, command, relocations, self.params, image,
             [(at, bytes(after[at:at + size])) for at, size in outputs])
        return self


# ---- numbers ----

def draw(kind, n):
    if kind == 'uniform':
        return uniform(rng, n)
    return {'near': near, 'wide': wide, 'special': special}[kind](rng, n)


def rows_of(kind, m, n):
    return [draw(kind, n) for _ in range(m)]


def activations(kind, k):
    if kind == 'normal':
        return uniform(rng, k, -3, 3)
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
    if kind == 'sparse':            # several scales are equally good: 127 is taken
        out = []
        for at in range(0, k, 32):
            top, many = uniform(rng, 1, -100, 100)[0], rng.choice((1, 2, 32))
            out += [top ^ rng.getrandbits(1) << 31 if i < many else rng.getrandbits(1) << 31
                    for i in range(32)]
        return out
    if kind == 'zeros':
        return [rng.getrandbits(1) << 31 for _ in range(k)]
    out = uniform(rng, k)           # 'inf', 'nan': one bad element in some block
    bad = rng.randrange(k)
    if kind == 'nan':
        out[bad] = rng.choice((NAN, 0xff801234))
    else:
        out[bad] = INF | rng.getrandbits(1) << 31
    return out


KINDS = ('normal', 'ties', 'tiny', 'scales', 'huge', 'sparse', 'zeros', 'inf', 'nan')
HALVES = (0x0000, 0x8000, 0x0001, 0x83ff, 0x0400, 0x7bff, 0xfbff, 0x3c00, 0xbc00, 0x7c00, 0xfc00,
          0x7e00, 0x7c01, 0xfeed)


def half(kind):
    if kind == 'normal':
        return struct.unpack('<H', struct.pack('<e', 0.02 * rng.random() - 0.01))[0]
    return rng.choice(HALVES[:9] if kind == 'edge' else HALVES)


def weight_block(t, kind):
    raw = bytearray(rng.getrandbits(8) for _ in range(BLOCK[t][1]))
    if kind == 'edge':              # all scales and codes at the ends of their ranges
        for i in range(len(raw)):
            raw[i] = rng.choice((0x00, 0xff, 0x80, 0x7f))
    if t in (F32, BF16):
        b = draw({'normal': 'near', 'edge': 'wide'}.get(kind, 'special'), 1)[0]
        return struct.pack('<I', b) if t == F32 else struct.pack('<H', b >> 16)
    if t == F16:
        h = rng.getrandbits(16) if kind == 'edge' else half(kind)
        return struct.pack('<H', h & 0xbfff if h & 0x7c00 == 0x7c00 and kind == 'edge' else h)
    if t == MXFP4:
        raw[0] = rng.randrange(115, 125) if kind == 'normal' else rng.choice((0, 1, 2, 128, 254, 255))
        return bytes(raw)
    for at in [D.get(t, 0)] + ([M[t]] if t in M else []):
        raw[at:at + 2] = struct.pack('<H', half(kind))
    return bytes(raw)


def weights(t, rows, k, kind):
    return [b''.join(weight_block(t, kind) for _ in range(k // BLOCK[t][0])) for _ in range(rows)]


def ids(values):
    return [[v] for v in values]


# ---- MOVE ----

def move_case(src, dst, m, n, kind, flags=0, scale=None, src_ids=None, dst_ids=None, src_rows=None,
              dst_rows=None, style=None):
    c = Case(MOVE, flags, style)
    src_rows, dst_rows = src_rows or m, dst_rows or m
    if src == I32:
        rows = [[rng.getrandbits(32) - (1 << 31) for _ in range(n)] for _ in range(src_rows)]
    elif src == F32 and kind in KINDS:
        rows = [activations(kind, n) for _ in range(src_rows)]
    else:
        rows = weights(src, src_rows, n, kind)
    c.place('src', rows, n, src, by_rows=True)
    if flags:
        c.place('dst', rows_of('special' if kind == 'special' else 'near', dst_rows, n), n,
                by_rows=True)
    else:
        c.blank('dst', dst_rows, n, dst)
    if src_ids:
        c.place('src_ids', ids(src_ids), 1, I32, by_rows=True)
    if dst_ids:
        c.place('dst_ids', ids(dst_ids), 1, I32, by_rows=True)
    if scale:
        c.place('scale', [[v] for v in draw(scale, m)], 1, by_rows=True)
    return c.finish('%s to %s %dx%d %s%s%s%s%s' % (
        NAMES[src], NAMES[dst], m, n, kind, ' add' if flags else '', ' scale' if scale else '',
        ' src_ids' if src_ids else '', ' dst_ids' if dst_ids else ''))


def make_move():
    for src in WEIGHTS:
        for dst in (F32, F16, BF16, Q8_0):
            n = BLOCK[src][0] if BLOCK[src][0] > 1 else 32 if dst == Q8_0 else 13
            for kind in ('normal', 'edge', 'special'):
                move_case(src, dst, 1 if n == 256 else 2, n, kind)
            move_case(src, dst, 2, n, 'normal', scale='near')
            move_case(src, dst, 2, n, 'special', scale='special', src_ids=[2, 0], src_rows=3)
        move_case(src, F32, 2, n, 'normal', flags=1)
        move_case(src, F32, 2, n, 'special', flags=1, scale='special')
    for kind in KINDS:
        move_case(F32, Q8_0, 2, 96, kind)
    for src, dst in ((F32, F32), (I32, I32), (F32, F16), (Q4_K, F32), (Q8_0, Q8_0), (Q5_0, BF16)):
        n = max(BLOCK[src][0], BLOCK[dst][0], 5 if BLOCK[src][0] == 1 else 32)
        kind = 'special'
        move_case(src, dst, 5, n, kind, src_ids=[2, 0, 2, -1, 1], src_rows=3)
        move_case(src, dst, 4, n, kind, src_ids=[1, -7, 0, 1], src_rows=2,
                  dst_ids=[0, 1, 3, -2 ** 31], dst_rows=5)
        move_case(src, dst, 4, n, kind, dst_ids=[3, 1, 1, 3], dst_rows=6)      # the last one stays
        move_case(src, dst, 2, n, kind, dst_ids=[-1, -1], dst_rows=1)
    for kind in ('normal',
                 'special'):          # rows that are added to several times: the combine of experts
        move_case(F32, F32, 6, 9, kind, 1, 'near', src_ids=[0, 1, 2, 3, 4, 5],
                  dst_ids=[0, 1, 0, 1, -1, 0], src_rows=6, dst_rows=2)
        move_case(F16, F32, 5, 9, kind, 1, dst_ids=[2, 2, 2, 2, 0], dst_rows=3)
    move_case(F32, F32, 1, 1, 'special')
    move_case(F32, F16, 3, 300, 'edge')
    move_case(BF16, BF16, 3, 40, 'special')
    for t in (F32, I32):                        # in place
        c = Case(MOVE, style='gaps')
        c.place('dst', [special(rng, 7) if t == F32 else list(range(7)) for _ in range(2)], 7, t)
        c.share('src', 'dst').finish('%s onto itself' % NAMES[t])
    c = Case(MOVE, 1, style='gaps').place('dst', rows_of('special', 3, 11), 11)
    c.share('src', 'dst').finish('F32 added to itself')
    # Rounding where it is hard: ties and their neighbours, at the exponents of the narrow type.
    for dst, drop, low in ((F16, 13, 100), (BF16, 16, 0)):
        x = []
        for e in range(low, 146 if dst == F16 else 255, 1 if dst == F16 else 9):
            m = rng.getrandbits(23 - drop) << drop | 1 << (drop - 1)
            x += [rng.getrandbits(1) << 31 | (e << 23) + m + step for step in (-1, 0, 1)]
            x += [(e << 23) + 0x7fffff, (e << 23) + (m ^ 1 << drop)]
        c = Case(MOVE, style='plain').place('src', [x], len(x), F32).blank('dst', 1, len(x), dst)
        c.finish('F32 to %s, ties' % NAMES[dst])
    h = sorted(set(range(0, 65536, 31)) | set(HALVES))
    for src in (F16, BF16):
        c = Case(MOVE, style='plain').place('src', [struct.pack('<%dH' % len(h), *h)], len(h), src)
        c.blank('dst', 1, len(h)).finish('%s to F32, many' % NAMES[src])


# ---- MATMUL ----

def matmul_case(t, m, n, k, xkind, wkind, bias=False, old=False, sel=None, planes=1, x16=False,
                plane_gap=0, style=None):
    c = Case(MATMUL, int(old) | 2 * int(x16), style, planes=planes)
    s = len(sel[0]) if sel else 1
    if t in (F32, F16, BF16):
        x = rows_of({'normal': 'near', 'edge': 'wide'}.get(wkind, 'special'), m, k)
    else:
        x = [activations(xkind, k) for _ in range(m)]
    all_w = weights(t, planes * n, k, wkind)
    c.place('w', all_w[:n], k, t)
    if planes > 1:
        unit, w = align_of(t), c.tensors['w']
        stride = w.stride if n > 1 else row_bytes(t, k)
        end, rest = w.offset + n * stride, bytearray()
        del c.image[end:]
        c.fields['plane_stride'] = n * stride + unit * plane_gap
        for p in range(1, planes):
            rest += bytes([FILL] * (unit * plane_gap))
            for r in all_w[p * n:(p + 1) * n]:
                rest += r + bytes([FILL] * (stride - len(r)))
        c.image += rest
    c.place('x', x, k, by_rows=True)
    if old:
        c.place('dst', rows_of('special' if wkind == 'special' else 'near', m * s, n), n,
                by_rows=True)
    else:
        c.blank('dst', m * s, n)
    if bias:
        c.place('bias', rows_of('special' if wkind == 'special' else 'near', planes, n), n)
    if sel:
        c.place('sel', sel, s, I32, by_rows=True)
    return c.finish('%s %dx%dx%d %s/%s%s%s%s%s' % (
        NAMES[t], m, n, k, xkind, wkind, ' bias' if bias else '', ' add' if old else '',
        ' %d planes' % planes if sel else '', ' x16' if x16 else ''))


def make_matmul():
    for t in (F32, F16, BF16):
        for k in (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 100):
            matmul_case(t, 2, 3, k, 'normal', 'normal', k % 2 == 0, k % 3 == 0)
        for count in (1, 4, 5, 9, 17):
            matmul_case(t, count, 18 - count, 11, 'normal', 'normal')
        for k in (5, 24):
            matmul_case(t, 3, 7, k, 'normal', 'edge', old=True)
            matmul_case(t, 2, 4, k, 'normal', 'special', bias=True)
        if t != F32:
            for k, kind in ((1, 'normal'), (9, 'normal'), (24, 'edge'), (40, 'normal'),
                            (12, 'special')):
                matmul_case(t, 2, 5, k, 'normal', kind, k == 9, k == 24, x16=True)
    for t in PLAIN:
        for n in range(1, 18):      # every remainder of a tile of rows
            matmul_case(t, 1, n, 32, 'normal', 'normal')
        for m in (2, 3, 4, 5, 8, 17):
            matmul_case(t, m, 5, 32, 'normal', 'normal', bias=True, old=m % 2 == 0)
        for kind in KINDS:
            matmul_case(t, 1, 4, 96, kind, 'normal')
        matmul_case(t, 2, 6, 96, 'scales', 'edge', old=True)
        matmul_case(t, 2, 9, 64, 'normal', 'special', bias=True)
        matmul_case(t, 1, 2, 544, 'normal', 'normal')
    for t in NESTED:
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
        matmul_case(t, 1, 17, 256, 'normal', 'normal')
        matmul_case(t, 9, 8, 256, 'normal', 'normal')
        matmul_case(t, 17, 2, 512, 'normal', 'normal')
    for t in (F32, F16, BF16):
        matmul_case(t, 17, 19, 70, 'normal', 'normal', True, x16=t != F32)
        matmul_case(t, 1, 33, 300, 'normal', 'normal')
    for t in PLAIN:
        matmul_case(t, 9, 33, 128, 'normal', 'normal', old=True)
    sel3 = [[2, 0], [-1, 1], [1, 1], [0, -2 ** 31], [-1, -1]]
    for t in WEIGHTS:
        k = max(9, BLOCK[t][0])
        matmul_case(t, 5, 3, k, 'normal', 'normal', sel=sel3, planes=3)
        matmul_case(t, 5, 2, k, 'normal', 'normal', True, True, sel3, 3, plane_gap=4)
        matmul_case(t, 3, 1, k, 'normal', 'special', True, True, [[0], [3], [0]], 4, plane_gap=1)
    matmul_case(F32, 3, 4, 17, 'normal', 'normal', True, sel=[[0, 0, -1]] * 3, planes=1)
    matmul_case(F16, 9, 5, 12, 'normal', 'normal', sel=[[i % 4, 3 - i % 4, i % 3 - 1]
                                                        for i in range(9)], planes=4,
                x16=True, old=True)
    matmul_case(Q8_0, 17, 3, 64, 'normal', 'normal', sel=[[(i * 7) % 9 - 1] for i in range(17)],
                planes=8)
    matmul_case(Q4_0, 1, 6, 64, 'normal', 'normal', sel=[[4, 1, 0, -3, 2, 1, 4, 4]], planes=5)
    matmul_case(F32, 2, 3, 8, 'normal', 'normal', sel=[[-1], [-5]], planes=2,
                old=True)     # nothing at all


# ---- ROW ----

def row_case(kind, x, groups, eps=ZERO, w=None, bias=None, in_place=False, kinds='', style=None):
    m, n = len(x), len(x[0])
    c = Case(ROW, kind, style, groups=groups, eps=eps)
    c.place('x', x, n, by_rows=True)
    if in_place:
        c.share('dst', 'x')
    else:
        c.blank('dst', m, groups if kind == isa.SUM else n)
    for name, values in (('w', w), ('bias', bias)):
        if values:
            c.place(name, [values], len(values), by_rows=True)
    return c.finish('%s %dx%d groups %d eps %08x%s%s%s%s' % (
        ('RMS', 'LAYER', 'L2', 'SOFTMAX', 'SUM')[kind], m, n, groups, eps, ' w %d' % len(w) if w
                                                             else '',
        ' bias %d' % len(bias) if bias else '', ' in place' if in_place else '', kinds))


def hostile_rows(n):
    return [[ZERO] * n, [NEG] * n, [0x10 + i for i in range(n)], [0x7f000000] * n,
            [ONE] * (n - 1) + [0xffc00001], [ONE] * (n - 1) + [INF], [INF | NEG] * n,
            [INF | NEG] * (n - 1) + [NEG], [NAN] * n, wide(rng, n), special(rng, n),
            special(rng, n)]


def make_row():
    eps5 = bits(1e-5)
    for kind in range(5):
        normal = kind < isa.SOFTMAX
        for m, n, groups in ((1, 1, 1), (3, 7, 1), (2, 8, 1), (1, 9, 1), (4, 64, 1), (1, 100, 1),
                             (17, 5, 1),
                             (2, 24, 3), (3, 22, 2), (2, 6, 6), (1, 600, 1), (2, 140, 20)):
            for variant in range(3 if normal else 1):
                w = near(rng, n if variant == 1 or groups == 1
                         else n // groups) if variant else None
                bias = near(rng, len(w)) if variant == 2 else None
                row_case(kind, rows_of('near', m, n), groups, eps5 if normal else ZERO, w, bias)
        for eps in (ZERO, NEG, bits(1e-6), 1, INF) if normal else (ZERO,):
            row_case(kind, hostile_rows(12), 1, eps, near(rng, 11) + [NEG] if normal else None,
                     kinds=' hostile')
        row_case(kind, hostile_rows(12), 2, eps5 if normal else ZERO, kinds=' hostile')
        if normal:
            row_case(kind, rows_of('near', 2, 10), 1, eps5, None, near(rng, 10))
            row_case(kind, rows_of('near', 2, 10), 2, eps5, special(rng, 5), special(rng, 5))
        if kind != isa.SUM:
            row_case(kind, rows_of('near', 3, 10), 2, eps5 if normal else ZERO, in_place=True)
        row_case(kind, [uniform(rng, 40, -20, 20) for _ in range(3)], 4, ZERO)
    row_case(isa.SOFTMAX, [uniform(rng, 33, -80, 90) for _ in range(3)], 1)


# ---- MAP ----

def map_case(f, a, op=0, b=None, affine=None, imm=(ZERO, ZERO), in_place=None, what='', style=None):
    m, n = len(a), len(a[0])
    name, takes, _ = MAP[f]
    scale = affine or (ZERO, ZERO)
    c = Case(OP_MAP, f | op << 8 | (0x8000 if affine else 0), style, imm0=scale[0], imm1=scale[1],
             imm2=imm[0] if takes else 0, imm3=imm[1] if takes else 0)
    c.place('a', a, n, by_rows=True)
    if b:
        c.place('b', b, len(b[0]), by_rows=True)
    if in_place:
        c.share('dst', in_place)
    else:
        c.blank('dst', m, n)
    return c.finish('%s %dx%d%s%s%s%s' % (
        name, m, n, ('', ' add', ' mul', ' div')[op] + (' [%d, %d]' % (len(b), len(b[0])) if b else ''),
        ' affine' if affine else '', ' onto ' + in_place if in_place else '', what))


def make_map():
    x = arguments(rng)
    for f, (name, takes, _) in enumerate(MAP):
        imm = {'XIELU': (bits(0.8), bits(0.55)), 'CLAMP': (bits(-1.5), bits(7.0))}.get(name,
                                                                                       (ZERO, ZERO))
        map_case(f, [x], imm=imm, what=' arguments')
        map_case(f, rows_of('near', 3, 9), imm=imm, affine=(bits(1.702), bits(-0.3)))
        map_case(f, [special(rng, 40)], imm=imm, affine=(bits(-3.0), bits(1e-3)))
        map_case(f, [[bits(-0.0)] * 3, [bits(2.0)] * 3], imm=imm, affine=(ZERO, NEG))
        for op in (1, 2, 3):
            for rows, cols in ((3, 9), (1, 9), (3, 1), (1, 1)):
                map_case(f, rows_of('near', 3, 9), op, rows_of('near', rows, cols), imm=imm)
            map_case(f, rows_of('near', 2, 17), op, rows_of('near', 2, 17),
                     (bits(0.25), bits(1.5)), imm)
            map_case(f, [uniform(rng, 40, -20, 20)], op, rows_of('near', 1, 40), imm=imm)
            map_case(f, [special(rng, 60)], op, [special(rng, 60)], imm=imm, what=' special')
    pairs = [[v] * len(SPECIAL) for v in SPECIAL]
    for op in (1, 2, 3):
        map_case(0, pairs, op, [SPECIAL] * len(pairs), what=' all pairs')
        map_case(0, pairs, op, [SPECIAL], what=' all pairs')
        map_case(0, rows_of('wide', 2, 50), op, rows_of('wide', 2, 50), what=' wide')
        map_case(1, rows_of('near', 3, 11), op, rows_of('near', 3, 11), in_place='a')
        map_case(1, rows_of('near', 3, 11), op, rows_of('near', 3, 11), in_place='b')
    map_case(8, rows_of('near', 2, 300), in_place='a')
    map_case(0, rows_of('near', 1, 1))
    map_case(0, [special(rng, 30)])                     # NaNs become canonical
    for imm in ((NAN, ZERO), (INF, ZERO), (ZERO, INF | NEG), (hexf('0x1p-140'), 1)):
        map_case(0, [special(rng, 30) + wide(rng, 10)], affine=imm)
    for low, high in ((NEG, ZERO), (ZERO, NEG), (INF | NEG, INF), (ONE, ONE), (1, 2)):
        map_case(12, [x[:60] + wide(rng, 20)], imm=(low, high), what=' %08x %08x' % (low, high))
    for p, n in ((NAN, ZERO), (INF, NEG), (bits(-1.5), bits(3e38))):
        map_case(6, [x[:120]], imm=(p, n), what=' hostile')


# ---- ROPE ----

def rope_case(half_pairs, m, heads, dim, first, rot, pos=None, table=None, kind='near',
              in_place=False, style=None):
    c = Case(ROPE, half_pairs, style, heads=heads, head_dim=dim, first=first, rot=rot)
    c.place('x', rows_of(kind, m, heads * dim), heads * dim, by_rows=True)
    if in_place:
        c.share('dst', 'x')
    else:
        c.blank('dst', m, heads * dim)
    c.place('cs', rows_of('uniform' if kind == 'near' else kind, table or m, rot), rot,
            by_rows=True)
    if pos:
        c.place('pos', ids(pos), 1, I32, by_rows=True)
    return c.finish('%s %dx%dx%d at %d of %d%s%s %s' % (
        'halves' if half_pairs else 'pairs', m, heads, dim, first, rot, ' pos' if pos else '',
        ' in place' if in_place else '', kind))


def make_rope():
    for h in (0, 1):
        for m, heads, dim, first, rot in ((1, 1, 2, 0, 2), (3, 2, 8, 0, 8), (2, 3, 16, 0, 10),
                                          (1, 5, 7, 0, 6),
                                          (2, 1, 64, 0, 64), (1, 2, 40, 8, 32), (2, 3, 9, 1, 4),
                                          (1, 1, 6, 4, 2)):
            rope_case(h, m, heads, dim, first, rot)
            rope_case(h, m, heads, dim, first, rot, [rng.randrange(5) for _ in range(m)], 5)
        rope_case(h, 2, 3, 12, 2, 8, kind='special')
        rope_case(h, 3, 2, 12, 0, 12, kind='wide')
        rope_case(h, 2, 1, 5, 0, 2, table=7)
        rope_case(h, 3, 2, 10, 2, 6, [1, 1, 0], 2, in_place=True)
        rope_case(h, 9, 1, 4, 0, 4, list(range(8, -1, -1)), 9)


# ---- ATTEND ----

def pool(t, rows, cols, kind):
    """Keys or values as bytes."""
    if t == F32:
        return [struct.pack('<%dI' % cols, *draw(kind, cols)) for _ in range(rows)]
    if kind == 'special':
        return weights(t, rows, cols, 'special')
    out = []
    for _ in range(rows):
        if t == F16:
            out.append(struct.pack('<%dH' % cols, *[to_f16(v) for v in draw(kind, cols)]))
        else:
            out.append(b''.join(struct.pack('<H32b', to_f16(uniform(rng, 1, -0.02, 0.02)[0]),
                                            *[rng.randrange(-127, 128) for _ in range(32)])
                                for _ in range(cols // 32)))
    return out


def attend_case(heads, kv_heads, dk, dv, ranges, tk=F32, tv=F32, rows=None, pages=None,
                page_log2=0, seq=None,
                lists=False, scale=ONE, cap=ZERO, sinks=None, slopes=None, kind='uniform',
                v_in_k=None, what='', pokes=(), q=None, style=None):
    m = len(ranges)
    c = Case(ATTEND, int(lists), style, heads=heads, kv_heads=kv_heads, dk=dk, dv=dv,
             page_log2=page_log2, scale=scale, cap=cap)
    rows = rows or max(max(r) for r in ranges)
    c.place('q', q or rows_of(kind, m, heads * dk), heads * dk, by_rows=True)
    c.place('k', pool(tk, rows, kv_heads * dk, kind), kv_heads * dk, tk)
    if v_in_k is not None:
        k = c.tensors['k']
        v = copy.copy(k)
        v.offset += row_bytes(tk, v_in_k)
        v.cols = kv_heads * dv
        c.tensors['v'] = v
    else:
        c.place('v', pool(tv, rows, kv_heads * dv, kind), kv_heads * dv, tv)
    c.blank('dst', m, heads * dv)
    c.place('range', ranges, len(ranges[0]), I32, by_rows=True)
    if pages:
        c.place('pages', pages, len(pages[0]), I32, by_rows=True)
    if seq:
        c.place('seq', ids(seq), 1, I32, by_rows=True)
    for name, values in (('sinks', sinks), ('slopes', slopes)):
        if values:
            c.place(name, [values], heads, by_rows=True)
    for name, r, col, value in pokes:
        c.poke(name, r, col, value)
    return c.finish('%s/%s h%d/%d d%d/%d m%d%s%s%s%s%s%s%s%s' % (
        NAMES[tk], NAMES[tv], heads, kv_heads, dk, dv, m, ' pages' if pages else '', ' seq' if seq
                                                                 else '',
        ' list' if lists else '', ' sinks' if sinks else '', ' cap' if cap else '',
        ' slopes' if slopes else '', ' v in k' if v_in_k is not None else '', what))


def make_attend():
    causal = lambda m, pos: [[0, pos + i + 1] for i in range(m)]
    attend_case(1, 1, 1, 1, causal(1, 0))
    attend_case(2, 1, 8, 8, causal(1, 0), scale=bits(0.5))
    attend_case(4, 2, 16, 16, causal(3, 5), scale=bits(0.25))
    attend_case(6, 2, 9, 9, causal(1, 17), scale=bits(1 / 3))
    attend_case(2, 2, 5, 5, causal(17, 0), scale=bits(2.0))
    attend_case(3, 3, 8, 8, causal(2, 40), scale=bits(30.0), kind='near',
                what=' most weights underflow')
    attend_case(9, 1, 4, 4, causal(1, 7), scale=bits(-1.0))
    attend_case(2, 1, 4, 4, causal(2, 6), scale=ZERO)
    attend_case(1, 1, 3, 3, causal(1, 2), kind='wide')
    for scale in (INF, NAN, 0xff800001):
        attend_case(1, 1, 4, 4, causal(1, 3), scale=scale, what=' scale %08x' % scale)
    for value in (NAN, INF, INF | NEG, 0x7f812345):
        attend_case(1, 1, 4, 4, causal(2, 6), pokes=[('k', 1, 1, value)], what=' k %08x' % value)
        attend_case(1, 1, 4, 4, causal(2, 6), pokes=[('v', 1, 1, value)], what=' v %08x' % value)
        attend_case(1, 1, 4, 4, causal(2, 6), pokes=[('q', 1, 1, value)], what=' q %08x' % value)
    attend_case(2, 1, 4, 4, causal(3, 6), kind='special', what=' special')
    for tk in (F32, F16, Q8_0):
        for tv in (F32, F16, Q8_0):
            dk, dv = (32 if tk == Q8_0 else 12), (32 if tv == Q8_0 else 7)
            attend_case(4, 2, dk, dv, [[0, 5], [2, 11], [3, 3], [10, 12]], tk, tv, 12,
                        scale=bits(0.3))
            attend_case(2, 1, dk, dv, causal(2, 19), tk, tv, scale=bits(0.7), kind='near')
            attend_case(2, 2, dk, dv, causal(2, 4), tk, tv, kind='special', what=' special')
            attend_case(4, 2, dk, dv, [[0, 6], [3, 9], [0, 0]], tk, tv, 24,
                        [[2, 0, 5, -1], [4, 1, 3, 99]], 2,
                        [0, 1, 1], scale=bits(0.3), sinks=uniform(rng, 4),
                        slopes=uniform(rng, 4, -0.1, 0.1), cap=bits(3.0))
            attend_case(2, 1, dk, dv, [[3, -1, 0, 5], [-1, -1, -1, -1], [7, 6, 7, -9]], tk, tv, 8,
                        lists=True, scale=bits(0.3))
            attend_case(4, 1, dk, dv, causal(1, 69), tk, tv, scale=bits(0.3))
    for t in (F32,
              F16):            # every page_log2 that matters for a small pool; a page of one row
        for log2 in (0, 1, 3, 4):
            n = 4 if log2 < 3 else 2
            order = [[p for p in range(2 * n)] for _ in range(1)][0]
            rng.shuffle(order)
            attend_case(2, 2, 6, 6, [[0, n << log2], [1, (n << log2) - 1], [n << log2, n << log2]],
                        t, t, (2 * n << log2) + (1 if log2 else 0), [order[:n], order[n:]], log2,
                        [1, 0, 1], scale=bits(0.4))
        attend_case(2, 1, 6, 6, [[0, 3], [1, 3]], t, t, 8, [[1, -1], [0, 77]], 2, what=' no seq')
        attend_case(2, 1, 6, 6, [[4, 8], [5, 7]], t, t, 8, [[-5, 1], [77, 0]], 2, [0, 1],
                    what=' first pages unused')
    attend_case(2, 1, 4, 4, [[0, 4]] * 3, rows=4, seq=[0, 0, 0], what=' seq 0 without pages')
    attend_case(2, 1, 4, 4, [[0, 0], [4, 4], [9, 9], [2 ** 31 - 1, 2 ** 31 - 1]], rows=4,
                what=' nothing', sinks=uniform(rng, 2))
    # LIST: order, repeats, holes, pages and what the slopes make of it
    for t in (F32, F16):
        attend_case(4, 2, 6, 6, [[5, 2, -1, 2, 9], [-1, -1, 0, -1, -1], [9, 8, 7, 6, 5],
                                 [-1, -2, -3, -4, -5]],
                    t, t, 10, lists=True, slopes=uniform(rng, 4, -0.5, 0.5))
        attend_case(4, 2, 6, 6, [[5, 2, -1], [7, 0, 4], [-1, 6, 1]], t, t, 12, [[2, 0], [1, 2]], 2,
                    [1, 0, 1], lists=True, slopes=uniform(rng, 4, -0.5, 0.5), sinks=uniform(rng, 4),
                    cap=bits(2.0))
        attend_case(1, 1, 6, 6, [[3], [-1], [0]], t, t, 4, lists=True)
        attend_case(1, 1, 6, 6, [list(range(18, -1, -1))], t, t, 19, lists=True, kind='near')
    # v inside k, as where keys and values are one latent vector
    attend_case(4, 1, 24, 16, causal(2, 9), F32, F32, 11, v_in_k=0, scale=bits(0.3))
    attend_case(4, 1, 24, 16, causal(2, 9), F16, F16, 11, v_in_k=8, scale=bits(0.3))
    attend_case(4, 1, 96, 64, causal(2, 9), Q8_0, Q8_0, 11, v_in_k=32, scale=bits(0.05))
    attend_case(2, 1, 8, 1, causal(2, 3), F32, F32, 5, v_in_k=7)
    for dk, dv in ((1, 9), (9, 1), (3, 17), (40, 8)):
        attend_case(2, 1, dk, dv, causal(2, 9), F16, F16, scale=bits(0.3))
        attend_case(2, 1, dk, dv, causal(2, 9), scale=bits(0.3))
    for t in (F32, F16):
        attend_case(3, 1, 4, 4, causal(3, 9), t, t, sinks=[bits(5.0), bits(-5.0), ZERO],
                    what=' sinks alone')
        attend_case(6, 1, 4, 4, causal(2, 9), t, t, sinks=[NAN, INF, INF | NEG, NEG, 0xff800055,
                                                           bits(90.0)],
                    what=' hostile')
        attend_case(3, 1, 4, 4, causal(3, 9), t, t, slopes=[bits(-0.5), bits(0.5), ZERO])
        attend_case(5, 1, 4, 4, causal(2, 9), t, t, slopes=[NAN, INF, INF | NEG, NEG, bits(3e38)],
                    what=' hostile')
        for cap in (ONE, bits(0.01), bits(50.0), 1, INF, bits(3e38)):
            attend_case(2, 1, 4, 4, causal(2, 9), t, t, cap=cap, kind='near', what=' %08x' % cap)
        attend_case(2, 1, 4, 4, causal(1, 5), t, t, cap=NEG, what=' -0')
        # scores that are ties, and weights at the ends of what F16 has
        attend_case(1, 1, 1, 2, [[0, 30]], t, t, 30, scale=bits(-0.6), q=[[ONE]],
                    pokes=[] if t == F16 else [('k', i, 0, bits(i / 2.0)) for i in range(30)],
                    what=' long tail')
    attend_case(2, 1, 64, 40, [[0, 300], [3, 299]], F16, F16, 300, scale=bits(0.125), what=' long')
    attend_case(2, 1, 32, 32, [[0, 257]], Q8_0, Q8_0, 257, scale=bits(0.05), what=' long')
    attend_case(4, 2, 20, 12, [[0, 130], [0, 131]], F32, F32, 136,
                [list(rng.sample(range(17), 17))], 3, scale=bits(0.2), what=' long')
    # One element of q and k: the weights are exp() itself, rounded to F16 or not.
    for tv in (F32, F16):
        for x in (0.0, -3.25, -9.7, -16.6, -17.4, -60.0, -87.5, -104.0):
            attend_case(1, 1, 1, 1, [[0, 2]], F32, tv, 2, q=[[ONE]],
                        pokes=[('k', 0, 0, ZERO), ('k', 1, 0, bits(x))], what=' exp(%g)' % x)


# ---- TOPK ----

def topk_case(x, k, groups=1, used=1, flags=0, bias=None, ranges=None, floor=ZERO, scale=ONE,
              store='both', what='', style=None):
    m, n = len(x), len(x[0])
    c = Case(TOPK, flags, style, k=k, groups=groups, groups_used=used, floor=floor, scale=scale)
    c.place('x', x, n, by_rows=True)
    if store != 'values':
        c.blank('ids', m, k, I32)
    if store != 'ids':
        c.blank('values', m, k)
    if bias:
        c.place('bias', [bias], n, by_rows=True)
    if ranges:
        c.place('range', ranges, 2, I32, by_rows=True)
    return c.finish('%d of %dx%d groups %d/%d%s%s%s%s%s%s%s' % (
        k, m, n, used, groups, ' top2' if flags & 1 else '', ' renorm' if flags & 2 else '',
        ' by id' if flags & 4 else '', ' bias' if bias else '', ' range' if ranges else '',
        ' ' + store if store != 'both' else '', what))


def ties(m, n):
    return [[rng.choice((ZERO, NEG, ONE, neg(ONE), NAN, 0xffc01234, 0x7f800001, INF, INF | NEG, 1,
                         NEG | 1))
             for _ in range(n)] for _ in range(m)]


def make_topk():
    for flags in (0, 2, 4, 6):
        for m, n, k in ((1, 1, 1), (3, 8, 2), (2, 33, 33), (1, 100, 7), (2, 9, 4), (1, 600, 40)):
            topk_case(rows_of('uniform', m, n), k, flags=flags)
            topk_case(rows_of('uniform', m, n), k, flags=flags, bias=draw('uniform', n),
                      scale=bits(2.5))
        topk_case(ties(5, 16), 9, flags=flags, what=' ties')
        topk_case(ties(3, 16), 16, flags=flags, bias=ties(1, 16)[0], what=' ties')
        topk_case([[ZERO, NEG] * 4, [NEG, ZERO] * 4, [NAN] * 8, [0xffffffff] * 7 + [INF | NEG]], 5,
                  flags=flags, what=' zeros, NaNs')
        topk_case(rows_of('uniform', 6, 12), 4, flags=flags,
                  ranges=[[0, 12], [3, 7], [5, 7], [4, 4], [11, 12], [0, 0]])
        topk_case(ties(4, 12), 5, flags=flags, ranges=[[1, 12], [2, 6], [12, 12], [0, 3]],
                  bias=draw('near', 12), scale=bits(-2.0), what=' ties')
        for groups, used, n, k in ((4, 2, 16, 4), (2, 1, 16, 3), (8, 3, 32, 6), (4, 4, 12, 12),
                                   (5, 2, 5, 1), (4, 1, 16, 9), (3, 2, 9, 8)):
            for top2 in (0, 1):
                topk_case(rows_of('uniform', 3, n), k, groups, used, flags | top2)
                topk_case(rows_of('uniform', 2, n), k, groups, used, flags | top2,
                          bias=draw('uniform', n),
                          scale=bits(2.5), floor=bits(1e-20) if flags & 2 else ZERO)
                topk_case(ties(3, n), k, groups, used, flags | top2, what=' ties')
                topk_case(rows_of('special', 3, n), k, groups, used, flags | top2,
                          bias=draw('special', n), what=' special')
        for store in ('ids', 'values'):
            topk_case(rows_of('near', 2, 20), 5, flags=flags, store=store)
        topk_case(rows_of('wide', 2, 20), 5, flags=flags, scale=bits(1e10))
        for scale in (ZERO, NEG, NAN, INF, 1):
            topk_case(ties(1, 12), 6, flags=flags, scale=scale, what=' scale %08x' % scale)
    for floor in (NEG, ONE, bits(100.0), INF, 1, bits(6.103515625e-5)):
        topk_case(rows_of('uniform', 3, 10), 4, flags=2, floor=floor, what=' floor %08x' % floor)
        topk_case([[ZERO] * 10, [neg(ONE)] * 10, [INF | NEG] * 10, ties(1, 10)[0]], 4, flags=2,
                  floor=floor, what=' floor %08x' % floor)
        topk_case(rows_of('uniform', 2, 10), 4, flags=2, ranges=[[5, 5], [2, 4]], floor=floor,
                  what=' floor %08x' % floor)
    topk_case([[rng.choice(uniform(rng, 40)) for _ in range(3000)]], 64, what=' many')
    topk_case(ties(1, 1000), 300, flags=4, what=' many ties')
    # a pair of groups whose worths tie, and a sum of two that overflows
    topk_case([[ONE, ONE, bits(2.0), ZERO, bits(0.5), bits(1.5)]], 2, 3, 1, 1, what=' worths tie')
    topk_case([[0x7f7fffff, 0x7f7fffff, INF, INF | NEG, INF, ONE]], 4, 3, 2, 1,
              what=' worths overflow')


# ---- CONV ----

def conv_case(m, channels, taps, slots, pairs, kind='near', bias=False, in_place=False, what='',
              style=None):
    c = Case(CONV, 0, style)
    c.place('x', rows_of(kind, m, channels), channels, by_rows=True)
    if in_place:
        c.share('dst', 'x')
    else:
        c.blank('dst', m, channels)
    c.place('w', rows_of(kind, channels, taps), taps)
    if bias:
        c.place('bias', rows_of(kind, 1, channels), channels)
    c.place('state', rows_of(kind, slots, (taps - 1) * channels), (taps - 1) * channels)
    c.place('slot', pairs, 2, I32, by_rows=True)
    return c.finish('%dx%d %d taps%s%s %s%s' % (m, channels, taps, ' bias' if bias else '',
                                               ' in place' if in_place else '', kind, what))


SLOTS = ([[0, 0]], [[-1, 0]], [[0, -1]], [[-1, -1]], [[1, 2]],
         [[0, 0]] * 4,                                  # a prompt
         [[-1, 1], [1, 1], [1, 1]],                     # the same from its start
         [[0, 1], [1, 2], [2, 0], [1, -5]],             # each row leaves its own, one goes back
         [[0, 0], [1, 1], [2, 2], [0, 0], [1, 1]],      # sequences side by side
         [[-1, 2], [-1, 2], [2, -1], [2, 1]])


def make_conv():
    for n, pairs in enumerate(SLOTS):
        for taps, channels in ((4, 9), (2, 5)):
            conv_case(len(pairs), channels, taps, 3, pairs, bias=n % 2 == 0)
        conv_case(len(pairs), 4, 3, 3, pairs, 'special', n % 2 == 0)
        conv_case(len(pairs), 8, 4, 3, pairs, in_place=True)
    for taps in range(2, 17):
        conv_case(2, 3, taps, 1, [[0, 0]] * 2, bias=taps % 2 == 0)
    conv_case(1, 1, 2, 1, [[0, 0]])
    conv_case(3, 70, 4, 1, [[-1, 0], [0, 0], [0, 0]], bias=True)
    conv_case(2, 13, 4, 2, [[0, 1], [1, 0]], 'wide', True)


# ---- SCAN ----

def scan_case(kind, m, heads, groups, dk, dv, slots, pairs, per_element=False, d=False,
              draw_as='uniform', scale=None, in_place=False, what='', style=None):
    c = Case(SCAN, kind, style, heads=heads, groups=groups, dk=dk, dv=dv,
             scale=bits(0.35) if scale is None and kind else ONE if scale is None else scale)
    hostile = draw_as != 'uniform'
    c.place('v', rows_of(draw_as, m, heads * dv), heads * dv, by_rows=True)
    if in_place:
        c.share('dst', 'v')
    else:
        c.blank('dst', m, heads * dv)
    c.place('k', rows_of(draw_as, m, groups * dk), groups * dk, by_rows=True)
    c.place('q', rows_of(draw_as, m, groups * dk), groups * dk, by_rows=True)
    width = heads * dk if per_element else heads
    if hostile:
        g = rows_of(draw_as, m, width)
    else:
        g = [uniform(rng, width, -3, 0) if kind else uniform(rng, width, 0, 2) for _ in range(m)]
    c.place('g', g, width, by_rows=True)
    if kind:
        c.place('beta', rows_of(draw_as, m, heads) if hostile else
                [uniform(rng, heads, 0, 1) for _ in range(m)], heads, by_rows=True)
    else:
        c.place('a', [draw(draw_as, heads) if hostile else uniform(rng, heads, -4, 0)], heads,
                by_rows=True)
        if d:
            c.place('d', rows_of(draw_as, 1, heads), heads, by_rows=True)
    c.place('state', rows_of(draw_as, slots, heads * dv * dk), heads * dv * dk)
    c.place('slot', pairs, 2, I32, by_rows=True)
    return c.finish('%s m%d h%d/%d d%d/%d%s%s%s %s%s' % (
        'DELTA' if kind else 'SSM', m, heads, groups, dk, dv, ' g per element' if per_element
                                                         else '',
        ' D' if d else '', ' in place' if in_place else '', draw_as, what))


def make_scan():
    for kind, per_element, d in ((0, False, False), (0, False, True), (1, False, False),
                                 (1, True, False)):
        for pairs in SLOTS:
            scan_case(kind, len(pairs), 2, 1, 5, 3, 3, pairs, per_element, d)
        for heads, groups, dk, dv in ((1, 1, 1, 1), (4, 2, 8, 4), (3, 3, 9, 2), (2, 1, 16, 8),
                                      (1, 1, 17, 3),
                                      (6, 2, 1, 2), (1, 1, 64, 2), (2, 2, 3, 20), (2, 1, 128, 8)):
            scan_case(kind, 2, heads, groups, dk, dv, 1, [[0, 0]] * 2, per_element, d)
        scan_case(kind, 3, 2, 2, 6, 3, 2, [[0, 1], [-1, 0], [1, 1]], per_element, d, in_place=True)
        for name in ('special', 'wide', 'near'):
            scan_case(kind, 3, 2, 1, 9, 2, 2, [[0, 0], [0, 1], [1, -1]], per_element, d, name)
    for scale in (ZERO, NEG, ONE, INF, 0xff80abcd):
        scan_case(1, 1, 2, 1, 5, 3, 1, [[0, 0]], scale=scale, what=' %08x' % scale)


# ---- what moves bytes, and nothing ----

def make_rest():
    Case(NOP).finish('')
    for size in (1, 2, 3, 7, 8, 63, 64, 65, 1000):
        c = Case(COPY, size=size).bytes_at('src', size).bytes_at('dst', size)
        c.finish('%d bytes' % size)
    c = Case(COPY, size=40).bytes_at('dst', 80)
    c.fields['src'] = c.fields['dst'] + 40
    c.pointers.append('src')
    c.finish('of what is next to it')
    Case(PREFETCH, size=100).bytes_at('va', 100).finish('')
    Case(PREFETCH, size=1).bytes_at('va', 1).finish('a byte')
    for value in (0, 1, 0x123456789abcdef, (1 << 64) - 1):
        Case(SIGNAL, value=value).bytes_at('va', 8, 8).finish('%x' % value)
    for value in (0, 5, 1 << 63):
        c = Case(WAIT, value=value).bytes_at('va', 8, 8)
        c.image[c.fields['va']:c.fields['va'] + 8] = struct.pack('<Q', value + (value == 5))
        c.finish('for %x' % value)


# ---- rows in effect ----

def make_dyn():
    for style in ('dyn',) * 3:
        move_case(F32, F16, 3, 9, 'normal', style=style)
        move_case(Q4_0, F32, 3, 32, 'normal', src_ids=[4, 0, -1], src_rows=5, style=style)
        matmul_case(F32, 3, 4, 9, 'normal', 'normal', old=True, style=style)
        matmul_case(Q8_0, 2, 4, 64, 'normal', 'normal', sel=[[1, -1], [0, 1]], planes=2,
                    style=style)
        row_case(isa.RMS, rows_of('near', 3, 9), 1, ONE, near(rng, 9), style=style)
        row_case(isa.SUM, rows_of('near', 3, 9), 3, style=style)
        map_case(1, rows_of('near', 3, 9), 2, rows_of('near', 1, 9), style=style)
        map_case(1, rows_of('near', 3, 9), 1, rows_of('near', 3, 1), style=style)
        rope_case(1, 3, 1, 8, 0, 8, [2, 0, 1], 3, style=style)
        rope_case(0, 3, 1, 8, 0, 8, in_place=True, style=style)
        attend_case(2, 1, 4, 4, [[0, 2], [1, 4], [0, 5]], F16, F16, 8, [[1, 0], [0, 1]], 2,
                    [0, 1, 1], style=style)
        topk_case(rows_of('uniform', 3, 9), 3, bias=draw('near', 9),
                  ranges=[[0, 9], [3, 5], [1, 9]], style=style)
        conv_case(3, 5, 4, 2, [[0, 1], [1, 0], [0, 0]], style=style)
        scan_case(0, 3, 2, 1, 5, 3, 2, [[0, 1], [1, 0], [0, 0]], d=True, style=style)
        scan_case(1, 3, 2, 1, 5, 3, 2, [[0, 1], [1, 0], [0, 0]], style=style)


# ---- the functions themselves ----

def function_case(name, op, x, *outputs):
    """x, then room for each output, one after the other."""
    image, where = struct.pack('<%dI' % len(x), *x), []
    for data in outputs:
        image = padded(image, 64)
        where.append((len(image), data))
        image += bytes([FILL] * len(data))
    emit(name, op, OK, b'', [], [len(x)], image, where)


def make_functions():
    x = arguments(rng) + uniform(rng, 600, -100, 100) + uniform(rng, 400) + uniform(rng, 200, -12,
                                                                                    12)
    pack = lambda values: struct.pack('<%dI' % len(values), *values)
    for name, op, f in (('exp', FUNCTION_EXP, exp), ('expm1', FUNCTION_EXPM1, expm1),
                        ('tanh', FUNCTION_TANH, tanh)):
        function_case(name, op, x, pack([f(v) for v in x]))
    u = [v & 0x7fffffff for v in x if v & 0x7fffffff <= ONE] + uniform(rng, 300, 0, 1)
    function_case('log1p', FUNCTION_LOG1P, u, pack([log1p(v) for v in u]))
    x = arguments(rng) + wide(rng, 300)
    x += [b << 13 | 0x1000 | s for b in range(0x1c000 - 0x20, 0x1c000 + 0x20) for s in (0, NEG)]
    x += [b << 16 | 0x8000 for b in range(0x3f00, 0x3f20)] + [0x7f7f8000, 0x7f7f7fff, 0x477fefff,
                                                              0x477ff000,
                                                              0x33000000, 0x33000001, 0x33800000,
                                                              0x32ffffff]
    function_case('round to F16', FUNCTION_F16, x, struct.pack('<%dH' % len(x),
                                                               *[to_f16(v) for v in x]))
    function_case('round to BF16', FUNCTION_BF16, x, struct.pack('<%dH' % len(x),
                                                                 *[to_bf16(v) for v in x]))
    for kind in KINDS:
        for k in (32, 256):
            x = activations(kind, k)
            d, xs, q = quantize(x)
            function_case('quantise %d %s' % (k, kind), FUNCTION_QUANTIZE, x, pack(d), pack(xs),
                          bytes(v & 255 for v in q))


def make():
    for one in (make_functions, make_move, make_matmul, make_row, make_map, make_rope, make_attend,
                make_topk, make_conv, make_scan, make_rest, make_dyn):
        one()


def golden():
    """(number of cases, the file)"""
    body = b''.join(cases)
    return len(cases), b'OCTGOLD2' + struct.pack('<II', len(cases), len(body)) + body
