"""Every package speaks of a problem in the module of its name."""

from __future__ import annotations

import pytest

import splitopt.simulation.cut_and_resources
from splitopt.errors import InputError
from splitopt.problems.registry import PROBLEMS, module_of, problems_in


def test_the_module_of_a_problem_has_its_name():
    """It is imported by the name of the package and that of the problem."""
    module = module_of("splitopt.simulation", "cut_and_resources")
    assert module is splitopt.simulation.cut_and_resources


def test_a_package_may_have_no_module_of_a_problem():
    """A package that is silent about a problem is no error, and lists no problem."""
    assert module_of("splitopt.profiles", "cut_and_resources") is None
    assert problems_in("splitopt.profiles") == ()
    simulated = tuple(name for name in PROBLEMS if name != "generator_pairing")  # no rounds
    assert problems_in("splitopt.simulation") == simulated


@pytest.mark.parametrize("name", ["replay", "cut_and_resource", 7, None])
def test_only_registered_names_are_imported(name):
    """A module of the package that is no problem is not found by its name."""
    with pytest.raises(InputError, match=r"file: problem is .*, known are cut_and_resources, "):
        module_of("splitopt.simulation", name, "file")
