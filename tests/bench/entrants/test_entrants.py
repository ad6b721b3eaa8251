"""Solvers from a user's file and from installed packages."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from splitopt.bench.entrants.entrant import Entrant, parse_all_entrants, parse_entrants
from splitopt.bench.entrants.solver_files import load_solver_file
from splitopt.errors import InputError
from splitopt.solvers import registry
from splitopt.solvers.registry import SOLVERS, solver_class, solver_names

HEAD = """
from dataclasses import dataclass
from splitopt.solvers.base import Solver
"""
CLASS = """
@dataclass(frozen=True)
class Mine(Solver):
    name, problem, kind = {name!r}, "cut_and_resources", "heuristic"
    objectives = frozenset({{"sum"}})
    depth: int = 3
    threads: int = 0
    def run(self, problem, search):
        return "converged"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.py"
    path.write_text(text)
    return path


def test_all_solvers_of_a_file_take_part(bad_solvers: Path) -> None:
    """Every concrete class is found, the abstract base is not, and splitopt's own stay."""
    found = parse_entrants("cut_and_resources", None, [bad_solvers])
    names = [entrant.name for entrant in found]
    assert names[: len(SOLVERS["cut_and_resources"])] == list(SOLVERS["cut_and_resources"])
    assert {"hangs", "lies_about_bound", "draws_with_the_seed"} < set(names)
    assert "Bad" not in [solver.__name__ for solver in load_solver_file(bad_solvers)]


def test_options_and_threads_reach_the_solver(tmp_path: Path) -> None:
    """Options of the text form are read as JSON, and an option `threads` is filled in."""
    path = write(tmp_path, HEAD + CLASS.format(name="mine"))
    (entrant,) = parse_entrants("cut_and_resources", ["mine:depth=7"], [path])
    assert entrant.make(threads=2).options() == {"depth": 7, "threads": 2}
    (entrant,) = parse_entrants("cut_and_resources", ["mine:threads=5"], [path])
    assert entrant.make(threads=2).options() == {"depth": 3, "threads": 5}
    assert entrant.version.startswith("mine.py ")


def test_a_name_may_hold_a_colon(tmp_path: Path) -> None:
    """The longest name that fits is taken, the rest of the text are its options."""
    path = write(tmp_path, HEAD + CLASS.format(name="by:me"))
    found = parse_entrants("cut_and_resources", ["by:me", "by:me:depth=7"], [path])
    assert [entrant.name for entrant in found] == ["by:me", "by:me"]
    assert [entrant.options for entrant in found] == [{}, {"depth": 7}]


def test_a_changed_file_is_loaded_anew(tmp_path: Path) -> None:
    """Editing the file changes the solver and its version."""
    path = write(tmp_path, HEAD + CLASS.format(name="one"))
    assert [solver.name for solver in load_solver_file(path)] == ["one"]
    version = Entrant("cut_and_resources", "one", file=str(path)).version
    path.write_text(HEAD + CLASS.format(name="another"))
    assert [solver.name for solver in load_solver_file(path)] == ["another"]
    assert Entrant("cut_and_resources", "another", file=str(path)).version != version


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (", "fails with SyntaxError in line 1"),
        ("import sys\nsys.exit(3)", "fails with SystemExit in line 2: 3"),
        ("\n\n1 / 0", "fails with ZeroDivisionError in line 3"),
        ("x = 1", "defines no solver"),
        (HEAD + CLASS.format(name="exact"), "the solver name 'exact' is taken"),
        (HEAD + CLASS.format(name="a").replace("@dataclass(frozen=True)", ""), "@dataclass"),
        (HEAD + CLASS.format(name="a").replace("kind", "sort"), "needs the attribute kind"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, text: str, message: str
) -> None:
    """Whatever is wrong with the file is said in one line that names the file."""
    with pytest.raises(InputError) as caught:
        parse_entrants("cut_and_resources", None, [write(tmp_path, text)])
    assert message in str(caught.value)
    assert "mine.py" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nobody", "solver 'nobody' is unknown for cut_and_resources; known are exact"),
        ("exact:depth", "'depth' must be KEY=VALUE"),
    ],
)
def test_unknown_names_are_refused(name: str, message: str) -> None:
    """A wrong name or option text is an input error that says what would be right."""
    with pytest.raises(InputError, match=message):
        parse_entrants("cut_and_resources", [name])


