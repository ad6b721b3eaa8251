"""The solvers of `GeneratorPairing`."""
