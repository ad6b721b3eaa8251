"""Choices that the papers leave open: optimizers, policies, and the order of clients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

from splitopt.documents.checks import check_choice
from splitopt.errors import InputError
from splitopt.training.codecs.registry import NONE, make_codec
from splitopt.training.kinds import OPTIMIZER
from splitopt.training.options_together import check_together
from splitopt.training.pixel_dp_options import PixelDP
from splitopt.training.privacy_options import Privacy
from splitopt.training.rates import CONSTANT, Factor, factor_of
from splitopt.training.remembering_options import Remembering

if TYPE_CHECKING:
    from splitopt.training.codecs.base import Codec
    from splitopt.training.model_parts.parts import MakeOptimizer, Penalty

Role = Literal["device", "server"]
OptimizerName = Literal["sgd", "adam", "adamw"]
CutGradient = Literal["mean", "rescaled"]
BatchNorm = Literal["average", "local", "frozen"]
OptimizerState = Literal["reset", "keep", "average"]
Weights = Literal["samples", "uniform"]
Order = Literal["given", "shuffled"]
ServerOrder = Literal["client", "batch"]
PaddingTo = Literal["data", "batch"]

_WHERE_GIVEN = (
    *("lr_warmup", "server_order", "client_fraction", "as_published", "fed_server"),
    *("secure_aggregation", "threshold"),
)
"""What is named in the identity of a run only where it is given."""
_OF_SCHEME = ("order", "server_order")
"""What is None where the scheme or the plan says it."""


@dataclass(frozen=True)
class Options:
    """How every scheme trains.

    Parameters
    ----------
    optimizer, learning_rate, momentum, weight_decay
        The optimizer of all parts; momentum is for ``"sgd"``. Beside the known names there is
        ``FILE.py:NAME``, or the name that another package brings: a function of a list of
        parameters and the keyword ``lr``, which returns a ``torch.optim.Optimizer``.
    clip_value
        Bring every number of a gradient between minus this and this before each step. A limit on
        the norm of all gradients would need them in one place, and depend on the cut.
    server_learning_rate
        Of the parts that are not on devices; None for the same.
    lr_schedule
        By which the learning rates of all parts change from round to round: ``"constant"``,
        ``"step:EVERY:FACTOR"``, ``"cosine:ROUNDS"``, or the user's function of the number of a
        round as ``FILE.py:NAME``, see `splitopt.training.rates`.
    lr_warmup
        Rounds before that, in which they rise in equal steps to what they are.
    local_epochs
        Local epochs: passes of every client over its samples in a round.
    local_steps
        Mini-batches of every client in a round, instead of ``local_epochs``; None to use those.
    aggregation_interval
        In SplitFedV1, rounds from one average of the device parts to the next: in between each goes
        on with its own, while the server's copies are averaged in every round. With ``local_steps``
        of 1 a round is a step (HASFL, AdaptSFL).
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
        every round; None for that of the scheme, which is shuffled in SplitFedV2 and given in all
        others.
    server_order
        How SplitFedV2 serves: all batches of one ``"client"`` after those of another (its authors'
        script), or a ``"batch"`` of every client in turn, in an order of its own in every turn (its
        paper's text). None for that of the plan, which is of clients where nothing is stated.
    client_fraction
        Which fraction C of the clients takes part in a round: max(1, round(C K)) of K, drawn anew
        in every round. The others do nothing, and count in no average. None for all.
    as_published
        Train and test SplitFed as the script of its authors does, see
        `splitopt.training.schemes.as_published`: the server's optimizer is made anew for every
        batch, averages have no weights, and tests put the client part from before the round in
        front of a server part from after it.
    fed_server
        Whether a server of its own averages the client parts, as SplitFed has it: the main server
        has no client part and the fed server no smashed data, see
        `splitopt.training.two_servers`. What is learned is the same.
    secure_aggregation
        Whether whoever averages client-side models over connections gets them masked, and so
        learns their sum alone, see `splitopt.training.wire.star.secure`.
    threshold
        With that: how many of the clients of a round must be left for the sum to be unmasked. None
        for two thirds of them, and 3 at least.
    batched
        Whether clients that are alike (the same cuts and batches of the same sizes) train side by
        side in one call of every layer, see `splitopt.training.model_parts.batched`. The same
        training, but sums are taken in another order.
    codec
        How the activations that cross a cut are sent: ``"none"`` as they are, or ``"fp16"``,
        ``"bf16"``, ``"int8"``, ``"int4"`` (each of both with ``":channel"`` and
        ``":stochastic"``), ``"topk:FRACTION"``, a codec of another package, or your own as
        ``FILE.py:NAME``, see `splitopt.training.codecs`.
    gradient_codec
        The same for the gradients that come back; None for that of ``codec``.
    padding
        How long the batches are where samples are of unequal length: all as long as the longest
        sample of the ``"data"``, as plans count them, or each as its own longest, by ``"batch"``,
        so that less is computed and sent.
    privacy
        Differential privacy by DP-SGD, see `splitopt.training.privacy_options.Privacy`; None for
        none.
    pixel_dp
        Noise behind a layer of the client part, see `splitopt.training.pixel_dp_options.PixelDP`;
        None for none.
    nopeek
        By what the distance correlation of a batch of inputs with its smashed data is multiplied
        before a device adds it to the loss (NoPeek, Vepakomma et al. 2020); 0 for none.
    remembering
        What is done against forgetting, see
        `splitopt.training.remembering_options.Remembering`; None for nothing.

    Raises
    ------
    InputError
        A value that is not one of these, or not positive where it must be.
    CapabilityError
        There is a codec, and no PyTorch.
    """

    optimizer: OptimizerName | str = "sgd"
    learning_rate: float = 0.05
    server_learning_rate: float | None = None
    momentum: float = 0.0
    weight_decay: float = 0.0
    local_epochs: int = 1
    local_steps: int | None = None
    aggregation_interval: int = 1
    cut_gradient: CutGradient = "mean"
    batch_norm: BatchNorm = "average"
    optimizer_state: OptimizerState = "reset"
    weights: Weights = "samples"
    order: Order | None = None
    server_order: ServerOrder | None = None
    client_fraction: float | None = None
    as_published: bool = False
    fed_server: bool = False
    secure_aggregation: bool = False
    threshold: int | None = None
    batched: bool = False
    clip_value: float | None = None
    codec: str = NONE
    gradient_codec: str | None = None
    lr_schedule: str = CONSTANT
    lr_warmup: int = 0
    padding: PaddingTo = "data"
    privacy: Privacy | None = None
    pixel_dp: PixelDP | None = None
    nopeek: float = 0.0
    remembering: Remembering | None = None

    def __post_init__(self) -> None:
        self._check_optimizer()
        for name, known in (
            ("cut_gradient", CutGradient),
            ("batch_norm", BatchNorm),
            ("optimizer_state", OptimizerState),
            ("weights", Weights),
            ("order", Order),
            ("server_order", ServerOrder),
            ("padding", PaddingTo),
        ):
            if getattr(self, name) is None and name in _OF_SCHEME:
                continue
            check_choice(name, getattr(self, name), get_args(known))
        for name in ("learning_rate", "server_learning_rate", "clip_value"):
            rate = getattr(self, name)
            if rate is not None and not 0 < rate < float("inf"):
                raise InputError.at(name, f"is {rate!r}, it must be above 0 and finite")
        for name in ("local_epochs", "local_steps", "aggregation_interval"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise InputError.at(name, f"is {value!r}, it must be a whole number >= 1")
        self.up_codec()
        self.down_codec()
        factor_of(self.lr_schedule, self.lr_warmup)
        check_together(self)

    def _check_optimizer(self) -> None:
        if not isinstance(self.optimizer, str) or not self._is_own:
            check_choice("optimizer", self.optimizer, (*OPTIMIZER.names(), "FILE.py:NAME"))
        if not 0 <= self.momentum < 1:
            raise InputError.at("momentum", f"is {self.momentum!r}, it must be from 0 to below 1")
        if not 0 <= self.weight_decay < float("inf"):
            raise InputError.at(
                "weight_decay", f"is {self.weight_decay!r}, it must be >= 0 and finite"
            )
        if self.momentum and self.optimizer != "sgd":
            raise InputError.at(
                "momentum", f"is for sgd, {self.optimizer} has moments of its own; leave it out"
            )
        if self.weight_decay and self._is_own:
            raise InputError.at(
                "weight_decay", "is for the known optimizers; let your own function set it"
            )

    def maker(self, role: Role) -> MakeOptimizer:
        """Return the function that makes the optimizer of a part.

        Raises
        ------
        InputError
            The user's own function cannot be found.
        """
        rate = self.learning_rate
        if role == "server" and self.server_learning_rate is not None:
            rate = self.server_learning_rate
        from splitopt.training import optimizers

        if self._is_own:
            make = optimizers.maker_of(self._function, self.optimizer, rate)
        else:
            make = optimizers.known(self.optimizer, rate, self.weight_decay, self.momentum)
        return make if self.clip_value is None else optimizers.clipped(make, self.clip_value)

    def penalty(self) -> Penalty | None:
        """Return what a device adds to the loss of a batch, None for nothing."""
        if not self.nopeek:
            return None
        from splitopt.training.model_parts.dependence import nopeek

        return nopeek(self.nopeek)

    @property
    def _is_own(self) -> bool:
        """Whether the optimizer is none of splitopt's own: the user's, or that of a package."""
        given = self.optimizer
        return ":" in given or given.endswith(".py") or given in OPTIMIZER.installed()

    @cached_property
    def _function(self) -> Callable[..., Any]:
        """The function of a package or the user; its file is run once."""
        from splitopt.training.optimizers import function_of

        return function_of(self.optimizer)

    @cached_property
    def rate(self) -> Factor | None:
        """By what the learning rates of a round are multiplied; None where nothing changes."""
        return factor_of(self.lr_schedule, self.lr_warmup)

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

        Codecs, a limit of gradients and learning rates that change are named where there are any,
        codecs each way by itself: what was begun before there were any goes on without them.
        """
        found = asdict(self)
        if self.privacy is None:
            del found["privacy"]
        else:
            found["privacy"] = self.privacy.identity()
        if self.pixel_dp is None:
            del found["pixel_dp"]
        else:
            found["pixel_dp"] = self.pixel_dp.identity()
        if not self.nopeek:
            del found["nopeek"]
        if self.remembering is None:
            del found["remembering"]
        else:
            found["remembering"] = self.remembering.identity()
        if self.clip_value is None:
            del found["clip_value"]
        if self.lr_schedule == CONSTANT:
            del found["lr_schedule"]
        if self.aggregation_interval == 1:
            del found["aggregation_interval"]
        if self.padding == "data":
            del found["padding"]
        for name in _WHERE_GIVEN:
            if not found[name]:
                del found[name]
        found["order"] = self.order or "given"
        up = found.pop("codec")
        down = found.pop("gradient_codec") or up
        if (up, down) != (NONE, NONE):
            found |= {"codec": up, "gradient_codec": down}
        return found

    def steps(self, batches_per_epoch: int) -> int:
        """Mini-batches of a client in a round."""
        return self.local_steps or self.local_epochs * batches_per_epoch
