"""A network of the user's, and a training in one process."""

from __future__ import annotations

import pytest

import splitopt
from splitopt.plans import Plan
from splitopt.training.options import Options

torch = pytest.importorskip("torch", reason="needs the extra 'train'")


NET = '''
from collections import OrderedDict
import torch
from torch import nn

class Block(nn.Module):
    """A layer of the shipped network, with dropout behind its activation."""

    def __init__(self, layer, dropout=0.0):
        super().__init__()
        self.layer, self.dropout = layer, nn.Dropout(dropout)

    def forward(self, x):
        if isinstance(self.layer, nn.Linear):
            x = torch.flatten(x, 1)
        return self.dropout(torch.relu_(self.layer(x)))

def net():
    """The shipped network, with dropout on both sides of its cuts."""
    return nn.Sequential(OrderedDict(
        conv1=Block(nn.Conv2d(1, 8, 3, padding=1), 0.2),
        pool1=nn.MaxPool2d(2),
        conv2=Block(nn.Conv2d(8, 16, 3, padding=1)),
        pool2=nn.MaxPool2d(2),
        fc1=Block(nn.Linear(64, 64), 0.2),
        fc2=nn.Linear(64, 10),
    ))
'''


OPTIONS = Options(momentum=0.9, optimizer_state="keep")


def model_of(folder):
    return f"{folder / 'net.py'}:net"


def one_process(folder, name, **changes):
    """Train as one process does."""
    plan = Plan.load(folder / f"{name}.json")
    return splitopt.train(plan, model_of(folder), options=OPTIONS, **changes)
