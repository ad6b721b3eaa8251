"""What a run of IoTSL is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from splitopt.documents.checks import check_seed, is_whole
from splitopt.errors import InputError
from splitopt.generators import GeneratorOptions
from splitopt.iotsl.histograms import check_epsilon
from splitopt.scenario import Scenario
from splitopt.training.job import DEFAULT_DATA
from splitopt.training.options import Options

if TYPE_CHECKING:
    from torch import nn

    from splitopt.training.data.partition import Samples


@dataclass(frozen=True, eq=False)
class IotslJob:
    """A fleet with data, and how IoTSL trains it (Algorithm 1).

    Parameters
    ----------
    scenario
        With the section ``generators``, whose options of the exchange count. Its size of a
        generator is that of the network which is trained, its qualities are those measured.
    data
        As for `splitopt.training.data.load_data`: images, one label for each; None for the source
        that the scenario states under ``data``, or else ``"digits"``.
    partition
        How data is shared out, see `splitopt.training.data.partition.partition`; None for that of
        the scenario, or else for what the section says of each device's classes or counts.
    samples
        ``"plan"``: each device has as many as the scenario says; ``"data"``: all data in these
        proportions. It counts with a partition only.
    model
        As for `splitopt.training.job.TrainingJob`.
    scheme
        The split training that is planned and tuned by: ``"vanilla"`` (one device after the other,
        as IoTSL has it), ``"splitfed_v1"``, ``"splitfed_v2"`` or ``"federated"``; None for the
        problem that the scenario asks for without its generators.
    generators
        The networks, and how they are trained.
    histogram_epsilon
        Differential privacy of the counts of labels that each device tells; None to tell them as
        they are.
    pretrain_epochs
        Of the whole model at the server, on generated samples; 0 for none.
    impute
        Whether devices that lack classes are given samples of them.
    options
        Optimizers of pre-training and of the split training.
    seed
        Of everything that is drawn.
    device
        Where pre-training and the split training run, as for `TrainingJob`; generators are trained
        on the CPU.
    source
        How messages call the scenario.

    Raises
    ------
    InputError
        A field out of its range, or a scenario without the section.
    """

    scenario: Scenario
    data: Any = None
    partition: str | None = None
    samples: Samples = "plan"
    model: nn.Module | str | None = None
    scheme: str | None = "vanilla"
    generators: GeneratorOptions = field(default_factory=GeneratorOptions)
    histogram_epsilon: float | None = None
    pretrain_epochs: int = 10
    impute: bool = True
    options: Options = field(default_factory=Options)
    seed: int = 0
    device: str = "cpu"
    source: str = "scenario"

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_epsilon(self.histogram_epsilon)
        if self.scenario.generators is None:
            raise InputError(
                f"{self.source}: has no section 'generators'; add one with the size of a generator "
                "and the classes of each device"
            )
        self._take_from_scenario()
        if not is_whole(self.pretrain_epochs, 0):
            raise InputError.at(
                "pretrain_epochs", f"is {self.pretrain_epochs!r}, it must be a whole number >= 0"
            )
        section, private = self.scenario.generators, self.generators.sanitize is not None
        wants = section.least_quality > 0 or section.quality_weight > 0
        if wants and (private or self.histogram_epsilon is not None):
            raise InputError(
                f"{self.source}: generators: 'least_quality' and 'quality_weight' need qualities, "
                "which devices do not tell where gradients are sanitised or counts have noise; "
                "leave them out"
            )
        if self.options.privacy is not None or self.options.pixel_dp is not None:
            raise InputError.at(
                "options",
                "have differential privacy of the split training, whose account would not count "
                "what generators tell; sanitise the generators instead",
            )

    def _take_from_scenario(self) -> None:
        """Set data and partition that are not given to those that the scenario states.

        Raises
        ------
        InputError
            It states what generators make no samples for.
        """
        stated = self.scenario.data
        if stated is not None and stated.task not in (None, "classification"):
            raise InputError.at(
                "data.task",
                f"is {stated.task!r}, and IoTSL's generators make samples of classes; state "
                "classification, or leave it out",
            )
        if stated is not None and self.partition is None and not isinstance(self.data, Mapping):
            object.__setattr__(self, "partition", stated.partition)
        if self.data is None:
            object.__setattr__(self, "data", DEFAULT_DATA if stated is None else stated.source)
