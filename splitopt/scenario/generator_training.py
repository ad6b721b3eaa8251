"""The section ``generators.training``: what training generators takes, and what it saves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from splitopt.errors import InputError, shown
from splitopt.scenario.machine import Count, Part
from splitopt.scenario.nodes import AUTO, Cut
from splitopt.scenario.quantity import WHOLE, Power, Rate, Size, Speed, Work, read_number

_PERCENT = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?)\s*%\s*$")


def _read_accuracy(value: Any) -> float:
    """Read an accuracy: ``99 %``, or a number from 0 to 1."""
    percent = _PERCENT.match(value) if isinstance(value, str) and len(value) <= 20 else None
    found = float(percent[1]) / 100 if percent else read_number(value)
    if not 0 < found <= 1:
        raise InputError(
            f"is {shown(value)}; an accuracy is above 0 and at most 1, such as 0.99 or 99 %"
        )
    return float(f"{found:.12g}")


_ACCURACY_SCHEMA = {
    "anyOf": [
        {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        {"type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]*)?\s*%\s*$"},
    ]
}
Accuracy = Annotated[float, BeforeValidator(_read_accuracy), WithJsonSchema(_ACCURACY_SCHEMA)]
Epochs = Annotated[int, Field(ge=0, le=10**9), WHOLE]
Samples = Annotated[int, Field(ge=0, le=10**12), WHOLE]
Measured = Literal["without", "with"]


def _read_epochs(value: Any) -> Any:
    """Check that both numbers of epochs are there, and nothing else."""
    if not isinstance(value, Mapping):
        raise InputError(
            f"is {shown(value, 60)}; state both measured numbers, as in {{without: 97, with: 15}}"
        )
    for name in ("without", "with"):
        if name not in value:
            raise InputError(
                f"lacks {name!r}; state the epochs to the target without generators and with them, "
                "as in {without: 97, with: 15}"
            )
    for name in value:
        if name not in ("without", "with"):
            raise InputError(
                f"has {shown(name, 60)}, which is unknown; it has 'without' and 'with'"
            )
    return dict(value)


class EdgeMachine(Part):
    """A trusted machine at the edge that trains the generators in the devices' place.

    ``compute`` is its speed, ``rate`` that of its link to devices and server, ``power`` what it
    takes while it trains. The samples go there, ``sample_size`` each with its label.
    """

    HINTS: ClassVar[Mapping[str, str]] = {
        "speed": "state it as 'compute'",
        "link": "state it as 'rate'",
        "compute_power": "state it as 'power'",
    }

    compute: Speed
    rate: Rate
    sample_size: Size
    power: Power | None = None


class GeneratorTraining(Part):
    """What training the generators takes, and the epochs to an accuracy that it saves.

    Every device with a generator trains it for ``steps`` generator steps, each after
    ``critic_steps`` of its critic, all with ``batch_size`` samples. The work of a step for one
    sample is that of IoTSL's networks (``network: iotsl``), or as stated: ``critic_work``,
    ``generator_work``, and ``sampling_work`` to make one sample, by default a third of
    ``generator_work``.

    ``epochs`` are measured, ``without`` generators and ``with`` them, until the accuracy
    ``target``; ``counted_in`` says whether they are ``turns`` of single devices, as in IoTSL, or
    ``rounds`` in which every device has one. ``cut`` is that of the training: a number of layers,
    the name of the last one on the devices, or ``auto``, the one with the shortest round.
    ``pretraining_epochs`` are passes of the server over generated samples, as many as devices have.
    ``imputed_samples`` are made of every class that a device lacks, by default as many as it has of
    a class on average. ``where`` says who trains the generators: the ``devices``, or the machine
    ``edge``.
    """

    HINTS: ClassVar[Mapping[str, str]] = {
        "batch": "state it as 'batch_size'",
        "pretraining": "state its epochs as 'pretraining_epochs'",
        "flop": "state 'critic_work' and 'generator_work', or 'network: iotsl'",
        "parameters": "the size of a generator is 'generators.size'",
        "lr": "plans do not depend on the learning rate",
    }

    steps: Count
    critic_steps: Count = 5
    batch_size: Count = 32
    network: Literal["iotsl"] | None = None
    critic_work: Work | None = None
    generator_work: Work | None = None
    sampling_work: Work | None = None
    epochs: Annotated[dict[Measured, Count], BeforeValidator(_read_epochs)]
    counted_in: Literal["turns", "rounds"] = "turns"
    target: Accuracy
    cut: Cut = AUTO
    pretraining_epochs: Epochs = 0
    imputed_samples: Samples | None = None
    where: Literal["devices", "edge"] = "devices"
    edge: EdgeMachine | None = None

    @model_validator(mode="after")
    def _has_one_work(self) -> Self:
        stated = [self.critic_work, self.generator_work, self.sampling_work]
        if self.network is not None and any(one is not None for one in stated):
            raise InputError(
                "'network' and the work of its steps are both given; keep one: the network says "
                "the work"
            )
        if self.network is None and (self.critic_work is None or self.generator_work is None):
            raise InputError(
                "needs the work of a step: 'network: iotsl', or 'critic_work' and 'generator_work' "
                "for one sample, such as 0.69 GFLOP and 0.3 GFLOP"
            )
        return self

    @model_validator(mode="after")
    def _has_its_machine(self) -> Self:
        if self.where == "edge" and self.edge is None:
            raise InputError(
                "where is 'edge', and there is no 'edge'; state the machine, with compute, rate "
                "and sample_size, or write where: devices"
            )
        return self
