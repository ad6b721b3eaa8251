"""What decentralised solvers share: a log of every message."""
