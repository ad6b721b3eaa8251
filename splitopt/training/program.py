"""What a plan asks of whoever trains it: the scheme, who takes part, where everyone cuts.

Free of PyTorch. The problem that a plan answers says by which scheme it is trained; every problem
has one function here that reads its decision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from splitopt.errors import InfeasibleError, InputError
from splitopt.planning.planner import OpenedPlan, open_plan
from splitopt.plans import Plan, digest
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrumDecision
from splitopt.problems.cut_and_resources import CutAndResourcesDecision
from splitopt.problems.cut_under_uncertainty import (
    CutUnderUncertainty,
    CutUnderUncertaintyDecision,
)
from splitopt.problems.pipeline_partition import PipelinePartitionDecision
from splitopt.problems.pipeline_partition.tables import stated_cuts
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario
from splitopt.scenario.parts import Device
from splitopt.simulation.replay import Replay, Setting, simulate_decision

Groups = tuple[tuple[int, ...], ...]

WHOLE = ("centralized", "federated")
"""Schemes that cut nothing; they can train any plan's model and clients, to compare with."""
SHARED_SERVER = ("vanilla", "splitfed_v2")
"""Schemes with one server part and one cut that all clients share."""
THREE_PARTS = ("u_shaped", "split_nn")
"""Schemes of owners with the first and the last part of a pipeline, and one node between them."""


@dataclass(frozen=True)
class ClientPlan:
    """What one client has to do.

    Parameters
    ----------
    name
        The device of the scenario.
    cuts
        Names of the layers behind which its chain is cut, from the input to the output; empty if
        the whole model is on the device.
    samples
        Size of its data as planned.
    batch_size
        Samples of a mini-batch; None for all of them in one.
    """

    name: str
    cuts: tuple[str, ...]
    samples: int
    batch_size: int | None


@dataclass(frozen=True, eq=False)
class Program:
    """A plan as whoever trains reads it.

    Parameters
    ----------
    problem
        The problem that the plan answers.
    scheme
        A name in `splitopt.training.schemes.SCHEMES`.
    clients
        In the order of the scenario's fleet.
    local_epochs
        Local epochs: passes of a client over its data in a round, where ``local_steps`` is None.
    local_steps
        Mini-batches of a client in a round.
    rounds
        Rounds that are planned.
    groups
        Clusters by round, as indices of clients; a round beyond the last takes them from the
        first on again. Empty where there are none.
    scenario, profile
        What the plan was made from.
    plan_digest
        SHA-256 that names the plan.
    planned_scheme
        The scheme that the plan was made for; `scheme` may be another one, to compare with.
    opened
        The problem that the plan answers and its decision, beside these.
    """

    problem: str
    scheme: str
    clients: tuple[ClientPlan, ...]
    local_epochs: int
    local_steps: int | None
    rounds: int
    groups: tuple[Groups, ...]
    scenario: Scenario
    profile: ModelProfile
    plan_digest: str
    planned_scheme: str
    opened: OpenedPlan
    _predict: Callable[[int], Replay]

    @property
    def replay(self) -> Replay:
        """The predicted round: of the scheme that the plan was made for, the first of several."""
        return self.replay_of(0)

    def replay_of(self, number: int) -> Replay:
        """Predict a round (0, 1, ...) of the scheme that the plan was made for."""
        return self._predict(number % self.rounds_known)

    @property
    def rounds_known(self) -> int:
        """How many different rounds can be predicted: 1, or those that the plan has sampled."""
        return max(1, len(self.groups))

    def groups_of(self, number: int) -> Groups:
        """Return the clusters of a round (0, 1, ...)."""
        return self.groups[number % len(self.groups)] if self.groups else ()

    @property
    def schemes(self) -> tuple[str, ...]:
        """The schemes that can train it: the plan's own first."""
        cuts = {client.cuts for client in self.clients}
        found = [self.planned_scheme]
        if self.problem == "pipeline_partition":
            found += THREE_PARTS
        else:
            found.append("splitfed_v1")
            if len(cuts) == 1 and len(next(iter(cuts))) == 1:
                found += SHARED_SERVER
        return tuple(dict.fromkeys([*found, *WHOLE]))

    def trained_by(self, scheme: str) -> Program:
        """Hand the same clients and data to another scheme, to compare with.

        Raises
        ------
        InputError
            The plan's cuts do not serve that scheme.
        """
        if scheme not in self.schemes:
            raise InputError.at(
                "scheme",
                f"{scheme!r} cannot train this plan, which is for {self.planned_scheme}; choose "
                f"one of {', '.join(self.schemes)}",
            )
        clients = self.clients
        if scheme in WHOLE:
            clients = tuple(replace(client, cuts=()) for client in clients)
        elif scheme in THREE_PARTS:
            clients = tuple(
                replace(client, cuts=(client.cuts[0], client.cuts[-1])) for client in clients
            )
        return replace(self, scheme=scheme, clients=clients)


