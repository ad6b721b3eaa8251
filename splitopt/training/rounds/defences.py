"""What rounds say of a noise layer and of NoPeek: noise, accuracy under it, what is left to see."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from splitopt.training.data import DataSet
from splitopt.training.model_parts.copies import tensor_bytes
from splitopt.training.model_parts.dependence import distance_correlation
from splitopt.training.model_parts.modes import evaluating
from splitopt.training.preparing.pixel import Placed, averaged, averaged_behind
from splitopt.training.rounds.halves import Halves
from splitopt.training.schemes import Scheme
from splitopt.training.tasks import Task
from splitopt.training.tasks.known import CLASSIFICATION

SAMPLES = 256
"""Test samples whose distances are compared."""


def noise_of(scheme: Scheme) -> dict[str, float]:
    """Return sensitivity and scale of the noise layer of the common model; empty without one."""
    if not isinstance(scheme.noise, Placed):
        return {}
    if scheme.noise.far.strength is not None:
        return scheme.noise.far.strength()
    layer = scheme.noise.whole(scheme.model)
    return {"sensitivity": layer.sensitivity(), "noise": layer.scale()}


def noisy_scores(scheme: Scheme, data: DataSet, task: Task) -> dict[str, float]:
    """Test the common model by scores that are averaged over noise draws; empty without noise.

    Only classification has such scores: the predicted class is the one of the largest mean.
    """
    noise, inputs = scheme.noise, data.test_inputs
    if not isinstance(noise, Placed) or not noise.settings.draws or task is not CLASSIFICATION:
        return {}
    assert isinstance(inputs, Tensor)
    place = next(scheme.model.parameters()).device
    with evaluating(scheme.model):
        scores = _expected(scheme, noise, inputs.to(place)).cpu()
    targets = data.test_targets.cpu()
    chosen = scores.gather(1, targets[:, None].long()).clamp_min(1e-12)
    return {
        "accuracy": float((scores.argmax(dim=1) == targets).double().mean()),
        "test_loss": float(-chosen.log().mean()),
    }


def noisy_bytes(scheme: Scheme, task: Task, smashed: Tensor) -> int:
    """Return the bytes of what tests under noise send from one server to the other.

    Parameters
    ----------
    smashed
        What the client part makes of the test data without noise.
    """
    noise = scheme.noise
    if not isinstance(noise, Placed) or task is not CLASSIFICATION:
        return 0
    return noise.settings.draws * tensor_bytes(smashed)


def _expected(scheme: Scheme, noise: Placed, inputs: Tensor) -> Tensor:
    """Return the expected scores of all inputs, by the client part here or elsewhere."""
    draws, far = noise.settings.draws, noise.far.smashed
    if far is None:
        return averaged(noise.tested(scheme.model).eval(), inputs, draws)
    return averaged_behind(Halves(scheme).server.eval(), far(), len(inputs), draws)


def correlation(scheme: Scheme, data: DataSet) -> float | None:
    """Return the largest distance correlation over the cuts of clients; None without NoPeek."""
    inputs = data.test_inputs[:SAMPLES]
    if not scheme.options.nopeek or not isinstance(inputs, Tensor):
        return None
    place = next(scheme.model.parameters()).device
    found = []
    with evaluating(scheme.model), torch.no_grad():
        for cuts in sorted({client.cuts for client in scheme.clients if client.cuts}):
            part: nn.Module = scheme.split(scheme.model, cuts)[0].eval()
            own = inputs.to(place)
            found.append(float(distance_correlation(own.flatten(1).double(), part(own).double())))
    return max(found)
