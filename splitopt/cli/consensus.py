"""``splitopt consensus``: the protocol of `price_consensus` with a process for each party."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitopt.cli import options as shared
from splitopt.cli.flags import with_flags
from splitopt.cli.wire_options import RankFlags
from splitopt.errors import InputError
from splitopt.solvers.cut_and_resources.price_consensus import PriceConsensus

if TYPE_CHECKING:
    from splitopt.consensus.launch import Found


@dataclass(frozen=True)
class ConsensusFlags:
    """The options of the solver, which all parties have alike or only the coordinator needs."""

    branching: Annotated[
        bool,
        typer.Option(
            "--branching",
            help="Go on to a proof of the optimum, for which devices reveal cuts of some rounds; "
            "without, the coordinator sees sums alone.",
        ),
    ] = False
    max_rounds: Annotated[
        int | None, typer.Option("--max-rounds", metavar="N", help="Stop after so many rounds.")
    ] = PriceConsensus.max_rounds
    roundings: Annotated[
        int, typer.Option("--roundings", metavar="N", help="Rounded plans to try.")
    ] = PriceConsensus.roundings
    neighbours: Annotated[
        int,
        typer.Option("--neighbours", metavar="N", help="With how many devices each shares masks."),
    ] = PriceConsensus.neighbours
    fraction_bits: Annotated[
        int,
        typer.Option("--fraction-bits", metavar="N", help="Binary digits behind the point."),
    ] = PriceConsensus.fraction_bits

    def solver(self) -> PriceConsensus:
        """Return the options; a value that is none is an `InputError`."""
        return PriceConsensus(**vars(self))


@with_flags
def command(
    scenario: Annotated[
        Path | None,
        typer.Argument(
            metavar="SCENARIO.yaml",
            help="Of all devices; for a rank that is a device, of this device alone; none for the "
            "coordinator and the server.",
        ),
    ] = None,
    *,
    flags: ConsensusFlags,
    ranks: RankFlags,
    time_limit: shared.TimeLimit = shared.DEFAULT_TIME_LIMIT_S,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE.json", help="Write what this process knows."),
    ] = None,
    as_json: shared.AsJson = False,
) -> int:
    """Find cuts and shares between processes: each device keeps its numbers, sums are masked.

    Example: splitopt consensus scenario.yaml --branching
    """
    from splitopt.consensus.coordinator import Account
    from splitopt.consensus.launch import Found, run_parties, run_rank
    from splitopt.scenario import Scenario

    solver, account = flags.solver(), Account(time_limit_s=time_limit)
    if output is not None:
        shared.check_outputs(*([scenario] if scenario else []), output)
    rank = ranks.ranked()
    own = None if scenario is None else Scenario.load(scenario)
    if rank is None:
        ranks.refuse_several()
        if own is None:
            raise InputError.at("SCENARIO.yaml", "is missing; give the scenario of all devices")
        found = run_parties(own, solver, account)
    else:
        if own is not None and rank.rank in (0, rank.world_size - 1):
            raise InputError.at(
                "SCENARIO.yaml",
                f"is not for rank {rank.rank}, which has no numbers of its own; leave it out",
            )
        told = run_rank(rank, ranks.setting(), solver, own, account, ranks.joining_s())
        if told is None:  # a device, whose shares the server has
            return 0
        if not isinstance(told, Found):
            _write(told.to_dict(), output, as_json)
            return 0
        found = told
    _write(found.to_dict(), output, as_json, found)
    return 0


def _write(
    document: dict[str, object], output: Path | None, as_json: bool, found: Found | None = None
) -> None:
    """Write and print what a process knows."""
    import json

    from splitopt.storage.writing import write_atomic

    if output is not None:
        write_atomic(output, json.dumps(document, indent=1) + "\n")
    if as_json:
        shared.print_json(document)
    elif found is None:
        typer.echo(json.dumps(document))
    else:
        _print(found)


def _print(found: Found) -> None:
    """Print what the coordinator knows, and the plan where it is known here."""
    details = found.details
    typer.echo(
        f"Sum of latencies: at most {found.objective:.6g} s, at least {found.bound:.6g} s "
        f"(gap {found.gap:.3g}; {found.stopped})"
    )
    typer.echo(
        f"Rounds: {details['rounds']}; messages: {details['messages']} of "
        f"{details['message_bytes']} bytes, {details['payload_bytes']} of them numbers to and from "
        f"devices; keys: {details['key_bytes']} bytes"
    )
    saw = "; ".join(f"{kind}: {', '.join(own)}" for kind, own in details["coordinator_saw"].items())
    typer.echo(f"The coordinator saw: {saw}")
    if found.decision is not None:
        typer.echo(f"Cuts: {' '.join(map(str, found.decision['cut']))}")
