"""The ServerApp: rounds of a strategy, with the split training of each round between its messages.

`Plan` is a Flower strategy whose rounds go through `SplitGrid`: between the messages that the
strategy sends and the parts that it gets back, the server trains its own. With a host in the run's
configuration it is `SocketGrid`: batches go over sockets, as SuperNodes take seconds for a message.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from flower_socket import Listener
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from plan_server import Serving
from plan_task import begun, check_rounds, first_state, parts, spec, steps_of
from torch import Tensor

app = ServerApp()
TIMEOUT_S = 3600.0


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train the rounds that the run's configuration asks for, and write the weights."""
    config = context.run_config
    rounds = int(config["rounds"])
    check_rounds(rounds)
    lr, host = float(config["server-lr"]) or float(config["lr"]), str(config["host"])
    split = SplitGrid(grid, lr)
    if host:
        split = SocketGrid(grid, lr, (host, int(config["port"])), str(config["listen"]) or host)
    given = ConfigRecord({"lr": float(config["lr"]), "data": str(config["data"])})
    start = ArrayRecord(first_state(str(config["weights"])))
    result = Plan(split).start(
        grid=split,
        initial_arrays=start,
        train_config=given,
        num_rounds=rounds,
        timeout=TIMEOUT_S,
    )
    if config["save"]:
        path = Path(str(config["save"]))
        parts.write_weights(path, result.arrays.to_torch_state_dict())
        print(f"weights written to {path}", flush=True)


