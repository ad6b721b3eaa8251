"""From clients to clients with privacy, and from rounds to the noise that they need."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from splitopt.errors import InputError
from splitopt.training.data.shards import Elsewhere
from splitopt.training.model_parts.copies import Split
from splitopt.training.model_parts.parts import tied_between
from splitopt.training.options import Options
from splitopt.training.privacy.accounting import need_opacus
from splitopt.training.privacy.batches import PrivateBatches, PrivateElsewhere
from splitopt.training.privacy.checks import (
    check_delta,
    check_model,
    check_parts,
    check_samples_apart,
)
from splitopt.training.privacy.entropy import Entropy
from splitopt.training.privacy.guard import Guard
from splitopt.training.program import Program
from splitopt.training.schemes import Client, Scheme
from splitopt.training.schemes.naming import is_own

_LOG = logging.getLogger(__name__)


def guarded(
    clients: Sequence[Client], kind: type[Scheme], program: Program, options: Options
) -> list[Client]:
    """Return the clients with batches and noise from secrets of their own, if there is privacy.

    Raises
    ------
    InputError
        The scheme does what its steps are not known for.
    CapabilityError
        opacus is not installed.
    """
    privacy = options.privacy
    if privacy is None:
        return list(clients)
    need_opacus()
    if not is_own(kind):
        raise InputError.at(
            "privacy",
            f"is for splitopt's own schemes, and {kind.name} may do with samples what is not "
            "accounted for; choose another scheme",
        )
    together = any(len(group) > 1 for groups in program.groups for group in groups)
    if privacy.covers == "model" and kind.serves_together and together:
        raise InputError.at(
            "covers",
            "is 'model', but the server trains on the samples of a whole cluster at once, of which "
            "each device would have to add noise; cover the client part, or take --scheme vanilla",
        )
    found = []
    for index, client in enumerate(clients):
        own = client.batches
        entropy = Entropy(privacy.insecure_test_seed, index)
        batches: PrivateBatches | PrivateElsewhere
        if isinstance(own, Elsewhere):
            batches = PrivateElsewhere(own, privacy.sampling)
        else:
            batches = PrivateBatches(
                own.inputs, own.targets, own.size, privacy.sampling, entropy, own.positions
            )
        found.append(replace(client, batches=batches, guard=Guard(privacy, batches, entropy)))
    return found


def check_private(scheme: Scheme, split: Split) -> None:
    """Reject what privacy cannot be had with, if there is any; warn of a large delta.

    Raises
    ------
    InputError
        A layer mixes samples or keeps something of them, or nothing is covered.
    """
    privacy = scheme.options.privacy
    if privacy is None:
        return
    check_model(scheme.model, scheme.options)
    check_samples_apart(scheme.model, scheme.clients[0].batches.inputs, scheme.options)
    for client in {client.cuts: client for client in scheme.clients}.values():
        _check_untied(split, scheme.model, client.cuts)
        check_parts(split, scheme.model, client.cuts, scheme.covered(client))
    check_delta(privacy, {client.name: client.samples for client in scheme.clients})


def warn_of_memory(scenario: Mapping[str, Any], options: Options) -> None:
    """Warn where a plan keeps within a device's memory without a gradient for each sample.

    Parameters
    ----------
    scenario
        Of the plan, as plain data.
    """
    if options.privacy is None:
        return
    planned = scenario.get("privacy", {}).get("per_sample_gradients", False)
    devices = scenario.get("devices", ())
    if isinstance(devices, Mapping):  # columns, of which one may be of memory
        limited = ["devices"] * any(name.startswith("memory") for name in devices["columns"])
    else:
        limited = [device["name"] for device in devices if device.get("memory") is not None]
    every = (*scenario.get("servers", ()), *scenario.get("nodes", ()))
    servers = [server["name"] for server in every if server.get("memory") is not None]
    if options.privacy.covers == "model" and servers and planned != "model":
        _LOG.warning(
            "the plan holds the memory of %s without the gradients of single samples, which "
            "differential privacy of the whole model needs; plan with 'privacy: "
            "{per_sample_gradients: model}'",
            ", ".join(servers),
        )
    if limited and not planned:
        _LOG.warning(
            "the plan holds the memory of %s without the gradients of single samples, which "
            "differential privacy needs; plan with 'privacy: {per_sample_gradients: true}'",
            ", ".join(limited),
        )


def check_penalty(clients: Sequence[Client], kind: type[Scheme], options: Options) -> None:
    """Reject NoPeek where nothing is cut, or where nobody knows who takes its gradient."""
    if not options.nopeek:
        return
    if not is_own(kind):
        raise InputError.at(
            "nopeek",
            f"is for splitopt's own schemes, and {kind.name} may leave it out; choose another",
        )
    if not any(client.cuts for client in clients):
        raise InputError.at(
            "nopeek",
            f"is for what crosses a cut, and under {kind.name} no client's model is cut here; "
            "choose a scheme that cuts, such as splitfed_v1, or leave it out",
        )


def _check_untied(split: Split, model: nn.Module, cuts: tuple[int, ...]) -> None:
    """Reject a trained weight in two parts: its gradients are added up outside of the clipping."""
    parts = split(model, cuts)
    for weight in tied_between(parts, range(len(parts))).values():
        later = (named for part in parts[1:] for named in part.named_parameters())
        name = next(name for name, own in later if own is weight)
        raise InputError.at(
            "privacy",
            f"does not go with the weight {name} in two parts of the model, whose "
            "gradients are added up without noise; train without, or take a cut that "
            "leaves all uses of the weight in one part",
        )


def plan_noise(scheme: Scheme, rounds: int) -> dict[str, int]:
    """Find the noise of every device that stays within the target for so many rounds, if any.

    Where some of the clients take part in a round, a device's noise is for the batches of the
    rounds that it is drawn for. Who is drawn follows from the seed and the round's number, not from
    data, and everybody knows it: it is no sampling that amplifies, and each device's account is
    that of its own batches (adaptive composition; Mironov 2017, Proposition 1).

    Returns
    -------
    What the noise depends on beside options and data: ``privacy_rounds``, where there is a target.
    """
    privacy = scheme.options.privacy
    if privacy is None or privacy.target_epsilon is None:
        return {}
    taken = rounds_of_each(scheme, rounds)
    for client in scheme.clients:
        if client.guard is not None:
            client.guard.plan(max(1, taken[client.name] * scheme.most_steps(client)))
    return {"privacy_rounds": rounds}


def rounds_of_each(scheme: Scheme, rounds: int) -> dict[str, int]:
    """Return in how many of so many rounds each client takes part: client -> rounds."""
    if scheme.options.client_fraction is None:
        return {client.name: rounds for client in scheme.clients}
    found = Counter(own.name for number in range(rounds) for own in scheme.takes_part(number))
    return {client.name: found[client.name] for client in scheme.clients}


def spent(scheme: Scheme) -> dict[str, float | None]:
    """Return the epsilon of every device so far, None without noise; empty without privacy."""
    found = {c.name: c.guard.epsilon() for c in scheme.clients if c.guard is not None}
    return {name: value if value < float("inf") else None for name, value in found.items()}


def described(scheme: Scheme) -> dict[str, Any]:
    """Return what a history says of privacy, as plain data; nothing where there is none.

    ``server_learns`` is whether a part that is not covered is trained: then the gradients that come
    back carry what it has learned.
    """
    privacy = scheme.options.privacy
    if privacy is None:
        return {}
    chains = {client.cuts: client for client in scheme.clients}.values()
    learns = False
    for client in chains:
        parts = scheme.split(scheme.model, client.cuts) if client.cuts else [scheme.model]
        learns |= any(
            p.requires_grad
            for part, is_covered in zip(parts, scheme.covered(client), strict=True)
            if not is_covered
            for p in part.parameters()
        )
    return {
        "privacy": {
            **privacy.identity(),
            "server_learns": learns,
            "noise_multipliers": {
                c.name: c.guard.noise_multiplier for c in scheme.clients if c.guard is not None
            },
            "samples": {c.name: c.samples for c in scheme.clients},
        }
    }
