#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Predicts the counters of the processor from Documentation/hardware/profiles.rst and commands.rst alone.

  calculator.py < JOBS

JOBS: what tests/cycles/jobs writes, one JSON object a line.  {"profile": {..}} begins a processor;
{"map": [va, size, page, local, tables_local]} maps a range in pages of one size, in all address spaces;
{"begin": {"ring", "space", "local", "params": [..], "stream": hex, "memory": [[va, hex], ..]}} starts a
job, with the control operands that it reads; {"go": ring} lets it run until it has ended, failed, or waits
for a value (other than 0, which is there); {"forget": [space, ..]} is an invalidation; {"step": {"ring", "ring_cycles", "counters": [16 numbers]}}
says what the processor counted.  {"together": {"counters"}} is the same after jobs that ran at once, in
no order: what does not depend on it must be right.  Prints TAP: each counter of each step must be
what is calculated here.
"""
import bisect
import json
import struct
import sys

NAMES = ('cycles busy_matrix busy_vector busy_dma busy_mmu busy_local busy_pcie local_read local_written '
         'pcie_read pcie_written macs_int8 macs_f16 macs_f32 commands tlb_misses').split()
BLOCK = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84),
         11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 20: (32, 18), 23: (256, 136),
         26: (1, 4), 30: (1, 2), 39: (32, 17)}
FLOAT = (0, 1, 30)
GAPS, WINDOW, DECODE, PIPE = 64, 32, 16, 32
WAIT = 13
ORDERED = ('cycles', 'busy_mmu', 'tlb_misses')       # depend on the order in which rings come to their commands
CONVERTED = (1, 2, 3, 6, 7, 8, 9, 10)      # MAP functions of 10 multiply-adds


def ceil(a, b):
    return -(-a // b)


class Timeline:
    """The cycles of one engine: gaps that are free, and everything from `tail` on."""

    def __init__(self):
        self.gaps, self.tail, self.busy = [], 0, 0

    def take(self, t, n):
        if not n:
            return t
        self.busy += n
        end, left = t, []
        for a, b in self.gaps:
            use = max(a, t)
            if not n or use >= b:
                left.append((a, b))
                continue
            took = min(n, b - use)
            n -= took
            end = use + took
            left += [(x, y) for x, y in ((a, use), (use + took, b)) if x < y]
        if n:
            start = max(self.tail, t)
            if start > self.tail:
                left.append((self.tail, start))
            self.tail = end = start + n
        self.gaps = left[-GAPS:]
        return end


class Tensor:
    SIZE = 32

    def __init__(self, raw, params):
        self.va, self.stride, self.max_rows, self.cols, self.type, dyn = struct.unpack('<QQIIII', raw)
        self.absent = not any(raw)
        self.row = 0
        if self.absent:
            return
        elements, size = BLOCK[self.type]
        self.row = self.cols // elements * size
        if self.max_rows == 1:
            self.stride = self.row
        first = params[(dyn >> 8 & 255) - 1] if dyn >> 8 & 255 else 0
        self.rows = params[(dyn & 255) - 1] if dyn & 255 else self.max_rows - first
        self.va += first * self.stride

    def at(self, row):
        return self.va + row * self.stride

    def hull(self):
        return self.va, self.at(self.rows - 1) + self.row

    def pieces(self, rows=None):
        if rows is None:
            if self.stride == self.row:
                return [(self.va, self.rows * self.row)]
            rows = range(self.rows)
        return [(self.at(r), self.row) for r in rows]


class Operand:
    def __init__(self, hull, pieces, write=False):
        """pieces: (va, bytes) or (va, bytes, times moved)."""
        self.hull, self.write = hull, write
        self.there = 0                  # done of the PREFETCH that holds it
        self.pieces = [p if len(p) == 3 else p + (1,) for p in pieces]


class Refused(Exception):
    """The MMU refuses an access."""


class Ring:
    """A ring, and its job."""

    def __init__(self):
        self.end = self.cycles = self.decoded = self.barrier = 0
        self.job = self.waits = None


class Processor:
    def __init__(self, profile):
        self.p = profile
        self.engine = {n: Timeline() for n in ('matrix', 'vector', 'dma', 'mmu', 'local', 'pcie')}
        self.bytes = {(port, write): 0 for port in ('local', 'pcie') for write in (False, True)}
        self.macs = [0, 0, 0]
        self.commands = self.misses = self.latest = 0
        self.rings = {}
        self.covered = []               # when any ring had a job: disjoint, ascending
        self.starts, self.maps = [], []
        self.tlb = {}

    # ---- pages ----

    def map(self, va, size, page, local, tables_local):
        i = bisect.bisect(self.starts, va)
        self.starts.insert(i, va)
        self.maps.insert(i, (va, va + size, page, local, tables_local))

    def find(self, va):
        m = self.maps[bisect.bisect(self.starts, va) - 1]
        if not m[0] <= va < m[1]:
            raise Refused
        return m

    def translate(self, o, space):
        """Bytes by port in the order in which they lie, misses by the memory of the tables, and whether all of it
        is there: o up to the byte refused counts."""
        moved, misses = [], {}
        try:
            self.pages(o, space, moved, misses)
            good = True
        except Refused:
            good = False
        self.misses += sum(misses.values())
        return moved, misses, good

    def pages(self, o, space, moved, misses):
        last = None
        for va, size, times in o.pieces:
            while size:
                _, end, page, local, tables = self.find(va)
                n = min(size, page - va % page)
                key = (space, va // page, page)
                if key != last:
                    if key in self.tlb:
                        del self.tlb[key]
                    else:
                        misses[tables] = misses.get(tables, 0) + 1
                        if len(self.tlb) == self.p['tlb_entries']:
                            del self.tlb[next(iter(self.tlb))]
                    self.tlb[key] = True
                    last = key
                port = 'local' if local else 'pcie'
                if times:
                    moved.append((port, n * times))
                va += n
                size -= n
    def forget(self, spaces):
        self.tlb = {key: True for key in self.tlb if key[0] not in spaces}

    def latency(self, port):
        return self.p[port + '_latency']

    def walk(self, misses, t):
        latency = sum(n * self.latency('local' if local else 'pcie') for local, n in misses.items())
        return self.engine['mmu'].take(t, ceil(latency, self.p['walkers']))

    def transfer(self, port, t, n):
        return self.engine[port].take(t, ceil(n, self.p[port + '_bpc']))

    # ---- jobs ----

    def now(self):
        return min((max(r.decoded, r.barrier) for r in self.rings.values() if r.job and not r.waits), default=self.latest)

    def begin(self, job):
        ring = self.rings.setdefault(job['ring'], Ring())
        ring.start = max(ring.end, self.now())
        ring.decoded = ring.start + 2 * self.p['pcie_latency']
        ring.barrier = 0
        ring.job = self.job(ring, job)

    def go(self, ring):
        next(self.rings[ring].job, None)

    def cover(self, start, end):
        """A job took [start, end)."""
        apart = [(a, b) for a, b in self.covered if b < start or end < a]
        for a, b in self.covered:
            if a <= end and start <= b:
                start, end = min(start, a), max(end, b)
        self.covered = sorted(apart + [(start, end)])

    def job(self, ring, job):
        """Yields when it has to wait for somebody."""
        p = self.p
        params = job['params']
        memory = [(va, bytes.fromhex(data)) for va, data in job['memory']]
        stream = bytes.fromhex(job['stream'])
        port = 'local' if job['local'] else 'pcie'
        done, reads, writes, moved_in, fetched = [], [], [], [], []
        at, final, failed = 0, ring.decoded, False
        while at < len(stream) and not failed:
            op, flags, size = struct.unpack_from('<HHI', stream, at)
            if at:
                ring.decoded += DECODE
            i = len(done)
            if i >= WINDOW:
                ring.decoded = max(ring.decoded, done[i - WINDOW])
            decoded = ring.decoded = max(ring.decoded, ring.barrier)
            waits = op == WAIT and struct.unpack_from('<Q', stream, at + 24)[0]
            if waits:
                ring.waits = True
                yield
            self.transfer(port, decoded - DECODE, size)
            self.bytes[port, False] += size
            self.commands += 1
            end = decoded
            try:
                command = Command(stream[at:at + size], params, memory)
                idle = command.skipped
            except Refused:
                idle = failed = True
            at += size
            if idle:
                for what, value in ((done, end), (reads, []), (writes, []), (moved_in, 0)):
                    what.append(value)
            else:
                good = self.run(command, job['space'], decoded, done, reads, writes, moved_in, fetched)
                failed = not good
                if waits:
                    done[-1] = max(done[-1], self.now())
                end = done[-1]
            ring.waits = False
            if op in (12, WAIT):
                ring.barrier = end
            final = max(final, end)
            self.cover(ring.start, final)
        ring.end = final + p['pcie_latency']
        ring.cycles += ring.end - ring.start
        self.cover(ring.start, ring.end)
        self.latest = max(self.latest, ring.end)
        ring.job = None

    def run(self, c, space, decoded, done, reads, writes, moved_in, fetched):
        p = self.p
        half = p['sram_size'] // 2

        def latest(spans, hull):
            return max((d for d, s in zip(done, spans) if any(a < hull[1] and hull[0] < b for a, b in s)), default=0)

        operands = list(c.operands)
        for n, o in enumerate(operands):
            for a, b, there in self.kept(fetched, half):
                if not o.write and a <= o.hull[0] and o.hull[1] <= b:
                    o.pieces = [(va, size, 0) for va, size, _ in o.pieces]
                    o.there = there
                    break
        translated, good = [], True
        for o in operands:
            if good:
                translated.append(self.translate(o, space))
                good = translated[-1][2]
        # What comes behind the operand that is refused is not taken at all, nor is anything computed.
        operands = operands[:len(translated)]
        ready = []
        for o in operands:
            r = max(decoded, latest(writes, o.hull), o.there)
            ready.append(max(r, latest(reads, o.hull)) if o.write else r)
        if c.op in (12, WAIT):
            ready = [max([decoded] + done)] * len(ready)
        begin = max(ready + [decoded])
        total = sum(b for o, t in zip(operands, translated) if not o.write for _, b in t[0])
        inside, room = min(total, half), 0
        for j in range(len(done) - 1, -1, -1):
            inside += moved_in[j]
            if inside > p['sram_size']:
                room = done[j]
                break
        copies = c.op == 10
        if copies:
            room = begin
        moved_in.append(0 if copies else min(total, half))
        computed = begin
        for o, r, t in zip(operands, ready, translated):
            if not o.write:
                computed = max(computed, self.read(t, max(r, room), begin, half))
        if good:
            computed = max(computed, self.compute(c, begin))
        written = begin
        for o, (moved, misses, _) in zip(operands, translated):
            if o.write:
                written = max(written, self.walk(misses, begin))
                for port in ('local', 'pcie'):
                    n = sum(b for q, b in moved if q == port)
                    self.bytes[port, True] += n
                    written = max(written, self.transfer(port, begin, n))
        reads.append([o.hull for o in operands if not o.write])
        writes.append([o.hull for o in operands if o.write])
        for hull in writes[-1]:
            fetched[:] = [f for f in fetched if f[1] <= hull[0] or hull[1] <= f[0]]
        done.append(max(computed, written) + PIPE)
        if c.op == 11:
            fetched.append((*operands[0].hull, done[-1]))
            fetched[:] = reversed(self.kept(fetched, half))
        return good

    @staticmethod
    def kept(fetched, half):
        out, total = [], 0
        for a, b, there in reversed(fetched[-32:]):
            total += b - a
            if total > half:
                break
            out.append((a, b, there))
        return out

    def read(self, translated, t, begin, half):
        moved, misses, _ = translated
        end = self.walk(misses, t)
        slowest = 0
        for port in ('local', 'pcie'):
            n = sum(b for q, b in moved if q == port)
            if not n:
                continue
            ahead = min(n, half)
            self.bytes[port, False] += n
            end = max(end, self.transfer(port, t, ahead))
            if n > ahead:
                end = max(end, self.transfer(port, max(t, begin), n - ahead))
            slowest = max(slowest, self.latency(port))
        return end + slowest

    def compute(self, c, begin):
        p = self.p
        self.macs = [a + b for a, b in zip(self.macs, c.macs)]
        int8, f16, f32 = c.macs
        matrix = self.engine['matrix'].take(begin, ceil(int8, p['macs_int8']) + ceil(f16, p['macs_f16']))
        vector = self.engine['vector'].take(begin, ceil(f32, p['macs_f32']))
        dma = self.engine['dma'].take(begin, ceil(c.dma, p['local_bpc']))
        return max(matrix, vector, dma)

    def counters(self):
        e = self.engine
        return [sum(b - a for a, b in self.covered), e['matrix'].busy, e['vector'].busy, e['dma'].busy, e['mmu'].busy, e['local'].busy,
                e['pcie'].busy, self.bytes['local', False], self.bytes['local', True], self.bytes['pcie', False],
                self.bytes['pcie', True], *self.macs, self.commands, self.misses]


class Command:
    """Operands in the order of the table of profiles.rst, and multiply-adds (int8, F16, F32)."""

    def __init__(self, raw, params, memory):
        self.op, self.flags = struct.unpack_from('<HH', raw)
        self.raw, self.params, self.memory = raw, params, memory
        if any(raw[8:16]):
            raise Refused               # malformed
        self.operands, self.macs, self.dma = [], [0, 0, 0], 0
        self.count = {1: 5, 2: 5, 3: 4, 4: 3, 5: 4, 6: 9, 7: 5, 8: 6, 9: 10}.get(self.op, 0)
        self.t = [Tensor(raw[16 + 32 * i:48 + 32 * i], params) for i in range(self.count)]
        self.skipped = any(not t.absent and not t.rows for t in self.t)
        if not self.skipped:
            (self.nop, self.move, self.matmul, self.row, self.map, self.rope, self.attend, self.topk, self.conv,
             self.scan, self.copy, self.prefetch, self.signal, self.wait)[self.op](*self.t)

    def field(self, fmt, at):
        return struct.unpack_from('<' + fmt, self.raw, at)

    def ints(self, t):
        """A control operand: a list of rows."""
        rows = []
        for r in range(t.rows):
            va = t.at(r)
            for base, data in self.memory:
                if base <= va and va + 4 * t.cols <= base + len(data):
                    rows.append(struct.unpack_from('<%di' % t.cols, data, va - base))
                    break
            else:
                raise Refused
        return rows

    def all(self, *tensors, write=False):
        for t in tensors:
            if not t.absent:
                self.operands.append(Operand(t.hull(), t.pieces(), write))

    def some(self, t, rows, write=False):
        self.operands.append(Operand(t.hull(), t.pieces(rows), write))

    def nop(self):
        pass

    def move(self, dst, src, dst_ids, src_ids, scale):
        m = next(t for t in (dst_ids, src_ids, src) if not t.absent).rows
        to = [r[0] for r in self.ints(dst_ids)] if not dst_ids.absent else range(m)
        frm = [r[0] for r in self.ints(src_ids)] if not src_ids.absent else range(m)
        items = [(a, b) for a, b in zip(to, frm) if a >= 0 and b >= 0]
        self.all(dst_ids, src_ids, scale)
        self.some(src, [b for _, b in items])
        if self.flags & 1:
            self.some(dst, [a for a, _ in items])
        self.some(dst, [a for a, _ in items], True)
        copies = dst.type == src.type and scale.absent and not self.flags & 1
        self.macs[2] = 0 if copies else len(items) * dst.cols

    def matmul(self, dst, x, w, bias, sel):
        plane, planes = self.field('QI', 176)
        n, k = w.max_rows, w.cols
        chosen = self.ints(sel) if not sel.absent else [(0,)] * x.rows
        flat = [e for row in chosen for e in row]
        kept = [i for i, e in enumerate(flat) if e >= 0]
        used = sorted({e for e in flat if e >= 0})
        self.all(sel, x)
        if not bias.absent:
            self.some(bias, used)
        fit = max(1, self.sram // (4 * k))
        pieces = []
        for e in used:
            times = ceil(flat.count(e), fit)
            for va, size in w.pieces():
                pieces.append((va + e * plane, size, times))
        last = w.va + (planes - 1) * plane + w.stride * (n - 1) + w.row
        self.operands.append(Operand((w.va, last), pieces))
        if self.flags & 1:
            self.some(dst, kept)
        self.some(dst, kept, True)
        macs = len(kept) * n * k
        if w.type not in FLOAT:
            self.macs = [macs, 0, 8 * x.rows * k]
        elif self.flags & 2:
            self.macs = [0, macs, x.rows * k]
        else:
            self.macs[2] = macs

    def row(self, dst, x, w, bias):
        self.all(x, w, bias)
        self.all(dst, write=True)
        self.macs[2] = x.rows * x.cols * (2, 4, 2, 10, 1)[self.flags]

    def map(self, dst, a, b):
        self.all(a, b)
        self.all(dst, write=True)
        self.macs[2] = a.rows * a.cols * ((10 if self.flags & 255 in CONVERTED else 1) + (4 if self.flags >> 8 & 3 == 3 else 0))

    def rope(self, dst, x, cs, pos):
        self.all(pos, x)
        self.some(cs, [r[0] for r in self.ints(pos)] if not pos.absent else range(x.rows))
        self.all(dst, write=True)
        self.macs[2] = 2 * x.rows * x.cols

    def attend(self, dst, q, k, v, pages, seq, rng, sinks, slopes):
        heads, kv_heads, dk, dv, page_log2 = self.field('5I', 304)
        cap = self.field('f', 332)[0]
        m = q.rows
        seqs = [r[0] for r in self.ints(seq)] if not seq.absent else [0] * m
        listed = self.flags & 1
        spans = self.ints(rng)
        if listed:
            positions = [[t for t in row if t >= 0] for row in spans]
        else:
            positions = [range(a, b) for a, b in spans]
        most = max([1] + [len(p) for p in positions])
        tables = self.ints(pages) if not pages.absent else None

        def pool(s, t):
            return (tables[s][t >> page_log2] << page_log2 | t & (1 << page_log2) - 1) if tables else t

        if tables:
            used = []
            for s, p in zip(seqs, positions):
                if len(p):
                    low, high = min(p) >> page_log2, max(p) >> page_log2
                    used.append((pages.at(s) + 4 * low, 4 * (high + 1 - low)))
            self.operands.append(Operand(pages.hull(), used))
        self.all(seq, rng, q, sinks, slopes)
        rows = []
        if listed:
            for s, p in zip(seqs, positions):
                rows += [pool(s, t) for t in p]
        else:
            tile = max(1, min(64, self.sram // 2 // (4 * (heads // kv_heads) * most)))
            for first in range(0, m, tile):
                seen = {}
                for s, p in list(zip(seqs, positions))[first:first + tile]:
                    if len(p):
                        seen.setdefault(s, set()).update(p)
                for s, union in seen.items():
                    rows += [pool(s, t) for t in sorted(union)]
        self.some(k, rows)
        within = v.va == k.va and v.stride == k.stride and v.row <= k.row
        self.operands.append(Operand(v.hull(), [(va, size, not within) for va, size in v.pieces(rows)]))
        self.all(dst, write=True)
        pairs = heads * sum(len(p) for p in positions)
        for t, d in ((k, dk), (v, dv)):
            self.macs[2 if t.type == 0 else 1] += pairs * d
        self.macs[2] += pairs * (18 if cap else 8)

    def topk(self, ids, values, x, bias, rng):
        self.all(x, bias, rng)
        self.all(ids, values, write=True)
        self.macs[2] = 2 * x.rows * x.cols

    def states(self, state, slot):
        slots = self.ints(slot)
        last = len(slots) - 1
        return ([a for i, (a, _) in enumerate(slots) if a >= 0 and not (i and slots[i - 1][1] == a)],
                [b for i, (_, b) in enumerate(slots) if b >= 0 and not (i < last and slots[i + 1][1] == b)])

    def conv(self, dst, x, w, bias, state, slot):
        frm, to = self.states(state, slot)
        self.all(x, w, bias, slot)
        self.some(state, frm)
        self.some(state, to, True)
        self.all(dst, write=True)
        self.macs[2] = w.cols * x.rows * x.cols

    def scan(self, dst, v, k, q, g, beta, a, d, state, slot):
        frm, to = self.states(state, slot)
        self.all(v, k, q, g, beta, a, d, slot)
        self.some(state, frm)
        self.some(state, to, True)
        self.all(dst, write=True)
        self.macs[2] = (4 if self.flags else 3) * v.rows * state.cols

    def copy(self):
        dst, src, size = self.field('QQQ', 16)
        self.operands += [Operand((src, src + size), [(src, size)]), Operand((dst, dst + size), [(dst, size)], True)]
        self.dma = size

    def prefetch(self):
        va, size = self.field('QQ', 16)
        self.operands.append(Operand((va, va + size), [(va, size)]))
        self.dma = size

    def signal(self):
        va, = self.field('Q', 16)
        size = 128 if self.flags == 2 else 8
        self.operands.append(Operand((va, va + size), [(va, size)], True))

    def wait(self):
        va, = self.field('Q', 16)
        self.operands.append(Operand((va, va + 8), [(va, 8)]))


def main():
    processor, n, bad = None, 0, 0
    for line in sys.stdin:
        item = json.loads(line)
        if 'profile' in item:
            processor = Processor(item['profile'])
            Command.sram = item['profile']['sram_size']
        elif 'map' in item:
            processor.map(*item['map'])
        elif 'begin' in item:
            processor.begin(item['begin'])
        elif 'forget' in item:
            processor.forget(item['forget'])
        elif 'go' in item:
            processor.go(item['go'])
        else:
            step = item.get('step') or item['together']
            n += 1
            wrong = ['%s %d, not %d' % t for t in zip(NAMES, step['counters'], processor.counters())
                     if t[1] != t[2] and ('step' in item or t[0] not in ORDERED)]
            if 'step' in item and processor.rings[step['ring']].cycles != step['ring_cycles']:
                wrong.append('ring_cycles %d, not %d' % (step['ring_cycles'], processor.rings[step['ring']].cycles))
            print('%s %d - %s' % ('not ok' if wrong else 'ok', n, step['name']))
            if wrong:
                bad += 1
                print('# ' + '; '.join(wrong))
    print('1..%d' % n)
    return 1 if bad or not n else 0


if __name__ == '__main__':
    sys.exit(main())
