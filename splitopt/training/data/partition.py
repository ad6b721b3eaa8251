"""How samples are shared out among clients: who gets which rows of the training data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, get_args

import numpy as np
import torch
from torch import Tensor

from splitopt.documents.checks import check_choice
from splitopt.errors import InputError
from splitopt.scenario.training_data import PARTITIONS
from splitopt.storage.writing import write_atomic
from splitopt.training.data.dealing import dealt, pools_of
from splitopt.training.data.partition_input import (
    Labels,
    Rows,
    check_labels,
    check_sizes,
    rows_of_file,
)
from splitopt.training.data.partition_input import Samples as Samples


def partition(
    targets: Tensor,
    sizes: Sequence[int],
    how: str,
    seed: int,
    *,
    samples: Samples = "plan",
    classes: int | None = None,
) -> list[Tensor]:
    """Share out the rows of the training data.

    Parameters
    ----------
    targets
        The labels, shape (n,), whole numbers >= 0.
    sizes
        Samples of each client, whole numbers >= 1.
    how
        ``"iid"``: any samples. ``"classes:K"``: each client has K classes, drawn at random, in
        equal parts (CPSL section VIII). ``"dirichlet:ALPHA"``: each client's shares of classes
        are drawn from a Dirichlet distribution around those of the data; the smaller ALPHA, the
        fewer classes a client has (Hsu et al. 2019). ``"blocks:B"``: each class is cut into as
        many blocks as there are clients, and each client gets B blocks of different classes
        (IoTSL section V). ``"random"``: which classes a client has, how many, and in which shares
        is drawn (IoTSL section V-H); its draws A, B, C are seeds. ``"file:PATH.json"``: a list of
        row numbers for each client.
    seed
        The same seed gives the same rows.
    samples
        ``"plan"``: each client gets exactly as many as ``sizes`` says. ``"data"``: ``sizes`` are
        only proportions in which all samples there are, are shared out; with ``"classes:K"``, all
        samples of each class among those who have it, with ``"blocks:B"``, whole blocks.
    classes
        How many there are; None for as many as the largest label says.

    Returns
    -------
    For each client, different row numbers; no row is given twice. In rising order, except those
    of a file.

    Raises
    ------
    InputError
        Fewer samples than asked for, a client without any, labels outside the classes, a form or
        a file that cannot be read.
    """
    check_choice("samples", samples, get_args(Samples))
    form, _, value = how.partition(":")
    labels = check_labels(targets, classes, how, needs_classes=form not in ("iid", "file"))
    wanted = check_sizes(sizes)
    rng = np.random.default_rng([seed, 0x5EED])
    if form == "file" and value:
        return rows_of_file(Path(value), len(labels), wanted, samples)
    if how == "iid":
        rows = _iid(labels, wanted, rng, samples)
    elif how == "random":
        rows = _random(labels, wanted, rng, samples)
    elif form in _BY_CLASS:
        rows = _BY_CLASS[form](labels, wanted, _whole(value, how), rng, samples)
    elif form == "dirichlet":
        rows = _dirichlet(labels, wanted, _concentration(value, how), rng, samples)
    else:
        raise InputError.at("partition", f"is {how!r}; it must be {PARTITIONS}")
    for index, own in enumerate(rows):
        if not len(own):
            raise InputError.at(
                "partition",
                f"client {index} gets no sample with {how!r}; take fewer clients or more data",
            )
    return [torch.from_numpy(np.sort(own)) for own in rows]


def save_partition(path: str | Path, parts: Sequence[Tensor]) -> None:
    """Write rows of each client to a file that ``"file:PATH.json"`` reads."""
    import json

    lines = ",\n".join(json.dumps(part.tolist()) for part in parts)
    write_atomic(path, f"[{lines}]\n")


def share_out(total: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to weights, by largest remainders, that sum to `total`."""
    exact = total * np.asarray(weights, dtype=np.float64) / float(sum(weights))
    found = np.floor(exact).astype(np.int64)
    missing = total - int(found.sum())
    found[np.argsort(found - exact, kind="stable")[:missing]] += 1
    return [int(count) for count in found]


def _iid(labels: Labels, sizes: list[int], rng: np.random.Generator, samples: Samples) -> Rows:
    sizes = _fit(len(labels), sizes, samples)
    order = rng.permutation(len(labels))
    return np.split(order, np.cumsum(sizes))[: len(sizes)]


