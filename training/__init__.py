"""The architectures and the training loop that make members."""
