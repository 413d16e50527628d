# SPDX-License-Identifier: MIT
"""From the tables in facts/ to questions and answers."""
import collections
import hashlib
import os
import random

FACTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "facts")
LANGS = ["en", "de", "fr", "it", "es", "nl", "pl", "pt", "sv"]

# relation, language, question, answer; held: kept out of the training
Item = collections.namedtuple("Item", "relation lang question answer held")


def table(name):
    """rows of facts/name as lists of columns; comment lines left out"""
    rows = []
    with open(os.path.join(FACTS, name), encoding="utf-8") as f:
        for line in f:
            if not line.startswith("#") and line.strip():
                rows.append(line.rstrip("\n").split("\t"))
    return rows


def chance(*key):
    """a number in [0, 1) that depends on the key alone, whatever else is in the tables"""
    h = hashlib.sha256("\t".join(key).encode()).digest()
    return int.from_bytes(h[:8], "little") / 2.0 ** 64


def records():
    """Yield (relation, language, {column: text}, answer) for every fact of the tables."""
    first = {}
    for lang in LANGS:
        for code, name, of, capital in table("capitals.%s.tsv" % lang):
            yield "capital", lang, {"name": name, "of": of}, capital
            if lang == "en" and code not in first:
                first[code] = name
                yield "country", lang, {"capital": capital}, name
    for code, name, currency, language, domain, year in table("countries.tsv"):
        col = {"name": name}
        for rel, answer in (("currency", currency), ("language", language), ("domain", domain)):
            if answer != "-":
                yield rel, "en", col, answer
        yield "member", "en", col, "It is not a member." if year == "-" else year
    planets = table("planets.tsv")
    for row in table("ordinals.tsv"):
        for i, nth in enumerate(row[1:]):
            yield "planet", row[0], {"nth": nth}, planets[i][1 + LANGS.index(row[0])]
    for row in planets:
        yield "number", "en", {"planet": row[1]}, row[0]
        if row[-1] != "-":
            yield "mooncount", "en", {"planet": row[1]}, row[-1]
    for en, de, fr, planet, who, year in table("moons.tsv"):
        for lang, moon in (("en", en), ("de", de), ("fr", fr)):
            yield "moon", lang, {"moon": moon}, planets[int(planet) - 1][1 + LANGS.index(lang)]
        if who != "-":
            yield "discoverer", "en", {"moon": en}, who
        yield "discovery", "en", {"moon": en}, year
    for mission, target, agency, year in table("missions.tsv"):
        yield "target", "en", {"mission": mission}, target
        if agency != "-":
            yield "agency", "en", {"mission": mission}, agency
        yield "launch", "en", {"mission": mission}, year
    for star, constellation in table("stars.tsv"):
        yield "star", "en", {"star": star}, constellation


def phrasings():
    out = collections.defaultdict(list)
    for rel, lang, text in table("phrasings.tsv"):
        out[rel, lang].append(text)
    return out


def items():
    """Every question.  About one fact in two has one of its phrasings held out, never the first,
    so that the figure for those says whether the model knows the fact or only the sentence."""
    out, ways = [], phrasings()
    for rel, lang, col, answer in records():
        texts = [t.format(**col) for t in ways[rel, lang]]
        out += split(rel, lang, texts, answer)
    for row in table("misc.tsv"):
        out += split("misc", row[0], row[2:], row[1])
    unknown = dict(table("unknown.tsv"))
    for lang, part, text in table("negatives.tsv"):
        out.append(Item("unknown", lang, text, unknown[lang], part == "held"))
    for lang, part, name in table("elsewhere.tsv"):
        for t in ways["capital", lang][:2 if part == "held" else 4]:
            if lang == "en" or "{name}" not in t:
                text = t.format(name=name, of=name)
                out.append(Item("unknown", lang, text, unknown[lang], part == "held"))
    seen = {}
    for it in out:                          # one question, one answer
        if seen.setdefault(it.question, it.answer) != it.answer:
            raise SystemExit("facts: %r has two answers, %r and %r"
                             % (it.question, seen[it.question], it.answer))
    return list({it.question: it for it in out}.values())


