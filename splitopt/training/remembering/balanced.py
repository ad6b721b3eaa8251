"""Batches in which the classes of a device are equally frequent."""

from __future__ import annotations

import torch
from torch import Tensor

from splitopt.errors import InputError
from splitopt.training.data.batches import Batches


class Balanced(Batches):
    """Draws each class of a client equally often: rare ones are repeated, frequent ones thinned.

    A local epoch has as many samples as the client, so that batches, bytes and time are those of
    the plan. Its classes have equal parts of it, which differ by at most one sample. Of a class
    with fewer samples each is repeated before any is once more; of a class with more, others are
    left out in every epoch.

    Parameters
    ----------
    of
        The batches of the client, whose data, size and random numbers are taken over.

    Raises
    ------
    InputError
        Its targets are no labels.
    """

    def __init__(self, of: Batches) -> None:
        super().__init__(of.inputs, of.targets, of.size, 0, of.positions)
        self.generator.set_state(of.generator.get_state())
        labels = check_labels(of.targets, "oversample", "draws classes equally often")
        self._rows = [torch.nonzero(labels == k).flatten() for k in torch.unique(labels).tolist()]

    def walk(self) -> Tensor:
        """Return the rows of a local epoch in random order."""
        whole, more = divmod(self.samples, len(self._rows))
        first = torch.randperm(len(self._rows), generator=self.generator)[:more].tolist()
        chosen = []
        for place, own in enumerate(self._rows):
            count = whole + (place in first)
            times, rest = divmod(count, len(own))
            some = torch.randperm(len(own), generator=self.generator)[:rest]
            chosen += [own.repeat(times), own[some]]
        rows = torch.cat(chosen)
        return rows[torch.randperm(len(rows), generator=self.generator)]


def check_labels(targets: Tensor, name: str, what: str) -> Tensor:
    """Return targets on the CPU; raise `InputError` of an option if they are no labels >= 0."""
    found = targets.detach().cpu()
    if found.dim() != 1 or found.is_floating_point() or bool((found < 0).any()):
        raise InputError.at(
            name, f"{what}, and the targets are no labels, one for each sample; leave it out"
        )
    return found
