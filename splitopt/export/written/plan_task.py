"""What clients and server share: the model, its parts, data and averages.

It needs PyTorch, numpy and the files beside it: ``parts.py`` has the parts, ``rounds.json`` says
who cuts where, with which batches.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))
parts = importlib.import_module("parts")  # parts.py, which stands beside this file
torch.set_num_threads(1)
State = dict[str, Tensor]


@lru_cache(maxsize=1)
def spec() -> dict[str, Any]:
    """Read ``rounds.json``."""
    found: dict[str, Any] = json.loads((HERE / "rounds.json").read_text(encoding="utf-8"))
    return found


def check_rounds(rounds: int) -> None:
    """Raise ValueError for rounds that the plan has no order of service for."""
    known = len(spec()["orders"])
    if spec()["scheme"] == "splitfed_v2" and rounds > known:
        raise ValueError(f"rounds.json has the orders of {known} rounds; train {known} at most")


def new_model() -> nn.Module:
    """Build the model; its weights are the same in every process."""
    place, _, name = spec()["model"].rpartition(":")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec()["weights_seed"])
        model: nn.Module = getattr(importlib.import_module(place), name)()
    return model


def first_state(weights: str) -> State:
    """Return the weights that training begins with: those of a file, or drawn ones."""
    model = new_model()
    state = model.state_dict()
    if weights:
        for name, value in parts.read_weights(Path(weights), list(state)).items():
            state[name].copy_(value)
    return copied(model)


def chain_of(client: str, state: Mapping[str, Tensor]) -> list[nn.Module]:
    """Return a client's parts, with tensors of their own that have the values of a state."""
    model = new_model()
    load(model, state)
    return [part for _, part in parts.load_chain(model, client)]


def begun(client: str, state: Mapping[str, Tensor]) -> State:
    """Return the weights of the part that a client itself holds, as a round begins with them."""
    return copied(chain_of(client, state)[0])


def optimizer_of(part: nn.Module, lr: float) -> torch.optim.Optimizer | None:
    """Return plain SGD over what is trained of a part, None where nothing is."""
    trained = [value for value in part.parameters() if value.requires_grad]
    return torch.optim.SGD(trained, lr=lr) if trained else None


def copied(module: nn.Module) -> State:
    """Return a copy of the parameters and buffers of a module."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def load(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Write those values of a state into a module that it has."""
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if name in state:
                value.copy_(state[name])


def average(states: Sequence[Mapping[str, Tensor]], weights: Sequence[float]) -> State:
    """Return the weighted average; whole numbers are those of the state of most weight."""
    total, heaviest = sum(weights), weights.index(max(weights))
    found: State = {}
    for name, first in states[0].items():
        if not first.is_floating_point():
            found[name] = states[heaviest][name].clone()
            continue
        mean = torch.zeros_like(first)
        for state, weight in zip(states, weights, strict=True):
            mean += (weight / total) * state[name]
        found[name] = mean
    return found


def steps_of(client: Mapping[str, Any]) -> int:
    """Return how many batches a client trains on in a round."""
    samples = int(client["samples"])
    size = min(client["batch_size"] or samples, samples)
    return int(spec()["local_steps"] or spec()["local_epochs"] * -(-samples // size))


class Data:
    """A client's samples, in the batches of the plan.

    Parameters
    ----------
    client
        As ``rounds.json`` has it.
    folder
        With a file ``NAME.npz`` for each client: ``x`` and ``y``, or ``x_train`` and ``y_train``.
    """

    def __init__(self, client: Mapping[str, Any], folder: str) -> None:
        path = Path(folder) / f"{client['name']}.npz"
        if not folder or not path.is_file():
            raise FileNotFoundError(
                f"{path}: is missing; name as data the absolute path of a folder with NAME.npz for "
                "each client"
            )
        with np.load(path, allow_pickle=False) as read:
            names = ("x_train", "y_train") if "x_train" in read else ("x", "y")
            x, y = (torch.from_numpy(np.array(read[name])) for name in names)
        self.inputs = x.float() / 255 if x.dtype == torch.uint8 else x
        if self.inputs.dtype == torch.float64:
            self.inputs = self.inputs.float()
        self.targets = y.long()
        if len(self.inputs) != client["samples"]:
            raise ValueError(
                f"{path}: has {len(self.inputs)} samples, and the plan is for {client['samples']}"
            )
        self.size = min(client["batch_size"] or len(self.inputs), len(self.inputs))
        self.seed = client["batches_seed"]
        self.per_epoch = -(-len(self.inputs) // self.size)

    def steps(self) -> int:
        """Return how many batches the client trains on in a round."""
        stated = spec()["local_steps"]
        return int(stated or spec()["local_epochs"] * self.per_epoch)

    def batch(self, number: int) -> tuple[Tensor, Tensor]:
        """Return a batch by its number from the beginning of the training, 0, 1, ..."""
        epoch, place = divmod(number, self.per_epoch)
        rows = _order(self.seed, len(self.inputs), epoch)
        rows = rows[place * self.size : (place + 1) * self.size]
        return self.inputs[rows], self.targets[rows]


@lru_cache(maxsize=64)
def data_of(index: int, folder: str) -> Data:
    """Return the data of a client, read once in a process."""
    return Data(spec()["clients"][index], folder)


@lru_cache(maxsize=64)
def _order(seed: int, samples: int, epoch: int) -> Tensor:
    """Return the order of the samples in a local epoch; orders are drawn one after the other."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epoch):
        torch.randperm(samples, generator=generator)
    return torch.randperm(samples, generator=generator)
