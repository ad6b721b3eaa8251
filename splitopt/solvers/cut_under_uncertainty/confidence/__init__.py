"""Statements about means and tails of latencies that hold however often one looks.

* `betting`: intervals of a mean, and tests whether one mean is below another.
* `cells`, `tail_value`: CVaR from below for all thresholds, and its interval.
"""
