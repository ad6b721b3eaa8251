"""``splitopt train --wire``: its flags, and what it says of wrong ones."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt import Scenario  # noqa: E402
from splitopt.cli.entry import run  # noqa: E402

pytestmark = pytest.mark.train


@pytest.fixture(autouse=True)
def strict_floats():
    """PyTorch does its own arithmetic."""
    with np.errstate(all="warn"):
        yield


@pytest.fixture(autouse=True)
def no_ranks(monkeypatch):
    """Nothing outside says which rank this is."""
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "SPLITOPT_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def plan_file(tmp_path_factory):
    """Return the file of a plan with a server and four devices."""
    path = tmp_path_factory.mktemp("plan") / "plan.json"
    splitopt.plan(Scenario.load("digits-splitfed")).save(path)
    return path


RANK = ("--rank", 1, "--world-size", 5, "--master", "127.0.0.1:1")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--time-scale", 1), "--time-scale: needs --wire"),
        (("--rank", 0), "--rank: needs --wire"),
        (("--any-speed",), "--any-speed: needs --wire"),
        (("--timeline", "t.json"), "--timeline: needs --wire"),
        (("--wire", "--scheme", "federated"), "--scheme: is for training in one process"),
        (("--wire", "--device", "cuda"), "--device: is for training in one process"),
        (("--listen-port", 1), "--listen-port: needs --wire"),
        (("--wire", "--listen-port", 1), "--listen-port: is for processes started one by one"),
        (("--wire", "--fed-server"), "fed_server: needs one cut that all clients share"),
        (
            ("--fed-server", "--scheme", "federated"),
            "fed_server: is for splitfed_v1 and splitfed_v2",
        ),
        (("--fed-server", "--as-published"), "as_published: does not go together with fed_server"),
        (("--wire", "--batched"), "--batched: is for training in one process"),
        (("--wire", "--deadline", "3"), "deadline: "),
        (("--wire", "--join-within", 0), "--join-within: is 0, it must be above 0"),
        (("--wire", "--time-scale", 0), "time_scale: is 0.0, it must be above 0"),
        (("--wire", "--listen", "0.0.0.0"), "--listen: is for processes started one by one"),
        (("--wire", "--world-size", 5), "rank: is missing"),
        (("--wire", "--rank", 0), "WORLD_SIZE: is not set"),
        (("--wire", "--rank", 0, "--world-size", 5), "MASTER_PORT: is not set"),
        (("--wire", "--rank", 0, "--world-size", 5, "--master", "x"), "master: is"),
        (("--tls-cert", "a.pem"), "--tls-cert: needs --wire"),
        (("--no-tls",), "--no-tls: needs --wire"),
        (("--wire", "--no-tls"), "--no-tls: is for processes started one by one"),
        (("--wire", "--tls-key", "a.key"), "--tls-key: is for processes started one by one"),
        (("--wire", *RANK), "token: is missing"),
        (("--wire", *RANK, "--token-file", "none"), "there is no such file"),
    ],
)
def test_wrong_flags(capsys, plan_file, flags, words):
    """One sentence that names the flag, and exit code 2."""
    code = run(["train", str(plan_file), *map(str, flags)])
    said = capsys.readouterr().err
    assert code == 2, said
    assert words in said
    assert said.count("\n") == 1


GOOD = "2c1f0a9e8d7b6543e1f2a3b4c5d6e7f8"
FAR = ("--rank", 1, "--world-size", 5, "--master", "192.0.2.1:1")
ZERO = ("--rank", 0, "--world-size", 5, "--master", "127.0.0.1:1")


@pytest.mark.parametrize(
    ("secret", "flags", "words"),
    [
        ("aaaaaaaaaaaaaaaa", RANK, "token: is easy to guess"),
        ("short", RANK, "token: has 5 characters, it must have 16 or more; draw one with"),
        (GOOD, (*RANK, "--tls-cert", "a"), "--tls-key: is missing; --tls-cert, --tls-key and"),
        (GOOD, (*RANK, "--tls-cert", "a", "--tls-key", "b"), "--tls-ca: is missing"),
        (GOOD, (*RANK, "--tls-ca", "a", "--tls-key", "b"), "--tls-cert: is missing"),
        (GOOD, (*RANK, "--tls-ca", "a", "--no-tls"), "--no-tls: does not go together with"),
        (
            GOOD,
            (*RANK, "--tls-cert", "no.pem", "--tls-key", "b", "--tls-ca", "no.ca"),
            "--tls-ca: no.ca: there is no such file",
        ),
        (
            GOOD,
            (*ZERO, "--listen", "0.0.0.0"),
            "listen: 0.0.0.0 can be reached from other machines",
        ),
        (GOOD, FAR, "master: rank 0 may be elsewhere, at 192.0.2.1; give --tls-cert"),
    ],
)
def test_tokens_and_certificates(capsys, monkeypatch, plan_file, secret, flags, words):
    """Refused before anybody connects, in one sentence."""
    monkeypatch.setenv("SPLITOPT_TOKEN", secret)
    code = run(["train", str(plan_file), "--wire", *map(str, flags)])
    said = capsys.readouterr().err
    assert code == 2, said
    assert words in said
    assert said.count("\n") == 1
    assert secret not in said


def test_a_host_that_is_too_slow_is_refused_with_the_factor(capsys, plan_file):
    """Before any process is started."""
    code = run(["train", str(plan_file), "--wire", "--time-scale", "0.00001"])
    said = capsys.readouterr().err
    assert code == 1
    assert "this host is too slow for the plan at time scale 1e-05, by a factor of" in said


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"RANK": "one"}, "RANK: is 'one', it must be a whole number"),
        ({"RANK": "0"}, "WORLD_SIZE: is not set"),
        ({"RANK": "0", "WORLD_SIZE": "4", "MASTER_PORT": "1"}, "MASTER_ADDR: is not set"),
        (
            {"RANK": "0", "WORLD_SIZE": "4", "MASTER_PORT": "1", "MASTER_ADDR": "127.0.0.1"},
            "world_size: is 4, this plan needs 5 processes",
        ),
    ],
)
def test_the_environment_says_which_rank_this_is(capsys, monkeypatch, plan_file, variables, words):
    """As torchrun sets it."""
    monkeypatch.setenv("SPLITOPT_TOKEN", GOOD)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert run(["train", str(plan_file), "--wire"]) == 2
    assert words in capsys.readouterr().err
