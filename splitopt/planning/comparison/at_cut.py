"""Seconds of a round of the schemes with one server at a cut that is given, not chosen."""

from __future__ import annotations

from splitopt.planning.comparison.star_rounds import ServerContext, round_phases
from splitopt.problems.common_cut.tables import without_server
from splitopt.problems.cut_and_resources import PHASES
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario


def round_at_cut(
    scheme: str,
    scenario: Scenario,
    profile: ModelProfile,
    cut: int | None = None,
    local_steps: int | None = None,
) -> dict[str, float]:
    """Return the seconds of a round by phase; they add up to the round.

    Parameters
    ----------
    scheme
        ``fl``, ``sl``, ``sflv1`` or ``sflv2``, as `splitopt.planning.comparison.rows.LABELS`
        names them. Where devices work side by side, links and server are divided for the shortest
        round, and the phases are those of the slowest device.
    scenario, profile
        The fleet and its model.
    cut
        1..L, the cut of all devices; ``fl`` needs none.
    local_steps
        Mini-batches of every device in a round, instead of the scenario's epochs; each device
        must then state its ``batch_size``.

    Raises
    ------
    InputError
        The scenario has not exactly one server and the scheme needs it.
    """
    if local_steps is not None:
        scenario = with_steps(scenario, local_steps)
    if scheme == "fl":
        scenario, cut = without_server(scenario), profile.layer_count
    assert cut is not None
    seconds = round_phases(scheme, ServerContext.of(scenario, profile), [cut])[0]
    return {name: float(value) for name, value in zip(PHASES, seconds, strict=True) if value > 0}


def with_steps(scenario: Scenario, steps: int) -> Scenario:
    """Return a scenario whose round is so many mini-batches: one epoch of as many samples."""
    devices = tuple(
        device.model_copy(update={"samples": steps * (device.batch_size or device.samples)})
        for device in scenario.devices
    )
    training = scenario.training.model_copy(update={"epochs": 1})
    return scenario.model_copy(update={"devices": devices, "training": training})
