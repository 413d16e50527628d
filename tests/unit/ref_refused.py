# SPDX-License-Identifier: MIT
"""Commands that are refused or skipped, for the golden file.

A small command of each kind, with all its tensors, of which one thing is changed at a time.
"""
import copy
import struct

from ref_numerics import (
    BF16, F16, F32, I32, INF, IQ4_NL, IQ4_XS, MAP, MXFP4, NAMES, NAN, NEG, ONE, Q4_0, Q4_K, Q5_0, Q5_1, Q6_K,
    Q8_0, bits, neg,
    row_bytes)
import ref_commands as isa
from ref_commands import (
    ATTEND, BAD_CMD, CONV, COPY, MATMUL, MOVE, NOP, OP_MAP, PREFETCH, ROPE, ROW, SCAN, SIGNAL, TOPK,
    WAIT)
from ref_cases import BASE, Case, ids, pool, rng, rows_of, weights

# Tensors that have a row for each row of activations (MATMUL: dst has two).
BY_ROWS = {MOVE: 'dst_ids src_ids scale', MATMUL: 'dst x sel', ROW: 'dst x', OP_MAP: 'dst a b',
           ROPE: 'dst x pos', ATTEND: 'dst q seq range', TOPK: 'ids values x range',
           CONV: 'dst x slot', SCAN: 'dst v k q g beta slot'}


def bases():
    """One small case of each command, with all its tensors, to change one thing of."""
    c = Case(MOVE, 1, 'plain')
    c.place('src', rows_of('near', 3, 4), 4).place('dst', rows_of('near', 3, 4), 4)
    c.place('dst_ids', ids([2, 0]), 1, I32).place('src_ids', ids([1, 2]), 1, I32)
    c.place('scale', rows_of('near', 2, 1), 1)
    yield c
    c = Case(MATMUL, 1, 'plain', planes=2, plane_stride=34 * 3)
    c.place('w', weights(Q8_0, 6, 32, 'normal'), 32, Q8_0)
    c.tensors['w'].rows = 3
    c.place('x', rows_of('near', 2, 32), 32).place('dst', rows_of('near', 4, 3), 3)
    c.place('bias', rows_of('near', 2, 3), 3).place('sel', [[0, 1], [1, -1]], 2, I32)
    yield c
    c = Case(ROW, isa.RMS, 'plain', groups=2, eps=ONE)
    c.place('x', rows_of('near', 3, 6), 6).blank('dst', 3, 6)
    yield c.place('w', rows_of('near', 1, 3), 3).place('bias', rows_of('near', 1, 3), 3)
    c = Case(OP_MAP, 12 | 0x8100, 'plain', imm0=ONE, imm1=ONE, imm2=ONE, imm3=bits(2.0))
    c.place('a', rows_of('near', 3, 5), 5).blank('dst', 3, 5)
    yield c.place('b', rows_of('near', 3, 5), 5)
    c = Case(ROPE, 1, 'plain', heads=2, head_dim=6, first=1, rot=4)
    c.place('x', rows_of('near', 3, 12), 12).blank('dst', 3, 12)
    c.place('cs', rows_of('near', 3, 4), 4)
    yield c.place('pos', ids([0, 2, 1]), 1, I32)
    c = Case(ATTEND, 0, 'plain', heads=2, kv_heads=1, dk=4, dv=4, page_log2=1, scale=ONE, cap=ONE)
    c.place('q', rows_of('near', 3, 8), 8).blank('dst', 3, 8)
    c.place('k', pool(F16, 6, 4, 'uniform'), 4, F16).place('v', pool(F16, 6, 4, 'uniform'), 4, F16)
    c.place('pages', [[0, 2], [1, 0], [1, 2]], 2, I32).place('seq', ids([1, 0, 2]), 1, I32)
    c.place('range', [[0, 4], [1, 3], [2, 2]], 2, I32)
    yield c.place('sinks', rows_of('near', 1, 2), 2).place('slopes', rows_of('near', 1, 2), 2)
    c = Case(TOPK, 2, 'plain', k=3, groups=1, groups_used=1, floor=ONE, scale=ONE)
    c.blank('ids', 3, 3, I32).blank('values', 3, 3).place('x', rows_of('near', 3, 6), 6)
    yield c.place('bias', rows_of('near', 1, 6), 6).place('range', [[0, 6], [1, 4], [2, 2]], 2, I32)
    c = Case(CONV, 0, 'plain').place('x', rows_of('near', 3, 5), 5).blank('dst', 3, 5)
    c.place('w', rows_of('near', 5, 3), 3).place('bias', rows_of('near', 1, 5), 5)
    yield c.place('state', rows_of('near', 2, 10), 10).place('slot', [[0, 1], [1, -1], [-1, 0]], 2,
                                                             I32)
    for kind in (0, 1):
        c = Case(SCAN, kind, 'plain', heads=2, groups=1, dk=3, dv=2, scale=ONE)
        c.place('v', rows_of('near', 3, 4), 4).blank('dst', 3, 4)
        c.place('k', rows_of('near', 3, 3), 3).place('q', rows_of('near', 3, 3), 3)
        c.place('g', rows_of('near', 3, 2), 2)
        if kind:
            c.place('beta', rows_of('near', 3, 2), 2)
        else:
            c.place('a', rows_of('near', 1, 2), 2).place('d', rows_of('near', 1, 2), 2)
        yield c.place('state', rows_of('near', 2, 12), 12).place('slot',
                                                                 [[0, 1], [1, -1], [-1, 0]], 2, I32)
    yield Case(NOP)
    yield Case(COPY, size=16).bytes_at('src', 16).bytes_at('dst', 16)
    yield Case(PREFETCH, size=16).bytes_at('va', 16)
    yield Case(SIGNAL, value=5).bytes_at('va', 8, 8)
    c = Case(WAIT, value=5).bytes_at('va', 8, 8)
    c.image[c.fields['va']:c.fields['va'] + 8] = struct.pack('<Q', 9)
    yield c


