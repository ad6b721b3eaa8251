"""What a scenario says of energy: clocks and powers to choose, limits on joules and grams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, model_validator

from splitopt.errors import InputError
from splitopt.scenario.machine import Part
from splitopt.scenario.quantity import NUMBER, WHOLE, Power

Clock = Annotated[float, Field(gt=0, le=100), NUMBER]
Amount = Annotated[float, Field(ge=0, le=1e15), NUMBER]
HOURS = 24
JOULE_PER_KWH = 3.6e6


Steps = Annotated[int, Field(ge=2, le=20), WHOLE]


class Frequency(Part):
    """The clocks that a device may choose, as multiples of the one at which it has ``compute``.

    ``steps`` of them from ``max`` down to ``min``, evenly spaced. At f times the clock it computes
    f times as fast and draws f^3 times its ``compute_power``.
    """

    min: Clock
    max: Clock = 1.0
    steps: Steps = 4

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.min > self.max:
            raise InputError(f"min is {self.min:g}, above max, which is {self.max:g}; swap them")
        return self

    def clocks(self) -> tuple[float, ...]:
        """Return the clocks, the highest first."""
        width = (self.max - self.min) / (self.steps - 1)
        inner = tuple(self.max - width * step for step in range(1, self.steps - 1))
        return (self.max, *inner, self.min)


class PowerRange(Part):
    """The powers that a device may send with: ``steps`` of them from ``max`` down to ``min``.

    They are evenly spaced in decibels. The rate of its uplink follows from each by Shannon.
    """

    min: Power
    max: Power
    steps: Steps = 4

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.min > self.max:
            raise InputError(
                f"min is {self.min:g} W, above max, which is {self.max:g} W; swap them"
            )
        return self

    def powers(self) -> tuple[float, ...]:
        """Return the powers in W, the highest first."""
        ratio = self.min / self.max
        inner = (ratio ** (step / (self.steps - 1)) for step in range(1, self.steps - 1))
        return (self.max, *(self.max * part for part in inner), self.min)


def _form_of_power(value: Any) -> str:
    return _RANGE if isinstance(value, Mapping | PowerRange) else _ONE


_ONE, _RANGE = "a power", "a range"
RadioPower = Annotated[
    Annotated[Power, Tag(_ONE)] | Annotated[PowerRange, Tag(_RANGE)], Discriminator(_form_of_power)
]
"""A power, or a range of powers to choose from."""


class Energy(Part):
    """Limits on what devices spend in a round.

    ``limit_joule`` is the most of all devices together, ``device_limit_joule`` of each.
    ``carbon_grams_per_kwh`` is what their electricity emits, one number or one for each hour of a
    day; with ``hour``, at which a round is run, ``carbon_limit_grams`` limits all devices together.
    """

    limit_joule: Amount | None = None
    device_limit_joule: Amount | None = None
    carbon_grams_per_kwh: tuple[Amount, ...] | None = None
    hour: Annotated[int, Field(ge=0, lt=HOURS), WHOLE] = 0
    carbon_limit_grams: Amount | None = None

    @model_validator(mode="after")
    def _carbon_fits(self) -> Self:
        trace = self.carbon_grams_per_kwh
        if self.carbon_limit_grams is not None and trace is None:
            raise InputError("carbon_limit_grams needs 'carbon_grams_per_kwh'")
        if trace is not None and len(trace) not in (1, HOURS):
            raise InputError(
                f"carbon_grams_per_kwh has {len(trace)} entries; give one, or {HOURS}, one for "
                "each hour"
            )
        return self

    @property
    def grams_per_joule(self) -> float | None:
        """What a joule emits at the hour of the round, None where it is not stated."""
        trace = self.carbon_grams_per_kwh
        return None if trace is None else trace[self.hour % len(trace)] / JOULE_PER_KWH
