"""Small networks whose forward pass writes; they take 64 values, or an image of 1 x 8 x 8."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Layers(nn.Module):
    """Three linear layers with something behind the first."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(64, 12), nn.Linear(12, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.between(self.a(x.flatten(1))).relu()
        return self.c(self.b(x).relu())

    def between(self, x: Tensor) -> Tensor:
        return x


class Mean(Layers):
    """A running mean, written in place by two operations of which the first sees no data."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(12))

    def between(self, x: Tensor) -> Tensor:
        if not self.training:
            return x - self.mean
        mean = x.mean(0)
        self.mean.mul_(0.9).add_(mean.detach(), alpha=0.1)
        return x - mean


class Replaced(Layers):
    """A running mean that is another tensor after each pass; the old one is used behind."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(12))
        self.register_buffer("passes", torch.zeros((), dtype=torch.long))

    def between(self, x: Tensor) -> Tensor:
        old = self.mean
        if self.training:
            self.mean = 0.9 * old + 0.1 * x.mean(0).detach()
            self.passes += 1
        return x - old


class Observer(Layers):
    """Smallest and largest values, in both modes, without gradients; nothing reads them."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.full((12,), 9.0))
        self.register_buffer("high", torch.full((12,), -9.0))
        self.register_buffer("passes", torch.zeros((), dtype=torch.long))

    def between(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.low.copy_(torch.minimum(self.low, x.min(0).values))
            self.high.copy_(torch.maximum(self.high, x.max(0).values))
            self.passes.add_(1)
        return x


class Codebook(Layers):
    """Centres that follow the data, a parameter that is not trained, written through ``data``."""

    def __init__(self) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(5, 12), requires_grad=False)
        self.register_buffer("counts", torch.zeros(5))

    def between(self, x: Tensor) -> Tensor:
        nearest = (x[:, None] - self.centres).square().sum(2).argmin(1)
        chosen = self.centres[nearest]
        if self.training:
            rows = functional.one_hot(nearest, 5).to(x.dtype)
            self.counts.data.mul_(0.9).add_(rows.sum(0), alpha=0.1)
            mean = (rows.t() @ x.detach()) / (rows.sum(0)[:, None] + 1e-5)
            self.centres.data.lerp_(mean, 0.1)
        return x + (chosen - x).detach()


class Last(Layers):
    """A counter behind the last layer, and a mean over the outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(3))
        self.register_buffer("passes", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        self.passes.add_(1)
        found = super().forward(x)
        if self.training:
            self.seen.add_(found.detach().mean(0))
        return found


class Spectral(nn.Module):
    """Spectral normalisation, whose vectors are written when the weight is asked for."""

    def __init__(self) -> None:
        super().__init__()
        norm = nn.utils.parametrizations.spectral_norm
        self.a, self.b = norm(nn.Linear(64, 12)), norm(nn.Linear(12, 8))
        self.c = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.c(self.b(self.a(x.flatten(1)).relu()).relu())


class NoGradient(Layers):
    """The first layer, and a weighting of the second, without gradients."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = self.a(x.flatten(1)).relu()
        x = self.b(x)
        with torch.no_grad():
            weight = torch.sigmoid(x.abs().mean(1, keepdim=True))
        return self.c(x * weight)


class BothSides(Layers):
    """A mean that is written behind the first layer and read behind the second."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(8))

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x.flatten(1))
        self.mean.lerp_(x.detach().mean(0)[:8], 0.5)
        return self.c(self.b(x.relu()) - self.mean)


class Plain(Mean):
    """The running mean as an attribute that no state dict has."""

    def __init__(self) -> None:
        super().__init__()
        del self.mean
        self.mean = torch.zeros(12)

    def between(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0).detach()
        return x - self.mean


class Hidden(Mean):
    """The running mean as a buffer that is not persistent."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(12), persistent=False)


class Every(Layers):
    """Does something else at every tenth pass, by a counter that is a plain number."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def between(self, x: Tensor) -> Tensor:
        self.steps += 1
        return 2 * x if self.steps % 10 == 0 else x


class Lazy(nn.Module):
    """Learns its sizes from the first batch."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm, self.c = nn.LazyLinear(12), nn.LazyBatchNorm1d(), nn.LazyLinear(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.c(self.norm(self.a(x.flatten(1))).relu())


class Noting(Layers):
    """Leaves notes of all kinds on itself, none of which its results depend on."""

    def __init__(self) -> None:
        super().__init__()
        self.steps, self.last, self.notes, self.table = 0, None, [], {"a": 1}

    def between(self, x: Tensor) -> Tensor:
        self.steps += 1
        self.last = x
        self.notes.append(x)
        self.table["b"] = x
        return x
