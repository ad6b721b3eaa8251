"""A device: it keeps its times to itself and answers prices with masked numbers."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray
from splitopt.secure_sum.fixed_point import FixedPoint
from splitopt.secure_sum.masks import Masks
from splitopt.solvers.cut_and_resources.messaging.log import CENTRE, Message

_GOLDEN = 0.6180339887498949
ROOT = 0
"""The node of the whole problem, at which nothing is excluded."""


class Device:
    """One device with its private data.

    Parameters
    ----------
    index
        Its public number, from 0.
    roots
        Shape (L, R): square roots of the seconds that it needs of each resource.
    device_s
        Shape (L,): its own seconds.
    allowed
        Shape (L,): the cuts that it may use, at least one.
    masks
        What hides its numbers.
    code
        How the masked numbers are written.
    """

    def __init__(
        self,
        index: int,
        roots: FloatArray,
        device_s: FloatArray,
        allowed: BoolArray,
        masks: Masks,
        code: FixedPoint,
    ) -> None:
        self.index = index
        self._roots = np.ascontiguousarray(roots)
        self._device_s = device_s
        self._masks = masks
        self._code = code
        self._closed = {ROOT: np.where(allowed, 0.0, np.inf)}
        self._choice: dict[int, int] = {}

    def receive(self, message: Message) -> Message | None:
        """Receive a message of the coordinator and return the reply, if it has one."""
        fields = message.fields
        match message.kind:
            case "start":
                cost = (self._roots**2).sum(axis=1) + self._device_s + self._closed[ROOT]
                return self._answer(fields["round"], int(cost.argmin()))
            case "quote":
                closed = self._closed.setdefault(fields["node"], self._closed[fields["parent"]])
                cost = self._cost(fields["prices"]) + closed
                return self._answer(fields["round"], int(cost.argmin()))
            case "mix":
                return self._answer(fields["round"], self._mixed(message))
            case "exclude":
                return self._exclude(message)
            case "fix":
                self._fix(message)
                return None
            case "reveal":
                cuts = tuple(self._choice[known] + 1 for known in fields["rounds"])
                return self._reply("cuts", cut=cuts)
            case "adopt":
                return self._plan(message)
        raise ValueError(f"a device does not understand {message.kind!r}")

    def _cost(self, prices: tuple[float, ...]) -> FloatArray:
        """Return what each cut costs at the prices, shape (L,)."""
        return np.asarray(self._roots @ np.array(prices) + self._device_s)

    def _answer(self, turn: int, choice: int) -> Message:
        """Record the cut of a round and give its roots and seconds, rounded down and masked."""
        self._choice[turn] = choice
        values = (*self._roots[choice].tolist(), float(self._device_s[choice]))
        codes = [self._code.encode(value) for value in values]
        hidden = self._masks.hide(codes, turn.to_bytes(8, "big"))
        return self._reply("answer", masked=hidden)

    def _mixed(self, message: Message) -> int:
        """Choose among the cuts of some rounds in proportion to weights, evenly over devices."""
        fields = message.fields
        ends = np.cumsum(fields["weights"])
        place = ((self.index + 1) * _GOLDEN + fields["shift"]) % 1.0
        pick = int(np.searchsorted(ends, place * ends[-1]))
        return self._choice[fields["rounds"][min(pick, len(ends) - 1)]]

    def _exclude(self, message: Message) -> Message:
        """Exclude a cut at a node, or all others; say whether a cut is left."""
        fields = message.fields
        closed = self._closed[fields["parent"]].copy()
        cut = fields["cut"] - 1
        if fields["keep"]:
            closed[np.arange(len(closed)) != cut] = np.inf
        else:
            closed[cut] = np.inf
        self._closed[fields["node"]] = closed
        return self._reply("left", left=bool(np.isfinite(closed).any()))

    def _fix(self, message: Message) -> None:
        """Exclude the cuts that cost so much more than the best that no better plan has them."""
        fields = message.fields
        closed = self._closed[fields["node"]]
        cost = self._cost(fields["prices"]) + closed
        dear = cost - cost.min() > fields["slack"]
        self._closed[fields["node"]] = np.where(dear, np.inf, closed)

    def _plan(self, message: Message) -> Message:
        """Send the server the cut of a round and what the device needs, given the totals."""
        choice = self._choice[message.fields["round"]]
        shares = tuple((self._roots[choice] / np.array(message.fields["totals"])).tolist())
        return self._reply("plan", cut=choice + 1, shares=shares)

    def _reply(self, kind: str, **fields: object) -> Message:
        return Message(kind, self.index, CENTRE, fields)
