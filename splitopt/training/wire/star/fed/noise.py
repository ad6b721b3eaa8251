"""What the fed server says of a noise layer in the client part, which it alone has whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from splitopt.training.data.named import Inputs
from splitopt.training.preparing.pixel import Placed
from splitopt.training.rounds.defences import noise_of
from splitopt.training.rounds.halves import Halves
from splitopt.training.schemes.base import Scheme
from splitopt.training.wire.transport.errors import FrameError
from splitopt.training.wire.transport.frames import Message

UNDER_NOISE = "under_noise"
"""Field of the word to test: through the client part with its noise layer, drawn anew."""


def strength_of(scheme: Scheme) -> dict[str, Any]:
    """Return a field with sensitivity and scale of the noise, none without a noise layer."""
    found = noise_of(scheme)
    return {"noise": found} if found else {}


def parts_of_test(
    message: Message, scheme: Scheme, halves: Halves, tests: Inputs
) -> Iterator[Tensor]:
    """Return what the averaged client part makes of the test data, as a word to test asks for it.

    Raises
    ------
    FrameError
        It asks for noise, and there is none.
    """
    noise = scheme.noise
    if message.fields.get(UNDER_NOISE) is not True:
        return halves.batches(tests)
    if not isinstance(noise, Placed) or not isinstance(tests, Tensor):
        raise FrameError("a test under noise, and there is none here")
    return noise.smashed(scheme.model, scheme.clients[0].cuts, tests)
