"""The library: members, weights, pools, refit and scoring; no gRPC, no asyncio, no Prometheus."""
