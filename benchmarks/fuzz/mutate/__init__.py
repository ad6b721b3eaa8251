"""Ways to spoil a document, each a function of its bytes and a random generator.

`KINDS` names them. Every function takes bytes and gives bytes, so that mutations can be applied one
after another, and any of them can be left out again when a case is minimised. What cannot be
read any more as what it was is spoiled as bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from benchmarks.fuzz.mutate.arrays import spoil_arrays
from benchmarks.fuzz.mutate.headers import spoil_header
from benchmarks.fuzz.mutate.raw import spoil_bytes
from benchmarks.fuzz.mutate.tables import spoil_table
from benchmarks.fuzz.mutate.texts import spoil_text
from benchmarks.fuzz.mutate.trees import spoil_line, spoil_marked, spoil_tree

Mutator = Callable[[bytes, Random], bytes]

KINDS: dict[str, Mutator] = {
    "tree": spoil_tree,
    "line": spoil_line,
    "marked": spoil_marked,
    "table": spoil_table,
    "arrays": spoil_arrays,
    "header": spoil_header,
    "text": spoil_text,
    "bytes": spoil_bytes,
}

FORMS: dict[str, dict[str, int]] = {
    ".json": {"tree": 16, "text": 2, "bytes": 1},
    ".yaml": {"tree": 16, "text": 4, "bytes": 1},
    ".jsonl": {"line": 16, "text": 2, "bytes": 1},
    ".csv": {"table": 12, "text": 3, "bytes": 1},
    ".npz": {"arrays": 12, "bytes": 6},
    ".safetensors": {"header": 8, "bytes": 4},
    ".txt": {"text": 8, "bytes": 1},
    ".args": {"marked": 1},
}
"""The end of a file's name -> kinds of mutations and their weights; all others are bytes."""


def kinds_for(name: str) -> dict[str, int]:
    """Return the kinds of mutations for a file, with weights."""
    for end, kinds in FORMS.items():
        if name.endswith(end):
            return kinds
    return {"bytes": 1}
