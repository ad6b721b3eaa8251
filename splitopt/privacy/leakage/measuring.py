"""All attacks on all cuts of a model."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from splitopt.privacy.leakage.attacks.feature_inversion import invert_features
from splitopt.privacy.leakage.attacks.gradient_matching import match_gradients
from splitopt.privacy.leakage.attacks.inference import label_auc, membership_auc
from splitopt.privacy.leakage.attacks.search import Search
from splitopt.privacy.leakage.settings import RECONSTRUCTIONS, LeakageSettings
from splitopt.privacy.leakage.similarity import distance_correlation, similarities
from splitopt.privacy.leakage.store import Result, Store
from splitopt.privacy.leakage.table import LeakageRow, Spread
from splitopt.privacy.leakage.victim import Loss, Victim
from splitopt.training.data.dataset import as_array

VERSION = 1
"""Of the attacks: a higher one makes what is kept of earlier ones count as absent."""
_GROUPS, _LEAST = 4, 16
Progress = Callable[[int, int, str], object]
"""Called after each attack with how many are done, how many there are, and what it was."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """The samples that are attacked, and those that inferences look at.

    Parameters
    ----------
    samples, targets
        Shape (n, ...): to be reconstructed.
    members, member_targets, others, other_targets
        Of the training data, and of the test data.
    low, high
        The range of the training data.
    """

    samples: Tensor
    targets: Tensor
    members: Tensor
    member_targets: Tensor
    others: Tensor
    other_targets: Tensor
    low: float
    high: float

    def digest(self) -> str:
        """Return the SHA-256 of all samples; the range is that of the data."""
        tensors = (getattr(self, field.name) for field in fields(self))
        return _digest(item for item in tensors if isinstance(item, Tensor))


@dataclass(frozen=True)
class Attack:
    """One attack on one cut: `rows` are the samples that are attacked together."""

    cut: int
    layer: str
    name: str
    view: str
    rows: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Return it in words."""
        view = "" if self.view == "any" else f", {self.view} box"
        return f"{self.name.replace('_', ' ')} behind {self.layer}{view}"


