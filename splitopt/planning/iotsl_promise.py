"""What a plan promises of IoTSL: what every step takes, and whether it pays in each unit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from splitopt.latency.generator_training import break_even_steps
from splitopt.latency.iotsl import Cost
from splitopt.planning.comparison.loads import device_memory
from splitopt.planning.iotsl import IoTSL, total_of
from splitopt.planning.predictions import iotsl as shown

UNITS: dict[str, Callable[[Cost], float]] = {
    "bytes": lambda cost: cost.bytes,
    "flop": lambda cost: float(cost.device_flop.sum()) + cost.edge_flop,
    "joule": lambda cost: float(cost.device_j.sum()) + cost.edge_j,
    "seconds": lambda cost: cost.seconds,
    "device_flop": lambda cost: float(cost.device_flop.sum()),
    "device_joule": lambda cost: float(cost.device_j.sum()),
}
"""Unit -> what of a cost it is; the last two are the devices' own, where another machine helps."""

_OF_DEVICES = ("device_flop", "device_joule")


def promised(found: IoTSL) -> shown.IoTSLPrediction:
    """Compute what plain split learning and IoTSL take, in both ways if there is an edge machine.

    Raises
    ------
    InputError, InfeasibleError
        As `splitopt.planning.iotsl.check_training`.
    """
    training = found.training
    places = ["devices", *(("edge",) if found.edge is not None else ())]
    places.sort(key=lambda where: where != training.where)
    ways = [_way(found, where) for where in places]
    return shown.IoTSLPrediction(
        target=training.target,
        cut=found.cut,
        cut_layer=found.profile.layers[found.cut - 1],
        generator_steps=training.steps,
        turns_without=int(found.turns("without").sum()),
        turns_with=int(found.turns("with").sum()),
        split_learning=_shown(found.split_learning, "devices"),
        ways=ways,
        devices=_devices(found, training.where),
        device_memory_bytes=device_memory(
            found.scenario, found.profile, np.full(found.pairing.devices, found.cut)
        ),
    )


def _way(found: IoTSL, where: str) -> shown.Way:
    steps = found.steps(where)
    total, each = total_of([cost for _, cost in steps]), found.per_generator_step(where)
    return shown.Way(
        where=where,
        steps=[shown.Step(name=name, cost=_shown(cost, where)) for name, cost in steps],
        total=_shown(total, where),
        per_generator_step=_shown(each, where),
        verdicts=list(_verdicts(found, where, total, each)),
    )


def _verdicts(found: IoTSL, where: str, total: Cost, each: Cost) -> Iterator[shown.Verdict]:
    """Yield a row for each unit that is known."""
    for unit, of in UNITS.items():
        if where == "devices" and unit in _OF_DEVICES:
            continue
        without, with_, step = of(found.split_learning), of(total), of(each)
        if math.isnan(without) or math.isnan(with_):
            continue
        fixed = with_ - found.training.steps * step
        yield shown.Verdict(
            unit=unit,
            split_learning=without,
            iotsl=with_,
            pays=with_ < without,
            break_even_steps=break_even_steps(without, fixed, step),
        )


def _shown(cost: Cost, where: str) -> shown.Cost:
    device_j = float(cost.device_j.sum())
    return shown.Cost(
        bytes=cost.bytes,
        device_flop=float(cost.device_flop.sum()),
        server_flop=cost.server_flop,
        edge_flop=cost.edge_flop,
        device_j=None if math.isnan(device_j) else device_j,
        edge_j=None if where == "devices" or math.isnan(cost.edge_j) else cost.edge_j,
        seconds=cost.seconds,
    )


def _devices(found: IoTSL, where: str) -> list[shown.DeviceShare]:
    total = total_of([cost for _, cost in found.steps(where)])
    alone = found.split_learning
    rows = zip(
        (device.name for device in found.scenario.fleet()),
        found.turns("without").tolist(),
        found.turns("with").tolist(),
        found.imputed.tolist(),
        alone.device_flop.tolist(),
        total.device_flop.tolist(),
        alone.device_j.tolist(),
        total.device_j.tolist(),
        strict=True,
    )
    return [
        shown.DeviceShare(
            name=name,
            turns_without=without,
            turns_with=with_,
            imputed_samples=imputed,
            flop_without=flop,
            flop_with=flop_with,
            joule_without=None if math.isnan(joule) else joule,
            joule_with=None if math.isnan(joule_with) else joule_with,
        )
        for name, without, with_, imputed, flop, flop_with, joule, joule_with in rows
    ]
