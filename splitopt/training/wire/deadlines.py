"""How long the server waits for a device before the round goes on without it."""

from __future__ import annotations

from dataclasses import dataclass

from splitopt import units
from splitopt.errors import InputError

LEAST_S = 5.0
"""A deadline by a factor is never shorter: sleeping and scheduling take time on any host."""


@dataclass(frozen=True)
class Deadline:
    """Either `factor` times what was planned, or `seconds` of the wall later than planned.

    Raises
    ------
    InputError
        Not exactly one of them, a factor below 1, or seconds that are not above 0.
    """

    factor: float | None = 3.0
    seconds: float | None = None

    def __post_init__(self) -> None:
        if (self.factor is None) == (self.seconds is None):
            raise InputError.at("deadline", "needs either a factor or seconds")
        if self.factor is not None and not 1 <= self.factor < float("inf"):
            raise InputError.at("deadline", f"is {self.factor:g}x, a factor must be at least 1")
        if self.seconds is not None and not 0 < self.seconds < float("inf"):
            raise InputError.at("deadline", f"is {self.seconds:g} s, it must be above 0")

    @classmethod
    def default(cls, any_speed: bool) -> Deadline:
        """Return three times what is planned, or a minute more on a host that may be slower."""
        return cls(None, 60.0) if any_speed else cls()

    @classmethod
    def read(cls, text: str) -> Deadline:
        """Read ``3x`` as a factor and ``10 s`` as seconds.

        Raises
        ------
        InputError
            It is neither.
        """
        plain = text.strip()
        factor = seconds = None
        try:
            if plain.endswith("x"):
                factor = float(plain[:-1])
            else:
                seconds = units.parse(plain, "time")
        except InputError as error:
            raise InputError.at("deadline", str(error)) from None
        except ValueError:
            raise InputError.at(
                "deadline", f"is {text!r}, it must be a factor such as 3x, or 10 s"
            ) from None
        return cls(factor, seconds)

    def wait_s(self, planned_s: float) -> float:
        """Return the seconds of the wall to wait for what is planned to take so many."""
        if self.seconds is not None:
            return planned_s + self.seconds
        assert self.factor is not None
        return max(LEAST_S, self.factor * planned_s)
