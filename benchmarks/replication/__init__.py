"""Replicated stages beside PipeDream's optimizer, on the graphs of its profiler."""
