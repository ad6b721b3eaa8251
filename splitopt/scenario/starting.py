"""A scenario file to begin with: commented, complete, and planned as it stands."""

from __future__ import annotations

import json
from dataclasses import dataclass

from splitopt.documents.checks import check_choice, check_whole
from splitopt.documents.yaml_text import parse_yaml
from splitopt.errors import InputError
from splitopt.profiles.published.catalog import load_profile, profile_names, unknown_profile
from splitopt.scenario.scenario import Scenario

KINDS = {
    "star": "devices with a server: a cut for each, and shares of links and server",
    "pipeline": "devices and compute nodes: which node hosts which layers",
    "clusters": "devices in a radio cell: who works together, with how many subcarriers",
    "machines": "machines of several types: which layers on which, with replicas of stages",
}
"""Kind of a scenario to begin with -> what it asks."""
USUAL_KIND = "star"
USUAL_MODEL = "resnet18-imagenet"
USUAL_DEVICES = 10
USUAL_NODES = 3
MOST_DEVICES = 10_000
MOST_NODES = 64
_LARGEST_CLUSTER = 5

_HEAD = """\
# Who trains what, over which links. `splitopt plan {file}` says where to cut and who gets what.
# Every quantity has a unit; `splitopt schema` describes all fields for editors.
format: splitopt-scenario
version: 1
name: {name}

# These numbers are guesses until you replace them by yours; a plan says so. Delete the lines then.
guesses:
{guesses}

# A shipped profile (`splitopt profiles` lists them), or {{file: MINE.json}}, which
# `splitopt profile MODEL` writes for a PyTorch model of your own.
model: {model}
"""

_FLEET = """
# Alike devices are one entry with a count. compute: what a device reaches in training, not what its
# data sheet says. samples: the size of its data set. batch_size: needed to check the memory.
devices:
{devices}
"""

_STAR = """
# What all devices share; `shared: false` would give each a link of its own, and a device may state
# its own `uplink` or `downlink`.
links:
  downlink: 300 Mbit/s
  uplink: 100 Mbit/s
  shared: true

# One server, or several to choose from.
servers:
  - {name: server, compute: 15 TFLOP/s, memory: 24 GiB}

# epochs: passes over a device's data in a round. rounds: how often models are averaged.
training: {epochs: 1, rounds: 100}

# A limit on what a cut leaks needs a profile with leakage, such as cnn-digits:
# privacy: {leakage_limit: 0.5}
"""

_PIPELINE = """
# Every device has a link of its own to the nodes (shared: false), and the nodes one interface each.
links:
  downlink: 100 Mbit/s
  uplink: 50 Mbit/s
  shared: false
  nodes: {model: nic, rate: 1 Gbit/s, latency: 1 ms}

# Machines that host the layers between the devices' first and last ones. Some may stay idle.
# `splitopt plan --pareto` says which to rent, by price_per_hour.
nodes:
{nodes}

# The cuts between devices and nodes are chosen too; these lines would fix them:
# pipeline: {first_cut: 2, last_cut: 8, use_all_nodes: true}

# epochs: passes over a device's data in a round. rounds: how often models are averaged.
training: {epochs: 1, rounds: 100}
"""

_CLUSTERS = """
# The rates follow from the subcarriers that a device gets and its snr_db.
links: {downlink: {}, uplink: {}}
spectrum: {subcarriers: {subcarriers}, bandwidth: 1 MHz}

# Clusters train one after the other, devices of a cluster side by side. cut: the last layer on the
# devices, of which every cluster has the same.
clusters: {sizes: [{sizes}], cut: {cut}}

servers:
  - {name: server, compute: 15 TFLOP/s}

# epochs: passes of a cluster before the next one. rounds: how often all clusters have trained.
training: {epochs: 1, rounds: 100}
"""

_MACHINES = """
# Machines that train one model in stages, of which some may have several machines that share the
# micro-batches. Alike machines are one type with a count. rate: of a machine's one interface.
# memory: of each machine; reserve is kept free of it. compute: what it reaches in training.
replication:
  types:
{types}
  # order of the passes: 1f1b, gpipe or pipedream
  schedule: 1f1b
  # samples of a micro-batch, and micro-batches between two steps of the optimizer
  batch_size: 32
  micro_batches: 32
  # activations are computed again in the backward pass: never, always, or choose stage by stage
  recompute: {recompute}
  # sgd, momentum or adam; shard_optimizer divides its states among the machines of a stage
  optimizer: momentum

# rounds: how many steps of the optimizer.
training: {rounds: 1000}
"""


@dataclass(frozen=True)
class _Device:
    name: str
    compute: str
    memory: str
    share: float
    """Which part of the devices is of this kind."""
    snr_db: int


_DEVICES = (
    _Device("board", "30 GFLOP/s", "8 GiB", 0.5, 17),
    _Device("laptop", "400 GFLOP/s", "16 GiB", 0.3, 20),
    _Device("edge-gpu", "1.2 TFLOP/s", "8 GiB", 0.2, 12),
)
_TYPES = (
    ("fast", "15 TFLOP/s", "25 Gbit/s", "memory: 24 GiB, reserve: 2 GiB"),
    ("slow", "4 TFLOP/s", "10 Gbit/s", "memory: 12 GiB, reserve: 1 GiB"),
)
_NODES = (("node-small", "4 TFLOP/s", "32 GiB", 0.1), ("node-large", "15 TFLOP/s", "64 GiB", 0.4))


