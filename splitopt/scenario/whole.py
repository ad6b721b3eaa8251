"""What must hold between the parts of a scenario; every mistake is found, not only the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Literal

from splitopt.documents.mistakes import Mistake
from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown
from splitopt.scenario.device_columns import BARE, DeviceColumns
from splitopt.scenario.energy import PowerRange
from splitopt.scenario.guesses import check_guesses
from splitopt.scenario.names import clashes
from splitopt.scenario.nodes import Node, Pipeline
from splitopt.scenario.parts import Device, Link, Server
from splitopt.scenario.sections import MOST_SINGLE, NO_LINKS, WHOLE_MODEL, Sections

MOST_DEVICES = 2_000_000_000
"""Devices of a scenario, groups counted whole, which only plans by group take so many of."""
MOST_NODES = 10_000
_ONE_BY_ONE = ("nodes", "clusters", "spectrum", "distributions", "generators")
"""Sections of questions in which every device is looked at by itself."""

_DIRECTIONS: tuple[Literal["downlink", "uplink"], ...] = ("downlink", "uplink")


def mistakes_between(scenario: Sections) -> Iterator[Mistake]:
    """Yield what the parts of a scenario, each right by itself, get wrong together."""
    single = next((name for name in _ONE_BY_ONE if getattr(scenario, name)), None)
    most = MOST_DEVICES if single is None else MOST_SINGLE
    where = "" if single is None else f" with {single!r}"
    too_many = [
        *_too_many("devices", scenario.devices, most, where),
        *_too_many("nodes", scenario.nodes, MOST_NODES),
    ]
    yield from too_many
    if too_many:  # nothing that takes the room of so many is built
        return
    if not isinstance(scenario.devices, DeviceColumns):  # whose names were checked with the rest
        yield from _twice("devices", scenario.devices)
    yield from _twice("servers", scenario.servers)
    yield from _twice("nodes", scenario.nodes)
    if scenario.without_fleet is not None:
        yield from _beside(scenario.without_fleet, scenario)
        return
    if not isinstance(scenario.devices, DeviceColumns) and not scenario.devices:
        yield Mistake(("devices",), "is empty; give at least one device")
    if scenario.servers or scenario.nodes:
        yield from _about_nodes(scenario)
    else:
        yield Mistake(("servers",), "this field is missing; give servers or compute nodes (nodes)")
    if scenario.guesses:
        yield from _raised(lambda: check_guesses(scenario.to_dict(), scenario.guesses))
    if (clusters := scenario.clusters) is not None:
        size = scenario.device_count()
        yield from _raised(lambda: clusters.all_sizes(size))
        if scenario.spectrum is None:
            yield Mistake(("clusters",), "there is no 'spectrum' to share; add one or drop it")
    if (robust := scenario.robust) is not None:
        yield from _raised(lambda: robust.check(scenario.device_count()))
    if (generators := scenario.generators) is not None:
        yield from _raised(lambda: generators.check(scenario.device_groups()))
    yield from _about_batch_sizes(scenario)
    yield from _unknown_servers(scenario)
    yield from _without_a_rate(scenario)
    yield from _powers_without_effect(scenario)


def _about_batch_sizes(scenario: Sections) -> Iterator[Mistake]:
    """Report batch sizes to choose from that no curve of rounds values, or that stand twice."""
    listed, section = scenario.training.batch_size, scenario.time_to_accuracy
    place = ("training", "batch_size")
    if section is None:
        if listed is not None:
            yield Mistake(
                place,
                "lists batch sizes to choose from, and the seconds of a round do not say which is "
                "best: a smaller one takes more rounds; add the section 'time_to_accuracy' with a "
                "curve that 'splitopt calibrate' measures, or state one size of each device as "
                "'devices[].batch_size'",
            )
    elif listed is None and section.batch_size is None:
        yield Mistake(
            ("time_to_accuracy", "batch_size"),
            "this field is missing; list what may be chosen here, or as 'training.batch_size'",
        )
    elif listed is not None and section.batch_size is not None:
        yield Mistake(place, "is listed as 'time_to_accuracy.batch_size' as well; keep one")
    elif listed is not None:
        try:
            section.expect_calibrated("batch_size", listed)
        except InputError as error:
            yield Mistake(("training",), str(error))


def _unknown_servers(scenario: Sections) -> Iterator[Mistake]:
    """Report the servers that devices reach and that there are none of."""
    if isinstance(scenario.devices, DeviceColumns):
        return
    known = [server.name for server in scenario.servers]
    for index, device in enumerate(scenario.devices):
        for name in device.servers or ():
            if name not in known:
                hint = did_you_mean(name, known) or (
                    f"; the servers are {', '.join(known)}" if known else "; there are no servers"
                )
                text = f"the server {shown(name)} does not exist{hint}"
                yield Mistake(("devices", index, "servers", name), text)


def _without_a_rate(scenario: Sections) -> Iterator[Mistake]:
    """Report of which devices no rate is known; those that lack the same are one mistake."""
    if isinstance(scenario.devices, DeviceColumns):
        yield from _rows_without_a_rate(scenario, scenario.devices)
        return
    lacking: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    several = len(scenario.servers) > 1
    for index, device in enumerate(scenario.devices):
        # nothing is sent to a server that a device does not reach
        reached = [server for server in scenario.servers if device.reaches(server)]
        for direction, server in product(_DIRECTIONS, reached if several else [None]):
            if absent := scenario.link(device, direction, server).missing():
                way = direction if server is None else f"{direction} to {server.name}"
                lacking.setdefault((way, absent), []).append(index)
    for (way, absent), (first, *rest) in lacking.items():
        more = f" (the same of {len(rest)} more)" if rest else ""
        yield Mistake(
            ("devices", first),
            f"its {way} has no 'rate' and lacks {', '.join(map(repr, absent))}; give it in "
            f"links or here{more}",
        )


def _powers_without_effect(scenario: Sections) -> Iterator[Mistake]:
    """Report the devices that choose a power on which an uplink of theirs does not depend."""
    if isinstance(scenario.devices, DeviceColumns):
        return
    several = len(scenario.servers) > 1
    for index, device in enumerate(scenario.devices):
        power = device.transmit_power
        if not isinstance(power, PowerRange):
            continue
        reached = [server for server in scenario.servers if device.reaches(server)]
        for server in reached if several else [None]:
            link = scenario.link(device, "uplink", server)
            why = _fixed_by(link, power.max)
            if why is not None:
                way = "uplink" if server is None else f"uplink to {server.name}"
                yield Mistake(
                    ("devices", index, "transmit_power"),
                    f"is a range, and its {way} has {why}; give that link bandwidth, channel_gain "
                    "and noise_density alone, or state one power",
                )
                break


def _fixed_by(link: Link, power: float) -> str | None:
    """Return what makes the rate of a link independent of a device's power, None for nothing."""
    if link.rate is not None:
        return "a rate"
    if link.snr is not None:
        return "an snr"
    return None if link.transmit_power == power else "a power of its own"


