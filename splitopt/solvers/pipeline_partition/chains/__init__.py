"""Exact search over chains of nodes with links: the machinery of `subset_dp` beyond MP-SL's case.

``alike`` finds nodes that can stand in for each other, ``graph`` and ``layout`` lay out the states
of a chain as arrays, ``tables``, ``windows``, ``reach``, ``bracket`` and ``trips`` are the compiled
loops, and ``search`` is what solvers call.
"""
