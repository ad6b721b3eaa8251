"""Curves, machine models and speeds fitted to what was measured."""
