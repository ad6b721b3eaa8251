"""What one more rank of a model's adapters adds to the columns of its profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from splitopt.documents.checks import is_whole
from splitopt.documents.fields import expect_keys, expect_mapping
from splitopt.errors import InputError, shown
from splitopt.profiles.table.arrays import Array, frozen_array

_FIELD = "adapter_ranks"


@dataclass(frozen=True, eq=False)
class AdapterRanks:
    """The rank that a profile is of, and what other ranks cost.

    Every column is an affine function of the rank: bytes, work and saved tensors of an adapter are
    each a number times its rank.

    Parameters
    ----------
    rank
        Of all adapters of the model that the columns are of.
    most
        The highest rank that every adapter can have: the smaller side of the smallest layer.
    per_rank
        Column of the profile -> what one more rank adds to it, shape ``(L,)``; columns that do not
        depend on the rank are left out.

    Raises
    ------
    InputError
        A value that is none of these.
    """

    rank: int
    most: int
    per_rank: Mapping[str, Array]

    def __post_init__(self) -> None:
        for name in ("rank", "most"):
            number = getattr(self, name)
            if not is_whole(number, 1):
                raise InputError.at(
                    f"{_FIELD}.{name}", f"is {shown(number)}, it must be a whole number >= 1"
                )
        if self.rank > self.most:
            raise InputError.at(f"{_FIELD}.rank", f"is {self.rank}, above most ({self.most})")

    def check(self, columns: Mapping[str, Array], layers: int) -> AdapterRanks:
        """Return the record with read-only arrays, each of a column that the profile has.

        Raises
        ------
        InputError
            A column that the profile has not, or numbers that do not fit it.
        """
        found = {}
        for name, added in self.per_rank.items():
            field = f"{_FIELD}.per_rank.{name}"
            if name not in columns:
                raise InputError.at(field, "is no column that the profile has; remove it")
            found[name] = frozen_array(added, field, layers)
            if (columns[name] - (self.rank - 1) * found[name] < 0).any():
                raise InputError.at(
                    field, f"makes the column negative at rank 1; the table is of rank {self.rank}"
                )
        return AdapterRanks(self.rank, self.most, found)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        added = {name: list(map(float, column)) for name, column in self.per_rank.items()}
        return {"rank": self.rank, "most": self.most, "per_rank": added}

    @classmethod
    def from_dict(cls, document: Any) -> AdapterRanks:
        """Read what `to_dict` wrote; raise `InputError` for anything else."""
        found = expect_keys(document, _FIELD, ("rank", "most", "per_rank"), ())
        per_rank = expect_mapping(found["per_rank"], f"{_FIELD}.per_rank")
        return cls(found["rank"], found["most"], per_rank)
