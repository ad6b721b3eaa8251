"""The section ``robust``: how many devices may be slow at once, and how many a round waits for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from splitopt.errors import InputError
from splitopt.scenario.machine import Count, Part
from splitopt.scenario.quantity import NUMBER

Slower = Annotated[float, Field(ge=1, le=1e6), NUMBER]


class Slow(Part):
    """At most so many ``devices`` are slow at once, and which ones nobody knows beforehand.

    A slow device takes ``compute`` times as long for its own work, and ``links`` times as long for
    what it sends and receives. A fraction of a device is one that is partly slow.
    """

    HINTS: ClassVar[Mapping[str, str]] = {
        "count": "write it as 'devices', the most that are slow at once",
        "factor": "write it as 'compute', 'links', or both",
    }

    devices: Annotated[float, Field(ge=0, le=1e9), NUMBER]
    compute: Slower = 1.0
    links: Slower = 1.0

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.devices > 0 and self.compute == 1 and self.links == 1:
            raise InputError(
                "says of slow devices nothing that is slow; give 'compute' or 'links', factors "
                "above 1"
            )
        return self


class Robust(Part):
    """Plan for the worst case: of ``slow`` devices, and of a round that waits for a ``quorum``.

    The quorum is a number of devices; the others are left out or come too late.
    """

    slow: Slow | None = None
    quorum: Count | None = None

    def check(self, devices: int) -> None:
        """Raise `InputError` where it speaks of more than so many devices."""
        if self.slow is not None and self.slow.devices > devices:
            raise InputError.at(
                "robust.slow.devices",
                f"is {self.slow.devices:g}, it must be at most the {devices:,} devices there are",
            )
        if self.quorum is not None and self.quorum > devices:
            raise InputError.at(
                "robust.quorum",
                f"is {self.quorum:,}, it must be at most the {devices:,} devices there are",
            )
