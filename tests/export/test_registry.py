"""Formats of other packages: found, listed, run, and named when they are broken."""

from __future__ import annotations

import importlib.metadata
import json
import sys
import types

import pytest

from splitopt.cli.entry import run
from splitopt.errors import CapabilityError, InputError
from splitopt.export import EXPORTERS, export_plan, registry
from splitopt.export.registry import exporter, exporter_names, listed_exporters

pytestmark = pytest.mark.train


@pytest.fixture
def brought(monkeypatch):
    """Return the function that pretends that a package brings formats."""

    def bring(**objects):
        module = types.ModuleType("brings_formats", "Cards, one per part.\n\nAnd more.")
        for name, value in objects.items():
            setattr(module, name, value)
        monkeypatch.setitem(sys.modules, "brings_formats", module)
        named = {"cards": "", "torch": "", **{name: f":{name}" for name in objects}}
        del named["files"]
        points = importlib.metadata.EntryPoints(
            importlib.metadata.EntryPoint(name, f"brings_formats{place}", registry.ENTRY_POINTS)
            for name, place in (named | {"gone": "_at_all"}).items()
        )
        monkeypatch.setattr(registry, "entry_points", lambda group: points)

    return bring


def cards(job):
    """Write a card per part."""
    return {f"{part.name}.txt": part.title.encode() for part in job.parts}


def test_formats_of_other_packages_are_written(tmp_path, brought, plans):
    """The folder gets a manifest, and its files are known when it is replaced."""
    brought(files=cards)
    assert exporter_names() == [*EXPORTERS, "cards", "gone"]
    written = export_plan(plans["pipeline"], tmp_path / "out", to="cards")
    assert written["files"][0] == "parts.json"
    assert (tmp_path / "out" / "Part1.txt").read_text().startswith("From the input to behind")
    manifest = json.loads((tmp_path / "out" / "parts.json").read_text())
    assert manifest["format"] == "splitopt-parts"
    takes = [name for part in manifest["parts"] for name in part["takes"]]
    assert sorted(takes) == sorted(manifest["model"]["tensors"])
    export_plan(plans["pipeline"], tmp_path / "out", to="cards", force=True)
    (tmp_path / "out" / "Part1.txt").write_text("my own words")
    with pytest.raises(InputError, match=r"holds 'Part1.txt', which no export wrote"):
        export_plan(plans["pipeline"], tmp_path / "out", to="torch", force=True)
    assert (tmp_path / "out" / "Part1.txt").read_text() == "my own words"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"../Part1.txt": b""}, "which is no plain file name"),
        ({".hidden": b""}, "which is no plain file name"),
        ({"a.txt": "text"}, "gives str as the content of 'a.txt'; give bytes"),
        ([], "gives list; give contents by names of files"),
        ({"parts.json": b"[]"}, "gives a parts.json that is no object"),
        ({"parts.json": b"{"}, "is not JSON"),
    ],
)
def test_what_another_package_gives_is_checked(tmp_path, brought, plans, found, words):
    """Nothing is written outside the folder, nor anything half."""
    brought(files=lambda job: found)
    with pytest.raises(InputError, match=words):
        export_plan(plans["pipeline"], tmp_path / "out", to="cards")
    assert not list(tmp_path.iterdir())


def test_a_package_that_fails_is_named(tmp_path, brought, plans):
    """Its error is none of splitopt's."""
    brought(files=lambda job: job.nothing)
    words = r"format 'cards': its package fails to write it \(AttributeError: .*'nothing'\)"
    with pytest.raises(CapabilityError, match=words):
        export_plan(plans["pipeline"], tmp_path / "out", to="cards")
    assert not list(tmp_path.iterdir())


def test_broken_packages_are_one_sentence(brought):
    """Only the one who asks for a broken format hears of it; it is listed as broken."""
    needy = types.SimpleNamespace(files=cards, needs=("nowhere",), writes="cards of gold")
    brought(files=cards, needy=needy, empty=types.SimpleNamespace())
    for name, error, words in (
        ("gone", InputError, "fails to load brings_formats_at_all"),
        ("empty", InputError, r"has no function 'files\(job\)'"),
        ("crads", InputError, "known are torch, .*; did you mean 'cards'?"),
        ("needy", CapabilityError, "needs nowhere, not installed; brings_formats, which brings"),
    ):
        with pytest.raises(error, match=words):
            exporter(name)
    assert exporter("cards") is cards
    rows = {row.name: row for row in listed_exporters()}
    assert rows["torch"].source == "splitopt"
    assert (rows["cards"].writes, rows["cards"].ready) == ("Cards, one per part.", "yes")
    assert (rows["needy"].writes, rows["needy"].ready) == (
        "cards of gold",
        "not installed: nowhere",
    )
    assert "fails to load" in rows["gone"].ready


def test_formats_are_listed(capsys, brought, monkeypatch):
    """As a table and as data; without the packages that a format needs it says so."""
    brought(files=cards)
    assert run(["exporters"]) == 0
    printed = capsys.readouterr().out
    assert "torch-pipelining" in printed
    assert "Cards, one per part." in printed
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: None)
    assert run(["exporters", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["torch"]["ready"] == "not installed: torch"
    assert rows["torch"]["needs"] == ["torch"]
