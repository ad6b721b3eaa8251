"""A pipeline of real processes: what it learns, and what it does when some of them die."""

from __future__ import annotations

import shutil
import signal

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt.scenario import Scenario  # noqa: E402
from splitopt.training.program import program_of  # noqa: E402
from splitopt.training.saving import checkpoint  # noqa: E402
from splitopt.training.schemes import TrainingError  # noqa: E402
from splitopt.training.wire import launch  # noqa: E402

pytestmark = pytest.mark.train

NETWORK = '''
from collections import OrderedDict
from torch import nn

class Block(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)

def with_dropout():
    """The shipped network `cnn`, with layers that draw random numbers on every party."""
    return nn.Sequential(OrderedDict(
        conv1=Block(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Dropout(0.1)),
        pool1=nn.MaxPool2d(2),
        conv2=Block(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Dropout(0.2)),
        pool2=nn.MaxPool2d(2),
        fc1=Block(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.3)),
        fc2=Block(nn.Dropout(0.4), nn.Linear(64, 10)),
    ))
'''


def two_owners():
    document = Scenario.load("digits-pipeline").to_dict()
    document["devices"][0] |= {"count": 2, "samples": 64}
    return splitopt.plan(Scenario.from_dict(document))


@pytest.mark.slow
def test_learns_bit_by_bit_the_same_and_goes_on_without_an_owner(tmp_path, monkeypatch):
    """Round 1 is that of one process; an owner stalls in round 2; a node dies in round 3."""
    (tmp_path / "network.py").write_text(NETWORK)
    plan, model = two_owners(), f"{tmp_path / 'network.py'}:with_dropout"
    ranks, rows = {}, []

    class Watched(launch.Processes):
        def __init__(self, job, names, *rest):
            super().__init__(job, names, *rest)
            ranks.update(zip(names, self.started, strict=True))

    monkeypatch.setattr(launch, "Processes", Watched)

    def after(row, _):
        rows.append(row)
        shutil.copytree(tmp_path / "kept", tmp_path / f"round {row.round}")
        names = list(ranks)
        if row.round == 1:
            ranks[names[0]].send_signal(signal.SIGSTOP)
        else:
            ranks[names[-1]].kill()

    with pytest.raises(TrainingError, match=r"^round 3: the compute node small failed") as caught:
        launch.run_wire(
            plan,
            model,
            rounds=4,
            time_scale=0.02,
            any_speed=True,
            deadline="1 s",
            checkpoint=tmp_path / "kept",
            callback=after,
        )
    assert "\n" not in str(caught.value)
    assert all(process.poll() is not None for process in ranks.values())

    alone = splitopt.train(plan, model, rounds=1, checkpoint=tmp_path / "alone")
    one = checkpoint.load(tmp_path / "round 1")
    expected = alone.scheme.state_dict()
    assert one.state.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(one.state[name], value), name
    assert rows[0].loss == alone.history.rows[0].loss

    program = program_of(plan)
    at = [program.profile.layers.index(name) for name in program.clients[0].cuts]
    planned = {
        "smashed": 128 * program.profile.smashed_bytes[at].sum(),
        "gradient": 128 * program.profile.gradient_bytes[at].sum(),
    }
    assert rows[0].traffic_bytes.items() >= planned.items()  # as they were counted on the wire

    owners = list(ranks)[:2]
    assert rows[0].dropped == ()
    assert rows[1].dropped == (owners[0],)
    assert (rows[0].samples, rows[1].samples) == (128, 64)
    resumed = splitopt.train(plan, model, rounds=3, checkpoint=tmp_path / "kept", resume=True)
    assert [row.round for row in resumed.history.rows] == [1, 2, 3]
    assert resumed.history.rows[1].dropped == (owners[0],)
