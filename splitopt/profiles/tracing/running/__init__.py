"""Running a user's module on examples, and leaving it as it was."""
