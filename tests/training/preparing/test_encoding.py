"""Rounds with codecs take the time of what travels: fp16 half of every transfer over a cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.training.job import TrainingJob  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.preparing.prepare import prepare  # noqa: E402
from splitopt.training.rounds.clock import VirtualClock  # noqa: E402

pytestmark = pytest.mark.train

UP, DOWN = ("upload", "activations"), ("gradient download", "gradients")


def prepared(plan, scheme=None, **codecs):
    return prepare(TrainingJob(plan, scheme=scheme, options=Options(**codecs)))


def spent(timeline):
    """Return (resource, phase, owner) -> seconds of all tasks."""
    found = {}
    for task in timeline:
        key = (task.resource, task.phase, task.owner)
        found[key] = found.get(key, 0.0) + task.end_s - task.start_s
    return found


@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("codec", "gradients", "part"), [("fp16", "none", (0.5, 1.0)), ("none", "bf16", (1.0, 0.5))]
)
@pytest.mark.parametrize(
    "name", ["digits-clusters", "digits-splitfed", "digits-pipeline", "digits-varying"]
)
def test_half_of_the_bytes_take_half_of_the_time(plan_of, name, codec, gradients, part):
    """Over each link; what is computed, and the model's ways, take what they took."""
    plan = plan_of(name)
    usual, found = prepared(plan), prepared(plan, codec=codec, gradient_codec=gradients)
    before = spent(usual.program.replay.timeline)
    after = spent(found.program.replay.timeline)
    assert before.keys() == after.keys()
    touched = set()
    for key, seconds in after.items():
        factor = part[0] if key[1] in UP else part[1] if key[1] in DOWN else 1.0
        assert seconds == pytest.approx(factor * before[key], rel=1e-9), key
        touched |= {key[1]} & {*UP, *DOWN}
    assert len(touched) == 2
    assert usual.program.plan_digest == found.program.plan_digest
    clock = VirtualClock(found.program)
    assert clock.round(0).seconds == pytest.approx(sum(clock.round(0).phases.values()))
    assert clock.round(0).seconds <= VirtualClock(usual.program).round(0).seconds


def test_the_bytes_of_the_profile_are_those_of_a_whole_batch(plan_of):
    """At the cut alone: 16 samples of 8 x 4 x 4 values, of a byte each and 5 B of a message."""
    program = prepared(plan_of("digits-clusters"), codec="int8").program
    raw = program.opened.profile
    at = raw.layers.index("pool1")
    assert raw.smashed_bytes[at] == 4 * 128
    assert program.profile.smashed_bytes[at] == pytest.approx((16 * 128 + 5) / 16)
    others = np.arange(raw.layer_count) != at
    assert np.array_equal(program.profile.smashed_bytes[others], raw.smashed_bytes[others])
    assert np.array_equal(program.profile.device_model_bytes, raw.device_model_bytes)


def test_another_scheme_takes_the_time_of_what_travels_too(plan_of):
    """The comparison's round at the plan's cut; and SplitNN's closed form, of a pipeline."""
    sending = {"vanilla": ("download", "upload"), "split_nn": ("activations", "gradients")}
    for name, scheme in (("digits-clusters", "vanilla"), ("digits-pipeline", "split_nn")):
        before, after = (
            VirtualClock(prepared(plan_of(name), scheme, codec=codec).program).round(0).phases
            for codec in ("none", "fp16")
        )
        for phase, seconds in before.items():
            if phase not in sending[scheme]:
                assert after[phase] == pytest.approx(seconds), phase
            elif scheme == "split_nn":
                assert after[phase] == pytest.approx(seconds / 2), phase
            else:  # the model is in it, which has 1,920 B of 493,440 B a round and stays
                assert after[phase] == pytest.approx(seconds * (1920 + 491520 / 2) / 493440), phase


def test_without_codecs_the_program_is_the_plans(plan_of):
    found = prepared(plan_of("digits-clusters"))
    assert found.program.profile is found.program.opened.profile
    assert replace(found.program).replay is found.program.replay
