"""Timing on this machine: what is measured, never how long it takes."""

from __future__ import annotations

import pytest

from splitopt import load_profile
from splitopt.cli.entry import run
from splitopt.errors import InputError
from splitopt.models import build
from splitopt.profiles import measure, trace

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.profiles.tracing.running.example import made  # noqa: E402

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def lenet():
    return trace(build("lenet12"), torch.randn(2, 1, 28, 28))


def test_every_layer_is_timed_and_the_module_is_left_alone(lenet):
    """Each layer has a forward and backward time, those with weights an update; nothing moves."""
    before = {name: value.clone() for name, value in lenet.split.module.state_dict().items()}
    threads = torch.get_num_threads()
    found = measure(lenet, "pi", batch=2, repeats=3, warmup=1, threads=1)
    times = found.profile.machines["pi"]
    assert times.measured.all()
    assert (times.forward_s > 0).all()
    assert (times.backward_s > 0).all()
    assert (times.update_s > 0).all()
    assert found.spread.shape == (lenet.profile.layer_count,)
    for words in ("medians of 3 runs after 1", "batches of 2, 1 thread", "quartiles"):
        assert words in found.profile.provenance.notes[-1]
    assert found.profile.provenance.kind == "measured"
    after = lenet.split.module.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert torch.get_num_threads() == threads
    assert all(p.grad is None for p in lenet.split.module.parameters())


def test_times_are_per_sample(lenet, monkeypatch):
    """A clock that counts its calls gives one tick a phase: a batch of 4 is a quarter each."""
    ticks = iter(range(10**6))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(ticks)))
    times = measure(lenet, "pi", batch=4, repeats=2, warmup=0).profile.machines["pi"]
    assert set(times.forward_s) == set(times.backward_s) == set(times.update_s) == {0.25}


def test_times_have_a_batch_and_an_interval(lenet, monkeypatch):
    """Passes of 1 to 20 ticks a phase, in turn: medians of 10.5, and 90 % from 1 to 19 of them."""
    from splitopt.profiles.tracing import measuring

    shape = (lenet.profile.layer_count, len(measuring.PHASES))
    passes = iter(range(1, 21))
    monkeypatch.setattr(measuring, "_run", lambda *_: torch.full(shape, next(passes)).numpy() / 1.0)
    times = measure(lenet, "pi", batch=4, repeats=20, warmup=0).profile.machines["pi"]
    assert times.batch == 4
    assert times.forward_s.tolist() == [10.5 / 4] * shape[0]
    assert times.interval is not None
    assert times.interval.low == pytest.approx(1 / 10.5)
    assert times.interval.high == pytest.approx(19 / 10.5)


def test_a_single_pass_says_nothing_of_others(lenet):
    """There is no interval then."""
    times = measure(lenet, "pi", batch=2, repeats=1, warmup=0).profile.machines["pi"]
    assert times.interval is None


def test_what_cannot_be_timed_is_refused(lenet):
    """Shapes without numbers, and counts below one."""
    with pytest.raises(InputError, match="repeats: is 0"):
        measure(lenet, repeats=0)
    shapes = trace(build("lenet12", device="meta"), made((1, 28, 28), device="meta"))
    with pytest.raises(InputError, match="times are taken on the CPU"):
        measure(shapes)


def test_the_command_line_measures(capsys, tmp_path):
    """`--measure` files the times under the name, prints the error of the FLOP model, writes."""
    saved = tmp_path / "net.json"
    call = ["profile", "lenet12", "--measure", "pi", "--batch", "2", "--repeats", "2"]
    assert run([*call, "--times", str(tmp_path), "-o", str(saved)]) == 0
    out = capsys.readouterr().out
    for words in ("pi ms/sample", "GFLOP/s on this model", "a single layer by", "lenet12__pi.csv"):
        assert words in " ".join(out.split())
    assert list(load_profile(saved).machines) == ["pi"]
    assert len((tmp_path / "lenet12__pi.csv").read_text().splitlines()) == 9
    assert run([*call, "--shapes-only"]) == 2
    assert run(["profile", "lenet12", "--times", str(tmp_path)]) == 2
    assert "needs --measure" in capsys.readouterr().err


def test_a_batch_beyond_all_memory_is_refused_before_it_is_made():
    with pytest.raises(InputError, match=r"input shape: a batch of 2 has 2e\+12 numbers"):
        made((10**6, 10**6))
