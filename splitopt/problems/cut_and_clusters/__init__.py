"""The cut, the clusters and the subcarriers of a round (CPSL), chosen together."""

from splitopt.problems.cut_and_clusters.decision import (
    CutAndClustersDecision as CutAndClustersDecision,
)
from splitopt.problems.cut_and_clusters.problem import CutAndClusters as CutAndClusters
