"""What the instance library holds: a module per problem that lists its ``entries``."""
