"""A module as a chain of values, and which of them are cuts."""
