"""A folder with plans for real processes."""

from __future__ import annotations

import json

import pytest

import splitopt
from splitopt.scenario import Scenario
from tests.training.wire.processes.cases import NET

torch = pytest.importorskip("torch", reason="needs the extra 'train'")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Make a folder with a network of the user's, and plans of three devices."""
    place = tmp_path_factory.mktemp("run")
    (place / "net.py").write_text(NET)
    splitfed = Scenario.load("digits-splitfed").to_dict()
    far = splitfed["devices"][-1] | {"samples": 96, "compute": "40 MFLOP/s"}
    fast = splitfed["devices"][0] | {"samples": 48, "count": 2}
    splitfed |= {"devices": [fast, far], "training": {"epochs": 1, "rounds": 3}}
    clusters = Scenario.load("digits-clusters").to_dict()
    near, other = clusters["devices"][0], clusters["devices"][-1]
    clusters["devices"] = [near | {"count": 1, "samples": 32}, other | {"count": 2, "samples": 48}]
    clusters |= {"clusters": {"sizes": [2, 1], "cut": "pool1"}}
    clusters |= {"training": {"epochs": 2, "rounds": 3}}
    pair = clusters | {"clusters": {"size": 2, "cut": "pool1"}}
    pair["devices"] = [near | {"count": 1, "samples": 32}, other | {"count": 1, "samples": 48}]
    few = splitfed | {"devices": [fast | {"count": 1}, far]}
    scenarios = {"splitfed": splitfed, "few": few, "clusters": clusters, "pair": pair}
    for name, document in scenarios.items():
        splitopt.plan(Scenario.from_dict(document)).save(place / f"{name}.json")
    for name in ("vanilla", "splitfed_v2", "federated"):
        splitopt.plan(Scenario.from_dict(splitfed), scheme=name).save(place / f"{name}.json")
    batch = splitfed | {"training": splitfed["training"] | {"server_order": "batch"}}
    splitopt.plan(Scenario.from_dict(batch), scheme="splitfed_v2").save(place / "batch.json")
    cuts = json.loads((place / "splitfed.json").read_text())["decision"]["cut"]
    assert cuts[0] != cuts[2], "the devices are to have different cuts"
    return place
