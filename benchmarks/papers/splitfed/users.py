"""Figures 2 to 4 in miniature: accuracy by the number of users, and over them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from benchmarks.papers.tables import Table

DATA_SAMPLES = 1437
"""Of scikit-learn's digits, those to train with."""


@dataclass(frozen=True)
class Size:
    """How much is trained.

    Parameters
    ----------
    users
        Numbers of clients.
    rounds, seeds
        Of every run, and how many runs.
    partitions
        How data are shared out.
    """

    users: tuple[int, ...]
    rounds: int
    seeds: int
    partitions: tuple[str, ...]


FULL = Size((5, 20, 50), 10, 2, ("iid", "classes:3"))
QUICK = Size((5,), 2, 1, ("iid",))


@dataclass(frozen=True)
class Way:
    """A column of the paper's figures: a scheme with its options."""

    words: str
    scheme: str
    options: dict[str, Any]


WAYS = (
    Way("FL", "federated", {}),
    Way("SL", "vanilla", {}),
    Way("SFLV1", "splitfed_v1", {}),
    Way("SFLV2", "splitfed_v2", {"server_order": "client"}),
    Way("SFLV2, batch by batch", "splitfed_v2", {"server_order": "batch"}),
    Way("SFLV1, authors' script", "splitfed_v1", {"as_published": True}),
    Way("SFLV2, authors' script", "splitfed_v2", {"as_published": True}),
)
ADAM = {"optimizer": "adam", "learning_rate": 3e-3}
"""The paper trains with Adam; its rate of 1e-4 is for far more steps."""


def plan_for(users: int, batch: int = 16) -> Any:
    """Plan a common cut for so many alike clients, which share digits out."""
    import splitopt

    document = splitopt.Scenario.load("digits-splitfed").to_dict()
    device = {"name": "user", "compute": "3 MFLOP/s", "batch_size": batch}
    document["devices"] = [{**device, "count": users, "samples": DATA_SAMPLES // users}]
    return splitopt.plan(splitopt.Scenario.from_dict(document), scheme="splitfed_v1")


def trained(plan: Any, way: Way, rounds: int, seed: int, partition: str, **more: Any) -> Any:
    """Train in one way, and return the history, tested client by client after the last round."""
    import splitopt
    from splitopt.training.options import Options

    options = Options(**{**ADAM, **way.options, **more})
    run = splitopt.train(
        plan,
        scheme=way.scheme,
        partition=partition,
        samples="data",
        rounds=rounds,
        evaluate_every=rounds,
        per_client=True,
        seed=seed,
        options=options,
    )
    return run.history


def over_users(size: Size, tell: Callable[[str], None]) -> Table:
    """Train every way with every number of users, and write accuracy and its spread over them."""
    head = ["data and scheme", *(f"{users} users" for users in size.users)]
    head += [f"variation over {users}" for users in size.users]
    rows = []
    plans = {users: plan_for(users) for users in size.users}
    for partition in size.partitions:
        for way in WAYS:
            accuracies, variations = [], []
            for users, plan in plans.items():
                tell(f"{partition}, {way.words}, {users} users")
                found = [
                    trained(plan, way, size.rounds, seed, partition) for seed in range(size.seeds)
                ]
                accuracies.append(spread([100 * _tested(history) for history in found]))
                variations.append(spread([_variation(history) for history in found], digits=3))
            rows.append([f"{partition}, {way.words}", *accuracies, *variations])
    note = (
        f"Accuracy in % after {size.rounds} rounds of one epoch, and the coefficient of variation "
        f"of the accuracy over users, each by its share of the test data: mean and standard "
        f"deviation over {size.seeds} seeds. scikit-learn's digits, the network `cnn` cut behind "
        "its first pooling, Adam at 0.003, batches of 16."
    )
    return Table("figures-2-to-4", head, rows, note)


def _tested(history: Any) -> float:
    return float(history.value_of(history.evaluated[-1]))


def _variation(history: Any) -> float:
    found = history.spread(history.evaluated[-1])
    return float(found.variation or 0.0)


def spread(values: list[float], digits: int = 1) -> str:
    """Write the mean, and the standard deviation where there are several values."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{fmean(values):.{digits}f} ± {stdev(values):.{digits}f}"
