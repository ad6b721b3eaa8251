"""The mini-batches of one client, drawn by a generator of its own."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from splitopt.errors import InputError
from splitopt.training.data.named import Inputs
from splitopt.training.data.positions import Positions
from splitopt.training.randomness import set_state


class Batches:
    """Draws the mini-batches of a client, in a new random order in each local epoch.

    Parameters
    ----------
    inputs, targets
        Shape (n, ...) and (n, ...), of the same length n >= 1; inputs may be several tensors.
    size
        Samples in a batch; the last one of a local epoch may be smaller. None for all in one.
    seed
        Of the order of the samples.
    positions
        Of samples of unequal length, by which every batch is cut to its own longest one; None to
        leave batches as long as the longest sample of the data.
    """

    def __init__(
        self,
        inputs: Inputs,
        targets: Tensor,
        size: int | None,
        seed: int,
        positions: Positions | None = None,
    ) -> None:
        if len(inputs) == 0 or len(inputs) != len(targets):
            raise InputError(
                f"data: {len(inputs)} inputs and {len(targets)} targets; a client needs at least "
                "one sample, and a target for each"
            )
        self.inputs, self.targets, self.positions = inputs, targets, positions
        self.size = len(inputs) if size is None else min(size, len(inputs))
        self.generator = torch.Generator().manual_seed(seed)
        self._order = torch.empty(0, dtype=torch.int64)
        self._next = 0

    @property
    def samples(self) -> int:
        """Number of samples of the client."""
        return len(self.inputs)

    @property
    def per_epoch(self) -> int:
        """Batches of a local epoch, in which each sample is drawn once."""
        return -(-self.samples // self.size)

    def draw(self) -> tuple[Inputs, Tensor]:
        """Return the next batch, going on where the last call ended."""
        if self._next >= len(self._order):
            self._order = self.walk()
            self._next = 0
        rows = self._order[self._next : self._next + self.size]
        self._next += self.size
        return self.at(rows)

    def at(self, rows: Tensor) -> tuple[Inputs, Tensor]:
        """Return some samples as a batch."""
        rows = rows.to(self.inputs.device)
        inputs, targets = self.inputs[rows], self.targets[rows]
        return (inputs, targets) if self.positions is None else self.positions.cut(inputs, targets)

    def walk(self) -> Tensor:
        """Return the rows of a local epoch in random order."""
        return torch.randperm(self.samples, generator=self.generator)

    def sizes(self, count: int) -> tuple[int, ...]:
        """Return how many samples each of the next `count` batches will have, and draw none."""
        left, found = max(0, len(self._order) - self._next), []
        for _ in range(count):
            left = left or self.samples
            found.append(min(self.size, left))
            left -= found[-1]
        return tuple(found)

    def take(self, count: int) -> Iterator[tuple[Inputs, Tensor]]:
        """Return the next `count` batches."""
        for _ in range(count):
            yield self.draw()

    def state_dict(self) -> dict[str, Tensor]:
        """Return the place in the local epoch, as tensors."""
        return {
            "generator": self.generator.get_state(),
            "order": self._order,
            "next": torch.tensor(self._next),
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from a state that `state_dict` gave.

        Raises
        ------
        InputError
            It is no state of a generator, or no order of this client's samples.
        """
        set_state(self.generator, state["generator"].cpu())
        order, following = state["order"].cpu(), int(state["next"])
        is_order = order.dtype == torch.int64 and order.dim() == 1
        if not (is_order and following >= 0 and ((order >= 0) & (order < self.samples)).all()):
            raise InputError(
                f"the order of a client's batches is no walk through its {self.samples} samples; "
                "the state was changed or damaged"
            )
        self._order, self._next = order, following
