"""The exact search of `subset_dp` where transfers cost nothing.

* `layout`: alike nodes, and the states of a chain that grows node by node.
* `scaled`: times as integers, so that sums are exact and the search ends at an attained value.
* `loops`: the inner loops, compiled where that pays.
* `reach`: which partitions keep below given caps, and the quickest of them.
* `period`, `paper`, `epoch`: the search over caps for each objective.
"""
