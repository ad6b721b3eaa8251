"""A module with its cuts: what can be taken apart where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from torch import nn

from splitopt.documents.checks import check_choice
from splitopt.errors import CapabilityError, InputError
from splitopt.profiles.table.tied import REFUSED, TIED
from splitopt.profiles.tracing.cuts.chain import Chain
from splitopt.profiles.tracing.cuts.examining import (
    DifferentError,
    Structure,
    check,
    layouts,
    structure,
)
from splitopt.profiles.tracing.cuts.finding import (
    FEW,
    HOW_TO_DECLARE,
    STAGES_METHOD,
    NotApplicableError,
    Stages,
    candidates,
    declares_stages,
    run_once,
)
from splitopt.profiles.tracing.cuts.hints import mend_of, refuse_compiled, told
from splitopt.profiles.tracing.cuts.packing import Layout
from splitopt.profiles.tracing.cuts.sharing import Shared, shared_weights
from splitopt.profiles.tracing.running.example import Inputs, resized, tensors_in
from splitopt.profiles.tracing.running.outputs import one_tensor
from splitopt.profiles.tracing.running.quiet import undisturbed
from splitopt.profiles.tracing.running.snapshot import Snapshot
from splitopt.profiles.tracing.running.state import State, state_of
from splitopt.profiles.tracing.running.wrapped import unwrapped
from splitopt.user_code import reason


class Span(NamedTuple):
    """A stretch of a chain: from value `first` to value `last`; `copy` if it begins in place."""

    first: int
    last: int
    copy: bool


@dataclass(frozen=True, eq=False)
class SplitModel:
    """A module and the cuts that it can be taken apart at.

    Made by `splitopt.profiles.tracing.find_cuts`, and by `splitopt.profiles.trace` with the table.

    Parameters
    ----------
    module
        The module, in training mode or not as it was given; nothing in it is changed.
    chain
        How it runs as a chain of values.
    structure
        Which of the values are cuts, and why others are not.
    tried
        The methods that did not apply before the one of the chain, with the reason.
    difference
        The largest relative difference between split and whole in outputs and gradients; 0 means
        bit for bit the same, None that they were not compared.
    state
        What the forward pass writes.
    packed
        Number of a value -> how the tensors that make it up are packed, where they are several.
    tied
        What is made of cuts between the uses of a trained weight: ``"refused"``, ``"together"`` or
        ``"copies"``, see `splitopt.profiles.tracing.find_cuts`.
    """

    module: nn.Module
    chain: Chain
    structure: Structure
    tried: tuple[str, ...] = ()
    difference: float | None = None
    state: State = field(default_factory=State)
    packed: Mapping[int, Layout] = field(default_factory=dict)
    tied: str = REFUSED

    @property
    def method(self) -> str:
        """``sequential``, ``fx``, ``export`` or ``stages``."""
        return self.chain.method

    @property
    def cuts(self) -> tuple[str, ...]:
        """Names of the cuts from the input to the output, without the output itself."""
        return self.layers[:-1]

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers between the cuts: each is named as the cut behind it."""
        return tuple(self.chain.names[value - 1] for value in self.structure.values)

    @property
    def refused(self) -> Mapping[str, str]:
        """Values that are no cuts, by name, with the reason."""
        return {self.chain.names[v - 1]: why for v, why in sorted(self.structure.refused.items())}

    @property
    def layouts(self) -> Mapping[str, Layout]:
        """The tensors that cross each cut where they are several, packed in one."""
        return {
            name: self.packed[value]
            for name, value in zip(self.cuts, self.structure.values, strict=False)
            if value in self.packed
        }

    @property
    def shared(self) -> list[Shared]:
        """Trained weights that several `layers` use, with the numbers of these from 0."""
        values = self.structure.values[:-1]
        return shared_weights(parts_between(self.chain, self.structure, values), self.module)

    @property
    def copying(self) -> tuple[str, ...]:
        """Cuts behind which the next part works in place; it is given a copy to work on."""
        return tuple(self.chain.names[value - 1] for value in sorted(self.structure.copying))

    @property
    def why_not_trained(self) -> str | None:
        """Why the cuts serve to count only; None where the parts can be trained."""
        if self.chain.trainable:
            return None
        said = (item.partition(": ")[2] for item in self.tried if item.startswith("export: "))
        return next(said, "no graph of both modes was found")

    def segments(
        self,
        cuts: Sequence[str | int],
        module: nn.Module | None = None,
        *,
        apart: bool = False,
    ) -> list[nn.Module]:
        """Split the module into parts.

        Parameters
        ----------
        cuts
            Names of `cuts`, or their numbers from 1, in the order from input to output. An empty
            sequence gives the whole in one part.
        module
            A copy of the module to take apart instead, such as ``copy.deepcopy`` gives.
        apart
            Whether several tensors that cross a cut are several results of the part before it, and
            several arguments of that behind, instead of being packed in one.

        Returns
        -------
        list of torch.nn.Module
            One more than cuts. The parameters and buffers are those of the module, not copies, and
            have the same names: the state dicts of the parts together are that of the module. A
            part that would write over what it is given works on a copy, so that it may be given a
            leaf that requires a gradient. Parts follow ``train()`` and ``eval()``. What crosses is
            one tensor; several are packed in one, see `layouts`.

        Raises
        ------
        InputError
            A cut that there is not, or cuts that are not in order.
        CapabilityError
            The cuts were found by torch.export, and its graph serves to count only.
        """
        spans = self.spans(cuts)
        chain = self.chain if module is None else self.chain.on(module)
        return [chain.part(span.first, span.last, copy=span.copy, apart=apart) for span in spans]

    def spans(self, cuts: Sequence[str | int]) -> list[Span]:
        """Return what the parts between some cuts span, by the numbers of values of the chain.

        Parameters
        ----------
        cuts
            As for `segments`, which raises the same errors.
        """
        if not self.chain.trainable:
            raise CapabilityError(
                "the cuts of this model were found by torch.export, whose graph is fixed in "
                f"training mode and serves to count only; to train its parts, {HOW_TO_DECLARE} "
                f"({self.why_not_trained})"
            )
        return spans_between(self.chain, self.structure, [self._value(cut) for cut in cuts])

    def split(self, module: nn.Module, cuts: Sequence[int]) -> list[nn.Module]:
        """Split a copy of the module behind the layers of these numbers, from 1."""
        return self.segments(tuple(cuts), module)

    def _value(self, cut: str | int) -> int:
        if isinstance(cut, str):
            if cut in self.cuts:
                return self.structure.values[self.cuts.index(cut)]
            why = self.refused.get(cut)
            raise InputError.at(
                "cuts",
                f"{cut!r} is no cut: {why}"
                if why
                else f"there is no {cut!r}; the cuts are {_listed(self.cuts)}",
            )
        if not 1 <= cut <= len(self.cuts):
            raise InputError.at(
                "cuts",
                f"{cut} is not a number from 1 to {len(self.cuts)}, the cuts of a model of "
                f"{len(self.layers)} layers",
            )
        return self.structure.values[cut - 1]


