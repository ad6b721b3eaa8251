"""The pipeline that is written: its specification, its script, and training with it for real."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

from splitopt.errors import CapabilityError, InputError  # noqa: E402
from splitopt.export import export_plan  # noqa: E402
from splitopt.export.folder import write_folder  # noqa: E402
from splitopt.export.holders import Chain  # noqa: E402
from splitopt.export.torch_pipelining import files, pipeline_of, stage_of_rank  # noqa: E402
from splitopt.models import build  # noqa: E402
from splitopt.training.program import Party  # noqa: E402

ALONE = ("splitopt", "safetensors")


@pytest.fixture(scope="module")
def folders(tmp_path_factory, plans):
    """Return the exports of the three fleets."""
    folder = tmp_path_factory.mktemp("pipelines")
    for name, made in plans.items():
        export_plan(made, folder / name, to="torch-pipelining")
    return folder


def spec_of(folder):
    return json.loads((folder / "pipeline.json").read_text())


def test_stages_are_the_plan_s(folders, plans):
    """An owner's two parts are the first and the last stage, nodes in the order of the chain."""
    spec = spec_of(folders / "pipeline")
    rows = plans["pipeline"].prediction["nodes"]
    client = spec["clients"]["owner-2"]
    parties = [stage["party"] for stage in client["stages"]]
    assert parties == ["owner-2", *(row["name"] for row in rows), "owner-2"]
    assert [stage["until"] for stage in client["stages"][1:-1]] == [r["last_layer"] for r in rows]
    assert client["split_spec"] == {"conv1": "END", "pool2": "END", "fc1": "END"}
    # The owner's machine starts the processes 0 and 1, which run the first and the last stage.
    assert client["stage_of_rank"] == [0, 3, 1, 2]
    assert (client["batch_size"], client["microbatches"], client["schedule"]) == (16, 4, "1f1b")
    two = spec_of(folders / "splitfed")["clients"]
    assert list(two) == ["fast-1", "fast-2", "slow"]  # `far` keeps its whole model
    assert two["slow"]["stage_of_rank"] == [0, 1]
    assert two["slow"]["microbatches"] == 2


def test_processes_of_a_party_stand_together():
    """One that holds several parts is one machine with as many processes."""
    a, b, c = (Party(name, "node") for name in "abc")
    assert stage_of_rank(Chain("x", (), (a, b, c, b, a), 1, 1)) == [0, 4, 1, 3, 2]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")  # within PyTorch itself
@pytest.mark.parametrize(("name", "shape"), [("cnn", (1, 8, 8)), ("gpt", (6,))])
def test_pytorch_splits_at_the_split_spec(job_for, name, shape):
    """`torch.distributed.pipelining.pipeline` gives stages that compute what the parts do."""
    from torch.distributed.pipelining import SplitPoint, pipeline

    torch.manual_seed(1)
    model = build(name, shape)
    x = torch.randint(0, 9, (2, *shape)) if name == "gpt" else torch.randn(2, *shape)
    cuts = ("blocks.0", "blocks.2") if name == "gpt" else ("conv1", "pool2")
    job = job_for(model, x, [cuts])
    spec = _with_bytes(job)["clients"]["d0"]
    points = {cut: SplitPoint[where] for cut, where in spec["split_spec"].items()}
    pipe = pipeline(model, mb_args=(x,), split_spec=points)
    assert pipe.num_stages == 3
    value = other = x
    for index, part in enumerate(job.split.segments(cuts)):
        value, other = part(value), pipe.get_stage_module(index)(other)
        other = other[0] if isinstance(other, tuple) else other
        assert torch.equal(value, other)


def _with_bytes(job, content=False):
    """Return the specification of a job, as if its profile knew that gradients come back."""
    ones = job.program.profile.server_forward_flop  # some, but none at the output
    profile = replace(job.program.profile, smashed_bytes=ones, gradient_bytes=ones)
    job = replace(job, program=replace(job.program, profile=profile))
    return files(job) if content else pipeline_of(job)


