"""The server of the plan in one round: its parts, in which order they learn, and the average.

SplitFedV1 has a copy of the server's part for every client; SplitFedV2 one for all, which learns in
the order of the plan. How smashed data and gradients travel is left to who calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from plan_task import State, average, chain_of, copied, optimizer_of, spec
from torch import Tensor, nn


class Serving:
    """The server's parts during one round.

    Parameters
    ----------
    state
        The weights of the whole model that the round begins with.
    number
        Which round it is: 0, 1, ...
    lr
        The learning rate of the server.
    """

    def __init__(self, state: Mapping[str, Tensor], number: int, lr: float) -> None:
        # What no part uses, if anything, stays as it is.
        self.state, self.number, self.lr = dict(state), number, lr
        self.losses: list[float] = []
        self.servers: dict[int, nn.Module] = {}

    def server(self, place: int) -> nn.Module:
        """Return the part that serves a client; all have one of SplitFedV2."""
        place = 0 if spec()["scheme"] == "splitfed_v2" else place
        if place not in self.servers:
            chain = chain_of(spec()["clients"][place]["name"], self.state)
            self.servers[place] = chain[1].train()
        return self.servers[place]

    def waves(self, waiting: Mapping[int, Any]) -> Iterator[list[int]]:
        """Yield who is served next, in this order, as long as somebody waits.

        Whoever calls exchanges a wave, and leaves in `waiting` who has sent the next batch, before
        it asks for another.
        """
        shared = spec()["scheme"] == "splitfed_v2"
        order = spec()["orders"][self.number] if shared else None
        if order is not None and not spec()["batch_by_batch"]:
            for place in order:
                while place in waiting:
                    yield [place]
            return
        turn = 0
        while waiting:
            served = sorted(waiting) if order is None else order[turn % len(order)]
            yield [place for place in served if place in waiting]
            turn += 1

    def serve(self, place: int, values: Tensor, labels: Tensor) -> Tensor:
        """Train the server's part on a batch; return the gradient of the smashed data."""
        server = self.server(place)
        optimizer = optimizer_of(server, self.lr)
        entry = values.requires_grad_()
        loss = nn.functional.cross_entropy(server(entry), labels)
        if not torch.isfinite(loss):
            name = spec()["clients"][place]["name"]
            raise ValueError(f"the loss of {name} is {float(loss)}; lower lr")
        if optimizer is not None:
            optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if optimizer is not None:
            optimizer.step()
        self.losses.append(float(loss.detach()))
        assert entry.grad is not None
        return entry.grad

    def averaged(self, states: Sequence[Mapping[str, Tensor]], weights: Sequence[float]) -> State:
        """Return the model after the round: averages, and what all shared as it is.

        Parameters
        ----------
        states
            What each client has trained, in the order of the plan.
        weights
            By how much each counts.
        """
        if spec()["scheme"] == "splitfed_v2":
            return self.state | average(states, weights) | copied(self.server(0))
        rest = [copied(self.servers[n]) if n in self.servers else {} for n in range(len(states))]
        whole = [served | dict(own) for served, own in zip(rest, states, strict=True)]
        return self.state | average(whole, weights)

    def mean_loss(self) -> float:
        """Return the mean loss of the batches that were served."""
        return sum(self.losses) / len(self.losses) if self.losses else float("nan")
