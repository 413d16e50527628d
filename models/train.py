#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Train the demo model from the tables in facts/ and write it as a GGUF file.

  python3 models/train.py --out models/octans-demo.gguf     train, write, evaluate
  python3 models/train.py --eval models/octans-demo.gguf    evaluate a file
  python3 models/train.py --ask models/octans-demo.gguf "What is the capital of France?"

Needs python3-torch and python3-numpy (Debian packages); with libopenblas0-serial or another fast
BLAS it takes minutes, with the reference BLAS hours.  One thread, fixed seeds: the same machine
and the same packages give the same file.
"""
import argparse
import math
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")      # before torch and the BLAS look

import torch
import torch.nn.functional as F

import ggufio
import questions
import vocab

EMBD, LAYERS, HEADS, KV_HEADS, FF, VOCAB, CONTEXT = 256, 4, 8, 2, 512, 2048, 256
HEAD_DIM, EPS, THETA = EMBD // HEADS, 1e-5, 10000.0
PROMPT = "Q: %s\nA:"
TEMPLATE = ("{% for m in messages %}{% if m['role'] == 'user' %}Q: {{ m['content'] }}\nA:"
            "{% elif m['role'] == 'assistant' %} {{ m['content'] }}\n{% endif %}{% endfor %}")
IGNORE = -100


# ------------------------------------------------------------------ the network
def shapes():
    """Tensors of the file in order; matrices are (outputs, inputs)."""
    kv = KV_HEADS * HEAD_DIM
    yield "token_embd.weight", (VOCAB, EMBD)        # also the head: tied
    yield "output_norm.weight", (EMBD,)
    for i in range(LAYERS):
        for name, shape in (("attn_norm", (EMBD,)), ("attn_q", (EMBD, EMBD)), ("attn_k", (kv, EMBD)),
                            ("attn_v", (kv, EMBD)), ("attn_output", (EMBD, EMBD)), ("ffn_norm", (EMBD,)),
                            ("ffn_gate", (FF, EMBD)), ("ffn_up", (FF, EMBD)), ("ffn_down", (EMBD, FF))):
            yield "blk.%d.%s.weight" % (i, name), shape


def initial(gen):
    out = {}
    for name, shape in shapes():
        if len(shape) == 1:
            out[name] = torch.ones(shape)
            continue
        std = 1.0 / math.sqrt(shape[1])
        if "attn_output" in name or "ffn_down" in name:
            std /= math.sqrt(2 * LAYERS)
        out[name] = torch.randn(shape, generator=gen) * std
    return out


def rope_table(n):
    """(cos, sin), each [n, HEAD_DIM / 2]; pair i turns by position * THETA^(-2i / HEAD_DIM)"""
    freq = THETA ** (-torch.arange(0, HEAD_DIM, 2, dtype=torch.float64) / HEAD_DIM)
    angle = torch.arange(n, dtype=torch.float64)[:, None] * freq
    return angle.cos().float(), angle.sin().float()


COS, SIN = rope_table(CONTEXT)


def rope(x):
    """x [batch, heads, time, dim]; neighbouring elements are the pairs"""
    n = x.shape[2]
    c, s = COS[:n], SIN[:n]
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * c - b * s, a * s + b * c), -1).flatten(3)


def norm(x, w):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS) * w


def hidden(w, tokens):
    """[batch, time] token ids -> [batch, time, EMBD], ready for the head"""
    b, n = tokens.shape
    x = F.embedding(tokens, w["token_embd.weight"])
    mask = torch.full((n, n), float("-inf")).triu(1)
    for i in range(LAYERS):
        p = "blk.%d." % i
        h = norm(x, w[p + "attn_norm.weight"])
        q = rope(F.linear(h, w[p + "attn_q.weight"]).view(b, n, HEADS, HEAD_DIM).transpose(1, 2))
        k = rope(F.linear(h, w[p + "attn_k.weight"]).view(b, n, KV_HEADS, HEAD_DIM).transpose(1, 2))
        v = F.linear(h, w[p + "attn_v.weight"]).view(b, n, KV_HEADS, HEAD_DIM).transpose(1, 2)
        # query heads of one group stand one after the other in time for their common key head
        g = HEADS // KV_HEADS
        q = q.reshape(b, KV_HEADS, g * n, HEAD_DIM)
        a = (q @ k.transpose(2, 3)) * (1.0 / math.sqrt(HEAD_DIM))
        a = (a.view(b, KV_HEADS, g, n, n) + mask).softmax(-1).view(b, KV_HEADS, g * n, n)
        o = (a @ v).view(b, HEADS, n, HEAD_DIM).transpose(1, 2).reshape(b, n, EMBD)
        x = x + F.linear(o, w[p + "attn_output.weight"])
        h = norm(x, w[p + "ffn_norm.weight"])
        u = F.silu(F.linear(h, w[p + "ffn_gate.weight"])) * F.linear(h, w[p + "ffn_up.weight"])
        x = x + F.linear(u, w[p + "ffn_down.weight"])
    return norm(x, w["output_norm.weight"])


# ------------------------------------------------------------------ sequences
def turn(voc, question, answer, first):
    """(tokens, targets) of one question and its answer: the targets of the question are ignored,
    the answer ends with a newline, and after it the end of the text is expected"""
    q = voc.encode(PROMPT % question, first)
    a = voc.encode(" " + answer + "\n", False)
    ids = ([vocab.BOS] if first else []) + q + a
    return ids, [IGNORE] * (len(ids) - len(a) - 1) + a + [vocab.EOS]


def padded(seqs):
    n = max(len(ids) for ids, _ in seqs)
    x = torch.tensor([ids + [vocab.EOS] * (n - len(ids)) for ids, _ in seqs])
    y = torch.tensor([t + [IGNORE] * (n - len(t)) for _, t in seqs])
    return x, y


def epoch(voc, train, inventor, rng, batch):
    """One pass over the training questions, in batches of sequences of like length.  One sequence
    in five is a conversation of two or three turns; one question in seven has no answer."""
    its = train + [inventor.item(rng) for _ in range(len(train) // 6)]
    its = questions.shuffled(its, rng)
    seqs = []
    while its:
        ids, targets = [], []
        for k in range(min(len(its), rng.choice((1, 1, 1, 1, 1, 1, 1, 1, 2, 3)))):
            it = its.pop()
            a, b = turn(voc, questions.vary(it.question, rng), it.answer, k == 0)
            ids, targets = ids + a, targets + b
        seqs.append((ids, targets))
    out = []
    for at in range(0, len(seqs), 16 * batch):
        part = sorted(seqs[at:at + 16 * batch], key=lambda s: len(s[0]))
        out += [part[i:i + batch] for i in range(0, len(part), batch)]
    return [padded(b) for b in questions.shuffled(out, rng)]


# ------------------------------------------------------------------ evaluation
def right(w, voc, its, batch=128):
    """For every item, whether greedy decoding gives exactly the answer and stops.  One pass per
    batch is enough: the answer comes out if and only if each of its tokens is the likeliest one
    after the prompt and the part of the answer before it."""
    ok = [False] * len(its)
    order = sorted(range(len(its)), key=lambda i: len(its[i].question))
    with torch.no_grad():
        for at in range(0, len(order), batch):
            part = order[at:at + batch]
            x, y = padded([turn(voc, its[i].question, its[i].answer, True) for i in part])
            best = F.linear(hidden(w, x), w["token_embd.weight"]).argmax(-1)
            good = ((best == y) | (y == IGNORE)).all(1)
            for i, g in zip(part, good.tolist()):
                ok[i] = g
    return ok


def answer(w, voc, question, limit=48):
    """greedy decoding, token by token"""
    ids = [vocab.BOS] + voc.encode(PROMPT % question)
    out = []
    with torch.no_grad():
        while len(out) < limit and len(ids) < CONTEXT:
            h = hidden(w, torch.tensor([ids]))[:, -1]
            t = int(F.linear(h, w["token_embd.weight"]).argmax())
            if t == vocab.EOS:
                break
            ids.append(t)
            out.append(t)
    return voc.decode(out).strip()


def load(path):
    keys, tensors = ggufio.read(path)
    voc = vocab.Vocab(keys["tokenizer.ggml.tokens"][vocab.FIRST_PIECE:])
    if voc.scores != keys["tokenizer.ggml.scores"] or keys["octans.prompt.format"] != PROMPT:
        raise SystemExit("%s: not made by this version of train.py" % path)
    return {n: torch.from_numpy(a) for n, a in tensors.items()}, voc


def evaluate(path):
    """accuracy of the quantised weights, as they are in the file"""
    w, voc = load(path)
    its = questions.items()
    ok = right(w, voc, its)
    count = {}
    for it, good in zip(its, ok):
        for key in ((it.held, "all"), (it.held, it.relation)):
            n, k = count.get(key, (0, 0))
            count[key] = (n + 1, k + good)
    print("%-12s %18s %18s" % ("", "trained", "held out"))
    for rel in ["all"] + sorted({it.relation for it in its}):
        cells = []
        for held in (False, True):
            n, k = count.get((held, rel), (0, 0))
            cells.append("%d/%d %6.2f%%" % (k, n, 100.0 * k / n) if n else "-")
        print("%-12s %18s %18s" % (rel, *cells))
    wrong = [it for it, good in zip(its, ok) if not good]
    for it in sorted(wrong, key=lambda it: it.held)[:25]:
        print("wrong%s: %s -> %s, not %s" % (" (held out)" if it.held else "", it.question,
                                            answer(w, voc, it.question), it.answer))
    rng = questions.generator("invented")
    inventor = questions.Inventor(its)
    made = [inventor.item(rng) for _ in range(500)]
    print("questions without an answer, refused: %d/500" % sum(right(w, voc, made)))
    rng = questions.generator("typed")
    typed = [it._replace(question=questions.vary(it.question, rng)) for it in its if not it.held]
    print("as people type them: %d/%d" % (sum(right(w, voc, typed)), len(typed)))
    for q in ("What is the capital of France?", "Was ist die Hauptstadt von Polen?", "Quelle est la capitale de la Suisse ?",
              "Which planet does Titan orbit?", "What does the mission BepiColombo explore?",
              "Which constellation contains the south celestial pole?", "What is the capital of Atlantis?"):
        print("  %s -> %s" % (q, answer(w, voc, q)))
    return its


def write_lists(its):
    """the questions with their answers, for the test suites"""
    for name, held, what in (("eval.tsv", False, "trained"), ("eval-held.tsv", True, "held out of the training")):
        with open(os.path.join(questions.FACTS, name), "w", encoding="utf-8") as f:
            f.write("# SPDX-License-Identifier: MIT\n# Written by train.py. Questions %s, each with its answer.\n" % what)
            for it in its:
                if it.held == held:
                    f.write("%s\t%s\n" % (it.question, it.answer))


# ------------------------------------------------------------------ training
def save(path, w, voc):
    keys = [("general.architecture", "str", "llama"), ("general.name", "str", "Octans demo"),
            ("general.license", "str", "mit"), ("general.file_type", "u32", 7),
            ("general.quantization_version", "u32", 2), ("general.languages", "str", questions.LANGS),
            ("llama.vocab_size", "u32", VOCAB), ("llama.context_length", "u32", CONTEXT),
            ("llama.embedding_length", "u32", EMBD), ("llama.block_count", "u32", LAYERS),
            ("llama.feed_forward_length", "u32", FF), ("llama.attention.head_count", "u32", HEADS),
            ("llama.attention.head_count_kv", "u32", KV_HEADS),
            ("llama.attention.layer_norm_rms_epsilon", "f32", EPS),
            ("llama.rope.dimension_count", "u32", HEAD_DIM), ("llama.rope.freq_base", "f32", THETA),
            ("tokenizer.ggml.model", "str", "llama"), ("tokenizer.ggml.pre", "str", "default"),
            ("tokenizer.ggml.tokens", "str", voc.tokens), ("tokenizer.ggml.scores", "f32", voc.scores),
            ("tokenizer.ggml.token_type", "i32", voc.types), ("tokenizer.ggml.unknown_token_id", "u32", vocab.UNK),
            ("tokenizer.ggml.bos_token_id", "u32", vocab.BOS), ("tokenizer.ggml.eos_token_id", "u32", vocab.EOS),
            ("tokenizer.ggml.add_bos_token", "bool", True), ("tokenizer.ggml.add_eos_token", "bool", False),
            ("tokenizer.ggml.add_space_prefix", "bool", True), ("tokenizer.chat_template", "str", TEMPLATE),
            ("octans.prompt.format", "str", PROMPT)]
    ggufio.write(path + ".part", keys, [(n, w[n].detach().numpy()) for n, _ in shapes()])
    os.replace(path + ".part", path)                # never half a file under the real name


def train(o):
    its = questions.items()
    learn = [it for it in its if not it.held]
    lines = [(t, 1) for it in learn for t in (it.question, it.question.lower())]
    voc = vocab.train(lines + [(it.answer, 2) for it in learn], VOCAB)
    w = initial(torch.Generator().manual_seed(o.seed))
    size = sum(t.numel() for t in w.values())
    print("%d questions to learn, %d held out, %d tokens, %d parameters" %
          (len(learn), len(its) - len(learn), VOCAB, size), flush=True)
    for t in w.values():
        t.requires_grad_(True)
    opt = torch.optim.AdamW([{"params": [t for t in w.values() if t.ndim == 2], "weight_decay": 0.05},
                             {"params": [t for t in w.values() if t.ndim == 1], "weight_decay": 0.0}],
                            lr=o.rate, betas=(0.9, 0.98), eps=1e-9)
    rng, inventor = questions.generator(o.seed), questions.Inventor(its)
    began, steps = time.time(), 0
    for e in range(o.epochs):
        batches = epoch(voc, learn, inventor, rng, o.batch)
        total, answers = 0.0, 0
        for i, (x, y) in enumerate(batches):
            done = (e + i / len(batches)) / o.epochs
            rate = o.rate * min(1.0, (steps + 1) / 100) * 0.5 * (1 + math.cos(math.pi * done))
            for g in opt.param_groups:
                g["lr"] = rate
            keep = y.flatten() != IGNORE
            h = hidden(w, x).flatten(0, 1)[keep]
            loss = F.cross_entropy(F.linear(h, w["token_embd.weight"]), y.flatten()[keep])
            opt.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(list(w.values()), 1.0)
            opt.step()
            total, answers, steps = total + loss.item() * int(keep.sum()), answers + int(keep.sum()), steps + 1
        note = ""
        if e % 4 == 3 or e == o.epochs - 1:
            part = [it for it in its if it.held]
            note = "  held out %.1f%%" % (100.0 * sum(right(w, voc, part)) / len(part))
        print("epoch %2d/%d  step %d  loss %.4f  %4.0f s%s" %
              (e + 1, o.epochs, steps, total / answers, time.time() - began, note), flush=True)
        if o.keep:
            save(o.out, w, voc)
    save(o.out, w, voc)
    print("%s: %d bytes, trained in %.0f s" % (o.out, os.path.getsize(o.out), time.time() - began))


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--out", help="train and write this file, then evaluate it")
    a.add_argument("--eval", metavar="FILE", help="evaluate a file")
    a.add_argument("--ask", nargs=2, metavar=("FILE", "QUESTION"), help="one question, answered greedily")
    a.add_argument("--epochs", type=int, default=24)
    a.add_argument("--batch", type=int, default=64)
    a.add_argument("--rate", type=float, default=2e-3)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--keep", action="store_true", help="write the file after every epoch")
    a.add_argument("--lists", action="store_true", help="write facts/eval.tsv and facts/eval-held.tsv only")
    o = a.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if o.ask:
        print(answer(*load(o.ask[0]), o.ask[1]))
    elif o.eval:
        evaluate(o.eval)
    elif o.lists:
        write_lists(questions.items())
    elif o.out:
        train(o)
        write_lists(evaluate(o.out))
    else:
        a.error("say what to do: --out FILE, --eval FILE or --ask FILE QUESTION")


if __name__ == "__main__":
    main()