def test_cuts_inside_modules_have_no_split_spec(job_for):
    """PyTorch splits at ends of modules; the parts do not need that."""
    model, x = build("gpt", (6,)), torch.zeros(2, 6, dtype=torch.int64)
    client = _with_bytes(job_for(model, x, [("blocks.0.add", "blocks.1")]))["clients"]["d0"]
    assert client["split_spec"] is None
    assert client["cuts_inside_modules"] == ["blocks.0.add"]


def test_shapes_follow_the_batch(job_for):
    """Sides that grow with the batch are marked, also where other sides are folded into them."""
    model = nn.Sequential(
        nn.Linear(4, 3), nn.Flatten(0, 1), nn.Linear(3, 2), nn.Unflatten(0, (-1, 5))
    )
    job = job_for(model, torch.randn(3, 5, 4), [("0", "1")])
    assert job.shapes == {
        "0": {"shape": ["B", 5, 3], "dtype": "float32"},
        "1": {"shape": ["5B", 3], "dtype": "float32"},
        None: {"shape": ["B", 5, 2], "dtype": "float32"},
    }


def test_what_a_pipeline_cannot_do_is_refused(job_for):
    model, x = build("cnn", (1, 8, 8)), torch.randn(2, 1, 8, 8)
    with pytest.raises(InputError, match="leaves every model whole"):
        files(job_for(model, x, [()]))
    with pytest.raises(CapabilityError, match="no gradient comes back over the cut behind 'pool1'"):
        files(job_for(model, x, [("pool1",)]))
    two = _Two()
    with pytest.raises(CapabilityError, match="takes 2 inputs"):
        files(job_for(two, (torch.randn(2, 4), torch.randn(2, 4)), [("add",)]))


class _Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x, y):
        return self.two(self.one(x) + y)


LAUNCH = """
import io, contextlib, os, runpy
for environment, arguments in (
    ({}, ["--data", "random"]),
    ({"RANK": "0", "WORLD_SIZE": "3"}, ["--data", "random"]),
    ({"RANK": "0", "WORLD_SIZE": "4"}, ["--data", "random", "--microbatches", "3"]),
    ({"RANK": "0", "WORLD_SIZE": "4"}, ["--data", "random", "--microbatches", "2"]),
    ({"RANK": "0", "WORLD_SIZE": "4"}, ["--data", "random", "--loss", "no_module:loss"]),
    ({"RANK": "0", "WORLD_SIZE": "4"}, ["--data", "random", "--loss", "huber"]),
    ({"RANK": "0", "WORLD_SIZE": "4"}, ["--data", "random", "--client", "nobody"]),
    ({"RANK": "0", "WORLD_SIZE": "4"}, ["--data", "random", "--epochs", "0"]),
    ({"RANK": "0", "WORLD_SIZE": "4"}, []),
):
    os.environ.update(environment)
    sys.argv = ["train_pipeline.py", *arguments]
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            runpy.run_path("train_pipeline.py", run_name="__main__")
        except SystemExit as error:
            print((str(error.code) + " " + said.getvalue()).replace("\\n", " "))
"""


@pytest.mark.slow
def test_wrong_launches_say_what_is_wrong(folders, alone):
    """Before anything is connected, in one sentence, without splitopt."""
    lines = alone(LAUNCH, folders / "pipeline").stdout.splitlines()
    words = [
        "--nproc-per-node 4 train_pipeline.py",
        "has 4 stages, a process for each",
        "a batch of 16 samples is not 3 microbatches of one size",
        "1f1b needs a microbatch for each of the 4 stages and has 2",
        "--loss no_module:loss: No module named 'no_module'",
        "--loss must be MODULE:NAME or FILE.py:NAME, and is 'huber'",
        "invalid choice: 'nobody'",
        "--epochs must be at least 1",
        "arguments are required: --data",
    ]
    assert len(lines) == len(words)
    for line, expected in zip(lines, words, strict=True):
        assert expected in line


