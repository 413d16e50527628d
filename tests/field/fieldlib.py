# SPDX-License-Identifier: MIT
"""Small GGUF files with every freedom that files in the wild take: any key type, any width,
any alignment, both byte orders, any tensor.  Standard library only.

  Gguf      a container that writes exactly what it is told
  random_llama(**o)   keys and tensors of a small llama with random weights
  chain(texts, next)  a model that says token next[i] after token i: exact scripts for `accelctl run`
"""
import hashlib
import math
import struct

U8, I8, U16, I16, U32, I32, F32, BOOL, STR, ARR, U64, I64, F64 = range(13)
FORM = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "?",
        U64: "Q", I64: "q", F64: "d"}
# tensor types: id, elements of a block, bytes of a block
T = {"F32": (0, 1, 4), "F16": (1, 1, 2), "Q4_0": (2, 32, 18), "Q4_1": (3, 32, 20),
     "Q5_0": (6, 32, 22), "Q5_1": (7, 32, 24), "Q8_0": (8, 32, 34), "Q2_K": (10, 256, 84),
     "Q3_K": (11, 256, 110), "Q4_K": (12, 256, 144), "Q5_K": (13, 256, 176),
     "Q6_K": (14, 256, 210), "IQ3_S": (21, 256, 110), "BF16": (30, 1, 2), "F64": (28, 1, 8)}
NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = range(1, 7)


def raw(s):
    return s if isinstance(s, (bytes, bytearray)) else s.encode()


class Gguf:
    def __init__(self, version=3, big=False, align=32):
        self.version, self.e, self.align = version, ">" if big else "<", align
        self.keys, self.tensors = [], []    # (name, type, element or None, value)
        self.order = None                   # order of the data, as indices of tensors
        self.gap = 0                        # bytes between tensors, on top of the alignment
        self.tail = b""

    def put(self, name, kind, value, element=None):
        self.keys = [k for k in self.keys if k[0] != name]
        self.keys.append((name, kind, element, value))

    def add(self, name, kind, value, element=None):     # even if it is there already
        self.keys.append((name, kind, element, value))

    def drop(self, *names):
        self.keys = [k for k in self.keys if k[0] not in names]
        self.tensors = [t for t in self.tensors if t[0] not in names]

    def tensor(self, name, dims, kind, data):
        self.tensors.append([name, list(dims), kind, bytes(data)])

    def replace(self, name, dims=None, kind=None, data=None):
        for t in self.tensors:
            if t[0] == name:
                t[1] = list(dims) if dims is not None else t[1]
                t[2] = kind if kind is not None else t[2]
                t[3] = bytes(data) if data is not None else t[3]

    def text(self, s):
        s = raw(s)
        n = struct.pack(self.e + ("I" if self.version == 1 else "Q"), len(s))
        return n + s

    def scalar(self, kind, v):
        if kind == STR:
            return self.text(v)
        if isinstance(v, (bytes, bytearray)):
            return bytes(v)
        return struct.pack(self.e + FORM[kind], v)

    def value(self, kind, element, v):
        if kind != ARR:
            return self.scalar(kind, v)
        return (struct.pack(self.e + "I" + ("I" if self.version == 1 else "Q"), element, len(v)) +
                b"".join(self.scalar(element, x) for x in v))

    def bytes(self):
        e = self.e
        out = bytearray(b"GGUF" + struct.pack(e + "IQQ", self.version, len(self.tensors), len(self.keys)))
        for name, kind, element, v in self.keys:
            out += self.text(name) + struct.pack(e + "I", kind) + self.value(kind, element, v)
        order = self.order or range(len(self.tensors))
        offset, at, blob = {}, 0, bytearray()
        for i in order:
            offset[i] = at
            blob += self.tensors[i][3]
            blob += bytes(-len(blob) % self.align + self.gap)
            at = len(blob)
        for i, (name, dims, kind, _) in enumerate(self.tensors):
            kind = T[kind][0] if isinstance(kind, str) else kind
            out += self.text(name) + struct.pack(e + "I", len(dims))
            out += struct.pack(e + "%dQ" % len(dims), *dims) + struct.pack(e + "IQ", kind, offset[i])
        out += bytes(-len(out) % self.align)
        return bytes(out + blob + self.tail)

    def write(self, path):
        with open(path, "wb") as f:
            f.write(self.bytes())
        return path


def noise(seed, n):
    """n numbers with mean 0 and deviation 1, the same everywhere"""
    b = hashlib.shake_128(str(seed).encode()).digest(2 * n)
    return [(x / 65536 - 0.5) * math.sqrt(12) for x in struct.unpack("<%dH" % n, b)]


def f32(values):
    return struct.pack("<%df" % len(values), *values)


def f16(values):
    return struct.pack("<%de" % len(values), *values)


