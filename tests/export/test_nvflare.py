"""The job of NVIDIA FLARE, run by its own simulator, learns what splitopt itself learns."""

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
"""Of every weight, which are below 1: sums of float32 are taken in the same order."""


def test_the_job_is_whole(tmp_path, small_plan):
    """All files that its modules import are there, and it says who trains what."""
    export_plan(small_plan("splitfed_v2"), tmp_path / "job", to="nvflare")
    there = {path.name for path in (tmp_path / "job").iterdir()}
    assert {"nvflare_job.py", "nvflare_client.py", "nvflare_server.py", "README.md"} <= there
    assert {"plan_task.py", "plan_server.py", "plan_device.py", "parts.py", "model.py"} <= there
    spec = json.loads((tmp_path / "job" / "rounds.json").read_text())
    assert [client["name"] for client in spec["clients"]] == ["fast", "far"]
    assert (spec["scheme"], spec["rounds"]) == ("splitfed_v2", 3)
    with pytest.raises(InputError, match="--force"):
        export_plan(small_plan("splitfed_v2"), tmp_path / "job", to="nvflare")


def test_what_the_job_cannot_do_is_refused(tmp_path):
    """By name; nothing is written."""
    made = splitopt.plan(Scenario.load("digits-clusters"))
    with pytest.raises(CapabilityError, match="is for clustered, and the job trains splitfed_v1"):
        export_plan(made, tmp_path / "job", to="nvflare")
    assert not (tmp_path / "job").exists()


def python_with_nvflare():
    """Return the Python of this environment or the one that NVFLARE names; skip without either."""
    named = os.environ.get("NVFLARE")
    if named is None:
        pytest.importorskip("nvflare", reason="installed in an environment of its own")
    return named or sys.executable


def run_job(folder, *options):
    """Run the job by its own script, and return what it did."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    return subprocess.run(
        [python_with_nvflare(), "nvflare_job.py", *map(str, options)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("scheme", "order"),
    [(None, None), ("splitfed_v1", None), ("splitfed_v2", None), ("splitfed_v2", "batch"),
     ("federated", None)],
)  # fmt: skip
def test_the_simulator_learns_what_we_learn(tmp_path, small_plan, own_data, apart, scheme, order):
    """The same weights after two rounds, to `TOLERANCE`; without a scheme each has its own cut."""
    made = small_plan(scheme, order=order)
    export_plan(made, tmp_path / "job", to="nvflare")
    own_data(tmp_path / "job", tmp_path / "data")
    saved = tmp_path / "model.safetensors"
    ran = run_job(
        tmp_path / "job", "--data", tmp_path / "data", "--rounds", 2, "--save", saved,
        "--workspace", tmp_path / "workspace",
    )  # fmt: skip
    assert saved.is_file(), ran.stdout[-3000:] + ran.stderr[-3000:]
    assert apart(made, tmp_path / "data", saved, 2) <= TOLERANCE


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_job_for_a_deployment_and_what_fails(tmp_path, small_plan):
    """It is written with all its files; missing data and too many rounds are named."""
    export_plan(small_plan("splitfed_v2"), tmp_path / "job", to="nvflare")
    ran = run_job(tmp_path / "job", "--data", "/data", "--write", tmp_path / "out")
    assert ran.returncode == 0, ran.stderr[-3000:]
    written = {path.name for path in (tmp_path / "out").rglob("*")}
    assert {"parts.py", "parts.json", "rounds.json", "plan_task.py", "meta.json"} <= written
    ran = run_job(tmp_path / "job", "--data", "/data", "--rounds", 4)
    assert (ran.returncode, "has the orders of 3 rounds" in ran.stderr) == (2, True)
    ran = run_job(tmp_path / "job", "--data", tmp_path, "--workspace", tmp_path / "workspace")
    assert ran.returncode != 0
    assert "fast.npz: is missing" in ran.stdout + ran.stderr
