"""Work and memory of layers, counted from what they are."""
