"""What a plan of generators promises of the whole: what split learning and IoTSL take."""

from __future__ import annotations

import math

from splitopt.planning.predictions.base import Part

WORDS = {
    "bytes": "bytes",
    "flop": "FLOP",
    "joule": "joule",
    "seconds": "seconds",
    "device_flop": "FLOP of the devices",
    "device_joule": "joule of the devices",
}
"""Unit of a verdict -> what people call it."""

PLAIN = "split learning"
CALLED = {"devices": "IoTSL", "edge": "IoTSL, edge machine"}
"""Where generators are trained -> what people call the whole."""


class Cost(Part):
    """What something takes; None is not known.

    Parameters
    ----------
    bytes
        That cross links.
    device_flop, server_flop, edge_flop
        Work of all devices, of the server and of the edge machine.
    device_j, edge_j
        Joule of all devices, and of the edge machine.
    seconds
        From its beginning to its end.
    """

    bytes: float
    device_flop: float
    server_flop: float
    edge_flop: float = 0.0
    device_j: float | None = None
    edge_j: float | None = None
    seconds: float


class Step(Part):
    """A step of Algorithm 1 by its name, and what it takes."""

    name: str
    cost: Cost


class Verdict(Part):
    """Whether IoTSL pays in one unit.

    Parameters
    ----------
    unit
        ``bytes``, ``flop``, ``joule`` or ``seconds`` of all that takes part but the server, or
        ``device_flop`` and ``device_joule`` of the devices alone.
    split_learning, iotsl
        What each takes to the target.
    pays
        Whether IoTSL takes less.
    break_even_steps
        Generator steps of each device up to which it would pay; 0 where it pays at no number, None
        where it pays at any.
    """

    unit: str
    split_learning: float
    iotsl: float
    pays: bool
    break_even_steps: float | None = None


class Way(Part):
    """IoTSL with its generators trained in one place.

    Parameters
    ----------
    where
        ``devices`` or ``edge``.
    steps
        Of Algorithm 1, in order.
    total
        Of all of them.
    per_generator_step
        What one more generator step of each device adds.
    verdicts
        A row for each unit.
    """

    where: str
    steps: list[Step]
    total: Cost
    per_generator_step: Cost
    verdicts: list[Verdict]


class DeviceShare(Part):
    """A device's part, with the generators trained where the scenario says.

    Parameters
    ----------
    name
        The device.
    turns_without, turns_with
        Its turns of split learning, and of fine-tuning.
    imputed_samples
        That it makes of classes that it lacks.
    flop_without, flop_with
        Its work in split learning, and in IoTSL.
    joule_without, joule_with
        The same in joule, None where its powers are not known.
    """

    name: str
    turns_without: int
    turns_with: int
    imputed_samples: int
    flop_without: float
    flop_with: float
    joule_without: float | None = None
    joule_with: float | None = None


class IoTSLPrediction(Part):
    """Whether IoTSL pays: what it and plain split learning take to the same accuracy.

    Parameters
    ----------
    target
        The accuracy, 0 to 1.
    cut, cut_layer
        Of the training.
    generator_steps
        Of every device that has a generator.
    turns_without, turns_with
        Of all devices together.
    split_learning
        What it takes, one device after the other.
    ways
        IoTSL as the scenario has it, then the other way, if there is an edge machine.
    devices
        A row per device.
    device_memory_bytes
        Of the device that needs most for its part of the model and a mini-batch; None where a
        batch size or the profile's memory is not known. Training a generator is not in it.
    """

    target: float
    cut: int
    cut_layer: str
    generator_steps: int
    turns_without: int
    turns_with: int
    split_learning: Cost
    ways: list[Way]
    devices: list[DeviceShare]
    device_memory_bytes: float | None = None


def sentences(prediction: IoTSLPrediction) -> list[str]:
    """Return whether IoTSL pays, and up to how many generator steps, for each way."""
    steps = f"{prediction.generator_steps:,} generator steps of each device"
    found = []
    for way in prediction.ways:
        who = "trained at the edge machine" if way.where == "edge" else "trained on the devices"
        pays = [WORDS[row.unit] for row in way.verdicts if row.pays]
        fails = [WORDS[row.unit] for row in way.verdicts if not row.pays]
        words = [f"pays in {_listed(pays)}"] if pays else []
        words += [f"does not pay in {_listed(fails)}"] if fails else []
        found.append(
            f"to {percent(prediction.target)} with {steps}, {who}, IoTSL {' and '.join(words)} "
            f"({prediction.turns_with} turns of devices in place of {prediction.turns_without})"
        )
        most = _listed([_break_even(row) for row in way.verdicts])
        found.append(f"generator steps of each device up to which it pays, {who}: {most}")
    return found


def _break_even(row: Verdict) -> str:
    unit, most = WORDS[row.unit], most_steps(row.break_even_steps)
    if most is None:
        return f"in {unit} at any number"
    return f"in {unit} up to {most:,}" if most else f"in {unit} at none"


def most_steps(break_even: float | None) -> int | None:
    """Return the largest number of generator steps below a break-even: at it both are equal."""
    return None if break_even is None else max(0, math.ceil(break_even) - 1)


def percent(accuracy: float) -> str:
    """Write an accuracy in percent."""
    return f"{100 * accuracy:.6g} %"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
