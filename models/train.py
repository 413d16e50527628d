#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Train a demo model from the tables in facts/ and write it as a GGUF file.

  python3 models/train.py --out models/octans-demo.gguf     train, write, evaluate
  python3 models/train.py --network octans --out models/octans-kinds.gguf
  python3 models/train.py --eval models/octans-demo.gguf    evaluate a file
  python3 models/train.py --ask models/octans-demo.gguf "What is the capital of France?"
  python3 models/train.py --logits models/octans-kinds.gguf tests/oracle/data/octans-kinds.bin

Needs python3-torch and python3-numpy (Debian packages); with libopenblas0-serial or another fast
BLAS it takes minutes, with the reference BLAS hours.  One thread, fixed seeds: the same machine
and the same packages give the same file.
"""
import argparse
import math
import os
import struct
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")      # before torch and the BLAS look

import torch
import torch.nn.functional as F

import ggufio
import questions
import vocab
from networks import llama, octans
from networks.parts import CONTEXT, VOCAB

NETWORKS = {net.ARCH: net for net in (llama, octans)}

PROMPT = "Q: %s\nA:"
TEMPLATE = ("{% for m in messages %}{% if m['role'] == 'user' %}Q: {{ m['content'] }}\nA:"
            "{% elif m['role'] == 'assistant' %} {{ m['content'] }}\n{% endif %}{% endfor %}")
IGNORE = -100


# ------------------------------------------------------------------ weights
class Model:
    """A network (a file of networks/), its weights by name, and the vocabulary"""

    def __init__(self, net, w, voc):
        self.net, self.w, self.voc = net, w, voc

    def hidden(self, tokens):
        """[batch, time] token ids -> [batch, time, EMBD], ready for the head"""
        return self.net.hidden(self.w, tokens)

    def head(self, h):
        return F.linear(h, self.w["token_embd.weight"])


def is_matrix(net, name, t):
    """of those that the file has as Q8_0"""
    return t.ndim >= 2 and not any(part in name for part in net.FLOAT)


def initial(net, gen):
    out = {}
    for name, shape in net.shapes():
        out[name] = net.initial(name, shape, gen)
        if out[name] is None and len(shape) == 1:
            out[name] = torch.ones(shape)
        elif out[name] is None:
            std = 1.0 / math.sqrt(shape[-1])
            if any(part in name for part in net.OUTPUTS):
                std /= math.sqrt(2 * net.DEPTH)
            out[name] = torch.randn(shape, generator=gen) * std
    return out


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
def right(m, its, batch=128):
    """For every item, whether greedy decoding gives exactly the answer and stops.  One pass per
    batch is enough: the answer comes out if and only if each of its tokens is the likeliest one
    after the prompt and the part of the answer before it."""
    ok = [False] * len(its)
    order = sorted(range(len(its)), key=lambda i: len(its[i].question))
    with torch.no_grad():
        for at in range(0, len(order), batch):
            part = order[at:at + batch]
            x, y = padded([turn(m.voc, its[i].question, its[i].answer, True) for i in part])
            best = m.head(m.hidden(x)).argmax(-1)
            good = ((best == y) | (y == IGNORE)).all(1)
            for i, g in zip(part, good.tolist()):
                ok[i] = g
    return ok


def answer(m, question, limit=48):
    """greedy decoding, token by token"""
    ids = [vocab.BOS] + m.voc.encode(PROMPT % question)
    out = []
    with torch.no_grad():
        while len(out) < limit and len(ids) < CONTEXT:
            t = int(m.head(m.hidden(torch.tensor([ids]))[:, -1]).argmax())
            if t == vocab.EOS:
                break
            ids.append(t)
            out.append(t)
    return m.voc.decode(out).strip()


def load(path):
    keys, tensors = ggufio.read(path)
    voc = vocab.Vocab(keys["tokenizer.ggml.tokens"][vocab.FIRST_PIECE:])
    if voc.scores != keys["tokenizer.ggml.scores"] or keys["octans.prompt.format"] != PROMPT:
        raise SystemExit("%s: not made by this version of train.py" % path)
    net = NETWORKS[keys["general.architecture"]]
    w = {n: torch.from_numpy(tensors[n]).view(shape) for n, shape in net.shapes() if shape}
    return Model(net, {**w, **net.from_keys(keys)}, voc)


def evaluate(path):
    """accuracy of the quantised weights, as they are in the file"""
    m = load(path)
    its = questions.items()
    ok = right(m, its)
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
                                            answer(m, it.question), it.answer))
    rng = questions.generator("invented")
    inventor = questions.Inventor(its)
    made = [inventor.item(rng) for _ in range(500)]
    print("questions without an answer, refused: %d/500" % sum(right(m, made)))
    rng = questions.generator("typed")
    typed = [it._replace(question=questions.vary(it.question, rng)) for it in its if not it.held]
    print("as people type them: %d/%d" % (sum(right(m, typed)), len(typed)))
    for q in ("What is the capital of France?", "Was ist die Hauptstadt von Polen?", "Quelle est la capitale de la Suisse ?",
              "Which planet does Titan orbit?", "What does the mission BepiColombo explore?",
              "Which constellation contains the south celestial pole?", "What is the capital of Atlantis?"):
        print("  %s -> %s" % (q, answer(m, q)))
    return its


CONVERSATION = (("What is the capital of France?", "Paris"), ("Welche Währung hat Bulgarien?", "Das weiß ich nicht."),
                ("Which planet does Titan orbit?", "Saturn"), ("Jaka jest stolica Polski?", "Warszawa"))
EVERY = 16      # of the vocabulary: enough to tell, and small


def write_logits(path, out):
    """what a conversation gives, for tests/oracle/trained: as accelctl writes it, but of every 16th token"""
    m = load(path)
    ids = []
    for i, (question, answer) in enumerate(CONVERSATION):
        ids += turn(m.voc, question, answer, i == 0)[0]
    with torch.no_grad():
        logits = m.head(m.hidden(torch.tensor([ids])))[0, :, ::EVERY].contiguous()
    with open(out, "wb") as f:
        f.write(b"LGT1" + struct.pack("<II%di" % len(ids), len(ids), logits.shape[1], *ids))
        f.write(struct.pack("<%df" % logits.numel(), *logits.flatten().tolist()))


def write_lists(its):
    """the questions with their answers, for the test suites"""
    for name, held, what in (("eval.tsv", False, "trained"), ("eval-held.tsv", True, "held out of the training")):
        with open(os.path.join(questions.FACTS, name), "w", encoding="utf-8") as f:
            f.write("# SPDX-License-Identifier: MIT\n# Written by train.py. Questions %s, each with its answer.\n" % what)
            for it in its:
                if it.held == held:
                    f.write("%s\t%s\n" % (it.question, it.answer))


# ------------------------------------------------------------------ training
def save(path, m):
    voc = m.voc
    keys = [("general.architecture", "str", m.net.ARCH), ("general.name", "str", m.net.NAME),
            ("general.license", "str", "mit"), ("general.file_type", "u32", 7),
            ("general.quantization_version", "u32", 2), ("general.languages", "str", questions.LANGS),
            *m.net.keys(m.w),
            ("tokenizer.ggml.model", "str", "llama"), ("tokenizer.ggml.pre", "str", "default"),
            ("tokenizer.ggml.tokens", "str", voc.tokens), ("tokenizer.ggml.scores", "f32", voc.scores),
            ("tokenizer.ggml.token_type", "i32", voc.types), ("tokenizer.ggml.unknown_token_id", "u32", vocab.UNK),
            ("tokenizer.ggml.bos_token_id", "u32", vocab.BOS), ("tokenizer.ggml.eos_token_id", "u32", vocab.EOS),
            ("tokenizer.ggml.add_bos_token", "bool", True), ("tokenizer.ggml.add_eos_token", "bool", False),
            ("tokenizer.ggml.add_space_prefix", "bool", True), ("tokenizer.chat_template", "str", TEMPLATE),
            ("octans.prompt.format", "str", PROMPT)]
    tensors = [(n, m.w[n].detach().numpy(), ggufio.Q8_0 if is_matrix(m.net, n, m.w[n]) else ggufio.F32)
               for n, shape in m.net.shapes() if shape]
    ggufio.write(path + ".part", keys, tensors)
    os.replace(path + ".part", path)                # never half a file under the real name


def train(o):
    its = questions.items()
    learn = [it for it in its if not it.held]
    lines = [(t, 1) for it in learn for t in (it.question, it.question.lower())]
    voc = vocab.train(lines + [(it.answer, 2) for it in learn], VOCAB)
    net = NETWORKS[o.network]
    w = initial(net, torch.Generator().manual_seed(o.seed))
    m = Model(net, w, voc)
    size = sum(t.numel() for t in w.values())
    print("%d questions to learn, %d held out, %d tokens, %d parameters" %
          (len(learn), len(its) - len(learn), VOCAB, size), flush=True)
    learnt = {n: t.requires_grad_(True) for n, t in w.items() if not any(part in n for part in net.CONSTANT)}
    matrices = [t for n, t in learnt.items() if is_matrix(net, n, t)]
    others = [t for n, t in learnt.items() if not is_matrix(net, n, t)]
    opt = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}],
                            lr=o.rate, betas=(0.9, 0.98), eps=1e-9)
    rng, inventor = questions.generator(o.seed), questions.Inventor(its)
    began, steps, epochs = time.time(), 0, o.epochs or net.EPOCHS
    for e in range(epochs):
        batches = epoch(voc, learn, inventor, rng, o.batch)
        total, answers = 0.0, 0
        for i, (x, y) in enumerate(batches):
            done = (e + i / len(batches)) / epochs
            rate = o.rate * min(1.0, (steps + 1) / 100) * 0.5 * (1 + math.cos(math.pi * done))
            for g in opt.param_groups:
                g["lr"] = rate
            keep = y.flatten() != IGNORE
            loss = F.cross_entropy(m.head(m.hidden(x).flatten(0, 1)[keep]), y.flatten()[keep])
            opt.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(list(learnt.values()), 1.0)
            opt.step()
            net.settle(w)
            total, answers, steps = total + loss.item() * int(keep.sum()), answers + int(keep.sum()), steps + 1
        note = ""
        if e % 4 == 3 or e == epochs - 1:
            part = [it for it in its if it.held]
            note = "  held out %.1f%%" % (100.0 * sum(right(m, part)) / len(part))
        print("epoch %2d/%d  step %d  loss %.4f  %4.0f s%s" %
              (e + 1, epochs, steps, total / answers, time.time() - began, note), flush=True)
        if o.keep:
            save(o.out, m)
    save(o.out, m)
    print("%s: %d bytes, trained in %.0f s" % (o.out, os.path.getsize(o.out), time.time() - began))


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--out", help="train and write this file, then evaluate it")
    a.add_argument("--eval", metavar="FILE", help="evaluate a file")
    a.add_argument("--ask", nargs=2, metavar=("FILE", "QUESTION"), help="one question, answered greedily")
    a.add_argument("--logits", nargs=2, metavar=("FILE", "OUT"), help="what a conversation gives, for the tests")
    a.add_argument("--network", choices=sorted(NETWORKS), default="llama", help="what to train (default llama)")
    a.add_argument("--epochs", type=int, help="instead of as many as do the network well")
    a.add_argument("--batch", type=int, default=64)
    a.add_argument("--rate", type=float, default=2e-3)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--keep", action="store_true", help="write the file after every epoch")
    a.add_argument("--lists", action="store_true", help="write facts/eval.tsv and facts/eval-held.tsv only")
    o = a.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if o.ask:
        print(answer(load(o.ask[0]), o.ask[1]))
    elif o.logits:
        write_logits(*o.logits)
    elif o.eval:
        evaluate(o.eval)
    elif o.lists:
        write_lists(questions.items())
    elif o.out:
        train(o)
        write_lists(evaluate(o.out))
    else:
        a.error("say what to do: --out FILE, --eval FILE, --ask FILE QUESTION or --logits FILE OUT")


if __name__ == "__main__":
    main()
