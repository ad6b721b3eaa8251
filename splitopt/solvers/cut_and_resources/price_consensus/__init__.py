"""Decentralised optimum of the sum of latencies: prices, masked sums, branching messages."""

from splitopt.solvers.cut_and_resources.price_consensus.solver import Consensus as Consensus
from splitopt.solvers.cut_and_resources.price_consensus.solver import (
    PriceConsensus as PriceConsensus,
)
