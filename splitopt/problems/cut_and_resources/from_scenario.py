"""Which form of `CutAndResources` a scenario asks for, and its arguments.

The tables of cuts are those of the module `tables`, kept as factors where devices are many; where
devices choose more than a cut the module `choice_tables` lists what they choose between.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from splitopt.errors import InputError
from splitopt.problems.cut_and_resources import tables
from splitopt.problems.cut_and_resources.choice_tables import (
    CHOSEN,
    ScenarioChoices,
    choices_of,
    has_choices,
)
from splitopt.problems.cut_and_resources.tables import factors_from_scenario, tables_from_scenario
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario

Form = Literal["tables", "factors", "choices", "robust"]


def choices_in(scenario: Scenario, profile: ModelProfile) -> ScenarioChoices | None:
    """Return what the devices of a scenario choose between, None where that is a cut alone.

    Raises
    ------
    InputError
        There are too many devices, they choose more than a cut and may be slow, or what
        `choices_of` raises.
    InfeasibleError
        As of `choices_of`.
    """
    scenario.expect_single()
    if not has_choices(scenario):
        return None
    if scenario.robust is not None:
        raise InputError.at(
            "robust",
            f"is for devices that choose a cut alone, and these choose more ({CHOSEN}); drop one "
            "of them",
        )
    return choices_of(scenario, profile)


def arguments_of(
    scenario: Scenario, profile: ModelProfile, choices: ScenarioChoices | None
) -> tuple[Form, dict[str, Any]]:
    """Return the form of the problem of a scenario, and its arguments but for the objective.

    Parameters
    ----------
    scenario, profile
        The fleet and its model.
    choices
        What `choices_in` returns for them.

    Raises
    ------
    InputError
        There is no server, a machine has no times in the profile, or a limit cannot be checked.
    """
    if choices is not None:
        return "choices", choices.arguments()
    if scenario.robust is not None:
        return "robust", tables_from_scenario(scenario, profile) | robust_fields(scenario)
    if scenario.device_count() >= tables.GROUPED:
        factors, optional = factors_from_scenario(scenario, profile)
        return "factors", {"factors": factors, **optional}
    return "tables", tables_from_scenario(scenario, profile)


def robust_fields(scenario: Scenario) -> dict[str, Any]:
    """Return the fields that a section ``robust`` adds, none without one."""
    stated = scenario.robust
    if stated is None:
        return {}
    slow = None if stated.slow is None else stated.slow.model_dump()
    return {"slow": slow, "quorum": stated.quorum}


def named_error(error: InputError, names: Sequence[str]) -> InputError:
    """Return the error of a table's row with the name of the device that it is about."""
    row = re.match(r"[a-z_]+\[(\d+)\]", str(error))
    if row is None or int(row[1]) >= len(names):
        return error
    return InputError(
        f"{names[int(row[1])]}: {error} (row {row[1]} is this device; look at its compute, links "
        "and priority, and at the server)"
    )
