"""Where work on shards runs: here, in processes, on a cluster."""
