"""What is inferred without a reconstruction: labels from gradients at the cut, and membership."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from splitopt.privacy.leakage.victim import Victim
from splitopt.training.privacy.guard import each_loss


def auc(scores: Tensor, positive: Tensor) -> float | None:
    """Compute the area under the ROC curve; None if all or none are positive.

    The chance that a positive sample has a higher score than a negative one, ties counting half.
    """
    from scipy.stats import rankdata

    chosen = positive.numpy().astype(bool)
    count, others = int(chosen.sum()), int((~chosen).sum())
    if not count or not others:
        return None
    ranks = rankdata(scores.double().numpy())
    return float((ranks[chosen].sum() - count * (count + 1) / 2) / (count * others))


def label_auc(gradients: Tensor, labels: Tensor) -> dict[str, float]:
    """Compute how well gradients at the cut tell the labels, from .5 (not at all) to 1.

    Li et al. (2022): by their norm, and by their cosine to the gradient of one sample whose label
    is known. Each class against the others, the mean over the classes; an attacker takes whichever
    direction tells, so an area below .5 counts as much as one above.

    Parameters
    ----------
    gradients
        Shape (n, ...): of each sample's own loss, at the cut.
    labels
        Shape (n,).

    Returns
    -------
    ``auc_by_norm`` and ``auc_by_cosine``; a class with fewer than two samples, or with all, is
    left out.
    """
    flat = gradients.flatten(1)
    norms, by_norm, by_cosine = flat.norm(dim=1), [], []
    for label in sorted(set(labels.tolist())):
        members = labels == label
        if not 2 <= int(members.sum()) < len(labels):
            continue
        known = int(torch.nonzero(members)[0])
        others = torch.arange(len(labels)) != known
        cosines = functional.cosine_similarity(flat, flat[known : known + 1], dim=1)
        by_norm.append(auc(norms, members))
        by_cosine.append(auc(cosines[others], members[others]))
    pairs = {"auc_by_norm": by_norm, "auc_by_cosine": by_cosine}
    return {name: _told(areas) for name, areas in pairs.items()}


def membership_auc(victim: Victim, members: _Samples, others: _Samples) -> dict[str, float]:
    """Compute how well the server tells samples that were trained with from others.

    By the loss of a sample (Yeom et al., 2018) and by the norm of its gradient at the cut; members
    have the lower ones. .5 is chance, as it is before training.
    """
    losses, norms = [], []
    for samples, targets in (members, others):
        with torch.no_grad():
            outputs = victim.server(victim.smashed(samples))
            losses.append(each_loss(victim.loss, outputs, targets))
        norms.append(victim.cut_gradients(samples, targets).flatten(1).norm(dim=1))
    positive = torch.cat([torch.ones(len(losses[0])), torch.zeros(len(losses[1]))])
    found = {
        "auc_by_loss": auc(-torch.cat(losses), positive),
        "auc_by_norm": auc(-torch.cat(norms), positive),
    }
    return {name: 0.5 if area is None else area for name, area in found.items()}


_Samples = tuple[Tensor, Tensor]


def _told(areas: list[float | None]) -> float:
    found = [max(area, 1 - area) for area in areas if area is not None]
    return float(np.mean(found)) if found else 0.5
