"""A problem is added by writing its modules and its registry lines: no other file is touched."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path

import pytest

import splitopt
from splitopt import InputError, Plan, Scenario, plan, simulate, solve
from splitopt.planning import open_plan
from splitopt.problems.registry import PROBLEMS
from splitopt.solvers.registry import SOLVERS

HERE = Path(__file__).parent
PACKAGE = Path(splitopt.__file__).parent
REGISTRIES = {"problems/registry.py", "solvers/registry.py"}
ROOMS = (
    *("problems", "latency", "solvers", "simulation", "planning"),
    *("profiles", "training", "export", "report"),
)
PACKAGES = ("planning", "simulation", "training.problems")
"""Where `docs/contributing/add-a-problem.md` has a module of the problem's name."""


@pytest.fixture
def registered(monkeypatch):
    """Add the problem of this folder: two registry lines, and modules of its name in packages."""
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setitem(PROBLEMS, "shallow_cut", "shallow_cut:ShallowCut")
    monkeypatch.setitem(SOLVERS, "shallow_cut", {"enumerate": "shallow_cut:Enumerate"})
    for name in PACKAGES:
        package = importlib.import_module(f"splitopt.{name}")
        own = HERE / name.replace(".", "/")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(own)])
    before = set(sys.modules)
    yield "shallow_cut"
    for name in set(sys.modules) - before:
        if name.endswith("shallow_cut"):
            del sys.modules[name]
    for name in PACKAGES:
        vars(importlib.import_module(f"splitopt.{name}")).pop("shallow_cut", None)


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


@pytest.mark.slow
@pytest.mark.train
def test_plans_of_a_new_problem_are_trained(registered):
    """Its devices learn in turn, by the clock of its own simulation."""
    pytest.importorskip("torch", reason="needs the extra 'train'")
    made = plan("digits-splitfed", problem=registered)
    run = splitopt.train(made, rounds=1, seed=1)
    assert run.scheme.name == "clustered"
    assert run.history.clock_s == pytest.approx(made.prediction["round_s"])
    assert run.history.rows[0].accuracy > 0.1  # better than a guess among ten digits


@pytest.mark.train
def test_plans_of_a_new_problem_are_exported(registered, tmp_path):
    """Every device and the server get their parts, cut where the plan cuts."""
    pytest.importorskip("torch", reason="needs the extra 'train'")
    made = plan("digits-splitfed", problem=registered)
    written = splitopt.export_plan(made, tmp_path / "parts")
    names = [device.name for device in Scenario.from_dict(made.scenario).fleet()]
    assert [client["name"] for client in written["clients"]] == names
    for client in written["clients"]:
        assert client["cuts"] == [made.prediction["cut_layer"]]
        assert [part["party"] for part in client["parts"]] == [client["name"], "gateway"]


@pytest.mark.train
def test_plans_of_a_new_problem_can_be_validated(registered):
    """All that a run over connections asks of a plan follows from its own simulation."""
    pytest.importorskip("torch", reason="needs the extra 'train'")
    from splitopt.training.program import program_of
    from splitopt.training.validation.measuring import check_detail
    from splitopt.training.validation.shortening import first_steps
    from splitopt.training.wire.roles import roles_of
    from splitopt.training.wire.star.timing import BACKWARD, FORWARD, Timing

    made = plan("digits-splitfed", problem=registered)
    short = first_steps(made, 1)
    assert short.prediction["round_s"] < made.prediction["round_s"]
    program = program_of(short)
    check_detail(program, "plan")
    assert roles_of(program).parties(program) == tuple(c.name for c in program.clients)
    assert not roles_of(program).link_rates(program, 1.0)
    pieces = Timing(program).round(0).pieces
    own = sum(piece[phase].seconds for piece in pieces for phase in (FORWARD, BACKWARD))
    assert own == pytest.approx(short.prediction["round_s"])


@pytest.mark.train
def test_a_problem_without_a_module_is_refused_by_name(registered, monkeypatch, tmp_path):
    """Nothing is trained or exported of a problem that does not say how."""
    pytest.importorskip("torch", reason="needs the extra 'train'")
    made = plan("digits-splitfed", problem=registered)
    package = importlib.import_module("splitopt.training.problems")
    monkeypatch.setattr(package, "__path__", package.__path__[:-1])
    with pytest.raises(InputError, match="plans of shallow_cut cannot be trained; those of cut_"):
        splitopt.train(made, rounds=1)
    with pytest.raises(InputError, match="plans of shallow_cut cannot be trained"):
        splitopt.export_plan(made, tmp_path / "parts")


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


@pytest.mark.slow
@pytest.mark.parametrize("room", ROOMS)
def test_only_the_registries_list_the_problems(room):
    """A module of a problem is found by its name, so that no table of problems is needed."""
    for path in sorted((PACKAGE / room).rglob("*.py")):
        place = path.relative_to(PACKAGE).as_posix()
        if place in REGISTRIES:
            assert tables_of_problems(path), place
        else:
            assert not tables_of_problems(path), place
