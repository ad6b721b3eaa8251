"""What decentralised solvers share: masked sums, and a log of every message."""
