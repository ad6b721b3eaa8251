"""The constants of the convergence bound of HASFL and AdaptSFL, measured along one run.

The bound asks for numbers that hold at every weight that the run passes, so that the largest found
on the way is taken: of the smoothness (the largest eigenvalue of the Hessian of the training loss,
by power iteration), of the variance of a sample's gradient, and of the second moments of its parts.
The target of the bound is such that it promises the reference run the rounds that it took: no other
choice makes it agree with any run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from splitopt.training.options import Options

if TYPE_CHECKING:
    from torch import Tensor, nn

_SAMPLES = 512
"""Training samples that the numbers are taken from."""
_POWER = 12
"""Steps of power iteration: the largest eigenvalue is found from below."""
_MOST_LOOKS = 10


@dataclass
class Watch:
    """Looks at the common model now and then, and keeps the largest of what it finds."""

    smoothness: float = 0.0
    variance: float = 0.0
    second_moment: Any = None
    losses: list[float] = field(default_factory=list)
    _looked: int = 0
    _next: int = 0

    def look(self, number: int, prepared: Any) -> None:
        """Measure after a round; the gaps between two looks double."""
        if number < self._next or self._looked >= _MOST_LOOKS:
            return
        self._next, self._looked = max(1, 2 * number), self._looked + 1
        from splitopt.training.data.named import Named

        data, scheme = prepared.data, prepared.scheme
        if isinstance(data.train_inputs, Named):  # several inputs: one tensor stands for all here
            return
        inputs, targets = data.train_inputs[:_SAMPLES], data.train_targets[:_SAMPLES]
        model, loss = scheme.model, scheme.criterion
        value, gradients = _gradients(model, loss, inputs, targets)
        self.losses.append(value)
        self.smoothness = max(self.smoothness, _curvature(model, loss, inputs, targets))
        mean = gradients.mean(dim=0)
        spread = gradients - mean
        self.variance = max(self.variance, float((spread**2).sum(dim=1).mean()))
        squared = (gradients**2).mean(dim=0).cpu().numpy()
        moments = _by_cut(scheme, prepared.program.profile.layer_count, squared)
        self.second_moment = (
            moments if self.second_moment is None else np.maximum(self.second_moment, moments)
        )

    def constants(
        self, devices: int, options: Options, batch_size: int, rounds: float
    ) -> dict[str, Any] | None:
        """Return the constants of the bound, None where nothing was measured.

        The target makes the bound exact for a run with `batch_size` and an interval of 1 that took
        so many `rounds`.
        """
        if self.second_moment is None or not self.losses:
            return None
        rate = options.learning_rate
        distance = max(self.losses)  # a loss is never below 0, which stands for the infimum
        noise = self.smoothness * rate * self.variance / (devices * batch_size)
        return {
            "learning_rate": rate,
            "smoothness": self.smoothness,
            "distance": distance,
            "variance": self.variance,
            "target": 2.0 * distance / (rate * rounds) + noise,
            "second_moment": self.second_moment.tolist(),
        }


def _gradients(
    model: nn.Module, loss: Any, inputs: Tensor, targets: Tensor
) -> tuple[float, Tensor]:
    """Return the loss, and the gradient of every sample, flat, shape (samples, parameters)."""
    import torch
    from torch.func import functional_call, grad, vmap

    weights = {k: v.detach() for k, v in model.named_parameters() if v.requires_grad}
    buffers = {k: v.detach() for k, v in model.named_buffers()}

    def one(own: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        result = functional_call(model, {**own, **buffers}, (x[None],))
        value: Tensor = loss(result, y[None])
        return value

    with torch.no_grad():
        value = float(loss(functional_call(model, {**weights, **buffers}, (inputs,)), targets))
    found = vmap(grad(one), in_dims=(None, 0, 0), randomness="same")(weights, inputs, targets)
    return value, torch.cat([found[name].flatten(1) for name in weights], dim=1)


def _curvature(model: nn.Module, loss: Any, inputs: Tensor, targets: Tensor) -> float:
    """Return the largest eigenvalue of the Hessian by size."""
    import torch

    weights = [value for value in model.parameters() if value.requires_grad]
    value = loss(model(inputs), targets)
    first = torch.autograd.grad(value, weights, create_graph=True)
    generator = torch.Generator().manual_seed(0)
    vector = [
        torch.randn(w.shape, generator=generator, dtype=w.dtype).to(w.device) for w in weights
    ]
    size = 0.0
    for _ in range(_POWER):
        norm = torch.sqrt(sum((v**2).sum() for v in vector))  # type: ignore[arg-type]
        vector = [v / norm for v in vector]
        inner = sum((g * v).sum() for g, v in zip(first, vector, strict=True))
        vector = list(torch.autograd.grad(inner, weights, retain_graph=True))  # type: ignore[arg-type]
        size = float(torch.sqrt(sum((v**2).sum() for v in vector)))  # type: ignore[arg-type]
        if size == 0.0:
            break
    return size


def _by_cut(scheme: Any, layers: int, squared: Any) -> Any:
    """Shape (L,): sums of entries over the parameters in the layers up to each cut."""
    names = [name for name, value in scheme.model.named_parameters() if value.requires_grad]
    own = dict(scheme.model.named_parameters())
    ends = np.cumsum([0, *(own[name].numel() for name in names)])
    total = {
        id(own[name]): float(squared[ends[i] : ends[i + 1]].sum()) for i, name in enumerate(names)
    }
    found = np.zeros(layers)
    for cut in range(1, layers):
        front = scheme.split(scheme.model, (cut,))[0]
        found[cut - 1] = sum(total.get(id(value), 0.0) for value in front.parameters())
    found[-1] = sum(total.values())
    return np.maximum.accumulate(found)
