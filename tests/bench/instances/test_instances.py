"""The instance library of the repository, and reading one."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from splitopt import CutAndResources, solve
from splitopt.bench.instances.benchmark import benchmark_problems
from splitopt.bench.instances.best_known import read_best_known, write_best_known
from splitopt.bench.instances.library.cut_and_resources import published
from splitopt.bench.instances.stored import BEST_KNOWN, Library
from splitopt.bench.instances.suites import SUITES, find_instance, find_suite, suite_instances
from splitopt.errors import InputError
from splitopt.problems.registry import problem_from_document

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "benchmarks" / "instances"


@pytest.fixture(scope="module")
def library() -> Library:
    """Read the library of this repository."""
    return Library.read(FOLDER)


@pytest.mark.slow
def test_every_file_is_an_instance_with_its_digest(library: Library) -> None:
    """No file is unlisted, and each holds the numbers of its metadata."""
    listed = {Path(instance.file) for instance in library.instances if instance.file}
    found = {
        path
        for problem in benchmark_problems()
        for path in (FOLDER / problem).iterdir()
        if path.name != "metadata.json"
    }
    assert listed == found
    for instance in library.instances:
        if instance.file is not None:
            instance.load(instance.objectives[0])


def test_generated_instances_have_their_digest(library: Library) -> None:
    """Large instances are drawn anew and recognised."""
    drawn = [item for item in library.instances if item.recipe and item.set == "large"]
    assert len(drawn) >= 8
    for instance in drawn:
        instance.load(instance.objectives[0])


def test_all_kinds_are_there(library: Library) -> None:
    """Four sets, published settings, measured profiles, degenerate and infeasible instances."""
    assert {item.set for item in library.instances} == {"small", "medium", "large", "stress"}
    assert {item.kind for item in library.instances} == {"realistic", "synthetic"}
    names = {item.name for item in library.instances}
    assert {item.name for item in library.instances if item.published} == {
        "dp-mora-7.2-resnet18",
        "dp-mora-7.2-resnet34",
        "cpsl-five-identical",
        "iotsl-two-classes",
        *(
            f"{name}-cpus{cpus}"
            for name in ("bert24-training", "gnmt-inference", "inceptionv3-inference")
            for cpus in (0, 1)
        ),
    }
    for part in ("measured-vgg19", "identical", "near_ties", "decades", "infeasible", "devices1-"):
        assert any(part in name for name in names)


def test_every_instance_has_a_best_known_value(library: Library) -> None:
    """The table has a row for each instance and objective and nothing else."""
    wanted = {
        (item.problem, objective, item.name)
        for item in library.instances
        for objective in item.objectives
    }
    assert wanted == library.best_known.keys()
    for known in library.best_known.values():
        assert known.command.startswith("splitopt bench --make-library")
        if known.status == "proved" and known.value is not None:
            assert known.bound is not None
            assert 0 <= known.value - known.bound <= 1e-9 * known.value
            assert known.certificate


def test_published_values(library: Library, recovered_instance: dict[str, object]) -> None:
    """The ResNet-18 setting of DP-MORA is the recovered one, with its known optima."""
    instance = find_instance("dp-mora-7.2-resnet18")
    ours = instance.load("sum")
    theirs = problem_from_document(
        {
            key: recovered_instance[key]
            for key in ("format", "version", "problem", "objective", "data")
        }
    )
    assert isinstance(ours, CutAndResources)
    assert isinstance(theirs, CutAndResources)
    for table in ("download_s", "upload_s", "server_s", "device_s"):
        assert getattr(ours, table) == pytest.approx(getattr(theirs, table), rel=1e-12)
    assert (ours.allowed == theirs.allowed).all()
    for objective, value in (("sum", 211966.579779134), ("makespan", 31397.429757413065)):
        known = library.best_known["cut_and_resources", objective, instance.name]
        assert known.value == pytest.approx(value, rel=1e-9)
        assert known.status == "proved"


def test_the_library_makes_the_published_setting_anew() -> None:
    """The file of ResNet-34 is what its builder gives, with cuts from 7 on (DP-MORA, risk 0.5)."""
    kept = find_instance("dp-mora-7.2-resnet34").load("sum")
    made = published("dp-mora-resnet34-recovered")
    assert isinstance(kept, CutAndResources)
    assert kept.device_s == pytest.approx(made.device_s, rel=1e-12)
    assert not made.allowed[:, :6].any()
    assert made.allowed[:, 6:].all()


def test_small_values_are_those_of_enumeration(library: Library) -> None:
    """Where everything can be tried, trying everything finds the value of the table."""
    tried = 0
    for instance in library.instances:
        if "devices5-" not in instance.name or "infeasible" in instance.name:
            continue
        objective = instance.objectives[0]
        result = solve(instance.load(objective), "enumerate")
        known = library.best_known[instance.problem, objective, instance.name]
        assert known.value == pytest.approx(result.objective, rel=1e-9)
        tried += 1
    assert tried >= 16


def test_suites(library: Library) -> None:
    """Suites are generated or taken from the library, and problems that are not there refused."""
    for suite in SUITES.values():
        assert suite_instances(suite, None, library)
    paper = suite_instances(find_suite("paper"), ["cut_and_resources"], library)
    assert [item.name for item in paper] == ["dp-mora-7.2-resnet18", "dp-mora-7.2-resnet34"]
    with pytest.raises(InputError, match="suite: is 'slow', known are quick"):
        find_suite("slow")
    with pytest.raises(InputError, match="problem 'sudoku' has no benchmark"):
        suite_instances(find_suite("quick"), ["sudoku"])


def test_scaling_reaches_a_hundred_thousand_devices() -> None:
    """The scaling suite grows over four decades and needs no files."""
    sizes = {
        item.recipe.parameters["devices"]
        for item in suite_instances(find_suite("scaling"), ["cut_and_resources"])
        if item.recipe
    }
    assert min(sizes) == 10
    assert max(sizes) == 100_000


def test_changed_numbers_are_refused(library: Library, tmp_path: Path) -> None:
    """An instance file that was edited is not taken for the library's."""
    shutil.copytree(FOLDER, tmp_path / "instances")
    path = tmp_path / "instances" / "cut_and_resources" / "dp-mora-7.2-resnet18.json"
    document = json.loads(path.read_text())
    document["data"]["device_s"][0][0] += 1.0
    path.write_text(json.dumps(document))
    instance = find_instance("dp-mora-7.2-resnet18", tmp_path / "instances")
    with pytest.raises(InputError, match="its numbers are not those of the library"):
        instance.load("sum")


