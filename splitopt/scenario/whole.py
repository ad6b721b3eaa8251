"""What must hold between the parts of a scenario; every mistake is found, not only the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from splitopt.documents.mistakes import Mistake
from splitopt.errors import InputError, shown
from splitopt.scenario.guesses import check_guesses
from splitopt.scenario.nodes import Node, Pipeline
from splitopt.scenario.parts import Device
from splitopt.scenario.sections import Sections

MOST_DEVICES = 200_000
"""Devices of a scenario, groups counted whole: planning them takes about 1 GB of memory."""
MOST_NODES = 10_000

_DIRECTIONS: tuple[Literal["downlink", "uplink"], ...] = ("downlink", "uplink")


def mistakes_between(scenario: Sections) -> Iterator[Mistake]:
    """Yield what the parts of a scenario, each right by itself, get wrong together."""
    too_many = [
        *_too_many("devices", scenario.devices, MOST_DEVICES),
        *_too_many("nodes", scenario.nodes, MOST_NODES),
    ]
    yield from too_many
    if too_many:  # nothing that takes the room of so many is built
        return
    yield from _twice("devices", [device.names() for device in scenario.devices])
    yield from _twice("servers", [[server.name] for server in scenario.servers])
    yield from _twice("nodes", [node.names() for node in scenario.nodes])
    if scenario.servers or scenario.nodes:
        yield from _about_nodes(scenario)
    else:
        yield Mistake(("servers",), "this field is missing; give servers or compute nodes (nodes)")
    if scenario.guesses:
        yield from _raised(lambda: check_guesses(scenario.to_dict(), scenario.guesses))
    if (clusters := scenario.clusters) is not None:
        size = sum(device.count for device in scenario.devices)
        yield from _raised(lambda: clusters.all_sizes(size))
        if scenario.spectrum is None:
            yield Mistake(("clusters",), "there is no 'spectrum' to share; add one or drop it")
    if (generators := scenario.generators) is not None:
        yield from _raised(lambda: generators.check(scenario.device_groups()))
    yield from _without_a_rate(scenario)


def _without_a_rate(scenario: Sections) -> Iterator[Mistake]:
    """Report of which devices no rate is known; those that lack the same are one mistake."""
    lacking: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    for index, device in enumerate(scenario.devices):
        for direction in _DIRECTIONS:
            if absent := scenario.link(device, direction).missing():
                lacking.setdefault((direction, absent), []).append(index)
    for (way, absent), (first, *rest) in lacking.items():
        more = f" (the same of {len(rest)} more)" if rest else ""
        yield Mistake(
            ("devices", first),
            f"its {way} has no 'rate' and lacks {', '.join(map(repr, absent))}; give it in "
            f"links or here{more}",
        )


def _too_many(section: str, groups: Sequence[Device | Node], most: int) -> Iterator[Mistake]:
    """Reject more machines than are sensible before anything is built for each of them."""
    total = sum(group.count for group in groups)
    if total > most:
        largest = max(range(len(groups)), key=lambda index: groups[index].count)
        yield Mistake(
            (section, largest, "count") if groups[largest].count > 1 else (section,),
            f"makes {total:,} {section} in all, a scenario has at most {most:,}; plan a smaller "
            "number of alike ones, or solve a problem of your own arrays (splitopt.solve)",
        )


def _twice(section: str, groups: Sequence[Sequence[str]]) -> Iterator[Mistake]:
    seen: set[str] = set()
    for index, names in enumerate(groups):
        for name in names:
            if name in seen:
                yield Mistake(
                    (section, index), f"the name {shown(name)} stands twice; names must differ"
                )
                break
        seen.update(names)


def _about_nodes(scenario: Sections) -> Iterator[Mistake]:
    """Check the sections about compute nodes against each other."""
    links = scenario.links.nodes
    if scenario.nodes:
        if links is not None:
            yield from _raised(lambda: links.check(scenario.nodes))
        return
    text = "there are no compute nodes; add 'nodes' or drop it"
    if links is not None:
        yield Mistake(("links", "nodes"), text)
    if scenario.pipeline != Pipeline():
        yield Mistake(("pipeline",), text)


def _raised(check: Callable[[], object]) -> Iterator[Mistake]:
    """Yield the mistake that a check raises."""
    try:
        check()
    except InputError as error:
        yield Mistake.of(str(error))
