"""Rounds for the procedures: `rounds` says what is asked, and the others see to the answers.

* `drawing`: bounds of very many rounds, in blocks, and answers to a few.
* `inner`: the solver that answers a round, here or on a worker.
* `ledger`: which samples were answered under which cut; `checkpoint` keeps that in a folder.
"""
