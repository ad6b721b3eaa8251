"""What the collate of a task must do with samples of unequal length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from splitopt.errors import InputError, shown
from splitopt.training.conformance.findings import Finding, found, global_draws, skipped
from splitopt.training.data.sequences import Sequences, made_even
from splitopt.training.tasks.collating import Collate, Padded
from splitopt.training.tasks.targets import IGNORED
from splitopt.training.tasks.task import Task

_LENGTHS = (3, 5, 1, 4, 2)
_ROOM, _MORE = 6, 9
_CLASSES = 4
_NONE = "has no collate: its samples have one length"
_UNKNOWN = (
    "no samples were found that it takes; it was given whole numbers and features of three sides, "
    "with targets for a sample and for each position"
)


class _Samples(NamedTuple):
    """Samples of unequal length with their targets."""

    inputs: list[Tensor]
    targets: list[Tensor]


def _candidates(task: Task) -> Iterator[_Samples]:
    """Yield samples as a task may have them: tokens and features, a target for each or by place."""
    generator = torch.Generator().manual_seed(5)
    kind, wide = task.targets.kind, task.targets.dimensions

    def labels(*shape: int) -> Tensor:
        return torch.randint(0, _CLASSES, shape, generator=generator)

    def numbers(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator) + 1  # none is what padding is

    of_sample: list[Callable[[int], Tensor]] = []
    if kind in ("classes", "any") and wide in (1, None):
        of_sample.append(lambda length: labels(length))
    if kind in ("classes", "any") and wide in (0, None):
        of_sample.append(lambda _: labels())
    if kind in ("marks", "any"):
        of_sample.append(lambda _: (numbers(_CLASSES) > 1.5).float())
    if kind in ("numbers", "any"):
        of_sample += [lambda _: numbers().double(), lambda _: numbers(2).double()]
    for target in of_sample:
        targets = [target(length) for length in _LENGTHS]
        yield _Samples([labels(length) + 1 for length in _LENGTHS], targets)
        yield _Samples([numbers(length, 3) for length in _LENGTHS], targets)


def _fitting(task: Task) -> _Samples | None:
    """Return the first samples that a collate takes."""
    assert task.collate is not None  # who asks looked
    for samples in _candidates(task):
        try:
            if isinstance(_called(task.collate, samples, _ROOM).targets, Tensor):
                return samples
        except Exception:
            continue
    return None


def _called(collate: Collate, samples: _Samples, length: int) -> Padded:
    """Collate copies of samples, of which nobody else sees what is done with them."""
    inputs, targets = ([own.clone() for own in group] for group in samples)
    return Padded(*collate(inputs, targets, length))


def _tensors(batch: Padded) -> dict[str, Tensor]:
    """Return all tensors of a batch by name."""
    given: Any = batch.inputs
    inputs = given if isinstance(given, Mapping) else {"inputs": given}
    masks = {} if batch.mask is None else {"mask": batch.mask}
    return {**{str(name): own for name, own in inputs.items()}, **masks, "targets": batch.targets}


def _with_samples(task: Task, check: Callable[[Collate, _Samples], Finding]) -> Finding:
    if task.collate is None:
        return skipped(_NONE)
    samples = _fitting(task)
    return ("failed", _UNKNOWN) if samples is None else check(task.collate, samples)


def _pads(task: Task) -> Finding:
    """Read samples as training does, which checks shapes and the mask."""

    def check(collate: Collate, samples: _Samples) -> Finding:
        import numpy as np

        targets: Any = [own.numpy() for own in samples.targets]
        values = torch.cat(samples.inputs)
        for room in (_ROOM, _MORE, max(_LENGTHS)):
            given = Sequences(values.numpy(), np.array(_LENGTHS), room)
            try:
                pairs = [(given, targets)]
                made_even(pairs, ["it"], lambda _, __: (values, False), task.targets, collate)
            except InputError as error:
                return "failed", str(error).removeprefix("it: ")
            batch = _called(collate, samples, room)
            if len(batch.targets) != len(_LENGTHS):
                return "failed", f"gives {len(batch.targets)} targets for {len(_LENGTHS)} samples"
        has = "no mask" if batch.mask is None else "a mask of what is there"
        return "passed", f"gives a row for each sample, as long as it is asked for, and {has}"

    return _with_samples(task, check)


def _keeps_order(task: Task) -> Finding:
    """Collate the samples in another order, and each alone: every row is its sample's."""

    def check(collate: Collate, samples: _Samples) -> Finding:
        whole = _tensors(_called(collate, samples, _ROOM))
        order = [3, 0, 4, 2, 1]
        for rows in (order, *([k] for k in order)):
            some = _Samples([samples.inputs[k] for k in rows], [samples.targets[k] for k in rows])
            for name, value in _tensors(_called(collate, some, _ROOM)).items():
                if not torch.equal(value, whole[name][rows]):
                    what = "alone" if len(rows) == 1 else "in another order"
                    return "failed", (
                        f"{shown(name, 60)} of a sample are others when it is given {what}; a row "
                        "must depend on its own sample alone, in the order of the samples"
                    )
        return "passed", "every row is that of its own sample, in the order of the samples"

    return _with_samples(task, check)


