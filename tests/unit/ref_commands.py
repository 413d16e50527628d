# SPDX-License-Identifier: MIT
"""Documentation/hardware/commands.rst once more: checks and executes one command.

Written from the manual alone, with the arithmetic of ref_numerics.py.  A command is
bytes, memory is bytes at some base; execute() says how it ended and what was written.
"""
import struct

from ref_numerics import (
    BF16, BLOCK, F16, F32, I32, INF, MAP, NEG, ONE, Q8_0, WEIGHTS, ZERO, add, align, bf16, div, dot8,
    dot_row, exp, f16, fma, from_int, greater, is_nan, largest, mul, narrow, neg, order, quantize,
    row_bytes, sqrt, sub, sum8, tanh, to_bf16, to_f16, widen, words)

NOP, MOVE, MATMUL, ROW, OP_MAP, ROPE, ATTEND, TOPK, CONV, SCAN, COPY, PREFETCH, SIGNAL, WAIT = \
    range(14)
OP_NAMES = ('NOP', 'MOVE', 'MATMUL', 'ROW', 'MAP', 'ROPE', 'ATTEND', 'TOPK', 'CONV', 'SCAN', 'COPY',
            'PREFETCH', 'SIGNAL', 'WAIT')
OK, BAD_CMD = 0, 2

MAX_ROWS, MAX_COLS, MAX_TOKENS = 1 << 24, 1 << 20, 65536
MAX_CTX = 131072
LIMIT = 1 << 48

# opcode: the tensors in order with their types (none: F32; ?: may be absent), then the fields
OPS = {
    NOP: ('', '', ''),
    MOVE: ('dst:moved src:any dst_ids:id? src_ids:id? scale?', '', ''),
    MATMUL: ('dst x w:weight bias? sel:id?', 'QII', 'plane_stride planes reserved'),
    ROW: ('dst x w? bias?', 'IIQ', 'groups eps reserved'),
    OP_MAP: ('dst a b?', 'IIII', 'imm0 imm1 imm2 imm3'),
    ROPE: ('dst x cs pos:id?', 'IIII', 'heads head_dim first rot'),
    ATTEND: ('dst q k:pool v:pool pages:id? seq:id? range:id sinks? slopes?', 'IIIIIIII',
             'heads kv_heads dk dv page_log2 reserved scale cap'),
    TOPK: ('ids:id? values? x bias? range:id?', 'IIIIIIII',
           'k groups groups_used floor scale reserved reserved1 reserved2'),
    CONV: ('dst x w bias? state slot:id', '', ''),
    SCAN: ('dst v k q g beta? a? d? state slot:id', 'IIIIIIII',
           'heads groups dk dv scale reserved reserved1 reserved2'),
    COPY: ('', 'QQQQ', 'dst src size reserved'),
    PREFETCH: ('', 'QQ', 'va size'),
    SIGNAL: ('', 'QQ', 'va value'),
    WAIT: ('', 'QQ', 'va value'),
}
TYPES = {'': (F32,), 'id': (I32,), 'weight': WEIGHTS, 'pool': (F32, F16, Q8_0),
         'moved': (F32, F16, BF16, Q8_0, I32), 'any': WEIGHTS + (I32,)}


def tensors_of(op):
    """(name, types, optional) of each tensor of a command, in order."""
    out = []
    for text in OPS[op][0].split():
        name, _, types = text.rstrip('?').partition(':')
        out.append((name, TYPES[types], text.endswith('?')))
    return out


def fields_of(op):
    """(format, names) of what follows the tensors."""
    return '<' + OPS[op][1], OPS[op][2].split()


def size_of(op):
    return 16 + 32 * len(tensors_of(op)) + struct.calcsize(fields_of(op)[0])


class Bad(Exception):
    pass


def need(good, why):
    if not good:
        raise Bad(why)


class Memory:
    def __init__(self, base, image):
        self.base, self.bytes, self.written = base, bytearray(image), []

    def at(self, va, size):
        assert self.base <= va and va + size <= self.base + len(self.bytes), 'outside of the image'
        return va - self.base

    def load(self, va, size):
        at = self.at(va, size)
        return bytes(self.bytes[at:at + size])

    def store(self, va, data):
        at = self.at(va, len(data))
        self.bytes[at:at + len(data)] = data
        self.written.append((at, len(data)))


