"""Files of generators: a safetensors file with what the generator is and what it is worth."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from splitopt.documents.checks import is_finite, is_whole
from splitopt.errors import InputError, shown
from splitopt.generators.accounting import Account
from splitopt.generators.networks import build
from splitopt.generators.sealed import read_sealed
from splitopt.generators.spec import NetworkSpec
from splitopt.generators.trained import FORMAT, TrainedGenerator
from splitopt.generators.work import work_of

MOST_BYTES = 2**30
_KEYS = ("spec", "labels", "steps", "quality", "account")


def loaded(path: str | os.PathLike[str]) -> TrainedGenerator:
    """Read a generator, see `splitopt.generators.load_generator`."""
    tensors, document = read_sealed(path, FORMAT, MOST_BYTES)
    source = os.fspath(path)
    return read_parts(
        tensors, {k: v for k, v in document.items() if k not in ("format", "version")}, source
    )


def read_parts(tensors: Mapping[str, Tensor], document: Any, source: str) -> TrainedGenerator:
    """Read a generator from its tensors and what `TrainedGenerator.metadata` says of it.

    Raises
    ------
    InputError
        As `splitopt.generators.load_generator`.
    """
    if not isinstance(document, Mapping) or set(document) != set(_KEYS):
        raise InputError(f"{source}: must have {', '.join(_KEYS)} and nothing else")
    spec = NetworkSpec.from_dict(document["spec"], f"{source}: spec")
    labels = labels_of(document["labels"], spec.classes, f"{source}: labels")
    steps = document["steps"]
    if not is_whole(steps, 0):
        raise InputError(f"{source}: steps: is {shown(steps)}, it must be a whole number >= 0")
    values, wanted = sum(own.numel() for own in tensors.values()), work_of(spec).parameters
    if values != wanted:  # before memory is taken for what a document says
        raise InputError(
            f"{source}: holds {values:,} values, and its network has {wanted:,}; it is of another "
            "one"
        )
    network, _ = build(spec, 0, 0)
    expect_tensors(tensors, network.state_dict(), source)
    network.load_state_dict(dict(tensors))
    return TrainedGenerator(
        spec,
        labels,
        network,
        Account.from_dict(document["account"], f"{source}: account"),
        steps,
        _quality(document["quality"], labels, f"{source}: quality"),
    )


def labels_of(value: Any, classes: int, source: str) -> tuple[int, ...]:
    """Return the labels of a document: rising whole numbers below the number of classes."""
    rising = (
        isinstance(value, list)
        and value
        and all(is_whole(label, 0) and label < classes for label in value)
        and sorted(set(value)) == value
    )
    if not rising:
        raise InputError.at(
            source, f"are {shown(value)}; they must be rising whole numbers from 0 to {classes - 1}"
        )
    return tuple(value)


def expect_tensors(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], source: str) -> None:
    """Raise `InputError` unless tensors have the names, shapes and types of others, all finite."""
    for name in sorted({*found, *wanted}):
        if name not in found or name not in wanted:
            words = "lacks" if name not in found else "has"
            raise InputError(
                f"{source}: {words} the tensor {shown(name)}, other than its network; it is of "
                "another one"
            )
        own, like = found[name], wanted[name]
        if own.shape != like.shape or own.dtype != like.dtype:
            pair = (own, like)
            sizes = [f"{tuple(t.shape)} of {t.dtype}".replace("torch.", "") for t in pair]
            raise InputError(
                f"{source}: the tensor {name} is {sizes[0]}, and its network has {sizes[1]} there"
            )
        if own.is_floating_point() and not own.isfinite().all():
            raise InputError(
                f"{source}: the tensor {name} holds a value that is not finite; train it anew"
            )


def _quality(value: Any, labels: tuple[int, ...], source: str) -> dict[int, float] | None:
    if value is None:
        return None
    named = {str(label): label for label in labels}
    fits = isinstance(value, Mapping) and set(value) == set(named)
    if not fits or not all(is_finite(one) and 0 <= one <= 1 for one in value.values()):
        raise InputError.at(
            source, f"is {shown(value)}; it must be a number from 0 to 1 for each of the labels"
        )
    return {label: float(value[name]) for name, label in named.items()}