class Plan(FedAvg):
    """FedAvg over the clients of the plan, all in every round, in its own order."""

    def __init__(self, split: SplitGrid) -> None:
        super().__init__(fraction_evaluate=0.0)
        self.split = split

    def configure_train(
        self,
        server_round: int,
        arrays: ArrayRecord,
        config: ConfigRecord,
        grid: Grid,  # noqa: ARG002 - the signature is Flower's
    ) -> Iterable[Message]:
        """Return a message for each client, with the part of the model that it holds."""
        state = arrays.to_torch_state_dict()
        self.split.serving = Serving(state, server_round - 1, self.split.lr)
        content = ConfigRecord({**config, "round": server_round})
        return [
            Message(
                content=RecordDict(
                    {
                        "arrays": ArrayRecord(begun(client["name"], state)),
                        "config": content,
                    }
                ),
                message_type="train.begin",
                dst_node_id=self.split.nodes[place],
            )
            for place, client in enumerate(spec()["clients"])
        ]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Average by samples; what all share of SplitFedV2 is taken as it is."""
        by_node = {reply.metadata.src_node_id: reply for reply in replies}
        ordered = [by_node[node].content for node in self.split.nodes]
        states = [content["arrays"].to_torch_state_dict() for content in ordered]
        weights = [float(content["metrics"]["num-examples"]) for content in ordered]
        loss = self.split.serving.mean_loss()
        print(f"round {server_round}: loss on the server {loss:.6g}", flush=True)
        mean = self.split.serving.averaged(states, weights)
        return ArrayRecord(mean), MetricRecord({"train_loss": loss})


class SplitGrid:
    """A grid on which a round of training is one message for the strategy, and many for clients."""

    serving: Serving

    def __init__(self, grid: Grid, lr: float) -> None:
        self.grid, self.lr = grid, lr
        self.nodes = nodes_of(grid)

    def __getattr__(self, name: str) -> Any:
        """Do all else as the grid does it."""
        return getattr(self.grid, name)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> list[Message]:
        """Train a round: send what it begins with, serve all batches, return the parts trained."""
        sent = list(messages)
        if not sent:  # nothing is evaluated
            return []
        first = exchanged(self.grid, sent, timeout)
        waiting = {self.nodes.index(reply.metadata.src_node_id): reply for reply in first}
        done = {place: waiting.pop(place) for place in list(waiting) if is_done(waiting[place])}
        for places in self.serving.waves(waiting):
            self._wave(places, waiting, done, timeout)
        return [done[place] for place in range(len(self.nodes))]

    def _wave(
        self,
        places: list[int],
        waiting: dict[int, Message],
        done: dict[int, Message],
        timeout: float | None,
    ) -> None:
        """Serve a batch of some clients in this order, and send all of them their gradients."""
        sent = []
        for place in places:
            smashed = waiting.pop(place).content["smashed"]
            gradient = self.serving.serve(
                place, tensor(smashed["values"]), tensor(smashed["labels"])
            )
            content = RecordDict({"gradient": ArrayRecord({"gradient": Array(gradient.numpy())})})
            node = self.nodes[place]
            sent.append(Message(content=content, message_type="train.step", dst_node_id=node))
        for reply in exchanged(self.grid, sent, timeout):
            place = self.nodes.index(reply.metadata.src_node_id)
            (done if is_done(reply) else waiting)[place] = reply


class SocketGrid(SplitGrid):
    """The same with one message a round for each client, which says where its batches go.

    Parameters
    ----------
    grid
        Flower's.
    lr
        The learning rate of the server.
    endpoint
        Host and port where clients find the server.
    listen
        The address of this machine that the server listens at.
    """

    def __init__(self, grid: Grid, lr: float, endpoint: tuple[str, int], listen: str) -> None:
        super().__init__(grid, lr)
        self.host, self.listener = endpoint[0], Listener(listen, endpoint[1])

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> list[Message]:
        """Train a round: send what it begins with, serve batches by sockets, return the parts."""
        sent = list(messages)
        if not sent:  # nothing is evaluated
            return []
        token = secrets.token_bytes(32)
        where: dict[str, Any] = {"host": self.host, "port": self.listener.port, "token": token}
        for message in sent:
            message.content["endpoint"] = ConfigRecord(where)
        with ThreadPoolExecutor(1) as pool:
            replies = pool.submit(exchanged, self.grid, sent, timeout)
            self._serve(token, replies)
            by_node = {reply.metadata.src_node_id: reply for reply in replies.result()}
        return [by_node[node] for node in self.nodes]

    def _serve(self, token: bytes, replies: Future[list[Message]]) -> None:
        """Serve all batches of a round; raise what a client has failed by."""

        def check() -> None:
            if replies.done():
                replies.result()
                raise RuntimeError("a client has answered before all its batches were served")

        cut = [place for place, client in enumerate(spec()["clients"]) if client["split"]]
        lines = self.listener.lines(token, cut, check)
        try:
            left = {place: steps_of(spec()["clients"][place]) for place in cut}
            waiting = {place: lines[place].receive() for place in cut}
            for places in self.serving.waves(waiting):
                for place in places:
                    batch = waiting.pop(place)
                    gradient = self.serving.serve(place, batch["values"], batch["labels"])
                    lines[place].send({"gradient": gradient})
                    left[place] -= 1
                for place in places:
                    if left[place]:
                        waiting[place] = lines[place].receive()
        finally:
            for line in lines.values():
                line.close()


def exchanged(grid: Grid, messages: list[Message], timeout: float | None) -> list[Message]:
    """Send messages and return all replies; stop where a client fails."""
    replies = list(grid.send_and_receive(messages, timeout=timeout))
    for reply in replies:
        if reply.has_error():
            raise RuntimeError(f"a client failed: {reply.error.reason}")
    if len(replies) != len(messages):
        raise RuntimeError(f"{len(messages) - len(replies)} clients did not answer")
    return replies


def nodes_of(grid: Grid) -> list[int]:
    """Return the node of each client of the plan; each must be there once."""
    import time

    wanted, found = len(spec()["clients"]), list(grid.get_node_ids())
    for _ in range(600):
        if len(found) >= wanted:
            break
        time.sleep(1)
        found = list(grid.get_node_ids())
    asked = [
        Message(content=RecordDict(), message_type="query.who", dst_node_id=node) for node in found
    ]
    known = {
        int(reply.content["who"]["client"]): reply.metadata.src_node_id
        for reply in exchanged(grid, asked, 600.0)
    }
    if len(found) != wanted or sorted(known) != list(range(wanted)):
        raise RuntimeError(
            f"the plan has {wanted} clients, and there are {len(found)} nodes; set num-supernodes "
            "to that number"
        )
    return [known[place] for place in range(wanted)]


def is_done(reply: Message) -> bool:
    """Report whether a client has sent what it trained."""
    return "arrays" in reply.content


def tensor(array: Array) -> Tensor:
    """Return an array as a tensor of its own."""
    return torch.from_numpy(array.numpy().copy())
