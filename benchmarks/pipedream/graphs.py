"""The 14 graphs of PipeDream's profiler, read by code of the benchmark's own."""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from splitopt.profiles.published.catalog import profile_names

SHIPPED = "pipedream-"
DATA = Path(__file__).parent / "data"
_NODE = re.compile(
    r"node(\d+) -- (.*) -- forward_compute_time=([\d.]+), backward_compute_time=([\d.]+), "
    r"activation_size=(\[[^\]]*\]|[\d.]+), parameter_size=([\d.]+)"
)
_EDGE = re.compile(r"\tnode(\d+) -- node(\d+)")


@dataclass(frozen=True)
class Operators:
    """A graph of operators as bit masks.

    Parameters
    ----------
    seconds, sizes
        Per operator: forward and backward together for a batch, and byte of what it puts out.
    before, after
        Per operator: the set of those that it takes from, and of those that take from it, as bits.
    """

    seconds: tuple[float, ...]
    sizes: tuple[float, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]


def texts() -> dict[str, str]:
    """Return the text of every graph by the name of its model."""
    shipped = resources.files("splitopt.profiles") / "data" / "pipedream"
    found = {}
    for name in profile_names():
        if name.startswith(SHIPPED):
            model = name.removeprefix(SHIPPED)
            found[model] = (shipped / f"{model}.graph.txt").read_text(encoding="utf-8")
    for path in DATA.glob("*.graph.txt.gz"):
        model = path.name.removesuffix(".graph.txt.gz")
        found[model] = gzip.decompress(path.read_bytes()).decode()
    return dict(sorted(found.items()))


def operators(text: str) -> Operators:
    """Read a graph as PipeDream's optimizer takes it.

    The data that a model is fed with costs nothing, and a part of a tuple that nobody uses (a
    ``__getitem__`` without successors) is dropped.
    """
    nodes = {int(m[1]): m for m in map(_NODE.match, text.splitlines()) if m}
    edges = {(int(m[1]), int(m[2])) for m in map(_EDGE.match, text.splitlines()) if m}
    dropped = {number for number, m in nodes.items() if m[2].startswith("Input")}
    sources = {start for start, _ in edges}
    dropped |= {n for n, m in nodes.items() if m[2].startswith("__getitem__") and n not in sources}
    kept = [number for number in nodes if number not in dropped]
    place = {number: index for index, number in enumerate(kept)}
    before, after = [0] * len(kept), [0] * len(kept)
    for start, end in edges:
        if start in place and end in place:
            before[place[end]] |= 1 << place[start]
            after[place[start]] |= 1 << place[end]
    return Operators(
        tuple((float(nodes[n][3]) + float(nodes[n][4])) / 1e3 for n in kept),
        tuple(sum(map(float, nodes[n][5].strip("[]").split(";"))) for n in kept),
        tuple(before),
        tuple(after),
    )
