"""The solver benchmark: suites, a runner with limits, rows, reports, conformance."""
