"""Joint cut and resource allocation (DP-MORA): the problem, its decision and its relaxation."""

from splitopt.problems.cut_and_resources.data import PHASES as PHASES
from splitopt.problems.cut_and_resources.decision import (
    CutAndResourcesDecision as CutAndResourcesDecision,
)
from splitopt.problems.cut_and_resources.problem import CutAndResources as CutAndResources