def torchrun(folder, processes, *arguments, timeout=500, script="train_pipeline.py"):
    """Run the script with torchrun on the loopback; end all of it if it hangs."""
    blocked = folder / "blocked"
    for name in ALONE:  # in front of what is installed
        (blocked / name).mkdir(parents=True, exist_ok=True)
        (blocked / name / "__init__.py").write_text("raise ImportError('must not be needed')\n")
    environment = {
        **os.environ,
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(blocked),
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(processes), script, *arguments]
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, _ = process.communicate()
            pytest.fail(f"torchrun hangs:\n{out}")
    return process.returncode, out


def trained_whole(model, data, batch, pieces, epochs, momentum, seed=0):
    """Train the plain model in the same order, with the mean over microbatches as the loss."""
    model = copy.deepcopy(model).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=momentum)
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(epochs):
        order = torch.randperm(len(data["inputs"]), generator=generator)
        for step in range(len(order) // batch):
            optimizer.zero_grad()
            rows = order[step * batch : (step + 1) * batch]
            found = []
            for piece in rows.chunk(pieces):
                out, target = model(data["inputs"][piece]), data["targets"][piece]
                found.append(nn.functional.cross_entropy(out.flatten(0, -2), target.flatten()))
            loss = torch.stack(found).mean()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
    return model, losses


CASES = {
    "device and server, 1f1b": ("splitfed", "slow", 2, ["--schedule", "1f1b"]),
    "device and server, gpipe": ("splitfed", "slow", 2, ["--schedule", "gpipe"]),
    "owner, two nodes, owner": ("pipeline", "owner-3", 4, []),
    "tokens through torch.fx": ("gpt", "d0", 2, ["--batch-size", "6", "--microbatches", "3"]),
}


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("case", CASES)
def test_torchrun_trains_as_the_whole_model(tmp_path, plans, job_for, case):
    """Processes without splitopt: losses and weights are those of plain training."""
    from safetensors.torch import load_file, save_file

    name, client, processes, arguments = CASES[case]
    torch.manual_seed(11)
    if name == "gpt":
        model = build("gpt", (6,))
        inputs, targets = torch.randint(0, 200, (20, 6)), torch.randint(0, 200, (20, 6))
        job = job_for(
            model, inputs[:2], [("blocks.1",)], name="gpt", shipped=True, weights=model.state_dict()
        )
        write_folder(tmp_path / "out", _with_bytes(job, content=True))
    else:
        model = build("cnn", (1, 8, 8))
        inputs, targets = torch.randn(70, 1, 8, 8), torch.randint(0, 10, (70,))
        save_file(model.state_dict(), tmp_path / "start.safetensors")
        export_plan(
            plans[name],
            tmp_path / "out",
            to="torch-pipelining",
            weights=tmp_path / "start.safetensors",
        )
    data = {"inputs": inputs, "targets": targets}
    save_file(data, tmp_path / "out" / "data.safetensors")
    code, out = torchrun(
        tmp_path / "out", processes, "--data", "data.safetensors", "--client", client,
        "--epochs", "2", "--momentum", "0.9", "--save", "trained", *arguments,
    )  # fmt: skip
    assert code == 0, out
    spec = spec_of(tmp_path / "out")["clients"][client]
    batch, pieces = (6, 3) if name == "gpt" else (spec["batch_size"], spec["microbatches"])
    whole, losses = trained_whole(model, data, batch, pieces, 2, 0.9)
    printed = [float(number) for number in re.findall(r"loss (\S+)", out)]
    assert printed == pytest.approx(losses, rel=1e-5)
    found = {}
    for stage in spec["stages"]:
        found |= load_file(tmp_path / "out" / "trained" / f"{stage['part']}.safetensors")
    expected = whole.state_dict()
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_torchrun_ends_when_a_stage_fails(tmp_path, folders):
    """Labels that do not go with the inputs end all processes, and the reason is printed."""
    from safetensors.torch import save_file

    shutil.copytree(folders / "splitfed", tmp_path / "out")
    data = {"inputs": torch.randn(40, 1, 8, 8), "targets": torch.zeros(39, dtype=torch.int64)}
    save_file(data, tmp_path / "out" / "data.safetensors")
    code, out = torchrun(tmp_path / "out", 2, "--data", "data.safetensors")
    assert code != 0
    assert "there are 40 inputs and 39 targets" in out
