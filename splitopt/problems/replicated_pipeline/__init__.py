"""Training pipelines whose stages may be replicated: the problem and its decision."""

from splitopt.problems.replicated_pipeline.decision import (
    ReplicatedPipelineDecision as ReplicatedPipelineDecision,
)
from splitopt.problems.replicated_pipeline.problem import (
    ReplicatedPipeline as ReplicatedPipeline,
)
from splitopt.problems.replicated_pipeline.stages import Stage as Stage
