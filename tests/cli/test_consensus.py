"""``splitopt consensus``: the answer of the solver from real processes, and what is refused."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("cryptography", reason="needs the extra 'tls'")

from splitopt import CutAndResources, Scenario, solve  # noqa: E402
from splitopt.cli.entry import run  # noqa: E402
from splitopt.consensus import launch  # noqa: E402
from splitopt.consensus.coordinator import PartyGoneError  # noqa: E402
from splitopt.solvers.cut_and_resources.price_consensus import PriceConsensus  # noqa: E402

pytestmark = pytest.mark.train


@pytest.fixture
def scenario(tmp_path):
    """Write a scenario of three devices."""
    path = tmp_path / "three.yaml"
    Scenario.generate(seed=3, devices=3).save(path)
    return path


@pytest.mark.slow
def test_processes_find_what_one_process_finds(scenario, tmp_path, capsys):
    """Cuts, shares and the objective that the problem gives them; counts as in one process."""
    assert run(["consensus", str(scenario), "-o", str(tmp_path / "found.json")]) == 0
    assert "The coordinator saw: answer: masked" in capsys.readouterr().out
    found = json.loads((tmp_path / "found.json").read_text())
    problem = CutAndResources.from_scenario(Scenario.load(scenario))
    alone = solve(problem, PriceConsensus(branching=False))
    assert found["decision"] == alone.decision.to_dict()
    assert found["objective"] == pytest.approx(alone.objective, rel=1e-12)
    assert found["details"]["messages"] == alone.details["messages"]


@pytest.mark.slow
def test_a_killed_process_ends_the_run(scenario, monkeypatch):
    """By SIGKILL after the keys are exchanged."""
    started = []

    class Known(launch.Processes):
        def __init__(self, *given, **named):
            super().__init__(*given, **named)
            started.append(self)

    exchange = launch.WireChannel.exchange_keys

    def exchanged(self):
        exchange(self)
        started[0].started[1].kill()
        started[0].started[1].wait()

    monkeypatch.setattr(launch, "Processes", Known)
    monkeypatch.setattr(launch.WireChannel, "exchange_keys", exchanged)
    with pytest.raises(PartyGoneError, match="device-2 is lost"):
        launch.run_parties(Scenario.load(scenario), PriceConsensus())
    assert all(process.poll() is not None for process in started[0].started)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "SCENARIO.yaml: is missing"),
        (("{two}",), "devices: are 2, and a secure sum needs at least 3"),
        (("{three}", "--neighbours", "1"), "neighbours: is 1"),
        (("{three}", "--token-file", "x"), "--token-file: is for processes started one by one"),
        (
            ("{three}", "--rank", "0", "--world-size", "5", "--master", "localhost:1"),
            "SCENARIO.yaml: is not for rank 0",
        ),
        (("--rank", "0", "--world-size", "5"), "MASTER_PORT: is not set"),
        (
            ("--rank", "0", "--world-size", "4", "--master", "localhost:1"),
            "devices: are 2, and a secure sum",
        ),
    ],
)
def test_what_it_refuses(scenario, tmp_path, capsys, monkeypatch, arguments, words):
    """Exit code 2 and one sentence, before any process is started."""
    two = tmp_path / "two.yaml"
    Scenario.generate(seed=3, devices=2).save(two)
    monkeypatch.setenv("SPLITOPT_TOKEN", "0f" * 8 + "7b2c91d4e6a35807")
    given = [text.format(two=two, three=scenario) for text in arguments]
    assert run(["consensus", *given]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert words in error


def test_training_says_what_secure_aggregation_needs(tmp_path, capsys):
    """Without --wire, and with a threshold that is none."""
    path = tmp_path / "plan.json"
    assert run(["plan", "digits-splitfed", "--scheme", "splitfed_v1", "-o", str(path)]) == 0
    capsys.readouterr()
    for flags, words in (
        (("--secure-aggregation",), "secure_aggregation: is for training over connections"),
        (("--threshold", "3"), "threshold: is for secure_aggregation"),
        (("--wire", "--secure-aggregation", "--threshold", "1"), "threshold: is 1"),
    ):
        assert run(["train", str(path), *flags]) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
