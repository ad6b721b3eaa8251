"""The small model, the clients and the cuts that schemes are checked with."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from splitopt.errors import InputError
from splitopt.training.data.batches import Batches
from splitopt.training.model_parts.copies import Split
from splitopt.training.options import Options
from splitopt.training.program import Takes
from splitopt.training.randomness import Stream
from splitopt.training.schemes import Client, Scheme
from splitopt.training.schemes.clustered import Clustered

SIZES = (10, 16, 7)
BATCH = 4
STREAM = 200
"""The seed of the first client's random numbers; the others have the following ones."""
_WIDTH, _CLASSES = 8, 3
_CUTS: dict[Takes, list[tuple[int, ...]]] = {
    "planned": [(3,), (2, 7), (2, 4, 7)],
    "shared": [(3,)],
    "ends": [(2, 7)],
    "nothing": [()],
}


def network(dropout: float = 0.0, batch_norm: bool = False, seed: int = 0) -> nn.Sequential:
    """Return nine layers, with activations in place as they are usual."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(_WIDTH, 12),
            nn.BatchNorm1d(12) if batch_norm else nn.Tanh(),
            nn.Dropout(dropout),
            nn.Linear(12, 10),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(10, 8),
            nn.Tanh(),
            nn.Linear(8, _CLASSES),
        )


def clients_of(sizes: Sequence[int], cuts: tuple[int, ...], batch: int | None) -> list[Client]:
    """Return clients with random data of their own."""
    rng = np.random.default_rng(0)
    found = []
    for k, size in enumerate(sizes):
        x = torch.tensor(rng.normal(size=(size, _WIDTH)), dtype=torch.float32)
        y = torch.tensor(rng.integers(0, _CLASSES, size))
        batches = Batches(x, y, batch, 100 + k)
        found.append(Client(f"d{k}", batches, Stream(STREAM + k), cuts))
    return found


def build(
    kind: type[Scheme],
    options: Options,
    *,
    sizes: Sequence[int] = SIZES,
    batch: int | None = BATCH,
    dropout: float = 0.0,
    batch_norm: bool = False,
    model: nn.Module | None = None,
) -> Scheme:
    """Make a scheme of the small model, at the first cuts that it takes.

    Raises
    ------
    InputError
        It takes none.
    """
    if plays(kind) == "centralized":
        sizes = [sum(sizes) + (len(sizes) > 1)]  # no mini-batch of one, which has no variance
    first: InputError | None = None
    for cuts in _candidates(kind):
        own = network(dropout, batch_norm) if model is None else model
        clients = clients_of(sizes, cuts, batch)
        try:
            scheme = kind(own, clients, options, Split(split), nn.functional.cross_entropy, 5)
        except InputError as error:
            first = first or error
            continue
        if isinstance(scheme, Clustered) and not hasattr(scheme, "clusters"):
            scheme.cluster([range(0, len(sizes), 2), range(1, len(sizes), 2)][: len(sizes)])
        return scheme
    assert first is not None
    raise first


def split(model: nn.Module, cuts: tuple[int, ...]) -> list[nn.Module]:
    """Cut a sequence of layers after these numbers of them."""
    assert isinstance(model, nn.Sequential)
    ends = (0, *cuts, len(model))
    return [model[a:b] for a, b in itertools.pairwise(ends)]


def plays(kind: type[Scheme]) -> str:
    """Name the scheme whose rounds a class plays."""
    return kind.runs_as or kind.name


def is_cut(scheme: Scheme) -> bool:
    """Whether anything crosses a cut."""
    return any(client.cuts for client in scheme.clients)


def _candidates(kind: type[Scheme]) -> list[tuple[int, ...]]:
    cuts = _CUTS[kind.takes]
    return cuts[::-1] if plays(kind) == "multihop" else cuts
