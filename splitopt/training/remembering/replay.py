"""Smashed data of earlier turns, kept by the server, to learn from beside what arrives.

No raw sample leaves a device: what the server keeps is what it was sent anyway. It is stale: made
by the device part as it was when the batch was sent, which has moved on since. The server's part
alone learns from it, and the gradient of what is replayed goes to nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from splitopt.errors import InputError
from splitopt.training.randomness import set_state


class Replay:
    """The last smashed samples of each class, of the turns that are over.

    Parameters
    ----------
    per_class
        m, of each class at most; 0 for none.
    classes
        How many classes there are.
    like
        The smashed data of one sample, shape (1, ...).
    seed
        Of the choice of what is replayed.
    """

    def __init__(self, per_class: int, classes: int, like: Tensor, seed: int) -> None:
        self.per_class, self.classes = per_class, classes
        shape = (classes, per_class, *like.shape[1:])
        self._smashed = torch.zeros(shape, dtype=like.dtype, device=like.device)
        self._counts = torch.zeros(classes, dtype=torch.int64)
        self._next = torch.zeros(classes, dtype=torch.int64)
        self._generator = torch.Generator().manual_seed(seed)
        self._seen: dict[int, list[Tensor]] = {}

    @property
    def samples(self) -> int:
        """How many samples are kept, of all classes."""
        return int(self._counts.sum())

    def draw(self, count: int) -> tuple[Tensor, Tensor] | None:
        """Return so many different samples and their labels, fewer if there are fewer, or None."""
        labels = torch.repeat_interleave(torch.arange(self.classes), self._counts)
        if not len(labels) or count < 1:
            return None
        places = torch.cat([torch.arange(int(own)) for own in self._counts])
        chosen = torch.randperm(len(labels), generator=self._generator)[:count]
        labels, places = labels[chosen], places[chosen]
        there = self._smashed.device
        return self._smashed[labels.to(there), places.to(there)], labels.to(there)

    def see(self, smashed: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
        """Note a batch of the turn that is going on; it is kept when the turn is over."""
        if not self.per_class:
            return
        for own, labels in zip(smashed, targets, strict=True):
            for row, label in enumerate(labels.tolist()):
                seen = self._seen.setdefault(label, [])
                seen.append(own[row].detach().clone())
                del seen[: -self.per_class]

    def turn_ends(self) -> None:
        """Keep the last samples of each class of the turn, in place of the oldest ones."""
        for label, rows in self._seen.items():
            for row in rows:
                place = int(self._next[label])
                self._smashed[label, place] = row
                self._next[label] = (place + 1) % self.per_class
                self._counts[label] = min(self.per_class, int(self._counts[label]) + 1)
        self._seen = {}

    def state_dict(self) -> dict[str, Tensor]:
        """Return what is kept between turns as named tensors."""
        return {
            "smashed": self._smashed,
            "counts": self._counts,
            "next": self._next,
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state that `state_dict` gave; a turn that was going on is forgotten.

        Raises
        ------
        InputError
            Counts or places outside of what can be kept, or no state of a generator.
        """
        counts, following = state["counts"].cpu(), state["next"].cpu()
        within = (counts >= 0) & (counts <= self.per_class)
        within &= (following >= 0) & (following < max(1, self.per_class))
        if not bool(within.all()):
            raise InputError(
                f"the replayed samples are not 0 to {self.per_class} of each class; the state was "
                "changed or damaged"
            )
        set_state(self._generator, state["generator"].cpu())
        self._smashed = state["smashed"].to(self._smashed).clone()
        self._counts, self._next, self._seen = counts.clone(), following.clone(), {}
