"""The secret random numbers of one device: the noise, and who is in a batch.

They come from the operating system and from nowhere else. They are not made from the seed of a
run, they are in no state and in no checkpoint, and they can be neither copied nor sent.
"""

from __future__ import annotations

import secrets
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor


class Entropy:
    """Draws for one device from 256 bits of the operating system.

    Parameters
    ----------
    test_seed
        Draw from this seed instead, in tests; whoever knows it can repeat what is drawn.
    number
        Number of the device, which sets apart what devices draw from one test seed.
    holder
        Likewise for another party that adds noise to parts which it holds for the device; 0 for
        the device itself.
    """

    def __init__(self, test_seed: int | None = None, number: int = 0, holder: int = 0) -> None:
        self._seed = test_seed, number
        words = secrets.randbits(256) if test_seed is None else [test_seed, number]
        if test_seed is not None and holder:
            words = [test_seed, number, holder]
        noise, choice = np.random.SeedSequence(words).spawn(2)
        self._noise = np.random.Generator(np.random.Philox(noise))
        self._choice = np.random.Generator(np.random.Philox(choice))

    def apart(self, holder: int) -> Entropy:
        """Return other random numbers, for a party that adds noise in parts of its own."""
        seed, number = self._seed
        return Entropy(seed, number, holder)

    def normal(self, like: Tensor, deviation: float) -> Tensor:
        """Return Gaussian noise of a standard deviation, in the shape and place of a tensor."""
        drawn = torch.from_numpy(self._noise.normal(0.0, deviation, tuple(like.shape)))
        return drawn.to(device=like.device, dtype=like.dtype)

    def chosen(self, count: int, rate: float) -> Tensor:
        """Return which of some samples are in a batch: each with this probability, by itself."""
        return torch.from_numpy(np.flatnonzero(self._choice.random(count) < rate))

    def order(self, count: int) -> Tensor:
        """Return a random order of some samples."""
        return torch.from_numpy(self._choice.permutation(count))

    def __repr__(self) -> str:
        """Return a text that holds nothing of the state."""
        return "Entropy(secret)"

    def __reduce__(self) -> NoReturn:
        """Raise `TypeError`: it is not copied, sent or kept."""
        raise TypeError("the secret random numbers of a device are neither copied nor sent")
