"""How a run over connections is run, as all of its parties take it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from splitopt.training.wire.deadlines import Deadline

if TYPE_CHECKING:
    from splitopt.training.wire.transport.tls import Tls
    from splitopt.training.wire.transport.tokens import Token


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