def split(rel, lang, texts, answer):
    hold = 0
    if len(texts) >= 3 and chance("hold", texts[0]) < 0.5:
        hold = 1 + int(chance("which", texts[0]) * (len(texts) - 1))
    return [Item(rel, lang, t, answer, hold > 0 and i == hold) for i, t in enumerate(texts)]


SYLLABLES = ("ba be bi bo bra ca ce cho da del den do dra el en fa fi fro ga gar go gu ha hel hi ho "
             "ka ke kor la len li lo lu ma mar mi mo na ne nor nu o pa per po qua ra ren ri ro sa "
             "sel so sta ta ten ti tor tu u va ven vi vo wa wil xa ya yo za zen zi zor").split()
ENDINGS = ["", "", "ia", "land", "ien", "stan", "on", "us", "a", "is", "or", "ie"]
BEFORE = {"de": ["von ", "von ", "der "], "fr": ["de ", "de la ", "du ", "de l'"], "it": ["di ", "della ", "del "],
          "es": ["de ", "de ", "del "], "nl": ["van "], "pl": [""], "pt": ["de ", "da ", "do "], "sv": ["i "]}


class Inventor:
    """Questions without an answer, made as they are needed: about names that do not exist, about
    real names in the wrong place, and small talk.  Their answer is the sentence of unknown.tsv."""

    COLUMNS = ("name", "capital", "planet", "moon", "mission", "star")

    def __init__(self, every):
        self.unknown = dict(table("unknown.tsv"))
        self.ways = [(k, t) for k, texts in sorted(phrasings().items()) for t in texts
                     if k[0] != "planet"]
        self.known = {w.strip("?.,").lower() for it in every for w in it.question.split()}
        self.asked = {it.question.lower() for it in every}
        self.names = {c: [] for c in self.COLUMNS}
        for _, lang, col, _ in records():
            for c, v in col.items():
                if lang == "en" and c in self.names:
                    self.names[c].append(v)
        self.chatter = {}
        for kind, text in table("chatter.tsv"):
            self.chatter.setdefault(kind, []).append(text)

    def name(self, rng):
        while True:
            w = "".join(rng.choice(SYLLABLES) for _ in range(rng.choice((1, 2, 2, 3)))) + rng.choice(ENDINGS)
            if len(w) > 2 and w not in self.known:
                return w.capitalize()

    def talk(self, rng):
        text = rng.choice(self.chatter["template"])
        for kind in ("thing", "quality", "most"):
            text = text.replace("{%s}" % kind, rng.choice(self.chatter[kind]))
        while "{number}" in text:
            text = text.replace("{number}", str(rng.randint(1, 20)), 1)
        return "en", text

    def misplaced(self, rng):
        """real names where they make no sense: Which planet does France orbit?"""
        while True:
            (_, lang), text = rng.choice(self.ways)
            own = [c for c in self.COLUMNS if "{%s}" % c in text]
            if lang != "en" or not own:
                continue
            name = rng.choice(self.names[rng.choice([c for c in self.COLUMNS if c != own[0]])])
            if name not in self.names[own[0]]:
                return lang, text.format(**{own[0]: name})

    def invented(self, rng):
        (rel, lang), text = rng.choice(self.ways)
        name = self.name(rng)
        if rel in ("target", "agency", "launch") and rng.random() < 0.3:
            name += rng.choice(["-%d", " %d"]) % rng.randint(1, 9)
        return lang, text.format(of=rng.choice(BEFORE.get(lang, [""])) + name,
                                 **{c: name for c in self.COLUMNS})

    def item(self, rng):
        while True:
            make = rng.choice((self.invented, self.invented, self.misplaced, self.talk))
            lang, text = make(rng)
            if text.lower() not in self.asked:
                return Item("unknown", lang, text, self.unknown[lang], True)


def vary(text, rng):
    """the liberties people take when they type"""
    if rng.random() < 0.12:
        text = text.rstrip("?.! ")
    if rng.random() < 0.12:
        text = text.lower()
    if rng.random() < 0.05:
        text = text.replace("'", "\u2019")
    if rng.random() < 0.1:
        text = text.replace(" ?", "?").replace("\u00bf", "")
    return text


def shuffled(seq, rng):
    seq = list(seq)
    rng.shuffle(seq)
    return seq


def generator(seed):
    return random.Random(seed)
