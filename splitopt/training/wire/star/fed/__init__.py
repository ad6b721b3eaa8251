"""SplitFedV1 with its fed server as a party of its own: rank 0 never has a client part."""
