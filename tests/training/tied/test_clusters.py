"""Clusters whose cut is chosen between the uses of a tied weight."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt import Scenario  # noqa: E402
from splitopt.planning.comparison.comparing import compare_schemes  # noqa: E402
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum  # noqa: E402
from splitopt.problems.cut_and_clusters import CutAndClusters  # noqa: E402
from splitopt.profiles.counting.tied import exchanged_bytes  # noqa: E402
from splitopt.profiles.tracing import trace  # noqa: E402
from tests.training.tied.cases import batch, network  # noqa: E402

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    """Return a function that makes a cell of six devices with a cut, and its profile."""
    place = tmp_path_factory.mktemp("cell")
    profile = trace(network(), batch(), tied="copies", keep_all=True, name="tied").profile
    profile.save(place / "tied.json")

    def make(cut):
        document = Scenario.load("digits-clusters").to_dict()
        document["model"] = {"file": str(place / "tied.json")}
        document["clusters"] = {"size": 3, "cut": cut}
        document["training"]["epochs"] = 3
        return Scenario.from_dict(document)

    return make, profile


def test_times_at_every_cut_are_those_of_the_cut_when_it_is_stated(cell):
    """Also of the gradients of the tied weight, at more than one cut."""
    make, profile = cell
    chosen = CutAndClusters.from_scenario(make("auto"), profile)
    assert np.count_nonzero(chosen.upload_tied_s.any(axis=1)) > 1
    for place, name in enumerate(chosen.cuts):
        stated, found = ClusterAndSpectrum.from_scenario(make(name), profile), chosen.at_cut(place)
        for field, values in stated.data().items():
            assert found.data()[field] == pytest.approx(values, rel=1e-12), (name, field)
        assert chosen.upload_tied_s[place] == pytest.approx(stated.upload_tied_s)


@pytest.mark.slow
def test_the_cut_that_is_chosen_is_the_best_of_those_that_can_be_stated(cell):
    """A plan, its simulation and the row of a comparison say the same."""
    make, profile = cell
    made = splitopt.plan(make("auto"))
    rounds = {}
    assert exchanged_bytes(profile).any()
    for name in profile.layers[:-1]:
        one = splitopt.plan(make(name))
        assert one.result.outcome == "optimal"
        rounds[name] = one.prediction["round_s"]
    assert made.result.outcome == "optimal"
    assert made.prediction["round_s"] == pytest.approx(min(rounds.values()), rel=1e-9)
    assert splitopt.simulate(made).simulated_s == pytest.approx(made.prediction["round_s"])
    row = compare_schemes(make("auto")).row("cpsl")
    assert row.round_s >= made.prediction["round_s"] * (1 - 1e-9)