class Tensor:
    """A descriptor, and what it is in effect once the parameters are known."""

    def __init__(self, raw):
        self.va, self.stride, self.rows, self.cols, self.type, self.dyn = struct.unpack('<QQIIII',
                                                                                        raw)

    def check(self, types):
        need(self.type in types, 'type')
        unit = align(self.type)
        need(1 <= self.rows <= MAX_ROWS and 1 <= self.cols <= MAX_COLS, 'rows or cols')
        need(self.cols % BLOCK[self.type][0] == 0, 'cols are not whole blocks')
        self.row = row_bytes(self.type, self.cols)
        need(self.va % unit == 0, 'address')
        if self.rows > 1:
            need(self.stride % unit == 0 and self.stride >= self.row, 'stride')
        need(self.va + (self.rows - 1) * self.stride + self.row <= LIMIT, 'extent')
        need(not self.dyn >> 16, 'dyn')

    def settle(self, params):
        rows, first = self.dyn & 255, self.dyn >> 8 & 255
        need(rows <= len(params) and first <= len(params), 'no such parameter')
        start = params[first - 1] if first else 0
        count = params[rows - 1] if rows else self.rows - start
        need(count >= 0 and start + count <= self.rows, 'rows in effect')
        self.start, self.m = start, count

    def is_shape(self, m, n):
        return self.m == m and self.cols == n

    def address(self, r):
        assert 0 <= r < self.m
        r += self.start
        return self.va + (r * self.stride if r else 0)


class Command:
    """One command that is being executed: c.x is tensor or field x."""

    def __init__(self, raw, params, memory):
        self.memory, self.skipped = memory, False
        need(len(raw) >= 16, 'size')
        self.op, self.flags, size, reserved = struct.unpack_from('<HHIQ', raw)
        need(self.op in OPS, 'opcode')
        need(size == size_of(self.op) and len(raw) >= size, 'size')
        need(reserved == 0, 'reserved')
        self.check_flags()
        at, present = 16, []
        for name, types, optional in tensors_of(self.op):
            piece = raw[at:at + 32]
            at += 32
            if optional and not any(piece):
                setattr(self, name, None)
                continue
            t = Tensor(piece)
            t.check(types)
            setattr(self, name, t)
            present.append(t)
        form, names = fields_of(self.op)
        for name, value in zip(names, struct.unpack_from(form, raw, at)):
            setattr(self, name, value)
        for t in present:
            t.settle(params)
        self.skipped = any(not t.m for t in present)

    def check_flags(self):
        f = self.flags
        need({MOVE: f <= 1, MATMUL: f <= 3, ROW: f <= 4, ROPE: f <= 1, ATTEND: f <= 1, TOPK: f <= 7,
              SCAN: f <= 1, SIGNAL: f <= 2,
              OP_MAP: not f & 0x7c00 and f & 255 < len(MAP)}.get(self.op,
                                                                                    f == 0),
             'flags')

    def load(self, t, r):
        return self.memory.load(t.address(r), t.row)

    def f32(self, t, r):
        return words(self.load(t, r))

    def i32(self, t, r):
        return list(struct.unpack('<%di' % t.cols, self.load(t, r)))

    def column(self, t):
        return [self.i32(t, r)[0] for r in range(t.m)]

    def store(self, t, r, values):
        self.memory.store(t.address(r), narrow(t.type, values))

    def store_ids(self, t, r, values):
        self.memory.store(t.address(r), struct.pack('<%di' % len(values), *values))


def number_not_negative(b):
    return not is_nan(b) and (not b >> 31 or b == NEG)


# ---- one function for each command: check, read control operands, compute ----

