"""The wire mode: a plan's parties as processes of their own, with real bytes between them."""
