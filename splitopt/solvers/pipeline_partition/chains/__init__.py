"""The exact search over chains of nodes, with links or without: what `subset_dp` does.

* `state`: the arrays of a problem, and the room for what a cap allows.
* `alike`, `graph`, `layout`: nodes that can stand in for each other, and the states of a chain.
* `spans`, `windows`, `reach`, `trips`: the loops, compiled where that pays (`loops`, `loading`).
* `caps`, `bracket`, `search`: tests of a cap, the least period, and the least latency under a cap.
* `goals`, `paper`, `solving`: the search for each objective; `reasons` where there is no answer.
"""
