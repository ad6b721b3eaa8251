"""The progress of a benchmark: a bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from splitopt.bench.rows import Row

if TYPE_CHECKING:
    from rich.console import Console


def describe(row: Row) -> str:
    """Describe a run in one line."""
    what = f"{row.instance} {row.objective} {row.solver} seed {row.seed}"
    if row.status == "skipped":
        return f"{what}: skipped, {row.message}"
    if row.status != "ok":
        return f"{what}: {row.status.upper()}, {row.message}"
    took = "" if row.total_s is None else f" in {row.total_s:.3g} s"
    if row.value is None:
        return f"{what}: {row.outcome}{took}"
    gap = "" if row.gap is None else f", gap {row.gap:.2g}"
    return f"{what}: {row.outcome} {row.value:.8g}{gap}{took}"


def time_left(elapsed_s: float, done: int, total: int) -> str:
    """Estimate how long the rest takes at the pace so far."""
    if done == 0:
        return "unknown time left"
    seconds = elapsed_s / done * (total - done)
    if seconds < 90:
        return f"about {seconds:.0f} s left"
    return f"about {seconds / 60:.0f} min left"


@contextmanager
def show_progress(total: int, console: Console) -> Iterator[Callable[[Row], None]]:
    """Show how far the benchmark is; the function that is yielded takes every new row."""
    begin = time.perf_counter()
    done = 0
    if not console.is_terminal:

        def line(row: Row) -> None:
            nonlocal done
            done += 1
            left = time_left(time.perf_counter() - begin, done, total)
            console.print(
                f"[{done}/{total}] {describe(row)} ({left})",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )

        yield line
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("starting", total=total)

        def advance(row: Row) -> None:
            nonlocal done
            done += 1
            left = time_left(time.perf_counter() - begin, done, total)
            bar.update(task, advance=1, description=f"{left}, {row.solver} on {row.instance}")
            if row.status not in ("ok", "skipped"):
                bar.console.print(describe(row), markup=False, highlight=False)

        yield advance