def find(
    module: nn.Module,
    inputs: Inputs,
    stages: Stages | None = None,
    method: str = "auto",
    verify: bool = True,
    most: int = 1,
    tied: str = REFUSED,
    shorter: Inputs | None = None,
) -> SplitModel:
    """Find the cuts of a module by the first method that applies; see the package.

    At most `most` tensors cross a cut; `tied` is for those between the uses of a weight. With
    `shorter`, the inputs with shorter samples, parts take samples of any length.
    """
    check_choice("tied", tied, TIED)
    module = unwrapped(module)
    refuse_compiled(module)
    run_once(module, resized(inputs, FEW))
    module = one_tensor(module, resized(inputs, FEW))
    with undisturbed(module) as before:
        state = state_of(module, inputs, before, FEW)
        tried: list[str] = []
        chosen = candidates(module, inputs, stages, method, state, most, shorter)
        for name, search in chosen:
            module.train()
            try:
                chain = search()
                found = structure(chain, module, inputs, state, tied)
                made = _found(module, inputs, chain, found, state, before, verify)
                return replace(made, tried=tuple(tried), tied=tied)
            except InputError:
                raise
            except (NotApplicableError, DifferentError) as error:
                tried.append(f"{name}: {error}")
            except Exception as error:
                tried.append(f"{name}: {_explained(error)}")
            before.restore()
            before.drop_gradients()
    if stages is not None or (chosen[0][0] == "stages" and declares_stages(module)):
        what = "declared stages" if stages is not None else f"stages of {STAGES_METHOD}()"
        raise InputError(
            f"the {what} do not work ({tried[0].partition(': ')[2]}); they must be the layers or "
            "functions that the module runs through in order, each from one tensor to one"
        )
    said = "; ".join(told(tried)) or "no method applies"
    raise InputError(f"no cut was found; {mend_of(tried)} (tried: {said})")


def _found(
    module: nn.Module,
    inputs: Inputs,
    chain: Chain,
    found: Structure,
    state: State,
    before: Snapshot,
    verify: bool,
) -> SplitModel:
    """See where a chain can be cut, and compare split and whole.

    Raises
    ------
    NotApplicableError, DifferentError
        Nowhere.
    """
    if len(found.values) == 1:
        raise NotApplicableError(_why_none(found))
    difference = None
    if verify and not _is_meta(inputs):
        found, difference = check(
            module,
            partial(parts_between, chain, found),
            found,
            inputs,
            before,
            state,
            evaluate=chain.trainable,
        )
    packed = layouts(chain, found.values, inputs)
    return SplitModel(module, chain, found, (), difference, state, packed)


def parts_between(
    chain: Chain, found: Structure, cuts: Sequence[int], *, apart: bool = False
) -> list[nn.Module]:
    """Build the parts between some values of a chain; with `apart` several tensors are a tuple."""
    return [
        chain.part(span.first, span.last, copy=span.copy, apart=apart)
        for span in spans_between(chain, found, cuts)
    ]


def spans_between(chain: Chain, found: Structure, cuts: Sequence[int]) -> list[Span]:
    """Return the stretches of a chain between some of its values."""
    bounds = [0, *cuts, chain.length]
    if any(one >= two for one, two in pairwise(bounds)):
        raise InputError.at("cuts", "must be different and stand in order from input to output")
    return [Span(first, last, first in found.copying) for first, last in pairwise(bounds)]


def _why_none(found: Structure) -> str:
    if not found.refused:
        return (
            "no value lies between input and output that all else runs through; what many layers "
            "read beside it, such as a table or a mask made from the numbers of the input, must be "
            "made anew in each of them, be a buffer, or cross beside it (most_tensors=2)"
        )
    reasons = list(dict.fromkeys(found.refused.values()))
    return f"none of {len(found.refused)} values can be cut at: {'; '.join(reasons[:2])}"


def _explained(error: Exception) -> str:
    """Return what an exception of a tracer means, if it is known."""
    kind = type(error).__name__
    if "DataDependent" in kind:
        return f"the control flow depends on the numbers of the input ({kind})"
    if kind == "TraceError":
        return f"a branch or loop depends on the input or on its shape ({kind})"
    return reason(error)


def _is_meta(inputs: Inputs) -> bool:
    return any(item.device.type == "meta" for item in tensors_in(inputs))


def _listed(names: Sequence[str], limit: int = 12) -> str:
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown}, ... ({len(names)} in all)"
