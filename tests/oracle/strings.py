# SPDX-License-Identifier: MIT
"""Texts by the thousand, to be cut into tokens: sentences of many languages and programs, in pieces,
between spaces, digits, signs and marks; one in six is not UTF-8.  A pure function of the seed."""
import random

SENTENCES = """
Фарът свети цяла нощ, а корабите минават бавно покрай брега.
Svjetionik svijetli cijelu noć, a brodovi polako prolaze uz obalu; čujete li žamor?
Maják svítí celou noc a lodě pomalu plují podél břehu – příští ráno odjíždějí.
Fyret lyser hele natten, og skibene sejler langsomt forbi kysten på vej mod øen.
De vuurtoren schijnt de hele nacht; 's morgens varen de schepen langs de kust, één voor één.
The lighthouse shines all night, and the ships don't pass before it's 05:30, we've heard.
Majakas põleb terve öö ning laevad sõidavad aeglaselt mööda rannikut, õhtust hommikuni.
Majakka loistaa koko yön, ja laivat kulkevat hitaasti rannikkoa pitkin etelään päin.
Le phare éclaire toute la nuit ; l'équipage n'a rien vu jusqu'à l'aube, où qu'il fût.
Der Leuchtturm leuchtet die ganze Nacht, und die Schiffe fahren übers Meer: GRÖẞE heißt Maß.
Ο φάρος φωτίζει όλη τη νύχτα και τα πλοία περνούν αργά από την ακτή· πού πάνε;
A világítótorony egész éjjel ég, a hajók lassan úsznak el a part mentén – őrzők nélkül.
Soilsíonn an teach solais an oíche ar fad, agus seolann na longa go mall thar an gcósta.
Il faro illumina tutta la notte e le navi passano lente; perché no? L'alba è già qui.
Bāka spīd visu nakti, un kuģi lēnām brauc gar krastu, šķērsojot līci.
Švyturys šviečia visą naktį, o laivai lėtai plaukia pro krantą, ąžuolų giraitės link.
Il-fanal jixgħel il-lejl kollu, u l-bastimenti jgħaddu bil-mod ħdejn ix-xatt, żgħar u kbar.
Latarnia świeci całą noc, a łodzie powoli płyną wzdłuż brzegu; gdzież są żeglarze?
O farol ilumina a noite toda e os navios passam devagar; não há ninguém à vista, então.
Farul luminează toată noaptea, iar navele trec încet pe lângă țărm, în liniște și ceață.
Maják svieti celú noc a lode sa pomaly plavia popri brehu; ľahký vánok, dĺžka päť míľ.
Svetilnik sveti vso noč, ladje pa počasi plujejo mimo obale, še preden se zdani, že!
El faro alumbra toda la noche; ¿quién vio los barcos? ¡Nadie! Ni el niño ni la cigüeña.
Fyren lyser hela natten, och fartygen glider sakta förbi kusten på väg mot ön.
Маяк світить усю ніч, а кораблі повільно пливуть уздовж берега; з'їзд о п'ятій, ґанок.
المنارة تضيء طوال الليل، والسفن تمرّ ببطء قرب الساحل؛ هل رأيتَها في ١٢٣٤؟
灯塔整夜发光，船只慢慢地沿着海岸航行。“你看见了吗？”他问：二〇二六年，１２３４艘！
灯台は一晩中光り、船はゆっくりと海岸を通り過ぎます。カタカナも、ひらがなも。
등대는 밤새 빛나고 배들은 천천히 해안을 지나갑니다. 보이나요?
प्रकाशस्तंभ सारी रात चमकता है, और जहाज़ धीरे-धीरे किनारे से गुज़रते हैं। १२३
ประภาคารส่องสว่างตลอดคืน และเรือแล่นผ่านชายฝั่งอย่างช้าๆ
המגדלור מאיר כל הלילה, והספינות חולפות לאט ליד החוף. שָׁלוֹם
int main(void) { for (int i = 0; i < 0x1F; i++) printf("%d\\n", a[i]->b); /* it's */ return 0; }
def f(x, *args): return {"key": [x ** 2 for x in range(10)], 'b': None}  # don't, WE'LL, I'D
<a href="https://example.org/?q=a&b=%20c">x</a> {{"role":"user"}} $PATH `ls -la | wc -l` ~/x 1,234,567.89e-10
SELECT camelCase, HTTPServer, snake_case, ÉCOLE, ǅungla FROM t WHERE a <> 'b' AND c >= 3;
""".strip().split("\n")

