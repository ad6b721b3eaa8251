"""Baselines against forgetting: what devices and the server keep of turns that are over."""
