"""Networks timed on this machine, each predicted by a model that is fitted to the others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from splitopt.errors import InputError
from splitopt.profiles.fitting.machine_fit import (
    LEAST_FOR_INTERVAL,
    Observation,
    fit_machine,
    observed,
)

if TYPE_CHECKING:
    from splitopt.profiles.tracing.result import TracedModel

NETWORKS = ("resnet18", "resnet50", "vgg11", "vgg16", "mobilenetv2", "lenet12")
MACHINE, BATCH = "here", 16
TRIES = 4
"""Times that each network is measured, in turn: the quickest counts, as other work only slows."""


def rows(networks: Sequence[str], repeats: int) -> list[dict[str, Any]]:
    """Time a training pass of each network and predict it from the others.

    The ratios are predicted over measured seconds of the whole network; the interval is that of the
    model that predicts, over the model.
    """
    if len(networks) <= LEAST_FOR_INTERVAL:
        raise InputError(f"--networks: are {len(networks)}; give {LEAST_FOR_INTERVAL + 1} at least")
    traces = {name: _traced(name) for name in networks}
    tries = [[_timed(traced, repeats) for traced in traces.values()] for _ in range(TRIES)]
    found = [min(own, key=lambda item: item.seconds[-1]) for own in zip(*tries, strict=True)]
    table = []
    for index, own in enumerate(found):
        others = [*found[:index], *found[index + 1 :]]
        model = fit_machine(others, MACHINE, BATCH)
        speed = fit_machine([_flop_only(item) for item in others], MACHINE, BATCH)
        assert model.interval is not None  # there are enough others
        measured = own.seconds[-1]
        table.append(
            {
                "network": own.network,
                "batch": BATCH,
                "measured_ms": 1e3 * BATCH * measured,
                "one_speed": _flop_only(own).counts[-1] @ speed.coefficients / measured,
                "model": own.counts[-1] @ model.coefficients / measured,
                "low": 1 / model.interval.high,
                "high": 1 / model.interval.low,
            }
        )
    return table


def _traced(name: str) -> TracedModel:
    import torch

    from splitopt.models import build
    from splitopt.profiles import trace

    shape = (1, 28, 28) if name == "lenet12" else (3, 32, 32)
    torch.manual_seed(0)
    return trace(build(name, shape, 10), torch.randn(2, *shape), name=name)


def _timed(traced: TracedModel, repeats: int) -> Observation:
    from splitopt.profiles import measure

    how = {"batch": BATCH, "repeats": repeats, "threads": 1, "clock": time.process_time}
    return observed(measure(traced, MACHINE, **how).profile, MACHINE)


def _flop_only(item: Observation) -> Observation:
    counts = np.zeros_like(item.counts)
    counts[:, 0] = item.counts[:, :3].sum(axis=1)
    kept = counts[:, 0] > 0
    return Observation(item.network, counts[kept], item.seconds[kept])
