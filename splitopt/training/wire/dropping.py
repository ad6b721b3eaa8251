"""Parties that a round goes on without: who, since when in the round, and why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from splitopt.errors import InputError, TrainingError
from splitopt.training.wire.transport.errors import ChannelError, ChannelTimeoutError, FrameError


class DevicesGoneError(TrainingError):
    """No device is left that could finish a round."""


@dataclass(frozen=True)
class Dropped:
    """A device that a round (1, 2, ...) went on without."""

    client: str
    round: int
    phase: str
    reason: str

    def __str__(self) -> str:
        return f"{self.client} in round {self.round} ({self.phase}: {self.reason})"


class LateError(Exception):
    """A device is gone, late or sends what cannot be used; the phase is what was waited for."""

    def __init__(self, phase: str, reason: str) -> None:
        super().__init__(reason)
        self.phase, self.reason = phase, reason


@contextmanager
def late_on_failure(phase: str, wait_s: float | None = None) -> Iterator[None]:
    """Raise `LateError` for whatever goes wrong with a device in a phase: it is then dropped."""
    try:
        yield
    except ChannelTimeoutError:
        waited = "" if wait_s is None else f" within {wait_s:.3g} s"
        raise LateError(phase, f"nothing came{waited}") from None
    except (FrameError, InputError, KeyError) as error:
        raise LateError(phase, f"it sent {error}") from None
    except ChannelError as error:
        raise LateError(phase, str(error)) from None
