"""How plans of each problem are trained: one module per problem, with ``program``."""
