"""Every scheme on the same fleet: what its best plan takes, and which to run."""
