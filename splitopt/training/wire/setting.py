"""How a run over connections is run: what is asked for, and what all of its parties take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from splitopt.training.wire.deadlines import Deadline

if TYPE_CHECKING:
    from splitopt.training.wire.transport.tls import Tls
    from splitopt.training.wire.transport.tokens import Token


AtScale = Callable[[float, float], object]

JOIN_S = 120.0
"""For so long rank 0 waits for the others, and they for rank 0."""


@dataclass(frozen=True)
class WireOptions:
    """How whoever leads a run over connections wants it to be run.

    Parameters
    ----------
    time_scale, any_speed, deadline, namespaces, join_s, at_scale
        As for `splitopt.training.wire.launch.run_wire`.
    """

    time_scale: float | None = None
    any_speed: bool = False
    deadline: Deadline | str | None = None
    namespaces: bool = False
    join_s: float = JOIN_S
    at_scale: AtScale | None = None

    @property
    def limit(self) -> Deadline:
        """How long to wait for a party; what is usual at this speed if nothing is asked for."""
        if isinstance(self.deadline, str):
            return Deadline.read(self.deadline)
        return self.deadline or Deadline.default(self.any_speed)


@dataclass(frozen=True)
class Setting:
    """How a run over connections is run.

    Parameters
    ----------
    token
        What all parties know.
    time_scale
        Seconds of the wall for each planned one.
    deadline
        How long to wait for a party.
    host
        Where parties that others connect to listen; None for the loopback interface.
    tls
        The certificate of this party; None for connections without TLS.
    no_tls
        Whether connections may be without TLS where other machines can reach them.
    """

    token: Token
    time_scale: float = 1.0
    deadline: Deadline = field(default_factory=Deadline)
    host: str | None = None
    tls: Tls | None = None
    no_tls: bool = False
