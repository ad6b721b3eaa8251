"""The parts of a graph on machines of their own: a round is a step over some micro-batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from splitopt.errors import InputError
from splitopt.training.data.named import Inputs, arguments_of
from splitopt.training.graph.split import GraphSplit
from splitopt.training.model_parts.averaging import statistics_of
from splitopt.training.model_parts.copies import Copy
from splitopt.training.model_parts.parts import Part
from splitopt.training.options import Role
from splitopt.training.program import Takes
from splitopt.training.schemes.base import Client, Scheme
from splitopt.training.schemes.client import finite_loss
from splitopt.training.schemes.tally import Round


class GraphParts(Scheme):
    """One model in parts that exchange tensors through the memory of their host.

    The one client is the host, which has all data. In a round the parts pass its micro-batches on,
    forward and backward, and then the optimizer of every machine makes a step with the gradient of
    the mean loss over all samples: the step that the whole model would make.
    """

    name: ClassVar[str] = "graph"
    roles: ClassVar[tuple[Role, ...]] = ("server",)
    takes: ClassVar[Takes] = "nothing"

    def prepare(self) -> None:
        """Build the parts; raise `InputError` for another plan, or for what they cannot do."""
        split = self.split
        if not isinstance(split, GraphSplit):
            raise InputError.at(
                "scheme",
                "is 'graph', which trains plans of graph_partition; choose one that trains this "
                "plan",
            )
        self._check_options()
        self.pipeline = split.pipeline(self.model)
        maker = self.options.maker("server")
        parts = [Part(piece.module, maker) for piece in self.pipeline.pieces.values()]
        roles: tuple[Role, ...] = tuple("server" for _ in parts)
        self.common = Copy(
            self.model,
            parts,
            roles,
            split.written | frozenset(statistics_of(self.model)),
            rate=self.options.rate,
        )

    def _check_options(self) -> None:
        """Raise `InputError` for options of clients that average, or of a chain of layers."""
        options = self.options
        if options.privacy is not None:
            raise InputError.at(
                "privacy",
                "needs the gradient of every sample, which the parts of a graph do not form; "
                "train with --scheme centralized, or leave it out",
            )
        if options.batch_norm != "average":
            raise InputError.at(
                "batch_norm",
                f"is {options.batch_norm!r}, and under graph there is one model, whose statistics "
                "go on from micro-batch to micro-batch; leave it out",
            )
        if options.optimizer_state == "average":
            raise InputError.at(
                "optimizer_state",
                "is 'average', but graph has one model and nothing to average; leave it out",
            )
        if options.padding == "batch":
            raise InputError.at(
                "padding",
                "is 'batch', and the parts of a graph take samples of one length; leave it out",
            )

    def copies(self) -> list[Copy]:
        """Return the common model, the only one."""
        return [self.common]

    def round(self, number: int) -> Round:  # noqa: ARG002 - all rounds are alike
        """Train with the micro-batches of a step, and make it."""
        tally, client = Round(), self.clients[0]
        before = self._bytes()
        batches = list(client.batches.take(self.steps(client)))
        samples = sum(len(inputs) for inputs, _ in batches)
        for batch in batches:
            self._micro_batch(batch, client, samples, tally)
        for part in self.common.parts:
            part.step()
        after = self._bytes()
        tally.traffic.smashed += after[0] - before[0]
        tally.traffic.gradient += after[1] - before[1]
        return tally

    def _micro_batch(
        self, batch: tuple[Inputs, Tensor], client: Client, samples: int, tally: Round
    ) -> None:
        """Run both passes of a micro-batch, which counts by its samples among those of the step."""
        inputs, targets = batch
        values: list[float] = []

        def root(result: Tensor) -> tuple[Tensor, None]:
            loss = self.criterion(result, targets)
            values.append(finite_loss(loss, client))
            return loss * (len(inputs) / samples), None

        with client.stream.active():
            self.pipeline.train(arguments_of(inputs), root)
        tally.note(client.name, values[0], len(inputs))

    def _bytes(self) -> Sequence[int]:
        """Return the bytes of outputs and of gradients that machines have exchanged so far."""
        rows = self.pipeline.traffic.values()
        return sum(r.output_bytes for r in rows), sum(r.gradient_bytes for r in rows)
