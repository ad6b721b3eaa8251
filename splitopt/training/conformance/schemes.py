"""What every scheme must do, against the unsplit model, what really crosses, and itself."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from splitopt.errors import InputError
from splitopt.training.codecs.crossing import DOWN, UP, Crossing
from splitopt.training.conformance.findings import (
    Finding,
    first_difference,
    found,
    global_draws,
)
from splitopt.training.conformance.over_connections import drops_clients, same_over_connections
from splitopt.training.conformance.samples import STREAM, build, is_cut
from splitopt.training.data.named import Inputs
from splitopt.training.model_parts.averaging import state_bytes
from splitopt.training.model_parts.copies import tensor_bytes
from splitopt.training.options import Options
from splitopt.training.schemes import Client, Round, Scheme

Kind = type[Scheme]
_RATE = 0.1
_DROPOUT = 0.3


def _learns_as_the_whole(kind: Kind) -> Finding:
    """Compare one client with one batch with a loop of PyTorch over the unsplit model."""
    scheme = build(kind, Options(learning_rate=_RATE), sizes=(9,), batch=None, dropout=_DROPOUT)
    whole, batches = copy.deepcopy(scheme.model), copy.deepcopy(scheme.clients[0].batches)
    whole.train()
    losses = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(STREAM)
        for _ in range(2):
            inputs, targets = batches.draw()
            loss = nn.functional.cross_entropy(whole(inputs), targets)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.optim.SGD(whole.parameters(), lr=_RATE).step()
            whole.zero_grad()
            losses.append(float(loss.detach()))
    own = [scheme.round(number).loss for number in range(2)]
    if own != losses:
        return "failed", f"its losses are {own}, those of the whole model {losses}"
    odd = first_difference(dict(scheme.model.state_dict()), dict(whole.state_dict()))
    return found(
        odd is None,
        "two rounds of one client are those of the unsplit model, bit for bit",
        f"after two rounds of one client {odd} is not that of the unsplit model",
    )


class _Counted:
    """The cuts of a client, and what travels over them."""

    def __init__(self, inner: Crossing, sent: Counter[str]) -> None:
        self._inner, self._sent = inner, sent

    def up(self, cut: int, value: Tensor) -> Tensor:
        """Count activations."""
        encoded = self._inner.encode(UP, cut, value)
        self._sent["smashed"] += encoded.size
        return self._inner.decode(UP, encoded, cut)

    def down(self, cut: int, value: Tensor) -> Tensor:
        """Count gradients."""
        encoded = self._inner.encode(DOWN, cut, value)
        self._sent["gradient"] += encoded.size
        return self._inner.decode(DOWN, encoded, cut)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _watch(scheme: Scheme, client: Client, sent: Counter[str]) -> None:
    """Count what a client draws and sends."""
    roles, draw = scheme.roles_of(client), client.batches.draw
    labels_travel = len(roles) > 1 and roles[-1] == "server"

    def counted() -> tuple[Inputs, Tensor]:
        inputs, targets = draw()
        sent["samples"] += len(inputs)
        sent["label"] += tensor_bytes(targets) if labels_travel else 0
        return inputs, targets

    client.batches.draw = counted  # type: ignore[method-assign]
    client.crossing = _Counted(client.crossing, sent)  # type: ignore[assignment]


def _counts_what_crosses(kind: Kind) -> Finding:
    options = [Options(learning_rate=_RATE)]
    if is_cut(build(kind, options[0])):
        options.append(Options(learning_rate=_RATE, codec="int8", gradient_codec="topk:0.5"))
    for own in options:
        scheme, sent = build(kind, own), Counter[str]()
        for client in scheme.clients:
            _watch(scheme, client, sent)
        tally: object = scheme.round(0)
        if not isinstance(tally, Round):
            return "failed", f"round gives {type(tally).__name__} and no Round"
        counted = {**asdict(tally.traffic), "samples": tally.samples}
        for name in ("samples", "smashed", "gradient", "label"):
            if counted[name] != sent[name]:
                unit = "samples" if name == "samples" else f"bytes of {name}"
                return "failed", (
                    f"with codec {own.codec} it counts {counted[name]} {unit}, and {sent[name]} "
                    "were sent"
                )
    return "passed", "activations, gradients, labels and samples are counted as they were sent"


def _is_deterministic(kind: Kind) -> Finding:
    """Compare two runs of one seed, with other global random numbers before."""
    runs = []
    for draws in (1, 2):
        served: list[str] = []
        with global_draws(draws):
            options = Options(learning_rate=_RATE, order="shuffled")
            scheme = build(kind, options, dropout=_DROPOUT)
            for client in scheme.clients:
                _note_turns(client, served)
            for number in range(3):
                scheme.round(number)
        runs.append((served, scheme.state_dict()))
    (first, one), (second, other) = runs
    if first != second:
        return "failed", "clients are served in another order when it is run again"
    odd = first_difference(one, other)
    return found(
        odd is None,
        "three rounds are the same bits and orders when they are run again",
        f"{odd} is another one when three rounds are run again with the same seed",
    )


def _note_turns(client: Client, served: list[str]) -> None:
    draw, name = client.batches.draw, client.name

    def noted() -> tuple[Inputs, Tensor]:
        served.append(name)
        return draw()

    client.batches.draw = noted  # type: ignore[method-assign]


def _goes_on(kind: Kind) -> Finding:
    """Compare four rounds with two and two more of another object that is given the state."""
    from safetensors.torch import load

    options = _keeping(kind)

    def fresh() -> Scheme:
        return build(kind, options, dropout=_DROPOUT, batch_norm=True)

    whole, before, after = fresh(), fresh(), fresh()
    for number in range(4):
        whole.round(number)
    for number in range(2):
        before.round(number)
    after.load_state_dict(load(state_bytes(before.state_dict())))
    for number in range(2, 4):
        after.round(number)
    odd = first_difference(whole.state_dict(), after.state_dict())
    return found(
        odd is None,
        "a run that goes on from its state is the uninterrupted one, bit for bit",
        f"{odd} of a run that goes on is not that of an uninterrupted one; state_dict and "
        "load_state_dict must have all that the next round depends on",
    )


def _keeping(kind: Kind) -> Options:
    """Return options with as much to be kept between rounds as a scheme takes."""
    options = Options(learning_rate=_RATE, momentum=0.9, optimizer_state="keep")
    if is_cut(build(kind, options)):
        options = Options(
            learning_rate=_RATE, momentum=0.9, optimizer_state="keep", codec="topk:0.5:feedback"
        )
    return options


def _draws_from_streams(kind: Kind) -> Finding:
    scheme = build(kind, Options(learning_rate=_RATE), dropout=_DROPOUT)
    before = [client.stream.state.clone() for client in scheme.clients]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        outside = torch.get_rng_state()
        scheme.round(0)
        is_left = torch.equal(outside, torch.get_rng_state())
    if not is_left:
        return "failed", (
            "layers draw from the global random numbers; run them by Part.forward with the "
            "client's stream"
        )
    moved = sum(
        not torch.equal(was, client.stream.state)
        for was, client in zip(before, scheme.clients, strict=True)
    )
    return found(
        moved > 0,
        "dropout draws from the clients' streams and leaves the global random numbers alone",
        "no client's stream was drawn from although the model has dropout in training",
    )


def _leaves_its_result(kind: Kind) -> Finding:
    """Compare the common model, which is what tests and checkpoints see, before and after."""
    scheme = build(kind, Options(learning_rate=_RATE))
    model, before = scheme.model, copy.deepcopy(scheme.model.state_dict())
    tally = scheme.round(0)
    if scheme.model is not model:
        return "failed", "model is another object after a round; change it in place"
    state = scheme.model.state_dict()
    if not tally.samples or not tally.loss > 0:
        return "failed", f"a round has {tally.samples} samples and the loss {tally.loss}"
    return found(
        first_difference(dict(before), dict(state)) is not None,
        "a round changes the common model in place and reports its loss",
        "a round leaves the common model as it was; write the result into model",
    )


def _says_what_it_takes(kind: Kind) -> Finding:
    try:
        scheme = build(kind, Options(learning_rate=_RATE))
    except InputError as error:
        return "failed", f"it cannot be made at the cuts that it takes ({error})"
    cuts = len(scheme.clients[0].cuts)
    return "passed", f"it takes {kind.takes} cuts and was checked with {cuts}"


CHECKS: dict[str, Callable[[Kind], Finding]] = {
    "is made at the cuts that it takes": _says_what_it_takes,
    "leaves its result in the model": _leaves_its_result,
    "one client learns what the whole model learns": _learns_as_the_whole,
    "counts the bytes that cross": _counts_what_crosses,
    "same seed gives the same rounds": _is_deterministic,
    "goes on from its state": _goes_on,
    "random numbers are the clients' own": _draws_from_streams,
    "is the same over connections": same_over_connections,
    "goes on without clients that are gone": drops_clients,
}
"""Check -> what it does with a class of schemes."""
