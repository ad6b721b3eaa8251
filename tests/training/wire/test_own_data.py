"""Ranks that each have a folder of their own, with their own data and nobody else's."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from safetensors.torch import load_file  # noqa: E402

import splitopt  # noqa: E402
from splitopt.training.data import load_data  # noqa: E402
from splitopt.training.data.partition import partition  # noqa: E402
from splitopt.training.data.shards import save_shards  # noqa: E402
from splitopt.training.history import History  # noqa: E402
from splitopt.training.program import program_of  # noqa: E402
from splitopt.training.wire.roles import roles_of  # noqa: E402

pytestmark = [pytest.mark.train, pytest.mark.slow]  # processes


def _start(folder, rank, size, port, data, more=()):
    command = [
        *(sys.executable, "-m", "splitopt", "train", "plan.json", "--wire", "--any-speed"),
        *("--time-scale", "1e-3", "--rank", str(rank), "--world-size", str(size)),
        *("--master", f"127.0.0.1:{port}", "--partition", "own", "--data", data, "--rounds", "2"),
        *("--samples", "data", *more),
    ]
    environment = {
        **os.environ,
        "SPLITOPT_TOKEN": "8f3a61c09d2e4b7785ac16f0e29d34b7c1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def _free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.mark.parametrize("name", ["digits-splitfed", "digits-clusters", "digits-pipeline"])
def test_ranks_with_their_own_files_learn_what_one_process_learns(plan_of, tmp_path, name):
    """Each rank sees one file, in a folder where there is no other; the bits are the same."""
    plan = plan_of("few-splitfed" if name == "digits-splitfed" else name)
    program = program_of(plan)
    names = [client.name for client in program.clients]
    digits = load_data("digits")
    sizes = [20 + 3 * k for k in range(len(names))]
    save_shards(
        tmp_path / "all", digits, names, partition(digits.train_targets, sizes, "iid", seed=3)
    )
    here = splitopt.train(
        plan, data=str(tmp_path / "all"), partition="own", samples="data", rounds=2
    )
    parties = ("test", *roles_of(program).parties(program))
    port, ranks = _free_port(), []
    for rank, party in enumerate(parties):
        folder = tmp_path / f"rank-{rank}"
        folder.mkdir()
        plan.save(folder / "plan.json")
        own = party if party in names else "test"  # a node needs the shape of samples alone
        Path(tmp_path / "all" / f"{own}.npz").rename(folder / "own.npz") if own in names else (
            folder / "own.npz"
        ).write_bytes((tmp_path / "all" / "test.npz").read_bytes())
        more = [] if rank else ["--save-model", "m.safetensors", "--checkpoint", "kept"]
        ranks.append(_start(folder, rank, len(parties), port, "own.npz", more))
    said = [one.communicate(timeout=300) for one in ranks]
    assert [one.returncode for one in ranks] == [0] * len(ranks), said
    there = load_file(tmp_path / "rank-0" / "m.safetensors")
    for key, value in here.model.state_dict().items():
        assert torch.equal(value, there[key]), key
    rows = History.load(next((tmp_path / "rank-0" / "kept").rglob("*istory*.json"))).rows
    assert [(r.loss, r.test_loss, r.samples) for r in rows] == [
        (r.loss, r.test_loss, r.samples) for r in here.history
    ]


def test_a_shard_that_does_not_fit_is_refused_by_name(plan_of, tmp_path):
    """A rank with a class more than the model tells apart ends with code 2 and its name."""
    plan = plan_of("few-splitfed")
    names = [client.name for client in program_of(plan).clients]
    plan.save(tmp_path / "plan.json")
    digits = load_data("digits")
    save_shards(tmp_path, digits, names, list(torch.arange(160).split(40)))
    x, y = digits.train_inputs[:40].numpy(), digits.train_targets[:40].numpy()
    np.savez(tmp_path / "bad.npz", x=x[:, :, :7], y=y)
    port = _free_port()
    lead = _start(tmp_path, 0, 5, port, ".")
    bad = _start(tmp_path, 3, 5, port, "bad.npz")
    try:
        _, error = bad.communicate(timeout=120)
        assert bad.returncode == 2
        assert "data of slow" in error
        assert "1 x 7 x 8" in error
    finally:
        lead.kill()
        lead.communicate()
