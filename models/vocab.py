# SPDX-License-Identifier: MIT
"""The vocabulary: byte-pair training, and the tokenizer that GGUF calls "llama".

encode() is the greedy bigram algorithm that runtimes apply to such a vocabulary: start from
single characters, always merge the neighbouring pair whose joint text has the highest score
(the leftmost on a tie), then spell what is not in the vocabulary as bytes.  The training text
is cut by this function, so a runtime that follows the algorithm sees what the model has seen.
"""
import collections
import heapq
import re

SPACE = "\u2581"
UNK, BOS, EOS = 0, 1, 2
FIRST_BYTE = 3
FIRST_PIECE = FIRST_BYTE + 256
T_NORMAL, T_UNKNOWN, T_CONTROL, T_BYTE = 1, 2, 3, 6

# One "word" of the training: letters with the space before them, or a single other character.
# Digits and punctuation therefore never melt into longer pieces.
WORD = re.compile(SPACE + r"?[^\W\d_]+|" + SPACE + r"|.", re.S)


class Vocab:
    """tokens, scores and types are parallel lists, index = token id."""

    def __init__(self, pieces):
        """pieces: best first; single characters may stand anywhere in the list"""
        self.tokens = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)] + list(pieces)
        self.scores = [0.0] * FIRST_PIECE + [-float(i) for i in range(len(pieces))]
        self.types = [T_UNKNOWN, T_CONTROL, T_CONTROL] + [T_BYTE] * 256 + [T_NORMAL] * len(pieces)
        self.ids = {t: i for i, t in enumerate(self.tokens)}
        assert len(self.ids) == len(self.tokens), "a piece is twice in the vocabulary"

    def __len__(self):
        return len(self.tokens)

    def encode(self, text, first=True):
        """token ids of text, no BOS; first: text opens the prompt and gets the space prefix"""
        s = list(((" " if first else "") + text).replace(" ", SPACE))
        prev = list(range(-1, len(s) - 1))
        after = list(range(1, len(s))) + [-1]
        queue = []

        def push(left, right):
            if left < 0 or right < 0:
                return
            joint = s[left] + s[right]
            i = self.ids.get(joint)
            if i is not None:
                heapq.heappush(queue, (-self.scores[i], left, right, joint))

        for i in range(len(s) - 1):
            push(i, i + 1)
        while queue:
            _, left, right, joint = heapq.heappop(queue)
            if not s[left] or not s[right] or s[left] + s[right] != joint or after[left] != right:
                continue                    # one of the two has been merged meanwhile
            s[left], s[right] = joint, ""
            after[left] = after[right]
            if after[right] >= 0:
                prev[after[right]] = left
            push(prev[left], left)
            push(left, after[left])
        out = []
        for piece in s:
            if not piece:
                continue
            i = self.ids.get(piece)
            if i is not None:
                out.append(i)
            else:
                out += [FIRST_BYTE + b for b in piece.encode()]
        return out

    def decode(self, ids):
        raw = b""
        for i in ids:
            if self.types[i] == T_BYTE:
                raw += bytes([i - FIRST_BYTE])
            elif self.types[i] == T_NORMAL:
                raw += self.tokens[i].replace(SPACE, " ").encode()
        return raw.decode("utf-8", "replace")


def train(lines, size):
    """A vocabulary of exactly `size` tokens learnt from (text, count) pairs; a pure function."""
    words = collections.Counter()
    for text, count in lines:
        for w in WORD.findall((" " + text).replace(" ", SPACE)):
            words[w] += count
    alphabet = {c for w in words for c in w if c != "\n"}
    alphabet |= {chr(c) for c in range(33, 127)} | {SPACE}
    merges, seen = [], set(alphabet)
    cut = {w: list(w) for w in words}
    pairs, where = collections.Counter(), collections.defaultdict(set)
    for w, parts in cut.items():
        for p in zip(parts, parts[1:]):
            pairs[p] += words[w]
            where[p].add(w)
    while len(merges) < size - FIRST_PIECE - len(alphabet):
        best = min(pairs, key=lambda p: (-pairs[p], p))
        if pairs[best] <= 0:
            raise SystemExit("the text is too small for a vocabulary of %d tokens" % size)
        for w in sorted(where[best]):
            parts = cut[w]
            for p in zip(parts, parts[1:]):
                pairs[p] -= words[w]
                where[p].discard(w)
            i = 0
            while i < len(parts) - 1:
                if (parts[i], parts[i + 1]) == best:
                    parts[i:i + 2] = [best[0] + best[1]]
                i += 1
            for p in zip(parts, parts[1:]):
                pairs[p] += words[w]
                where[p].add(w)
        pairs = collections.Counter({p: n for p, n in pairs.items() if n > 0})
        joint = best[0] + best[1]
        if joint not in seen:               # two ways to one text are one piece
            seen.add(joint)
            merges.append(joint)
    return Vocab(merges + sorted(alphabet))
