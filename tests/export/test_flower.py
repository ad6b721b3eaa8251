"""The Flower app, run by Flower's own simulation engine, learns what splitopt itself learns."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import psutil
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt import Scenario  # noqa: E402
from splitopt.errors import CapabilityError, InputError  # noqa: E402
from splitopt.export import export_plan  # noqa: E402

pytestmark = pytest.mark.train
TOLERANCE = 1e-6
"""Of every weight, which are below 1: sums of float32 are taken in the same order."""


def test_the_app_is_whole(tmp_path, small_plan):
    """All files that Flower and PyTorch need are there, and it says who trains what."""
    made = small_plan("splitfed_v2")
    export_plan(made, tmp_path / "app", to="flower")
    about = tomllib.loads((tmp_path / "app" / "pyproject.toml").read_text())
    for place in about["tool"]["flwr"]["app"]["components"].values():
        assert (tmp_path / "app" / f"{place.partition(':')[0]}.py").is_file()
    assert about["tool"]["flwr"]["app"]["config"]["rounds"] == 3
    spec = json.loads((tmp_path / "app" / "rounds.json").read_text())
    assert [client["name"] for client in spec["clients"]] == ["fast", "far"]
    assert [sorted(order) for order in spec["orders"]] == [[0, 1]] * 3
    assert [client["batch_size"] for client in spec["clients"]] == [32, 16]
    assert not [d for d in about["project"]["dependencies"] if d.startswith("torch")]


@pytest.mark.slow
def test_batches_and_averages_of_the_app_are_those_of_a_run(
    tmp_path, alone, small_plan, drawn_model
):
    """Its own code, without Flower, draws the same rows and the same weights."""
    from splitopt.training.data.batches import Batches
    from splitopt.training.model_parts.averaging import average

    made = small_plan("splitfed_v1")
    export_plan(made, tmp_path / "app", to="flower")
    inputs, targets = torch.arange(80.0).reshape(80, 1), torch.arange(80) % 10
    save(tmp_path / "data" / "fast.npz", inputs, targets)
    spec = json.loads((tmp_path / "app" / "rounds.json").read_text())
    ours = Batches(inputs, targets, 32, spec["clients"][0]["batches_seed"])
    states = [{"w": torch.rand(5), "n": torch.tensor(k)} for k in range(3)]
    torch.save(states, tmp_path / "states.pt")
    code = f"""
import json, torch
import plan_task as task
data = task.data_of(0, {str(tmp_path / "data")!r})
rows = [data.batch(number)[0].flatten().tolist() for number in range(7)]
states = torch.load({str(tmp_path / "states.pt")!r})
mean = task.average(states, [1.0, 3.0, 2.0])
state = task.first_state("")
print(json.dumps([rows, mean["w"].tolist(), int(mean["n"]), data.steps(),
    [float(value.double().sum()) for value in state.values()]]))
"""
    rows, mean, whole, steps, sums = json.loads(alone(code, tmp_path / "app").stdout)
    assert rows == [ours.draw()[0].flatten().tolist() for _ in range(7)]
    expected = average(states, [1.0, 3.0, 2.0])
    assert (mean, whole, steps) == (expected["w"].tolist(), 1, 3)
    state = drawn_model().state_dict()
    assert sums == [float(value.double().sum()) for value in state.values()]


def save(path, inputs, targets):
    import numpy as np

    path.parent.mkdir(exist_ok=True)
    np.savez(path, x=inputs.numpy(), y=targets.numpy())


def test_what_the_app_cannot_do_is_refused(tmp_path, small_plan):
    """By name; nothing is written."""
    for name, words in (
        ("digits-clusters", "the plan is for clustered, and the app trains splitfed_v1"),
        ("digits-pipeline", "the plan is for multihop"),
    ):
        with pytest.raises(CapabilityError, match=words):
            export_plan(splitopt.plan(Scenario.load(name)), tmp_path / "app", to="flower")
    from splitopt.models import build

    made = small_plan()
    with pytest.raises(InputError, match="model: is an object; name it as MODULE:FACTORY"):
        export_plan(made, tmp_path / "app", to="flower", model=build("cnn", (1, 8, 8), 10),
                    input_shape=(1, 8, 8))  # fmt: skip
    assert not (tmp_path / "app").exists()


def flwr_program():
    """Return the program, of this environment or of the one that FLWR names; skip without it."""
    named = os.environ.get("FLWR")
    if named is None:
        pytest.importorskip("flwr", reason="Flower is installed in an environment of its own")
        named = str(Path(sys.executable).with_name("flwr"))
    return Path(named)


def environment_of(home, program):
    """Return the environment that every process of one test runs in."""
    found = {
        **os.environ,
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "OMP_NUM_THREADS": "1",
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
    }
    found.pop("PYTHONPATH", None)
    return found


def end_all(home):
    """End what was left running with this home."""
    for process in psutil.process_iter(["name", "environ"]):
        if (process.info["environ"] or {}).get("FLWR_HOME") == str(home):
            process.send_signal(signal.SIGTERM)


def run_app(folder, data, saved, rounds, program):
    """Run the app in Flower's simulation engine, and end what it leaves running."""
    home = folder.parent / "home"
    home.mkdir()
    (home / "config.toml").write_text(
        '[superlink]\ndefault = "local"\n\n[superlink.local]\naddress = ":local:"\n'
        "options.num-supernodes = 2\noptions.backend.client-resources.num-cpus = 1\n"
    )
    config = f'data="{data}" save="{saved}" rounds={rounds} lr=0.1'
    command = [str(program), "run", ".", "--stream", "--run-config", config]
    try:
        return subprocess.run(
            command, cwd=folder, env=environment_of(home, program), capture_output=True, text=True,
            timeout=800, check=False,
        )  # fmt: skip
    finally:
        end_all(home)


