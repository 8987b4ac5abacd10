"""unisono beside other ways to serve the same members: `benchmarks/beside_peers.py` drives it."""