def program_of(plan: Plan, source: str = "plan") -> Program:
    """Read what a plan asks of whoever trains it.

    Parameters
    ----------
    plan
        A plan with a decision; it needs no other file.
    source
        How messages call the plan.

    Raises
    ------
    InputError
        The plan cannot be read, or its decision is none that can be trained.
    InfeasibleError
        The plan has no decision.
    """
    opened = open_plan(plan, source)
    if opened.problem is None or opened.decision is None:
        reason = plan.result.get("message") or "no feasible decision was found"
        raise InfeasibleError(f"{source}: there is nothing to train: {reason}")
    try:
        read = _READERS[plan.problem]
    except KeyError:
        raise InputError(
            f"{source}: plans of {plan.problem} cannot be trained; those of "
            f"{', '.join(_READERS)} can"
        ) from None
    hashes = plan.to_dict()["hashes"]
    return read(opened, digest({"problem": plan.problem, "hashes": hashes}), source)


def _clients(scenario: Scenario, cuts: Sequence[tuple[str, ...]]) -> tuple[ClientPlan, ...]:
    return tuple(
        ClientPlan(device.name, own, device.samples, device.batch_size)
        for device, own in zip(scenario.fleet(), cuts, strict=True)
    )


def _cut_name(profile: ModelProfile, cut: int) -> tuple[str, ...]:
    """Name the layer before a cut of a table (1..L); nothing is cut behind the last layer."""
    return () if cut == profile.layer_count else (profile.layers[cut - 1],)


def _same_each_round(opened: OpenedPlan) -> Callable[[int], Replay]:
    """Predict a round that is the same each time; it is simulated once, when it is asked for."""
    known: list[Replay] = []

    def predict(number: int) -> Replay:  # noqa: ARG001 - rounds of other problems differ
        if not known:
            assert opened.problem is not None
            assert opened.decision is not None
            known.append(
                simulate_decision(
                    opened.problem,
                    opened.decision,
                    scenario=opened.scenario,
                    profile=opened.profile,
                )
            )
        return known[0]

    return predict


def _program(opened: OpenedPlan, scheme: str, plan_digest: str, **fields: Any) -> Program:
    """Fill in what all problems read alike."""
    training = opened.scenario.training
    common: dict[str, Any] = {
        "problem": opened.problem.name if opened.problem is not None else "",
        "local_epochs": training.epochs,
        "local_steps": None,
        "rounds": training.rounds,
        "groups": (),
    }
    if "_predict" not in fields:
        fields["_predict"] = _same_each_round(opened)
    return Program(
        **common | fields,
        scheme=scheme,
        planned_scheme=scheme,
        scenario=opened.scenario,
        profile=opened.profile,
        opened=opened,
        plan_digest=plan_digest,
    )


def _cut_and_resources(opened: OpenedPlan, plan_digest: str, source: str) -> Program:  # noqa: ARG001
    """DP-MORA: SplitFedV1 with a cut of its own for every device."""
    assert isinstance(opened.decision, CutAndResourcesDecision)
    cuts = [_cut_name(opened.profile, int(cut)) for cut in opened.decision.cut]
    return _program(opened, "splitfed_v1", plan_digest, clients=_clients(opened.scenario, cuts))


