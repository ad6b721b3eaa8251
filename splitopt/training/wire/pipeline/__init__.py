"""Plans with owners and a chain of compute nodes over connections: MP-SL."""
