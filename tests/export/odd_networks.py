"""Networks of a user's own, each with something that is not plain to write as code."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional


def doubled_if_positive(x: Tensor) -> Tensor:
    return x * 2 if x.sum() > 0 else x


class Modes(nn.Module):
    """Drops out by its mode, and begins a part in place."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.dropout(self.one(x), 0.5, self.training)
        return self.two(torch.relu_(x))


class Made(nn.Module):
    """Makes a constant on the way, asks the input for sizes, has a parameter and a buffer bare."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(6, 6), nn.Linear(6, 3)
        self.scale = nn.Parameter(torch.full((6,), 1.5))
        self.register_buffer("shift", torch.arange(6.0))
        self.register_buffer("hidden", torch.ones(6), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, columns = x.shape
        y = self.one(x) * self.scale + self.shift.to(x.device)
        y = y * torch.tensor([0.1, float("inf"), 1.0, 2.0, 3.0, 4.0]).clamp(max=9.0)
        return self.two(y.reshape(batch, columns) + self.hidden)


class Declared(nn.Module):
    """Decides by the data; its stages are layers, functions and modules made for the purpose."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 6), nn.ReLU())
        self.head = nn.Linear(6, 3)

    def split_stages(self) -> list[object]:
        return [
            self.body[0],
            nn.LeakyReLU(negative_slope=0.2),
            doubled_if_positive,
            functools.partial(torch.flatten, start_dim=1),
            torch.tanh,
            self.head,
        ]

    def forward(self, x: Tensor) -> Tensor:
        x = functional.leaky_relu(self.body[0](x), 0.2)
        x = doubled_if_positive(x)
        return self.head(torch.tanh(x.flatten(1)))


def nested() -> nn.Sequential:
    return nn.Sequential(
        nn.Sequential(nn.Linear(6, 6), nn.ReLU(inplace=True)),
        nn.ReLU(inplace=True),
        nn.Dropout(0.3),
        nn.Linear(6, 3),
    )


class Lambda(Declared):
    """A stage without a name."""

    def split_stages(self) -> list[object]:
        return [self.body[0], lambda x: functional.leaky_relu(x, 0.2), doubled_if_positive,
                torch.tanh, self.head]  # fmt: skip


class OwnLayer(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(x, 0.2)


class Brought(Declared):
    """A stage that is a module of the user's own, but none of the model's."""

    def split_stages(self) -> list[object]:
        return [self.body[0], OwnLayer(), doubled_if_positive, torch.tanh, self.head]


class Large(nn.Module):
    """Makes more numbers on the way than anybody would read."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(6, 2000), nn.Linear(2000, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.one(x) + torch.tensor([0.5] * 2000))


class Guards(Modes):
    """Looks at the shape in Python: its cuts are found by torch.export alone."""

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] != 6:
            raise ValueError("six values")
        return super().forward(x)


class Unsettled(Guards):
    """Decides by the data in evaluation, so that only its graph of training can be exported."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training and x.sum() > 1e9:
            raise ValueError("too large")
        return super().forward(x)
