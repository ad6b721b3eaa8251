"""Differential privacy with a process for each device, and what of it is refused there."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("opacus", reason="needs the extra 'privacy'")

import splitopt  # noqa: E402
from splitopt import InputError  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.privacy_options import Privacy  # noqa: E402
from splitopt.training.wire.launch import run_wire  # noqa: E402

pytestmark = pytest.mark.train


def options(**given):
    return Options(privacy=Privacy(**{"clip_norm": 1.0, "noise_multiplier": 2.0, **given}))


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("few-splitfed", {"covers": "model"}, "covers: is 'model', but on the wire no party"),
        ("digits-pipeline", {}, "privacy: on the wire is for plans with a server and devices"),
    ],
)
def test_what_no_device_can_do_alone_is_refused(plan_of, name, given, message):
    """A norm over two parties' parts, and owners of a pipeline."""
    with pytest.raises(InputError, match=message):
        run_wire(plan_of(name), options=options(**given))


@pytest.mark.slow  # processes
def test_processes_learn_what_one_process_learns(plan_of):
    """With a test seed, bit by bit; without one every run has noise of its own."""
    plan, given = plan_of("few-splitfed"), options(insecure_test_seed=5)
    here = splitopt.train(plan, rounds=2, options=given)
    there = run_wire(plan, rounds=2, options=given, time_scale=1e-3, any_speed=True)
    for key, value in here.model.state_dict().items():
        assert torch.equal(value, there.model.state_dict()[key]), key
    assert [row.epsilon for row in there.history] == [row.epsilon for row in here.history]
    other = run_wire(plan, rounds=1, seed=0, options=options(), time_scale=1e-3, any_speed=True)
    assert any(
        not torch.equal(value, other.model.state_dict()[key])
        for key, value in here.model.state_dict().items()
    )
    assert other.history.rows[0].epsilon == here.history.rows[0].epsilon
