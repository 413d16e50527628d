# SPDX-License-Identifier: MIT
"""Vocabularies for the oracle's models: real ones, though small.  Both kinds are trained on the
few lines below, so that merges overlap, compete and cross languages as they do in large ones."""
import math
import struct
from collections import Counter

from ggufio import BOOL, F32, I32, STR, U32, U8

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = range(1, 7)
SPACE = "\u2581"        # how SentencePiece writes a space

CORPUS = """
The lighthouse keeper counted the ships that passed in the night, and when the morning came he
wrote their names into the book. There were always more of them than he had expected; the other
ships, he thought, must have been hidden by the weather. What is the name of the river that flows
through the city? It isn't known, they're saying, and we'll never know. The questions that the
others asked were the ones that he would have asked himself, then and there.
Der Leuchtturm steht an der Küste, und die Schiffe fahren in der Nacht an ihm vorüber. Wenn der
Wind stärker wird, schließen die Leute die Fenster und warten, bis es wieder ruhig geworden ist.
Die Straße führt über die Brücke in die Stadt; dort wohnen die Menschen, die früher Fischer waren.
Le phare se trouve à l'entrée du port, où les bateaux arrivent quand la mer est calme. Les élèves
de l'école regardent la forêt et écoutent les oiseaux; ça leur plaît, même en hiver. C'était là
que les pêcheurs étaient rentrés, après des années passées à l'étranger.
Ο φάρος είναι στην άκρη του νησιού και το βράδυ το φως του φαίνεται από μακριά. Τα πλοία που
περνούν από το λιμάνι πηγαίνουν προς τη θάλασσα, και οι άνθρωποι τα κοιτάζουν από την ακτή.
Latarnia morska stoi na wybrzeżu, a wieczorem jej światło widać z daleka. Gdzie są łodzie, które
przepływały przez zatokę? Wszyscy wiedzą, że późną jesienią żegluga jest trudniejsza niż w lecie.
int main(int argc, char **argv) {     for (int i = 0; i < argc; i++)         printf("%d", argv[i]);
    return 0; } 0 1 2 3 4 5 6 7 8 9 10 11 12 20 50 99 100 123 365 500 999 1000 1984 2000 2026 3.14
"""


def chunks(space):
    """The words of the corpus with the spaces before them, and its punctuation, counted."""
    found = Counter()
    word = ""
    for c in CORPUS.replace("\n", " "):
        if c == " ":
            if word.strip(space):
                found[word] += 1
                word = ""
            word += space
        elif c.isalnum():
            word += c
        else:
            found[word] += 1
            found[c] += 1
            word = ""
    found[word] += 1
    return {w: n for w, n in found.items() if w}


def train(words, n):
    """The first n merges, most frequent pair first, of words given as {tuple of symbols: count};
    of equally frequent pairs the one that sorts first.  A merge is a pair of symbols."""
    merges = []
    while len(merges) < n:
        pairs = Counter()
        for w, count in words.items():
            for pair in zip(w, w[1:]):
                pairs[pair] += count
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], p))
        merges.append(best)
        words = {merged(w, best): count for w, count in words.items()}
    return merges


def merged(word, pair):
    out, i = [], 0
    while i < len(word):
        if word[i:i + 2] == pair:
            out.append(word[i] + word[i + 1])
            i += 2
        else:
            out.append(word[i])
            i += 1
    return tuple(out)


def byte_characters():
    """Byte-level BPE writes bytes as characters: printable Latin-1 as itself, the others as those
    from U+0100 on."""
    plain = set(range(33, 127)) | set(range(161, 256)) - {173}
    others = (chr(c) for c in range(256, 512))
    return [chr(b) if b in plain else next(others) for b in range(256)]


def fill(tokens, types, n):
    while len(tokens) < n:
        tokens.append("<unused%d>" % len(tokens))
        types.append(UNUSED)


