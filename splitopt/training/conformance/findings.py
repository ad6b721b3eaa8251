"""What a check finds: passed, failed or skipped, and one sentence."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Status = Literal["passed", "failed", "skipped"]
Finding = tuple[Status, str]


@dataclass(frozen=True)
class Check:
    """One named check of a plug-in and what it found.

    Parameters
    ----------
    kind, plugin, name
        Of what, of which, and what was looked at.
    status
        ``"passed"``, ``"failed"``, or ``"skipped"`` where it does not apply.
    message
        One sentence: what was seen, or why nothing was.
    """

    kind: str
    plugin: str
    name: str
    status: Status
    message: str

    def to_dict(self) -> dict[str, str]:
        """Return the check as plain data."""
        return dict(vars(self))


def found(condition: bool, passed: str, failed: str) -> Finding:
    """Return that a check passed or failed, with the sentence for either."""
    return ("passed", passed) if condition else ("failed", failed)


def skipped(why: str) -> Finding:
    """Return that a check does not apply."""
    return "skipped", why


@contextmanager
def global_draws(seed: int) -> Iterator[None]:
    """Set the global random numbers of PyTorch, numpy and Python, and bring back what was."""
    before = random.getstate(), np.random.get_state()  # noqa: NPY002 - others may draw from it
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002


def first_difference(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> str | None:
    """Name the first tensor that is not the same in both, bit for bit; None if all are."""
    if odd := sorted(one.keys() ^ other.keys()):
        return odd[0]
    for name, value in one.items():
        if not torch.equal(value, other[name]):
            return name
    return None
