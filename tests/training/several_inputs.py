"""Networks of several inputs, and examples of these; imported inside tests only."""

from __future__ import annotations

import torch
from torch import nn


class Two(nn.Module):
    """An image and numbers, with an argument between them that nobody gives."""

    def __init__(self):
        super().__init__()
        self.look, self.count = nn.Conv2d(1, 2, 3, stride=2), nn.Linear(3, 4)
        self.join, self.end = nn.Linear(22, 8), nn.Linear(8, 4)

    def forward(self, image, cache=None, numbers=None, scale=1.0):
        seen = torch.relu(self.look(image)).flatten(1)
        joined = torch.cat([seen, torch.relu(self.count(numbers))], 1)
        return self.end(torch.relu(self.join(joined)))


class Masked(nn.Module):
    """Tokens and a mask of those that are there; order matters by a recurrent layer."""

    def __init__(self):
        super().__init__()
        self.embed, self.mix = nn.Embedding(9, 6), nn.GRU(6, 8, batch_first=True)
        self.drop, self.end = nn.Dropout(0.2), nn.Linear(8, 9)

    def forward(self, tokens, mask):
        value = self.embed(tokens) * mask.unsqueeze(-1)
        value, _ = self.mix(value)
        return self.end(self.drop(torch.tanh(value)))


def batch():
    return {"numbers": torch.ones(2, 3), "image": torch.ones(2, 1, 8, 8)}


def pair():
    return torch.zeros(2, 5, dtype=torch.int64), torch.ones(2, 5, dtype=torch.bool)


def wrong():
    return {"image": torch.ones(2, 1, 8, 8), "number": torch.ones(2, 3)}
