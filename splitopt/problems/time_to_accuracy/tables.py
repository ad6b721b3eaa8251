"""`TimeToAccuracy` from the section ``time_to_accuracy`` of a scenario."""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.errors import InputError
from splitopt.latency.synchronous_steps import sample_seconds
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.limits import allowed_by_leakage, allowed_by_tied
from splitopt.problems.memory import largest_batch
from splitopt.profiles import ModelProfile
from splitopt.profiles.counting.memory import layer_parameters, server_parts
from splitopt.scenario import Scenario
from splitopt.scenario.time_to_accuracy import TimeToAccuracySection


def section_of(scenario: Scenario) -> TimeToAccuracySection:
    """Return the section ``time_to_accuracy``, with the batch sizes of ``training`` if it has none.

    Raises
    ------
    InputError
        There is no such section.
    """
    if scenario.time_to_accuracy is None:
        raise InputError(
            "the scenario has no section 'time_to_accuracy'; add one with the 'curve' of rounds "
            "that 'splitopt calibrate' measures, and the batch sizes to choose from"
        )
    section = scenario.time_to_accuracy
    if section.batch_size is None:
        section = section._with(batch_size=scenario.training.batch_size)
    return section


def tables_from_scenario(scenario: Scenario, profile: ModelProfile) -> dict[str, Any]:
    """Return the fields of `TimeToAccuracy`.

    Raises
    ------
    InputError
        There is no section, or its curve is of another number of devices or of another model.
    """
    section = section_of(scenario)
    curve, fleet = section.curve, scenario.fleet()
    if curve.devices != len(fleet) and not section.extrapolate:
        raise InputError.at(
            "time_to_accuracy.curve",
            f"was calibrated with {curve.devices} devices, and the scenario has {len(fleet)}, over "
            "which noise averages otherwise; calibrate again, or say 'extrapolate: true'",
        )
    seconds = sample_seconds(scenario, profile)._asdict()
    constants = curve.convergence_bound
    if constants is not None and len(constants.get("second_moment", ())) != profile.layer_count:
        raise InputError.at(
            "time_to_accuracy.curve.convergence_bound",
            f"has second moments of {len(constants.get('second_moment', ()))} layers, and the "
            f"profile {profile.name} has {profile.layer_count}; calibrate with this model",
        )
    return {
        **{f"{name}_s": np.array(table) for name, table in seconds.items()},
        "batch_sizes": np.array(sorted(section.batch_size or ())),
        "intervals": np.array(sorted(section.aggregation_interval)),
        "rounds": {
            "rounds": curve.rounds,
            "batch_factor": curve.batch_factor,
            "interval_exponent": curve.interval_exponent,
            "parameter_share": parameter_share(profile),
        },
        "cuts": section.cuts,
        "largest_batch": largest_batches(scenario, profile),
        "convergence_bound": constants,
    }


def parameter_share(profile: ModelProfile) -> FloatArray:
    """Shape (L,): the fraction of the parameters in the layers up to each cut."""
    total = np.cumsum(layer_parameters(profile))
    return np.asarray(np.minimum(total / total[-1], 1.0) if total[-1] > 0 else np.zeros(len(total)))


def largest_batches(scenario: Scenario, profile: ModelProfile) -> IntArray:
    """Shape (N, L): the most samples in a batch, 0 at cuts that a device may not take.

    A device has no larger batch than samples; memory of device and server binds where it is known
    (the server works on one batch at a time), and so do leakage and tied weights. At the last cut
    nothing would be split.
    """
    fleet = scenario.fleet()
    found = np.zeros((len(fleet), profile.layer_count), dtype=np.int64)
    most = _server_limit(scenario, profile)
    known: dict[Any, IntArray] = {}
    for n, device in enumerate(fleet):
        key = device.memory, device.samples
        if key not in known:
            fits = [largest_batch(device, profile, cut + 1) for cut in range(profile.layer_count)]
            own = [device.samples if size is None else size for size in fits]
            known[key] = np.minimum(np.minimum(own, device.samples), most)
        found[n] = known[key]
    allowed = allowed_by_leakage(scenario, profile) & allowed_by_tied(profile, exchanging=False)
    allowed[:, -1] = False
    return np.where(allowed, found, 0)


def _server_limit(scenario: Scenario, profile: ModelProfile) -> IntArray:
    """Shape (L,): the most samples that the server can work on at once with one copy."""
    unlimited = np.full(profile.layer_count, 2**53)
    memory = scenario.servers[0].memory if scenario.servers else None
    parts = server_parts(profile)
    if memory is None or parts is None:
        return unlimited
    left = memory - parts[0]
    fits = np.where(parts[1] > 0, left / np.where(parts[1] > 0, parts[1], 1.0), 2.0**53)
    return np.where(left >= 0, np.minimum(np.floor(fits), 2.0**53), 0.0).astype(np.int64)
