"""Tests of `server.wire`."""
