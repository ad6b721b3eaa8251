"""Edge servers: how far the exact solver gets, and what rules of association cost."""
