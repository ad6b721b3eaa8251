"""``splitopt doctor``: what is here and what is wrong with it, for reports of bugs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from splitopt.cli import options as shared
from splitopt.units import readable_bytes


def command(
    devices: Annotated[
        bool,
        typer.Option("--devices", help="Load PyTorch and list its devices, which takes seconds."),
    ] = False,
    as_json: shared.AsJson = False,
) -> int:
    """Report what is installed, licensed and usable here; exit code 1 where something is wrong.

    Example: splitopt doctor
    """
    from splitopt.cli.diagnosing import diagnosis

    found = diagnosis(devices)
    if as_json:
        shared.print_json(found)
    else:
        for line in _lines(found):
            typer.echo(line)
    return 1 if found["problems"] else 0


def _lines(found: dict[str, Any]) -> list[str]:
    processor = found["processor"]
    memory = (processor["free_memory_bytes"], processor["memory_bytes"])
    lines = [
        f"splitopt    {found['splitopt']}",
        f"Python      {found['python']}",
        f"System      {found['system']}",
        f"Processors  {processor['usable']} of {processor['threads']} usable, "
        f"{processor['cores']} cores",
        f"Memory      {' free of '.join(map(readable_bytes, memory))}",
        f"PyTorch     {_torch(found['devices'])}",
    ]
    lines += _part("Solvers", [f"{name} {what}" for name, what in found["solvers"].items()])
    own = [row for row in found["packages"] if not row["extras"]]
    lines += _part("Packages", [f"{row['name']} {row['version'] or 'missing'}" for row in own])
    lines += _part("Extras", [f"{name}: {state}" for name, state in found["extras"].items()])
    lines += _part("Folders", [_folder(place) for place in found["folders"]])
    lines += _part("Environment", [f"{k}={v}" for k, v in found["environment"].items()])
    brought = [f"{row['kind']} {row['name']} from {row['from']}" for row in found["plugins"]]
    lines += _part("Plug-ins", brought)
    return lines + _part("Problems", found["problems"], "none found")


def _part(heading: str, entries: list[str], empty: str = "none") -> list[str]:
    return ["", heading, *(f"  {entry}" for entry in entries or [empty])]


def _torch(devices: dict[str, Any]) -> str:
    if devices["torch"] is None:
        return "not installed: pip install 'splitopt[train]'"
    if "error" in devices:
        return f"{devices['torch']}, {devices['error']}"
    if "cuda" not in devices:
        return f"{devices['torch']} (--devices lists its devices)"
    names = [*devices["cuda"], *(["mps"] if devices["mps"] else [])]
    return f"{devices['torch']}, {devices['threads']} threads, {', '.join(['cpu', *names])}"


def _folder(place: dict[str, Any]) -> str:
    free = "" if place["free_bytes"] is None else f", {readable_bytes(place['free_bytes'])} free"
    state = "writable" if place["writable"] else "not writable"
    return f"{place['name']}: {place['path']} ({state}{free})"