def mutant(case, name, change):
    """The case with one thing changed, which makes it one to be refused."""
    other = copy.deepcopy(case)
    change(other)
    other.finish('refused: ' + name, BAD_CMD)


def set_tensor(name, **values):
    def change(c):
        for key, value in values.items():
            setattr(c.tensors[name], key, value)
    return change


def set_fields(**values):
    def change(c):
        for key, value in values.items():
            if key in ('op', 'flags', 'size', 'reserved_header'):
                setattr(c, 'reserved' if key == 'reserved_header' else key, value)
            else:
                c.fields[key] = value
                if key in c.pointers:
                    c.pointers.remove(key)
    return change


def put(**values):
    """Fields after the header: addresses stay relative, and size is not the header's."""
    return lambda c: c.fields.update(values)


def drop(*names):
    def change(c):
        for name in names:
            c.tensors[name] = None
    return change


def poke(*args):
    return lambda c: c.poke(*args)


def all_of(*changes):
    def change(c):
        for one in changes:
            one(c)
    return change


def refuse_header(c):
    known = {MOVE: 1, MATMUL: 3, ROW: 7, OP_MAP: 0x83ff, ROPE: 1, ATTEND: 1, TOPK: 7, SCAN: 1,
             SIGNAL: 3}
    for bit in range(16):
        if not known.get(c.op, 0) >> bit & 1:
            mutant(c, 'flag %d' % bit, set_fields(flags=c.flags | 1 << bit))
    for size in (0, c.size - 16, c.size + 16, 1024, 0xfffffff0):
        if size != c.size:
            mutant(c, 'size %d' % size, set_fields(size=size))
    mutant(c, 'reserved', set_fields(reserved_header=1))
    mutant(c, 'reserved', set_fields(reserved_header=1 << 63))


def refused(c, change):
    other = copy.deepcopy(c)
    change(other)
    try:
        return isa.execute(other.packed(BASE)[0], other.params, BASE, other.image)[0] == BAD_CMD
    except AssertionError:          # larger than the image
        return False


