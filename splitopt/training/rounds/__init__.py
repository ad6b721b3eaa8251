"""The rounds of a training: their loop, their tests and their clock."""
