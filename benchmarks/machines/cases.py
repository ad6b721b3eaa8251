"""Measured splits of six networks, and what is predicted for each of them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.machines.networks import blocks, image, names
from splitopt.errors import InputError
from splitopt.profiles.fitting.machine_fit import Observation, fit_machine
from splitopt.profiles.readers.split_table import fit_messages
from splitopt.profiles.table.operator_counts import PER_SAMPLE

FILE = "lookup_table_1_pi_to_pi.csv"
BATCH = 8
METHODS = ("one speed", "machine model", "every second split")

_COLUMNS = (
    "Model name",
    "Split point",
    "Partition 1 exec time (s)",
    "Partition 2 exec time (s)",
    "Network Transfer Time (s)",
)
_LAST_SPLIT = {"resnet50": 16}  # behind its last block: the two rows that follow repeat that split
_COUNTED = (2, 4)  # batches from which bytes per sample and per batch are told apart
_SHORTEST_S = 0.01  # parts that are shorter do not enter a fit

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Case:
    """One network: what its blocks do, and the seconds of a batch at S measured splits.

    Parameters
    ----------
    name
        The network.
    front, behind
        Shape (S, 6): what the operators do for a batch in front of and behind each split.
    sent
        Shape (S,): bytes that cross.
    seconds
        Shape (S, 3): measured seconds in front, behind, and of the transfer.
    """

    name: str
    front: Array
    behind: Array
    sent: Array
    seconds: Array

    def work(self, part: str) -> Array:
        """FLOP in front of or behind each split."""
        found: Array = getattr(self, part)[:, :3].sum(axis=1)
        return found


def load(folder: Path) -> list[Case]:
    """Read the measured splits and count the networks.

    Raises
    ------
    InputError
        The file is not there or has other columns.
    """
    path = folder / FILE
    if not path.is_file():
        raise InputError(f"{path}: is not there; get the measured splits of SplitRL first")
    with path.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    if not rows or tuple(rows[0]) != _COLUMNS:
        raise InputError(f"{path}: has other columns than {', '.join(_COLUMNS)}")
    found = []
    for name in names():
        own = [row for row in rows if row[_COLUMNS[0]] == name]
        last = _LAST_SPLIT.get(name, len(own))
        table = np.array([[float(row[key]) for key in _COLUMNS[1:]] for row in own[:last]])
        found.append(_case(name, table))
    return found


def _case(name: str, table: Array) -> Case:
    counts, sent = count_blocks(name)
    split = table[:, 0].astype(int)
    front = np.cumsum(counts, axis=0)[split - 1]
    return Case(name, front, counts.sum(axis=0) - front, sent[split - 1], table[:, 1:])


@cache
def count_blocks(name: str) -> tuple[Array, Array]:
    """Count the forward pass of each block for a batch: shape (blocks, 6), and the bytes it sends.

    On shapes only, in the evaluation mode in which the networks were measured.
    """
    import torch

    from splitopt.profiles.tracing.costs.operating import operated, separated

    found, sent = [], np.zeros(0)
    for batch in _COUNTED:
        modules = blocks(name)
        totals, sent = np.zeros((len(modules), 5)), np.zeros(len(modules))
        value = torch.zeros((batch, *image(name)), device="meta")
        with torch.no_grad():
            for index, module in enumerate(modules):
                with operated(totals, index):
                    value = module.eval()(value)
                sent[index] = value.numel() * value.element_size() / batch
        found.append(totals)
    counts = separated(found[0], found[1], *_COUNTED)
    return counts * np.where(PER_SAMPLE, BATCH, 1), BATCH * sent


def left_out(cases: list[Case], method: str) -> dict[str, Array]:
    """Predict the seconds (S, 3) of each network by a method that has not seen it."""
    found = {}
    for case in cases:
        others = [other for other in cases if other is not case]
        found[case.name] = every_second(case) if method == METHODS[2] else _by(others, case, method)
    return found


def _by(others: list[Case], case: Case, method: str) -> Array:
    model = fit_machine([_observation(other, method) for other in others], "pi", BATCH)
    own = _observation(case, method, everything=True)
    count = len(case.sent)
    parts = own.counts @ model.coefficients
    link = fit_messages(
        np.concatenate([other.sent for other in others]),
        np.concatenate([other.seconds[:, 2] for other in others]),
        "transfers",
    )
    transfer = link.message_s + case.sent / link.bytes_per_s
    return np.column_stack((parts[:count], parts[count : 2 * count], transfer))


def _observation(case: Case, method: str, everything: bool = False) -> Observation:
    """Rows in front of and behind each split, and both together; one speed knows the FLOP alone."""
    counts = np.concatenate([case.front, case.behind, case.front + case.behind])
    seconds = np.concatenate([*case.seconds[:, :2].T, case.seconds[:, :2].sum(axis=1)])
    if method == METHODS[0]:
        flop = counts[:, :3].sum(axis=1)
        counts = np.zeros_like(counts)
        counts[:, 0] = flop
    kept = (seconds >= _SHORTEST_S) | everything
    return Observation(case.name, counts[kept], seconds[kept])


def every_second(case: Case) -> Array:
    """Interpolate from every second split, by the share of the FLOP between its neighbours.

    Transfers by a fixed cost and a rate that are fitted to the splits that were measured.
    """
    known = np.arange(0, len(case.sent), 2)
    found = np.zeros((len(case.sent), 3))
    for column, part in enumerate(("front", "behind")):
        work, seconds = case.work(part), case.seconds[:, column]
        order = known[np.argsort(work[known], kind="stable")]
        at = np.concatenate([[0.0], work[order]])
        value = np.concatenate([[0.0], seconds[order]])
        per_flop = value[-1] / at[-1]
        beyond = value[-1] + (work - at[-1]) * per_flop
        found[:, column] = np.where(work > at[-1], beyond, np.interp(work, at, value))
    link = fit_messages(case.sent[known], case.seconds[known, 2], case.name)
    found[:, 2] = link.message_s + case.sent / link.bytes_per_s
    found[known] = case.seconds[known]
    return found


def scored(case: Case, predicted: Array, unseen: npt.NDArray[np.bool_]) -> Mapping[str, Any]:
    """Compare the predicted seconds (S, 3) of a network with the measured ones.

    ``errors``: relative, end to end, of the splits `unseen`. ``latency`` and ``period``: what the
    split that is chosen by the prediction costs over the best one: all three in a row, and the
    longest of the three.
    """
    real, guess = case.seconds.sum(axis=1), predicted.sum(axis=1)
    longest, guessed = case.seconds.max(axis=1), predicted.max(axis=1)
    return {
        "errors": np.abs(guess[unseen] / real[unseen] - 1),
        "latency": real[guess.argmin()] / real.min(),
        "period": longest[guessed.argmin()] / longest.min(),
    }
