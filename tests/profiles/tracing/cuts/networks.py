"""Small networks that are hard to cut in one way or another; imported inside tests only."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class UNet(nn.Module):
    """Two levels of skips: between them nothing can be cut."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.down = nn.Conv2d(width, 2 * width, 3, 2, padding=1)
        self.middle = nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.up = nn.ConvTranspose2d(2 * width, width, 2, 2)
        self.merge = nn.Conv2d(2 * width, width, 3, padding=1)
        self.head = nn.Conv2d(width, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.stem(x))
        y = functional.relu(self.down(x))
        y = self.up(functional.relu(self.middle(y)))
        y = functional.relu(self.merge(torch.cat([x, y], 1)))
        return self.head(y)


class InPlace(nn.Module):
    """Operations in place behind the first layer, as method, function, module and operator."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 3)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.one(x))
        x = functional.leaky_relu(self.two(x), 0.1, inplace=True) + 1.0
        x.mul_(2.0)
        return self.three(x).add_(1.0)


class Sizes(nn.Module):
    """Reads sizes from the input and uses them behind the cuts."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 6), nn.Linear(9, 2)

    def forward(self, x: Tensor) -> Tensor:
        batch, rows, columns = x.shape
        y = self.one(x.reshape(batch * rows, columns)).relu()
        y = y.view(batch, -1, 9)
        return self.two(y + torch.arange(y.size(1), device=x.device).view(1, -1, 1))


class Modes(nn.Module):
    """Drops out by its mode, in a branch that a symbolic trace fixes."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.dropout(self.one(x).relu(), 0.5, self.training)
        return self.two(x)


class Guards(Modes):
    """Looks at the shape in Python, which torch.fx cannot follow."""

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


class Branches(Modes):
    """Decides by the data, which no tracer can follow."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(x)
        return self.two(x * 2) if x.sum() > 0 else self.two(x)


class Declared(Branches):
    """Decides by the data inside a stage that it declares."""

    def split_stages(self) -> list[object]:
        return [self.one, _doubled_if_positive, self.two]


def _doubled_if_positive(x: Tensor) -> Tensor:
    return x * 2 if x.sum() > 0 else x


class Tied(nn.Module):
    """The last layer is the transpose of the first; between them stands a free one."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.four = nn.Linear(4, 2)
        self.three.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.four(self.three(self.two(self.one(x)).relu()))


class Optional(nn.Module):
    """Has further arguments with defaults, and returns a mapping."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 3), nn.Linear(3, 2)

    def forward(
        self, x: Tensor, mask: Tensor | None = None, scaled: bool = True
    ) -> dict[str, Tensor]:
        y = self.one(x)
        if mask is not None:
            y = y * mask
        return {"scores": self.two(y / 2 if scaled else y), "hidden": y}
