"""Two plans held against each other: what was given, decided, promised and proved."""