def spm(n):
    """Keys of a SentencePiece vocabulary: bytes, merges by rank, single characters."""
    tokens = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)] + ["<note>"]
    types = [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [USER]
    words = chunks(SPACE)
    count = Counter()
    for w, k in words.items():
        for c in w:
            count[c] += k
    letters = sorted(count, key=lambda c: (-count[c], c))[:max(0, n - len(tokens))]
    pieces = [a + b for a, b in train({tuple(w): k for w, k in words.items()},
                                      n - len(tokens) - len(letters))]
    pieces = list(dict.fromkeys(pieces)) + letters
    scores = [0.0] * len(tokens) + [-float(i) for i in range(len(pieces))]
    tokens += pieces
    types += [NORMAL] * len(pieces)
    fill(tokens, types, n)
    scores += [-1e6] * (n - len(scores))
    return [("tokenizer.ggml.model", STR, "llama"),
            ("tokenizer.ggml.pre", STR, "default"),
            ("tokenizer.ggml.tokens", STR, tokens),
            ("tokenizer.ggml.scores", F32, scores),
            ("tokenizer.ggml.token_type", I32, types),
            ("tokenizer.ggml.bos_token_id", U32, 1),
            ("tokenizer.ggml.eos_token_id", U32, 2),
            ("tokenizer.ggml.unknown_token_id", U32, 0),
            ("tokenizer.ggml.add_bos_token", BOOL, True),
            ("tokenizer.ggml.add_eos_token", BOOL, False)]


BPE_CONTROL = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
               "<|eot_id|>"]


def bpe(n, pre):
    """Keys of a byte-level BPE vocabulary of the kind of Llama 3: control tokens at the end, and
    words that no merges lead to, which count where a vocabulary looks up words first."""
    char = byte_characters()

    def spelt(s):
        return "".join(char[b] for b in s.encode())

    whole = [spelt(" lighthouse"), spelt(" stärker")]
    room = n - 256 - len(BPE_CONTROL) - 1
    words = {tuple(spelt(w)): k for w, k in chunks(" ").items()}
    merges = [(a, b) for a, b in train(words, max(0, room - len(whole))) if a + b not in whole]
    pieces = list(dict.fromkeys(a + b for a, b in merges))
    if room > len(pieces) + len(whole):
        pieces += whole
    tokens = char + pieces
    types = [NORMAL] * len(tokens)
    fill(tokens, types, n - len(BPE_CONTROL) - 1)
    tokens += ["<note>"] + BPE_CONTROL
    types += [USER] + [CONTROL] * len(BPE_CONTROL)
    return [("tokenizer.ggml.model", STR, "gpt2"),
            ("tokenizer.ggml.pre", STR, pre),
            ("tokenizer.ggml.tokens", STR, tokens),
            ("tokenizer.ggml.token_type", I32, types),
            ("tokenizer.ggml.merges", STR, ["%s %s" % m for m in merges]),
            ("tokenizer.ggml.bos_token_id", U32, n - 5),
            ("tokenizer.ggml.eos_token_id", U32, n - 1)]


def llama_bpe(n):
    return bpe(n, "llama-bpe")


def gemma(n):
    """Keys of a vocabulary of Gemma 4's kind: merges of characters, line ends among the tokens."""
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>"] + ["<0x%02X>" % b for b in range(256)] + ["<note>"]
    types = [CONTROL] * 3 + [UNKNOWN] + [BYTE] * 256 + [USER]
    tokens += ["\n" * i for i in range(1, 5)]
    types += [NORMAL] * 4
    words = chunks(SPACE)
    letters = sorted({c for w in words for c in w})[:max(0, n - len(tokens))]
    merges = train({tuple(w): k for w, k in words.items()}, n - len(tokens) - len(letters))
    pieces = list(dict.fromkeys(letters + [a + b for a, b in merges]))
    tokens += pieces
    types += [NORMAL] * len(pieces)
    fill(tokens, types, n)
    return [("tokenizer.ggml.model", STR, "gemma4"),
            ("tokenizer.ggml.tokens", STR, tokens),
            ("tokenizer.ggml.scores", F32, [0.0] * n),
            ("tokenizer.ggml.token_type", I32, types),
            ("tokenizer.ggml.merges", STR, ["%s %s" % m for m in merges]),
            ("tokenizer.ggml.bos_token_id", U32, 2),
            ("tokenizer.ggml.eos_token_id", U32, 1),
            ("tokenizer.ggml.unknown_token_id", U32, 3),
            ("tokenizer.ggml.add_space_prefix", BOOL, False)]


