"""What the tasks of a plan take on this host: the real parts and the real channel, measured."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from queue import Queue

import numpy as np
import torch
from torch import Tensor

from splitopt.errors import InputError
from splitopt.timeline import FloatArray, Timeline
from splitopt.training.data.named import Inputs
from splitopt.training.model_parts.copies import Copy, tensor_bytes
from splitopt.training.program import Program
from splitopt.training.randomness import Stream
from splitopt.training.schemes.base import Criterion, Scheme
from splitopt.training.wire.compute import one_thread
from splitopt.training.wire.speed import HostSeconds, usable_cores
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.connecting import connect
from splitopt.training.wire.transport.listener import listen
from splitopt.training.wire.transport.pacing import Bucket, pad_until
from splitopt.training.wire.transport.threads import start_thread
from splitopt.training.wire.transport.tokens import Token

REPEATS = 7
_COUNT, _LARGE_COUNT = 30, 6
_SMALL_BYTES, _LARGE_BYTES = 1 << 10, 1 << 20
_WAIT_S = 0.005
_COMPUTED = {
    "device forward": ("forward", 0),
    "device backward": ("backward", 0),
    "server": ("both", -1),
    "first part forward": ("forward", 0),
    "first part backward": ("backward", 0),
    "last part": ("both", -1),
}
"""Phase -> which passes through which part of the owner's chain; nodes have the parts between."""
_NODES = ("forward", "backward")
_MODEL = ("model download", "model broadcast", "model upload")


@dataclass(frozen=True, eq=False)
class ChainSeconds:
    """What a batch takes in each part of a chain, on one core.

    Parameters
    ----------
    forward, backward
        Shape (parts,): s; backward with the update, and with the loss in the last part.
    sent_bytes
        Shape (parts - 1,): what crosses each cut in one direction.
    model_bytes
        Of the first part.
    """

    forward: FloatArray
    backward: FloatArray
    sent_bytes: FloatArray
    model_bytes: float

    def of(self, phase: str, node: int) -> float:
        """Return the s of a task of a phase; `node` is the place of its resource in the chain."""
        if phase in _NODES:
            taken: FloatArray = getattr(self, phase)
            return float(taken[1 + node])
        passes, part = _COMPUTED[phase]
        forward = float(self.forward[part]) if passes != "backward" else 0.0
        backward = float(self.backward[part]) if passes != "forward" else 0.0
        return forward + backward


@dataclass(frozen=True)
class Loopback:
    """What messages over this host's own network take, and waiting.

    Parameters
    ----------
    bytes_per_s
        At which large messages arrive.
    handing_over_s
        By which a message on a paced link arrives later than its last byte was due.
    waking_s
        By which a planned wait ends late.
    """

    bytes_per_s: float
    handing_over_s: float
    waking_s: float


def measure_host(program: Program, scheme: Scheme, timeline: Timeline) -> HostSeconds:
    """Measure what each task of a predicted round takes on this host.

    Parameters
    ----------
    program, scheme
        What the plan asks for, and the scheme of its clients, which is left as it is.
    timeline
        The predicted round.
    """
    chains: dict[tuple[tuple[int, ...], int, int | None], ChainSeconds] = {}
    by_owner: dict[str, ChainSeconds] = {}
    with one_thread():
        for client in scheme.clients:
            size = client.batches.size
            key = (client.cuts, size, client.rank)
            if key not in chains:
                own = Copy.of(
                    scheme.model,
                    client.cuts,
                    scheme.roles_of(client),
                    scheme.split,
                    scheme.options,
                    about=scheme.about,
                    rank=client.rank,
                )
                batch = client.batches.inputs[:size], client.batches.targets[:size]
                chains[key] = measure_chain(own, batch, scheme.criterion)
            by_owner[client.name] = chains[key]
        loopback = measure_loopback()
    crowd: dict[str, int] = {}
    for cluster in (cluster for groups in program.groups for cluster in groups):
        leader = program.clients[cluster[0]].name
        crowd[leader] = max(crowd.get(leader, 0), len(cluster))
    return host_seconds(timeline, by_owner, loopback, crowd, usable_cores())


