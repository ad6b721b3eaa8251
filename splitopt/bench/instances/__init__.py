"""What the solvers are run on: generated families, the instance library, and the suites."""