def move(c):
    same = c.dst.type == c.src.type
    ints = I32 in (c.dst.type, c.src.type)
    need(not ints or (same and not c.scale), 'I32')
    need(not c.flags or c.dst.type == F32, 'ADD')
    need(c.dst.cols == c.src.cols, 'cols')
    m = (c.dst_ids or c.src_ids or c.src).m
    for t in (c.dst_ids, c.src_ids, c.scale):
        need(not t or t.is_shape(m, 1), 'ids or scale')
    need(c.dst_ids or c.dst.m == m, 'rows of dst')
    need(c.src_ids or c.src.m == m, 'rows of src')
    to = c.column(c.dst_ids) if c.dst_ids else range(m)
    of = c.column(c.src_ids) if c.src_ids else range(m)
    need(all(i < c.dst.m for i in to) and all(i < c.src.m for i in of), 'ids')
    for i in range(m):
        if to[i] < 0 or of[i] < 0:
            continue
        row = c.load(c.src, of[i])
        if same and not c.scale and not c.flags:
            c.memory.store(c.dst.address(to[i]), row)
            continue
        v = widen(c.src.type, row)
        if c.scale:
            s = c.f32(c.scale, i)[0]
            v = [mul(s, u) for u in v]
        if c.flags:
            v = [add(o, u) for o, u in zip(c.f32(c.dst, to[i]), v)]
        c.store(c.dst, to[i], v)


def matmul(c):
    t, m, n, k = c.w.type, c.x.m, c.w.rows, c.w.cols
    s = c.sel.cols if c.sel else 1
    need(c.reserved == 0, 'reserved')
    need(m <= MAX_TOKENS and s <= 65536 and m * s <= 1 << 24, 'limits')
    need(not c.flags & 2 or t in (F16, BF16), 'X16')
    need(not c.w.dyn and not (c.bias and c.bias.dyn), 'dyn')
    need(c.x.cols == k and c.dst.is_shape(m * s, n), 'shapes')
    need(1 <= c.planes <= 65536 and (c.sel or c.planes == 1), 'planes')
    need(not c.sel or c.sel.m == m, 'rows of sel')
    need(not c.bias or c.bias.is_shape(c.planes, n), 'bias')
    plane = (n - 1) * c.w.stride + c.w.row
    if c.planes == 1:
        need(c.plane_stride == 0, 'plane_stride')
    else:
        need(c.plane_stride % align(t) == 0 and c.plane_stride >= plane,
             'plane_stride')
    need(c.w.va + (c.planes - 1) * c.plane_stride + plane <= LIMIT, 'extent of the planes')
    sel = [c.i32(c.sel, i) for i in range(m)] if c.sel else [[0]] * m
    need(all(p < c.planes for row in sel for p in row), 'sel')
    for i in range(m):
        x = c.f32(c.x, i)
        if c.flags & 2:
            x = [f16(to_f16(v)) if t == F16 else bf16(to_bf16(v)) for v in x]
        quantized = None if t in (F32, F16, BF16) else quantize(x)
        for j, p in enumerate(sel[i]):
            if p < 0:
                continue
            out, bias = [], c.f32(c.bias, p) if c.bias else None
            for r in range(n):
                va = c.w.va + p * c.plane_stride + (r * c.w.stride if r else 0)
                acc = dot_row(t, c.memory.load(va, c.w.row), x, quantized)
                out.append(add(acc, bias[r]) if bias else acc)
            if c.flags & 1:
                out = [add(o, v) for o, v in zip(c.f32(c.dst, i * s + j), out)]
            c.store(c.dst, i * s + j, out)


RMS, LAYER, L2, SOFTMAX, SUM = range(5)


def normalised(kind, x, eps):
    n = from_int(len(x))
    if kind == LAYER:
        mean = div(sum8(x), n)
        x = [sub(v, mean) for v in x]
    if kind == SOFTMAX:
        m = largest([INF | NEG] + x)
        x = [exp(sub(v, m)) for v in x]
        r = div(ONE, sum8(x))
    else:
        square = dot8(x, x)
        r = div(ONE, sqrt(add(square if kind == L2 else div(square, n), eps)))
    return [mul(v, r) for v in x]