def test_the_library_is_found_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is missing or holds no library is said in one sentence."""
    with pytest.raises(InputError, match="there is no such folder"):
        Library.find(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no instance library"):
        Library.find(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "splitopt.bench.instances.stored.__file__", str(tmp_path / "a" / "b" / "c" / "d.py")
    )
    with pytest.raises(InputError, match="benchmarks/instances of the source repository"):
        Library.find()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"set": "huge"}, "set: is 'huge'"),
        ({"kind": "odd"}, "kind: is 'odd'"),
        ({"digest": None, "mood": 1}, "mood: this field is unknown"),
        (
            {"objectives": 0, "file": True},
            r"objectives: is 0; .*\n.*file: is True; it must be a text",
        ),
        ({"name": "a\x1b[2J"}, "name: is .* take out the control character"),
        (
            {"recipe": {"family": "cells", "parameters": {}, "seed": 0}},
            "needs either 'file' or 'recipe'",
        ),
    ],
)
def test_wrong_metadata_is_refused(tmp_path: Path, change: dict[str, object], words: str) -> None:
    """Metadata with a wrong or unknown field is refused by its entry."""
    source = FOLDER / "cut_and_resources" / "metadata.json"
    document = json.loads(source.read_text())
    document["instances"] = [{**document["instances"][0], **change}]
    (tmp_path / "cut_and_resources").mkdir()
    (tmp_path / "cut_and_resources" / "metadata.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=words):
        Library.read(tmp_path)


def test_the_table_survives_its_file(library: Library, tmp_path: Path) -> None:
    """Numbers are written in full; an unknown status or a repeated row is refused."""
    path = tmp_path / BEST_KNOWN
    rows = list(library.best_known.values())
    path.write_text(write_best_known(rows))
    assert read_best_known(path) == library.best_known
    path.write_text(write_best_known([rows[0], rows[0]]))
    with pytest.raises(InputError, match="stands twice"):
        read_best_known(path)
    path.write_text(write_best_known([dataclasses.replace(rows[0], status="perhaps")]))
    with pytest.raises(InputError, match="line 2: status: is 'perhaps'"):
        read_best_known(path)
    path.write_text(write_best_known(rows).replace("certificate", "proof", 1))
    with pytest.raises(InputError, match="the columns must be"):
        read_best_known(path)


def test_a_file_that_has_changed_is_loaded_again(tmp_path: Path) -> None:
    """The content of the first call does not outlive the file."""
    path = tmp_path / "one.json"
    for factor in (1.0, 2.0, 3.0):
        tables = [[[factor, 2 * factor]] * 3] * 4
        CutAndResources(*tables, [[True, True]] * 3).save(path)
        loaded = find_instance(str(path)).load("sum")
        assert loaded.data()["device_s"].tolist() == tables[0]
