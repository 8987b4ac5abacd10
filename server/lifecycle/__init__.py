"""Which version is served: load, warm, swap."""