def _rows_without_a_rate(scenario: Sections, devices: DeviceColumns) -> Iterator[Mistake]:
    """Report the first row of a file of which no rate is known, and how many others there are."""
    several: Sequence[Server | None] = scenario.servers if len(scenario.servers) > 1 else [None]
    for way, server in product(_DIRECTIONS, several):
        rows = devices.lacking_rate(scenario.link(BARE, way, server), way)
        if rows.size:
            name, more = devices.names[int(rows[0])], f" (the same of {rows.size - 1:,} more)"
            yield Mistake(
                ("devices",),
                f"of {shown(name)} the {way} has no rate{more if rows.size > 1 else ''}; give a "
                f"column '{way} [Mbit/s]', or state links.{way}",
            )


def _too_many(
    section: str, groups: Sequence[Device | Node] | DeviceColumns, most: int, where: str = ""
) -> Iterator[Mistake]:
    """Reject more machines than are sensible before anything is built for each of them."""
    if isinstance(groups, DeviceColumns):
        counts = groups.counts.tolist()
    else:
        counts = [group.count for group in groups]
    total = sum(counts)
    if total > most:
        largest = max(range(len(counts)), key=counts.__getitem__)
        yield Mistake(
            (section, largest, "count") if counts[largest] > 1 else (section,),
            f"makes {total:,} {section} in all, a scenario{where} has at most {most:,}; plan a "
            "smaller number of alike ones, or solve a problem of your own arrays (splitopt.solve)",
        )


def _twice(section: str, groups: Sequence[Device | Node | Server]) -> Iterator[Mistake]:
    for index, name in clashes((group.name, getattr(group, "count", 1)) for group in groups):
        yield Mistake((section, index), f"the name {shown(name)} stands twice; names must differ")


def _beside(section: str, scenario: Sections) -> Iterator[Mistake]:
    """Reject what machines that train the whole model have no use for, and a fleet beside them."""
    stated = {
        **{name: getattr(scenario, name) for name in WHOLE_MODEL if name != section},
        "devices": scenario.devices,
        "links": scenario.links != NO_LINKS,
        "servers": scenario.servers,
        "nodes": scenario.nodes,
        "pipeline": scenario.pipeline != Pipeline(),
    }
    for name, value in stated.items():
        if value:
            yield Mistake(
                (name,),
                f"does not go with {section!r}, whose machines run the whole model; drop one of "
                "both",
            )


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