def refuse_tensors(c, names=None):
    """names: of these tensors only."""
    c.params = [1, 2, 1 << 24, 0xffffffff]
    for name, types, optional in isa.tensors_of(c.op):
        t = c.tensors[name]
        if not t or (names and name not in names):
            continue
        unit = 4 if t.type in (F32, I32) else 2
        bad = [('va + 1', dict(offset=t.offset + 1)), ('va past the end', dict(fixed=1 << 48)),
               ('va wraps', dict(fixed=(1 << 64) - 4 * unit)),
               ('va reaches the end', dict(fixed=(1 << 48) - unit)),
               ('rows 0', dict(rows=0)), ('rows 2^24 + 1', dict(rows=(1 << 24) + 1)),
               ('cols 0', dict(cols=0)), ('cols 2^20 + 256', dict(cols=(1 << 20) + 256)),
               ('type 4', dict(type=4)), ('type 19', dict(type=19)), ('type 63', dict(type=63)), ('type 71', dict(type=71)), ('type 2^31', dict(type=1 << 31)),
               ('dyn 16', dict(dyn=1 << 16)),
               ('no such rows', dict(dyn=len(c.params) + 1)),
               ('no such first', dict(dyn=len(c.params) + 1 << 8)),
               ('rows in effect', dict(dyn=3)), ('first in effect', dict(dyn=4 << 8)),
               ('first + rows wrap', dict(dyn=2 | 4 << 8))]
        if t.rows == 1:
            bad += [('first 2 of 1', dict(dyn=2 << 8)), ('first 1 and 1 row', dict(dyn=1 | 1 << 8))]
        if row_bytes(t.type, t.cols) == unit:
            bad = [b for b in bad if b[0] != 'va reaches the end' or t.rows > 1]
        if unit == 4:
            bad.append(('va + 2', dict(offset=t.offset + 2)))
        if t.rows > 1:
            bad += [('stride + 1', dict(stride=t.stride + 1)),
                    ('stride short', dict(stride=t.stride - unit)),
                    ('stride 0', dict(stride=0)), ('stride 2^63', dict(stride=1 << 63))]
        for other in rng.sample((F16, BF16, Q8_0, Q4_K), 1) + [F32 if F32 not in types else I32]:
            if other not in types:
                bad.append(('type %s' % NAMES[other], dict(type=other, cols=t.cols,
                                                           stride=max(t.stride, 4 * t.cols))))
        for what, values in bad:
            mutant(c, '%s %s' % (name, what), set_tensor(name, **values))
        if not optional:
            mutant(c, '%s absent' % name, drop(name))
        else:
            mutant(c, '%s half absent' % name, set_tensor(name, fixed=0, stride=0, rows=0, cols=0,
                                                          type=0, dyn=0x101))
        # Shapes: of these changes those that the rest of the command does not allow.
        for what, values in (('a column more', dict(cols=t.cols + 1, stride=t.stride + 4)),
                             ('a block more', dict(cols=t.cols + 32, stride=t.stride + 128)),
                             ('a column less', dict(cols=t.cols - 1)),
                             ('a row more', dict(rows=t.rows + 1,
                                                 stride=max(t.stride, row_bytes(t.type, t.cols)))),
                             ('a row less', dict(rows=t.rows - 1))):
            change = set_tensor(name, **values)
            if values.get('cols', 1) and values.get('rows', 1) and refused(c, change):
                mutant(c, '%s %s' % (name, what), change)
    if c.op in BY_ROWS and c.op not in (MOVE, OP_MAP) and not names:
        tensors = [name for name in BY_ROWS[c.op].split() if c.tensors[name]]
        more = all_of(*[set_tensor(name, rows=131074 if (c.op, name) == (MATMUL, 'dst') else 65537)
                        for name in tensors])
        mutant(c, 'm 65537', more)


MANY = 0xffffffff