def starting_scenario(
    kind: str = "star",
    model: str = USUAL_MODEL,
    devices: int = USUAL_DEVICES,
    nodes: int | None = None,
    *,
    name: str = "my-fleet",
    file: str = "scenario.yaml",
) -> str:
    """Return the YAML of a commented scenario, which can be planned as it stands.

    Parameters
    ----------
    kind
        One of `KINDS`.
    model
        The name of a shipped profile.
    devices, nodes
        How many there are, devices of machines being these; compute nodes of a pipeline alone, 3
        by default.
    name, file
        Of the scenario, and of the file that is written, for the comments.

    Raises
    ------
    InputError
        An unknown kind or profile, or a number out of range.
    """
    check_choice("kind", kind, tuple(KINDS))
    if model not in profile_names():
        mistake = unknown_profile(model) or "a file is not for a scenario to begin with; name one"
        raise InputError.at("model", mistake)
    if kind == "pipeline" and load_profile(model).layer_saved_bytes is None:
        raise InputError.at(
            "model",
            f"is {model!r}, which does not say what its layers keep in memory; a pipeline needs "
            f"that: take another one, such as {USUAL_MODEL!r}",
        )
    least = 2 if kind == "clusters" else 1
    check_whole("devices", devices, least, MOST_DEVICES)
    if nodes is not None and kind != "pipeline":
        raise InputError.at("nodes", f"are for a pipeline, and the kind is {kind!r}; leave it out")
    nodes = USUAL_NODES if nodes is None else nodes
    check_whole("nodes", nodes, 1, MOST_NODES)
    head = _HEAD.format(
        file=file,
        name=json.dumps(name, ensure_ascii=False),
        model=model,
        guesses="\n".join(f"  - {place}" for place in _guesses(kind)),
    )
    if kind != "machines":
        head += _FLEET.format(devices=_device_lines(kind, devices))
    text = head + _sections(kind, model, devices, nodes)
    Scenario.from_dict(parse_yaml(text, file), file)  # what is handed out can be read
    return text


def _guesses(kind: str) -> list[str]:
    if kind == "machines":
        return ["replication.types.*.compute", "replication.types.*.rate"]
    places = ["devices.*.compute"]
    if kind == "pipeline":
        return [*places, "links.downlink", "links.uplink", "links.nodes.rate", "nodes.*.compute"]
    links = ["devices.*.snr"] if kind == "clusters" else ["links.downlink", "links.uplink"]
    return [*places, *links, "servers.*.compute"]


def _device_lines(kind: str, devices: int) -> str:
    lines = []
    for own, count in zip(_DEVICES, _counts(devices), strict=True):
        if count:
            radio = f", snr_db: {own.snr_db}" if kind == "clusters" else ""
            lines.append(
                f"  - {{name: {own.name}, count: {count}, compute: {own.compute}, "
                f"memory: {own.memory}, samples: 2000, batch_size: 32{radio}}}"
            )
    return "\n".join(lines)


def _counts(devices: int) -> list[int]:
    """Return how many devices are of each kind; the first one has what is left."""
    others = [int(devices * own.share) for own in _DEVICES[1:]]
    return [devices - sum(others), *others]


def _sections(kind: str, model: str, devices: int, nodes: int) -> str:
    if kind == "star":
        return _STAR
    if kind == "machines":
        return _machines(model, devices)
    if kind == "pipeline":
        large = (nodes + 1) // 2
        counts = (nodes - large, large)
        lines = [
            f"  - {{name: {name}, count: {count}, compute: {compute}, memory: {memory}, "
            f"price_per_hour: {price}}}"
            for (name, compute, memory, price), count in zip(_NODES, counts, strict=True)
            if count
        ]
        return _PIPELINE.replace("{nodes}", "\n".join(lines))
    layers = load_profile(model).layers
    parts = -(-devices // _LARGEST_CLUSTER)
    sizes = [devices // parts + (1 if part < devices % parts else 0) for part in range(parts)]
    return (
        _CLUSTERS.replace("{subcarriers}", str(6 * max(sizes)))
        .replace("{sizes}", ", ".join(map(str, sizes)))
        .replace("{cut}", str(max(1, len(layers) // 3)))
    )


def _machines(model: str, machines: int) -> str:
    """Return the section of machines, with memory where the profile says what its layers keep."""
    saved = load_profile(model).layer_saved_bytes is not None
    slow = machines // 3
    lines = [
        f"    - {{name: {name}, count: {count}, compute: {compute}, rate: {rate}"
        f"{', ' + memory if saved else ''}}}"
        for (name, compute, rate, memory), count in zip(
            _TYPES, (machines - slow, slow), strict=True
        )
        if count
    ]
    return _MACHINES.replace("{types}", "\n".join(lines)).replace(
        "{recompute}", "choose" if saved else "never"
    )
