"""A device and the server of the protocol, each in a process (or thread) of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from splitopt.consensus.keys import PUBLIC_KEYS, pair_keys, plan_context, too_large
from splitopt.consensus.packing import (
    SEALED,
    WIRE_KINDS,
    as_frame,
    bytes_in,
    pack,
    tensor_of,
    unpack,
)
from splitopt.errors import InputError
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.data import RESOURCES
from splitopt.secure_sum.keys import KEY_BYTES, KeyPair, SecureSumError, seal, unseal
from splitopt.solvers.cut_and_resources.messaging.log import CENTRE, Message
from splitopt.solvers.cut_and_resources.price_consensus import PriceConsensus
from splitopt.solvers.cut_and_resources.price_consensus.messages import KINDS
from splitopt.solvers.cut_and_resources.price_consensus.solver import Server, device_of
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.errors import FrameError
from splitopt.training.wire.transport.frames import Message as Frame
from splitopt.training.wire.transport.frames import expect_kind

_ANSWERED = ("start", "quote", "mix")
"""What a device answers with masked numbers, each of which needs masks of its own."""
_LARGEST = 2**20


def run_device(
    channel: Channel, problem: CutAndResources, row: int, index: int, solver: PriceConsensus
) -> None:
    """Answer the coordinator for one device until it ends the run.

    Parameters
    ----------
    channel
        To the coordinator.
    problem, row
        Where the device's own numbers are; no other row of it is looked at.
    index
        Its number among all devices, from 0.
    solver
        Whose options all parties have alike.

    Raises
    ------
    InputError
        Its numbers do not fit; the coordinator has been told.
    FrameError
        The coordinator sent what belongs to no such run.
    """
    pair = KeyPair.new()
    channel.send(PUBLIC_KEYS, {}, tensor_of(pair.public))
    answer = _expected(channel.receive(), PUBLIC_KEYS)
    if answer is None:
        return
    devices, public = _public_keys(answer)
    if (why := too_large(problem, row, solver.code, devices)) is not None:
        channel.send("failed", {"message": why})
        raise InputError(f"device {index + 1} {why}")
    try:
        keys = pair_keys(pair, index, devices, solver.neighbours, public)
    except SecureSumError as error:
        raise FrameError(str(error)) from None
    device = device_of(problem, row, index, keys, solver.code)
    last = 0
    while (frame := _expected(channel.receive(), *KINDS)) is not None:
        fields = _read(frame)
        if frame.kind in _ANSWERED:
            if fields["round"] <= last:  # a mask that is used twice is none
                raise FrameError("a round that has been answered")
            last = fields["round"]
        try:
            reply = device.receive(Message(frame.kind, CENTRE, index, fields))
        except (KeyError, IndexError, ValueError):
            raise FrameError("a message about rounds or nodes that there were not") from None
        if reply is None:
            continue
        if reply.kind == "plan":
            context = plan_context(index, fields["round"])
            _, raw = pack(KINDS["plan"], dict(reply.fields))
            sealed = seal(pair.agree(public[devices], context), raw)
            reply = Message("plan", index, CENTRE, {SEALED: tuple(sealed)})
        kind, told, raw = as_frame(reply, WIRE_KINDS)
        channel.send(kind, told, tensor_of(raw))


@dataclass
class Granted:
    """What the server knows: the plan that was adopted last, by device."""

    cuts: list[int] = field(default_factory=list)
    shares: list[list[float]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready data: a decision of `CutAndResources`."""
        names = ("download_share", "upload_share", "server_share")
        columns = zip(*self.shares, strict=True)
        return {
            "problem": CutAndResources.name,
            "cut": self.cuts,
            **{name: list(column) for name, column in zip(names, columns, strict=True)},
        }


def run_server(channel: Channel) -> Granted:
    """Read the plans that devices have sealed for the server, until the run ends.

    Raises
    ------
    FrameError
        What came is no plan, or was sealed for somebody else.
    """
    pair = KeyPair.new()
    channel.send(PUBLIC_KEYS, {}, tensor_of(pair.public))
    answer = _expected(channel.receive(), PUBLIC_KEYS)
    if answer is None:
        return Granted()
    devices, public = _public_keys(answer)
    server, known = Server(devices, len(RESOURCES)), set[int]()
    while (frame := _expected(channel.receive(), "plan")) is not None:
        sender, turn = frame.fields.get("sender"), frame.fields.get("round")
        if type(sender) is not int or type(turn) is not int or not 0 <= sender < devices:
            raise FrameError("a plan of nobody")
        sealed = bytes(_read(frame)[SEALED])
        try:
            raw = unseal(pair.agree(public[sender], plan_context(sender, turn)), sealed)
        except SecureSumError as error:
            raise FrameError(str(error)) from None
        fields = unpack(KINDS["plan"], {"cut": None, "shares": len(RESOURCES)}, raw)
        server.grant(Message("plan", sender, CENTRE, fields))
        known.add(sender)
    if len(known) < devices:
        return Granted()
    return Granted(server.cuts.tolist(), server.shares.tolist())


def _expected(frame: Frame, *kinds: str) -> Frame | None:
    """Return a message of the kinds that are due, None at the end of the run."""
    found = expect_kind(frame, *kinds, "end")
    if found.kind != "end":
        return found
    if why := found.fields.get("error"):
        raise FrameError(f"the word that the run has ended: {str(why)[:300]}")
    return None


def _read(frame: Frame) -> dict[str, Any]:
    return unpack(WIRE_KINDS[frame.kind], frame.fields.get("counts"), bytes_in(frame.tensors))


def _public_keys(frame: Frame) -> tuple[int, list[bytes]]:
    """Read how many devices there are, and the public keys of these and of the server."""
    devices, raw = frame.fields.get("devices"), bytes_in(frame.tensors)
    if type(devices) is not int or not 2 <= devices <= _LARGEST:
        raise FrameError("public keys of no number of devices")
    if len(raw) != (devices + 1) * KEY_BYTES:
        raise FrameError("public keys of other parties than there are")
    return devices, [raw[i : i + KEY_BYTES] for i in range(0, len(raw), KEY_BYTES)]
