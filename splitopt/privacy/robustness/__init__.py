"""What a noise layer certifies: inputs whose class no small change can turn, beside attacks."""
