"""Clusters and subcarriers for one round (CPSL): the problem, its decision and its kernels."""

from splitopt.problems.cluster_and_spectrum.data import PHASES as PHASES
from splitopt.problems.cluster_and_spectrum.decision import (
    ClusterAndSpectrumDecision as ClusterAndSpectrumDecision,
)
from splitopt.problems.cluster_and_spectrum.problem import ClusterAndSpectrum as ClusterAndSpectrum
