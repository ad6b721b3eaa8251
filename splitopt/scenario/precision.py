"""The section ``precision`` of a scenario: in how many bits values may cross a cut."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from splitopt.errors import InputError, shown
from splitopt.scenario.machine import Part
from splitopt.scenario.quantity import NUMBER

Bits = Literal[32, 16, 8, 4]
KNOWN_BITS: tuple[int, ...] = get_args(Bits)
Distortion = Annotated[float, Field(ge=0, le=1e12), NUMBER]


def _read_bits(value: Any) -> Any:
    """Read a list of different numbers of bits."""
    if not isinstance(value, list | tuple) or not value:
        raise InputError(f"is {shown(value)}, it must be a list of bits, such as [32, 16, 8]")
    for place, bits in enumerate(value):
        if isinstance(bits, bool) or bits not in KNOWN_BITS:
            known = ", ".join(map(str, KNOWN_BITS))
            raise InputError(
                f"entry {place} is {shown(bits)}, there are codecs for {known} bits; take those"
            )
        if bits in value[:place]:
            raise InputError(f"entry {place} is {bits}, which stands twice; name each once")
    return value


_BitsList = Annotated[tuple[Bits, ...], BeforeValidator(_read_bits)]


class Precision(Part):
    """In how many bits activations (``up``) and their gradients (``down``) may cross the cut.

    Every device chooses one of each. ``up_distortion`` and ``down_distortion`` say what each of
    the bits in ``up`` and ``down`` distorts, in any unit that adds up; 32 bits distort nothing.
    ``limit`` is the most that all devices distort together, ``device_limit`` the most of each.
    """

    up: _BitsList = (32,)
    down: _BitsList = (32,)
    up_distortion: tuple[Distortion, ...] | None = None
    down_distortion: tuple[Distortion, ...] | None = None
    limit: Distortion | None = None
    device_limit: Distortion | None = None

    @model_validator(mode="after")
    def _limits_have_distortions(self) -> Self:
        for way in ("up", "down"):
            bits, stated = getattr(self, way), getattr(self, f"{way}_distortion")
            if stated is not None and len(stated) != len(bits):
                raise InputError(
                    f"{way}_distortion has {len(stated)} entries for the {len(bits)} of {way}; "
                    "give one for each"
                )
            limited = self.limit is not None or self.device_limit is not None
            if stated is None and limited and bits != (32,):
                name = "limit" if self.limit is not None else "device_limit"
                raise InputError(
                    f"{name} needs '{way}_distortion', what each of the bits of {way} distorts"
                )
        return self

    def distorts(self, way: Literal["up", "down"]) -> tuple[float, ...]:
        """Return what each of the bits of a way distorts, 0 where nothing is stated."""
        stated: tuple[float, ...] | None = getattr(self, f"{way}_distortion")
        return (0.0,) * len(getattr(self, way)) if stated is None else stated
