"""Who takes part: solvers with their options, by name or from a user's file."""
