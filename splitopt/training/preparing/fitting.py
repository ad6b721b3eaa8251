"""Whether model, data and plan fit each other, and a sentence that says which of them does not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from splitopt.errors import InputError
from splitopt.profiles import ModelProfile
from splitopt.profiles.tracing.running.example import fresh, resized
from splitopt.profiles.tracing.running.outputs import one_tensor
from splitopt.profiles.tracing.running.quiet import materialise, undisturbed
from splitopt.training.data import DataSet
from splitopt.training.data.named import PADDING, Inputs, Named, arguments_of, changed, shapes_of
from splitopt.training.schemes import Scheme
from splitopt.training.tasks import Task
from splitopt.user_code import reason

_TRACED = re.compile(r"input (\d+(?: x \d+)*) (\w+) per sample")


class Sample(NamedTuple):
    """Shape and type of one sample, or of one of its inputs."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    def is_like(self, other: Sample) -> bool:
        """Report whether the shapes are the same, and both types are whole or both are not."""
        floating = self.dtype.is_floating_point
        return self.shape == other.shape and floating == other.dtype.is_floating_point

    @property
    def type_name(self) -> str:
        """The type's name, such as ``float32``."""
        return str(self.dtype).removeprefix("torch.")

    def __str__(self) -> str:
        """Return it in words, such as ``1 x 8 x 8 float32``."""
        return f"{' x '.join(map(str, self.shape)) or 1} {self.type_name}"


def traced_sample(profile: ModelProfile) -> Sample | None:
    """Return the sample that a profile says it was traced with, if it is one tensor."""
    found = traced_samples(profile)
    return found[""] if found is not None and tuple(found) == ("",) else None


def traced_samples(profile: ModelProfile) -> dict[str, Sample] | None:
    """Return the inputs of the sample that a profile says it was traced with, by name.

    A single one has the empty name, and those that go by position have numbers.
    """
    record = profile.trace
    found = _TRACED.search(profile.provenance.source)
    if record is not None and record.inputs is not None:
        named = {
            item.name or str(n): (item.shape, item.dtype) for n, item in enumerate(record.inputs)
        }
    elif record is not None and record.input_shape is not None:
        named = {"": (record.input_shape, record.input_dtype or "float32")}
    elif found is not None:
        named = {"": (tuple(int(side) for side in found[1].split(" x ")), found[2])}
    else:
        return None
    kinds = {name: getattr(torch, kind, None) for name, (_, kind) in named.items()}
    samples = {
        name: Sample(shape, kind)
        for name, (shape, _) in named.items()
        if isinstance(kind := kinds[name], torch.dtype)
    }
    return samples if samples.keys() == named.keys() else None


def own_samples(data: DataSet) -> dict[str, Sample]:
    """Return the inputs of a sample of some data, by name."""
    return {name: Sample(shape, kind) for name, shape, kind in shapes_of(data.train_inputs)}


def in_words(samples: Mapping[str, Sample]) -> str:
    """Return the inputs of a sample in words."""
    return " and ".join(f"{name} {one}" if name else str(one) for name, one in samples.items())


def type_of(model: nn.Module) -> torch.dtype | None:
    """Return the floating-point type of a model's parameters; None if there is not one."""
    kinds = {tensor.dtype for tensor in model.parameters() if tensor.is_floating_point()}
    return kinds.pop() if len(kinds) == 1 else None


def fitted(model: nn.Module, data: DataSet, *, keeps_padding: bool = False) -> DataSet:
    """Return data whose inputs are those of a model: its arguments, and of its numbers' type.

    With `keeps_padding` what is padding is known of them afterwards, too.

    Raises
    ------
    InputError
        The model takes no inputs of these names.
    """
    kind = type_of(model)

    def converted(inputs: Inputs) -> Inputs:
        if isinstance(inputs, Named):
            inputs = inputs.arranged(
                model, keeps_padding=keeps_padding and PADDING in inputs.tensors
            )
        if kind is None:
            return inputs
        return changed(inputs, lambda one: one.to(kind) if one.is_floating_point() else one)

    train, test = converted(data.train_inputs), converted(data.test_inputs)
    if train is data.train_inputs and test is data.test_inputs:
        return data
    return replace(data, train_inputs=train, test_inputs=test)


