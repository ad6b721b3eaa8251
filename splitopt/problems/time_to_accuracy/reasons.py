"""Why `TimeToAccuracy` has no feasible decision, as far as its own numbers show."""

from __future__ import annotations

import numpy as np

from splitopt.problems.time_to_accuracy.data import TimeToAccuracyData


def obvious_reason(problem: TimeToAccuracyData) -> str | None:
    """Report what leaves no decision, None where there is one.

    With rounds from a table, every mixture of batch sizes must reach the target by itself: where
    no batch size that a device can take does, nobody helps it.
    """
    least = int(problem.batch_sizes[0])
    if (stuck := ~problem.fits.any(axis=1)).any():
        n = int(stuck.argmax())
        return (
            f"device {n} can take no cut with a batch of {least}; give it more memory, or offer "
            "smaller batches"
        )
    if not problem.possible.any():
        return (
            f"no cut is one that all {problem.devices} devices can take with a batch of {least}; "
            "allow a cut per device, give them more memory, or offer smaller batches"
        )
    if not _reaches(problem):
        return (
            "no offered batch size, cut and interval reaches the target with every device; offer "
            "others, or lower the target"
        )
    return None


def _reaches(problem: TimeToAccuracyData) -> bool:
    """Whether some largest cut and interval leave every device a batch that reaches the target."""
    reached = np.isfinite(problem.rounds_by_choice)
    for cut in np.flatnonzero(problem.possible):
        most = problem.largest_batch[:, cut]
        if problem.cuts == "per_device":
            most = problem.largest_batch[:, : cut + 1].max(axis=1)
        room = problem.batch_sizes[None, :] <= most[:, None]
        if (room @ reached[:, cut]).all(axis=0).any():
            return True
    return False
