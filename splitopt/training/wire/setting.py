"""How a run over connections is run: what is asked for, and what all of its parties take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from splitopt.training.wire.deadlines import Deadline

if TYPE_CHECKING:
    from splitopt.training.wire.transport.tls import Tls
    from splitopt.training.wire.transport.tokens import Token


AtScale = Callable[[float, float], object]

JOIN_S = 120.0
"""For so long rank 0 waits for the others, and they for rank 0."""


class WireFields(TypedDict, total=False):
    """The fields of `WireOptions`, as keywords."""

    time_scale: float | None
    any_speed: bool
    deadline: Deadline | str | None
    namespaces: bool
    join_s: float
    at_scale: AtScale | None
    fed_model: str | Path | None


@dataclass(frozen=True)
class WireOptions:
    """How whoever leads a run over connections wants it to be run.

    Parameters
    ----------
    time_scale
        Seconds of the wall for each planned one; by default such that a round takes a few seconds
        and this host keeps the pace.
    any_speed
        Train even if this host is slower than the plan at this time scale.
    deadline
        How long to wait for a device: ``"3x"`` for three times what is planned (the default; with
        ``any_speed`` a minute more than planned), or ``"10 s"`` for so many seconds more.
    namespaces
        Give each process a network namespace of its own, with links that ``tc`` shapes to the
        plan's rates, see `splitopt.training.wire.transport.namespaces`; for root on Linux.
    join_s
        How long processes may take to start.
    at_scale
        Called with the time scale and the planned seconds of a round before the first one.
    fed_model
        A file for the client part at the end, which a fed server writes.
    """

    time_scale: float | None = None
    any_speed: bool = False
    deadline: Deadline | str | None = None
    namespaces: bool = False
    join_s: float = JOIN_S
    at_scale: AtScale | None = None
    fed_model: str | Path | None = None

    @property
    def limit(self) -> Deadline:
        """How long to wait for a party; what is usual at this speed if nothing is asked for."""
        if isinstance(self.deadline, str):
            return Deadline.read(self.deadline)
        return self.deadline or Deadline.default(self.any_speed)


@dataclass(frozen=True)
class OwnFiles:
    """What a fed server writes of the client part.

    Parameters
    ----------
    checkpoint
        A folder for its state, None to keep nothing.
    resume
        Go on from the state in that folder.
    model
        A safetensors file for the averaged client part at the end.
    """

    checkpoint: Path | None = None
    resume: bool = False
    model: Path | None = None


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
    port
        On which such a party listens; 0 for any that is free.
    files
        What a party other than rank 0 keeps by itself, where there is one that does.
    """

    token: Token
    time_scale: float = 1.0
    deadline: Deadline = field(default_factory=Deadline)
    host: str | None = None
    tls: Tls | None = None
    no_tls: bool = False
    port: int = 0
    files: OwnFiles = field(default_factory=OwnFiles)
