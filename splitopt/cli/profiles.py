"""``splitopt profiles``: the shipped model profiles, and what a cut of one costs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splitopt.cli import options as shared
from splitopt.errors import InputError, shown
from splitopt.units import readable_bytes, readable_work

if TYPE_CHECKING:
    from splitopt.profiles.published.listing import ListedProfile
    from splitopt.profiles.table.profile import ModelProfile


def command(
    profile: Annotated[
        str | None,
        typer.Argument(metavar="[PROFILE]", help="Show the cuts of one, shipped or a file."),
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Of a file, samples in the batch that it is for.")
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help="Of a file of Piper, the unit of its times: s or ms.")
    ] = None,
    boundaries: Annotated[
        str | None,
        typer.Option(help="Of a file that is a graph, where it is cut: cuts, prefixes or graph."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the profile as JSON.")
    ] = None,
    as_json: shared.AsJson = False,
) -> int:
    """List the shipped model profiles: size, work, bytes at the cuts, source and licence.

    Example: splitopt profiles resnet18-imagenet
    """
    from splitopt.profiles.published.listing import listed_profiles

    if profile is not None:
        found = _opened(profile, batch, unit, boundaries)
        if output is not None:
            _save(found, profile, output)
        return _one(found, as_json)
    if any(given is not None for given in (batch, unit, boundaries, output)):
        raise InputError("--batch, --unit, --boundaries and -o are about one profile; name it")
    rows = listed_profiles()
    if as_json:
        shared.print_json([asdict(row) for row in rows])
        return 0
    numbers = ("Layers", "Parameters", "Forward", "A cut sends")
    headings = ("Profile", *numbers, "Leakage", "Numbers", "Licence")
    table = shared.table(headings, map(_texts, rows), numbers=numbers, unbroken=headings)
    console = shared.console()
    console.print(table, highlight=False)
    console.print("Sources")
    for source in dict.fromkeys(row.source for row in rows):
        names = ", ".join(row.name for row in rows if row.source == source)
        console.print(f"  {names}: {source}", markup=False, highlight=False)
    return 0


def _opened(
    profile: str, batch: int | None, unit: str | None, boundaries: str | None
) -> ModelProfile:
    """Return a shipped profile, or that of a file in any of the forms that are read."""
    from splitopt.profiles import load_profile
    from splitopt.profiles.published.catalog import is_path, profile_of_file
    from splitopt.profiles.readers.reading import Said

    if is_path(profile):
        return profile_of_file(profile, Said(batch, None, None, boundaries, unit, strict=True))
    if batch is not None or unit is not None or boundaries is not None:
        raise InputError(
            f"--batch, --unit and --boundaries are of a file, and {shown(profile)} is the name of "
            "a shipped profile; leave them out"
        )
    return load_profile(profile)


def _save(found: ModelProfile, given: str, output: Path) -> None:
    """Write a profile; not over the file that it was read from."""
    if output.suffix != ".json":
        raise InputError(f"{output}: a profile is a JSON file; give a name that ends in .json")
    shared.check_outputs(Path(given), output)
    found.save(output)


def _texts(row: ListedProfile) -> tuple[str, ...]:
    crosses = "nothing"
    if row.smallest_cut_bytes is not None and row.largest_cut_bytes is not None:
        ends = (readable_bytes(row.smallest_cut_bytes), readable_bytes(row.largest_cut_bytes))
        crosses = ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
    return (
        row.name,
        str(row.layers),
        f"{row.parameters:,}",
        "not counted" if row.forward_flop is None else readable_work(row.forward_flop),
        crosses,
        row.leakage or "unknown",
        row.kind,
        row.license,
    )


def _work(profile: ModelProfile, cut: dict[str, Any], side: str) -> str:
    if not profile.has_work:
        return "not counted"
    return readable_work(cut[f"{side}_forward_flop"] + cut[f"{side}_backward_flop"])


def _one(profile: ModelProfile, as_json: bool) -> int:
    """Show one profile: a row for every cut."""
    from splitopt.profiles.published.listing import listed
    from splitopt.profiles.table.rows import cut_rows

    if as_json:
        shared.print_json(
            {**asdict(listed(profile)), "cuts": cut_rows(profile.layers, profile.columns)}
        )
        return 0
    row = listed(profile)
    console = shared.console()
    console.print(f"{row.name}: {row.layers} layers, {row.parameters:,} parameters", markup=False)
    headings = ("Cut", "Behind", "Device", "Server", "Sends up", "Gets down", "Model", "Leakage")
    texts = [
        (
            str(cut["cut"]),
            str(cut["layer"]),
            *(_work(profile, cut, side) for side in ("device", "server")),
            *(readable_bytes(cut[name]) for name in ("smashed_bytes", "gradient_bytes")),
            readable_bytes(cut["device_model_bytes"]),
            f"{cut['leakage']:.3g}" if "leakage" in cut else "unknown",
        )
        for cut in cut_rows(profile.layers, profile.columns)
    ]
    table = shared.table(headings, texts, numbers=(headings[0], *headings[2:]))
    console.print(table, highlight=False)
    console.print(f"Work is that of a sample, forward and backward. {row.source}", markup=False)
    console.print(f"Licence: {row.license}{f', {row.url}' if row.url else ''}", markup=False)
    for note in profile.provenance.notes:
        console.print(f"Note: {note}", markup=False, highlight=False)
    return 0