def particular(c):
    """What each command refuses for reasons of its own: (name, change)."""
    if c.op == MOVE:
        one = [('dst_ids 3', poke('dst_ids', 1, 0, 3)), ('src_ids 3', poke('src_ids', 0, 0, 3)),
               ('dst_ids large', poke('dst_ids', 0, 0, 0x7fffffff)),
               ('an id of an item left out', all_of(poke('dst_ids', 0, 0, -1),
                                                    poke('src_ids', 0, 0, 3))),
               ('add to F16', set_tensor('dst', type=F16)),
               ('add to I32', set_tensor('dst', type=I32)),
               ('F32 to I32', all_of(set_fields(flags=0), drop('scale'),
                                     set_tensor('dst', type=I32))),
               ('I32 to F32', all_of(set_fields(flags=0), drop('scale'),
                                     set_tensor('src', type=I32))),
               ('I32 with scale', all_of(set_fields(flags=0), set_tensor('src', type=I32),
                                         set_tensor('dst', type=I32))),
               ('I32 with add', all_of(drop('scale'), set_tensor('src', type=I32),
                                       set_tensor('dst', type=I32))),
               ('more rows of dst', all_of(drop('dst_ids', 'src_ids', 'scale'),
                                           set_tensor('src', rows=2))),
               ('fewer rows of dst', all_of(drop('dst_ids', 'src_ids', 'scale'),
                                            set_tensor('dst', rows=2)))]
        return one + [('to %s' % NAMES[t], all_of(set_fields(flags=0),
                                                  set_tensor('dst', type=t, cols=256, stride=1024),
                                                  set_tensor('src', cols=256, stride=1024)))
                      for t in (Q4_0, Q5_0, Q4_K, Q6_K, Q5_1, IQ4_NL, IQ4_XS, MXFP4)]
    if c.op == MATMUL:
        return [('sel 2', poke('sel', 1, 0, 2)), ('sel large', poke('sel', 0, 1, 0x7fffffff)),
                ('planes 0', set_fields(planes=0)), ('planes 1', set_fields(planes=1)),
                ('planes 3', set_fields(planes=3)), ('planes 65537', set_fields(planes=65537)),
                ('planes 2^32 - 1', set_fields(planes=MANY)),
                ('plane_stride 0', set_fields(plane_stride=0)),
                ('plane_stride + 1', set_fields(plane_stride=103)),
                ('plane_stride short', set_fields(plane_stride=66)),
                ('plane_stride 2^48', set_fields(plane_stride=1 << 48)),
                ('plane_stride 2^64 - 2', set_fields(plane_stride=(1 << 64) - 2)),
                ('plane_stride of one plane', all_of(drop('sel', 'bias'), set_fields(planes=1),
                                                     set_tensor('dst', rows=2))),
                ('planes without sel', all_of(drop('sel', 'bias'), set_tensor('dst', rows=2))),
                ('reserved', set_fields(reserved=1)), ('x16 of Q8_0', set_fields(flags=3)),
                ('sel of 65537 columns', all_of(set_tensor('x', rows=1),
                                                set_tensor('sel', rows=1, cols=65537),
                                                set_tensor('dst', rows=65537))),
                ('x16 of F32', all_of(set_fields(flags=2), set_tensor('w', type=F32, stride=128),
                                      set_fields(plane_stride=384))),
                ('w dyn', set_tensor('w', dyn=2 << 8)), ('bias dyn', set_tensor('bias', dyn=2)),
                ('bias of one plane', set_tensor('bias', rows=1)),
                ('w of another k', set_tensor('w', cols=64, stride=68))]
    if c.op == ROW:
        return [('kind 5', set_fields(flags=5)), ('kind 7', set_fields(flags=7)),
                ('groups 0', set_fields(groups=0)), ('groups 4', set_fields(groups=4)),
                ('groups 7', set_fields(groups=7)), ('groups 12', set_fields(groups=12)),
                ('groups 2^32 - 1', set_fields(groups=MANY)), ('reserved', set_fields(reserved=1)),
                ('reserved high', set_fields(reserved=1 << 63)),
                ('eps below 0', set_fields(eps=0x80000001)), ('eps -1', set_fields(eps=neg(ONE))),
                ('eps -infinity', set_fields(eps=INF | NEG)), ('eps NaN', set_fields(eps=NAN)),
                ('eps NaN with a payload', set_fields(eps=0x7f800001)),
                ('eps -NaN', set_fields(eps=0xffc00000)),
                ('SOFTMAX with eps', all_of(drop('w', 'bias'), set_fields(flags=3))),
                ('SOFTMAX with w', all_of(drop('bias'), set_fields(flags=3, eps=0))),
                ('SOFTMAX with bias', all_of(drop('w'), set_fields(flags=3, eps=0))),
                ('SUM with eps', all_of(drop('w', 'bias'), set_fields(flags=4),
                                        set_tensor('dst', cols=2))),
                ('SUM with w', all_of(drop('bias'), set_fields(flags=4, eps=0),
                                      set_tensor('dst', cols=2))),
                ('SUM of n columns', all_of(drop('w', 'bias'), set_fields(flags=4, eps=0))),
                ('w of two rows', set_tensor('w', rows=2, stride=12))]
    if c.op == OP_MAP:
        one = [('function %d' % f, set_fields(flags=f | 0x8100)) for f in (13, 14, 128, 255)]
        one += [('flag 10', set_fields(flags=0x8500 | 12)),
                ('b of op NONE', set_fields(flags=0x8000 | 12)),
                ('no b', drop('b')), ('imm without affine', set_fields(flags=0x0100 | 12)),
                ('imm 1 without affine', set_fields(flags=0x0100 | 12, imm0=0)),
                ('-0 without affine', set_fields(flags=0x0100 | 12, imm0=NEG, imm1=0)),
                ('low > high', set_fields(imm2=bits(3.0))), ('low NaN', set_fields(imm2=NAN)),
                ('high NaN', set_fields(imm3=0xff800001)), ('low infinite', set_fields(imm2=INF)),
                ('b of 2 rows', set_tensor('b', rows=2)),
                ('b of 2 columns', set_tensor('b', cols=2))]
        one += [('imm of %s' % MAP[f][0], set_fields(flags=f | 0x8100)) for f in range(12)
                if f != 6]
        return one + [('imm 3 of ID', set_fields(flags=0x8100, imm2=0)),
                      ('imm 2 of ID', set_fields(flags=0x8100, imm3=0)),
                      ('-0 of ID', set_fields(flags=0x8100, imm2=0, imm3=NEG))]
    if c.op == ROPE:
        return [('pos 3', poke('pos', 1, 0, 3)), ('pos -1', poke('pos', 2, 0, -1)),
                ('pos large', poke('pos', 0, 0, 0x7fffffff)), ('heads 0', set_fields(heads=0)),
                ('heads 3', set_fields(heads=3)), ('heads 1025', set_fields(heads=1025)),
                ('head_dim 0', set_fields(head_dim=0)), ('head_dim 5', set_fields(head_dim=5)),
                ('heads * head_dim wraps', set_fields(heads=1 << 31, head_dim=6)),
                ('head_dim 1025', all_of(set_fields(heads=1, head_dim=1025),
                                         set_tensor('x', cols=1025, stride=4100),
                                         set_tensor('dst', cols=1025, stride=4100))),
                ('first 3', set_fields(first=3)), ('first 2^32 - 4', set_fields(first=MANY - 3)),
                ('first 2^31', set_fields(first=1 << 31)),
                ('rot 0', all_of(set_fields(rot=0), set_tensor('cs', cols=4))),
                ('rot 3', all_of(set_fields(rot=3), set_tensor('cs', cols=3))),
                ('rot 6', all_of(set_fields(rot=6), set_tensor('cs', cols=6, stride=24))),
                ('rot 2', set_fields(rot=2)), ('rot 2^31', set_fields(rot=1 << 31)),
                ('too few positions', all_of(drop('pos'), set_tensor('cs', rows=2)))]
    if c.op == ATTEND:
        no_pages = all_of(drop('pages', 'seq'), set_fields(page_log2=0))
        return [('seq 3', poke('seq', 0, 0, 3)), ('seq -1', poke('seq', 1, 0, -1)),
                ('from -1', poke('range', 0, 0, -1)), ('from > to', poke('range', 1, 0, 4)),
                ('to -1', all_of(poke('range', 0, 0, 0), poke('range', 0, 1, -1))),
                ('position without a page', poke('range', 0, 1, 5)),
                ('to large', poke('range', 0, 1, 0x7fffffff)),
                ('page -1', poke('pages', 1, 0, -1)), ('page 3', poke('pages', 1, 1, 3)),
                ('page 2^31 - 1', poke('pages', 1, 1, 0x7fffffff)),
                ('page 2^30', poke('pages', 0, 0, 1 << 30)),
                ('page 2^31', poke('pages', 0, 0, 1 << 31)),
                ('a page that is not whole', all_of(set_tensor('k', rows=5),
                                                    set_tensor('v', rows=5))),
                ('page_log2 17', set_fields(page_log2=17)),
                ('page_log2 32', set_fields(page_log2=32)),
                ('page_log2 2', set_fields(page_log2=2)),
                ('page_log2 16', set_fields(page_log2=16)),
                ('page_log2 without pages', drop('pages', 'seq')),
                ('seq 1 without pages', all_of(drop('pages'), set_fields(page_log2=0))),
                ('position past the pool', all_of(no_pages, poke('range', 1, 1, 7))),
                ('position far past the pool', all_of(no_pages, poke('range', 1, 1, 0x7fffffff))),
                ('more than MAX_CTX', all_of(no_pages, set_tensor('k', rows=1 << 20),
                                             set_tensor('v', rows=1 << 20),
                                             poke('range', 0, 1, 131073))),
                ('list past the pages', all_of(set_fields(flags=1), poke('range', 2, 1, 4))),
                ('list past the pool', all_of(no_pages, set_fields(flags=1),
                                              poke('range', 2, 1, 6))),
                ('list large', all_of(no_pages, set_fields(flags=1),
                                      poke('range', 2, 1, 0x7fffffff))),
                ('heads 0', set_fields(heads=0)), ('heads 1', set_fields(heads=1)),
                ('heads 3', set_fields(heads=3)),
                ('heads 1025', set_fields(heads=1025)), ('kv_heads 0', set_fields(kv_heads=0)),
                ('kv_heads 2', set_fields(kv_heads=2)), ('kv_heads 3', set_fields(kv_heads=3)),
                ('dk 0', set_fields(dk=0)), ('dk 3', set_fields(dk=3)),
                ('dk 1025', set_fields(dk=1025)),
                ('dk wraps', set_fields(dk=(1 << 31) + 4)),
                ('dv wraps', set_fields(dv=(1 << 31) + 4)),
                ('dv 0', set_fields(dv=0)), ('dv 5', set_fields(dv=5)),
                ('dv 1025', set_fields(dv=1025)),
                ('reserved', set_fields(reserved=1)), ('cap below 0', set_fields(cap=neg(ONE))),
                ('cap NaN', set_fields(cap=NAN)), ('cap -NaN', set_fields(cap=0xffc00001)),
                ('cap -infinity', set_fields(cap=INF | NEG)),
                ('k dyn', set_tensor('k', dyn=2 << 8)),
                ('v dyn', set_tensor('v', dyn=2)),
                ('k and v dyn', all_of(set_tensor('k', dyn=2), set_tensor('v', dyn=2))),
                ('v of other rows', set_tensor('v', rows=5)),
                ('Q8_0 of 4', set_tensor('k', type=Q8_0)),
                ('dk 16 of Q8_0', all_of(set_fields(dk=16, kv_heads=2),
                                         set_tensor('q', cols=32, stride=128),
                                         set_tensor('k', cols=32, type=Q8_0, stride=34),
                                         set_tensor('v', cols=8, stride=16))),
                ('dv 16 of Q8_0', all_of(set_fields(dv=16, kv_heads=2),
                                         set_tensor('dst', cols=32, stride=128),
                                         set_tensor('v', cols=32, type=Q8_0, stride=34),
                                         set_tensor('k', cols=8, stride=16)))]
    if c.op == TOPK:
        grouped = all_of(drop('range'), set_fields(groups=3, groups_used=2))
        return [('nothing to store', drop('ids', 'values')), ('k 0', set_fields(k=0)),
                ('k 2', set_fields(k=2)),
                ('k 7', all_of(set_fields(k=7), set_tensor('ids', cols=7, stride=28),
                               set_tensor('values', cols=7, stride=28))),
                ('k 4097', all_of(set_fields(k=4097), set_tensor('ids', cols=4097,
                                                                 stride=4 * 4097),
                                  drop('values', 'bias'),
                                  set_tensor('x', cols=5000, stride=20000))),
                ('groups 0', set_fields(groups=0)), ('groups_used 0', set_fields(groups_used=0)),
                ('groups_used 2', set_fields(groups_used=2)),
                ('groups 4', all_of(drop('range'), set_fields(groups=4))),
                ('groups 7', all_of(drop('range'), set_fields(groups=7))),
                ('groups_used 4 of 3', all_of(grouped, set_fields(groups_used=4))),
                ('a range with groups', set_fields(groups=3, groups_used=2)),
                ('top2 without groups', set_fields(flags=3)),
                ('floor without renorm', set_fields(flags=0)),
                ('floor below 0', set_fields(floor=neg(ONE))),
                ('floor NaN', set_fields(floor=NAN)), ('floor -NaN', set_fields(floor=0xffffffff)),
                ('floor -infinity', set_fields(floor=INF | NEG)),
                ('reserved', set_fields(reserved=1)), ('reserved 1', set_fields(reserved1=1 << 31)),
                ('reserved 2', set_fields(reserved2=1)), ('from -1', poke('range', 0, 0, -1)),
                ('from > to', poke('range', 1, 0, 5)), ('to 7', poke('range', 0, 1, 7)),
                ('to -1', all_of(poke('range', 0, 1, -1))),
                ('to large', poke('range', 2, 1, 0x7fffffff))]
    if c.op == CONV:
        return [('slot 2 read', poke('slot', 0, 0, 2)), ('slot 2 written', poke('slot', 2, 1, 2)),
                ('slot large', poke('slot', 1, 0, 0x7fffffff)),
                ('state dyn', set_tensor('state', dyn=2)),
                ('one tap', all_of(set_tensor('w', cols=1), set_tensor('state', cols=5))),
                ('17 taps', all_of(set_tensor('w', cols=17, stride=68),
                                   set_tensor('state', cols=80, stride=320)))]
    if c.op == SCAN:
        one = [('slot 2 read', poke('slot', 0, 0, 2)), ('slot 2 written', poke('slot', 2, 1, 2)),
               ('slot large', poke('slot', 1, 1, 0x7fffffff)),
               ('state dyn', set_tensor('state', dyn=2)), ('heads 0', set_fields(heads=0)),
               ('heads 3', set_fields(heads=3)), ('heads 1025', set_fields(heads=1025)),
               ('groups 0', set_fields(groups=0)), ('groups 2', set_fields(groups=2)),
               ('groups 3', set_fields(groups=3)), ('dk 0', set_fields(dk=0)),
               ('dk 4', set_fields(dk=4)),
               ('dk 1025', set_fields(dk=1025)), ('dv 0', set_fields(dv=0)),
               ('dv 3', set_fields(dv=3)),
               ('dv 1025', set_fields(dv=1025)), ('dv wraps', set_fields(dv=(1 << 31) + 2)),
               ('reserved', set_fields(reserved=1)), ('reserved 1', set_fields(reserved1=1)),
               ('reserved 2', set_fields(reserved2=1 << 31)), ('kind 2', set_fields(flags=2)),
               ('a large state', all_of(set_fields(heads=2, dk=1024, dv=513),
                                        set_tensor('v', cols=1026, stride=4104),
                                        set_tensor('dst', cols=1026, stride=4104),
                                        set_tensor('k', cols=1024, stride=4096),
                                        set_tensor('q', cols=1024, stride=4096),
                                        set_tensor('state', cols=1 << 20, stride=1 << 22)))]
        if c.flags:
            return one + [('beta absent', drop('beta')),
                          ('a of DELTA', lambda o: o.place('a', rows_of('near', 1, 2), 2)),
                          ('d of DELTA', lambda o: o.place('d', rows_of('near', 1, 2), 2)),
                          ('as SSM', set_fields(flags=0)),
                          ('g of 3 columns', set_tensor('g', cols=3, stride=12))]
        return one + [('a absent', drop('a')),
                      ('beta of SSM', lambda o: o.place('beta', rows_of('near', 3, 2), 2)),
                      ('scale 2', set_fields(scale=bits(2.0))), ('scale 0', set_fields(scale=0)),
                      ('scale NaN', set_fields(scale=NAN)), ('as DELTA', set_fields(flags=1)),
                      ('g per element', lambda o: o.place('g', rows_of('near', 3, 6), 6))]
    end = 1 << 48
    if c.op == COPY:
        def shifted(by):
            def change(o):
                o.fields['dst'] = o.fields['src'] + by
            return change
        return [('size 0', put(size=0)),
                ('size 2^40 + 1', put(size=(1 << 40) + 1)),
                ('size 2^64 - 1', put(size=(1 << 64) - 1)),
                ('reserved', put(reserved=1)),
                ('dst past the end', set_fields(dst=end)),
                ('dst reaches the end', set_fields(dst=end - 15)),
                ('src past the end', set_fields(src=end)),
                ('src reaches the end', set_fields(src=end - 1)),
                ('dst wraps', set_fields(dst=(1 << 64) - 8)),
                ('src wraps', set_fields(src=(1 << 64) - 8)),
                ('onto itself', shifted(0)), ('overlap by 1', shifted(15)),
                ('overlap by 1 below', shifted(-15))]
    if c.op == PREFETCH:
        return [('size 0', put(size=0)),
                ('size 2^40 + 1', put(size=(1 << 40) + 1)),
                ('size 2^64 - 1', put(size=(1 << 64) - 1)),
                ('va past the end', set_fields(va=end)),
                ('va reaches the end', set_fields(va=end - 15)),
                ('va wraps', set_fields(va=(1 << 64) - 8))]
    if c.op in (SIGNAL, WAIT):
        one = [('va + %d' % i, lambda o, i=i: o.fields.update(va=o.fields['va'] + i))
               for i in (1, 2, 4, 7)]
        if c.op == SIGNAL:
            one += [('kind 3', set_fields(flags=3)), ('a value of TIME', set_fields(flags=1)),
                    ('a value of COUNTERS', set_fields(flags=2))]
        return one
    return []


