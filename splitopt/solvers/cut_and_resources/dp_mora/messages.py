"""The messages between devices and server."""

from __future__ import annotations

from typing import Any

from splitopt.secure_sum.fixed_point import FixedPoint
from splitopt.solvers.cut_and_resources.messaging.log import Kind, MessageLog

CODE = FixedPoint(bits=256, places=128)
"""How masked values are written."""

KINDS = {
    "price": Kind("server", {"lambda": 8, "z": 8}),
    "relayed_price": Kind("device", {"lambda": 8, "z": 8}),
    "vote": Kind("server", {"settled": 1}),
    "masked": Kind("server", {"masked_value": CODE.bits // 8}),
    "total": Kind("device", {"total": 8}),
    "mask_key": Kind("device", {"key": 32}),
    "command": Kind("device", {"command": 1, "value": 8}),
    "alarm": Kind("server", {"negative": 1}),
}
"""All that ever leaves a device or the server.

``relayed_price`` goes from the server to those who hear a device, ``mask_key`` once between two
devices, encrypted, so that the server only carries it.
"""


def audit(log: MessageLog) -> dict[str, Any]:
    """Return kind -> messages, bytes and fields as plain data; every field is one number."""
    return {
        kind: {
            "messages": number,
            "bytes": number * sum(KINDS[kind].fields.values()),
            "fields": list(KINDS[kind].fields),
        }
        for kind, number in log.counts.items()
    }
