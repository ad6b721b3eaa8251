"""The section ``adapters`` of a scenario: which ranks the adapters of a device's model may have."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from splitopt.documents.checks import is_integer
from splitopt.errors import InputError, shown
from splitopt.scenario.machine import Count, Part
from splitopt.scenario.quantity import NUMBER

Quality = Annotated[float, Field(ge=0, le=1e12), NUMBER]


def _read_ranks(value: Any) -> Any:
    """Read a list of different ranks."""
    if not isinstance(value, list | tuple) or not value:
        raise InputError(f"is {shown(value)}, it must be a list of ranks, such as [4, 8, 16]")
    for place, rank in enumerate(value):
        if not is_integer(rank) or rank < 1:
            raise InputError(f"entry {place} is {shown(rank)}, it must be a whole number >= 1")
        if rank in value[:place]:
            raise InputError(f"entry {place} is {rank}, which stands twice; name each once")
    return value


class AdapterChoice(Part):
    """Which ranks the low-rank adapters of a device's model may have.

    Every device chooses one for all adapters of its model, on its side of the cut and in its copy
    at the server. ``quality`` says what each rank in ``rank`` is worth, in any unit that adds up;
    the rank itself where it is left out. ``least_total`` is the least that all devices must have
    together, ``device_least`` the least of each.
    """

    rank: Annotated[tuple[Count, ...], BeforeValidator(_read_ranks)]
    quality: tuple[Quality, ...] | None = None
    least_total: Quality | None = None
    device_least: Quality | None = None

    @model_validator(mode="after")
    def _each_rank_has_a_quality(self) -> Self:
        if self.quality is not None and len(self.quality) != len(self.rank):
            raise InputError(
                f"quality has {len(self.quality)} entries for the {len(self.rank)} of rank; give "
                "one for each"
            )
        return self

    @property
    def qualities(self) -> tuple[float, ...]:
        """What each rank is worth."""
        return tuple(map(float, self.rank)) if self.quality is None else self.quality
