"""A generator that was trained: what it makes, what it is worth, and what happened.

Torch is imported inside functions.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from splitopt.documents.checks import check_seed
from splitopt.errors import InputError, shown
from splitopt.generators.accounting import Account
from splitopt.generators.spec import NetworkSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMAT = "splitopt-generator"
"""Of its file."""
_MOST_AT_ONCE = 1000
"""Samples that are made in one pass, so that memory does not grow with what is asked for."""


@dataclass(frozen=True)
class StepRow:
    """What happened before and in one step of the generator.

    Parameters
    ----------
    step
        From 1.
    distance
        Mean of the critic's scores of real samples less that of generated ones, in its last step:
        an estimate of the Wasserstein distance, in the critic's own scale.
    gradient_norm
        Mean norm of the critic's gradient at the samples in between, which the penalty draws to 1.
    """

    step: int
    distance: float
    gradient_norm: float


@dataclass(frozen=True, eq=False)
class TrainedGenerator:
    """A conditional generator of samples.

    Parameters
    ----------
    spec
        The network, and the shape of what it makes.
    labels
        Those that it was trained on, rising: what it can be asked for.
    network
        The generator itself.
    account
        What it is worth as differential privacy.
    steps
        That it has learned.
    quality
        Label -> what `quality_per_class` gave, where that was asked for.
    history
        A row for each step; empty if it was read from a file. It comes from the data and has no
        noise: it is for those who have the data.
    critics
        The critics, which have seen the data; empty if it was read from a file, which never has
        them.
    """

    spec: NetworkSpec
    labels: tuple[int, ...]
    network: nn.Module
    account: Account
    steps: int
    quality: Mapping[int, float] | None = None
    history: tuple[StepRow, ...] = ()
    critics: tuple[nn.Module, ...] = field(default=(), repr=False)

    def sample(self, labels: Tensor | Sequence[int], seed: int = 0) -> Tensor:
        """Make one sample for each of some labels.

        Parameters
        ----------
        labels
            Whole numbers among `labels`, shape (n,).
        seed
            Of the noise: the same seed and labels, the same samples.

        Returns
        -------
        Shape (n, channels, rows, columns), float32, from 0 to 1.

        Raises
        ------
        InputError
            A label that the generator was not trained on, or a seed that is none.
        """
        import torch

        from splitopt.generators.networks import noise_of

        check_seed(seed)
        asked = self._asked(labels)
        draws = torch.Generator().manual_seed(seed % 2**63)
        noise = noise_of(self.spec, len(asked), draws)
        made = []
        with torch.no_grad():
            for begin in range(0, len(asked), _MOST_AT_ONCE):
                part = slice(begin, begin + _MOST_AT_ONCE)
                made.append(self.network(noise[part], asked[part]))
        return torch.cat(made) if made else torch.empty(0, *self.spec.shape)

    def _asked(self, labels: Tensor | Sequence[int]) -> Tensor:
        import torch

        try:
            asked = torch.as_tensor(labels)
        except (TypeError, ValueError, RuntimeError):
            raise InputError.at(
                "labels", f"are {shown(labels)}; give whole numbers, one for each sample"
            ) from None
        if asked.dim() != 1 or asked.is_floating_point() or asked.dtype == torch.bool:
            if asked.numel():
                raise InputError.at(
                    "labels", "must be whole numbers, one for each sample, shape (n,)"
                )
            asked = torch.empty(0, dtype=torch.int64)
        asked = asked.long().cpu()
        for label in torch.unique(asked).tolist():
            if label not in self.labels:
                known = ", ".join(map(str, self.labels))
                raise InputError.at(
                    "labels",
                    f"have {label}, which this generator was not trained on; it makes {known}",
                )
        return asked

    def with_quality(self, quality: Mapping[int, float]) -> TrainedGenerator:
        """Return it with what `quality_per_class` says of it, which then goes into its file."""
        return replace(self, quality=dict(quality))

    def metadata(self) -> dict[str, Any]:
        """Return what its file says beside the weights, as plain data."""
        quality = self.quality
        return {
            "spec": self.spec.to_dict(),
            "labels": list(self.labels),
            "steps": self.steps,
            "quality": None if quality is None else {str(k): v for k, v in quality.items()},
            "account": self.account.to_dict(),
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a safetensors file, without its critics and its history.

        Raises
        ------
        InputError
            The file cannot be written.
        WriteError
            The disk is full or broken.
        """
        from splitopt.generators.sealed import write_sealed

        write_sealed(path, self.network.state_dict(), self.metadata(), FORMAT)
