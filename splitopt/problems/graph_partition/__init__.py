"""Layer graphs over alike accelerators and CPUs: the problem and its decision."""

from splitopt.problems.graph_partition.decision import (
    GraphPartitionDecision as GraphPartitionDecision,
)
from splitopt.problems.graph_partition.problem import GraphPartition as GraphPartition
