"""How a scheme gets the parts of a graph: from a model that was traced to those of its copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import nn

from splitopt.profiles.tracing.layers import GraphLayers
from splitopt.profiles.tracing.split import SplitModel
from splitopt.training.graph.pipeline import GraphPipeline
from splitopt.training.model_parts.copies import Split


@dataclass(frozen=True)
class GraphSplit(Split):
    """How a model is taken apart on machines, each of which may have any layers of its graph.

    Parameters
    ----------
    model
        The model that was traced, with its graph.
    device
        The machine of every layer.
    """

    model: SplitModel | None = None
    device: Sequence[int] = field(default_factory=tuple)

    def pipeline(self, model: nn.Module) -> GraphPipeline:
        """Build the parts of a copy of the model, which share its tensors."""
        assert self.model is not None  # see `splitopt.training.preparing.graphs.graph_split`
        own = replace(self.model, module=model, chain=self.model.chain.on(model))
        return GraphPipeline.of(GraphLayers(own), self.device)
