"""What a plan asks of whoever trains it: the scheme, who takes part, where everyone cuts.

Free of PyTorch. The problem that a plan answers says by which scheme it is trained: its module in
`splitopt.training.problems` reads its decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from splitopt.errors import InfeasibleError, InputError
from splitopt.latency.encoded import CODEC_OF_BITS
from splitopt.planning.planner import OpenedPlan, by_device, open_plan
from splitopt.plans import Plan, plan_digest
from splitopt.problems.registry import module_of, problems_in
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario
from splitopt.simulation.replay import Replay, simulate_decision
from splitopt.training.other_schemes import GRAPH, HOSTED, THREE_PARTS, WHOLE, misfit, schemes_of
from splitopt.training.other_schemes import Takes as Takes

PROGRAMS = "splitopt.training.problems"
"""Its modules with the name of a problem have ``program(opened, plan_digest, source)``."""

Allocation = Mapping[str, Any]
"""What a plan gives a client, by name: shares, subcarriers, the number of its cluster."""
Groups = tuple[tuple[int, ...], ...]


class Party(NamedTuple):
    """Who holds parts of a model; ``role`` is ``device``, ``owner``, ``server`` or ``node``."""

    name: str
    role: str


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
    allocation
        What the plan gives it, where that is more than the cuts.
    """

    name: str
    cuts: tuple[str, ...]
    samples: int
    batch_size: int | None
    allocation: Allocation = field(default_factory=dict)

    @property
    def bits(self) -> tuple[int, int] | None:
        """The bits of a value of its activations and gradients; None where the plan chose none."""
        if "bits_up" not in self.allocation:
            return None
        return self.allocation["bits_up"], self.allocation["bits_down"]

    @property
    def codecs(self) -> tuple[str, str] | None:
        """The codecs of its activations and gradients; None where the plan chose no bits."""
        if self.bits is None:
            return None
        return CODEC_OF_BITS[self.bits[0]], CODEC_OF_BITS[self.bits[1]]

    @property
    def rank(self) -> int | None:
        """The rank of its adapters; None where the plan chose none."""
        found: int | None = self.allocation.get("adapter_rank")
        return found


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
    both_ends
        Whether a client holds the last part of its chain as well as the first.
    holders
        Who holds the parts that are not a client's, in the order of the forward pass; of several
        servers each holds those of its own clients, see `holders_of`.
    scenario, profile
        What the plan was made from.
    plan_digest
        SHA-256 that names the plan.
    planned_scheme
        The scheme that the plan was made for; `scheme` may be another one, to compare with.
    opened
        The problem that the plan answers and its decision, beside these.
    runs_as
        The scheme whose rounds `scheme` plays, where it is not splitopt's own and says so.
    aggregation_interval
        Rounds between two averages of the device parts; None leaves it to the options.
    step_rule
        Options of the optimizer that the plan holds for, None for any: name -> value.
    masked
        How many numbers of 8 bytes a device sends in place of its part of the model, where that
        goes up masked; the rounds have it. None where it goes up as it is.
    all_data
        Whether clients have all data there are, whatever the plan says of their samples.
    """

    problem: str
    scheme: str
    clients: tuple[ClientPlan, ...]
    local_epochs: int
    local_steps: int | None
    rounds: int
    groups: tuple[Groups, ...]
    both_ends: bool
    holders: tuple[Party, ...]
    scenario: Scenario
    profile: ModelProfile
    plan_digest: str
    planned_scheme: str
    opened: OpenedPlan
    _predict: Callable[[int], Replay]
    runs_as: str | None = None
    aggregation_interval: int | None = None
    step_rule: Mapping[str, Any] | None = None
    masked: int | None = None
    all_data: bool = False

    @property
    def is_graph(self) -> bool:
        """Whether the plan places the layers of a graph, which no cut takes apart."""
        return self.planned_scheme == GRAPH

    @property
    def is_hosted(self) -> bool:
        """Whether one host has all data, and machines in one process train in a step of it."""
        return self.planned_scheme in HOSTED

    def expect_parties(self, source: str) -> None:
        """Raise `InputError` for a plan whose machines are no parties of a protocol."""
        if self.is_hosted:
            raise InputError(f"{source}: {HOSTED[self.planned_scheme]}")

    @property
    def has_ranks(self) -> bool:
        """Whether clients have adapters of different ranks; the profile is at the highest."""
        return len({client.rank for client in self.clients}) > 1

    @property
    def plays(self) -> str:
        """The scheme whose messages and computations a round has."""
        return self.runs_as or self.scheme

    @property
    def plays_as_planned(self) -> bool:
        """Whether a round is the plan's: of its scheme, or of both names of a chain of one node."""
        one_node = self.planned_scheme == "u_shaped" and self.plays == "multihop"
        return self.plays == self.planned_scheme or one_node

    @property
    def upload_factor(self) -> float:
        """By what the planned bytes of a device's part are multiplied on its way up."""
        if self.masked is None:
            return 1.0
        profile, cuts = self.profile, self.clients[0].cuts
        at = profile.layers.index(cuts[0]) if cuts else profile.layer_count - 1
        planned = float(profile.device_model_bytes[at])
        return 8.0 * self.masked / planned if planned else 1.0

    @property
    def replay(self) -> Replay:
        """The predicted round: of the scheme that the plan was made for, the first of several."""
        return self.replay_of(0)

    def replay_of(self, number: int) -> Replay:
        """Predict a round (0, 1, ...) of the scheme that the plan was made for."""
        return self._predict(number % self.rounds_known)

    @property
    def is_encoded(self) -> bool:
        """Whether ``profile`` and rounds have the bytes of codecs; ``opened`` has the plan's."""
        return self.profile is not self.opened.profile

    @property
    def rounds_known(self) -> int:
        """How many different rounds can be predicted.

        1, those that the plan has sampled, or those from one aggregation to the next.
        """
        return max(1, len(self.groups), self.aggregation_interval or 1)

    def holders_of(self, client: ClientPlan) -> tuple[Party, ...]:
        """Return who holds the parts of a client's chain that are not its own."""
        chosen = client.allocation.get("server")
        if chosen is None:
            return self.holders
        return tuple(party for party in self.holders if party.name == chosen)

    @property
    def server_names(self) -> tuple[str, ...]:
        """The servers that have clients of their own, none where nobody chose one of several."""
        chosen = [client.allocation.get("server") for client in self.clients]
        return tuple(party.name for party in self.holders if party.name in chosen)

    def groups_of(self, number: int) -> Groups:
        """Return the clusters of a round (0, 1, ...)."""
        return self.groups[number % len(self.groups)] if self.groups else ()

    @property
    def schemes(self) -> tuple[str, ...]:
        """The schemes that can train it: the plan's own first."""
        cuts = {client.cuts for client in self.clients}
        return schemes_of(self.planned_scheme, cuts, self.both_ends)

    def trained_by(
        self, scheme: str, takes: Takes | None = None, runs_as: str | None = None
    ) -> Program:
        """Return another scheme with the same clients and data, to compare with.

        Parameters
        ----------
        scheme
            Its name.
        takes
            Which cuts it takes, if it is none of splitopt's own.
        runs_as
            Whose rounds it plays then, as far as it says so.

        Raises
        ------
        InputError
            The plan's cuts do not serve that scheme.
        """
        if takes is not None:
            if why := misfit(self.planned_scheme, {c.cuts for c in self.clients}, takes):
                raise InputError.at("scheme", f"{scheme!r} cannot train this plan: it needs {why}")
        elif scheme not in self.schemes:
            raise InputError.at(
                "scheme",
                f"{scheme!r} cannot train this plan, which is for {self.planned_scheme}; choose "
                f"one of {', '.join(self.schemes)}",
            )
        clients = self.clients
        if scheme in WHOLE or takes == "nothing":
            clients = tuple(replace(client, cuts=()) for client in clients)
        elif scheme in THREE_PARTS or takes == "ends":
            clients = tuple(
                replace(client, cuts=(client.cuts[0], client.cuts[-1])) for client in clients
            )
        return replace(self, scheme=scheme, clients=clients, runs_as=runs_as)


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
    return read_program(open_plan(plan, source), plan, source)


