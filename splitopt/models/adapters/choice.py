"""What adapters a model is to have, as plain data that a profile remembers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from splitopt.documents.checks import check_seed, is_number, is_whole
from splitopt.documents.fields import expect_keys, expect_texts
from splitopt.errors import InputError, shown

EVERY: tuple[str, ...] = ("*",)
"""The pattern of all linear layers."""
BITS = (8, 4)
"""In how many bits frozen weights may be held."""


@dataclass(frozen=True)
class Adapters:
    """Adapters of linear layers, everything else being frozen.

    Parameters
    ----------
    rank
        r, the columns of B and the rows of A in ``W x + (alpha / r) B A x``; at least 1.
    alpha
        The scale of all adapters times their rank; `rank` itself by default, a scale of 1.
    targets
        Patterns of the names of layers, see `splitopt.models.add_adapters`.
    frozen_bits
        8 or 4: in how many bits the frozen weights of linear layers are held; None as they are.
    seed
        Of the matrices A.

    Raises
    ------
    InputError
        A value that is none of these.
    """

    rank: int
    alpha: float | None = None
    targets: tuple[str, ...] = EVERY
    frozen_bits: int | None = None
    seed: int = 0

    OPTIONAL: ClassVar[tuple[str, ...]] = ("alpha", "targets", "frozen_bits", "seed")

    def __post_init__(self) -> None:
        if not is_whole(self.rank, 1):
            raise InputError.at(
                "adapters", f"have the rank {shown(self.rank)}, it must be a whole number >= 1"
            )
        if self.alpha is not None and not (
            is_number(self.alpha) and math.isfinite(self.alpha) and self.alpha > 0
        ):
            raise InputError.at(
                "adapters", f"have the alpha {shown(self.alpha)}, it must be a number above 0"
            )
        object.__setattr__(self, "targets", expect_texts(self.targets, "adapter targets"))
        if not self.targets:
            raise InputError.at(
                "adapter targets", "are none; name layers, or leave them out for all"
            )
        if self.frozen_bits is not None and self.frozen_bits not in BITS:
            raise InputError.at("frozen_bits", f"is {shown(self.frozen_bits)}, it must be 8 or 4")
        check_seed(self.seed)

    @classmethod
    def read(
        cls, text: str | None, targets: str | None = None, frozen_bits: int | None = None
    ) -> Adapters | None:
        """Read ``RANK`` or ``RANK:ALPHA`` and patterns with commas between; None without a rank.

        Raises
        ------
        InputError
            Another text, or patterns or bits without a rank.
        """
        if text is None:
            for flag, value in (("--adapter-targets", targets), ("--frozen-bits", frozen_bits)):
                if value is not None:
                    raise InputError.at(flag, "needs --adapters RANK; add it")
            return None
        rank, colon, alpha = text.partition(":")
        try:
            numbers = int(rank), float(alpha) if colon else None
        except ValueError:
            raise InputError.at(
                "--adapters", f"is {shown(text)}; write RANK or RANK:ALPHA, such as 8 or 8:16"
            ) from None
        names = EVERY
        if targets is not None:
            names = tuple(name for name in map(str.strip, targets.split(",")) if name)
        return cls(*numbers, names, frozen_bits)

    @property
    def scale(self) -> float:
        """The factor of B A."""
        return 1.0 if self.alpha is None else self.alpha / self.rank

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; what is as usual is left out."""
        usual = Adapters(self.rank)
        found: dict[str, Any] = {"rank": self.rank}
        for name in self.OPTIONAL:
            value = getattr(self, name)
            if value != getattr(usual, name):
                found[name] = list(value) if isinstance(value, tuple) else value
        return found

    @classmethod
    def from_dict(cls, document: Any) -> Adapters:
        """Read what `to_dict` wrote; raise `InputError` for anything else."""
        return cls(**expect_keys(document, "adapters", ("rank",), cls.OPTIONAL))


def as_patterns(targets: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return patterns that are given as one, several or none."""
    if targets is None:
        return EVERY
    return (targets,) if isinstance(targets, str) else tuple(targets)
