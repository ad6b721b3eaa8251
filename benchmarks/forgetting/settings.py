"""What is trained: small images, two or five devices in turn, and what helps against forgetting."""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

import splitopt
from splitopt import Plan, Scenario
from splitopt.models.registry import build
from splitopt.profiles.tracing import trace
from splitopt.training.data import DataSet, load_data
from splitopt.training.data.named import Inputs
from splitopt.training.options import Options
from splitopt.training.remembering_options import Remembering

LEARNING_RATE = 0.1
BATCH = 10
ROUNDS = 20
SEEDS = (0, 1, 2)
DEVICES = 5


@dataclass(frozen=True)
class Case:
    """A way to train.

    Parameters
    ----------
    name, label
        In files and in tables.
    scheme
        A name in `splitopt.training.schemes.SCHEMES`.
    remembering
        What is done against forgetting.
    """

    name: str
    label: str
    scheme: str = "vanilla"
    remembering: Remembering | None = None


@dataclass(frozen=True)
class Setting:
    """Devices with their data, and the cases that are trained with them.

    Parameters
    ----------
    name
        In files.
    data
        ``fashion-mnist`` (14 x 14) or ``digits`` (8 x 8).
    partition
        How the training data are shared out.
    devices, samples
        How many, with how many samples each.
    rounds
        In each of which every device trains one epoch.
    cases
        What is trained.
    labels
        The classes that are used, None for all ten.
    per_class, tested
        Training and test images of each class.
    network
        ``cnn``, the shipped one, or ``five``, with five convolutions.
    seeds
        Each draws weights, partition and batches.
    """

    name: str
    data: str
    partition: str
    devices: int
    samples: int
    rounds: int
    cases: tuple[Case, ...]
    labels: tuple[int, ...] | None = None
    per_class: int = 500
    tested: int = 100
    network: str = "cnn"
    seeds: tuple[int, ...] = SEEDS

    def options(self, case: Case) -> Options:
        """Return plain SGD with one learning rate, and what a case does against forgetting."""
        return Options(learning_rate=LEARNING_RATE, remembering=case.remembering)


@cache
def images(name: str, labels: tuple[int, ...] | None, train: int, test: int) -> DataSet:
    """Load images, halve the side of those of 28, and keep so many of each class, renumbered."""
    whole = load_data(name, seed=0)
    kept = tuple(range(10)) if labels is None else labels
    parts = [
        _chosen(whole.train_inputs, whole.train_targets, kept, train),
        _chosen(whole.test_inputs, whole.test_targets, kept, test),
    ]
    return replace(
        whole,
        train_inputs=parts[0][0],
        train_targets=parts[0][1],
        test_inputs=parts[1][0],
        test_targets=parts[1][1],
        classes=len(kept),
    )


def _chosen(
    inputs: Inputs, targets: Tensor, labels: tuple[int, ...], count: int
) -> tuple[Tensor, Tensor]:
    rows = [torch.nonzero(targets == label).flatten()[:count] for label in labels]
    some = inputs[torch.cat(rows)]
    assert isinstance(some, Tensor)
    if some.shape[-1] >= 28:
        some = nn.functional.avg_pool2d(some, 2)
    numbers = [torch.full((len(own),), place) for place, own in enumerate(rows)]
    return some, torch.cat(numbers)


def network(name: str, shape: tuple[int, ...], classes: int) -> nn.Module:
    """Return a network; its weights are those of the seed of the generator."""
    if name != "five":
        built: nn.Module = build(name, shape, classes)
        return built
    side = shape[-1] // 4
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 8, 3, padding=1),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(8, 8, 3, padding=1),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            conv3=nn.Conv2d(8, 16, 3, padding=1),
            relu3=nn.ReLU(),
            conv4=nn.Conv2d(16, 16, 3, padding=1),
            relu4=nn.ReLU(),
            pool4=nn.MaxPool2d(2),
            conv5=nn.Conv2d(16, 16, 3, padding=1),
            relu5=nn.ReLU(),
            flat=nn.Flatten(),
            fc=nn.Linear(16 * side * side, classes),
        )
    )


CUTS = {"cnn": "pool1", "five": "pool2"}
"""Behind the first pooling: one convolution on devices, or the two of the paper."""
SPEED = {"cnn": "20 MFLOP/s", "five": "60 MFLOP/s"}
"""Of a device, at which a round is shortest there."""


