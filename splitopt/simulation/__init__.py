"""Replaying plans event by event."""

from splitopt.simulation.replay import Replay as Replay
from splitopt.simulation.replay import simulate_decision as simulate_decision
