"""Profiles that PipeDream measured on a GPU, read from its graphs."""

from __future__ import annotations

from importlib import resources

from splitopt.errors import InputError
from splitopt.profiles.readers.graph_file import arranged, parse_graph, profile_of_graph
from splitopt.profiles.readers.graph_order import EqualChain
from splitopt.profiles.table.profile import ModelProfile
from splitopt.profiles.table.provenance import Provenance

PREFIX = "pipedream-"
MACHINE = "gpu"
BATCHES = {"alexnet": 256, "vgg16": 128, "resnet50": 128, "squeezenet1_0": 256, "inception_v3": 128}
"""Model -> samples that the times and sizes of its file are for."""

_NOTES = (
    "Times are per batch at the source, which does not name the GPU; what it takes to load the "
    "data is left out.",
    "A layer is what lies between two nodes through which all data flows, and has the name of the "
    "last of its operators.",
)
_ODDITIES = {
    "inception_v3": (
        "The auxiliary classifier is part of the layer in which it branches off until its end.",
    )
}


def pipedream_names() -> tuple[str, ...]:
    """Names of the profiles that `pipedream_profile` reads."""
    return tuple(PREFIX + model for model in BATCHES)


def pipedream_profile(
    name: str, boundaries: str = "cuts", chain: EqualChain | None = None
) -> ModelProfile:
    """Read one of `pipedream_names`; for the rest see `splitopt.profiles.read_graph`."""
    model = name.removeprefix(PREFIX)
    if name not in pipedream_names():
        raise InputError(f"there is no profile {name!r}; choose {', '.join(pipedream_names())}")
    file = f"{model}.graph.txt"
    where = resources.files("splitopt.profiles") / "data" / "pipedream" / file
    provenance = Provenance(
        kind="measured",
        source=f"the profiler of PipeDream, {file}, batch size {BATCHES[model]}",
        url="https://github.com/msr-fiddle/pipedream",
        license="MIT",
        notes=(*_NOTES, *_ODDITIES.get(model, ())),
    )
    text = where.read_text(encoding="utf-8")
    graph = arranged(parse_graph(text, file), boundaries, chain)
    return profile_of_graph(graph, BATCHES[model], name, MACHINE, boundaries, provenance)
