"""HTTP/2 for gRPC on Python's own event loop: connections, streams, windows; what a call is, others know."""