def bf16(values):
    b = f32(values)
    out = bytearray(len(b) // 2)
    out[0::2], out[1::2] = b[2::4], b[3::4]
    return bytes(out)


def blocks(kind, n, seed):
    """random blocks of a quantised type with small scales; n elements"""
    _, per, size = T[kind]
    k = n // per
    b = bytearray(hashlib.shake_128(("q" + str(seed)).encode()).digest(k * size))
    at = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82],
          "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ3_S": [0]}[kind]
    for i in range(k):
        for a in at:
            b[i * size + a:i * size + a + 2] = struct.pack("<e", (1 if i & 1 else -1) * 0.004)
    return bytes(b)


# ---------------------------------------------------------------- vocabularies

def spm(g, n=300, extra=()):
    """bytes, ASCII characters, a few words; extra: (text, type) before the fill"""
    tokens, types, scores = ["<unk>", "<s>", "</s>"], [UNKNOWN, CONTROL, CONTROL], [0.0] * 3
    for b in range(256):
        tokens.append("<0x%02X>" % b)
        types.append(BYTE)
        scores.append(0.0)
    for text, kind in extra:
        tokens.append(text)
        types.append(kind)
        scores.append(-1.0)
    words = ["\u2581" + w for w in "t th the a an and h he hel hello w wo wor worl world".split()]
    for i, w in enumerate(["\u2581", "\u2581\u2581", "\u2581\u2581\u2581\u2581", "th", "he", "the", "er", "or", "ld"] + words +
                          [chr(c) for c in range(33, 127)]):
        if len(tokens) < n and w not in tokens:
            tokens.append(w)
            types.append(NORMAL)
            scores.append(-10.0 - i)
    while len(tokens) < n:
        tokens.append("<fill%d>" % len(tokens))
        types.append(UNUSED)
        scores.append(-1e6)
    g.put("tokenizer.ggml.model", STR, "llama")
    g.put("tokenizer.ggml.tokens", ARR, tokens, STR)
    g.put("tokenizer.ggml.scores", ARR, scores, F32)
    g.put("tokenizer.ggml.token_type", ARR, types, I32)
    g.put("tokenizer.ggml.bos_token_id", U32, 1)
    g.put("tokenizer.ggml.eos_token_id", U32, 2)
    g.put("tokenizer.ggml.unknown_token_id", U32, 0)
    return tokens


def byte_code():
    plain = set(range(33, 127)) | set(range(161, 173)) | set(range(174, 256))
    code, k = {}, 0
    for b in range(256):
        if b in plain:
            code[b] = chr(b)
        else:
            code[b] = chr(256 + k)
            k += 1
    return code


def bpe(g, n=400, pre="llama-bpe", merges=("t h", "th e", "Ġ the", "h e", "l l", "he ll", "hell o", "Ġ a",
                                           "Ġ hello", "1 2", "12 3", "Ġ Ġ", "ĠĠ ĠĠ", "Ċ Ċ"), extra=()):
    tokens, types = list(byte_code().values()), [NORMAL] * 256
    for m in merges:
        t = m.replace(" ", "")
        if t not in tokens:
            tokens.append(t)
            types.append(NORMAL)
    for text, kind in extra:
        tokens.append(text)
        types.append(kind)
    while len(tokens) < n:
        tokens.append("<fill%d>" % len(tokens))
        types.append(UNUSED)
    g.put("tokenizer.ggml.model", STR, "gpt2")
    if pre is not None:
        g.put("tokenizer.ggml.pre", STR, pre)
    g.put("tokenizer.ggml.tokens", ARR, tokens, STR)
    g.put("tokenizer.ggml.token_type", ARR, types, I32)
    g.put("tokenizer.ggml.merges", ARR, list(merges), STR)
    return tokens


# ---------------------------------------------------------------- models

def header(g, o):
    g.put("general.architecture", STR, "llama")
    g.put("general.name", STR, o.get("name", "field"))
    for key, name in (("context_length", "ctx"), ("embedding_length", "embd"), ("block_count", "layers"),
                      ("feed_forward_length", "ff"), ("attention.head_count", "heads"),
                      ("attention.head_count_kv", "kv")):
        g.put("llama." + key, U32, o[name])
    g.put("llama.attention.layer_norm_rms_epsilon", F32, 1e-5)
    g.put("llama.rope.dimension_count", U32, o["hd"])
    g.put("llama.rope.freq_base", F32, o.get("base", 10000.0))
    if o["hd"] * o["heads"] != o["embd"] or o.get("keylen"):
        g.put("llama.attention.key_length", U32, o["hd"])
        g.put("llama.attention.value_length", U32, o["hd"])


