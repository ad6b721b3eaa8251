"""Replaying plans event by event."""
