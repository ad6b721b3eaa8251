"""The mini-batches of a client whose choice is a secret of its device, and how many there were."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from splitopt.errors import InputError, TrainingError
from splitopt.training.data.batches import Batches
from splitopt.training.data.named import Inputs
from splitopt.training.data.positions import Positions
from splitopt.training.data.shards import Elsewhere
from splitopt.training.privacy.entropy import Entropy
from splitopt.training.privacy_options import Sampling


class Exposures(Batches):
    """Counts how often a sample of a client may have been used.

    Attributes
    ----------
    sampling
        How batches are drawn.
    exposures
        How often a sample may have been used: batches that were drawn with ``"poisson"``, walks
        through the data that were begun with ``"shuffled"``. It never goes back.
    """

    sampling: Sampling
    exposures: int = 0

    @property
    def rate(self) -> float:
        """The rate that exposures are amplified by, 1 for none."""
        return self.size / self.samples if self.sampling == "poisson" else 1.0

    @property
    def smallest(self) -> int:
        """The number of samples that every batch counts for at least."""
        if self.sampling == "poisson":
            return self.size
        return self.samples - (self.per_epoch - 1) * self.size

    def counted(self, samples: int) -> int:
        """Return by how many samples the sum over a batch of some is divided.

        It says nothing of who is in a Poisson batch: that is the size which is expected.
        """
        return self.size if self.sampling == "poisson" else samples

    def exposures_in(self, batches: int) -> int:
        """Return the exposures of so many batches, from the beginning."""
        return batches if self.sampling == "poisson" else -(-batches // self.per_epoch)

    def spend(self, batches: int) -> None:
        """Count the most that so many batches can have exposed, of which nobody can tell."""
        self.exposures += self.exposures_in(batches)

    def sizes(self, count: int) -> tuple[int, ...]:
        """Return how many samples each of the next batches counts for, and draw none."""
        return (self.size,) * count if self.sampling == "poisson" else super().sizes(count)

    def state_dict(self) -> dict[str, Tensor]:
        """Return how much was drawn. Who was in which batch, and who is next, is not told."""
        return {"exposures": torch.tensor(self.exposures)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on counting from a count, unless more is known here.

        Raises
        ------
        InputError
            It is no count.
        """
        exposures = int(state["exposures"])
        if exposures < 0:
            raise InputError("the exposures of a client are no count; the state was changed")
        self.exposures = max(self.exposures, exposures)


class PrivateElsewhere(Exposures, Elsewhere):
    """Counts for a client whose data and random numbers are in another process.

    Parameters
    ----------
    own
        What is known of the client's batches.
    sampling
        How they are drawn there.
    """

    def __init__(self, own: Elsewhere, sampling: Sampling) -> None:
        vars(self).update(vars(own))  # the same examples and numbers, and a count beside them
        self.sampling = sampling


class PrivateBatches(Exposures):
    """Draws batches from the device's secret random numbers, and counts what it drew.

    With ``"poisson"`` each sample is in a batch with probability ``size / samples``, so that the
    number of samples varies, and may be 0. With ``"shuffled"`` batches walk through the data.

    Parameters
    ----------
    inputs, targets, size, positions
        As for `Batches`.
    sampling
        How batches are drawn.
    entropy
        The random numbers of the device.

    Attributes
    ----------
    most
        How many exposures there may be, None without a limit.
    """

    def __init__(
        self,
        inputs: Inputs,
        targets: Tensor,
        size: int | None,
        sampling: Sampling,
        entropy: Entropy,
        positions: Positions | None = None,
    ) -> None:
        super().__init__(inputs, targets, size, 0, positions)
        self.sampling, self._entropy = sampling, entropy
        self.most: int | None = None

    def draw(self) -> tuple[Inputs, Tensor]:
        """Return the next batch.

        Raises
        ------
        TrainingError
            There are as many exposures as there may be.
        """
        if self.sampling == "poisson":
            self._expose()
            rows = self._entropy.chosen(self.samples, self.rate)
        else:
            if self._next >= len(self._order):
                self._expose()
                self._order, self._next = self._entropy.order(self.samples), 0
            rows = self._order[self._next : self._next + self.size]
            self._next += self.size
        return self.at(rows)

    def _expose(self) -> None:
        if self.most is not None and self.exposures >= self.most:
            raise TrainingError(
                "target_epsilon is spent: its noise is for fewer batches; train with more rounds "
                "planned from the beginning"
            )
        self.exposures += 1

    def take(self, count: int) -> Iterator[tuple[Inputs, Tensor]]:
        """Return the next `count` batches."""
        for _ in range(count):
            yield self.draw()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from a larger count; a walk that was begun is begun anew then, and counts again."""
        before = self.exposures
        super().load_state_dict(state)
        if self.exposures > before:
            self._order, self._next = torch.empty(0, dtype=torch.int64), 0