def row(c):
    kind, m, n = c.flags, c.x.m, c.x.cols
    need(c.reserved == 0 and m <= MAX_TOKENS, 'reserved or limits')
    need(1 <= c.groups <= n and n % c.groups == 0, 'groups')
    need(number_not_negative(c.eps), 'eps')
    need(kind < SOFTMAX or (c.eps == 0 and not c.w and not c.bias),
         'SOFTMAX and SUM have none of these')
    each = n // c.groups
    need(c.dst.is_shape(m, c.groups if kind == SUM else n), 'dst')
    for t in (c.w, c.bias):
        need(not t or t.is_shape(1, n) or t.is_shape(1, each), 'w or bias')
    for i in range(m):
        x, y = c.f32(c.x, i), []
        for at in range(0, n, each):
            if kind == SUM:
                y.append(sum8(x[at:at + each]))
            else:
                y += normalised(kind, x[at:at + each], c.eps)
        for t, op in ((c.w, mul), (c.bias, add)):
            if t:
                u = c.f32(t, 0)
                y = [op(v, u[j % len(u)]) for j, v in enumerate(y)]
        c.store(c.dst, i, y)


def elements(c):
    f, op, affine = c.flags & 255, c.flags >> 8 & 3, c.flags >> 15
    _, takes, function = MAP[f]
    m, n = c.a.m, c.a.cols
    need(affine or (c.imm0 == 0 and c.imm1 == 0), 'imm of AFFINE')
    need(takes or (c.imm2 == 0 and c.imm3 == 0), 'imm of the function')
    if MAP[f][0] == 'CLAMP':
        need(not is_nan(c.imm2) and not is_nan(c.imm3) and order(c.imm2) <= order(c.imm3),
             'low, high')
    need(c.dst.is_shape(m, n), 'dst')
    need(bool(c.b) == bool(op), 'b')
    need(not c.b or (c.b.m in (1, m) and c.b.cols in (1, n)), 'shape of b')
    for i in range(m):
        t = c.f32(c.a, i)
        if affine:
            t = [add(mul(v, c.imm0), c.imm1) for v in t]
        y = [function(v, c.imm2, c.imm3) for v in t]
        if op:
            b = c.f32(c.b, i if c.b.m == m else 0)
            y = [(add, mul, div)[op - 1](v, b[j if c.b.cols == n else 0]) for j, v in enumerate(y)]
        c.store(c.dst, i, y)


