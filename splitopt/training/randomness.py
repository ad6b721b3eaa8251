"""Random numbers that belong to one client, whatever the others do.

Layers such as dropout draw from PyTorch's global generator. If clients shared it, the order in
which they are served would change what each of them draws; so every client has a state of its own,
which is made the global one while its batch is in a layer, on whichever party that layer is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from splitopt.errors import InputError
from splitopt.profiles.tracing.running.quiet import GLOBAL_STATE
from splitopt.training.turns import seed_of as seed_of


def set_state(generator: torch.Generator, state: Tensor) -> None:
    """Set the state of a generator; raise `InputError` if it is none."""
    try:
        generator.set_state(state)
    except (RuntimeError, TypeError):
        raise InputError(
            "a state of random numbers is none that PyTorch takes; it was changed or damaged"
        ) from None


class Stream:
    """The state of the random numbers that the layers draw for one client.

    Parameters
    ----------
    seed
        A stream of a seed draws what ``torch.manual_seed(seed)`` would make layers draw.
    device
        Where the layers are; on ``cuda`` the state of its generator is kept as well.
    """

    def __init__(self, seed: int, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        self.state: Tensor = torch.Generator().manual_seed(seed).get_state()
        self.cuda_state: Tensor | None = None
        if self.device.type == "cuda":
            self.cuda_state = torch.Generator(self.device).manual_seed(seed).get_state()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make layers inside draw from this stream, and leave the global state as it was.

        A thread waits for others that have made the global state their own.
        """
        with GLOBAL_STATE:
            yield from self._active()

    def _active(self) -> Iterator[None]:
        before = torch.get_rng_state()
        torch.set_rng_state(self.state)
        cuda_before = None
        if self.cuda_state is not None:
            cuda_before = torch.cuda.get_rng_state(self.device)
            torch.cuda.set_rng_state(self.cuda_state, self.device)
        try:
            yield
        finally:
            self.state = torch.get_rng_state()
            torch.set_rng_state(before)
            if cuda_before is not None:
                self.cuda_state = torch.cuda.get_rng_state(self.device)
                torch.cuda.set_rng_state(cuda_before, self.device)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state as tensors of bytes."""
        found = {"state": self.state}
        return found if self.cuda_state is None else {**found, "cuda_state": self.cuda_state}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from a state that `state_dict` gave.

        Generators of devices of another kind are of no use to each other: a stream that moves from
        the CPU to ``cuda`` keeps the seed's state there, and one that moves back drops it.
        """
        own = state["state"].cpu()
        set_state(torch.Generator(), own)
        if self.cuda_state is not None and "cuda_state" in state:
            on_cuda = state["cuda_state"].cpu()
            set_state(torch.Generator(self.device), on_cuda)
            self.cuda_state = on_cuda
        self.state = own
