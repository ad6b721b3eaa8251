"""Stages on several machines each: a round is a step over micro-batches that these share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from splitopt.errors import InputError
from splitopt.simulation.schedules import deal
from splitopt.training.data.named import Inputs
from splitopt.training.model_parts.averaging import average, load_state
from splitopt.training.model_parts.copies import Copy, Split, tensor_bytes
from splitopt.training.model_parts.parts import Part, backward_chain, forward_chain
from splitopt.training.options import Role
from splitopt.training.schemes.base import Client, Scheme
from splitopt.training.schemes.client import finite_loss
from splitopt.training.schemes.tally import Round


@dataclass(frozen=True)
class ReplicaSplit(Split):
    """How a model is cut into stages, and how each deals micro-batches to its machines.

    Parameters
    ----------
    shares
        For each stage, for each of its machines: the part of the micro-batches that it does.
    """

    shares: Sequence[Sequence[float]] = field(default_factory=tuple)


class ReplicatedStages(Scheme):
    """One model in stages, of which some have several machines with all weights of the stage.

    The one client is the host, which has all data. In a round each micro-batch passes one machine
    of every stage, forward and backward. Then the machines of a stage add up what their
    micro-batches give to the gradient of the mean loss over all samples (an all-reduce), and the
    optimizer makes the step that the whole model would make; all machines of the stage have the
    new weights. Running statistics are of each machine's own micro-batches, and their mean over
    samples begins the next round.
    """

    name: ClassVar[str] = "replicas"
    roles: ClassVar[tuple[Role, ...]] = ("server",)

    def prepare(self) -> None:
        """Make the copies; raise `InputError` for another plan, or for what they cannot do."""
        self._check_options()
        split = self.split
        if not isinstance(split, ReplicaSplit):
            raise InputError.at(
                "scheme",
                "is 'replicas', which trains plans of replicated_pipeline; choose one that trains "
                "this plan",
            )
        self.shares = split.shares
        cuts, roles = self.clients[0].cuts, self.roles_of(self.clients[0])
        most = max(map(len, self.shares))
        self.replicas = [
            Copy.of(
                self.model, cuts, roles, split, self.options, shared=number == 0, about=self.about
            )
            for number in range(most)
        ]
        self.common = self.replicas[0]
        named = self.model.state_dict(keep_vars=True).items()
        held = [{id(buffer) for buffer in part.module.buffers()} for part in self.common.parts]
        written = self.common.statistics - self.common.fixed
        self.written = [
            [name for name, value in named if id(value) in own and name in written] for own in held
        ]

    def _check_tied(self) -> None:
        """Reject cuts between the uses of a weight, whose gradients stages do not exchange."""
        for name in self.parties_tied():
            raise InputError.at(
                "scheme",
                f"is 'replicas', and two stages train the tied weight {name}, whose gradients "
                "they do not exchange; plan with a profile in which one layer has all its uses, or "
                "train with --scheme centralized",
            )

    def _check_options(self) -> None:
        """Raise `InputError` for options of clients that average, or of what crosses a cut."""
        options = self.options
        if options.privacy is not None:
            raise InputError.at(
                "privacy",
                "needs the gradient of every sample, and stages pass on those of micro-batches; "
                "train with --scheme centralized, or leave it out",
            )
        for name in ("nopeek", "pixel_dp"):
            if getattr(options, name):
                raise InputError.at(
                    name,
                    "protects the data of devices from a server, and under replicas one host has "
                    "all of it; leave it out",
                )
        if options.has_codecs:
            raise InputError.at(
                "codec",
                "is for cuts between devices and servers, and the plan's stages have the bytes of "
                "plain tensors; leave it out",
            )
        if options.batch_norm == "local":
            raise InputError.at(
                "batch_norm",
                "is 'local', and under replicas there is one model, to which the statistics of "
                "all machines belong; leave it out",
            )
        if options.optimizer_state == "average":
            raise InputError.at(
                "optimizer_state",
                "is 'average', but replicas has one optimizer and nothing to average; leave it out",
            )

    def roles_of(self, client: Client) -> tuple[Role, ...]:
        """Every stage is a party of its own."""
        return tuple("server" for _ in range(len(client.cuts) + 1))

    def copies(self) -> list[Copy]:
        """Return the common model: the others are as it is between two rounds."""
        return [self.common]

    def round(self, number: int) -> Round:  # noqa: ARG002 - all rounds are alike
        """Train with the micro-batches of a step, and make it."""
        tally, client = Round(), self.clients[0]
        for own in self.replicas[1:]:
            load_state(own.model, self.model.state_dict())
        batches = list(client.batches.take(self.steps(client)))
        dealt = [deal(own, len(batches)) for own in self.shares]
        samples = sum(len(inputs) for inputs, _ in batches)
        done = [[0] * len(own) for own in self.shares]
        for place, batch in enumerate(batches):
            machines = [own[place] for own in dealt]
            parts = [self.replicas[r].parts[m] for m, r in enumerate(machines)]
            self._micro_batch(parts, batch, client, samples, tally)
            for stage, machine in enumerate(machines):
                done[stage][machine] += len(batch[0])
        self._all_reduce(tally)
        for part in self.common.parts:
            part.step()
        self._statistics(done)
        return tally

    def _micro_batch(
        self,
        parts: Sequence[Part],
        batch: tuple[Inputs, Tensor],
        client: Client,
        samples: int,
        tally: Round,
    ) -> None:
        """Run both passes of a micro-batch, which counts by its samples among those of the step."""
        inputs, targets = batch
        passes = forward_chain(parts, inputs, client.stream)
        loss = self.criterion(passes[-1].result, targets)
        tally.note(client.name, finite_loss(loss, client), len(inputs))
        crossed = backward_chain(passes, loss * (len(inputs) / samples))
        tally.traffic.smashed += sum(tensor_bytes(own.sent) for own in passes[:-1])
        tally.traffic.gradient += sum(map(tensor_bytes, crossed))

    def _all_reduce(self, tally: Round) -> None:
        """Add up the gradients of all machines of a stage, in the common model.

        Around a ring R machines send R - 1 times the gradients, and R - 1 times the weights.
        """
        for stage, part in enumerate(self.common.parts):
            others = [own.parts[stage] for own in self.replicas[1 : len(self.shares[stage])]]
            size = 0
            for own, *far in zip(*(p.module.parameters() for p in (part, *others)), strict=True):
                if not own.requires_grad:
                    continue
                size += tensor_bytes(own)
                for gradient in (copy.grad for copy in far):
                    if gradient is not None:
                        own.grad = gradient if own.grad is None else own.grad + gradient
            for other in others:
                other.module.zero_grad(set_to_none=True)
            tally.traffic.model_up += len(others) * size
            tally.traffic.model_down += len(others) * size

    def _statistics(self, done: Sequence[Sequence[int]]) -> None:
        """Put the means of what the machines of each stage have written into the common model."""
        for stage, names in enumerate(self.written):
            counts = done[stage]
            if len(counts) == 1 or not names:
                continue
            found = [own.model.state_dict() for own in self.replicas[: len(counts)]]
            with torch.no_grad():
                means = average([{n: own[n] for n in names} for own in found], counts)
            load_state(self.model, means)
