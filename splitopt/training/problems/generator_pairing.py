"""Plans of `GeneratorPairing`, which come before a split training and are none themselves."""

from __future__ import annotations

from splitopt.errors import InputError
from splitopt.planning.planner import OpenedPlan
from splitopt.training.program import Program


def program(opened: OpenedPlan, plan_digest: str, source: str) -> Program:  # noqa: ARG001
    """Raise `InputError`: the plan says who receives which generator, and cuts no model.

    Raises
    ------
    InputError
        Always; the message names what can be trained.
    """
    raise InputError(
        f"{source}: is a plan of generator_pairing, which says whose generators go to which "
        "device and cuts no model; plan the scenario with --problem cut_and_resources (or another "
        "problem) to train, simulate, validate or export"
    )
