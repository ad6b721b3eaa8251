"""Options of solvers by the types that their classes state."""

import dataclasses
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from splitopt import CutAndResources, InputError, plan, solve
from splitopt.cli.options import solver_options
from splitopt.solvers.base import Solver
from splitopt.solvers.registry import SOLVERS, solver_class, with_options
from splitopt.solvers.typed import Typed, checked_options

TABLE = np.arange(1.0, 13.0).reshape(3, 4)
PROBLEM = CutAndResources(TABLE, TABLE, TABLE, TABLE)
ALL = [(problem, name) for problem, names in SOLVERS.items() for name in names]
NUMBERS = (float("nan"), float("inf"), -float("inf"), -1, 10**400, 2**63, -(10**400), -1e300)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_vectors": "3"}, "max_vectors: is '3', it must be a whole number"),
        ({"max_vectors": 3.0}, "max_vectors: is 3.0, it must be a whole number"),
        ({"max_vectors": True}, "max_vectors: is True, it must be a whole number"),
        ({"max_vectors": None}, "max_vectors: is None, it must be a whole number"),
        ({"max_vectors": -1}, "max_vectors: is -1, it must be an integer >= 1"),
        ({"max_vector": 3}, "no option 'max_vector'; it has .*did you mean 'max_vectors'"),
    ],
)
def test_an_option_of_another_type_is_refused_with_its_type(options, message):
    with pytest.raises(InputError, match=message):
        solve(PROBLEM, "enumerate", **options)


def test_numbers_of_numpy_are_numbers():
    assert solve(PROBLEM, "enumerate", max_vectors=np.int64(100)).options["max_vectors"] == 100


@pytest.mark.parametrize(("problem", "name"), ALL)
def test_no_option_of_any_solver_takes_what_is_no_number_for_one(problem, name):
    kind = solver_class(problem, name)
    for field in dataclasses.fields(kind):
        stated = str(field.type)
        if "str" not in stated and "Mapping" not in stated:
            with pytest.raises(InputError, match=field.name):
                with_options(kind, {field.name: "x"})
        if "bool" in stated or "Mapping" in stated:
            continue
        for number in NUMBERS:
            allowed = "float" in stated and number == 2**63  # a float holds it
            if not allowed:
                with pytest.raises(InputError, match=field.name):
                    with_options(kind, {field.name: number})


@dataclass(frozen=True)
class Example:
    """Options of every kind of type."""

    name: ClassVar[str] = "example"

    whole: int = 1
    real: float = 1.0
    maybe: float | None = None
    yes: bool = True
    word: str = ""
    either: str | tuple[int, ...] = "exact"
    pair: tuple[float, float] = (0.0, 1.0)
    anything: Any = None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("whole=3", 3),
        ("real=3", 3),
        ("real=1e-3", 1e-3),
        ("maybe=null", None),
        ("yes=false", False),
        ("word=3", "3"),
        ("word=null", "null"),
        ("word=true", "true"),
        ('word="3"', "3"),
        ("either=exact", "exact"),
        ("either=[1, 2]", (1, 2)),
        ("pair=[0.5, 1]", (0.5, 1)),
        ("anything=[1]", [1]),
    ],
)
def test_what_is_typed_becomes_what_the_option_asks_for(text, wanted):
    found = checked_options(Example, solver_options([text]))
    assert list(found.values()) == [wanted]
    assert type(next(iter(found.values()))) is type(wanted)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("whole=3.5", "whole: is '3.5', it must be a whole number"),
        ("whole=x", "whole: is 'x', it must be a whole number"),
        ("real=true", "real: is 'true', it must be a number"),
        ("maybe=x", "it must be a number or nothing"),
        ("yes=1", "it must be true or false"),
        ("pair=[1]", "it must be a list of 2: a number, a number"),
        ("pair=1", "it must be a list of 2"),
        ("whole=" + "[" * 5000, "it must be a whole number"),
    ],
)
def test_what_is_typed_and_does_not_fit_is_refused(text, words):
    with pytest.raises(InputError, match=words):
        checked_options(Example, solver_options([text]))


def test_a_foreign_class_whose_types_cannot_be_read_is_left_to_itself():
    @dataclass(frozen=True)
    class Foreign:
        name: ClassVar[str] = "foreign"
        depth: "NotThere" = 3  # noqa: F821 - a name that cannot be found

    assert checked_options(
        Foreign,
        {
            "depth": Typed("5"),
        },
    ) == {"depth": 5}
    with pytest.raises(InputError, match="no option 'width'"):
        checked_options(Foreign, {"width": 5})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("exakt", "did you mean 'exact'"),
        ("EXACT", "did you mean 'exact'"),
        ("cvxpy:gurobi", "did you mean 'cvxpy:GUROBI'"),
        ("atuo", "did you mean 'auto'"),
        (3, "solver: is 3, it must be a name"),
        (None, "solver: is None, it must be a name"),
        (Solver, "solver: is <class"),
    ],
)
def test_an_unknown_solver_is_refused_with_the_nearest_name(given, message):
    with pytest.raises(InputError, match=message):
        solve(PROBLEM, given)


def test_unknown_problems_and_objectives_have_a_nearest_name_too():
    with pytest.raises(InputError, match="did you mean 'makespan'"):
        PROBLEM.with_objective("makspan")
    with pytest.raises(InputError, match="did you mean 'cut_and_resources'"):
        plan("dp-mora-resnet18", problem="cut_and_resource")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"time_limit_s": "3"}, "time_limit_s"),
        ({"time_limit_s": True}, "time_limit_s"),
        ({"time_limit_s": float("nan")}, "time_limit_s"),
        ({"time_limit_s": 10**400}, "time_limit_s"),
        ({"rel_gap": "a"}, "rel_gap"),
        ({"rel_gap": None}, "rel_gap"),
        ({"rel_gap": 10**400}, "rel_gap"),
        ({"seed": "1"}, "seed"),
        ({"seed": 1.0}, "seed"),
        ({"callback": 3}, "callback"),
        ({"on_failure": []}, "on_failure"),
    ],
)
def test_arguments_of_solve_are_named_when_they_cannot_be_used(arguments, field):
    with pytest.raises(InputError, match=f"{field}: is "):
        solve(PROBLEM, **arguments)


@pytest.mark.slow
def test_on_the_command_line_a_wrong_option_is_exit_2(tmp_path):
    PROBLEM.save(tmp_path / "i.json")
    for option in ("max_vectors=3.5", "max_vector=3"):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "splitopt", "solve", str(tmp_path / "i.json")),
                *("--solver", "enumerate", "-O", option, "-o", str(tmp_path / "r.json")),
            ],
            capture_output=True,
            text=True,
        )
        assert (done.returncode, "max_vector" in done.stderr) == (2, True), done.stderr
        assert not (tmp_path / "r.json").exists()
