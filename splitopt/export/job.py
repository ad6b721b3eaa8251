"""What an export has to write: a plan whose cuts were found in the model it is for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from torch import Tensor

from splitopt.export.code import PartCode, code_of
from splitopt.export.holders import Chain
from splitopt.export.shapes import Shape, shapes_at
from splitopt.export.weights import tensors_of
from splitopt.models.adapters.choice import Adapters
from splitopt.plans import Plan
from splitopt.profiles.tracing.cuts.sharing import shared_weights
from splitopt.profiles.tracing.running.example import Inputs
from splitopt.profiles.tracing.split import SplitModel
from splitopt.training.program import Program

Ends = tuple[str | None, str | None]
"""The cuts between which a part lies; None is the input, or the output."""


@dataclass(frozen=True)
class Origin:
    """Where a model comes from.

    Parameters
    ----------
    target
        ``NAME`` of a shipped network, ``hf:FOLDER``, ``MODULE:FACTORY``, or None for a module that
        was given.
    shipped
        Whether the export brings its source along: a shipped network, or one of HuggingFace.
    classes
        The width of a shipped network's output, None by default.
    adapters
        Those that the model was given after it was built; None for none.
    """

    target: str | None
    shipped: bool = False
    classes: int | None = None
    adapters: Adapters | None = None


@dataclass(frozen=True)
class WrittenPart:
    """One part: its name, where it lies, and the layers of the profile in it."""

    name: str
    ends: Ends
    layers: tuple[str, ...]

    @property
    def title(self) -> str:
        """Return where it lies, in words that fit a docstring whatever a layer is called."""
        start, end = (None if cut is None else _harmless(cut) for cut in self.ends)
        begins = "From the input" if start is None else f"From behind {start}"
        return f"{begins} to the output." if end is None else f"{begins} to behind {end}."


@dataclass(frozen=True, eq=False)
class Job:
    """An export that is to be written.

    Parameters
    ----------
    plan, program
        The plan, and what it asks of whoever trains.
    chains
        Every client's cuts, and who holds the parts between them.
    split
        The model, split.
    inputs
        An example of what it takes, the first axis being the batch.
    fingerprint
        Of the model's layers, see `splitopt.training.preparing.matching`.
    origin
        Where the model comes from.
    weights
        The weights to go with it, by the names of parameters and buffers.
    """

    plan: Plan
    program: Program
    chains: tuple[Chain, ...]
    split: SplitModel
    inputs: Inputs
    fingerprint: str
    origin: Origin
    weights: dict[str, Tensor] | None = None

    @cached_property
    def parts(self) -> tuple[WrittenPart, ...]:
        """All different parts of all chains, in the order of the forward pass."""
        order = {name: place for place, name in enumerate(self.split.layers)}
        ends = {pair for chain in self.chains for pair in ends_of(chain.cuts)}

        def place(pair: Ends) -> tuple[int, int]:
            start, end = pair
            last = len(order) if end is None else order[end]
            return (-1 if start is None else order[start], last)

        return tuple(
            WrittenPart(f"Part{number}", pair, self._layers(pair))
            for number, pair in enumerate(sorted(ends, key=place), start=1)
        )

    @cached_property
    def codes(self) -> dict[str, PartCode]:
        """The class of every part, by its name.

        Raises
        ------
        CapabilityError
            The model uses what cannot be written as code.
        """
        return {part.name: self._code(part.ends) for part in self.parts}

    @cached_property
    def shapes(self) -> dict[str | None, Shape | None]:
        """Shape and type of what crosses each cut that is used, and of the output (None)."""
        used = {cut for chain in self.chains for cut in chain.cuts}
        return shapes_at(
            self.split, [name for name in self.split.cuts if name in used], self.inputs
        )

    def tied(self, chain: Chain) -> list[str]:
        """Return the trained weights that several parts of a client's chain use."""
        found = shared_weights(self.split.segments(chain.cuts), self.split.module)
        return [name for name, _, _ in found]

    def parts_of(self, chain: Chain) -> tuple[WrittenPart, ...]:
        """Return the parts of one client's chain."""
        known = {part.ends: part for part in self.parts}
        return tuple(known[pair] for pair in ends_of(chain.cuts))

    def tensors_of(self, part: WrittenPart) -> tuple[str, ...]:
        """Return the parameters and buffers of the model in a part, by all their names there."""
        known = {*tensors_of(self.split.module), *self.split.module.state_dict()}
        module = self.split.segments(_cuts_at(part.ends))[_place(part.ends)]
        names = (
            *(name for name, _ in module.named_parameters(remove_duplicate=False)),
            *(name for name, _ in module.named_buffers(remove_duplicate=False)),
        )
        return tuple(dict.fromkeys(name for name in names if name in known))

    def _code(self, pair: Ends) -> PartCode:
        span = self.split.spans(_cuts_at(pair))[_place(pair)]
        return code_of(self.split, span, len(self.inputs))

    def _layers(self, pair: Ends) -> tuple[str, ...]:
        names = self.program.profile.layers
        start = 0 if pair[0] is None else names.index(pair[0]) + 1
        return names[start : None if pair[1] is None else names.index(pair[1]) + 1]


def ends_of(cuts: Sequence[str]) -> list[Ends]:
    """Return where the parts between some cuts begin and end."""
    return list(pairwise([None, *cuts, None]))


def _cuts_at(pair: Ends) -> list[str]:
    """Return the cuts at the ends of a part."""
    return [cut for cut in pair if cut is not None]


def _place(pair: Ends) -> int:
    """Return the number of a part among those between the cuts at its own ends."""
    return 0 if pair[0] is None else 1


def _harmless(name: str) -> str:
    """Quote a name so that it ends no text that it stands in."""
    return repr(name).replace('"', r"\"")
