"""Commands that print the numbers of the documentation, the instance library, and results."""
