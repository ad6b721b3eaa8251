"""Fitting a machine model to what was measured, and how well it predicts a network left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from splitopt.errors import InputError
from splitopt.profiles.fitting.machine_model import MachineModel
from splitopt.profiles.fitting.relative_fit import relative_nnls
from splitopt.profiles.table.arrays import Array
from splitopt.profiles.table.interval import Interval
from splitopt.profiles.table.operator_counts import FEATURES
from splitopt.profiles.table.profile import ModelProfile

LEAST_FOR_INTERVAL = 3
"""Networks, so that each is predicted from two others at least."""
_LEAST_PART = 0.05  # parts shorter than this fraction of the whole do not decide a cut
_WORK = ("convolution_flop", "depthwise_flop", "matrix_flop")


@dataclass(frozen=True, eq=False)
class Observation:
    """Measured parts of one network.

    Parameters
    ----------
    network
        Its name.
    counts
        Shape (rows, 6): what the operators of a part do for one sample, columns of `FEATURES`.
    seconds
        Shape (rows,): measured seconds per sample, above 0.
    """

    network: str
    counts: Array
    seconds: Array


def observed(profile: ModelProfile, machine: str, batch: int | None = None) -> Observation:
    """Collect the parts in front of and behind every cut of a profile with measured times.

    Forward, and backward with the weight update, are rows of their own; so is the whole model. A
    part without measured time is left out.

    Parameters
    ----------
    profile
        With operators and with the machine's times.
    machine
        The machine.
    batch
        Samples in a timed batch; by default what the times say.

    Raises
    ------
    InputError
        No such machine, a layer that was not measured, no operators, or no batch, or two of them.
    """
    times = profile.machine_times(machine)
    size = times.batch if batch is None else batch
    if size is None:
        raise InputError(
            f"profile {profile.name!r}: the times of {machine!r} do not say for which batch they "
            "are; give it (--batch)"
        )
    if times.batch not in (None, size):
        raise InputError.at(
            "batch", f"is {size}, but {machine!r} of {profile.name!r} was timed with {times.batch}"
        )
    counts = profile.operator_counts(machine)
    forward = counts.per_sample("forward", size)
    backward = counts.per_sample("backward", size) + counts.per_sample("update", size)
    rows = [
        _parts(np.column_stack((work, seconds)))
        for work, seconds in (
            (forward, times.forward_s),
            (backward, times.backward_s + times.update_s),
        )
    ]
    table = np.concatenate([*rows, (rows[0] + rows[1])[-1:]])
    table = table[table[:, -1] > 0]
    return Observation(profile.name, table[:, :-1], table[:, -1])


def _parts(layers: Array) -> Array:
    """Add up layers (L, k) in front of and behind each cut, and the whole: (2 L - 1, k)."""
    whole = layers.sum(axis=0)
    front = np.cumsum(layers, axis=0)[:-1]
    return np.concatenate([front, whole - front, whole[None]])


def fit_machine(
    observations: Sequence[Observation], name: str, batch: int, message_s: float = 0.0
) -> MachineModel:
    """Fit a machine model to measured networks, with an interval from leaving each out in turn.

    The seconds per unit are those >= 0 with the least sum of absolute relative errors, every
    network weighing the same (non-negative least squares, reweighted). The interval holds 90 % of
    the ratios of measured to predicted seconds of networks that the fit has not seen.

    Parameters
    ----------
    observations
        One for each network.
    name, batch, message_s
        As of `MachineModel`.

    Raises
    ------
    InputError
        No observation, one without rows, or a network that stands there twice.
    """
    names = [item.network for item in observations]
    if not observations:
        raise InputError("networks: there is none; measure one at least")
    for item in observations:
        if names.count(item.network) > 1:
            raise InputError(f"networks: {item.network!r} stands there twice; names must differ")
        if not len(item.seconds):
            raise InputError(f"networks: {item.network!r} has no measured part")
    coefficients, unseen = _coefficients(observations)
    notes = [
        f"No network that it was fitted to has {label}: they count as "
        f"{_words(stand_in)} do, which is a guess."
        for label, stand_in in ((_words(k), v) for k, v in unseen.items())
    ]
    model = MachineModel(
        name, batch, tuple(coefficients), message_s, None, tuple(names), tuple(notes)
    )
    if len(observations) < LEAST_FOR_INTERVAL:
        note = (
            f"It is unknown how far real seconds may lie from these: {len(observations)} networks "
            f"were measured, and leaving one out needs {LEAST_FOR_INTERVAL}."
        )
        return replace(model, notes=(*model.notes, note))
    ratios = [ratio for _, ratio in left_out(observations)]
    method = (
        f"each of {len(names)} networks predicted from the others: quantiles of measured over "
        "predicted seconds of its parts"
    )
    return replace(model, interval=Interval.of_ratios(ratios, method))


def left_out(observations: Sequence[Observation]) -> list[tuple[str, Array]]:
    """Compute measured over predicted seconds of each network, fitted on the others.

    Only of its parts that take at least a twentieth of the whole.
    """
    found = []
    for index, item in enumerate(observations):
        others = [*observations[:index], *observations[index + 1 :]]
        predicted = item.counts @ _coefficients(others)[0]
        large = item.seconds >= _LEAST_PART * item.seconds.max()
        if (predicted[large] <= 0).any():
            raise InputError(
                f"networks: without {item.network!r} the others do not tell how long it takes; "
                "measure networks that are more alike"
            )
        found.append((item.network, item.seconds[large] / predicted[large]))
    return found


def _coefficients(observations: Sequence[Observation]) -> tuple[Array, dict[str, str]]:
    """Fit the seconds per unit (6,), and name the kinds of work that nothing was seen of."""
    design = np.concatenate([item.counts for item in observations])
    seconds = np.concatenate([item.seconds for item in observations])
    weight = np.concatenate([np.full(len(o.seconds), 1 / len(o.seconds)) for o in observations])
    seen = design.max(axis=0) > 0
    found = np.zeros(len(FEATURES))
    found[seen] = relative_nnls(design[:, seen], seconds, weight)
    missing = [name for name in _WORK if not seen[FEATURES.index(name)]]
    known = [name for name in _WORK if name not in missing]
    stand_in = {name: known[0] for name in missing if known}
    for name, other in stand_in.items():
        found[FEATURES.index(name)] = found[FEATURES.index(other)]
    return found, stand_in


def _words(feature: str) -> str:
    return {
        "convolution_flop": "convolutions",
        "depthwise_flop": "depthwise convolutions",
        "matrix_flop": "matrix products",
    }[feature]
