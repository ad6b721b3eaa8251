"""The state of a scheme between two rounds, as named tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from splitopt.training.model_parts.copies import Copy
from splitopt.training.schemes.client import Client


def state_of(
    model: nn.Module, clients: Sequence[Client], copies: Sequence[Copy]
) -> dict[str, Tensor]:
    """Return everything that the next round depends on: the model, clients and kept copies."""
    found = {f"model.{name}": value for name, value in model.state_dict().items()}
    for index, client in enumerate(clients):
        for kind, state in (
            ("batches", client.batches.state_dict()),
            ("stream", client.stream.state_dict()),
            ("crossing", client.crossing.state_dict()),
        ):
            found |= {f"client.{index}.{kind}.{name}": value for name, value in state.items()}
    for index, own in enumerate(copies):
        found |= {f"copy.{index}.model.{k}": v for k, v in own.model.state_dict().items()}
        found |= {f"copy.{index}.moments.{k}": v for k, v in own.moments().items()}
    return {name: value.detach().clone().contiguous() for name, value in found.items()}


def load_state(
    model: nn.Module,
    clients: Sequence[Client],
    copies: Sequence[Copy],
    state: Mapping[str, Tensor],
) -> None:
    """Go on from a state that `state_of` returned."""
    model.load_state_dict(under(state, "model."))
    for index, client in enumerate(clients):
        client.batches.load_state_dict(under(state, f"client.{index}.batches."))
        client.stream.load_state_dict(under(state, f"client.{index}.stream."))
        client.crossing.load_state_dict(under(state, f"client.{index}.crossing."))
    for index, own in enumerate(copies):
        own.model.load_state_dict(under(state, f"copy.{index}.model."))
        own.load_moments(under(state, f"copy.{index}.moments."))


def under(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the entries whose name begins with a prefix, without it."""
    return {name[len(prefix) :]: v for name, v in state.items() if name.startswith(prefix)}
