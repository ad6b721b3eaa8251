"""Cuts, batch sizes and aggregation interval for the least time to a target."""

from splitopt.problems.time_to_accuracy.decision import (
    TimeToAccuracyDecision as TimeToAccuracyDecision,
)
from splitopt.problems.time_to_accuracy.problem import TimeToAccuracy as TimeToAccuracy
