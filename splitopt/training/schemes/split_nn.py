"""SplitNN (MP-SL section 4.3; Vepakomma et al. 2018, labels not shared): owners take turns."""

from __future__ import annotations

from typing import ClassVar

from splitopt.errors import InputError
from splitopt.training.model_parts.copies import Copy
from splitopt.training.options import Role
from splitopt.training.program import Takes
from splitopt.training.schemes.base import Scheme
from splitopt.training.schemes.tally import Round


class SplitNN(Scheme):
    """One model in three parts: owners hold the first and the last in turn, a node the middle.

    Every batch updates the common model. At the end of its turn an owner hands its two parts, and
    the state of their optimizers, to the next one. Nothing is copied or averaged.
    """

    name: ClassVar[str] = "split_nn"
    roles: ClassVar[tuple[Role, ...]] = ("device", "server", "device")
    takes: ClassVar[Takes] = "ends"

    def prepare(self) -> None:
        """Cut the common model; raise `InputError` for policies that need copies of it."""
        cuts = {client.cuts for client in self.clients}
        if len(cuts) != 1 or len(next(iter(cuts))) != 2:
            raise InputError("cuts: split_nn needs a first and a last cut that all owners share")
        if self.options.batch_norm == "local":
            raise InputError.at(
                "batch_norm",
                "is 'local', but the owners of split_nn train one model, whose statistics go on "
                "from owner to owner; choose average or frozen",
            )
        if self.options.optimizer_state == "average":
            raise InputError.at(
                "optimizer_state",
                "is 'average', but split_nn has one model and nothing to average; choose reset or "
                "keep",
            )
        self.common = Copy.of(
            self.model,
            next(iter(cuts)),
            self.roles,
            self.split,
            self.options,
            shared=True,
            about=self.about,
        )

    def copies(self) -> list[Copy]:
        """Return the common model, the only one."""
        return [self.common]

    def round(self, number: int) -> Round:
        """Train with all owners in turn, each on all of its batches of the round."""
        tally, parts = Round(), self.common.parts
        if self.options.optimizer_state == "reset":
            for part in parts:
                part.reset_optimizer()
        for client in self.order(number):
            self.note_model([self.common], tally, down=True)
            for batch in client.batches.take(self.steps(client)):
                self.train_batch(parts, batch, client, tally)
            self.note_model([self.common], tally, down=False)
            self.turn_ends([client])
        return tally

    @property
    def has_turns(self) -> bool:
        """Owners have them."""
        return True
