"""Rounds of rates: measured ones from a CSV file, or ones that a documented model generates."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from splitopt.distributions import Trace, generator
from splitopt.documents.checks import check_number, check_whole
from splitopt.errors import InputError
from splitopt.latency.split_federated import link_rate
from splitopt.planning.control.events import (
    LEAST_FACTOR,
    MOST_FACTOR,
    DeviceSlows,
    Event,
    RateChanges,
)
from splitopt.problems.base import FloatArray
from splitopt.problems.cut_and_resources.choice_tables import has_choices
from splitopt.scenario import Scenario
from splitopt.scenario.varying import COMPUTE

DOWNLINK, UPLINK = "downlink_bit_per_s", "uplink_bit_per_s"
COLUMNS = (DOWNLINK, UPLINK, COMPUTE)
"""Columns of a trace of rates beside ``round`` and ``device``; one at least must be there."""
_RESOURCE = {DOWNLINK: "download", UPLINK: "upload"}
_STREAM = 2**23


def planned_numbers(scenario: Scenario) -> dict[str, FloatArray]:
    """Return what a scenario states for its devices (N,), by the columns of a trace.

    Without ``compute_flop_per_s`` where a device is a measured machine or a machine model.

    Raises
    ------
    InputError
        Devices choose more than a cut, so that their links are not one each way.
    """
    if has_choices(scenario):
        raise InputError.at(
            "trace",
            "is of one downlink and one uplink of every device, and these devices choose more than "
            "a cut (servers, bits, clocks or energy); tell the controller of events instead",
        )
    fleet = scenario.fleet()
    found = {
        DOWNLINK: np.array([link_rate(scenario.link(device, "downlink")) for device in fleet]),
        UPLINK: np.array([link_rate(scenario.link(device, "uplink")) for device in fleet]),
    }
    speeds = [device.compute for device in fleet]
    if None not in speeds:
        found[COMPUTE] = np.array(speeds, dtype=np.float64)
    return found


def rounds_of(trace: Trace, scenario: Scenario) -> list[dict[str, FloatArray]]:
    """Return the factors (N,) by which each round's numbers are the planned ones, by column.

    Raises
    ------
    InputError
        The devices are others than the scenario's, a number is not above 0, or a speed was measured
        of what the scenario states no speed of.
    """
    ordered = trace.ordered([device.name for device in scenario.fleet()])
    planned = planned_numbers(scenario)
    for column, table in ordered.values.items():
        if column not in planned:
            raise InputError.at(
                "trace",
                f"has {column}, but the scenario's devices state no 'compute'; leave it out",
            )
        factor = table / planned[column]
        fits = (factor >= LEAST_FACTOR) & (factor <= MOST_FACTOR)
        if not fits.all():
            row, n = np.argwhere(~fits)[0]
            raise InputError.at(
                "trace",
                f"round {row + 1}: {column} of {ordered.devices[n]} is {table[row, n]:g}, it must "
                f"be above 0 and from {LEAST_FACTOR:g} to {MOST_FACTOR:g} times the planned "
                f"{planned[column][n]:g}; leave out rounds in which a device was not there",
            )
    return [
        {column: table[row] / planned[column] for column, table in ordered.values.items()}
        for row in range(ordered.rounds)
    ]


def events_of(factors: Mapping[str, FloatArray], names: list[str]) -> list[Event]:
    """Return the events of a round: what every device's rates and speed are."""
    found: list[Event] = []
    links = [column for column in (DOWNLINK, UPLINK) if column in factors]
    for n, name in enumerate(names):
        if links:
            rates = {_RESOURCE[column]: float(factors[column][n]) for column in links}
            found.append(RateChanges(name, rates))
        if COMPUTE in factors:
            found.append(DeviceSlows(name, float(factors[COMPUTE][n])))
    return found


def generated_rates(
    scenario: Scenario,
    rounds: int,
    *,
    seed: int = 0,
    deviation_db: float = 6.0,
    memory: float = 0.8,
) -> Trace:
    """Generate a trace of link rates; nothing in it was measured.

    The rate of device n in round t is its planned one times 10^(x_nt / 10), the same for both
    directions, where x is a stationary Gauss-Markov process in dB, as shadowing is modelled
    (Gudmundson 1991): x_n1 ~ N(0, s^2), x_nt = m x_n(t-1) + sqrt(1 - m^2) s e_nt with independent
    standard normal e, cut off at 3 s.

    Parameters
    ----------
    scenario
        Whose devices and planned rates.
    rounds
        How many.
    seed
        Of the draws.
    deviation_db
        The standard deviation s.
    memory
        The correlation m of two rounds in a row.
    """
    check_whole("rounds", rounds, 1)
    check_number("deviation_db", deviation_db, 0.0, 30.0)
    check_number("memory", memory, 0.0, 0.999)
    planned = planned_numbers(scenario)
    names = tuple(device.name for device in scenario.fleet())
    noise = generator(seed, _STREAM).standard_normal((rounds, len(names)))
    level = np.empty_like(noise)
    level[0] = noise[0]
    for t in range(1, rounds):
        level[t] = memory * level[t - 1] + np.sqrt(1 - memory**2) * noise[t]
    factor = 10.0 ** (deviation_db * np.clip(level, -3, 3) / 10)
    return Trace(names, {column: planned[column] * factor for column in (DOWNLINK, UPLINK)})
