"""What a training keeps between rounds, so that it can go on after an interruption."""
