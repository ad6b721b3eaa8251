"""The protocol of the solver `price_consensus` with every party in a process of its own.

The coordinator is rank 0, the devices are ranks 1 to N, and the server that grants shares is the
last one. Each device has its own numbers; all connect to the coordinator, as the ranks of a
training do, and the messages are those of `solvers.cut_and_resources.price_consensus`.
"""
