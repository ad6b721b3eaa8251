"""Sums of what several parties have, learnt without learning a summand.

One construction for all who add up so: decentralised solvers in one process and between processes,
and the averages of client-side models over connections.
"""
