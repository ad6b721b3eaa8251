"""Options that several verbs share, and what they turn into."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from splitopt.errors import InputError, shown
from splitopt.solvers.base import Callback, Progress
from splitopt.solvers.typed import Typed
from splitopt.storage.writing import check_writable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

ScenarioFile = Annotated[Path, typer.Argument(metavar="SCENARIO.yaml", help="The scenario file.")]
PlanFile = Annotated[Path, typer.Argument(metavar="PLAN.json", help="A plan file.")]
PageFile = Annotated[
    Path | None, typer.Option("--report", metavar="PAGE.html", help="Write a page about it.")
]
EveryDevice = Annotated[
    bool,
    typer.Option(
        "--every-device",
        help="List every device in the terminal, also those of a group that do the same.",
    ),
]
SolverName = Annotated[
    str, typer.Option("--solver", metavar="NAME", help="A solver; 'splitopt solvers' lists them.")
]
SolverOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option", "-O", metavar="KEY=VALUE", help="An option of the solver; repeatable."
    ),
]
TimeLimit = Annotated[
    float, typer.Option("--time-limit", metavar="S", min=0.0, help="Seconds the solver may take.")
]
RelGap = Annotated[
    float, typer.Option("--gap", metavar="REL", min=0.0, help="Stop at this relative gap.")
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of random draws.")]
EngineName = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="NAME[=ADDRESS]",
        help="Where independent work runs: loky, threads, dask=tcp://HOST:8786 or ray=auto.",
    ),
]
Workers = Annotated[
    int | None, typer.Option("--workers", metavar="N", min=1, help="How many work at once.")
]
CheckpointFolder = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint", metavar="DIR", help="Keep what is done there, and go on from there."
    ),
]
Stages = Annotated[
    str | None,
    typer.Option(
        "--stages", metavar="A,B,...", help="The stages that the model was profiled with."
    ),
]
SchemeFile = Annotated[
    str | None,
    typer.Option(
        "--scheme-file",
        metavar="FILE.py[:NAME]",
        help="Train the same devices by your own scheme; its file is run.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]

DEFAULT_TIME_LIMIT_S = 60.0

OTHER_FLAGS = {
    "solver": "--solver",
    "time_limit_s": "--time-limit",
    "rel_gap": "--gap",
    "seed": "--seed",
    "problem": "--problem",
    "objective": "--objective",
    "scenario": "",
    "callback": "",
    "on_failure": "",
}
"""Parameters of `splitopt.solve` and `splitopt.plan` that are no option of any solver -> flag."""


def solver_options(pairs: list[str] | None) -> dict[str, Any]:
    """Turn ``["max_vectors=10"]`` into ``{"max_vectors": Typed("10")}``.

    The solver's class knows what a typed text stands for, see `splitopt.solvers.typed`.
    """
    found: dict[str, Any] = {}
    for pair in pairs or []:
        key, equals, text = pair.partition("=")
        if not equals or not key.isidentifier():
            raise InputError(f"--option {shown(pair)} must be KEY=VALUE")
        found[key] = Typed(text)
    return found


def solver_arguments(fixed: Mapping[str, Any], pairs: list[str] | None) -> dict[str, Any]:
    """Return the arguments of a call that solves: those of other flags, and a solver's options.

    Raises
    ------
    InputError
        An option is one that another flag sets.
    """
    options = solver_options(pairs)
    for key in options:
        if key in fixed or key in OTHER_FLAGS:
            flag = OTHER_FLAGS.get(key, f"--{key}")
            mend = f"; {flag} sets it" if flag else ""
            raise InputError(f"--option {shown(key)}: is no option of a solver{mend}")
    return {**fixed, **options}


def one_scheme(name: str | None, file: str | None) -> str | None:
    """Return the scheme that is named or in a file; raise `InputError` for both."""
    if name is not None and file is not None:
        raise InputError.at("--scheme-file", "is given beside --scheme; give one of them")
    if file is None:
        return name
    if not file.endswith(".py") and ".py:" not in file:
        words = f"is {shown(file)}, it must be FILE.py or FILE.py:NAME"
        raise InputError.at("--scheme-file", words)
    return file


def stage_names(text: str | None) -> list[str] | None:
    """Turn ``"stem,body,head"`` into the names of the stages, None into None."""
    return None if text is None else [item.strip() for item in text.split(",")]


def check_outputs(source: Path, *targets: Path | None) -> None:
    """Reject an output that cannot be written, or would overwrite what is read or another one."""
    given = [target for target in targets if target is not None]
    for target in given:
        check_writable(target)
    for target in given:
        if target.is_file() or not target.exists():
            place = os.path.realpath(target)
            if sum(place == os.path.realpath(other) for other in given) > 1:
                raise InputError(f"{target}: is named for two outputs; give each its own file")
        if target.exists() and source.exists() and target.samefile(source):
            raise InputError(f"{target}: is the input; write the output to another file")


def live_console(silent: bool) -> Console | None:
    """Return the console for what is shown only while work goes on; None without a terminal."""
    from rich.console import Console

    found = Console(stderr=True)
    return None if silent or not found.is_terminal else found


@contextmanager
def progress(silent: bool) -> Iterator[Callback | None]:
    """Show the best objective and the gap while a solver works, on a terminal only."""
    console = live_console(silent)
    if console is None:
        yield None
        return
    with console.status("solving ...") as status:

        def show(state: Progress) -> None:
            gap = f"{100 * state.gap:.2g} %" if state.gap < 1e9 else "unknown"
            status.update(
                f"solving: {state.objective:.6g} s, gap {gap} after {state.time_s:.1f} s "
                "(Ctrl-C keeps the best)"
            )

        yield show


@contextmanager
def telling(first: str, silent: bool) -> Iterator[Callable[[str], None] | None]:
    """Show what is done at the moment, `first` to begin with, on a terminal only.

    Yields what changes the words, None where nobody sees them.
    """
    console = live_console(silent)
    if console is None:
        yield None
        return
    with console.status(first) as status:
        yield status.update


@contextmanager
def waiting(what: str, silent: bool) -> Iterator[None]:
    """Show what takes a while as long as it does, on a terminal only."""
    console = live_console(silent)
    if console is None:
        yield
        return
    with console.status(f"{what} ..."):
        yield


def print_json(document: Any) -> None:
    """Print a document as one line of JSON."""
    typer.echo(json.dumps(document, allow_nan=False))


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Collection[str] = (),
    unbroken: Collection[str] = (),
) -> Table:
    """Lay out a table for the terminal.

    Columns of `numbers` are on the right, and those in `unbroken` are not wrapped. Texts are shown
    as they are: brackets in a name are no markup.
    """
    from rich.table import Table
    from rich.text import Text

    found = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        justify: Literal["right", "left"] = "right" if heading in numbers else "left"
        found.add_column(Text(heading), justify=justify, no_wrap=heading in unbroken)
    for row in rows:
        found.add_row(*(Text(cell) for cell in row))
    return found


def console() -> Console:
    """Return the console for tables: as wide as the terminal, and wide enough in a pipe or file."""
    from rich.console import Console

    found = Console()
    return found if found.is_terminal else Console(width=max(found.width, 120))