def _dirichlet(
    labels: Labels, sizes: list[int], alpha: float, rng: np.random.Generator, samples: Samples
) -> Rows:
    """Draw each client's samples by shares of its own, from what is left of each class."""
    sizes = _fit(len(labels), sizes, samples)
    pools = pools_of(labels, rng)
    present = np.flatnonzero([len(pool) for pool in pools])
    prior = np.array([len(pools[c]) for c in present]) / len(labels)
    left = np.array([len(pools[c]) for c in present])
    taken = []
    for size in sizes:
        shares = rng.dirichlet(alpha * len(present) * prior)
        counts = np.zeros(len(present), dtype=np.int64)
        while (missing := size - int(counts.sum())) > 0:
            open_shares = np.where(left > counts, shares, 0.0)
            if not open_shares.sum() > 0:  # its classes are used up: what the data has left
                open_shares = (left - counts).astype(np.float64)
            drawn = rng.multinomial(missing, open_shares / open_shares.sum())
            counts += np.minimum(drawn, left - counts)
        taken.append(counts)
        left = left - counts
    return dealt(pools, present, taken)


def _random(labels: Labels, sizes: list[int], rng: np.random.Generator, samples: Samples) -> Rows:
    """Draw for each client how many classes it has, which, and by which shares.

    The number is equally likely from 1 to all, and so are all shares that add up to 1; each class
    that a client has it has a sample of. Where its classes have too few samples left, it gets more
    of them.
    """
    sizes = _fit(len(labels), sizes, samples)
    pools = pools_of(labels, rng)
    present = np.flatnonzero([len(pool) for pool in pools])
    left = np.array([len(pools[c]) for c in present])
    taken = []
    for size in sizes:
        order = rng.permutation(np.flatnonzero(left))
        count = min(int(rng.integers(1, len(present) + 1)), len(order), size)
        while left[order[:count]].sum() < size:
            count += 1
        own = order[: min(count, size)]
        counts = np.zeros(len(present), dtype=np.int64)
        counts[own] = 1
        shares = rng.dirichlet(np.ones(len(own)))
        while (missing := size - int(counts.sum())) > 0:
            free = left[own] > counts[own]
            weights = np.where(free, shares, 0.0)
            if not weights.sum() > 0:  # those with a share are used up
                weights = free.astype(np.float64)
            drawn = rng.multinomial(missing, weights / weights.sum())
            counts[own] += np.minimum(drawn, left[own] - counts[own])
        taken.append(counts)
        left = left - counts
    return dealt(pools, present, taken)


def _by_classes(
    labels: Labels, sizes: list[int], count: int, rng: np.random.Generator, samples: Samples
) -> Rows:
    """Deal each client `count` classes, drawn at random among those that still have enough."""
    pools = pools_of(labels, rng)
    present = np.flatnonzero([len(pool) for pool in pools])
    _check_count(count, len(present), f"classes:{count}")
    if samples == "data":
        chosen = [rng.choice(present, count, replace=False) for _ in sizes]
        return _share_classes(pools, chosen, sizes)
    shares = [_equal(size, count) for size in sizes]
    short = next((i for i, size in enumerate(sizes) if size < count), None)
    if short is not None:
        raise InputError.at(
            "partition", f"client {short} has {sizes[short]} samples, fewer than {count} classes"
        )
    full = np.array([len(pools[c]) for c in present])
    # At random as long as that comes out; else by what is left, the largest clients first.
    taken = _draw_classes(full, shares, rng, greedy=False)
    if taken is None:
        taken = _draw_classes(full, shares, rng, greedy=True)
    if taken is None:
        _too_few_rows(len(labels), sizes, f" in {count} classes for each client")
    return dealt(pools, present, taken)


def _draw_classes(
    full: np.ndarray[Any, Any],
    shares: list[list[int]],
    rng: np.random.Generator,
    greedy: bool,
) -> list[np.ndarray[Any, Any]] | None:
    """Count the samples of each class for each client; None if some client finds too few."""
    left = full.copy()
    found = [np.zeros_like(full) for _ in shares]
    clients = range(len(shares))
    for client in sorted(clients, key=lambda i: -shares[i][0]) if greedy else clients:
        need = shares[client]
        enough = np.flatnonzero(left >= need[0])
        if greedy:
            by_left = rng.permutation(len(full))
            chosen = by_left[np.argsort(-left[by_left], kind="stable")][: len(need)]
        elif len(enough) < len(need):
            return None
        else:
            chosen = rng.choice(enough, len(need), replace=False)
        if (left[chosen] < need).any():
            return None
        found[client][chosen] = need
        left[chosen] -= need
    return found