def host_seconds(
    timeline: Timeline,
    chains: dict[str, ChainSeconds],
    loopback: Loopback,
    crowd: dict[str, int] | None = None,
    cores: int = 1,
) -> HostSeconds:
    """Spread what was measured over the tasks of a timeline.

    Parameters
    ----------
    timeline
        The predicted round.
    chains
        By owner.
    loopback
        What messages take.
    crowd
        For an owner in whose name the server works for a whole cluster: of how many devices. The
        server is taken to need so many times what one batch takes.
    cores
        That the processes may use.

    Raises
    ------
    InputError
        A task's owner was not measured.
    """
    kinds = [resource.kind for resource in timeline.resources]
    place = np.cumsum([kind == "node" for kind in kinds]) - 1
    names = timeline.phases
    seconds = np.zeros(len(timeline))
    is_message = np.array(
        [name not in _COMPUTED and name not in _NODES for name in names], dtype=np.bool_
    )[timeline.phase]
    known: dict[tuple[int, int, int], float] = {}
    for row, (phase, owner, resource) in enumerate(
        zip(
            timeline.phase.tolist(),
            timeline.owner.tolist(),
            timeline.resource.tolist(),
            strict=True,
        )
    ):
        key = (phase, owner, resource)
        if key not in known:
            name = timeline.owners[owner]
            if name not in chains:
                raise InputError.at("chains", f"nothing was measured for {name}")
            chain = chains[name]
            if names[phase] in _MODEL:
                known[key] = chain.model_bytes / loopback.bytes_per_s
            elif is_message[row]:  # over whichever cut: the largest of them
                known[key] = chain.sent_bytes.max(initial=0.0) / loopback.bytes_per_s
            else:
                times = (crowd or {}).get(name, 1) if names[phase] == "server" else 1
                known[key] = times * chain.of(names[phase], int(place[resource]))
        seconds[row] = known[key]
    late = np.where(is_message, loopback.handing_over_s, loopback.waking_s)
    return HostSeconds(seconds, is_message, late, cores)


def measure_chain(
    own: Copy, batch: tuple[Inputs, Tensor], criterion: Criterion, repeats: int = REPEATS
) -> ChainSeconds:
    """Train a copy on a batch some times, and give the median of what each part takes."""
    inputs, targets = batch
    taken = np.zeros(
        (repeats + 1, 2, len(own.parts))
    )  # the first time, which warms up, is left out
    sizes = np.zeros(len(own.parts) - 1)
    stream = Stream(0)  # nobody's: what layers draw here must not change what they draw later
    for turn in taken:
        held = []
        entering: Inputs = inputs
        for index, part in enumerate(own.parts):
            begin = time.perf_counter()
            held.append(part.forward(entering, stream, first=index == 0))
            turn[0, index] = time.perf_counter() - begin
            entering = held[-1].sent
            if index < len(sizes):
                sizes[index] = tensor_bytes(held[-1].sent)
        gradient: Tensor | None = None
        for index in reversed(range(len(own.parts))):
            begin = time.perf_counter()
            if index == len(own.parts) - 1:
                criterion(held[index].result, targets).backward()  # type: ignore[no-untyped-call]
            else:
                held[index].backward(gradient)
            own.parts[index].step()
            turn[1, index] = time.perf_counter() - begin
            if index:
                gradient = held[index].gradient
    forward, backward = np.median(taken[1:], axis=0)
    return ChainSeconds(forward, backward, sizes, float(own.bytes_on("device")))


def measure_loopback() -> Loopback:
    """Send large and paced messages to oneself over an authenticated channel, and wait."""
    token = Token.new()
    small, large = torch.zeros(_SMALL_BYTES // 4), torch.zeros(_LARGE_BYTES // 4)
    with (
        listen("127.0.0.1", 0, token) as listener,
        connect("127.0.0.1", listener.port, token, 10.0) as sender,
        listener.accept(10.0) as receiver,
    ):
        moving = _trips(sender, receiver, large, None, _LARGE_COUNT)
        pace = Bucket(_SMALL_BYTES / _WAIT_S)
        handing = _trips(sender, receiver, small, pace, _COUNT) - _WAIT_S
    waking = usual_mean([pad_until(time.monotonic() + _WAIT_S) for _ in range(_COUNT)])
    return Loopback(_LARGE_BYTES / moving, max(handing, 0.0), max(waking, 0.0))


def _trips(
    sender: Channel, receiver: Channel, tensor: Tensor, bucket: Bucket | None, count: int
) -> float:
    """Mean s from the start of sending until the whole message is there."""
    arrived: Queue[float] = Queue()

    def take() -> None:
        for _ in range(count):
            transfer = receiver.receive(10.0).transfer
            arrived.put(transfer.end_s - transfer.start_s)

    thread = start_thread(take)
    found = []
    for _ in range(count):
        sender.send("probe", {}, {"values": tensor}, bucket=bucket)
        found.append(arrived.get(timeout=10.0))  # the next one leaves when this one is there
    thread.join(10.0)
    return usual_mean(found)


def usual_mean(values: Sequence[float]) -> float:
    """Return the mean without the largest tenth.

    What the tasks of a step are late by adds up, so that the mean counts and not the median; but
    that somebody else had the core for a moment is no property of this host.
    """
    kept = np.sort(values)[: len(values) - len(values) // 10]
    return float(kept.mean())
