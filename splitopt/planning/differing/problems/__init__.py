"""What plans of each problem decide: a module per problem, with ``rows(prediction)``."""
