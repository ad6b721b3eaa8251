"""The shipped tables of shipped networks are what tracing gives."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest

from splitopt.errors import InputError
from splitopt.profiles.published.traced import TRACED, traced_profile

TABLES = Path(__file__).parents[3] / "benchmarks" / "leakage" / "results"


@pytest.mark.one_quick
@pytest.mark.train
@pytest.mark.parametrize("name", TRACED)
def test_the_table_is_what_tracing_gives(name):
    """A network that is changed without its table is noticed here."""
    torch = pytest.importorskip("torch", reason="needs the extra 'train'")
    from splitopt.models import build
    from splitopt.profiles import trace

    model, shape = TRACED[name]
    found = trace(build(model, shape), torch.randn(2, *shape), name=name, keep_all=True)
    shipped = traced_profile(name)
    bare = replace(
        shipped,
        leakage=None,
        leakage_record=None,
        provenance=replace(shipped.provenance, columns={}),
    )
    assert replace(found.profile, trace=None) == bare
    record = found.profile.trace
    method = "fx" if model == "alexnet" else "sequential"
    assert (record.method, record.input_shape) == (method, shape)


@pytest.mark.parametrize("name", ["cnn-digits", "cnn-fashion-mnist"])
def test_the_leakage_is_that_of_the_committed_table(name):
    """What `python -m benchmarks.leakage --ship` does: the best attack, made monotone."""
    table = json.loads((TABLES / f"{name}.json").read_text())
    shipped = traced_profile(name)
    assert tuple(table["layers"]) == shipped.layers
    assert shipped.state_of("leakage") == "measured"
    best = [0.0] * len(shipped.layers)
    for row in table["rows"]:
        if (row["view"], row["measure"]) == ("white", "cosine"):
            best[row["cut"] - 1] = max(best[row["cut"] - 1], row["value"]["mean"])
    deepest_first = itertools.accumulate(reversed(best), max)
    assert shipped.leakage.tolist() == pytest.approx(list(deepest_first)[::-1], abs=1e-12)
    assert shipped.leakage[0] > 0.9  # behind one convolution an image is all but found again
    assert table["accuracy"] > 0.7


def test_another_name_is_refused():
    """The names are listed."""
    with pytest.raises(InputError, match="choose cnn-digits, cnn-fashion-mnist"):
        traced_profile("cnn-cifar")
