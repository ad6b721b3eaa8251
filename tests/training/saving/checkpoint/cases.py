"""A network whose layers draw, count and normalise, and its training."""

from __future__ import annotations

from collections import OrderedDict

import pytest
from torch import nn

import splitopt
from splitopt.training.options import Options

torch = pytest.importorskip("torch", reason="needs the extra 'train'")


def model():
    """Make a network whose layers draw, count and normalise, with the cuts of the plans."""
    torch.manual_seed(5)
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 8, 3, padding=1),
            norm=nn.BatchNorm2d(8),
            pool1=nn.MaxPool2d(2),
            drop=nn.Dropout(0.3),
            flat=nn.Flatten(),
            fc=nn.Linear(128, 10),
        )
    )


def train(plan, rounds, seed=0, options=None, **more):
    """Train that network."""
    options = options or Options(learning_rate=0.02, momentum=0.9, optimizer_state="keep")
    return splitopt.train(
        plan, model(), match="names", rounds=rounds, seed=seed, options=options, **more
    )


def assert_same(one, two):
    """Compare weights bit by bit, and histories."""
    assert one.history == two.history
    for name, value in two.model.state_dict().items():
        assert torch.equal(one.model.state_dict()[name], value), name