@dataclass(frozen=True, eq=False)
class Attacker:
    """Carries attacks out.

    Parameters
    ----------
    module
        The model, which is not changed.
    parts
        Cut -> the parts before and behind it, of a copy of the module that is given.
    loss
        The mean loss of a batch.
    chosen, settings
        What is attacked, and how.
    store
        Where results are kept.
    shown
        How many reconstructions are kept to be shown.
    """

    module: nn.Module
    parts: Callable[[nn.Module, int], Sequence[nn.Module]]
    loss: Loss
    chosen: Chosen
    settings: LeakageSettings
    store: Store
    shown: int = 0
    pictures: dict[tuple[int, str, str], list[list[float]]] = field(default_factory=dict)

    def run(
        self, layers: Sequence[str], cuts: Sequence[int], progress: Progress | None
    ) -> list[LeakageRow]:
        """Carry all attacks on some cuts out; `layers` are the names of all layers."""
        attacks = [attack for cut in cuts for attack in self._attacks(cut, layers[cut - 1])]
        base = self._identity()
        crossed = {cut: _digest(self._crossed(cut)) for cut in cuts}
        rows: dict[tuple[int, str, str, str, str], tuple[list[float], float | None]] = {}
        for done, attack in enumerate(attacks, start=1):
            identity = {**base, **vars(attack), "crossed": crossed[attack.cut]}
            result = self.store.get(identity)
            if result is None:
                result = self._carried_out(attack)
                self.store.put(identity, result)
            if result.found is not None:
                shown = (attack.cut, attack.name, attack.view)
                self.pictures.setdefault(shown, []).extend(result.found)
            for measure, values in result.measures.items():
                key = (attack.cut, attack.layer, attack.name, attack.view, measure)
                rows.setdefault(key, ([], result.chance.get(measure)))[0].extend(values)
            if progress is not None:
                progress(done, len(attacks), str(attack))
        return [
            LeakageRow(*key, value=Spread.of(own), chance=chance)
            for key, (own, chance) in rows.items()
        ]

    def baselines(self, mean_image: Tensor) -> dict[str, dict[str, Spread]]:
        """Compare the samples with inputs that were made without seeing anything of them."""
        chosen = self.chosen
        generator = torch.Generator().manual_seed(self.settings.seed)
        drawn = torch.rand(chosen.samples.shape, generator=generator, dtype=torch.float64)
        middle = float(mean_image.double().mean())
        guesses = {
            "random": chosen.low + (chosen.high - chosen.low) * drawn,
            "constant": torch.full_like(chosen.samples, middle),
            "mean_image": mean_image.expand_as(chosen.samples),
        }
        return {
            name: {
                measure: Spread.of(values.tolist())
                for measure, values in self._compared(chosen.samples, guess).items()
            }
            for name, guess in guesses.items()
        }

    def _attacks(self, cut: int, layer: str) -> Iterator[Attack]:
        """List the attacks on a cut, those of which one is resumed apart from the others."""
        count, size = self.settings.samples, self.settings.batch
        everything = tuple(range(count))
        for name in self.settings.attacks:
            if name not in RECONSTRUCTIONS:
                yield Attack(cut, layer, name, "any")
                continue
            for view in self.settings.views:
                if name == "feature_inversion":
                    yield Attack(cut, layer, name, view, everything)
                    continue
                for start in range(0, count, size):
                    yield Attack(cut, layer, name, view, everything[start : start + size])

    def _identity(self) -> dict[str, Any]:
        own = self.settings
        return {
            "version": VERSION,
            "torch": torch.__version__,
            "weights": _digest(self.module.state_dict().values()),
            "data": self.chosen.digest(),
            "range": [self.chosen.low, self.chosen.high],
            "steps": own.steps,
            "restarts": own.restarts,
            "seed": own.seed,
            "shown": self.shown,
        }

    def _victim(self, cut: int) -> Victim:
        client, server = self.parts(copy.deepcopy(self.module).eval(), cut)
        return Victim(client.eval(), server.eval(), self.loss, self.chosen.low, self.chosen.high)

    def _crossed(self, cut: int) -> list[Tensor]:
        """Compute what the parts make of the samples: weights do not say what is done with them."""
        victim = self._victim(cut)
        smashed = victim.smashed(self.chosen.samples)
        with torch.no_grad():
            return [smashed, victim.server(smashed)]

    def _carried_out(self, attack: Attack) -> Result:
        victim = self._victim(attack.cut)
        if attack.name in RECONSTRUCTIONS:
            return self._reconstructed(victim, attack)
        return self._inferred(victim, attack.name)

    def _inferred(self, victim: Victim, name: str) -> Result:
        """Infer on a few groups of samples apart, whose spread is that of the measure."""
        chosen = self.chosen
        measures: dict[str, list[float]] = {}
        chance: dict[str, list[float]] = {}
        for rows in _groups(len(chosen.members)):
            members = chosen.members[rows], chosen.member_targets[rows]
            floor: Mapping[str, float] = {}
            if name == "distance_correlation":
                own = distance_correlation(members[0], victim.smashed(members[0]))
                found: Mapping[str, float] = {"distance_correlation": own}
            elif name == "membership_inference":
                found = membership_auc(
                    victim, members, (chosen.others[rows], chosen.other_targets[rows])
                )
                floor = dict.fromkeys(found, 0.5)
            else:
                gradients = victim.cut_gradients(*members)
                generator = torch.Generator().manual_seed(self.settings.seed)
                mixed = members[1][torch.randperm(len(gradients), generator=generator)]
                found, floor = label_auc(gradients, members[1]), label_auc(gradients, mixed)
            for kept, values in ((measures, found), (chance, floor)):
                for measure, value in values.items():
                    kept.setdefault(measure, []).append(value)
        return Result(measures, {key: float(np.mean(own)) for key, own in chance.items()})

    def _reconstructed(self, victim: Victim, attack: Attack) -> Result:
        own = self.settings
        rows = torch.tensor(attack.rows)
        samples, targets = self.chosen.samples[rows], self.chosen.targets[rows]
        search = Search(own.steps, own.restarts)
        seed, white = own.seed + 7919 * attack.rows[0], attack.view == "white"
        if attack.name == "feature_inversion":
            found = invert_features(victim, samples, search, seed, white)
        else:
            found = match_gradients(victim, samples, targets, search, seed, white)
            found = _in_order(samples, found)
        measures = self._compared(samples, found)
        shown = [index for index, row in enumerate(attack.rows) if row < self.shown]
        pictures = [_rounded(found[index].flatten().tolist()) for index in shown]
        return Result(
            {name: values.tolist() for name, values in measures.items()}, {}, pictures or None
        )

    def _compared(self, samples: Tensor, found: Tensor) -> Mapping[str, Tensor]:
        return similarities(samples, found, self.chosen.high - self.chosen.low)


def _groups(count: int) -> list[slice]:
    """Return up to `_GROUPS` runs of samples, as long as each has enough to compare."""
    groups = max(1, min(_GROUPS, count // _LEAST))
    size = count // groups
    return [slice(group * size, (group + 1) * size) for group in range(groups)]


def _in_order(samples: Tensor, found: Tensor) -> Tensor:
    """Return the reconstructions of a common gradient in the order in which they fit best.

    A mean over a batch has no order. The best assignment is the attacker's best case.
    """
    from scipy.optimize import linear_sum_assignment

    if len(samples) == 1:
        return found
    own, other = (nn.functional.normalize(x.flatten(1).double(), dim=1) for x in (samples, found))
    _, order = linear_sum_assignment(-(own @ other.T).numpy())
    return found[torch.from_numpy(order)]


def _digest(tensors: Iterable[Tensor]) -> str:
    found = hashlib.sha256()
    for tensor in tensors:
        values = as_array(tensor.detach())
        found.update(f"{tensor.dtype} {values.shape}".encode())
        found.update(values.data)
    return found.hexdigest()


def _rounded(values: list[float]) -> list[float]:
    return [float(f"{value:.5g}") for value in values]
