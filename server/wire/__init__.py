"""Bytes to arrays and back: the only package that knows gRPC and protobuf."""
