"""Generated families: a module per problem, of its name, that holds its ``BENCHMARK``."""
