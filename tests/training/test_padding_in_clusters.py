"""Batches as long as their longest sample where a server trains on those of several devices."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt import Scenario  # noqa: E402
from splitopt.errors import TrainingError  # noqa: E402
from splitopt.profiles.tracing import trace  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.schemes.joining import joined  # noqa: E402
from tests.training.padding_cases import (  # noqa: E402
    LENGTHS,
    MOST,
    NEXT,
    ROWS,
    SOURCE,
    TEXTS,
    data_of,
    model,
)

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def plan_of(tmp_path_factory):
    """Return the plan of a model in two clusters of two devices, with a cut behind a layer."""
    folder, made = tmp_path_factory.mktemp("plans"), {}

    def plan(name, most=1):
        if name not in made:
            own = model(name)
            found = data_of().train_inputs[:2].arranged(own)
            example = found if isinstance(found, torch.Tensor) else found.arguments
            path = folder / f"{name}.json"
            trace(own, example, name="net", keep_all=True, most_tensors=most).profile.save(path)
            document = Scenario.load("digits-clusters").to_dict() | {"model": {"file": str(path)}}
            device = document["devices"][0] | {"count": 4, "samples": 12, "batch_size": ROWS}
            document["devices"] = [device]
            document["clusters"] = {"size": 2, "cut": "auto"}
            document["training"] = {"epochs": 3, "rounds": 2}
            made[name] = splitopt.plan(Scenario.from_dict(document))
        return made[name]

    return plan


@pytest.mark.slow
@pytest.mark.parametrize("gradient", ["mean", "rescaled"])
@pytest.mark.parametrize("name", ["Reader", "Unmasked", "TwoWays"])
def test_it_is_learned_what_longer_padding_learns(plan_of, name, gradient):
    """Up to rounding, with fewer bytes."""
    plan = plan_of(name, 2 if name == "TwoWays" else 1)
    runs = [
        splitopt.train(
            plan,
            model(name),
            (TEXTS, NEXT),
            task="language",
            options=Options(
                learning_rate=0.3, momentum=0.5, padding=padding, cut_gradient=gradient
            ),
        )
        for padding in ("data", "batch")
    ]
    for key, value in runs[1].model.state_dict().items():
        assert torch.allclose(value, runs[0].model.state_dict()[key], atol=1e-5), key
    for one, other in zip(runs[0].history, runs[1].history, strict=True):
        assert one.loss == pytest.approx(other.loss, abs=1e-5)
        assert one.metrics == pytest.approx(other.metrics, rel=1e-4)
        for device, row in one.clients.items():
            assert other.clients[device].loss == pytest.approx(row.loss, abs=1e-5)
    sent = [run.history.rows[-1].traffic_bytes for run in runs]
    short = sorted(int(n) for n in LENGTHS)[-2]  # all batches but that with the longest text
    batches = 4 * 3  # devices, and mini-batches of each
    assert sent[1]["smashed"] <= sent[0]["smashed"] * (1 + (batches - 1) * short / MOST) / batches
    assert sent[1]["gradient"] < sent[0]["gradient"]
    assert sent[1]["model_up"] == sent[0]["model_up"]


@pytest.mark.slow  # a process for each party
def test_over_connections(plan_of, tmp_path):
    """Bit for bit as in one process, and the bytes are those that it counts."""
    from splitopt.training.wire.launch import run_wire

    (tmp_path / "net.py").write_text(SOURCE)
    given = {"model": f"{tmp_path}/net.py:Reader", "data": (TEXTS, NEXT), "task": "language"}
    given["options"] = Options(padding="batch")
    one = splitopt.train(plan_of("Reader"), rounds=2, **given)
    wired = run_wire(plan_of("Reader"), rounds=2, time_scale=1e-3, any_speed=True, **given)
    assert wired.history == one.history
    for key, value in one.model.state_dict().items():
        assert torch.equal(value, wired.model.state_dict()[key]), key
    sent = one.history.traffic_bytes()
    assert wired.sent_bytes["smashed"] == sent["smashed"]
    assert wired.sent_bytes["gradient"] == sent["gradient"]


def test_shorter_batches_have_nothing_behind_their_last_position():
    results, targets = joined(
        [torch.ones(1, 2, 3), torch.full((2, 1, 3), 2.0)],
        [torch.tensor([[4, 5]]), torch.tensor([[6], [7]])],
    )
    assert results[:, :, 0].tolist() == [[1, 1], [2, 0], [2, 0]]
    assert targets.tolist() == [[4, 5], [6, -100], [7, -100]]
    loss = torch.nn.functional.cross_entropy
    whole = torch.zeros(3, 9, 2), torch.tensor([[4, 5], [6, -100], [7, -100]])
    assert loss(*whole) == loss(torch.zeros(4, 9), torch.tensor([4, 5, 6, 7]))


@pytest.mark.parametrize("labels", [(torch.zeros(1), torch.zeros(2)), (torch.zeros(1, 2),) * 2])
def test_targets_that_cannot_say_so_are_refused(labels):
    with pytest.raises(TrainingError, match="need a label for each position"):
        joined([torch.ones(1, 2, 3), torch.ones(2, 1, 3)], labels)
