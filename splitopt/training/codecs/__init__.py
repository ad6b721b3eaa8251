"""Smashed data and gradients in fewer bits: what of a tensor travels over a cut."""