# What the normaliser of the unigrams below replaces, the longer first.
REPLACED = {"\ufb01": "fi", "\u3000": " ", "\u00a0": " ", "\u2026": "...", "\t": " ", "\uff01": "!",
            "e\u0301": "\xe9", "\xbc": "1/4"}


def charsmap(replaced):
    """A trie in an array, as Darts has it (each node's children at its place ^ base ^ byte, the value at the child
    of byte 0), and the texts behind it."""
    texts, at = b"", {}
    root = {}
    for key, text in replaced.items():
        at[key] = len(texts)
        texts += text.encode() + b"\0"
        node = root
        for b in key.encode():
            node = node.setdefault(b, {})
        node[0] = at[key]
    cells = {0: 0}

    def place(node, index):
        offset = next(o for o in range(256, 1 << 20) if all(o ^ b not in cells for b in node)
                      and o not in cells)
        base = offset ^ index
        assert base < 1 << 21
        cells[index] = cells.get(index, 0) | base << 10 | (0 in node) << 8
        for b in node:
            cells[offset ^ b] = node[0] | 1 << 31 if b == 0 else b
        for b, child in node.items():
            if b:
                place(child, offset ^ b)

    place(root, 0)
    size = max(cells) + 1
    trie = b"".join(struct.pack("<I", cells.get(i, 0xff)) for i in range(size + (-size) % 256))
    return struct.pack("<I", len(trie)) + trie + texts


def unigram(n):
    """Keys of a SentencePiece vocabulary of unigrams, with what it replaces: pieces by how often they are found."""
    tokens, types = ["<pad>", "</s>", "<unk>", "<note>"], [CONTROL, CONTROL, UNKNOWN, USER]
    words, found = chunks(SPACE), Counter()
    for w, k in words.items():
        for i in range(len(w)):
            for j in range(i + 1, min(len(w), i + 8) + 1):
                found[w[i:j]] += k
    letters = sorted(c for c in found if len(c) == 1)[:max(0, n - len(tokens))]
    longer = sorted((c for c in found if len(c) > 1), key=lambda c: (-found[c] * len(c), c))
    pieces = letters + longer[:max(0, n - len(tokens) - len(letters))]
    total = sum(found.values())
    scores = [0.0] * len(tokens) + [math.log(found[c] / total) for c in pieces]
    tokens += pieces
    types += [NORMAL] * len(pieces)
    fill(tokens, types, n)
    scores += [-30.0] * (n - len(scores))
    return [("tokenizer.ggml.model", STR, "t5"),
            ("tokenizer.ggml.pre", STR, "default"),
            ("tokenizer.ggml.tokens", STR, tokens),
            ("tokenizer.ggml.scores", F32, scores),
            ("tokenizer.ggml.token_type", I32, types),
            ("tokenizer.ggml.precompiled_charsmap", U8, list(charsmap(REPLACED))),
            ("tokenizer.ggml.eos_token_id", U32, 1),
            ("tokenizer.ggml.unknown_token_id", U32, 2),
            ("tokenizer.ggml.padding_token_id", U32, 0),
            ("tokenizer.ggml.add_space_prefix", BOOL, True),
            ("tokenizer.ggml.remove_extra_whitespaces", BOOL, True),
            ("tokenizer.ggml.add_bos_token", BOOL, False),
            ("tokenizer.ggml.add_eos_token", BOOL, True)]


def none(n):
    return [("tokenizer.ggml.model", STR, "none")]


KINDS = {"spm": (spm, 3 + 256 + 1), "gemma": (gemma, 4 + 256 + 5), "unigram": (unigram, 8),
         "llama-bpe": (llama_bpe, 256 + 6), "none": (none, 4)}
