"""What every optimizer must do in parts of a model, between rounds and after a break."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from splitopt.training.conformance.findings import Finding, first_difference, found, global_draws
from splitopt.training.conformance.samples import network, split
from splitopt.training.model_parts.copies import Copy
from splitopt.training.model_parts.parts import MakeOptimizer
from splitopt.training.optimizers import maker_of
from splitopt.training.options import Options

Function = Callable[..., Any]
_RATE = 0.05


def _copy(function: Function, cuts: tuple[int, ...] = ()) -> Copy:
    """Return the small model in parts with an optimizer for each."""
    roles = ("device", *("server" for _ in cuts))
    return Copy.of(network(), cuts, roles, split, _Asked(function), shared=True)  # type: ignore[arg-type]


class _Asked:
    """Options with a function in place of an optimizer's name."""

    batch_norm = Options.batch_norm
    rate = None

    def __init__(self, function: Function) -> None:
        self._function = function

    @staticmethod
    def penalty() -> None:
        """Return what is added to the loss, which is nothing."""

    def maker(self, role: str) -> MakeOptimizer:  # noqa: ARG002
        """Return what makes the optimizer of a part."""
        return maker_of(self._function, "it", _RATE)


def _train(own: Copy, steps: Sequence[int]) -> None:
    """Run steps with gradients that their numbers draw."""
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        for parameter in own.model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        for part in own.parts:
            part.step()


def _state(own: Copy) -> dict[str, Tensor]:
    return own.state()


def _is_made(function: Function) -> Finding:
    own = _copy(function)
    optimizer = own.parts[0].optimizer
    assert optimizer is not None
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if {*map(id, held)} != {*map(id, own.model.parameters())} or len(held) != len({*held}):
        return "failed", "the optimizer does not hold each of the parameters that it was given once"
    rates = {group.get("lr") for group in optimizer.param_groups}
    return found(
        rates == {_RATE},
        "it holds the parameters that it was given, at the learning rate that it was given",
        f"it was given lr={_RATE} and has {sorted(map(str, rates))}",
    )


def _moves(function: Function) -> Finding:
    own = _copy(function)
    before = copy.deepcopy(_state(own))
    own.parts[0].step()
    if odd := first_difference(before, _state(own)):
        return "failed", f"a step without any gradient changes {odd}"
    _train(own, [1])
    still = [name for name, value in _state(own).items() if torch.equal(value, before[name])]
    if still:
        return "failed", f"a step with gradients leaves {still[0]} as it was"
    broken = [name for name, value in _state(own).items() if not torch.isfinite(value).all()]
    return found(
        not broken,
        "a step moves every parameter with a gradient, and none without",
        f"a step with gradients makes {broken[0] if broken else ''} not finite",
    )


def _is_deterministic(function: Function) -> Finding:
    states = []
    for draws in (1, 2):
        with global_draws(draws):
            own = _copy(function)
            _train(own, range(4))
        states.append(_state(own))
    odd = first_difference(*states)
    return found(
        odd is None,
        "the same gradients give the same weights, bit for bit",
        f"the same gradients give another {odd} when they come again",
    )


def _goes_on(function: Function) -> Finding:
    """All that an optimizer remembers must be tensors of its state, by parameter."""
    whole, before, after = (_copy(function) for _ in range(3))
    _train(whole, range(6))
    _train(before, range(3))
    after.model.load_state_dict(_state(before))
    after.load_moments({name: value.clone() for name, value in before.moments().items()})
    _train(after, range(3, 6))
    odd = first_difference(_state(whole), _state(after))
    return found(
        odd is None,
        "steps after its state was saved and restored are those without a break, bit for bit",
        f"{odd} after a break is not that without one; what is remembered must be tensors in the "
        "optimizer's state by parameter",
    )


def _begins_anew(function: Function) -> Finding:
    """Compare one that was used and is made again with one that was not."""
    used, fresh = _copy(function), _copy(function)
    _train(used, range(3))
    used.model.load_state_dict(_state(fresh))
    for own in (used, fresh):
        own.parts[0].reset_optimizer()
        _train(own, range(3))
    odd = first_difference(_state(used), _state(fresh))
    return found(
        odd is None,
        "one that is made anew begins anew",
        f"{odd} shows that one that is made anew remembers the one before",
    )


def _does_not_see_the_cut(function: Function) -> Finding:
    whole, parts = _copy(function), _copy(function, (3,))
    for own in (whole, parts):
        _train(own, range(4))
    odd = first_difference(_state(whole), _state(parts))
    return found(
        odd is None,
        "two parts with an optimizer each learn what one for the whole does, bit for bit",
        f"{odd} is another one where the model is cut, so that a plan changes what is learned; a "
        "step may depend on one parameter at a time",
    )


CHECKS: dict[str, Callable[[Function], Finding]] = {
    "holds the parameters that it is given": _is_made,
    "moves what has a gradient": _moves,
    "same gradients give the same steps": _is_deterministic,
    "goes on from its state": _goes_on,
    "begins anew when it is made anew": _begins_anew,
    "does not depend on the cut": _does_not_see_the_cut,
}
"""Check -> what it does with a function that makes optimizers."""
