"""Batch scoring: files in, files of scores out."""
