"""The ranks of a run over connections, by the scheme of the plan.

Rank 0 leads: it holds the scheme, evaluates, writes history and checkpoint. A new scheme that can
be run over connections is one line here.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from splitopt.errors import InputError
from splitopt.training.kinds import SCHEME
from splitopt.training.two_servers import FED

if TYPE_CHECKING:
    from splitopt.training.preparing.prepare import Prepared
    from splitopt.training.program import Program
    from splitopt.training.wire.crew import Crew
    from splitopt.training.wire.leader import Leader
    from splitopt.training.wire.setting import Setting
    from splitopt.training.wire.transport.channel import Channel


class Roles(NamedTuple):
    """The ranks of a scheme.

    Parameters
    ----------
    parties
        Names of ranks 1, 2, ... of a program.
    lead
        ``MODULE:FUNCTION`` of rank 0, called with what is prepared, the crew and the setting; it
        returns a `Leader`.
    follow
        ``MODULE:FUNCTION`` of all others, called with what is prepared, the own rank, the
        connection to rank 0 and the setting, of which only token and host count; it returns when
        rank 0 ends the run.
    rates
        ``MODULE:FUNCTION`` that gives, for a program and a time scale, the byte/s of each link as
        (sender, receiver) -> rate; see `splitopt.training.wire.link_rates`.
    is_guarded
        Whether these parties clip and add noise where the options ask for privacy.
    """

    parties: Callable[[Program], tuple[str, ...]]
    lead: str
    follow: str
    rates: str
    is_guarded: bool = False

    def leader(self, prepared: Prepared, crew: Crew, setting: Setting) -> Leader:
        """Return rank 0."""
        found: Leader = _function(self.lead)(prepared, crew, setting)
        return found

    def link_rates(self, program: Program, time_scale: float) -> dict[tuple[int, int], float]:
        """Return the rates of the plan's links."""
        found: dict[tuple[int, int], float] = _function(self.rates)(program, time_scale)
        return found

    def run(self, prepared: Prepared, rank: int, channel: Channel, setting: Setting) -> None:
        """Run another rank until the end of the run."""
        _function(self.follow)(prepared, rank, channel, setting)


def _devices(program: Program) -> tuple[str, ...]:
    return tuple(client.name for client in program.clients)


def _owners_and_nodes(program: Program) -> tuple[str, ...]:
    from splitopt.training.wire.pipeline.timing import pipeline_of

    system = pipeline_of(program.opened)
    return (*system.owner_names, *system.node_names)


def _devices_and_fed(program: Program) -> tuple[str, ...]:
    devices = _devices(program)
    if FED in devices:
        raise InputError.at(
            "fed_server", f"a device is called {FED}, as the fed server is; give it another name"
        )
    return (*devices, FED)


def _several(program: Program) -> tuple[str, ...]:
    from splitopt.training.wire.star.several.places import parties_of

    return parties_of(program)


def _several_and_fed(program: Program) -> tuple[str, ...]:
    from splitopt.training.wire.star.several.places import parties_of

    return parties_of(program, fed_server=True)


WITH_FED = ("splitfed_v1", "splitfed_v2")
"""Schemes in which a fed server can take part."""

FED_ROLES = Roles(
    _devices_and_fed,
    "splitopt.training.wire.star.fed.parties:lead",
    "splitopt.training.wire.star.fed.parties:follow",
    "splitopt.training.wire.link_rates:of_two_servers",
    is_guarded=True,
)
"""The ranks of SplitFed where a fed server takes part, which is the last one."""

SEVERAL_ROLES = Roles(
    _several,
    "splitopt.training.wire.star.several.parties:lead",
    "splitopt.training.wire.star.several.parties:follow",
    "splitopt.training.wire.link_rates:of_devices",
    is_guarded=True,
)
"""The ranks of SplitFedV1 with several servers: rank 0 is one, the others follow the devices."""

SEVERAL_FED_ROLES = SEVERAL_ROLES._replace(
    parties=_several_and_fed, rates="splitopt.training.wire.link_rates:of_two_servers"
)
"""The same with a fed server as the last rank."""

