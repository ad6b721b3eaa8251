"""What a plan's report says of its problem: a module per problem, of its name."""
