"""Choices that the papers leave open: optimizers, policies, and the order of clients."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from splitopt.documents.checks import check_choice
from splitopt.errors import InputError
from splitopt.training.codecs.registry import NONE, make_codec

if TYPE_CHECKING:
    import torch
    from torch import nn

    from splitopt.training.codecs.base import Codec
    from splitopt.training.model_parts.parts import MakeOptimizer

Role = Literal["device", "server"]
OptimizerName = Literal["sgd", "adam", "adamw"]
CutGradient = Literal["mean", "rescaled"]
BatchNorm = Literal["average", "local", "frozen"]
OptimizerState = Literal["reset", "keep", "average"]
Weights = Literal["samples", "uniform"]
Order = Literal["given", "shuffled"]

_CLASSES = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}
"""Optimizer -> its class in ``torch.optim``."""


@dataclass(frozen=True)
class Options:
    """How every scheme trains.

    Parameters
    ----------
    optimizer, learning_rate, momentum, weight_decay
        The optimizer of all parts; momentum is for ``"sgd"``.
    server_learning_rate
        Of the parts that are not on devices; None for the same.
    local_epochs
        Local epochs: passes of every client over its samples in a round.
    local_steps
        Mini-batches of every client in a round, instead of ``local_epochs``; None to use those.
    cut_gradient
        Where a server trains on several devices' batches at once (CPSL Eq. 6-7), its loss is the
        mean over all of them, so that what comes back to one of K devices is 1/K of the gradient
        of that device's own mean loss. ``"mean"`` leaves it so, as the paper has it;
        ``"rescaled"`` multiplies it by the number of all samples over the device's own.
    batch_norm
        What happens to running statistics, and to other buffers that forward writes, where copies
        are averaged: ``"average"`` them too,
        keep them ``"local"`` (each client goes on with its own; the common model holds their
        average), or ``"frozen"``: those of normalisations of torch.nn are
        never updated, batches are normalised with what they are; others cannot be frozen.
    optimizer_state
        At the start of a round: ``"reset"`` momentum and moments, ``"keep"`` every copy's own, or
        ``"average"`` them like the weights.
    weights
        By which copies are averaged: their numbers of ``"samples"``, or ``"uniform"``.
    order
        In which clients are served where that matters: as ``"given"``, or ``"shuffled"`` anew in
        every round.
    batched
        Whether clients that are alike (the same cuts and batches of the same sizes) train side by
        side in one call of every layer, see `splitopt.training.model_parts.batched`. The same
        training, but sums are taken in another order.
    codec
        How the activations that cross a cut are sent: ``"none"`` as they are, or ``"fp16"``,
        ``"bf16"``, ``"int8"``, ``"int4"`` (each of both with ``":channel"`` and
        ``":stochastic"``), ``"topk:FRACTION"``, or a codec of another package, see
        `splitopt.training.codecs`.
    gradient_codec
        The same for the gradients that come back; None for that of ``codec``.

    Raises
    ------
    InputError
        A value that is not one of these, or not positive where it must be.
    CapabilityError
        There is a codec, and no PyTorch.
    """

    optimizer: OptimizerName = "sgd"
    learning_rate: float = 0.05
    server_learning_rate: float | None = None
    momentum: float = 0.0
    weight_decay: float = 0.0
    local_epochs: int = 1
    local_steps: int | None = None
    cut_gradient: CutGradient = "mean"
    batch_norm: BatchNorm = "average"
    optimizer_state: OptimizerState = "reset"
    weights: Weights = "samples"
    order: Order = "given"
    batched: bool = False
    codec: str = NONE
    gradient_codec: str | None = None

    def __post_init__(self) -> None:
        for name, known in (
            ("optimizer", OptimizerName),
            ("cut_gradient", CutGradient),
            ("batch_norm", BatchNorm),
            ("optimizer_state", OptimizerState),
            ("weights", Weights),
            ("order", Order),
        ):
            check_choice(name, getattr(self, name), get_args(known))
        for name in ("learning_rate", "server_learning_rate"):
            rate = getattr(self, name)
            if rate is not None and not 0 < rate < float("inf"):
                raise InputError.at(name, f"is {rate!r}, it must be above 0 and finite")
        if not 0 <= self.momentum < 1:
            raise InputError.at("momentum", f"is {self.momentum!r}, it must be from 0 to below 1")
        if self.momentum and self.optimizer != "sgd":
            raise InputError.at(
                "momentum", f"is for sgd, {self.optimizer} has moments of its own; leave it out"
            )
        if not 0 <= self.weight_decay < float("inf"):
            raise InputError.at(
                "weight_decay", f"is {self.weight_decay!r}, it must be >= 0 and finite"
            )
        for name in ("local_epochs", "local_steps"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise InputError.at(name, f"is {value!r}, it must be a whole number >= 1")
        self.up_codec()
        self.down_codec()

    def maker(self, role: Role) -> MakeOptimizer:
        """Return the function that makes the optimizer of a part."""
        import torch

        rate = self.learning_rate
        if role == "server" and self.server_learning_rate is not None:
            rate = self.server_learning_rate
        keywords: dict[str, float] = {"lr": rate, "weight_decay": self.weight_decay}
        if self.optimizer == "sgd":
            keywords["momentum"] = self.momentum
        kind = getattr(torch.optim, _CLASSES[self.optimizer])

        def make(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
            optimizer: torch.optim.Optimizer = kind(parameters, **keywords)
            return optimizer

        return make

    def up_codec(self) -> Codec | None:
        """Return the codec of activations, None if they travel as they are."""
        return make_codec(self.codec)

    def down_codec(self) -> Codec | None:
        """Return the codec of gradients, None if they travel as they are."""
        if self.gradient_codec is None:
            return self.up_codec()
        return make_codec(self.gradient_codec, "gradient_codec")

    @property
    def has_codecs(self) -> bool:
        """Whether anything that crosses a cut is encoded."""
        return self.up_codec() is not None or self.down_codec() is not None

    def identity(self) -> dict[str, Any]:
        """Return what makes a run another one, as plain data.

        Codecs are named where there are any, each way by itself: what was begun before there were
        codecs goes on without them.
        """
        found = asdict(self)
        up = found.pop("codec")
        down = found.pop("gradient_codec") or up
        if (up, down) != (NONE, NONE):
            found |= {"codec": up, "gradient_codec": down}
        return found

    def steps(self, batches_per_epoch: int) -> int:
        """Mini-batches of a client in a round."""
        return self.local_steps or self.local_epochs * batches_per_epoch
