"""Small models with branches."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class UNet(nn.Module):
    """Two levels with skip connections; it writes over one of its values."""

    def __init__(self, width=4):
        super().__init__()
        self.down = nn.Conv2d(3, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.deep = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.up = nn.Conv2d(3 * width, 2, 1)

    def forward(self, x):
        """Go down and up again."""
        level = torch.relu(self.norm(self.down(x)))
        below = torch.relu_(self.deep(functional.max_pool2d(level, 2)))
        return self.up(torch.cat([functional.interpolate(below, scale_factor=2), level], 1))


class Inception(nn.Module):
    """One block of four branches, of which two use the same layer that works in place."""

    def __init__(self, width=3):
        super().__init__()
        self.one = nn.Conv2d(3, width, 1)
        self.three = nn.Sequential(nn.Conv2d(3, width, 1), nn.Conv2d(width, width, 3, padding=1))
        self.five = nn.Conv2d(3, width, 5, padding=2)
        self.pooled = nn.Conv2d(3, width, 1)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(4 * width, 5)

    def forward(self, x):
        """Join the branches and classify."""
        pooled = self.pooled(functional.max_pool2d(x, 3, 1, 1))
        branches = [self.relu(self.one(x)), self.relu(self.three(x)), self.five(x), pooled]
        return self.head(torch.cat(branches, 1).mean((2, 3)))


class Towers(nn.Module):
    """Two towers, for an image and for tokens, that meet."""

    def __init__(self):
        super().__init__()
        self.image = nn.Linear(12, 6)
        self.embed = nn.Embedding(10, 4)
        self.tokens = nn.Linear(4, 6)
        self.out = nn.Linear(6, 3)

    def forward(self, image, tokens):
        """Multiply what both towers say."""
        seen = torch.relu(self.image(image.flatten(1)))
        return self.out(torch.tanh(seen * self.tokens(self.embed(tokens)).mean(1)))


class Shared(nn.Module):
    """A value that four others read, one weight that two layers train, and a size of the input."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.again = nn.Linear(4, 4)
        self.other = nn.Linear(4, 4)

    def forward(self, x):
        """Read the first value four times."""
        value = self.first(x)
        a, b = torch.tanh(self.again(value)), torch.sigmoid(self.other(value))
        c, d = (
            value.view(x.size(0), 2, 2).flatten(1) * 2,
            functional.linear(value, self.again.weight),
        )
        return a + b + c + d


CASES = {
    "towers": (Towers, lambda n: (torch.randn(n, 3, 2, 2), torch.randint(0, 10, (n, 5)))),
    "unet": (UNet, lambda n: torch.randn(n, 3, 8, 8)),
    "inception": (Inception, lambda n: torch.randn(n, 3, 5, 5)),
    "shared": (Shared, lambda n: torch.randn(n, 4)),
}
"""Name -> the class, and what draws a batch of so many samples."""


def made(name):
    """Return a model in float64, and what draws a batch of so many samples for it."""
    kind, draw = CASES[name]
    torch.manual_seed(0)

    def batch(samples):
        found = draw(samples)
        parts = found if isinstance(found, tuple) else (found,)
        parts = tuple(p.double() if p.is_floating_point() else p for p in parts)
        return parts if isinstance(found, tuple) else parts[0]

    return kind().double(), batch
