"""End to end: a real store, a real server process, real clients."""
