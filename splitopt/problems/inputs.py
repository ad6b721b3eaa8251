"""Scenarios and profiles as callers may give them: objects, files, names or plain data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splitopt.documents.taking import take

if TYPE_CHECKING:
    from splitopt.profiles import ModelProfile
    from splitopt.scenario import Scenario

    ScenarioLike = Scenario | str | Path | Mapping[str, Any]
    ProfileLike = ModelProfile | str | Path | Mapping[str, Any]


def as_scenario(value: ScenarioLike, argument: str = "scenario") -> Scenario:
    """Return a scenario: as it is, of a file or a shipped one by its name, or of plain data.

    Raises
    ------
    InputError
        It is none of these, or cannot be read; quantities need their units in plain data too.
    """
    from splitopt.scenario import Scenario

    mends = {
        "Plan": "take Scenario.from_dict(plan.scenario)",
        "Problem": "a problem is answered by splitopt.solve(problem)",
    }
    return take(
        value,
        Scenario,
        argument,
        Scenario.load,
        lambda data: Scenario.from_dict(data, argument),
        mends,
    )


def as_profile(
    value: ProfileLike | None, scenario: Scenario, argument: str = "profile"
) -> ModelProfile:
    """Return a model profile given likewise; that of the scenario if None is given."""
    from splitopt.profiles import ModelProfile, load_profile

    if value is None:
        return scenario.load_model()
    return take(
        value,
        ModelProfile,
        argument,
        load_profile,
        lambda data: ModelProfile.from_dict(data, argument),
    )
