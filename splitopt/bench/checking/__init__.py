"""What a claim is worth: of a run, of a submitted answer, of a solver, of the library."""
