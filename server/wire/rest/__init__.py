"""HTTP with JSON and raw tensors, in front of the same methods that gRPC has."""
