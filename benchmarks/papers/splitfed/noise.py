"""Figure 5: what its noise of gradients costs by the accountants, and what is learned with it.

The paper states epsilon' = 0.5 and sigma = 1.3 for 12,000 samples a client, and sets sigma by the
classic bound of the Gaussian mechanism, sqrt(2 ln(1.25 / delta)) / epsilon, which is for a single
step and for epsilon below 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from benchmarks.papers.splitfed.users import WAYS, Size, plan_for, spread, trained
from benchmarks.papers.tables import Table
from splitopt.training.privacy.accounting import epsilon_of, noise_for
from splitopt.training.privacy_options import Privacy

SAMPLES, EPOCHS, SIGMA, EPSILON, DELTA = 12_000, 250, 1.3, 0.5, 1e-5
BATCHES = (1024, 256, 64)
CLIP, MINE = 1.0, 1e-3
"""The clip norm of the runs here, and their delta: a client has 287 samples."""


def accounts() -> Table:
    """Write the epsilon of the paper's sigma, and the sigma of the paper's epsilon."""
    head, rows = ["batch", "steps", "epsilon of sigma 1.3", "sigma for epsilon 0.5"], []
    for batch in BATCHES:
        rate, steps = batch / SAMPLES, EPOCHS * math.ceil(SAMPLES / batch)
        cost = epsilon_of(SIGMA, rate, steps, DELTA)
        need = noise_for(EPSILON, rate, steps, DELTA)
        rows.append([f"{batch:,}", f"{steps:,}", f"{cost:.1f}", f"{need:.1f}"])
    classic = math.sqrt(2 * math.log(1.25 / DELTA)) / EPSILON
    note = (
        f"{SAMPLES:,} samples, {EPOCHS} epochs, delta 1e-5, Poisson batches, Renyi accountant. "
        f"The classic bound of one step gives sigma {classic:.2f} for epsilon 0.5, without any "
        "batch or epoch in it."
    )
    return Table("figure-5-accounts", head, rows, note)


def noisy_runs(size: Size, tell: Callable[[str], None]) -> Table:
    """Train SplitFedV1 with both readings of Eq. 3 at the paper's sigma, and at its epsilon."""
    plan = plan_for(5, batch=28)
    readings = {
        "none": None,
        "one noise a batch (Abadi), sigma 1.3": Privacy(CLIP, SIGMA, delta=MINE),
        "one a sample (Eq. 3), sigma 1.3": Privacy(CLIP, SIGMA, delta=MINE, noise="per_sample"),
        "one noise a batch, for epsilon 0.5": Privacy(CLIP, target_epsilon=EPSILON, delta=MINE),
    }
    (way,) = (way for way in WAYS if way.words == "SFLV1")
    head, rows = ["noise", "accuracy %", "epsilon at the end"], []
    for words, privacy in readings.items():
        tell(f"SFLV1, {words}")
        found = [
            trained(plan, way, size.rounds, seed, "iid", privacy=privacy)
            for seed in range(size.seeds)
        ]
        accuracy = spread([100 * float(own.value_of(own.evaluated[-1])) for own in found])
        spent = [own.rows[-1].epsilon.values() for own in found]
        cost = "–" if privacy is None else f"{max(max(one) for one in spent):.2f}"
        rows.append([words, accuracy, cost])
    note = (
        f"SFLV1 of five users with 287 samples each, batches of 28, {size.rounds} epochs, clip "
        f"norm {CLIP:g}, delta 0.001: mean and standard deviation over {size.seeds} seeds. "
        "The noise is of the client part; epsilon says nothing of smashed data."
    )
    return Table("figure-5", head, rows, note)
