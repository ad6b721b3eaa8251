"""What the layers between the cuts cost, and the table of it."""
