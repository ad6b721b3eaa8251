"""The profile itself: a table over the cuts, its columns, curves and measured times."""
