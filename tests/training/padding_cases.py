"""Texts of unequal length, and small networks that read them."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.training.data.sources import load_data  # noqa: E402
from splitopt.training.tasks import TASKS  # noqa: E402

pytestmark = pytest.mark.train
WORDS, WIDTH, MOST, ROWS = 9, 8, 24, 5
RNG = np.random.default_rng(2)
LENGTHS = np.concatenate([[MOST], RNG.integers(2, 9, 59)])
TEXTS = [RNG.integers(0, WORDS, n) for n in LENGTHS]
NEXT = [(own + 3) % WORDS for own in TEXTS]
SOURCE = '''
import torch
from torch import nn


class Reader(nn.Module):
    """Every token sees all others of its text, so that padding would be seen without the mask."""

    def __init__(self):
        super().__init__()
        self.embed, self.key = nn.Embedding(9, 8), nn.Linear(8, 8)
        self.mix, self.end = nn.Linear(8, 16), nn.Linear(16, 9)

    def forward(self, tokens, attention_mask=None):
        value = self.embed(tokens)
        scores = value @ self.key(value).transpose(1, 2)
        scores = scores.masked_fill(~attention_mask[:, None, :], float("-inf"))
        return self.end(torch.tanh(self.mix(scores.softmax(-1) @ value)))


class Unmasked(nn.Module):
    """Each token by itself."""

    def __init__(self):
        super().__init__()
        self.embed, self.mix, self.end = nn.Embedding(9, 8), nn.Linear(8, 16), nn.Linear(16, 9)

    def forward(self, tokens):
        return self.end(torch.tanh(self.mix(self.embed(tokens))))


class Placed(Unmasked):
    """Knows the place of each token among 24."""

    def __init__(self):
        super().__init__()
        self.place = nn.Parameter(torch.zeros(24, 8))

    def forward(self, tokens):
        return self.end(torch.tanh(self.mix(self.embed(tokens) + self.place)))


class Labelled(Reader):
    """One label for a text."""

    def __init__(self):
        super().__init__()
        self.end = nn.Linear(16, 3)

    def forward(self, tokens, mask):
        there = mask.unsqueeze(-1)
        value = self.embed(tokens) * there
        value = value.sum(1) / there.sum(1)
        return self.end(torch.tanh(self.mix(self.key(value))))


class TwoWays(nn.Module):
    """The mask is needed behind every cut, beside the values."""

    def __init__(self):
        super().__init__()
        self.embed, self.mix, self.end = nn.Embedding(9, 8), nn.Linear(8, 8), nn.Linear(8, 9)

    def forward(self, tokens, mask):
        value = torch.tanh(self.mix(self.embed(tokens))) * mask.unsqueeze(-1)
        return self.end(value) * mask.unsqueeze(-1)


class FlatWays(TwoWays):
    """The tokens of all samples stand in one row, beside a mask that says whose they are."""

    def forward(self, tokens, mask):
        value = torch.tanh(self.mix(self.embed(tokens).flatten(0, 1)))
        value = value * mask.flatten().unsqueeze(-1)
        return self.end(value).unflatten(0, mask.shape) * mask.unsqueeze(-1)


class Flat(Unmasked):
    """The tokens of all samples of 24 stand in one row."""

    def forward(self, tokens):
        value = torch.tanh(self.mix(self.embed(tokens).flatten(0, 1)))
        return self.end(value).unflatten(0, (-1, 24))
'''


def model(name):
    space = {}
    exec(compile(SOURCE, "net.py", "exec"), space)
    torch.manual_seed(0)
    return space[name]()


def data_of(y=NEXT, task="language"):
    return load_data((TEXTS, y), targets=TASKS[task].targets, collate=TASKS[task].collate)
