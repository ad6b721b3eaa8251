"""Contiguous layers to compute nodes (MP-SL): the problem, its decision and its links."""

from splitopt.problems.pipeline_partition.decision import Chain as Chain
from splitopt.problems.pipeline_partition.decision import (
    PipelinePartitionDecision as PipelinePartitionDecision,
)
from splitopt.problems.pipeline_partition.links import Links as Links
from splitopt.problems.pipeline_partition.owners import OwnerGroups as OwnerGroups
from splitopt.problems.pipeline_partition.problem import PipelinePartition as PipelinePartition
