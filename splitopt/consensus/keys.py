"""Keys that devices agree on through the coordinator: of each pair for masks, of each for plans."""

from __future__ import annotations

import math

from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.secure_sum.fixed_point import FixedPoint
from splitopt.secure_sum.keys import KEY_BYTES, KeyPair, SecureSumError
from splitopt.secure_sum.masks import ring_neighbours

PUBLIC_KEYS = "public_keys"
"""Kind of message: a public key to the coordinator, and those of all from it."""
MASK = b"price_consensus mask"


def plan_context(device: int, turn: int) -> bytes:
    """Return what the key of one plan of one device is for."""
    return b"price_consensus plan %d %d" % (device, turn)


def pair_keys(
    pair: KeyPair, index: int, devices: int, neighbours: int, public: list[bytes]
) -> dict[int, bytes]:
    """Return the key that a device shares with each of its neighbours on the ring.

    Raises
    ------
    SecureSumError
        There are not as many public keys as devices, they are not all different, or the device's
        own is not among them.
    """
    own = public[:devices]
    if len(own) < devices or any(len(key) != KEY_BYTES for key in public):
        raise SecureSumError("public keys of other parties than there are")
    if len(set(own)) < devices or own[index] != pair.public:
        raise SecureSumError("public keys that are not all different, or without one's own")
    return {
        other: pair.agree(own[other], MASK) for other in ring_neighbours(index, devices, neighbours)
    }


def too_large(problem: CutAndResources, row: int, code: FixedPoint, devices: int) -> str | None:
    """Return why a device's numbers do not fit into a sum of so many, None if they do.

    A device knows its own numbers alone, so that each may take its part of the room.
    """
    allowed = problem.allowed[row]
    if not allowed.any():
        return "has no cut that it may use"
    room = code.limit / 2 / devices
    largest = max(
        float(problem.roots[row][allowed].max()), float(problem.device_s[row][allowed].max())
    )
    if largest < room and math.isfinite(largest):
        return None
    return (
        f"cannot mask {largest:.3g} s with {code.places} of {code.bits} bits behind the point in a "
        f"sum of {devices}; give the times in a larger unit or take fewer fraction_bits"
    )