def read_program(opened: OpenedPlan, plan: Plan, source: str = "plan") -> Program:
    """Read what an opened plan asks of whoever trains it; see `program_of`."""
    if opened.problem is None or opened.decision is None:
        reason = plan.result.get("message") or "no feasible decision was found"
        raise InfeasibleError(f"{source}: there is nothing to train: {reason}")
    module = module_of(PROGRAMS, plan.problem, source)
    if module is None:
        raise InputError(
            f"{source}: plans of {plan.problem} cannot be trained; those of "
            f"{', '.join(problems_in(PROGRAMS))} can"
        )
    opened = by_device(opened, source)
    found: Program = module.program(opened, plan_digest(plan), source)
    return found


def client_plans(
    scenario: Scenario,
    cuts: Sequence[tuple[str, ...]],
    allocations: Sequence[Allocation] | None = None,
) -> tuple[ClientPlan, ...]:
    """Return what each device of a fleet has to do, of its cuts and what it is given."""
    fleet = scenario.fleet()
    return tuple(
        ClientPlan(device.name, own, device.samples, device.batch_size, given)
        for device, own, given in zip(fleet, cuts, allocations or [{}] * len(fleet), strict=True)
    )


def cut_name(profile: ModelProfile, cut: int) -> tuple[str, ...]:
    """Name the layer before a cut of a table (1..L); nothing is cut behind the last layer."""
    return () if cut == profile.layer_count else (profile.layers[cut - 1],)


def make_program(opened: OpenedPlan, scheme: str, plan_digest: str, **fields: Any) -> Program:
    """Fill in what most problems read alike: of a scenario, what its ``training`` states.

    Parameters
    ----------
    opened
        A plan with a problem and a decision.
    scheme
        By which the plan is trained.
    plan_digest
        SHA-256 that names the plan.
    **fields
        ``clients``, and other fields of `Program` where they differ from a plan with one server
        and rounds that are all alike.
    """
    assert opened.problem is not None
    training = opened.scenario.training
    common: dict[str, Any] = {
        "problem": opened.problem.name,
        "local_epochs": training.epochs,
        "local_steps": None,
        "rounds": training.rounds,
        "groups": (),
        "both_ends": False,
    }
    if "holders" not in fields:
        fields["holders"] = (Party(opened.scenario.servers[0].name, "server"),)
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
