"""Rows and labels from files."""
