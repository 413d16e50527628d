#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The table of hops of a round trip, from what the plugins insns.c and hops.c wrote.

hops.py INSNS HOPS KALLSYMS NAME...      NAMES of the reports, in order; "-": not this one
hops.py --functions N INSNS KALLSYMS NAME...    the N dearest functions of each part
hops.py --calls INSNS NAME...                   lines "NAME\tN": the median of a call's own instructions
"""
import bisect
import collections
import sys

SEND, WAIT, REPORT = 1, 2, 3
KERNEL = 1 << 63
PROGRAM = "(program)"


class Symbols:
    def __init__(self, path):
        known = []
        for line in open(path):
            words = line.split()
            if words[1] in "tTwW":
                known.append((int(words[0], 16), " ".join(words[2:])))
        known.sort()
        self.addresses = [a for a, _ in known]
        self.names = [n for _, n in known]

    def name(self, address):
        if address < KERNEL:
            return PROGRAM
        i = bisect.bisect_right(self.addresses, address) - 1
        return self.names[i] if i >= 0 else hex(address)


def kind_of(vector, symbols):
    """Interrupts of devices; those that any program sees; and exceptions, which are none."""
    name = symbols.name(vector) if vector else ""
    if name.startswith("irq_entries"):
        return "interrupt"
    return "others" if name.startswith("asm_sysvec") else ""


def read_insns(path):
    reports = []
    for line in open(path):
        words = line.split()
        if words[0] == "marks":
            reports.append((int(words[1]), [], int(words[2])))
        else:
            reports[-1][1].append([int(w, 0) for w in words])
    return reports


def part_of(phase, stage, vector, symbols):
    return kind_of(vector, symbols) or ("to the doorbell", "to sleep, or the end", "after a halt")[stage]


def count(report, symbols):
    """{part: {function: instructions of a round trip}}"""
    marks, rows, _ = report
    parts = collections.defaultdict(collections.Counter)
    for phase, stage, vector, va, insns, times in rows:
        parts[part_of(phase, stage, vector, symbols)][symbols.name(va)] += insns * times / marks
    return parts


def read_hops(path):
    """For each report, for each round trip its events."""
    reports, trip, events = [], None, []
    for line in open(path):
        ns, cpu, what, address = line.split()
        events.append((int(ns), int(cpu), what, int(address, 0)))
        if what == str(REPORT):
            events.sort(key=lambda e: e[0])
            trips = []
            for e in events:
                if e[2] == str(SEND):
                    trip = [e]
                elif trip is not None:
                    trip.append(e)
                    if e[2] == "0":
                        trips.append(trip)
                        trip = None
            reports.append(trips)
            events, trip = [], None
    return reports


def hops(trips, symbols):
    """{hop: [us]}"""
    found = collections.defaultdict(list)
    for t in trips:
        start, end = t[0][0], t[-1][0]
        found["whole"].append(end - start)
        bell = next((e for e in t if e[2] == "W"), None)
        if bell:            # else a shadow doorbell was enough
            began = max(e[0] for e in t if e[2] == "S" and e[1] == bell[1] and e[0] <= bell[0])
            found["to the doorbell"].append(began - start)
            found["doorbell"].append(bell[0] - began)
        sent = next((e for e in t if e[2] == str(WAIT)), None)
        if sent:
            found["call that sends"].append(sent[0] - start)
        first = bell[0] if bell else start
        for i, irq in enumerate(t):
            if irq[2] != "I" or irq[0] < first or kind_of(irq[3], symbols) != "interrupt":
                continue
            left = [e[0] for e in t[i:] if e[2] == "R" and e[1] == irq[1]]
            if left:
                found["to the interrupt"].append(irq[0] - start)
                found["interrupt"].append(left[0] - irq[0])
                found["after it"].append(end - left[0])
            break
    return found


def median(values):
    return sorted(values)[len(values) // 2] if values else float("nan")


def table(insns, times, symbols, names):
    columns = [n for n in names if n != "-"]
    counts = {n: count(r, symbols) for r, n in zip(insns, names) if n != "-"}
    took = {n: hops(t, symbols) for t, n in zip(times, names) if n != "-"}
    width = max(12, *(len(n) + 2 for n in columns))

    def row(title, cells):
        print("%-34s" % title + "".join(("%%%ds" % width) % c for c in cells))

    def total(name, parts):
        return sum(n for part in parts for f, n in counts[name][part].items() if f != PROGRAM)

    own = ("to the doorbell", "to sleep, or the end", "interrupt", "after a halt")
    row("instructions of the kernel", columns)
    for part in own:
        row(part, ["%.0f" % total(n, [part]) for n in columns])
    row("together", ["%.0f" % total(n, own) for n in columns])
    row("ticks and other interrupts", ["%.0f" % total(n, ["others"]) for n in columns])
    print()
    row("microseconds, medians", columns)
    for hop in ("to the doorbell", "doorbell", "call that sends", "to the interrupt", "interrupt",
                "after it", "whole"):
        row(hop, ["%.1f" % (median(took[n][hop]) / 1e3) for n in columns])
    row("round trips without a doorbell %", ["%.0f" % (100 - 100 * len(took[n]["doorbell"]) /
                                                       max(1, len(took[n]["whole"]))) for n in columns])


def functions(most, insns, symbols, names):
    for report, name in zip(insns, names):
        if name == "-":
            continue
        for part, c in count(report, symbols).items():
            print("%s: %s: %.0f" % (name, part, sum(c.values())))
            for function, n in c.most_common(most):
                print("%10.1f %s" % (n, function))


def calls(insns, names):
    for (_, _, call), name in zip(insns, names):
        print("%s\t%d" % (name, call))


def main(args):
    if args[0] == "--functions":
        functions(int(args[1]), read_insns(args[2]), Symbols(args[3]), args[4:])
    elif args[0] == "--calls":
        calls(read_insns(args[1]), args[2:])
    else:
        table(read_insns(args[0]), read_hops(args[1]), Symbols(args[2]), args[3:])


if __name__ == "__main__":
    main(sys.argv[1:])
