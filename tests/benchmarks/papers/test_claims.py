"""The claims of the papers: verdicts by hand, and the committed page is what results give today."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def part():
    """Yield the function that loads a module of the papers, as from the root."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield lambda name: importlib.import_module(f"benchmarks.papers.{name}")


@pytest.mark.parametrize(
    ("published", "here", "verdict"),
    [
        (100.0, 104.9, "reproduces"),
        (100.0, 95.1, "reproduces"),
        (100.0, 110.0, "partly"),
        (100.0, 76.0, "partly"),
        (100.0, 130.0, "does not"),
        (80.1, 4.2, "does not"),
    ],
)
def test_verdicts_on_numbers(part, published, here, verdict):
    """Within 5 % reproduces, within 25 % partly, all else does not."""
    assert part("claims").number("a", "b", published, here).verdict == verdict


@pytest.mark.parametrize(
    ("holds", "verdict"),
    [([True, True], "reproduces"), ([True, False], "partly"), ([False], "does not")],
)
def test_verdicts_on_statements(part, holds, verdict):
    """A statement holds where all of its checks do."""
    assert part("claims").statement("a", "b", "c", holds).verdict == verdict


@pytest.mark.parametrize("paper", ["dp-mora", "cpsl", "mp-sl", "splitfed", "iotsl"])
def test_committed_claims_are_current(part, paper):
    """What the command would write from the committed results is what is committed."""
    command, claims = part("__main__"), part("claims")
    table = claims.claims_table(paper, command.CLAIMS[paper]())
    assert table.markdown() == (command.RESULTS / f"{table.name}.md").read_text()
    assert table.csv() == (command.RESULTS / f"{table.name}.csv").read_text()


def test_the_known_contradictions_are_called_so(part):
    """What other code found not to reproduce has that verdict here, and what did reproduces."""
    command = part("__main__")
    verdicts = {
        (paper, claim.where, claim.text): claim.verdict
        for paper, make in command.CLAIMS.items()
        for claim in make()
    }
    for place, wanted in {
        ("dp-mora", "section 6.1", "P2 is strictly convex"): "does not",
        ("mp-sl", "Fig. 12", "the first hop saves up to %"): "partly",
        ("cpsl", "Fig. 8(b)", "best clusters against similar capability, % shorter"): "does not",
        ("cpsl", "Fig. 8(b)", "best clusters against random clusters, % shorter"): "does not",
        ("splitfed", "Table 5", "FL learns better than SFLV1 (Fashion-MNIST)"): "does not",
    }.items():
        assert verdicts[place] == wanted, place


def test_a_missing_row_is_an_error(part, tmp_path):
    """A claim about a row that is not there must not pass silently."""
    (tmp_path / "t.csv").write_text("name,x\na one,1\na two,2\n")
    results = part("claims").Results(tmp_path)
    assert results.value("t", "a one", "x") == 1
    for row in ("a", "b"):
        with pytest.raises(KeyError, match="rows begin with"):
            results.cell("t", row, "x")
