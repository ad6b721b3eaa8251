"""What is done against forgetting where devices train one model in turn.

Free of PyTorch; what it means is done in `splitopt.training.remembering`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from splitopt.documents.checks import check_choice, is_finite, is_whole
from splitopt.errors import InputError, shown

EwcForm = Literal["accumulated", "online"]


@dataclass(frozen=True)
class Remembering:
    """Baselines against catastrophic forgetting; they go together.

    Parameters
    ----------
    ewc
        lambda of elastic weight consolidation (Kirkpatrick et al. 2017, Eq. 3): lambda/2 times the
        sum over earlier turns of F (w - w*)^2 is added to the loss, where w* are the weights at
        the end of a turn and F the diagonal of the (empirical) Fisher matrix there. None for none.
    ewc_form
        ``"accumulated"``: the penalty of every turn stays around its own w*, the exact sum, as two
        tensors for each weight. ``"online"``: all of them stand around the last w* (Schwarz et al.
        2018), one tensor for each weight.
    ewc_decay
        By what the penalties of earlier turns are multiplied at the end of each turn, above 0 and
        at most 1 (gamma of Schwarz et al. 2018). With 1 they add up without a limit.
    ewc_samples
        Of how many samples of the device F is the mean, at most.
    replay
        How many samples of each class the server keeps of earlier turns, as smashed data with their
        labels, to learn from beside every batch that arrives. None for none.
    oversample
        Whether a device draws its classes equally often: as many samples in an epoch as it has, in
        equal parts of the classes that it has.
    turn_batches
        Mini-batches of a turn, so that a round has several turns of every device; None for one
        turn with all the batches of the round.

    Raises
    ------
    InputError
        A number out of its range, a name that is none, or nothing that is asked for.
    """

    ewc: float | None = None
    ewc_form: EwcForm = "accumulated"
    ewc_decay: float = 1.0
    ewc_samples: int = 64
    replay: int | None = None
    oversample: bool = False
    turn_batches: int | None = None

    def __post_init__(self) -> None:
        check_choice("ewc_form", self.ewc_form, get_args(EwcForm))
        if self.ewc is not None and not (is_finite(self.ewc) and self.ewc >= 0):
            raise InputError.at("ewc", f"is {shown(self.ewc)}, it must be a number >= 0 and finite")
        if not (is_finite(self.ewc_decay) and 0 < self.ewc_decay <= 1):
            raise InputError.at(
                "ewc_decay", f"is {shown(self.ewc_decay)}, it must be above 0 and at most 1"
            )
        for name, least in (("ewc_samples", 1), ("replay", 0), ("turn_batches", 1)):
            value = getattr(self, name)
            if value is not None and not is_whole(value, least):
                raise InputError.at(
                    name, f"is {shown(value)}, it must be a whole number >= {least}"
                )
        if not isinstance(self.oversample, bool):
            raise InputError.at(
                "oversample", f"is {shown(self.oversample)}, it must be True or False"
            )
        if not self.asked:
            raise InputError.at(
                "remembering",
                "asks for nothing; give ewc, replay, oversample or turn_batches, or leave it out",
            )

    @property
    def asked(self) -> tuple[str, ...]:
        """Names of what is asked for."""
        found = {
            "ewc": self.ewc is not None,
            "replay": self.replay is not None,
            "oversample": self.oversample,
            "turn_batches": self.turn_batches is not None,
        }
        return tuple(name for name, is_given in found.items() if is_given)

    @property
    def handed_on(self) -> int:
        """Tensors of EWC that go with each trained weight from device to device."""
        return 0 if self.ewc is None else 2 if self.ewc_form == "accumulated" else 1

    def expect_copies(self, scheme: str) -> None:
        """Raise `InputError` for what a scheme of copies, `scheme`, does not have."""
        for name in self.asked:
            if name != "oversample":
                raise InputError.at(
                    name,
                    f"is for vanilla, whose devices train one model in turn, not for {scheme}; "
                    "train by --scheme vanilla, or leave it out",
                )

    def identity(self) -> dict[str, Any]:
        """Return what makes a run another one, as plain data."""
        found = {name: value for name, value in asdict(self).items() if value is not None}
        if self.ewc is None:
            for name in ("ewc_form", "ewc_decay", "ewc_samples"):
                del found[name]
        if not self.oversample:
            del found["oversample"]
        return found
