"""What a device of the plan computes: smashed data, a step by their gradient, or all by itself.

Nothing is kept between calls: the forward pass of a batch is computed again before its backward
pass, from the same weights.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from plan_task import Data, State, chain_of, copied, optimizer_of, spec
from torch import Tensor, nn


def smashed(client: int, state: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
    """Return what a client sends of a batch."""
    with torch.no_grad():
        sent: Tensor = _part(client, state)(inputs)
    return sent


def stepped(
    client: int, state: Mapping[str, Tensor], inputs: Tensor, gradient: Tensor, lr: float
) -> State:
    """Return a client's part after the step by the gradient of what it has sent."""
    part = _part(client, state)
    sent = part(inputs)
    optimizer = optimizer_of(part, lr)
    if optimizer is not None:
        optimizer.zero_grad()
        if sent.requires_grad:
            sent.backward(gradient)
        optimizer.step()
    return copied(part)


def alone(client: int, state: Mapping[str, Tensor], data: Data, first: int, lr: float) -> State:
    """Return the whole model after a client has trained it through a round by itself.

    Parameters
    ----------
    client
        Its place in the plan.
    state
        The weights that the round begins with.
    data
        Its samples.
    first
        The number of the first batch of the round.
    lr
        The learning rate.
    """
    (model,) = chain_of(spec()["clients"][client]["name"], state)
    model.train()
    optimizer = optimizer_of(model, lr)
    for number in range(first, first + data.steps()):
        inputs, targets = data.batch(number)
        loss = nn.functional.cross_entropy(model(inputs), targets)
        if optimizer is not None:
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return copied(model)


def _part(client: int, state: Mapping[str, Tensor]) -> nn.Module:
    """Return the device part with these weights."""
    part: nn.Module = chain_of(spec()["clients"][client]["name"], state)[0]
    return part.train()
