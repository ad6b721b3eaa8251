"""Writing a library and certifying its values."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from splitopt.bench.checking import certification
from splitopt.bench.instances.benchmark import Benchmark, LibraryEntry, Recipe, find_benchmark
from splitopt.bench.instances.library import cut_and_resources
from splitopt.bench.instances.stored import Library

SMALL = Recipe("uniform", {"devices": 3, "layers": 3})
NONE = Recipe("infeasible", {"devices": 3, "layers": 3})


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Benchmark:
    """Make a benchmark whose library has a file, a generated and an infeasible instance."""
    entries = (
        LibraryEntry("kept", "small", "synthetic", "a test", SMALL, note="in words"),
        LibraryEntry(SMALL.name, "large", "synthetic", "a test", SMALL, as_file=False),
        LibraryEntry("none", "small", "synthetic", "a test", NONE),
    )
    monkeypatch.setattr(cut_and_resources, "entries", lambda _: iter(entries))
    return find_benchmark("cut_and_resources")


@pytest.mark.usefixtures("tiny")
def test_a_written_library_is_read_back(tmp_path: Path) -> None:
    """Instances come back with their digests, and values with what proves them."""
    lines: list[str] = []
    place, ours = tmp_path / "new", ["cut_and_resources"]
    table = certification.make_library(place, time_limit_s=10.0, report=lines.append, problems=ours)
    found = Library.read(tmp_path / "new")
    assert [item.name for item in found.instances] == ["kept", SMALL.name, "none"]
    assert list(found.best_known.values()) == table
    assert len(lines) == len(table) == 6
    for instance in found.instances:
        instance.load("makespan")
    assert json.loads((place / ours[0] / "kept.json").read_text())["note"] == "in words"
    kept = found.best_known["cut_and_resources", "sum", "kept"]
    assert kept.status == "proved"
    assert "enumerate proves it" in kept.certificate
    none = found.best_known["cut_and_resources", "sum", "none"]
    assert (none.value, none.bound, none.status) == (None, None, "proved")
    again = certification.make_library(place, time_limit_s=10.0, report=lines.append, problems=[])
    assert again == table  # what is not written anew is kept
    assert "no answer: 1 of 3 devices have no allowed cut" in none.certificate


def test_what_nobody_proves_is_open(tiny: Benchmark) -> None:
    """A heuristic alone leaves a value with its gap, marked open."""
    weak = dataclasses.replace(tiny, provers=("equal_share",))
    known = certification.certify(weak, tiny.draw(SMALL), "kept", 10.0, "a command")
    assert known.status == "open"
    assert known.certificate.startswith("gap 0.")
    assert known.value is not None
    assert known.bound is not None
    assert known.bound < known.value
    nobody = dataclasses.replace(tiny, provers=())
    known = certification.certify(nobody, tiny.draw(SMALL), "kept", 10.0, "a command")
    assert (known.value, known.status) == (None, "open")
