"""Weights that several layers of a model use, such as an embedding that is the head as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from splitopt.documents.checks import is_whole
from splitopt.documents.fields import expect_keys, expect_text, expect_texts
from splitopt.errors import InputError, shown
from splitopt.profiles.table.arrays import Array

REFUSED, TOGETHER, COPIES = "refused", "together", "copies"
TIED = (REFUSED, TOGETHER, COPIES)
"""What is made of a cut between layers that train one weight: it is no cut; it is one where one
party holds all these layers; both sides hold a copy, and exchange its gradients in every step."""


@dataclass(frozen=True)
class TiedWeight:
    """A trained weight that several layers use.

    Parameters
    ----------
    name
        Its first name in the model.
    size_bytes
        Of the weight, and as many of its gradient.
    layers
        The layers that use it, in order.

    Raises
    ------
    InputError
        A value that is none of these.
    """

    name: str
    size_bytes: int
    layers: tuple[str, ...]

    def __post_init__(self) -> None:
        expect_text(self.name, "trace.tied.weights.name")
        if not is_whole(self.size_bytes, 1):
            raise InputError.at(
                "trace.tied.weights.bytes",
                f"is {shown(self.size_bytes)}, it must be a whole number >= 1",
            )
        layers = expect_texts(self.layers, "trace.tied.weights.layers")
        if len(layers) < 2:
            raise InputError.at(
                "trace.tied.weights.layers",
                f"of {self.name} are {len(layers)}; a tied weight has at least two",
            )
        object.__setattr__(self, "layers", layers)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {"name": self.name, "bytes": self.size_bytes, "layers": list(self.layers)}


@dataclass(frozen=True)
class TiedRecord:
    """What was asked for at cuts between layers that train one weight, and which these are.

    Parameters
    ----------
    how
        ``"together"`` or ``"copies"``, see `TIED`; profiles without a record refuse such cuts.
    weights
        The weights with the layers of the profile that use them.

    Raises
    ------
    InputError
        A value that is none of these.
    """

    how: str
    weights: tuple[TiedWeight, ...] = ()

    def __post_init__(self) -> None:
        if self.how not in TIED[1:]:
            raise InputError.at(
                "trace.tied.how", f"is {shown(self.how)}; choose one of {', '.join(TIED[1:])}"
            )

    def check(self, layers: Sequence[str]) -> None:
        """Raise `InputError` for a weight of layers that a profile has not, or not in order."""
        for weight in self.weights:
            at = [layers.index(name) if name in layers else -1 for name in weight.layers]
            if -1 in at or any(one >= two for one, two in pairwise(at)):
                raise InputError.at(
                    "trace.tied.weights.layers",
                    f"of {weight.name} are {', '.join(weight.layers)}; they must be layers of the "
                    "profile, in their order",
                )

    def on_both_sides(self, layers: Sequence[str]) -> Array:
        """Shape (L,): bytes of the weights that layers before and behind each cut use."""
        found = np.zeros(len(layers))
        for weight in self.weights:
            first, last = layers.index(weight.layers[0]), layers.index(weight.layers[-1])
            found[first:last] += weight.size_bytes
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {"how": self.how, "weights": [weight.to_dict() for weight in self.weights]}

    @classmethod
    def from_dict(cls, document: Any) -> TiedRecord:
        """Read what `to_dict` wrote; raise `InputError` for anything else."""
        found = expect_keys(document, "trace.tied", ("how", "weights"), ())
        if not isinstance(found["weights"], list):
            raise InputError.at(
                "trace.tied.weights", f"are {shown(found['weights'])}, they must be a list"
            )
        weights = []
        for item in found["weights"]:
            own = expect_keys(item, "trace.tied.weights", ("name", "bytes", "layers"), ())
            weights.append(TiedWeight(own["name"], own["bytes"], own["layers"]))
        return cls(found["how"], tuple(weights))