def _is_determined(task: Task) -> Finding:
    """Call it twice, with other random numbers around."""

    def check(collate: Collate, samples: _Samples) -> Finding:
        batches = []
        for seed in (1, 2):
            with global_draws(seed):
                batches.append(_tensors(_called(collate, samples, _ROOM)))
        odd = [name for name, own in batches[0].items() if not torch.equal(own, batches[1][name])]
        given = _Samples(*([own.clone() for own in group] for group in samples))
        collate([*given.inputs], [*given.targets], _ROOM)
        if not (_same(given.inputs, samples.inputs) and _same(given.targets, samples.targets)):
            return "failed", "changes the inputs or targets that it is given; work on copies"
        return found(
            not odd,
            "the same samples give the same batch, and are left as they are",
            f"{shown(', '.join(odd), 60)} are others in a second call with the same samples; draw "
            "no random numbers",
        )

    return _with_samples(task, check)


def _same(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    return all(torch.equal(own, value) for own, value in zip(one, other, strict=True))


def _hides_padding(task: Task) -> Finding:
    """Look at targets behind the samples, which must count for nothing."""

    def check(collate: Collate, samples: _Samples) -> Finding:
        if not task.targets.may_ignore or samples.targets[0].dim() != 1:
            return skipped("has no target for each position that could count for nothing")
        targets = _called(collate, samples, _ROOM).targets
        if targets.shape != (len(_LENGTHS), _ROOM):
            return "failed", (
                f"gives targets of shape {tuple(targets.shape)} for {len(_LENGTHS)} samples of "
                f"{_ROOM} positions; each position needs one"
            )
        counted = (targets != IGNORED).sum(dim=1).tolist()
        return found(
            counted == list(_LENGTHS),
            "targets of padding count for nothing",
            f"{counted} targets of the samples count, and they have {list(_LENGTHS)} positions; "
            f"fill the others with {IGNORED}",
        )

    return _with_samples(task, check)


def _keeps_samples(task: Task) -> Finding:
    """Compare with a longer batch, in which the samples themselves must be what they were."""

    def check(collate: Collate, samples: _Samples) -> Finding:
        short, long = (_called(collate, samples, room) for room in (_ROOM, _MORE))
        if short.mask is None or long.mask is None:
            return skipped("gives no mask, by which a sample could be told from its padding")
        in_front, more = True, _tensors(long)
        for name, own in _tensors(short).items():
            other = more[name]
            if own.shape[1:2] == (_ROOM,) and other.shape[1:2] == (_MORE,):
                in_front &= torch.equal(own, other[:, :_ROOM])
                own, other = own[short.mask], other[long.mask]
            if not (own.shape == other.shape and torch.equal(own, other)):
                return "failed", (
                    f"{shown(name, 60)} of the samples are others in a longer batch; padding must "
                    "not change what is there"
                )
        behind = "; padding stands behind, so that --padding batch can be had"
        return "passed", f"longer padding changes no sample{behind if in_front else ''}"

    return _with_samples(task, check)


CHECKS: dict[str, Callable[[Task], Finding]] = {
    "collate pads to the length it is given": _pads,
    "collate keeps samples apart": _keeps_order,
    "collate is the same in every call": _is_determined,
    "collate hides the targets of padding": _hides_padding,
    "collate leaves samples as they are": _keeps_samples,
}
"""Check -> what it does with a task."""
