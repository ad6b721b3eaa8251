"""Spoiling text: encodings, ends of lines, words, numbers, bombs of aliases."""

from __future__ import annotations

import re
from random import Random

from benchmarks.fuzz.mutate.raw import spoil_bytes
from benchmarks.fuzz.mutate.values import CANARY, NUMBERS, TEXTS

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_WORD = re.compile(r"[A-Za-z_]\w*")
_TAGS = (
    f"!!python/object/apply:os.system ['touch {CANARY}']",
    "!!python/name:os.system",
    "!!binary x",
    "!!timestamp 2001-99-99",
    "2001-99-99",
    "!!set {a, b}",
    "!!omap [a: 1]",
    "&a [*a]",
    "*nothing",
    "<<: *x",
    "!!float 1e999",
    ".inf",
    ".nan",
    "1:99:99",
    "0o777",
    "%YAML 9.9",
    "? [a, b]\n: 1",
    "{[1, 2]: 3}",
    "{1: 2, true: 3, null: 4}",
)


def spoil_text(content: bytes, rng: Random) -> bytes:
    """Change one thing of a text."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return spoil_bytes(content, rng)
    kind = rng.randrange(13)
    if kind == 0:
        return text.encode(rng.choice(("utf-8-sig", "utf-16", "utf-32", "utf-16-be")), "replace")
    if kind == 1:
        return text.replace("\n", rng.choice(("\r\n", "\r", "\n\n", "\x0b", "\u2028"))).encode()
    if kind == 2:
        old, new = rng.choice(((",", ";"), (":", "="), (" ", "\t"), ('"', "'"), (".", ",")))
        return text.replace(old, new).encode()
    if kind in (3, 4, 5):
        return _exchanged(text, _NUMBER, _number(rng), rng)
    if kind in (6, 7):
        return _exchanged(text, _WORD, rng.choice((*TEXTS, *_TAGS)), rng)
    if kind == 8:
        return _exchanged(text, _WORD, "", rng)
    if kind == 9:
        return _lines(text, rng)
    if kind == 10:
        return (text + "\n" + rng.choice((*_TAGS, "\x00", "}", "]", "---\na: 1"))).encode()
    if kind == 11:
        return _bomb(text, rng)
    place = rng.randrange(len(text) + 1)
    odd = rng.choice(("\x00", "\x1b[2J", "\u202e", "\ufffe", '"', "{", "[" * 3000, "\t", "\ud800"))
    return (text[:place] + odd + text[place:]).encode("utf-8", "surrogatepass")


def _number(rng: Random) -> str:
    number = rng.choice(NUMBERS)
    return str(getattr(number, "text", number))


def _exchanged(text: str, what: re.Pattern[str], new: str, rng: Random) -> bytes:
    found = list(what.finditer(text))
    if not found:
        return text.encode("utf-8", "surrogatepass")
    match = rng.choice(found)
    changed = text[: match.start()] + new + text[match.end() :]
    return changed.encode("utf-8", "surrogatepass")


def _lines(text: str, rng: Random) -> bytes:
    lines = text.split("\n")
    index = rng.randrange(len(lines))
    kind = rng.randrange(4)
    if kind == 0:
        del lines[index]
    elif kind == 1:
        lines.insert(index, lines[index])
    elif kind == 2:
        rng.shuffle(lines)
    else:
        lines = lines[:index] + lines[index:] * rng.choice((2, 300))
    return "\n".join(lines[:20_000]).encode()


def _bomb(text: str, rng: Random) -> bytes:
    """Put an alias of an alias of an alias ... at the value of a key, as YAML has them."""
    levels = rng.choice((3, 6, 9))
    anchors = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    anchors += [
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, levels)
    ]
    lines = text.split("\n")
    keyed = [index for index, line in enumerate(lines) if re.match(r"[a-z_]+:", line)]
    if keyed:
        index = rng.choice(keyed)
        lines[index] = f"{lines[index].split(':')[0]}: *a{levels - 1}"
    return "\n".join([*anchors, *lines]).encode()
