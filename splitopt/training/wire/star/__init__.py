"""Plans with a server and devices over connections: SplitFedV1, and CPSL's clusters."""