def rope(c):
    m = c.x.m
    need(m <= MAX_TOKENS and 1 <= c.heads <= 1024 and 1 <= c.head_dim <= 1024, 'limits')
    need(c.rot >= 2 and c.rot % 2 == 0 and c.first + c.rot <= c.head_dim, 'first or rot')
    need(c.x.cols == c.heads * c.head_dim and c.dst.is_shape(m, c.x.cols) and c.cs.cols == c.rot,
         'shapes')
    need(not c.pos or c.pos.is_shape(m, 1), 'pos')
    pos = c.column(c.pos) if c.pos else range(m)
    need(all(0 <= p < c.cs.m for p in pos), 'position')
    for i in range(m):
        x, cs = c.f32(c.x, i), c.f32(c.cs, pos[i])
        y = list(x)
        for h in range(c.heads):
            for j in range(c.rot // 2):
                at = h * c.head_dim + c.first + (j if c.flags else 2 * j)
                other = at + (c.rot // 2 if c.flags else 1)
                a, b, cosine, sine = x[at], x[other], cs[j], cs[c.rot // 2 + j]
                y[at] = fma(a, cosine, neg(mul(b, sine)))
                y[other] = fma(a, sine, mul(b, cosine))
        c.store(c.dst, i, y)


def positions(c, i):
    """(position, row of the pools) of everything that row i attends to."""
    sequence = c.i32(c.seq, i)[0] if c.seq else 0
    need(0 <= sequence < (c.pages.m if c.pages else 1), 'sequence')
    r = c.i32(c.range, i)
    if c.flags:
        t = [p for p in r if p >= 0]
    else:
        need(0 <= r[0] <= r[1], 'range')
        need(r[1] - r[0] <= MAX_CTX, 'range is too long')
        t = range(r[0], r[1])
    need(len(t) <= MAX_CTX, 'list is too long')
    if not t:
        return []
    if not c.pages:
        need(max(t) < c.k.rows, 'position')
        return [(p, p) for p in t]
    mask = (1 << c.page_log2) - 1
    need(max(t) >> c.page_log2 < c.pages.cols, 'position has no page')
    pages = c.i32(c.pages, sequence)
    for p in set(p >> c.page_log2 for p in t):
        need(0 <= pages[p] and pages[p] + 1 << c.page_log2 <= c.k.rows, 'page')
    return [(p, pages[p >> c.page_log2] << c.page_log2 | p & mask) for p in t]


def operands(t, data):
    """Keys or values as they are multiplied."""
    v = widen(t, data)
    return v if t == F32 else [f16(to_f16(u)) for u in v]


def attend(c):
    m = c.q.m
    need(c.reserved == 0 and m <= MAX_TOKENS, 'reserved or limits')
    need(1 <= c.heads <= 1024 and c.kv_heads >= 1 and c.heads % c.kv_heads == 0, 'heads')
    need(1 <= c.dk <= 1024 and 1 <= c.dv <= 1024, 'dk or dv')
    need(c.page_log2 <= 16 and (c.pages or c.page_log2 == 0), 'page_log2')
    need(number_not_negative(c.cap), 'cap')
    need(c.q.cols == c.heads * c.dk and c.dst.is_shape(m, c.heads * c.dv), 'shapes of q and dst')
    need(c.k.cols == c.kv_heads * c.dk and c.v.cols == c.kv_heads * c.dv, 'shapes of k and v')
    need(c.k.rows == c.v.rows and not c.k.dyn and not c.v.dyn, 'rows of k and v')
    need(c.k.type != Q8_0 or c.dk % 32 == 0, 'dk')
    need(c.v.type != Q8_0 or c.dv % 32 == 0, 'dv')
    need(not c.seq or c.seq.is_shape(m, 1), 'seq')
    need(c.range.m == m and (c.flags or c.range.cols == 2), 'range')
    for t in (c.sinks, c.slopes):
        need(not t or t.is_shape(1, c.heads), 'sinks or slopes')
    where = [positions(c, i) for i in range(m)]
    sinks, slopes = c.sinks and c.f32(c.sinks, 0), c.slopes and c.f32(c.slopes, 0)
    narrow_e = (lambda v: v) if c.v.type == F32 else (lambda v: f16(to_f16(v)))
    for i in range(m):
        q, out = c.f32(c.q, i), []
        if c.k.type != F32:
            q = [f16(to_f16(v)) for v in q]
        k = [operands(c.k.type, c.load(c.k, r)) for _, r in where[i]]
        v = [operands(c.v.type, c.load(c.v, r)) for _, r in where[i]]
        t = [p for p, _ in where[i]]
        for h in range(c.heads):
            if not t:
                out += [ZERO] * c.dv
                continue
            g = h // (c.heads // c.kv_heads)
            mine = q[h * c.dk:(h + 1) * c.dk]
            s = [mul(dot8(mine, u[g * c.dk:(g + 1) * c.dk]), c.scale) for u in k]
            if c.cap & 0x7fffffff:
                s = [mul(c.cap, tanh(div(u, c.cap))) for u in s]
            if slopes:
                s = [fma(slopes[h], from_int(p - t[-1]), u) for p, u in zip(t, s)]
            most = largest([sinks[h] if sinks else INF | NEG] + s)
            e = [narrow_e(exp(sub(u, most))) for u in s]
            total = sum8(e)
            if sinks:
                total = add(total, exp(sub(sinks[h], most)))
            inverse = div(ONE, total)
            for d in range(g * c.dv, (g + 1) * c.dv):
                acc = ZERO
                for weight, u in zip(e, v):
                    acc = fma(weight, u[d], acc)
                out.append(mul(acc, inverse))
        c.store(c.dst, i, out)


def ranked(keys, columns):
    """Columns in the order of TOPK: NaNs last, larger keys first, then smaller columns."""
    return sorted(columns, key=lambda a: (1, 0, a) if is_nan(keys[a]) else (0, -order(keys[a]), a))


def topk(c):
    m, n = c.x.m, c.x.cols
    top2, renorm, by_id = c.flags & 1, c.flags & 2, c.flags & 4
    need(not c.reserved and not c.reserved1 and not c.reserved2 and m <= MAX_TOKENS,
         'reserved or limits')
    need(c.ids or c.values, 'nothing to store')
    need(1 <= c.k <= n and c.k <= 4096, 'k')
    need(1 <= c.groups <= n and n % c.groups == 0 and 1 <= c.groups_used <= c.groups, 'groups')
    need(number_not_negative(c.floor) and (renorm or c.floor == 0), 'floor')
    need(not top2 or c.groups > 1, 'GROUP_TOP2')
    need(not c.range or c.groups == 1, 'range')
    for t in (c.ids, c.values):
        need(not t or t.is_shape(m, c.k), 'ids or values')
    need(not c.bias or c.bias.is_shape(1, n), 'bias')
    need(not c.range or c.range.is_shape(m, 2), 'shape of range')
    ranges = [c.i32(c.range, i) for i in range(m)] if c.range else [[0, n]] * m
    need(all(0 <= a <= b <= n for a, b in ranges), 'range')
    bias = c.bias and c.f32(c.bias, 0)
    for i in range(m):
        x = c.f32(c.x, i)
        keys = [add(v, u) for v, u in zip(x, bias)] if bias else x
        columns = range(*ranges[i])
        if c.groups > 1:
            each, worth = n // c.groups, []
            for g in range(c.groups):
                best = ranked(keys, range(g * each, (g + 1) * each))
                worth.append(add(keys[best[0]], keys[best[1]]) if top2 and each > 1
                             else keys[best[0]])
            columns = [a for g in ranked(worth, range(c.groups))[:c.groups_used]
                       for a in range(g * each, (g + 1) * each)]
        found = ranked(keys, columns)[:c.k]
        values = {a: x[a] for a in found}
        if renorm:
            total = ZERO
            for a in found:
                total = add(total, x[a])
            if greater(c.floor, total):
                total = c.floor
            values = {a: div(x[a], total) for a in found}
        if by_id:
            found.sort()
        missing = c.k - len(found)
        if c.ids:
            c.store_ids(c.ids, i, found + [-1] * missing)
        if c.values:
            c.store(c.values, i, [mul(values[a], c.scale) for a in found] + [ZERO] * missing)


def slots(c, m):
    need(c.slot.is_shape(m, 2), 'slot')
    out = [c.i32(c.slot, i) for i in range(m)]
    need(all(s < c.state.rows for pair in out for s in pair), 'slot')
    return out


def conv(c):
    m, channels, taps = c.x.m, c.x.cols, c.w.cols
    need(m <= MAX_TOKENS and 2 <= taps <= 16, 'limits')
    need(c.dst.is_shape(m, channels) and c.w.m == channels, 'shapes')
    need(not c.bias or c.bias.is_shape(1, channels), 'bias')
    need(not c.state.dyn and c.state.cols == (taps - 1) * channels, 'state')
    w = None
    for i, (source, target) in enumerate(slots(c, m)):
        w = w or [c.f32(c.w, j) for j in range(channels)]
        x = c.f32(c.x, i)
        history = c.f32(c.state, source) if source >= 0 else [ZERO] * c.state.cols
        history, y = history + x, []
        for j in range(channels):
            acc = ZERO
            for tap in range(taps):
                acc = fma(w[j][tap], history[tap * channels + j], acc)
            y.append(acc)
        if c.bias:
            y = [add(v, u) for v, u in zip(y, c.f32(c.bias, 0))]
        if target >= 0:
            c.store(c.state, target, history[channels:])
        c.store(c.dst, i, y)


def scan(c):
    m, delta, dk, dv = c.v.m, c.flags, c.dk, c.dv
    need(not c.reserved and not c.reserved1 and not c.reserved2 and m <= MAX_TOKENS,
         'reserved or limits')
    need(1 <= c.heads <= 1024 and c.groups >= 1 and c.heads % c.groups == 0, 'heads')
    need(1 <= dk <= 1024 and 1 <= dv <= 1024 and c.heads * dv * dk <= 1 << 20, 'dk or dv')
    need(c.dst.is_shape(m, c.heads * dv) and c.v.cols == c.heads * dv, 'dst or v')
    need(c.k.is_shape(m, c.groups * dk) and c.q.is_shape(m, c.groups * dk), 'k or q')
    if delta:
        need(c.beta and c.beta.is_shape(m, c.heads) and not c.a and not c.d, 'DELTA')
        need(c.g.is_shape(m, c.heads) or c.g.is_shape(m, c.heads * dk), 'g')
    else:
        need(not c.beta and c.a and c.a.is_shape(1, c.heads), 'SSM')
        need(not c.d or c.d.is_shape(1, c.heads), 'd')
        need(c.g.is_shape(m, c.heads) and c.scale == ONE, 'g or scale')
    need(not c.state.dyn and c.state.cols == c.heads * dv * dk, 'state')
    for i, (source, target) in enumerate(slots(c, m)):
        state = c.f32(c.state, source) if source >= 0 else [ZERO] * c.state.cols
        v, g, y = c.f32(c.v, i), c.f32(c.g, i), []
        all_k, all_q = c.f32(c.k, i), c.f32(c.q, i)
        for h in range(c.heads):
            group = h // (c.heads // c.groups) * dk
            k, q = all_k[group:group + dk], all_q[group:group + dk]
            if delta:
                decay = [exp(u) for u in (g[h * dk:(h + 1) * dk] if c.g.cols != c.heads
                                          else [g[h]] * dk)]
                beta = c.f32(c.beta, i)[h]
            else:
                a = exp(mul(g[h], c.f32(c.a, 0)[h]))
            for d in range(dv):
                at = (h * dv + d) * dk
                s = state[at:at + dk]
                if delta:
                    s = [mul(u, w) for u, w in zip(s, decay)]
                    u = mul(sub(v[h * dv + d], dot8(s, k)), beta)
                    s = [fma(u, kj, sj) for kj, sj in zip(k, s)]
                    y.append(mul(dot8(s, q), c.scale))
                else:
                    u = mul(v[h * dv + d], g[h])
                    s = [fma(sj, a, mul(u, kj)) for kj, sj in zip(k, s)]
                    o = dot8(s, q)
                    y.append(fma(c.f32(c.d, 0)[h], v[h * dv + d], o) if c.d else o)
                state[at:at + dk] = s
        if target >= 0:
            c.store(c.state, target, state)
        c.store(c.dst, i, y)


def copy(c):
    need(c.reserved == 0 and 1 <= c.size <= 1 << 40, 'reserved or size')
    need(c.dst + c.size <= LIMIT and c.src + c.size <= LIMIT, 'extent')
    need(c.dst + c.size <= c.src or c.src + c.size <= c.dst, 'overlap')
    c.memory.store(c.dst, c.memory.load(c.src, c.size))


def prefetch(c):
    need(1 <= c.size <= 1 << 40 and c.va + c.size <= LIMIT, 'extent')


def signal(c):
    need(c.va % 8 == 0 and (not c.flags or not c.value), 'va or value')
    assert not c.flags, 'not known here'
    c.memory.store(c.va, struct.pack('<Q', c.value))


def wait(c):
    need(c.va % 8 == 0, 'va')
    assert struct.unpack('<Q', c.memory.load(c.va, 8))[0] >= c.value, 'would wait'


RUN = {NOP: lambda c: None, MOVE: move, MATMUL: matmul, ROW: row, OP_MAP: elements, ROPE: rope,
       ATTEND: attend, TOPK: topk, CONV: conv, SCAN: scan, COPY: copy, PREFETCH: prefetch,
       SIGNAL: signal,
       WAIT: wait}


def execute(raw, params, base, image):
    """(status, memory after, [(offset, bytes)] written, why it was refused)"""
    memory = Memory(base, image)
    try:
        c = Command(raw, params, memory)
        if not c.skipped:
            RUN[c.op](c)
    except Bad as why:
        assert not memory.written
        return BAD_CMD, memory.bytes, [], str(why)
    return OK, memory.bytes, memory.written, 'skipped' if c.skipped else ''
