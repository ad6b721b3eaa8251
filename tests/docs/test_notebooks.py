"""The notebooks of the documentation: they run, and their outputs are what they give today."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")


def module(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def texts(cell):
    """Return the outputs of a cell as text: what was printed, values, and pictures in words."""
    found = []
    for output in cell["outputs"]:
        held = output.get("text") or output["data"]["text/plain"]
        found.append((output["output_type"], sorted(output.get("data", ())), "".join(held)))
    return found


def test_there_are_three():
    assert [path.stem for path in NOTEBOOKS] == [
        "compare-and-trade",
        "plan-and-certificate",
        "train-and-measure",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_they_are_of_the_documented_form(path):
    """Format 4.5 of Jupyter: cells with ids, outputs of every code cell in order, no path."""
    notebook = read(path)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-zA-Z0-9-_]{1,64}", one) for one in ids)
    for count, cell in enumerate(cells(notebook), start=1):
        assert cell["execution_count"] == count
        for output in cell["outputs"]:
            kind = output["output_type"]
            assert kind in ("stream", "display_data", "execute_result")
            assert (
                set(output)
                == {
                    "stream": {"output_type", "name", "text"},
                    "display_data": {"output_type", "data", "metadata"},
                    "execute_result": {"output_type", "data", "metadata", "execution_count"},
                }[kind]
            )
    for shown in ("/home/", "/root/", "/tmp/", "/work/", "site-packages"):
        assert shown not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_page_shows_all_that_the_notebook_has(path):
    """Sources as code, prints as text, tables and pictures as they are, with words for these."""
    page = module("notebook_pages").markdown_of(read(path))
    for cell in read(path)["cells"]:
        assert "".join(cell["source"]).rstrip() in page
    pictures = sum(
        "image/png" in output.get("data", ())
        for cell in cells(read(path))
        for output in cell["outputs"]
    )
    assert page.count("<img alt=") == page.count('<img alt="Figure: ') == pictures > 0


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_what_they_give_today(path):
    """Words to the letter and numbers to 2 %; of measured cells only what kind of thing they show.

    What was trained depends on PyTorch and the number of its threads: it may differ by more.
    """
    now = module("execute").executed(path)
    for kept, run in zip(cells(read(path)), cells(now), strict=True):
        tags = kept["metadata"].get("tags", ())
        assert len(texts(kept)) == len(texts(run))
        for (kind, forms, before), (kind_now, forms_now, after) in zip(
            texts(kept), texts(run), strict=True
        ):
            assert (kind, forms) == (kind_now, forms_now)
            assert NUMBER.sub("#", before) == NUMBER.sub("#", after)
            if "measured" not in tags:
                numbers, today = (
                    [float(one.replace(",", "")) for one in NUMBER.findall(text)]
                    for text in (before, after)
                )
                assert today == pytest.approx(numbers, rel=0.1 if "trained" in tags else 0.02)
