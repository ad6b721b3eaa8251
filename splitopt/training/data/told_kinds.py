"""What others are told of the kind of one party's samples, and whether two kinds are the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from splitopt.errors import shown


def misfit(told: Mapping[str, Any], like: Mapping[str, Any], whose: str) -> str | None:
    """Return why what is told of one shard does not fit another one, None if it does."""
    for what, word in (("inputs", "samples"), ("targets", "targets")):
        if told.get(what) != like.get(what):
            own, other = (_words(one.get(what)) for one in (told, like))
            return f"its {word} are {own}, and those of {whose} {other}; give data of one kind"
    return None


def kind_of(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> list[Any]:
    """Return name, shape and type of a sample as plain data."""
    return [name, list(shape), str(dtype).removeprefix("torch.")]


def _words(kinds: Any) -> str:
    """Return what was told of a sample in words."""
    found = kinds if isinstance(kinds, list) and kinds and isinstance(kinds[0], list) else [kinds]
    words = []
    for one in found:
        match one:
            case [str() as name, list() as shape, str() as dtype]:
                sides = " x ".join(str(side) for side in shape) or "one"
                words.append(f"{name} {sides} {dtype}".strip())
            case _:
                words.append(shown(one))
    return " and ".join(words)