def random_llama(tok="spm", n_vocab=None, **more):
    """a Gguf; options: embd heads kv hd ff layers ctx vocab wtype bias mlp_bias tied base align version big"""
    o = dict(embd=64, heads=4, kv=2, ff=96, layers=2, ctx=512, vocab=400, wtype="F32", seed=1)
    o.update(more)
    o.setdefault("hd", o["embd"] // o["heads"])
    g = Gguf(version=o.get("version", 3), big=o.get("big", False), align=o.get("align", 32))
    header(g, o)
    if tok == "spm":
        spm(g, n_vocab or o["vocab"], o.get("extra", ()))
    elif tok == "bpe":
        bpe(g, n_vocab or o["vocab"], pre=o.get("pre", "llama-bpe"), extra=o.get("extra", ()))
    enc = {"F32": f32, "F16": f16, "BF16": bf16}

    def mat(name, cols, rows, gain=1.0, kind=None):
        kind = kind or o["wtype"]
        if kind in enc:
            s = gain / math.sqrt(cols)
            v = [x * s for x in noise(name + str(o["seed"]), cols * rows)]
            if o.get("big"):
                data = struct.pack(">%df" % len(v), *v)
            else:
                data = enc[kind](v)
        else:
            data = blocks(kind, cols * rows, name + str(o["seed"]))
        g.tensor(name, [cols, rows], kind, data)

    def vec(name, n, mean=1.0, dev=0.1):
        v = [mean + dev * x for x in noise(name + str(o["seed"]), n)]
        g.tensor(name, [n], "F32", struct.pack(g.e + "%df" % n, *v))

    q, kv = o["heads"] * o["hd"], o["kv"] * o["hd"]
    mat("token_embd.weight", o["embd"], o["vocab"], gain=math.sqrt(o["embd"]))
    vec("output_norm.weight", o["embd"])
    if not o.get("tied"):
        mat("output.weight", o["embd"], o["vocab"], 2.0)
    for i in range(o["layers"]):
        p = "blk.%d." % i
        vec(p + "attn_norm.weight", o["embd"])
        mat(p + "attn_q.weight", o["embd"], q, 2.0)
        mat(p + "attn_k.weight", o["embd"], kv, 2.0)
        mat(p + "attn_v.weight", o["embd"], kv)
        mat(p + "attn_output.weight", q, o["embd"])
        if o.get("bias"):
            for s, m in (("q", q), ("k", kv), ("v", kv), ("output", o["embd"])):
                vec(p + "attn_%s.bias" % s, m, 0.0, 0.3)
        vec(p + "ffn_norm.weight", o["embd"])
        ff = o["ff_list"][i] if "ff_list" in o else o["ff"]
        mat(p + "ffn_gate.weight", o["embd"], ff, 1.5)
        mat(p + "ffn_up.weight", o["embd"], ff, 1.5)
        mat(p + "ffn_down.weight", ff, o["embd"])
        if o.get("mlp_bias"):
            for s, m in (("gate", ff), ("up", ff), ("down", o["embd"])):
                vec(p + "ffn_%s.bias" % s, m, 0.0, 0.3)
    return g


def chain(n, nexts, tok="spm", embd=None, extra=(), pre="llama-bpe", ctx=512, default=None, tokens=None):
    """a model with n tokens in which token nexts[i] follows token i (default: token `default`)"""
    embd = embd or -(-n // 32) * 32
    o = dict(embd=embd, heads=1, kv=1, hd=32, ff=32, layers=1, ctx=ctx)
    g = Gguf()
    header(g, o)
    if tok == "spm":
        spm(g, n, extra)
    elif tok == "bpe":
        bpe(g, n, pre=pre, extra=extra)
    emb = bytearray(2 * embd * n)
    out = bytearray(2 * embd * n)
    for i in range(n):
        emb[2 * (i * embd + i):2 * (i * embd + i) + 2] = struct.pack("<e", 1.0)
        j = nexts.get(i, default if default is not None else 2)
        out[2 * (j * embd + i):2 * (j * embd + i) + 2] = struct.pack("<e", 4.0)
    ones = f32([1.0] * embd)
    g.tensor("token_embd.weight", [embd, n], "F16", emb)
    g.tensor("output_norm.weight", [embd], "F32", ones)
    g.tensor("output.weight", [embd, n], "F16", out)
    g.tensor("blk.0.attn_norm.weight", [embd], "F32", ones)
    for s, dims in (("attn_q", [embd, 32]), ("attn_k", [embd, 32]), ("attn_v", [embd, 32]),
                    ("attn_output", [32, embd]), ("ffn_gate", [embd, 32]), ("ffn_up", [embd, 32]),
                    ("ffn_down", [32, embd])):
        g.tensor("blk.0.%s.weight" % s, dims, "F16", bytes(2 * dims[0] * dims[1]))
    g.tensor("blk.0.ffn_norm.weight", [embd], "F32", ones)
    return g
