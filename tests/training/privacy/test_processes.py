"""Differential privacy with a process for each party, and who cannot have it."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("opacus", reason="needs the extra 'privacy'")
from safetensors.torch import load_file  # noqa: E402

import splitopt  # noqa: E402
from splitopt import InputError  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.privacy.entropy import Entropy  # noqa: E402
from splitopt.training.privacy_options import Privacy  # noqa: E402
from splitopt.training.wire import roles  # noqa: E402
from splitopt.training.wire.launch import run_wire  # noqa: E402

pytestmark = pytest.mark.train


def options(**given):
    return Options(privacy=Privacy(**{"clip_norm": 1.0, "noise_multiplier": 2.0, **given}))


def test_parties_that_add_no_noise_are_refused(plan_of, monkeypatch):
    """Whoever brings parties of a new scheme has to say that they do."""
    own = roles.ROLES["splitfed_v1"]._replace(is_guarded=False)
    monkeypatch.setitem(roles.ROLES, "splitfed_v1", own)
    with pytest.raises(InputError, match="privacy: is not made by the parties of splitfed_v1"):
        run_wire(plan_of("few-splitfed"), options=options())


@pytest.mark.slow  # processes
@pytest.mark.parametrize("covers", ["client", "model"])
def test_a_pipeline_of_processes_goes_on_from_its_files(plan_of, tmp_path, covers):
    """Rounds are those of one process, and files hold of what was drawn no more than a count."""
    plan, given = plan_of("digits-pipeline"), options(insecure_test_seed=5, covers=covers)
    quick = {"time_scale": 1e-3, "any_speed": True, "options": given, "checkpoint": tmp_path}
    here = splitopt.train(plan, rounds=1, options=given)
    there = run_wire(plan, rounds=1, **quick)
    for key, value in here.model.state_dict().items():
        assert torch.equal(value, there.model.state_dict()[key]), key
    assert there.history == here.history
    (state_file,) = tmp_path.glob("*.safetensors")
    walks = {name for name in load_file(state_file) if ".batches." in name}
    owners = len(here.scheme.clients)
    assert walks == {f"client.{k}.batches.exposures" for k in range(owners)}
    contents = [path.read_bytes() for path in tmp_path.iterdir() if path.is_file()]
    like = torch.zeros(8, 1, 3, 3)  # the weight of the first layer, whose noise is drawn first
    for k in range(owners):
        noise = Entropy(5, k).normal(like, 2.0)
        assert not any(noise.numpy().tobytes() in content for content in contents)
    more = run_wire(plan, rounds=2, resume=True, **quick)
    before, after = (row.epsilon for row in more.history)
    assert before == here.history.rows[0].epsilon
    wanted = splitopt.train(plan, rounds=2, options=options(covers=covers)).history.rows[1]
    assert after == wanted.epsilon
    assert all(after[name] > before[name] > 0 for name in before)


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