PIPELINE_ROLES = Roles(
    _owners_and_nodes,
    "splitopt.training.wire.pipeline.coordinator:lead",
    "splitopt.training.wire.pipeline.parties:follow",
    "splitopt.training.wire.link_rates:of_pipeline",
    is_guarded=True,
)
"""The ranks of a pipeline, of one node or several."""

ROLES: dict[str, Roles] = {
    "splitfed_v1": Roles(
        _devices,
        "splitopt.training.wire.star.splitfed:lead",
        "splitopt.training.wire.star.device:follow",
        "splitopt.training.wire.link_rates:of_devices",
        is_guarded=True,
    ),
    "splitfed_v2": Roles(
        _devices,
        "splitopt.training.wire.star.in_turn:lead",
        "splitopt.training.wire.star.device:follow",
        "splitopt.training.wire.link_rates:of_devices",
        is_guarded=True,
    ),
    "vanilla": Roles(
        _devices,
        "splitopt.training.wire.star.clusters:lead_relay",
        "splitopt.training.wire.star.device:follow",
        "splitopt.training.wire.link_rates:of_devices",
        is_guarded=True,
    ),
    "federated": Roles(
        _devices,
        "splitopt.training.wire.star.splitfed:lead",
        "splitopt.training.wire.star.device:follow",
        "splitopt.training.wire.link_rates:of_devices",
        is_guarded=True,
    ),
    "clustered": Roles(
        _devices,
        "splitopt.training.wire.star.clusters:lead",
        "splitopt.training.wire.star.device:follow",
        "splitopt.training.wire.link_rates:of_devices",
        is_guarded=True,
    ),
    "multihop": PIPELINE_ROLES,
    "u_shaped": PIPELINE_ROLES,
}
"""Scheme -> its ranks."""


def roles_of(program: Program, fed_server: bool = False) -> Roles:
    """Return the ranks of a program.

    Raises
    ------
    InputError
        Its scheme cannot be run over connections, or is not that of the plan, or has no fed server;
        or device parts are averaged in some of the rounds only.
    """
    if program.plays != program.planned_scheme or program.plays not in ROLES:
        if program.scheme not in SCHEME.own:
            raise InputError.at("scheme", f"{program.scheme} {_without(program)}")
        if program.plays == program.planned_scheme:
            raise InputError.at(
                "scheme",
                f"{program.scheme}, of this plan, is not run over connections here, where "
                f"{', '.join(ROLES)} are; train in one process, without --wire",
            )
        raise InputError.at(
            "scheme",
            f"{program.scheme} is not run over connections here; leave the scheme to the plan, "
            f"whose own is {program.planned_scheme}, or train in one process",
        )
    if (program.aggregation_interval or 1) > 1:
        raise InputError.at(
            "aggregation_interval",
            f"is {program.aggregation_interval} in this plan, and over connections the parts of "
            "devices are averaged in every round; train in one process, without --wire",
        )
    several = len(program.server_names) > 1
    if not fed_server:
        return SEVERAL_ROLES if several else ROLES[program.plays]
    if program.plays not in WITH_FED:
        raise InputError.at(
            "fed_server",
            f"is for {' and '.join(WITH_FED)}, and this plan is of {program.plays}; leave it out",
        )
    return SEVERAL_FED_ROLES if several else FED_ROLES


def check_private(prepared: Prepared, roles: Roles) -> None:
    """Check that the parties of a plan clip and add noise, if there is to be privacy.

    Raises
    ------
    InputError
        They do not.
    """
    program = prepared.program
    if prepared.scheme.options.privacy is not None and not roles.is_guarded:
        raise InputError.at(
            "privacy",
            f"is not made by the parties of {program.scheme} on the wire; train without --wire",
        )


def _without(program: Program) -> str:
    """Return why a scheme that is not splitopt's own cannot be run over connections."""
    if program.runs_as is None:
        return (
            "has no form over connections; let its class extend that of "
            f"{', '.join(ROLES)} and say runs_as, or train in one process"
        )
    return (
        f"runs as {program.runs_as}, and this plan is run over connections as "
        f"{program.planned_scheme}; train it in one process"
    )


def _function(place: str) -> Callable[..., Any]:
    module, _, name = place.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found
