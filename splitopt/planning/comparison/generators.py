"""A comparison of what generators are for: ways to pair them, and whether IoTSL pays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from splitopt.errors import CapabilityError, InfeasibleError, InputError, SolveError
from splitopt.planning.planner import plan
from splitopt.planning.predictions.generator_pairing import GeneratorPairingPrediction
from splitopt.planning.predictions.iotsl import CALLED, PLAIN, Cost, IoTSLPrediction
from splitopt.plans import Plan
from splitopt.scenario import Scenario

PAIRINGS = {"auto": "exact", "greedy": "greedy", "algorithm2": "Algorithm 2 as printed"}
"""Solver -> what its pairing is called."""


@dataclass(frozen=True)
class PairingRow:
    """A way to pair generators; what is unknown is None.

    Parameters
    ----------
    label
        What it is called.
    solver
        The solver that was taken.
    reason
        Why there is no pairing, None where there is one.
    proved
        Whether no pairing costs less.
    generators_sent, exchange_bytes, exchange_s
        Transfers, and what they take.
    objective, unit
        What was minimised, with the quality that is lost, and its unit.
    """

    label: str
    solver: str
    reason: str | None = None
    proved: bool = False
    generators_sent: int | None = None
    exchange_bytes: float | None = None
    exchange_s: float | None = None
    objective: float | None = None
    unit: str | None = None


@dataclass(frozen=True)
class WholeRow:
    """What split learning or IoTSL takes to the target; joule is None where powers are missing.

    ``bytes``, ``flop`` and ``joule`` are those of all that takes part but the server.
    """

    label: str
    turns: int
    bytes: float
    flop: float
    joule: float | None
    seconds: float
    device_flop: float
    pays: tuple[str, ...] = ()


@dataclass(frozen=True)
class GeneratorComparison:
    """Pairings, and the whole with the exact one; ``target`` is the accuracy it is about."""

    pairings: tuple[PairingRow, ...]
    whole: tuple[WholeRow, ...] = ()
    target: float | None = None


def compare_generators(
    scenario: Scenario, time_limit_s: float | None, seed: int
) -> GeneratorComparison | None:
    """Return the pairings of a scenario with generators, and the whole; None without any.

    Parameters
    ----------
    time_limit_s, seed
        Of each search.
    """
    if scenario.generators is None:
        return None
    rows, whole = [], None
    for solver, label in PAIRINGS.items():
        try:
            made = plan(
                scenario,
                problem="generator_pairing",
                solver=solver,
                time_limit_s=time_limit_s,
                seed=seed,
            )
        except (CapabilityError, InfeasibleError, InputError, SolveError) as error:
            rows.append(PairingRow(label, solver, str(error)))
            continue
        row, found = _row(label, made)
        rows.append(row)
        whole = found if whole is None else whole
    if whole is None:
        return GeneratorComparison(tuple(rows))
    return GeneratorComparison(tuple(rows), _whole(whole), whole.target)


def _row(label: str, made: Plan) -> tuple[PairingRow, IoTSLPrediction | None]:
    result: Any = made.result
    if made.prediction is None:
        reason = result["message"] or "no pairing was found in time"
        return PairingRow(label, result["solver"], reason), None
    found = GeneratorPairingPrediction.from_dict(made.prediction)
    row = PairingRow(
        label=label,
        solver=result["solver"],
        proved=result["outcome"] == "optimal",
        generators_sent=len(found.transfers),
        exchange_bytes=found.exchange_bytes,
        exchange_s=found.exchange_s,
        objective=result["objective"],
        unit=found.objective_unit,
    )
    return row, found.iotsl


def _whole(found: IoTSLPrediction) -> tuple[WholeRow, ...]:
    rows = [_whole_row(None, found.turns_without, found.split_learning)]
    for way in found.ways:
        pays = tuple(row.unit for row in way.verdicts if row.pays)
        rows.append(_whole_row(way.where, found.turns_with, way.total, pays))
    return tuple(rows)


def _whole_row(who: str | None, turns: int, cost: Cost, pays: tuple[str, ...] = ()) -> WholeRow:
    unknown = cost.device_j is None or (who == "edge" and cost.edge_j is None)
    return WholeRow(
        label=PLAIN if who is None else CALLED[who],
        turns=turns,
        bytes=cost.bytes,
        flop=cost.device_flop + cost.edge_flop,
        joule=None if unknown else (cost.device_j or 0.0) + (cost.edge_j or 0.0),
        seconds=cost.seconds,
        device_flop=cost.device_flop,
        pays=pays,
    )
