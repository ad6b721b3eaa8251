"""The work of operators: what each one that runs costs, by formula, and which have none.

The modules here import torch; this one does not.
"""
