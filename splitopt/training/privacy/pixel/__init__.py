"""Noise behind a layer of the client part: sensitivity as a proved norm, mechanism and layer."""