def _one_cut(opened: OpenedPlan, cut: int, source: str) -> list[tuple[str, ...]]:
    """Assign every device the cut of a plan in clusters, which must leave the server something."""
    name = _cut_name(opened.profile, cut)
    if not name:
        raise InputError(
            f"{source}: the plan keeps all {opened.profile.layer_count} layers on the devices, so "
            "that nothing is split; plan with an earlier clusters.cut"
        )
    return [name] * len(opened.scenario.fleet())


def _cluster_and_spectrum(opened: OpenedPlan, plan_digest: str, source: str) -> Program:
    """CPSL: L mini-batches of every device while its cluster has its turn."""
    from splitopt.latency.cell import cut_index

    decision, scenario = opened.decision, opened.scenario
    assert isinstance(decision, ClusterAndSpectrumDecision)
    assert scenario.clusters is not None  # the problem could not be built without
    cuts = _one_cut(opened, cut_index(opened.profile, scenario.clusters.cut), source)
    return _program(
        opened,
        "clustered",
        plan_digest,
        clients=_clients(scenario, cuts),
        local_epochs=1,
        local_steps=scenario.training.epochs,
        groups=(_groups(decision),),
    )


def _cut_under_uncertainty(opened: OpenedPlan, plan_digest: str, source: str) -> Program:
    """CPSL with clusters and subcarriers of its own in every round, those of a sample."""
    from splitopt.simulation.cluster_and_spectrum import replay

    problem, decision, scenario = opened.problem, opened.decision, opened.scenario
    assert isinstance(problem, CutUnderUncertainty)
    assert isinstance(decision, CutUnderUncertaintyDecision)
    name = problem.cuts[decision.cut]
    cuts = _one_cut(opened, opened.profile.layers.index(name) + 1, source)
    setting = Setting(scenario, opened.profile)
    known: dict[int, Replay] = {}

    def predict(number: int) -> Replay:
        if number not in known:
            block = problem.block(number, decision.cut)
            known[number] = replay(block, decision.recourse[number], setting)
        return known[number]

    return _program(
        opened,
        "clustered",
        plan_digest,
        clients=_clients(scenario, cuts),
        local_epochs=1,
        local_steps=scenario.training.epochs,
        groups=tuple(_groups(answer) for answer in decision.recourse),
        _predict=predict,
    )


def _groups(decision: ClusterAndSpectrumDecision) -> Groups:
    return tuple(tuple(int(n) for n in cluster) for cluster in decision.clusters)


def _pipeline_partition(opened: OpenedPlan, plan_digest: str, source: str) -> Program:
    """MP-SL: the owners' first and last part, and the nodes' runs of layers between them."""
    decision, profile = opened.decision, opened.profile
    assert isinstance(decision, PipelinePartitionDecision)
    first, last = stated_cuts(opened.scenario, profile)
    if last == profile.layer_count:
        raise InputError(
            f"{source}: the plan leaves no layer behind pipeline.last_cut to the owners, who hold "
            f"the labels; plan with last_cut {last - 1} or earlier"
        )
    ends = [first + int(end) for end in decision.chain.boundaries]
    cuts = tuple(profile.layers[end - 1] for end in ends)
    fleet: list[Device] = opened.scenario.fleet()
    return _program(
        opened, "multihop", plan_digest, clients=_clients(opened.scenario, [cuts] * len(fleet))
    )


_READERS: dict[str, Callable[[OpenedPlan, str, str], Program]] = {
    "cut_and_resources": _cut_and_resources,
    "cluster_and_spectrum": _cluster_and_spectrum,
    "cut_under_uncertainty": _cut_under_uncertainty,
    "pipeline_partition": _pipeline_partition,
}
"""Problem -> how its decision is read; a new problem that can be trained is one line here."""