SIGNS = list(".,;:!?'\"()[]{}<>|/\\-_=+*&^%$#@~`") + [
    "...", "--", "://", "\u2026", "\u3002", "\uff0c", "\u2014", "\u20ac", "\u00a7", "\u00bd", "\u0964", "\u2581", "\u2581\u2581",
    "'s", "'S", "'ll", "'VE", "\u2019s", "'\u017f", "'re'd"]
SPACES = [" ", " ", " ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\r", " \n ", "\n  ", "\t\t", "\u00a0", "\u3000", "\u2003", "\u2028",
          "\x0b", "\x0c", "\x85", "        "]
EMOJI = ["\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1ea\U0001f1fa", "\u2764\ufe0f", "\U0001f44d\U0001f3fd",
         "1\ufe0f\u20e3", "\u2603"]
ODD = ["e\u0301", "\u0301", "\u200b", "\u200d", "\ufeff", "\ufb01", "\u00ad", "\u0660", "\u216b", "\u00b2", "\u01c5", "\u02b0", "\U0001d7d8",
       "\U00020000", "\ue000", "\ufffd", "\u0378", "\U000e0001", "\x7f", "\x01", "\uac00", "\u1100\u1161", "\u0130", "\u0131"]
SPECIAL = ["<note>", "<s>", "</s>", "<unk>", "<0x41>", "<|eot_id|>", "<|begin_of_text|>", "<bos>", "<pad>", "<|", "|>", "<unused1>"]
BROKEN = [b"\xff", b"\x80", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80",
          b"\xe0\x80\x80", b"\xfe\xff"]


def some(r, text):
    """A piece of a text; half of them along its words."""
    if r.random() < 0.5:
        words = text.split(" ")
        i = r.randrange(len(words))
        return " ".join(words[i:i + r.randint(1, 5)])
    i = r.randrange(len(text))
    return text[i:i + r.randint(1, 24)]


def code_point(r):
    c = r.choice((r.randint(1, 0x2ff), r.randint(1, 0xffff), r.randint(0x10000, 0x1ffff)))
    return chr(c if not 0xd800 <= c < 0xe000 else c - 0x800)


def piece(r):
    kind = r.random()
    if kind < 0.35:
        text = some(r, r.choice(SENTENCES))
        return r.choice((text, text, text, text.upper(), text.lower(), text.title()))
    if kind < 0.55:
        return r.choice(SPACES)
    if kind < 0.65:
        return "".join(r.choice("0123456789") for _ in range(r.randint(1, 9)))
    if kind < 0.8:
        return r.choice(SIGNS) * r.choice((1, 1, 1, 2, 3))
    return r.choice((r.choice(EMOJI), r.choice(ODD), r.choice(SPECIAL), code_point(r)))


def one(r):
    out = [piece(r).encode() for _ in range(r.choice((1, 2, 3, 5, 8, 12, 20)))]
    if r.random() < 1 / 6:
        for _ in range(r.randint(1, 3)):
            out.insert(r.randint(0, len(out)), r.choice(BROKEN + [bytes((r.randint(1, 255),))]))
    return b"".join(out).replace(b"\0", b"")


def strings(n, seed=1):
    """The sentences, and others until there are n."""
    r = random.Random("strings %s" % seed)
    return ([s.encode() for s in SENTENCES] + [one(r) for _ in range(n)])[:n]
