"""What the server tells a device about the pace of a round, in seconds of the wall."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from splitopt.documents.checks import is_number
from splitopt.training.wire.star.timing import BACKWARD, FORWARD, MODEL_UP, UPLOAD, Piece
from splitopt.training.wire.transport.errors import FrameError
from splitopt.training.wire.transport.links import KernelLink, link_of
from splitopt.training.wire.transport.pacing import Bucket
from splitopt.training.wire.transport.sharing import SharedResource


@dataclass(frozen=True)
class DevicePace:
    """How fast a device is and sends.

    Parameters
    ----------
    forward_s, backward_s
        Of one sample.
    upload, model_upload
        Rates in byte/s; 0 for as fast as can be.
    """

    forward_s: float
    backward_s: float
    upload: float
    model_upload: float

    @classmethod
    def of(cls, pieces: Mapping[str, Piece], time_scale: float) -> DevicePace:
        """Scale what the plan has for a client."""
        return cls(
            pieces[FORWARD].seconds_for(1) * time_scale,
            pieces[BACKWARD].seconds_for(1) * time_scale,
            scaled_rate(pieces[UPLOAD], time_scale),
            scaled_rate(pieces[MODEL_UP], time_scale),
        )

    def fields(self) -> dict[str, float]:
        """Return it as plain data."""
        return asdict(self)

    @classmethod
    def read(cls, fields: Any) -> DevicePace:
        """Read what `fields` gave in another process.

        Raises
        ------
        FrameError
            It is something else.
        """
        names = set(cls.__dataclass_fields__)
        if not isinstance(fields, dict) or set(fields) != names:
            raise FrameError("a pace with other fields than it has here")
        for value in fields.values():
            if not is_number(value) or not value >= 0:
                raise FrameError("a pace that is not made of numbers >= 0")
        return cls(**fields)


def scaled_rate(piece: Piece, time_scale: float) -> float:
    """Return the rate of a transfer in byte/s of the wall; 0 for as fast as can be."""
    rate = piece.rate_bytes_per_s
    return rate / time_scale if math.isfinite(rate) else 0.0


def bucket_of(rate: float, resource: SharedResource | None = None) -> Bucket | KernelLink | None:
    """Make the link of a rate, 0 for none; for ``resource`` see `link_of`."""
    return link_of(rate, resource) if rate > 0 else None