def _by_blocks(
    labels: Labels, sizes: list[int], count: int, rng: np.random.Generator, samples: Samples
) -> Rows:
    """Cut each class into blocks, one for each client, and give each client `count` of them."""
    pools = pools_of(labels, rng)
    present = np.flatnonzero([len(pool) for pool in pools])
    _check_count(count, len(present), f"blocks:{count}")
    clients = len(sizes)
    if clients * count <= len(present):  # no class stands on two devices
        chosen = list(rng.permutation(present)[: clients * count].reshape(clients, count))
    else:
        chosen = [rng.choice(present, count, replace=False) for _ in sizes]
    used = dict.fromkeys((int(label) for label in present), 0)
    rows: Rows = []
    for client, (size, own) in enumerate(zip(sizes, chosen, strict=True)):
        pieces = []
        for label, need in zip(own, _equal(size, count), strict=True):
            block = len(pools[label]) // clients
            if samples == "data":
                need = block
            elif need > block or need == 0:
                raise InputError.at(
                    "partition",
                    f"client {client} is to have {need} samples of class {label}, whose blocks "
                    f"hold {block}; take whole blocks with --samples data, or other sizes",
                )
            start = used[int(label)] * block
            used[int(label)] += 1
            pieces.append(pools[label][start : start + need])
        rows.append(np.concatenate(pieces))
    return rows


_BY_CLASS: dict[str, Callable[[Labels, list[int], int, np.random.Generator, Samples], Rows]] = {
    "classes": _by_classes,
    "blocks": _by_blocks,
}


def _share_classes(pools: Rows, chosen: Sequence[Any], sizes: list[int]) -> Rows:
    """Share all samples of each class among those who have it, in proportion to their sizes."""
    rows: list[list[Any]] = [[] for _ in sizes]
    for label, pool in enumerate(pools):
        holders = [i for i, own in enumerate(chosen) if label in own]
        if not holders:
            continue
        counts = share_out(len(pool), [sizes[i] for i in holders])
        if 0 in counts:
            raise InputError.at(
                "partition",
                f"class {label} has {len(pool)} samples for {len(holders)} clients; take fewer "
                "clients or fewer classes for each",
            )
        for holder, piece in zip(holders, np.split(pool, np.cumsum(counts)), strict=False):
            rows[holder].append(piece)
    return [np.concatenate(pieces) for pieces in rows]


def _fit(available: int, sizes: list[int], samples: Samples) -> list[int]:
    """Sizes that the data have: those of the plan, or in proportion to them."""
    if samples == "data":
        return share_out(available, sizes)
    if sum(sizes) > available:
        _too_few_rows(available, sizes, "")
    return sizes


def _too_few_rows(available: int, sizes: list[int], words: str) -> NoReturn:
    raise InputError.at(
        "data",
        f"the plan asks for {sum(sizes)} samples{words} and the data has {available}; share out "
        "what there is with --samples data, or take larger data",
    )


def _equal(size: int, count: int) -> list[int]:
    """Split a number into `count` parts that differ by at most one, the larger ones first."""
    return [size // count + (place < size % count) for place in range(count)]


def _check_count(count: int, present: int, how: str) -> None:
    if count > present:
        raise InputError.at(
            "partition", f"{how!r} asks for more classes than the {present} that the data has"
        )


def _whole(value: str, how: str) -> int:
    if not value.isdecimal() or not value.isascii() or len(value) > 6 or int(value) < 1:
        raise InputError.at(
            "partition",
            f"{how!r} needs a whole number >= 1 after the colon; it must be {PARTITIONS}",
        )
    return int(value)


def _concentration(value: str, how: str) -> float:
    try:
        alpha = float(value)
    except ValueError:
        alpha = 0.0
    if not 1e-3 <= alpha <= 1e6:
        raise InputError.at(
            "partition",
            f"{how!r} needs a number from 0.001 to 1e6 after the colon; it must be {PARTITIONS}",
        )
    return alpha
