"""What is trained: fleets, data, and a case for every scheme."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch

from splitopt import Scenario
from splitopt.models.registry import build
from splitopt.profiles.tracing import trace
from splitopt.training.options import Options

CUT = "pool1"
"""Behind the first pooling, where CPSL cuts its LeNet and SplitFed its LeNet."""


@dataclass(frozen=True)
class Case:
    """One scheme with its learning rates.

    Parameters
    ----------
    name, label
        In files and in tables.
    scheme
        A name in `splitopt.training.schemes.SCHEMES`.
    options
        How it trains.
    size
        Devices in a cluster.
    timed_as
        The scheme of `compare_schemes` whose round is its predicted time; None for none.
    """

    name: str
    label: str
    scheme: str
    options: Options
    size: int = 5
    timed_as: str | None = None


@dataclass(frozen=True)
class Setting:
    """Cases that train on the same data from the same weights.

    Parameters
    ----------
    name
        In files.
    data
        A source of `load_data`.
    devices, samples, batch_size
        How many, with how many samples each, in mini-batches of which size.
    partition
        How the data is shared out.
    rounds, every
        How many rounds, and after how many of them the model is tested.
    steps
        Mini-batches of a device in a round.
    tested
        How many samples of the test set are used; None for all.
    cases
        The schemes.
    seeds
        Each draws weights, partition and batches.
    network
        A shipped one.
    """

    name: str
    data: str
    devices: int
    samples: int
    batch_size: int
    partition: str
    rounds: int
    every: int
    steps: int
    tested: int | None
    cases: tuple[Case, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    network: str = "cnn"


def cell(
    setting: Setting, size: int, shape: tuple[int, ...] | None = None, classes: int = 10
) -> Scenario:
    """Return CPSL's cell of identical devices (section VIII-B) with the fleet of a setting.

    Parameters
    ----------
    setting
        The fleet.
    size
        Devices in a cluster.
    shape
        Of the images that the setting's network is traced for; None for the published constants
        of the paper's network.
    """
    document = Scenario.load("cpsl-identical").to_dict()
    document["name"] = f"{setting.name}-{size}"
    document["devices"][0] |= {
        "count": setting.devices,
        "samples": setting.samples,
        "batch_size": setting.batch_size,
    }
    document["clusters"]["size"] = size
    document["training"] = {"epochs": setting.steps, "rounds": setting.rounds}
    if shape is None:
        return Scenario.from_dict(document, document["name"])
    document["clusters"]["cut"] = CUT
    document["model"] = {"file": str(_profile(setting.network, shape, classes))}
    return Scenario.from_dict(document, document["name"])


@cache
def _profile(network: str, shape: tuple[int, ...], classes: int) -> Path:
    """Trace a network, and give the file of its table."""
    folder = Path(tempfile.mkdtemp(prefix="splitopt-"))
    name = f"{network}-{'x'.join(str(side) for side in shape)}"
    model = build(network, shape, classes)
    trace(model, torch.zeros(2, *shape), name=name).profile.save(folder / f"{name}.json")
    return folder / f"{name}.json"


def _sgd(device: float, server: float | None = None, **more: str) -> Options:
    return Options(learning_rate=device, server_learning_rate=server, **more)  # type: ignore[arg-type]


def _clusters(size: int) -> Case:
    """CPSL as printed; the server's rate grows with the devices whose batches it takes at once."""
    options = _sgd(0.05, 0.05 * size)
    return Case(f"cpsl-{size}", f"CPSL, {size} in a cluster", "clustered", options, size, "cpsl")


FIGURE_5 = Setting(
    "figure-5",
    "fashion-mnist",
    devices=30,
    samples=180,
    batch_size=16,
    partition="classes:3",
    rounds=150,
    every=5,
    steps=1,
    tested=4000,
    cases=(
        Case("cl", "centralized", "centralized", _sgd(0.05)),
        Case("sl", "vanilla SL", "vanilla", _sgd(0.05), timed_as="sl"),
        replace(_clusters(5), label="CPSL"),
        Case(
            "cpsl-rescaled",
            "CPSL, cut gradient rescaled",
            "clustered",
            _sgd(0.05, 0.25, cut_gradient="rescaled"),
            timed_as="cpsl",
        ),
        Case("cpsl-one-rate", "CPSL, one learning rate", "clustered", _sgd(0.05), timed_as="cpsl"),
        Case("sflv2", "SplitFedV2", "splitfed_v2", _sgd(0.05, order="given"), timed_as="sflv2"),
        Case("fl", "FL", "federated", _sgd(0.1), timed_as="fl"),
    ),
)
"""CPSL section VIII-B; its learning rates are those of Table II and of the text above Fig. 5."""

FIGURE_6 = replace(FIGURE_5, name="figure-6", cases=(_clusters(3), _clusters(10)))
"""Other sizes of a cluster; those of 1 (vanilla SL) and 5 are in Fig. 5."""


FIGURE_5_LENET = replace(
    FIGURE_5,
    name="figure-5-lenet12",
    rounds=100,
    every=10,
    tested=2000,
    cases=tuple(case for case in FIGURE_5.cases if case.name in ("cl", "sl", "cpsl-5", "fl")),
    seeds=(0,),
    network="lenet12",
)
"""The paper's own network of 12 layers, for which a round takes twelve times as long."""

FIGURE_5_LENET_LONG = replace(
    FIGURE_5_LENET,
    name="figure-5-lenet12-cpsl",
    rounds=250,
    cases=tuple(case for case in FIGURE_5.cases if case.name == "cpsl-5"),
)
"""CPSL's as it goes on: the paper has it converged after some 160 rounds."""


def _splitfed(options: Options) -> tuple[Case, ...]:
    """Return the five columns of SplitFed's Table 5, and two of them as the authors' script is."""
    names = (
        ("normal", "normal", "centralized"),
        ("fl", "FL", "federated"),
        ("sl", "SL", "vanilla"),
        ("sflv1", "SFLV1", "splitfed_v1"),
        ("sflv2", "SFLV2", "splitfed_v2"),
    )
    script = replace(options, as_published=True)
    return (
        *(Case(name, label, scheme, options) for name, label, scheme in names),
        Case("sflv1-script", "SFLV1, authors' script", "splitfed_v1", script),
        Case("sflv2-script", "SFLV2, authors' script", "splitfed_v2", script),
    )


TABLE_5_FASHION = Setting(
    "table-5-fashion-mnist",
    "fashion-mnist",
    devices=5,
    samples=1200,
    batch_size=100,
    partition="iid",
    rounds=40,
    every=1,
    steps=12,
    tested=4000,
    cases=_splitfed(Options(optimizer="adam", learning_rate=0.004, order="given")),
)
"""A tenth of SplitFed's samples and batches: as many steps in an epoch as there."""

TABLE_5_DIGITS = replace(
    TABLE_5_FASHION,
    name="table-5-digits",
    data="digits",
    samples=280,
    batch_size=28,
    rounds=60,
    steps=10,
    tested=None,
)

SETTINGS = (
    TABLE_5_DIGITS,
    FIGURE_5,
    TABLE_5_FASHION,
    FIGURE_6,
    FIGURE_5_LENET,
    FIGURE_5_LENET_LONG,
)
