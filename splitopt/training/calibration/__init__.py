"""How many rounds a training takes to a target, measured: runs at the corners, and a fit."""
