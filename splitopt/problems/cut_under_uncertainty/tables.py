"""`CutUnderUncertainty` from a scenario with spectrum, clusters and distributions."""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.distributions import Trace
from splitopt.errors import InputError
from splitopt.latency.cell import cell_of, cell_seconds, cut_index, signal_ratios
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum
from splitopt.problems.cluster_and_spectrum.data import TIMES
from splitopt.problems.cluster_limits import check_cluster_cut, cluster_cuts
from splitopt.problems.cut_under_uncertainty.blocks import SHARED, Blocks
from splitopt.problems.cut_under_uncertainty.drawn import Generator
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario
from splitopt.scenario.varying import COMPUTE, SNR


def source_from_scenario(
    scenario: Scenario, profile: ModelProfile
) -> tuple[tuple[str, ...], Generator]:
    """Return the names of the cuts and the generator of their rounds.

    The cuts are all of the model that meet the limits of leakage and memory, or the one that
    ``clusters.cut`` names.

    Raises
    ------
    InputError
        A section is missing, or a device has no speed or signal that could vary.
    InfeasibleError
        No cut meets the limits, or not the one that is named.
    """
    spectrum, clusters = cell_of(scenario)
    varying = scenario.distributions
    if varying is None:
        raise InputError(
            "a cut under uncertainty needs the section 'distributions' (how speeds and channels "
            "vary); add it"
        )
    if clusters.cut_per_cluster:
        raise InputError.at(
            "clusters.cut_per_cluster",
            "is true, and a cut under uncertainty is one for all clusters; drop it",
        )
    cuts = _cuts(scenario, profile, clusters.cut)
    rows = [
        ClusterAndSpectrum.from_seconds(cell_seconds(scenario, profile, cut), scenario)
        for cut in cuts
    ]
    nominal = Blocks.stack(
        [
            Blocks(
                {field: getattr(row, field) for field in TIMES},
                np.asarray(row.server_s_per_device),
                **{field: getattr(row, field) for field in SHARED},
            )
            for row in rows
        ]
    )
    up, down = (
        10 * np.log10(signal_ratios(scenario, direction)) for direction in ("uplink", "downlink")
    )
    found: dict[str, Any] = {"nominal_snr_db": up, "downlink_offset_db": down - up}
    trace = _ordered(scenario)
    if varying.compute is not None or (trace is not None and COMPUTE in trace.values):
        found["nominal_compute"] = speed = _speeds(scenario)
        if varying.compute is not None:
            try:
                found["compute"] = varying.compute.distribution(speed)
            except InputError as error:
                raise InputError(f"distributions.compute.{error}") from None
    if varying.snr is not None:
        try:
            found["snr_db"] = varying.snr.distribution(up)
        except InputError as error:
            raise InputError(f"distributions.snr.{error}") from None
    if trace is not None:
        names = {COMPUTE: "compute", SNR: "snr_db"}
        found["trace"] = {names[name]: table for name, table in trace.values.items()}
    generator = Generator(nominal, varying.samples, varying.seed, fading=spectrum.fading, **found)
    return tuple(profile.layers[cut - 1] for cut in cuts), generator


def _cuts(scenario: Scenario, profile: ModelProfile, cut: int | str) -> list[int]:
    if cut == "auto":
        return cluster_cuts(scenario, profile, last=True)
    named = cut_index(profile, cut)
    check_cluster_cut(scenario, profile, named)
    return [named]


def _speeds(scenario: Scenario) -> Any:
    found = []
    for index, device in enumerate(scenario.fleet()):
        if device.compute is None:
            raise InputError.at(
                f"devices[{index}] ({device.name})",
                "is a measured machine or a machine model, whose speed does not vary; give "
                "'compute' instead",
            )
        found.append(device.compute)
    return np.array(found)


def _ordered(scenario: Scenario) -> Trace | None:
    """Return the measured rounds with the fleet's devices as columns."""
    assert scenario.distributions is not None
    rounds = scenario.distributions.trace
    if rounds is None:
        return None
    try:
        given = {
            name: np.array(table, dtype=np.float64)
            for name, table in ((COMPUTE, rounds.compute_flop_per_s), (SNR, rounds.snr_db))
            if table is not None
        }
    except ValueError:
        raise InputError.at("distributions.trace", "has rounds of different lengths") from None
    trace = Trace(rounds.devices, given)
    return trace.ordered([d.name for d in scenario.fleet()], "distributions.trace")
