"""The plan as a program for Ray, for fleets of many simulated clients.

A client is no process. In SplitFedV1 and federated learning a task trains some clients after each
other and returns one sum of their models, so that what the driver gets does not grow with the
fleet. SplitFedV2 has one part of the server for all: the driver trains it, and tasks are the steps
of clients. ``python ray_train.py --data FOLDER`` trains here, ``--address`` on a cluster.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from plan_device import alone, smashed, stepped
from plan_server import Serving
from plan_task import (
    HERE,
    State,
    begun,
    chain_of,
    check_rounds,
    copied,
    data_of,
    first_state,
    optimizer_of,
    parts,
    spec,
)
from torch import Tensor

TASKS_PER_CPU = 4
"""So that no processor waits long for the last clients."""


@dataclass(frozen=True)
class Rates:
    """The folder of the data, and the learning rates of clients and server."""

    data: str
    lr: float
    server_lr: float


@dataclass(frozen=True)
class Sum:
    """A sum of weighted models; whole numbers are those of the client of most weight.

    Parameters
    ----------
    state
        The sum.
    heaviest
        Samples of that client, and its place with a minus sign: of equals it is the first one.
    """

    state: State
    heaviest: tuple[int, int]

    def __add__(self, other: Sum) -> Sum:
        """Return the sum of both."""
        most = self if self.heaviest >= other.heaviest else other
        state = {
            name: value + other.state[name] if value.is_floating_point() else most.state[name]
            for name, value in self.state.items()
        }
        return Sum(state, most.heaviest)


@ray.remote
def trained(places: Sequence[int], state: State, number: int, rates: Rates) -> Sum:
    """Train some clients through a round, one after the other; return the sum of their models."""
    clients = spec()["clients"]
    total = sum(client["samples"] for client in clients)
    found = None
    for place in places:
        samples = clients[place]["samples"]
        data = data_of(place, rates.data)
        if clients[place]["split"]:
            own = in_two(place, state, number, rates)
        else:
            own = alone(place, state, data, data.steps() * number, rates.lr)
        scaled = {
            name: (samples / total) * value if value.is_floating_point() else value
            for name, value in own.items()
        }
        one = Sum(scaled, (samples, -place))
        found = one if found is None else found + one
    assert found is not None
    return found


def in_two(place: int, state: State, number: int, rates: Rates) -> State:
    """Return a model after a round in which a client and its own server part have trained it."""
    data, serving = data_of(place, rates.data), Serving(state, number, rates.server_lr)
    device = chain_of(spec()["clients"][place]["name"], state)[0].train()
    optimizer = optimizer_of(device, rates.lr)
    for batch in range(data.steps() * number, data.steps() * (number + 1)):
        inputs, targets = data.batch(batch)
        sent = device(inputs)
        gradient = serving.serve(place, sent.detach(), targets)
        if optimizer is not None:
            optimizer.zero_grad()
            if sent.requires_grad:
                sent.backward(gradient)
            optimizer.step()
    return copied(serving.server(place)) | copied(device)


@ray.remote(num_returns=2)
def next_batch(
    place: int, state: State, batch: int, last: int, gradient: Tensor | None, rates: Rates
) -> tuple[State, tuple[Tensor, Tensor] | None]:
    """Step by the gradient of the batch before, if there is one; return part and smashed data.

    There are none after the last batch of the round.
    """
    data = data_of(place, rates.data)
    if gradient is not None:
        state = stepped(place, state, data.batch(batch - 1)[0], gradient, rates.lr)
    if batch == last:
        return state, None
    inputs, targets = data.batch(batch)
    return state, (smashed(place, state, inputs), targets)


def summed_round(state: State, number: int, rates: Rates) -> State:
    """Train a round of SplitFedV1 or federated learning."""
    count = len(spec()["clients"])
    tasks = min(count, TASKS_PER_CPU * int(ray.cluster_resources().get("CPU", 1)))
    shared = ray.put(state)
    asked = [trained.remote(range(n, count, tasks), shared, number, rates) for n in range(tasks)]
    first, *others = asked
    found = ray.get(first)
    for other in others:
        found = found + ray.get(other)
    mean: State = found.state
    return state | mean


def served_round(state: State, number: int, rates: Rates) -> State:
    """Train a round of SplitFedV2: weights of clients stay in Ray, the server's part is here."""
    clients = spec()["clients"]
    serving = Serving(state, number, rates.server_lr)
    start = ray.put(begun(clients[0]["name"], state))  # all have the same cut
    sizes = [steps_of(client) for client in clients]
    batches = [size * number for size in sizes]
    held: list[Any] = [start] * len(clients)
    waiting: dict[int, Any] = {}

    def ask(place: int, gradient: Tensor | None) -> None:
        last = sizes[place] * (number + 1)
        held[place], waiting[place] = next_batch.remote(
            place, held[place], batches[place], last, gradient, rates
        )
        batches[place] += 1

    for place in range(len(clients)):
        ask(place, None)
    for places in serving.waves(waiting):
        for place in places:
            values, labels = ray.get(waiting.pop(place))
            gradient = serving.serve(place, values.clone(), labels)
            ask(place, gradient)
        for place in places:
            if batches[place] > sizes[place] * (number + 1):
                del waiting[place]
    weights = [float(client["samples"]) for client in clients]
    return serving.averaged(ray.get(held), weights)


def steps_of(client: Mapping[str, Any]) -> int:
    """Return how many batches a client trains on in a round."""
    size = min(client["batch_size"] or client["samples"], client["samples"])
    return int(spec()["local_steps"] or spec()["local_epochs"] * -(-client["samples"] // size))


def train(given: argparse.Namespace) -> None:
    """Train the rounds, and write the weights."""
    rates = Rates(str(Path(given.data).absolute()), given.lr, given.server_lr or given.lr)
    state = first_state(given.weights or "")
    train_round = served_round if spec()["scheme"] == "splitfed_v2" else summed_round
    for number in range(given.rounds):
        began = time.perf_counter()
        state = train_round(state, number, rates)
        print(f"round {number + 1}: {time.perf_counter() - began:.2f} s", flush=True)
    if given.save:
        parts.write_weights(Path(given.save), state)
        print(f"weights written to {given.save}", flush=True)


def main() -> None:
    """Read the options, start or find Ray, and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder with NAME.npz for each client")
    parser.add_argument(
        "--rounds", type=int, default=spec()["rounds"], help="by default the plan's"
    )
    parser.add_argument("--lr", type=float, default=0.1, help="learning rate")
    parser.add_argument("--server-lr", type=float, help="that of the server, --lr by default")
    parser.add_argument("--weights", help="safetensors file to begin with")
    parser.add_argument("--save", help="safetensors file for the trained weights")
    parser.add_argument("--address", help="of a running cluster; by default Ray starts here")
    parser.add_argument("--cpus", type=int, help="processors that Ray uses here, all by default")
    given = parser.parse_args()
    try:
        check_rounds(given.rounds)
    except ValueError as error:
        parser.error(str(error))
    local = {} if given.address else {"num_cpus": given.cpus, "include_dashboard": False}
    code = {"working_dir": str(HERE), "excludes": ["*.npz", "*.safetensors"]}
    ray.init(address=given.address, runtime_env=code, log_to_driver=False, **local)
    try:
        train(given)
    except ray.exceptions.RayTaskError as error:
        sys.exit(f"a task failed: {error.cause}")
    except (ValueError, OSError) as error:
        sys.exit(str(error))
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