@cache
def planned(setting: Setting, shape: tuple[int, ...], classes: int) -> Plan:
    """Plan equal devices that train one after the other, cut behind the first pooling."""
    folder = Path(tempfile.mkdtemp(prefix="splitopt-"))
    name = f"{setting.network}-{'x'.join(map(str, shape))}-{classes}"
    profile = trace(
        network(setting.network, shape, classes), torch.zeros(2, *shape), name=name
    ).profile
    profile.save(folder / f"{name}.json")
    document = Scenario.load("digits-splitfed").to_dict()
    device = {"name": "device", "compute": SPEED[setting.network], "count": setting.devices}
    document |= {
        "name": setting.name,
        "model": {"file": str(folder / f"{name}.json")},
        "devices": [{**device, "samples": setting.samples, "batch_size": BATCH}],
        "servers": [{"name": "gateway", "compute": "1 GFLOP/s"}],
        "training": {"epochs": 1, "rounds": setting.rounds},
    }
    found = splitopt.plan(Scenario.from_dict(document), scheme="vanilla")
    cut = profile.layers[(found.decision or {})["cut"] - 1]
    if cut != CUTS[setting.network]:
        raise RuntimeError(f"{setting.name} is cut at {cut}, not behind the first pooling")
    return found


SL = Case("sl", "split learning")
FEDERATED = Case("federated", "FedAvg", "federated")
CENTRALIZED = Case("centralized", "all data in one place", "centralized")
TURNS = Case("turns-1", "turns of 1 batch", remembering=Remembering(turn_batches=1))
TURNS_5 = Case("turns-5", "turns of 5 batches", remembering=Remembering(turn_batches=5))
REPLAY = Case("replay-20", "replay, 20 of each class", remembering=Remembering(replay=20))
REPLAY_2 = Case("replay-2", "replay, 2 of each class", remembering=Remembering(replay=2))
OVERSAMPLE = Case("oversample", "oversampling", remembering=Remembering(oversample=True))


def _ewc(strength: float, form: str = "accumulated", decay: float = 1.0) -> Case:
    given = Remembering(ewc=strength, ewc_form=form, ewc_decay=decay)  # type: ignore[arg-type]
    words = f"EWC, lambda {strength:g}" + ("" if decay == 1 else f", {form}, decay {decay:g}")
    return Case(f"ewc-{form}-{strength:g}", words, remembering=given)


EWC = _ewc(0.1)
EWCS = (EWC, _ewc(1.0), _ewc(10.0), _ewc(0.1, "online", 0.9))
BASELINES = (SL, *EWCS, REPLAY_2, REPLAY, TURNS_5, TURNS, FEDERATED, CENTRALIZED)
SOME = (SL, EWC, REPLAY, TURNS_5, TURNS, FEDERATED, CENTRALIZED)

_PAIR = Setting(
    "figure-5-separate-fashion-mnist",
    "fashion-mnist",
    "blocks:2",
    2,
    2000,
    8,
    (SL,),
    labels=(1, 2, 3, 4),
    per_class=2000,
    network="five",
)
_PAIR_DIGITS = replace(
    _PAIR, name="figure-5-separate-digits", data="digits", samples=136, per_class=136, rounds=40
)
"""Digits has fewer: 68 of each class on a device."""
FIGURE_5 = (
    _PAIR,
    replace(_PAIR, name="figure-5-uniform-fashion-mnist", partition="iid"),
    _PAIR_DIGITS,
    replace(_PAIR_DIGITS, name="figure-5-uniform-digits", partition="iid"),
)
"""Two devices with 1,000 images of each of two classes of their own, or 2,000 of all four classes
(IoTSL Fig. 4 and 5)."""


def _blocks(data: str, classes: int, cases: tuple[Case, ...] = (SL,)) -> Setting:
    """Return five devices with so many classes each, a fifth of all images of each of these."""
    of_class = {"fashion-mnist": 500, "digits": 135}[data]
    return Setting(
        f"figure-12-{data}-{classes}",
        data,
        f"blocks:{classes}",
        DEVICES,
        classes * of_class // DEVICES,
        ROUNDS,
        cases,
        per_class=of_class,
    )


CLASSES = (2, 4, 6, 8)
SETS = ("fashion-mnist", "digits")
FIGURE_12 = tuple(_blocks(data, classes) for data in SETS for classes in CLASSES)
IID = tuple(
    replace(_blocks(data, 10), name=f"figure-12-{data}-iid", partition="iid") for data in SETS
)
COMPARED = (_blocks(SETS[0], 2, BASELINES), _blocks(SETS[0], 4, SOME))
RANDOM = replace(
    _blocks(SETS[0], 10, (SL, OVERSAMPLE, REPLAY, TURNS_5, FEDERATED, CENTRALIZED)),
    name="random-fashion-mnist",
    partition="random",
    samples=500,
)
"""IoTSL section V-H: the draws A, B and C are three seeds; half of the images are shared out."""
SETTINGS = (*FIGURE_5, *FIGURE_12, *IID, *COMPARED, RANDOM)


def quick(setting: Setting) -> Setting:
    """Return two rounds of one seed, to see that everything runs."""
    return replace(setting, rounds=2, seeds=(0,))
