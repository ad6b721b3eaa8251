"""A problem is added by writing its modules and its registry lines: no other file is touched."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path

import pytest

import splitopt
from splitopt import Plan, Scenario, plan, simulate, solve
from splitopt.planning import open_plan
from splitopt.problems.registry import PROBLEMS
from splitopt.solvers.registry import SOLVERS

HERE = Path(__file__).parent
PACKAGE = Path(splitopt.__file__).parent
REGISTRIES = {"problems/registry.py", "solvers/registry.py"}
ROOMS = ("problems", "latency", "solvers", "simulation", "planning")


@pytest.fixture
def registered(monkeypatch):
    """Add the problem of this folder: two registry lines, and modules of its name in packages."""
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setitem(PROBLEMS, "shallow_cut", "shallow_cut:ShallowCut")
    monkeypatch.setitem(SOLVERS, "shallow_cut", {"enumerate": "shallow_cut:Enumerate"})
    for room in ("planning", "simulation"):
        package = importlib.import_module(f"splitopt.{room}")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(HERE / room)])
    before = set(sys.modules)
    yield "shallow_cut"
    for name in set(sys.modules) - before:
        if name.endswith("shallow_cut"):
            del sys.modules[name]
    for room in ("planning", "simulation"):
        vars(importlib.import_module(f"splitopt.{room}")).pop("shallow_cut", None)


def test_a_new_problem_goes_all_the_way(registered, tmp_path):
    """It is planned, saved, opened again, simulated and solved as the others are."""
    scenario = Scenario.generate(seed=4, devices=3)
    made = plan(scenario, problem=registered)
    profile, fleet = scenario.load_model(), scenario.fleet()
    work = profile.device_forward_flop + profile.device_backward_flop
    seconds = min(sum(d.samples * float(w) / d.compute for d in fleet) for w in work)
    assert made.prediction["round_s"] == pytest.approx(seconds)
    assert made.prediction["cut_layer"] == profile.layers[work.argmin()]
    assert "servers do not count" in made.notes
    made.save(tmp_path / "plan.json")
    opened = open_plan(Plan.load(tmp_path / "plan.json"))
    assert opened.prediction.to_dict() == made.prediction
    assert simulate(made).simulated_s == pytest.approx(seconds)
    assert solve(opened.problem).objective == pytest.approx(seconds)


def test_a_new_problem_is_not_the_default(registered):
    """Only a problem with a section of its own is planned without being named."""
    assert plan(Scenario.generate(seed=4, devices=3)).problem == "cut_and_resources"


def tables_of_problems(path: Path) -> list[int]:
    """Return the lines of the literals in a file that name two problems or more."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        inside: list[ast.expr | None] = []
        if isinstance(node, ast.Dict):
            inside = [*node.keys, *node.values]
        elif isinstance(node, ast.List | ast.Tuple | ast.Set):
            inside = [*node.elts]
        names = {item.value for item in inside if isinstance(item, ast.Constant)}
        if len(names & PROBLEMS.keys()) > 1:
            found.append(node.lineno)
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_only_the_registries_list_the_problems(room):
    """A module of a problem is found by its name, so that no table of problems is needed."""
    for path in sorted((PACKAGE / room).rglob("*.py")):
        place = path.relative_to(PACKAGE).as_posix()
        if place in REGISTRIES:
            assert tables_of_problems(path), place
        else:
            assert not tables_of_problems(path), place
