"""A device: it keeps its times to itself and answers prices with masked numbers."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray
from splitopt.solvers.cut_and_resources.price_consensus.fixed_point import encode
from splitopt.solvers.cut_and_resources.price_consensus.masks import Masks
from splitopt.solvers.cut_and_resources.price_consensus.messages import Message

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
        Shape (L, 3): square roots of its download, upload and server seconds.
    device_s
        Shape (L,): its own seconds.
    allowed
        Shape (L,): the cuts that it may use, at least one.
    masks
        What hides its numbers.
    fraction_bits
        Binary digits behind the point of the masked numbers.
    """

    def __init__(
        self,
        index: int,
        roots: FloatArray,
        device_s: FloatArray,
        allowed: BoolArray,
        masks: Masks,
        fraction_bits: int,
    ) -> None:
        self.index = index
        self._roots = np.ascontiguousarray(roots)
        self._device_s = device_s
        self._masks = masks
        self._fraction_bits = fraction_bits
        self._closed = {ROOT: np.where(allowed, 0.0, np.inf)}
        self._choice: dict[int, int] = {}

    def receive(self, message: Message) -> Message | None:
        """Take a message from the coordinator and give the reply, if it has one."""
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
                return Message("cuts", self.index, {"cut": cuts})
            case "adopt":
                return self._plan(message)
        raise ValueError(f"a device does not understand {message.kind!r}")

    def _cost(self, prices: tuple[float, ...]) -> FloatArray:
        """Give what each cut costs at the prices, shape (L,)."""
        return np.asarray(self._roots @ np.array(prices) + self._device_s)

    def _answer(self, turn: int, choice: int) -> Message:
        """Note the cut of a round and give its roots and seconds, rounded down and masked."""
        self._choice[turn] = choice
        values = (*self._roots[choice].tolist(), float(self._device_s[choice]))
        plain = [encode(value, self._fraction_bits) for value in values]
        return Message("answer", self.index, {"masked": self._masks.hide(plain, turn)})

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
        return Message("left", self.index, {"left": bool(np.isfinite(closed).any())})

    def _fix(self, message: Message) -> None:
        """Exclude the cuts that cost so much more than the best that no better plan has them."""
        fields = message.fields
        closed = self._closed[fields["node"]]
        cost = self._cost(fields["prices"]) + closed
        dear = cost - cost.min() > fields["slack"]
        self._closed[fields["node"]] = np.where(dear, np.inf, closed)

    def _plan(self, message: Message) -> Message:
        """Tell the server the cut of a round and what the device needs, given the totals."""
        choice = self._choice[message.fields["round"]]
        shares = tuple((self._roots[choice] / np.array(message.fields["totals"])).tolist())
        return Message("plan", self.index, {"cut": choice + 1, "shares": shares})
