"""Solvers for `CutUnderUncertainty`: `saa`, the enumeration, and the back ends.

`confidence` holds the statistics of `saa`, and `answering` gets it the answers of rounds.
"""
