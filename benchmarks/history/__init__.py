"""How the benchmark's numbers go from release to release."""
