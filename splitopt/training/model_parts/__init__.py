"""A model in parts and copies: forward, backward, what training changes of them, averages."""
