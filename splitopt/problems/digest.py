"""The fingerprint of an instance's numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from splitopt.problems.base import Problem, holds_mappings


def instance_digest(problem: Problem[Any]) -> str:
    """Hash an instance's data: SHA-256 over names, types, shapes and bytes, first 16 digits.

    The objective is not part of it: two objectives of the same data are the same instance.
    """
    digest = hashlib.sha256(problem.name.encode())
    for name, value in _named(problem.data()):
        if isinstance(value, np.ndarray):
            array = np.ascontiguousarray(value)
            digest.update(f"{name}:{array.dtype.str}:{array.shape}".encode())
            digest.update(array.tobytes())
        else:
            digest.update(f"{name}:{json.dumps(value, sort_keys=True)}".encode())
    return digest.hexdigest()[:16]


def _named(data: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Return the entries by name, those of inner mappings as ``OUTER.INNER``, lists by number."""
    for name, value in sorted(data.items()):
        if holds_mappings(value):
            value = {str(index): item for index, item in enumerate(value)}
        if isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", item) for inner, item in _named(value))
        else:
            yield name, value
