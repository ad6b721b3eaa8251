"""Schemes over connections: every party a thread with a real connection to the leader."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np

from splitopt.errors import SplitoptError
from splitopt.planning.planner import plan as make_plan
from splitopt.plans import Plan
from splitopt.scenario import Scenario
from splitopt.training.conformance.findings import Finding, first_difference, found, skipped
from splitopt.training.conformance.samples import plays
from splitopt.training.job import TrainingJob
from splitopt.training.options import Options, Order
from splitopt.training.preparing.prepare import Prepared, prepare
from splitopt.training.preparing.setup import set_groups
from splitopt.training.schemes import Round, Scheme
from splitopt.training.schemes.clustered import Clustered
from splitopt.training.wire.compute import one_thread, warm_up
from splitopt.training.wire.crew import Crew, join
from splitopt.training.wire.deadlines import Deadline
from splitopt.training.wire.leader import Leader
from splitopt.training.wire.roles import ROLES, Roles, roles_of
from splitopt.training.wire.setting import Setting
from splitopt.training.wire.transport.listener import listen
from splitopt.training.wire.transport.tokens import Token

_PLANS: dict[str, tuple[str, dict[str, Any]]] = {
    "splitfed_v1": ("digits-splitfed", {"solver": "equal_share"}),
    "splitfed_v2": ("digits-splitfed", {"scheme": "splitfed_v2"}),
    "vanilla": ("digits-splitfed", {"scheme": "vanilla"}),
    "federated": ("digits-splitfed", {"scheme": "federated"}),
    "clustered": ("digits-clusters", {"solver": "similar_compute"}),
    "multihop": ("digits-pipeline", {}),
    "u_shaped": ("digits-splitfed", {"scheme": "u_shaped"}),
}
"""Scheme -> a shipped scenario whose plans it trains, and what to ask for, with a quick solver."""
_SAMPLES, _BATCH, _CLIENTS = 20, 10, 3
_TIME_SCALE, _LIMIT_S = 1e-4, 20.0
_KINDS = {
    "smashed": ("smashed", "activations"),
    "gradient": ("gradient", "gradients"),
    "model": ("model",),
    "label": ("labels",),
}
"""What is counted -> the kinds of messages that carry it."""
_WITHOUT = f"has no form over connections; a class that extends one of {', '.join(ROLES)} "


def same_over_connections(kind: type[Scheme]) -> Finding:
    """Compare two rounds in one process and over connections: weights, counts and bytes."""
    if plays(kind) not in ROLES:
        return skipped(f"{_WITHOUT}gets one by runs_as")
    with one_thread():
        alone = _prepared(kind)
        tallies = [_round(alone, number) for number in range(2)]
        wired = _prepared(kind)
        with _running(kind, wired) as leader:
            over = [_led(leader, wired, number) for number in range(2)]
        sent = Counter(leader.sent_bytes)
    odd = first_difference(alone.scheme.state_dict(), wired.scheme.state_dict())
    if odd is not None:
        return "failed", f"over connections {odd} is not what one process gives"
    counted = _counts(tallies)
    if counted != _counts(over):
        return "failed", f"one process counts {counted}, over connections {_counts(over)}"
    for name, messages in _KINDS.items():
        on_wire = sum(sent[message] for message in messages)
        is_seen = on_wire or name in ("smashed", "gradient")  # the leader does not see all of it
        if is_seen and counted[name] != on_wire:
            return "failed", f"it counts {counted[name]} B of {name}, on the wire were {on_wire} B"
    return "passed", (
        "two rounds over connections are those of one process, bit for bit, and count the bytes "
        "that the leader sees"
    )


def drops_clients(kind: type[Scheme]) -> Finding:
    """Compare a round without a client with that of one process with the others alone."""
    if plays(kind) not in ROLES:
        return skipped(f"{_WITHOUT}can lose clients")
    with one_thread():
        alone, wired = _prepared(kind, "given"), _prepared(kind, "given")
        _round(alone, 0)
        with _running(kind, wired, "given") as leader:
            _led(leader, wired, 0)
            leader.crew.drop(1)
            tally = _led(leader, wired, 1)
        gone = wired.scheme.clients[0].name
        set_groups(alone.scheme, alone.program, 1)
        _leave_out(alone.scheme, gone)
        alone.scheme.round(1)
    if tally.dropped != (gone,):
        return "failed", f"{gone} is gone, and the round names {tally.dropped} as dropped"
    state = dict(alone.scheme.model.state_dict())
    odd = first_difference(state, dict(wired.scheme.model.state_dict()))
    return found(
        odd is None,
        "a round without a client is that of the others alone, bit for bit, and names it",
        f"a round without a client changes {odd} otherwise than the others alone would",
    )


def _round(prepared: Prepared, number: int) -> Round:
    set_groups(prepared.scheme, prepared.program, number)
    return prepared.scheme.round(number)


def _led(leader: Leader, prepared: Prepared, number: int) -> Round:
    set_groups(prepared.scheme, prepared.program, number)
    return leader.round(number)


def _leave_out(scheme: Scheme, name: str) -> None:
    """Make a scheme train without a client."""
    scheme.clients = [client for client in scheme.clients if client.name != name]
    if isinstance(scheme, Clustered):
        groups = [[own for own in group if own.name != name] for group in scheme.clusters]
        scheme.clusters = [group for group in groups if group]


def _counts(tallies: list[Round]) -> dict[str, int]:
    """Return the bytes of some rounds by what is sent."""
    total = Counter[str]()
    for tally in tallies:
        total.update(asdict(tally.traffic))
    return {
        "smashed": total["smashed"],
        "gradient": total["gradient"],
        "model": total["model_down"] + total["model_up"],
        "label": total["label"],
    }


def _prepared(kind: type[Scheme], order: Order | None = None) -> Prepared:
    """Prepare a run; an order that is drawn would be another one without a client."""
    played = plays(kind)
    scheme = None if kind.name == played else kind
    options = Options(learning_rate=0.1, momentum=0.9, optimizer_state="keep", order=order)
    job = TrainingJob(_plan(played), data=_data(), scheme=scheme, options=options)
    return prepare(job)


@cache
def _plan(played: str) -> Plan:
    """Plan a few devices with little data."""
    name, asked = _PLANS[played]
    document = Scenario.load(name).to_dict()
    device = {**document["devices"][0], "samples": _SAMPLES, "batch_size": _BATCH, "count": 1}
    document["devices"] = [{**device, "name": f"d{k}"} for k in range(_CLIENTS)]
    document["training"] = {"epochs": 1, "rounds": 2}
    if "clusters" in document:
        document["clusters"] = {"sizes": [2, 1], "cut": "pool1"}
    return make_plan(Scenario.from_dict(document), **asked)


@cache
def _data() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Draw images and labels as scikit-learn's digits have them."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2 * _CLIENTS * _SAMPLES, 1, 8, 8)).astype(np.float32)
    labels = np.arange(len(images)) % 10
    return images, labels


@contextmanager
def _running(
    kind: type[Scheme], prepared: Prepared, order: Order | None = None
) -> Iterator[Leader]:
    """Run all other parties in threads, and yield who leads."""
    roles, token = roles_of(prepared.program), Token.new()
    names = roles.parties(prepared.program)
    setting = Setting(token, _TIME_SCALE, Deadline(None, _LIMIT_S))
    listener = listen(None, 0, token)
    warm_up()
    threads = [
        threading.Thread(
            target=_follow,
            args=(roles, _prepared(kind, order), rank, listener.port, setting),
            daemon=True,
        )
        for rank in range(1, len(names) + 1)
    ]
    for thread in threads:
        thread.start()
    try:
        with Crew(listener, names, prepared.identity) as crew:
            crew.wait(_LIMIT_S)
            yield roles.leader(prepared, crew, setting)
    finally:
        for thread in threads:
            thread.join(_LIMIT_S)


def _follow(roles: Roles, prepared: Prepared, rank: int, port: int, setting: Setting) -> None:
    """Run one party until the leader ends the run or drops it."""
    try:
        with join("127.0.0.1", port, setting.token, rank, prepared.identity, _LIMIT_S) as channel:
            roles.run(prepared, rank, channel, setting)
    except SplitoptError:  # the leader has seen it, and says so
        pass
