"""Plans of `GraphPartition`, trained: parts of a graph that exchange tensors through the host."""

from splitopt.training.graph.public import GraphRun as GraphRun
from splitopt.training.graph.public import MachineTraffic as MachineTraffic
from splitopt.training.graph.public import train_graph as train_graph
