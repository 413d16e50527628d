#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes unicode_runs.h: the class of every code point, from Python's unicodedata.

  unicode.py >unicode_runs.h
"""
import unicodedata

# The order is that of enum unicode_class.
CLASSES = {"Lu": 1, "Lt": 1, "Ll": 2, "Lm": 3, "Lo": 3, "M": 4, "N": 5, "P": 6, "S": 7}


def kind(c):
    category = unicodedata.category(chr(c))
    return CLASSES.get(category, CLASSES.get(category[0], 0))


def runs():
    """first code point << 3 | class, of each run of equal classes"""
    before = None
    for c in range(0x110000):
        k = kind(c)
        if k != before:
            yield c << 3 | k
        before = k


def table():
    line = ""
    for run in runs():
        item = "0x%x," % run
        if len(line) + len(item) > 88:
            yield "\t" + line.rstrip()
            line = ""
        line += item + " "
    yield "\t" + line.rstrip()


print("""/* SPDX-License-Identifier: MIT */
/* Made by unicode.py from Unicode %s.  Do not edit. */
%s""" % (unicodedata.unidata_version, "\n".join(table())))
