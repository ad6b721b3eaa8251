"""Values that readers tend to forget: extremes, other types, texts that steer a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

CANARY = "CANARY"
"""The file that appears if a document's content is run."""
_CODE = f"__import__('pathlib').Path('{CANARY}').touch()"


@dataclass(frozen=True)
class Raw:
    """A number as it is written, where Python has no value that is written so."""

    text: str


NUMBERS: tuple[Any, ...] = (
    Raw("1e999"),
    Raw("-1e999"),
    Raw("1" + "0" * 400),
    Raw("9" * 5000),
    Raw("NaN"),
    Raw("Infinity"),
    Raw("-0.0"),
    Raw("0x" + "f" * 4000),
    0,
    -1,
    1,
    2,
    0.5,
    2**31,
    2**30,
    2**53 + 1,
    2**63,
    2**64,
    -(2**63) - 1,
    10**9,
    10**12,
    1e308,
    -1e308,
    1e300,
    1e-300,
    5e-324,
    1e-12,
    1.0000000001,
)
TEXTS: tuple[str, ...] = (
    "",
    " ",
    "\x00",
    "\x1b[2J\x1b]0;title\x07",
    "\r\n\t\x0b\x0c",
    "a\u202egnp.exe\u2066",
    "\u0085\u2028\u2029",
    "\ufeff",
    "\ud800",
    "\U0001f4a9",
    "x" * 1100,
    "y" * 140_000,
    "../../../etc/passwd",
    "/dev/null",
    ".",
    "nan",
    "inf",
    "-inf",
    "1e999",
    "1_000",
    "0x10",
    "٣",
    "1 Mbit/s",
    "1 byte",
    "1e-300 FLOP/s",
    "1e300 FLOP/s",
    "-1 GFLOP/s",
    "1e999 Mbit/s",
    "10 parsec",
    "5 MB/s/s",
    "1 MFLOP/s ** 99",
    "((((((1))))))",
    "1e308 GiB",
    "{{ 7*7 }}",
    "{% for x in range(10**9) %}{% endfor %}",
    "%s%n",
    "<script>alert(1)</script>",
    '"; import os',
    _CODE,
    "true",
    "null",
    "~",
    "=1+1",
)


def drawn_value(rng: Random, depth: int = 0) -> Any:
    """Return a value of any type."""
    kind = rng.randrange(10 if depth < 3 else 7)
    if kind < 3:
        return rng.choice(NUMBERS)
    if kind < 5:
        return rng.choice(TEXTS)
    if kind < 7:
        return rng.choice((None, True, False, [], {}))
    if kind == 7:
        return [drawn_value(rng, depth + 1) for _ in range(rng.randrange(1, 4))]
    if kind == 8:
        return {
            rng.choice(("a", "name", "kind", "file", "")): drawn_value(rng, depth + 1)
            for _ in range(rng.randrange(1, 3))
        }
    return nested(rng.choice((20, 200, 2000)), rng.random() < 0.5)


def nested(depth: int, as_list: bool) -> Any:
    """Return a list in a list, or an object in an object, so many times."""
    found: Any = []
    for _ in range(depth):
        found = [found] if as_list else {"a": found}
    return found
