"""Plans of the shipped fleets, jobs for any model and cuts, and running what is written."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt import Scenario, plan  # noqa: E402
from splitopt.export.holders import Chain  # noqa: E402
from splitopt.export.job import Job, Origin  # noqa: E402
from splitopt.profiles.tracing import find_cuts  # noqa: E402
from splitopt.profiles.tracing.running.example import inputs_of  # noqa: E402
from splitopt.training.program import Party, program_of  # noqa: E402

_ALONE = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("splitopt", "safetensors"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
sys.path.insert(0, ".")
"""


@pytest.fixture(scope="session")
def plans():
    """Return the plans of the three shipped fleets that can be trained."""
    names = ("splitfed", "clusters", "pipeline")
    return {name: plan(Scenario.load(f"digits-{name}")) for name in names}


@pytest.fixture(scope="session")
def job_for(plans):
    """Return the function that makes a job of any model, cut at the cuts of each client."""
    program = program_of(plans["splitfed"])

    def make(model, example, cuts, *, name="net", shipped=False, stages=None, weights=None, most=1):
        split = find_cuts(model, example, stages=stages, verify=False, most_tensors=most)
        profile = replace(_profile(split), name=name)
        chains = []
        for index, own in enumerate(cuts):
            parties = (Party(f"d{index}", "device"), *(Party(f"s{k}", "node") for k in range(99)))
            chains.append(Chain(f"d{index}", tuple(own), parties[: len(own) + 1], 10, 5))
        return Job(
            plans["splitfed"],
            replace(program, profile=profile),
            tuple(chains),
            split,
            inputs_of(example),
            "none",
            Origin(name if shipped else None, shipped),
            weights,
        )

    return make


def _profile(split):
    """Build a profile of a split model that counts nothing."""
    import numpy as np

    from splitopt.profiles import ModelProfile
    from splitopt.profiles.table.provenance import Provenance

    ones = np.arange(1.0, len(split.layers) + 1)
    none = 0 * ones
    return ModelProfile(
        name="net",
        layers=split.layers,
        device_forward_flop=ones,
        device_backward_flop=ones,
        server_forward_flop=ones[-1] - ones,
        server_backward_flop=ones[-1] - ones,
        smashed_bytes=none,
        gradient_bytes=none,
        device_model_bytes=ones,
        work_unit="FLOP",
        provenance=Provenance("user", "a test"),
    )


@pytest.fixture(scope="session")
def alone():
    """Return the function that runs code in a folder without splitopt and safetensors."""

    def run(code, folder, timeout=400, check=True):
        return subprocess.run(
            [sys.executable, "-I", "-c", _ALONE + code],
            cwd=folder,
            capture_output=True,
            text=True,
            check=check,
            timeout=timeout,
        )

    return run


@pytest.fixture(scope="session")
def small_plan():
    """Return the function that plans two devices; without a scheme the second keeps all layers."""

    def made(scheme=None, rounds=3, order=None, devices=None):
        document = Scenario.load("digits-splitfed").to_dict()
        first, *_, last = document["devices"]
        document["devices"] = [
            {**first, "count": 1, "samples": 80, "batch_size": 32},
            {**last, "samples": 48, "batch_size": 16},
        ]
        if devices is not None:
            changed = zip(document["devices"], devices, strict=True)
            document["devices"] = [{**device, **other} for device, other in changed]
        document["training"] = {"epochs": 1, "rounds": rounds}
        if order is not None:
            document["training"]["server_order"] = order
        return plan(Scenario.from_dict(document), **({} if scheme is None else {"scheme": scheme}))

    return made


@pytest.fixture(scope="session")
def drawn_model():
    """Return the function that builds the model that `splitopt train` begins with."""
    from splitopt.models import build
    from splitopt.training.preparing.setup import Draw
    from splitopt.training.randomness import seed_of

    def drawn():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(0, Draw.WEIGHTS))
            return build("cnn", (1, 8, 8), 10)

    return drawn


@pytest.fixture(scope="session")
def own_data():
    """Return the function that writes digits for the clients of an export, as many as it says."""
    from splitopt.training.data import load_data
    from splitopt.training.data.partition import partition
    from splitopt.training.data.shards import save_shards

    def write(exported, folder):
        digits = load_data("digits", seed=0)
        clients = json.loads((exported / "rounds.json").read_text())["clients"]
        samples = [client["samples"] for client in clients]
        parts = partition(digits.train_targets, samples, "iid", seed=0)
        save_shards(str(folder), digits, [client["name"] for client in clients], parts)

    return write


@pytest.fixture(scope="session")
def apart(drawn_model):
    """Return the function that says by how much weights in a file differ from our own training."""
    import splitopt
    from splitopt.training.options import Options

    def compare(made, data, saved, rounds):
        from safetensors.torch import load_file

        options = Options(learning_rate=0.1)
        ours = splitopt.train(
            made, data=str(data), partition="own", rounds=rounds, options=options
        ).model.state_dict()
        learned = load_file(saved)
        assert learned.keys() == ours.keys()
        first = drawn_model().state_dict()
        assert max(float((learned[name] - first[name]).abs().max()) for name in first) > 1e-3
        worst = max(float((learned[name] - ours[name]).abs().max()) for name in ours)
        print("largest difference of a weight", worst)
        return worst

    return compare
