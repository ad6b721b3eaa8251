"""Why a scenario leaves no common cut to a scheme, in one sentence."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import BoolArray
from splitopt.problems.common_cut.problem import CommonCut
from splitopt.problems.common_cut.tables import model_bytes, served_with_parts
from splitopt.problems.limits import allowed_by_tied, why_no_common_cut
from splitopt.problems.memory import memory_words, server_copies_bytes, server_shared_bytes
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario
from splitopt.units import readable_bytes


def why_none(problem: CommonCut, scenario: Scenario, profile: ModelProfile) -> str | None:
    """Report what would have to change so that a scheme has a cut, None where it has one."""
    if problem.possible.any():
        return None
    if problem.objective == "federated":
        return _why_not_whole(problem, scenario, profile)
    everyone: BoolArray = np.asarray(problem.allowed.all(axis=0))[:-1]
    least = _least_memory(everyone, problem.objective, scenario, profile)
    if least is not None:
        memory = scenario.servers[0].memory or 0.0
        return (
            f"the server needs {memory_words(least)} at the cut that needs least, and its memory "
            f"is {readable_bytes(memory)}"
        )
    return why_no_common_cut(scenario, profile, exchanging=True)


def _why_not_whole(problem: CommonCut, scenario: Scenario, profile: ModelProfile) -> str:
    stuck = np.flatnonzero(~problem.allowed[:, -1])
    if stuck.size:
        device = scenario.fleet()[stuck[0]].name
        others = f" and {stuck.size - 1} more" if stuck.size > 1 else ""
        return f"the whole model does not fit into the memory of {device}{others}"
    memory = scenario.servers[0].memory or 0.0
    return (
        f"the server needs {memory_words(model_bytes(profile))} for the model that it averages, "
        f"and its memory is {readable_bytes(memory)}"
    )


def _least_memory(
    everyone: BoolArray,
    scheme: str,
    scenario: Scenario,
    profile: ModelProfile,
) -> float | None:
    """Return the bytes that the server needs least at cuts that the devices can take.

    None where there are none, or they are not known.
    """
    open_cuts = np.flatnonzero(everyone & allowed_by_tied(profile, exchanging=True)[:-1])
    sizes = [device.batch_size for device in scenario.fleet()]
    stated = [size for size in sizes if size is not None]
    if not open_cuts.size or len(stated) < len(sizes):
        return None
    if scheme == "splitfed_v1":
        copies = server_copies_bytes(scenario, profile)
        need = None if copies is None else copies.sum(axis=0)
    else:
        devices = served_with_parts(scenario, scheme)
        need = server_shared_bytes(profile, float(max(stated)), devices)
    return None if need is None else float(need[open_cuts].min())
