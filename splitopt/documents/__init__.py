"""What people give, turned into checked values: text, JSON, YAML, CSV, arrays, names, schemas."""
