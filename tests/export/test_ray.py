"""The program for Ray, run by it on this machine, learns what splitopt itself learns."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt
from splitopt import Scenario
from splitopt.errors import CapabilityError, InputError
from splitopt.export import export_plan

pytestmark = pytest.mark.train
TOLERANCE = 1e-6
"""Of every weight, which are below 1: sums of float32 are short."""
FLEET_TOLERANCE = 2 * 1000 * 2.0**-24 / 10
"""The same for two averages of 1,000 models, whose terms are summed in another order.

A sum of n terms in turn is off by n 2^-24 of the sum of their sizes at most (Higham, Accuracy and
Stability of Numerical Algorithms, section 4.2); a tenth of that is allowed.
"""


def test_the_program_is_whole(tmp_path, small_plan):
    """All files that it imports are there, and it says who trains what."""
    export_plan(small_plan("splitfed_v1"), tmp_path / "out", to="ray")
    there = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"ray_train.py", "plan_task.py", "plan_server.py", "plan_device.py", "parts.py"} <= there
    spec = json.loads((tmp_path / "out" / "rounds.json").read_text())
    assert [client["samples"] for client in spec["clients"]] == [80, 48]
    with pytest.raises(InputError, match="--force"):
        export_plan(small_plan("splitfed_v1"), tmp_path / "out", to="ray")


def test_what_the_program_cannot_do_is_refused(tmp_path):
    """By name; nothing is written."""
    made = splitopt.plan(Scenario.load("digits-pipeline"))
    with pytest.raises(CapabilityError, match="is for multihop, and the program trains splitfed"):
        export_plan(made, tmp_path / "out", to="ray")
    assert not (tmp_path / "out").exists()


def run_program(folder, *options):
    """Run the program by the Python that RAY names, or this one; skip without Ray."""
    named = os.environ.get("RAY")
    if named is None:
        pytest.importorskip("ray", reason="needs the extra 'cluster'")
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",
    }
    environment.pop("PYTHONPATH", None)
    command = [named or sys.executable, "ray_train.py", "--cpus", "2", *map(str, options)]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=800,
        check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("scheme", "order"),
    [(None, None), ("splitfed_v1", None), ("splitfed_v2", None), ("splitfed_v2", "batch"),
     ("federated", None)],
)  # fmt: skip
def test_ray_learns_what_we_learn(tmp_path, small_plan, own_data, apart, scheme, order):
    """The same weights after two rounds, to `TOLERANCE`; without a scheme each has its own cut."""
    made = small_plan(scheme, order=order)
    assert learned_apart(tmp_path, made, own_data, apart) <= TOLERANCE


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scheme", ["splitfed_v1", "splitfed_v2", "federated"])
def test_a_fleet_of_a_thousand(tmp_path, small_plan, own_data, apart, scheme):
    """A thousand clients with a sample each, but the last one, which has two batches."""
    fleet = [{"count": 999, "samples": 1, "batch_size": 1}, {"samples": 24, "batch_size": 16}]
    made = small_plan(scheme, devices=fleet)
    assert learned_apart(tmp_path, made, own_data, apart) <= FLEET_TOLERANCE


def learned_apart(folder, made, own_data, apart):
    """Train two rounds by Ray and by splitopt; return the largest difference of a weight."""
    export_plan(made, folder / "out", to="ray")
    own_data(folder / "out", folder / "data")
    saved = folder / "model.safetensors"
    options = ("--data", folder / "data", "--rounds", 2, "--save", saved)
    ran = run_program(folder / "out", *options)
    assert saved.is_file(), ran.stdout[-3000:] + ran.stderr[-3000:]
    print(ran.stdout)
    return apart(made, folder / "data", saved, 2)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_fails_is_named(tmp_path, small_plan):
    """Missing data and too many rounds, in a sentence each."""
    export_plan(small_plan("splitfed_v2"), tmp_path / "out", to="ray")
    ran = run_program(tmp_path / "out", "--data", tmp_path, "--rounds", 4)
    assert (ran.returncode, "has the orders of 3 rounds" in ran.stderr) == (2, True)
    ran = run_program(tmp_path / "out", "--data", tmp_path)
    assert (ran.returncode, "fast.npz: is missing" in ran.stderr) == (1, True), ran.stderr
    assert "Traceback" not in ran.stderr
