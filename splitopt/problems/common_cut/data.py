"""The data of `CommonCut`: seconds of every task, batches, and the cuts that limits leave."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from splitopt.documents.checks import check_choice
from splitopt.errors import InputError
from splitopt.latency.served_by_batch import batch_fractions
from splitopt.latency.served_in_turn import PHASES as PHASES
from splitopt.latency.served_in_turn import ClientSeconds
from splitopt.problems.arrays import boolean_table, indices, number_table, whole_number
from splitopt.problems.base import BoolArray, FloatArray, IntArray, Problem, check_objective
from splitopt.problems.common_cut.decision import CommonCutDecision
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.ranges import check_span

SCHEMES = ("splitfed_v1", "splitfed_v2", "vanilla", "federated")
"""The schemes whose round can be asked for."""
SIDE_BY_SIDE = ("splitfed_v1", "federated")
"""Those whose devices work at the same time, with shares of the resources."""
SERVER_ORDERS = ("client", "batch")
"""How SplitFedV2 serves: client after client, or a batch of every client in turn."""
BY_BATCH = "batch"
TABLES = (
    "model_down_s",
    "forward_s",
    "upload_s",
    "server_s",
    "gradient_s",
    "backward_s",
    "model_up_s",
)
"""The tasks of a round in the order in which a batch goes through them."""
MOST_BATCHES = 200_000
"""Of a round that is served batch by batch; of more, the recursion would take minutes."""


@dataclass(frozen=True, eq=False, repr=False)
class CommonCutData(Problem[CommonCutDecision]):
    """The fields of `CommonCut`, which documents them, and what follows from them."""

    name: ClassVar[str] = "common_cut"
    objectives: ClassVar[tuple[str, ...]] = SCHEMES
    decision_class: ClassVar[type[Any]] = CommonCutDecision

    model_down_s: FloatArray
    forward_s: FloatArray
    upload_s: FloatArray
    server_s: FloatArray
    gradient_s: FloatArray
    backward_s: FloatArray
    model_up_s: FloatArray
    samples: IntArray
    batch_size: IntArray
    epochs: int
    objective: str = "splitfed_v1"
    allowed: BoolArray = None  # type: ignore[assignment]
    copies_allowed: BoolArray = None  # type: ignore[assignment]
    shared_allowed: BoolArray = None  # type: ignore[assignment]
    whole_allowed: bool = True
    shared_links: bool = True
    server_order: str = "client"

    def __post_init__(self) -> None:
        check_objective(self.objective, self.objectives, "")
        check_choice("server_order", self.server_order, SERVER_ORDERS)
        shape: tuple[int, ...] = (-1, -1)
        for field in TABLES:
            table = number_table(getattr(self, field), field, "times in s", shape)
            self._set(field, table)
            shape = table.shape
        check_span({field: getattr(self, field) for field in TABLES})
        limits = {"allowed": shape, "copies_allowed": shape[1:], "shared_allowed": shape[1:]}
        for field, size in limits.items():
            given = getattr(self, field)
            every = np.ones(size, dtype=np.bool_) if given is None else given
            self._set(field, boolean_table(every, field, size))
        for field in ("whole_allowed", "shared_links"):
            if not isinstance(getattr(self, field), bool | np.bool_):
                raise InputError.at(field, "must be true or false")
            self._set(field, bool(getattr(self, field)))
        self._check_sums()
        self._set("epochs", whole_number(self.epochs, "epochs", 1))
        for field in ("samples", "batch_size"):
            rule = "samples are counted"
            found = indices(getattr(self, field), field, rule, 1, 2**53, shape[0]).copy()
            found.setflags(write=False)
            self._set(field, found)
        if (over := self.batch_size > self.samples).any():
            n = int(over.argmax())
            raise InputError.at(
                f"batch_size[{n}]",
                f"is {self.batch_size[n]}, more than the {self.samples[n]} samples there are",
            )
        if self._by_batch and (count := int(self.batches.sum())) > MOST_BATCHES:
            raise InputError.at(
                "server_order",
                f"is batch, and a round has {count:,} batches; at most {MOST_BATCHES:,} are "
                "served one by one here: take larger batches, or the order of clients",
            )

    def _set(self, field: str, value: Any) -> None:
        object.__setattr__(self, field, value)

    def _check_sums(self) -> None:
        """Reject numbers whose sums over a round no float holds, or tells apart."""
        try:
            self.side_by_side  # noqa: B018 - it checks what it is made of
        except InputError as error:
            raise InputError(
                f"{error} (download_s is model_down_s and gradient_s together, upload_s goes with "
                "model_up_s, device_s is forward_s and backward_s)"
            ) from None

    @property
    def _by_batch(self) -> bool:
        return self.objective == "splitfed_v2" and self.server_order == BY_BATCH

    def data(self) -> dict[str, Any]:
        """Return the arrays and scalars of the instance file."""
        stated = (*TABLES, "samples", "batch_size", "epochs", "allowed", "copies_allowed")
        more = ("shared_allowed", "whole_allowed", "shared_links", "server_order")
        return {field: getattr(self, field) for field in (*stated, *more)}

    @property
    def devices(self) -> int:
        """Number of devices N."""
        return int(self.forward_s.shape[0])

    @property
    def layers(self) -> int:
        """Number of layers L, which is also the last cut."""
        return int(self.forward_s.shape[1])

    @property
    def batches(self) -> IntArray:
        """Shape (N,): batches of every device in a round."""
        return self.epochs * -(-self.samples // self.batch_size)

    @property
    def takes_turns(self) -> bool:
        """Whether devices take turns at the server, each with all of what it uses."""
        return self.objective not in SIDE_BY_SIDE

    @cached_property
    def fractions(self) -> list[list[float]]:
        """Of each device, its batches as fractions of its round."""
        pairs = zip(self.samples.tolist(), self.batch_size.tolist(), strict=True)
        return [batch_fractions(samples, size, self.epochs) for samples, size in pairs]

    @cached_property
    def side_by_side(self) -> CutAndResources:
        """The same devices where links and server are divided: the makespan is their round."""
        return CutAndResources(
            download_s=self.model_down_s + self.gradient_s,
            upload_s=self.upload_s + self.model_up_s,
            server_s=self.server_s,
            device_s=self.forward_s + self.backward_s,
            objective="makespan",
            shared_links=self.shared_links,
        )

    def at(self, cuts: IntArray) -> ClientSeconds:
        """Return the seconds of every device at some cuts, 1..L, shape (K,), as arrays (N, K)."""
        tables = {field.removesuffix("_s"): getattr(self, field)[:, cuts - 1] for field in TABLES}
        whole = self.samples * self.epochs
        rest = self.samples % self.batch_size
        last = np.where(rest > 0, rest, self.batch_size)
        return ClientSeconds(
            **tables, first=(self.batch_size / whole)[:, None], last=(last / whole)[:, None]
        )

    @property
    def possible(self) -> BoolArray:
        """Shape (L,): the cuts that all devices and the server can take under the scheme."""
        everyone: BoolArray = np.asarray(self.allowed.all(axis=0))
        if self.objective == "federated":
            found = np.zeros(self.layers, dtype=np.bool_)
            found[-1] = everyone[-1] and self.whole_allowed
            return found
        served = self.copies_allowed if self.objective == "splitfed_v1" else self.shared_allowed
        found = everyone & served
        found[-1] = False  # nothing would be split
        return np.asarray(found)
