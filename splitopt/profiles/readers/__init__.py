"""Files that hold a profile, or times for one: CSV, graphs, traces of the profiler."""
