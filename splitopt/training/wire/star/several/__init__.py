"""Plans with several servers: every one a party of its own that serves its own devices."""
