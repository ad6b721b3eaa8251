"""What the parties of a run tell rank 0 of their own data: how many samples, and of what kind."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from splitopt.documents.checks import is_whole
from splitopt.errors import shown
from splitopt.profiles.tracing.running.quiet import undisturbed
from splitopt.training.data.named import arguments_of
from splitopt.training.data.shards import TEST, Elsewhere, misfit
from splitopt.training.preparing.prepare import Prepared
from splitopt.training.tasks.targets import MOST_CLASSES

_MOST_SAMPLES = 2**40


class Told:
    """Keeps what ranks say when they join, and refuses data that do not fit.

    Called with a rank and its words, it returns why they do not fit, or None. A rank that comes
    back must say the same again.

    Parameters
    ----------
    prepared
        Of rank 0, which has the data to test with.
    """

    def __init__(self, prepared: Prepared) -> None:
        assert prepared.own is not None
        self._prepared, self._own = prepared, prepared.own
        self._known: dict[int, Mapping[str, Any]] = {}
        self._lock = threading.Lock()
        self._outputs = _outputs(prepared)  # now: nothing else computes yet

    def __call__(self, rank: int, told: Mapping[str, Any]) -> str | None:
        """Return why what a rank tells does not fit, None if it does."""
        why = misfit(told, self._own.told(), TEST) or self._misfit(rank, told)
        if why is not None:
            return why
        with self._lock:
            if self._known.setdefault(rank, told) != told:
                return "it is not what it was when the run began; start the rank with the same"
        return None

    def tell(self, rank: int, told: Mapping[str, Any]) -> str | None:
        """Record what a client tells as soon as it fits; return why it does not."""
        why = self(rank, told)
        batches = self._prepared.scheme.clients[rank - 1].batches
        if why is None and isinstance(batches, Elsewhere):
            batches.tell(told["samples"], told["classes"])
        return why

    def prepared(self) -> Prepared:
        """Apply what clients have told, and return what the run is of now."""
        counts = []
        for index, client in enumerate(self._prepared.scheme.clients):
            told, batches = self._known[index + 1], client.batches
            assert isinstance(batches, Elsewhere)
            batches.tell(told["samples"], told["classes"])
            counts.append([client.name, told["samples"]])
        identity = {**self._prepared.identity, "clients": counts}
        return replace(self._prepared, identity=identity)

    def _misfit(self, rank: int, told: Mapping[str, Any]) -> str | None:
        """Return what is wrong with the numbers of samples and classes that a rank tells."""
        samples, classes = told.get("samples"), told.get("classes")
        if not is_whole(samples, 1) or samples > _MOST_SAMPLES:
            return f"it has {shown(samples)} samples"
        own = self._own.data.classes
        if (classes is None) != (own is None) or not (
            classes is None or (is_whole(classes, 1) and classes <= max(MOST_CLASSES, own or 0))
        ):
            return f"it has {shown(classes)} classes, and those of {TEST} {own}"
        clients = self._prepared.program.clients
        if rank > len(clients) or classes is None:
            return None
        wrong = self._prepared.task.misfit(self._outputs, self._own.targets[:2], classes)
        return None if wrong is None else f"the model {wrong.replace('{data}', 'it')}"


def _outputs(prepared: Prepared) -> Tensor:
    """Return what the model makes of some samples."""
    assert prepared.own is not None
    model = prepared.split.module
    with undisturbed(model), torch.no_grad():
        model.eval()
        found: Tensor = model(*arguments_of(prepared.own.inputs[:2]))
    return found