def test_a_missing_file_and_unknown_options_are_refused(tmp_path: Path) -> None:
    """No file, an option that the solver has not, a value that it refuses."""
    with pytest.raises(InputError, match="there is no such file"):
        parse_entrants("cut_and_resources", None, [tmp_path / "none.py"])
    with pytest.raises(InputError, match="has no option 'depth'"):
        Entrant("cut_and_resources", "equal_share", {"depth": 1}).make()
    with pytest.raises(InputError, match="max_vectors"):
        Entrant("cut_and_resources", "enumerate", {"max_vectors": -1}).make()


@pytest.fixture
def entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that other packages are installed."""
    points = importlib.metadata.EntryPoints(
        importlib.metadata.EntryPoint(name, value, registry.ENTRY_POINTS)
        for name, value in (
            ("cut_and_resources.theirs", "splitopt.solvers.cut_and_resources.rules:EqualShare"),
            ("cut_and_resources.exact", "nowhere:Exact"),
            ("cut_and_resources.broken", "nowhere_at_all:Solver"),
            ("cut_and_resources.no_solver", "json:JSONDecoder"),
            ("other_problem.theirs", "nowhere:Solver"),
        )
    )
    monkeypatch.setattr(registry, "entry_points", lambda group: points)


@pytest.mark.usefixtures("entry_points")
def test_entry_points_take_part() -> None:
    """An installed solver is found by its problem and name; splitopt's own names are not taken."""
    own = list(SOLVERS["cut_and_resources"])
    assert solver_names("cut_and_resources") == [*own, "theirs", "broken", "no_solver"]
    assert solver_class("cut_and_resources", "theirs").name == "equal_share"
    assert solver_class("cut_and_resources", "exact").__module__.startswith("splitopt.")


@pytest.mark.usefixtures("entry_points")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", "fails to load nowhere_at_all:Solver"),
        ("no_solver", "is not a solver class"),
        ("unknown", "known are exact"),
    ],
)
def test_a_broken_entry_point_is_one_sentence(name: str, message: str) -> None:
    """Only the one who asks for a broken package's solver hears of it, in one sentence."""
    with pytest.raises(InputError, match=message):
        solver_class("cut_and_resources", name)


def test_a_name_takes_part_where_it_is_known():
    """In a suite of several problems a solver of one of them is left out of the others."""
    problems = ["cut_and_resources", "pipeline_partition"]
    found = parse_all_entrants(problems, ["exact", "enumerate"])
    assert [entrant.name for entrant in found["cut_and_resources"]] == ["exact", "enumerate"]
    assert [entrant.name for entrant in found["pipeline_partition"]] == ["enumerate"]
    with pytest.raises(InputError, match="solver 'nobody' is unknown for cut_and_resources"):
        parse_all_entrants(problems, ["exact", "nobody"])
    assert parse_all_entrants([], ["exact"]) == {}


def test_a_file_finds_what_stands_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From any folder, and each file its own neighbour of one name."""
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "near_solver_name.py").write_text(f"NAME = 'mine_{name}'\n")
        text = CLASS.format(name="x").replace("'x'", "NAME")
        write(folder, f"from near_solver_name import NAME\n{HEAD}{text}")
    monkeypatch.chdir(tmp_path)
    found = [load_solver_file(Path(name) / "mine.py")[0].name for name in ("one", "two")]
    assert found == ["mine_one", "mine_two"]
