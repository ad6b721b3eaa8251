"""Parts of a copy of a model are that copy's, and taking it apart leaves the model as it was."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

from splitopt.profiles.tracing import find_cuts  # noqa: E402

pytestmark = pytest.mark.train


class Staged(nn.Module):
    """One of its stages is a module made for the purpose, none of the model's own."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(4, 5), nn.Linear(5, 2)

    def split_stages(self):
        return [self.one, nn.ReLU(), self.two]

    def forward(self, x):
        return self.two(self.one(x).relu())


class Normed(nn.Module):
    """Reads a buffer of a layer that it also calls."""

    def __init__(self):
        super().__init__()
        self.norm, self.head = nn.BatchNorm1d(4, momentum=0.0), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.norm(x) + self.norm.running_mean)


def test_a_copy_with_a_stage_of_its_own_is_taken_apart():
    """The stage that is no submodule serves all copies; the others are the copy's."""
    model, x = Staged(), torch.randn(3, 4)
    split = find_cuts(model, x, method="stages")
    twin = copy.deepcopy(model)
    parts = split.segments(split.cuts, twin)
    assert parts[2].two is twin.two
    assert torch.equal(parts[2](parts[1](parts[0](x))), model(x))


def test_buffers_stay_in_the_state_of_the_model():
    """A layer that a part calls keeps its running statistics in the state."""
    model = Normed()
    before = list(model.state_dict())
    parts = find_cuts(model, torch.randn(3, 4), method="fx").segments(["add"])
    assert list(model.state_dict()) == before
    assert "norm.running_mean" in parts[0].state_dict()
