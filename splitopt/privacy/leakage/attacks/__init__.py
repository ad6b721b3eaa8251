"""Attacks on what a server receives at a cut, each in a file of its own."""