@contextmanager
def explained(profile: ModelProfile, data: DataSet, built_here: bool) -> Iterator[None]:
    """Report, where a model is not the plan's, that it is the data that are not as planned.

    Parameters
    ----------
    profile
        The table of the plan.
    data
        What is to be trained with.
    built_here
        Whether the model is a shipped network, made for the shape and the classes of the data.
    """
    try:
        yield
    except InputError as error:
        traced, own = traced_samples(profile), own_samples(data)
        own = _named_like(own, traced or {})
        if traced is not None and not _are_like(traced, own):
            if {n: one.shape for n, one in traced.items()} == {n: o.shape for n, o in own.items()}:
                types = " and ".join(one.type_name for one in traced.values())
                remedy = f"convert the inputs to {types}"
            else:
                remedy = "take such data"
            raise InputError.at(
                "data",
                f"{data.name} has samples of {in_words(own)}, and the plan's profile "
                f"{profile.name} was traced with {in_words(traced)}; {remedy}, or profile the "
                "model with the data's shape and type, and plan anew",
            ) from None
        if built_here:
            what = "outputs" if data.classes is None else "classes"
            words = f"{error} (it was built for the {data.outputs} {what} of {data.name})"
            raise InputError(words) from None
        raise


def _named_like(own: dict[str, Sample], traced: Mapping[str, Sample]) -> dict[str, Sample]:
    """Return inputs with a mask of padding as a profile names them; without it, if it has none."""
    if PADDING not in own:
        return own
    known = list(own.values())
    return dict(zip(traced, known, strict=False)) if traced else {"": known[0]}


def _are_like(traced: Mapping[str, Sample], own: Mapping[str, Sample]) -> bool:
    return traced.keys() == own.keys() and all(
        one.is_like(own[name]) for name, one in traced.items()
    )


def seen_as_one_tensor(model: nn.Module, example: Inputs) -> nn.Module:
    """Return the model as `one_tensor` sees it; one that fails is left to `check_outputs`."""
    try:
        return one_tensor(model, arguments_of(example))
    except Exception:
        return model


def check_outputs(model: nn.Module, data: DataSet, task: Task) -> None:
    """Check that the model takes the samples, and that its outputs fit the task and its targets.

    Raises
    ------
    InputError
        It does not.
    """
    example = data.train_inputs[:2]
    try:
        given = arguments_of(example)
        materialise(model, *given)
        with undisturbed(model), torch.no_grad():
            model.eval()
            outputs = model(*fresh(given))
    except Exception as error:
        raise InputError.at(
            "model",
            f"cannot take the samples of {data.name}, {in_words(own_samples(data))} "
            f"({reason(error)}); take other data, or a model for them",
        ) from None
    if not isinstance(outputs, Tensor):
        raise InputError.at(
            "model",
            f"gives a {type(outputs).__name__}, and a model to train gives a tensor; wrap it in a "
            "module that returns the tensor that the loss is of",
        )
    wanted = data.train_targets[: len(example)]
    wrong = task.misfit(outputs, wanted, data.classes)
    if wrong is not None:
        raise InputError.at("model", wrong.replace("{data}", data.name))
    _check_loss(task, outputs, wanted)


def _check_loss(task: Task, outputs: Tensor, targets: Tensor) -> None:
    """Raise `InputError` where the loss cannot be called, or returns no number."""
    known = "; it is called with outputs and targets, and returns the mean loss of a batch"
    try:
        loss = task.loss(outputs, targets)
    except Exception as error:
        raise InputError.at(
            "task", f"the loss of {task.name} cannot be called ({reason(error)}){known}"
        ) from None
    if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.is_floating_point():
        what = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise InputError.at("task", f"the loss of {task.name} gives {what} and no scalar{known}")


def check_batches(model: nn.Module, scheme: Scheme, example: Inputs) -> None:
    """Check that the model can be trained with the smallest mini-batch that a client will have.

    Batch normalisation cannot take a single value per channel. In a cluster the server's part gets
    the batches of several devices at once, so that nothing follows from a single one.

    Raises
    ------
    InputError
        It cannot.
    """
    if scheme.name == "clustered":
        return
    smallest = {
        client.name: min(client.batches.sizes(client.batches.per_epoch))
        for client in scheme.clients
    }
    name = min(smallest, key=lambda client: smallest[client])
    with undisturbed(model), torch.no_grad():
        model.train()
        try:
            model(*resized(arguments_of(example), smallest[name]))
        except (RuntimeError, ValueError) as error:
            raise InputError.at(
                "batch_size",
                f"client {name} has a mini-batch of {smallest[name]}, the rest of its samples, "
                f"which the model cannot be trained with ({reason(error)}); plan with another "
                "batch size or number of samples",
            ) from None
