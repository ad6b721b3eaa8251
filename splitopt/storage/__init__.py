"""What is written: atomic writes, locks, temporary files, and what can be written where."""