def make_refused():
    for c in bases():
        if c.tensors:
            copy.deepcopy(c).finish('before changes')
        refuse_header(c)
        refuse_tensors(c, ('a', 'd') if c.op == SCAN and not c.flags else None)
        for name, change in particular(c):
            mutant(c, name, change)
    for op in (14, 15, 31, 255, 256, 0x7fff, 0xffff):
        c = Case(NOP)
        c.raw = [(0, struct.pack('<H', op))]
        c.finish('refused: opcode %d' % op, BAD_CMD)


def tall(c, *names, rows=100000):
    """Descriptors of far more rows than there is memory for; those in effect stay."""
    for name in names:
        t = c.tensors[name]
        t.dyn = c.param(t.rows) | c.param(0) << 8
        t.rows = rows
    return c


def make_tall():
    """What is limited is the rows in effect."""
    for c in bases():
        if c.op in BY_ROWS:
            tall(c, *[name for name in BY_ROWS[c.op].split() if c.tensors[name]]).finish('tall')


def make_skipped():
    """No rows in effect: what is wrong besides header and descriptors is not seen."""
    for c in bases():
        if not c.tensors:
            continue
        last = None
        c.params = [7, 0, 3]
        for name, t in c.tensors.items():
            if not t or (c.op, name) in ((MATMUL, 'w'), (MATMUL, 'bias'), (ATTEND, 'k'),
                                         (ATTEND, 'v'), (CONV, 'state'), (SCAN, 'state')):
                continue
            last = name
            other = copy.deepcopy(c)
            other.tensors[name].dyn = 2
            other.finish('skipped: %s has no rows' % name)
            if t.rows == 3:
                other = copy.deepcopy(c)
                other.tensors[name].dyn = 3 << 8
                other.finish('skipped: %s has no rows left' % name)
        other = copy.deepcopy(c)
        other.tensors[last].dyn = 2
        for name, t in other.tensors.items():           # descriptors are still looked at
            if t and t.rows > 1:
                mutant(other, 'skipped but %s stride' % name, set_tensor(name, stride=1))
            if t:
                mutant(other, 'skipped but %s type' % name, set_tensor(name, type=9))
                mutant(other, 'skipped but %s va' % name, set_tensor(name, fixed=1 << 48))
        mutant(other, 'skipped but flags', set_fields(flags=other.flags | 0x4000))
        mutant(other, 'skipped but size', set_fields(size=other.size + 16))
        mutant(other, 'skipped but reserved', set_fields(reserved_header=1))
        for name, change in (('src_ids', poke('src_ids', 0, 0, 99)), ('sel', poke('sel', 0, 0, 99)),
                             ('pos', poke('pos', 0, 0, 99)), ('seq', poke('seq', 0, 0, 99)),
                             ('range', poke('range', 0, 0, -99)), ('slot', poke('slot', 0, 0, 99)),
                             ('reserved', set_fields(reserved=5)), ('eps', set_fields(eps=NAN)),
                             ('cap', set_fields(cap=NAN)), ('heads', set_fields(heads=0)),
                             ('groups', set_fields(groups=0)), ('planes', set_fields(planes=0)),
                             ('rot', set_fields(rot=1))):
            if name in other.fields or other.tensors.get(name):
                again = copy.deepcopy(other)
                change(again)
                again.finish('skipped with bad %s' % name)


def make():
    make_tall()
    make_skipped()
    make_refused()