def deploy_app(folder, data, saved, rounds, program):
    """Run the app with a SuperLink and a SuperNode for each client, on loopback."""
    home = folder.parent / "home"
    home.mkdir()
    serving, control, first, second = free_ports(4)
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "own"\n\n[superlink.own]\naddress = "127.0.0.1:{control}"\n'
        "insecure = true\n"
    )
    link = [program.with_name("flower-superlink"), "--insecure", "--host", "127.0.0.1"]
    runs = [[*link, "--port", str(control)]]
    for place, (name, port) in enumerate([("fast", first), ("far", second)]):
        node = [program.with_name("flower-supernode"), "--insecure", "--superlink"]
        own = f'client="{name}"' if place else "partition-id=0"
        runs.append([*node, f"127.0.0.1:{control}", "--port", str(port), "--node-config", own])
    environment = environment_of(home, program)
    begun = []
    config = f'data="{data}" save="{saved}" rounds={rounds} lr=0.1'
    config += f' host="127.0.0.1" port={serving}'
    try:
        for number, run in enumerate(runs):
            with (folder.parent / f"log{number}").open("w") as log:
                command = [str(part) for part in run]
                begun.append(
                    subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
                )
        until_open(control)
        return subprocess.run(
            [str(program), "run", ".", "own", "--stream", "--run-config", config],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=1500, check=False,
        )  # fmt: skip
    finally:
        end_all(home)
        for process in begun:
            process.wait(timeout=300)


def free_ports(many):
    """Return ports of this machine that nobody listens at."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(many)]
    found = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return found


def until_open(port):
    """Wait until somebody listens."""
    for _ in range(600):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(1)
    raise TimeoutError


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scheme", [None, "splitfed_v1", "splitfed_v2", "federated"])
def test_the_simulation_engine_learns_what_we_learn(tmp_path, small_plan, own_data, apart, scheme):
    """The same weights after two rounds, to `TOLERANCE`; without a scheme each has its own cut."""
    program = flwr_program()
    made = small_plan(scheme)
    export_plan(made, tmp_path / "app", to="flower")
    own_data(tmp_path / "app", tmp_path / "data")
    saved = tmp_path / "model.safetensors"
    ran = run_app(tmp_path / "app", tmp_path / "data", saved, 2, program)
    assert saved.is_file(), ran.stdout[-3000:] + ran.stderr[-3000:]
    assert apart(made, tmp_path / "data", saved, 2) <= TOLERANCE


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scheme", [None, "splitfed_v2"])
def test_supernodes_learn_what_we_learn(tmp_path, small_plan, own_data, apart, scheme):
    """In deployment: one message a round for each client, its batches over a socket."""
    program = flwr_program()
    made = small_plan(scheme)
    export_plan(made, tmp_path / "app", to="flower")
    own_data(tmp_path / "app", tmp_path / "data")
    saved = tmp_path / "model.safetensors"
    ran = deploy_app(tmp_path / "app", tmp_path / "data", saved, 2, program)
    logs = [(tmp_path / f"log{number}").read_text()[-2000:] for number in range(3)]
    assert saved.is_file(), "\n".join([ran.stdout[-3000:], ran.stderr[-3000:], *logs])
    assert apart(made, tmp_path / "data", saved, 2) <= TOLERANCE
