"""Scenarios and profiles as callers may give them: objects, files, names or plain data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splitopt.documents.taking import take
from splitopt.errors import InputError

if TYPE_CHECKING:
    from splitopt.profiles import ModelProfile
    from splitopt.scenario import Scenario

    ScenarioLike = Scenario | str | Path | Mapping[str, Any]
    ProfileLike = ModelProfile | str | Path | Mapping[str, Any]


def as_scenario(value: ScenarioLike, argument: str = "scenario", *, fleet: bool = True) -> Scenario:
    """Return a scenario: as it is, of a file or a shipped one by its name, or of plain data.

    Parameters
    ----------
    value
        What was given.
    argument
        How messages call it.
    fleet
        Whether it must have devices, which one with accelerators or replication has not.

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
    found = take(
        value,
        Scenario,
        argument,
        Scenario.load,
        lambda data: Scenario.from_dict(data, argument),
        mends,
    )
    if fleet:
        expect_fleet(found, argument)
    return found


def expect_fleet(scenario: Scenario, argument: str = "scenario") -> None:
    """Raise `InputError` for a scenario whose machines stand in the place of a fleet."""
    if (section := scenario.without_fleet) is not None:
        raise InputError.at(
            argument,
            f"has {section!r} and no fleet of devices, which this is about; 'splitopt plan' "
            "without --problem plans it",
        )


def as_profile(
    value: ProfileLike | None, scenario: Scenario, argument: str = "profile"
) -> ModelProfile:
    """Return a model profile given likewise; that of the scenario if None is given."""
    return scenario.load_model() if value is None else profile_of(value, argument)


def profile_of(value: ProfileLike, argument: str = "profile") -> ModelProfile:
    """Return a model profile: as it is, of a file or a shipped one by its name, or of plain data.

    Raises
    ------
    InputError
        It is none of these, or cannot be read.
    """
    from splitopt.profiles import ModelProfile, load_profile

    return take(
        value,
        ModelProfile,
        argument,
        load_profile,
        lambda data: ModelProfile.from_dict(data, argument),
    )
