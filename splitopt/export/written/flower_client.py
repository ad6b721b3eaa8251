"""The ClientApp: the device part of one client, batch by batch as the server sends for it.

Processes are pooled, so that nothing is kept in them: weights are in the context of the client.
Where the server names an endpoint, the batches of a round go over a socket instead.
"""

from __future__ import annotations

import torch
from flower_socket import connected
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from plan_device import alone, smashed, stepped
from plan_task import Data, State, data_of, spec
from torch import Tensor

app = ClientApp()


@app.query("who")
def who(message: Message, context: Context) -> Message:
    """Return which client of the plan this is."""
    content = RecordDict({"who": MetricRecord({"client": index_of(context)})})
    return Message(content=content, reply_to=message)


@app.train("begin")
def begin(message: Message, context: Context) -> Message:
    """Load the weights of a round; send smashed data, or train alone where nothing is cut."""
    config = message.content["config"]
    state = message.content["arrays"].to_torch_state_dict()
    data = data_of(index_of(context), str(config["data"]))
    steps = data.steps()
    first = steps * (int(config["round"]) - 1)
    if not own(context)["split"]:
        trained = alone(index_of(context), state, data, first, float(config["lr"]))
        return finished(message, trained, data, 0)
    if "endpoint" in message.content:
        state = over_socket(message, context, state, data)
        return finished(message, state, data, 1)
    keep(context, state, ConfigRecord({**config, "next": first, "left": steps}))
    return waiting(message, context)


def over_socket(message: Message, context: Context, state: State, data: Data) -> State:
    """Return the part after a round whose batches went over the socket that the message names."""
    config, end = message.content["config"], message.content["endpoint"]
    client, steps, lr = index_of(context), data.steps(), float(config["lr"])
    first = steps * (int(config["round"]) - 1)
    line = connected(str(end["host"]), int(end["port"]), bytes(end["token"]), client)
    try:
        for number in range(first, first + steps):
            inputs, targets = data.batch(number)
            line.send({"values": smashed(client, state, inputs), "labels": targets})
            state = stepped(client, state, inputs, line.receive()["gradient"], lr)
    finally:
        line.close()
    return state


@app.train("step")
def step(message: Message, context: Context) -> Message:
    """Step by the gradient of the smashed data; send the next ones, or the part."""
    held = context.state["held"]
    data = data_of(index_of(context), str(held["data"]))
    inputs, _ = data.batch(int(held["next"]))
    gradient = torch.from_numpy(message.content["gradient"]["gradient"].numpy().copy())
    state = stepped(index_of(context), kept(context), inputs, gradient, float(held["lr"]))
    left = int(held["left"]) - 1
    if not left:
        return finished(message, state, data, 1)
    keep(context, state, ConfigRecord({**held, "next": int(held["next"]) + 1, "left": left}))
    return waiting(message, context)


def waiting(message: Message, context: Context) -> Message:
    """Reply with the smashed data of the next batch and its labels."""
    held = context.state["held"]
    data = data_of(index_of(context), str(held["data"]))
    inputs, targets = data.batch(int(held["next"]))
    sent = smashed(index_of(context), kept(context), inputs)
    record = ArrayRecord({"values": Array(sent.numpy()), "labels": Array(targets.numpy())})
    return Message(content=RecordDict({"smashed": record}), reply_to=message)


def finished(message: Message, state: State, data: Data, split: int) -> Message:
    """Reply with what was trained here, and by how much it counts."""
    metrics = MetricRecord({"num-examples": len(data.inputs), "split": split})
    return Message(
        content=RecordDict({"arrays": ArrayRecord(state), "metrics": metrics}), reply_to=message
    )


def kept(context: Context) -> State:
    """Return the weights of the device part."""
    state: State = context.state["part"].to_torch_state_dict()
    return state


def keep(context: Context, state: dict[str, Tensor], held: ConfigRecord) -> None:
    """Put weights and place in the data where the next message finds them."""
    context.state["part"] = ArrayRecord(state)
    context.state["held"] = held


def index_of(context: Context) -> int:
    """Return which client of the plan this node is: ``client`` by name, or ``partition-id``."""
    names = [client["name"] for client in spec()["clients"]]
    named = context.node_config.get("client")
    if named is not None:
        return names.index(str(named))
    place = int(context.node_config["partition-id"])
    if place >= len(names):
        raise ValueError(f"there is no client {place}, the plan has {len(names)}")
    return place


def own(context: Context) -> dict[str, object]:
    """Return what the plan says of this client."""
    found: dict[str, object] = spec()["clients"][index_of(context)]
    return found
