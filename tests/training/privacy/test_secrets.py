"""Noise and order of batches stay secrets of a device, and epsilon goes on after a break."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("opacus", reason="needs the extra 'privacy'")
from safetensors.torch import load_file  # noqa: E402

import splitopt  # noqa: E402
from splitopt import InputError  # noqa: E402
from splitopt.training.history import History  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.privacy.entropy import Entropy  # noqa: E402
from splitopt.training.privacy_options import Privacy  # noqa: E402

pytestmark = pytest.mark.train


def options(**given):
    return Options(privacy=Privacy(**{"clip_norm": 1.0, "noise_multiplier": 2.0, **given}))


def _samples(row):
    """Count the samples that Poisson sampling drew for each device of a round."""
    return [client.samples for client in row.clients.values()]


@pytest.mark.slow
def test_the_seed_of_a_run_makes_no_noise(plan_of):
    """The same seed twice gives other weights and other batches; a test seed gives the same."""
    plan = plan_of("few-splitfed")
    found = [splitopt.train(plan, rounds=2, seed=3, options=options()) for _ in range(2)]
    drawn = [[_samples(row) for row in result.history.rows] for result in found]
    assert drawn[0] != drawn[1]  # each count is the same by chance in some 5 of 100 runs
    for key, value in found[0].model.state_dict().items():
        assert not torch.equal(value, found[1].model.state_dict()[key])
    again = [
        splitopt.train(plan, rounds=1, options=options(insecure_test_seed=5)) for _ in range(2)
    ]
    assert again[0].history == again[1].history


def test_devices_draw_each_their_own():
    """Neither two devices nor one device twice draw alike, with and without a test seed."""
    like = torch.zeros(50)
    drawn = [Entropy(*given).normal(like, 1.0) for given in ((), (), (4, 0), (4, 1), (5, 0))]
    assert all(not torch.equal(a, b) for n, a in enumerate(drawn) for b in drawn[:n])


@pytest.mark.parametrize("take", [copy.copy, copy.deepcopy, pickle.dumps])
def test_secrets_are_not_copied(take):
    """Nor is anything of them shown."""
    with pytest.raises(TypeError, match="neither copied nor sent"):
        take(Entropy())
    assert repr(Entropy()) == "Entropy(secret)"


@pytest.mark.parametrize("sampling", ["poisson", "shuffled"])
def test_files_hold_neither_noise_nor_orders(plan_of, tmp_path, monkeypatch, sampling):
    """Everything that was drawn is looked for in all files of a run, and so is every generator."""
    drawn = []
    for name in ("normal", "chosen", "order"):
        real = getattr(Entropy, name)

        def spy(self, *given, real=real):
            drawn.append(real(self, *given))
            return drawn[-1]

        monkeypatch.setattr(Entropy, name, spy)
    run = splitopt.train(
        plan_of("few-splitfed"), rounds=2, checkpoint=tmp_path, options=options(sampling=sampling)
    )
    run.history.save(tmp_path / "history.json")
    run.history.save(tmp_path / "history.csv")
    (state_file,) = tmp_path.glob("*.safetensors")
    state = load_file(state_file)
    of_batches = {name for name in state if ".batches." in name}
    assert of_batches == {f"client.{k}.batches.exposures" for k in range(4)}
    contents = [path.read_bytes() for path in tmp_path.iterdir()]
    long = [value for value in drawn if value.numel() > 8]
    assert len(long) > 20
    for value in long:
        for kind in (value.dtype, torch.float64, torch.float32, torch.int32):
            raw = value.to(kind).numpy().tobytes()
            assert not any(raw in content for content in contents)


@pytest.mark.slow
def test_epsilon_goes_on_after_a_break(plan_of, tmp_path):
    """Two and two rounds have spent what four have; the history is read again as it was."""
    plan = plan_of("few-splitfed")
    whole = splitopt.train(plan, rounds=4, options=options()).history
    splitopt.train(plan, rounds=2, options=options(), checkpoint=tmp_path)
    found = splitopt.train(
        plan, rounds=4, options=options(), checkpoint=tmp_path, resume=True
    ).history
    assert [row.epsilon for row in found] == [row.epsilon for row in whole]
    spent = [row.epsilon["fast-1"] for row in found]
    assert spent == sorted(set(spent))
    document = json.loads(json.dumps(found.to_dict()))
    assert History.from_dict(document) == found
    assert "epsilon_fast-1" in found.to_csv()
    assert "insecure_test_seed" in document["origin"]["privacy"]


@pytest.mark.slow
def test_a_target_is_reached_and_not_exceeded(plan_of, tmp_path):
    """Each device has the noise for all rounds, and no further round is made with it."""
    plan = plan_of("few-splitfed")
    given = options(noise_multiplier=None, target_epsilon=3.0)
    run = splitopt.train(plan, rounds=3, options=given, checkpoint=tmp_path)
    last = run.history.rows[-1].epsilon
    assert len(last) == 4
    assert all(2.9 < value <= 3.0 for value in last.values())
    sigmas = run.history.origin["privacy"]["noise_multipliers"]
    assert all(sigma > 0.5 for sigma in sigmas.values())
    with pytest.raises(InputError, match="privacy_rounds is 3 there and 4 here"):
        splitopt.train(plan, rounds=4, options=given, checkpoint=tmp_path, resume=True)


def test_histories_without_privacy_are_as_they_were(plan_of):
    """No field more in rows, and nothing of privacy in what names a run."""
    run = splitopt.train(plan_of("few-splitfed"), rounds=1)
    assert "epsilon" not in run.history.to_dict()["rounds"][0]
    assert "privacy" not in Options().identity()
    assert "epsilon" not in run.history.to_csv()
